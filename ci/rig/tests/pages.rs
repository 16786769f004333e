//! The pages that tell a way through the code name files: each is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// The top folders of the workspace in which sources are.
const SOURCES: [&str; 4] = ["ci/", "device/", "driver/", "guest-images/"];

/// The workspace's top folder.
fn root() -> PathBuf {
    let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests"));
    package.ancestors().nth(2).unwrap().to_path_buf()
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let text = fs::read_to_string(root().join("ci/rig/README.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let named: BTreeSet<&str> = quoted
        .filter(|name| SOURCES.iter().any(|top| name.starts_with(top)) && !name.contains(' '))
        .collect();
    assert!(named.len() > 40, "the two ways name more files than {named:?}");
    let gone: Vec<_> = named.into_iter().filter(|name| !root().join(name).exists()).collect();
    assert!(gone.is_empty(), "{gone:?}");
}
