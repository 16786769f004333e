//! The house in floors: a file imports from its own floor and those below it, never upwards, and a folder's own file is
//! its `mod.rs`. Every path counts, one in the body of a macro as well; only tests may look further.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// The floors, from the ground up. The wings of one floor do not know each other; in a wing each room may use those
/// before it.
const FLOORS: &[&[&[&str]]] = &[
    &[&["settings"]],
    &[&["hal"]],
    &[&["ke"]],
    &[&["mm"]],
    &[&["pe"]],
    &[&["verifier"]],
    &[&["io"]],
    &[&["wdf", "netcx"], &["ndis"]],
    &[&["translator"]],
    &[&["nt"]],
    &[&["pnp"]],
    &[&["agent"]],
    &[&["boot"], &["twin"]],
];

/// Where a room is: its floor, its wing, its place in the wing.
fn place(room: &str) -> Option<(usize, usize, usize)> {
    FLOORS.iter().enumerate().find_map(|(floor, wings)| {
        wings.iter().enumerate().find_map(|(wing, rooms)| {
            rooms.iter().position(|known| *known == room).map(|at| (floor, wing, at))
        })
    })
}

/// Whether a file of the room `from` may use `to`.
fn may_use(from: &str, to: &str) -> bool {
    let (Some(from), Some(to)) = (place(from), place(to)) else { return false };
    to.0 < from.0 || (to.0, to.1) == (from.0, from.1) && to.2 <= from.2
}

/// A path that names another room.
#[derive(Debug, PartialEq, Eq)]
struct Use {
    line: usize,
    /// As it is written, up to the room.
    path: String,
    room: String,
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.path)
    }
}

/// The paths of a file that begin with `crate` or leave it by `super`; `at` is the file's own module.
fn uses(tokens: TokenStream, at: &[String], found: &mut Vec<Use>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut next = 0;
    while next < tokens.len() {
        match &tokens[next] {
            TokenTree::Ident(word) if word == "crate" || word == "super" => {
                let before = next.checked_sub(1).and_then(|before| tokens.get(before));
                // `pub(crate)` has no path behind it, and `$crate::` names this crate from outside
                let is_path = colons(&tokens, next + 1) && !is_punct(before, ':');
                if is_path {
                    let base = if word == "crate" { Vec::new() } else { at.to_vec() };
                    let ups = usize::from(word == "super");
                    path(&tokens, next + 3, base, ups, word.to_string(), found);
                }
                next += 1;
            }
            TokenTree::Ident(word) if word == "mod" => match (tokens.get(next + 1), tokens.get(next + 2)) {
                (Some(TokenTree::Ident(name)), Some(TokenTree::Group(body))) => {
                    let inside: Vec<String> = at.iter().cloned().chain([name.to_string()]).collect();
                    if name != "tests" {
                        uses(body.stream(), &inside, found);
                    }
                    next += 3;
                }
                _ => next += 1,
            },
            TokenTree::Group(group) => {
                uses(group.stream(), at, found);
                next += 1;
            }
            _ => next += 1,
        }
    }
}

fn is_punct(token: Option<&TokenTree>, wanted: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == wanted)
}

fn colons(tokens: &[TokenTree], at: usize) -> bool {
    is_punct(tokens.get(at), ':') && is_punct(tokens.get(at + 1), ':')
}

/// Follows a path from the token behind its first `::`, into the braces of a use tree as well.
fn path(
    tokens: &[TokenTree],
    at: usize,
    mut base: Vec<String>,
    ups: usize,
    written: String,
    found: &mut Vec<Use>,
) {
    match tokens.get(at) {
        Some(TokenTree::Ident(word)) if word == "super" && colons(tokens, at + 1) => {
            path(tokens, at + 3, base, ups + 1, format!("{written}::super"), found);
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let starts = (0..inner.len()).filter(|&start| {
                start == 0 || is_punct(start.checked_sub(1).and_then(|at| inner.get(at)), ',')
            });
            for start in starts {
                path(&inner, start, base.clone(), ups, written.clone(), found);
            }
        }
        Some(TokenTree::Ident(word)) if word != "self" => {
            // `super` of a module is the module that holds it
            base.truncate(base.len().saturating_sub(ups));
            base.push(word.to_string());
            let room = base[0].clone();
            found.push(Use { line: word.span().start().line, path: format!("{written}::{word}"), room });
        }
        _ => {}
    }
}

