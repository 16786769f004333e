//! The sources as text, for tests that compare them with a page.

use std::fs;
use std::path::{Path, PathBuf};

/// The crate's folder.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"))
}

/// Every Rust file below a folder but for the table of rules, in the order of their names.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the sources are there");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry of the folder").path()).collect();
    paths.sort();
    let mut found = Vec::new();
    for path in paths.into_iter().filter(|path| !path.ends_with("rules/src/rule")) {
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(fs::read_to_string(path).expect("a source is text"));
        }
    }
    found
}

/// The string literals in a text.
pub(crate) fn literals(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

/// The text from here to the bracket that closes what stands before it; brackets in literals do not count.
pub(crate) fn within(rest: &str) -> &str {
    let (mut open, mut quoted) = (1, false);
    let end = rest.char_indices().find(|&(_, c)| {
        quoted ^= c == '"';
        open += i32::from(!quoted && c == '(') - i32::from(!quoted && c == ')');
        open == 0
    });
    end.map_or(rest, |(at, _)| &rest[..at])
}