/// The module that a file is, by its place below `src`.
fn module(file: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        file.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if matches!(parts.last().map(String::as_str), Some("mod" | "lib")) {
        parts.pop();
    }
    parts
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

fn src() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("src")
}

/// Macros of this crate, which its root exports, and the room that they belong to.
const MACROS: &[(&str, &str)] = &[("log", "hal")];

/// The paths of a file of that module which lead where they must not.
fn upward(at: &[String], text: &str) -> Vec<Use> {
    let mut found = Vec::new();
    uses(text.parse().expect("a source parses"), at, &mut found);
    let Some(from) = at.first() else { return Vec::new() };
    found.retain(|used| {
        let room = MACROS.iter().find(|(name, _)| *name == used.room).map_or(used.room.as_str(), |of| of.1);
        !may_use(from, room)
    });
    found
}

/// Every file of a room with its name, its module and its upward paths.
fn houses_files() -> Vec<(String, Vec<String>, Vec<Use>)> {
    let mut files = Vec::new();
    sources(&src(), &mut files);
    assert!(files.len() > 50, "the sources are not read: {} files", files.len());
    let named = files.iter().map(|file| file.strip_prefix(src()).expect("it is below src"));
    // the crate's own file and the programs name every room
    let rooms = named.filter(|name| !matches!(name.to_str(), Some("lib.rs" | "main.rs")));
    let without_tests = rooms.filter(|name| !name.ends_with("tests.rs"));
    without_tests
        .map(|name| {
            let text = fs::read_to_string(src().join(name)).expect("a source is text");
            let at = module(name);
            let upward = upward(&at, &text);
            (name.display().to_string(), at, upward)
        })
        .collect()
}

#[test]
fn no_file_imports_upwards() {
    let mut wrong = Vec::new();
    for (name, at, upward) in houses_files() {
        assert!(place(&at[0]).is_some(), "{name} is in no room of the list");
        wrong.extend(upward.into_iter().map(|used| format!("{name}, {used}")));
    }
    assert!(wrong.is_empty(), "{} paths lead upwards:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_folders_own_file_is_its_mod_rs() {
    let mut files = Vec::new();
    sources(&src(), &mut files);
    let beside: Vec<_> = files.iter().filter(|file| file.with_extension("").is_dir()).collect();
    assert!(beside.is_empty(), "{beside:?}");
}

fn found(at: &[&str], text: &str) -> Vec<String> {
    let at: Vec<String> = at.iter().map(|part| (*part).to_owned()).collect();
    upward(&at, text).iter().map(Use::to_string).collect()
}

#[test]
fn an_upward_path_is_found_wherever_it_is_written() {
    for (text, path) in [
        ("\nuse crate::pnp::Node;", "line 2: crate::pnp"),
        ("use crate::{ke::Irql, pnp};", "line 1: crate::pnp"),
        ("use crate::{ke::{self, Irql}, pnp::{Node, Stage}};", "line 1: crate::pnp"),
        ("use super::super::pnp;", "line 1: super::super::pnp"),
        ("fn f() { format!(\"{}\", crate::pnp::nic()) }", "line 1: crate::pnp"),
        ("fn f() -> crate::pnp::Node { loop {} }", "line 1: crate::pnp"),
        ("mod inner { use super::super::super::pnp; }", "line 1: super::super::super::pnp"),
    ] {
        assert_eq!(found(&["io", "file"], text), [path], "{text}");
    }
}

#[test]
fn paths_within_a_room_and_downwards_pass() {
    for text in [
        "use super::irp::Irp;",
        "use crate::io::file;",
        "use crate::{ke::Irql, verifier::{self, trace}};",
        "pub(crate) fn f() { crate::log!(\"{}\", crate::mm::DIRECT) }",
        "mod tests { use crate::pnp; }",
        "pub(in crate::io) struct A;",
    ] {
        assert!(found(&["io", "file"], text).is_empty(), "{text}");
    }
}

#[test]
fn the_wings_of_a_floor_do_not_know_each_other() {
    assert_eq!(found(&["ndis", "flow"], "use crate::netcx::queue;"), ["line 1: crate::netcx"]);
    assert_eq!(found(&["wdf", "device"], "use crate::netcx;"), ["line 1: crate::netcx"]);
    assert!(found(&["netcx", "queue"], "use crate::wdf::object;").is_empty());
}
