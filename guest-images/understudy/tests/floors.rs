//! The house in floors: a file imports from its own floor and those below it, never upwards, no files import one another
//! in a circle but those that [`CIRCLES`] lists, and a folder's own file is its `mod.rs`. Every path counts, one in the
//! body of a macro as well; only tests may look further.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};
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
    /// The whole of it from the crate's root, once for each name in the braces of a use tree.
    names: Vec<Vec<String>>,
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
                // `pub(crate)` has no path behind it; a `super` behind another has been followed from that one
                let follows = next.checked_sub(2).is_some_and(|before| colons(&tokens, before));
                if colons(&tokens, next + 1) && !follows {
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
            for start in branches(&inner) {
                path(&inner, start, base.clone(), ups, written.clone(), found);
            }
        }
        Some(TokenTree::Ident(word)) if word != "self" => {
            // `super` of a module is the module that holds it
            base.truncate(base.len().saturating_sub(ups));
            let mut names = Vec::new();
            leaves(tokens, at, &base, &mut names);
            base.push(word.to_string());
            let room = base[0].clone();
            found.push(Use {
                line: word.span().start().line,
                path: format!("{written}::{word}"),
                room,
                names,
            });
        }
        _ => {}
    }
}

/// What a path or a use tree behind `base` names; of `self` and `*` the module.
fn leaves(tokens: &[TokenTree], at: usize, base: &[String], names: &mut Vec<Vec<String>>) {
    match tokens.get(at) {
        Some(TokenTree::Ident(word)) if word != "self" => {
            let longer: Vec<String> = base.iter().cloned().chain([word.to_string()]).collect();
            if colons(tokens, at + 1) { leaves(tokens, at + 3, &longer, names) } else { names.push(longer) }
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            branches(&inner).for_each(|start| leaves(&inner, start, base, names));
        }
        _ => names.push(base.to_vec()),
    }
}

/// Where the branches of a use tree begin.
fn branches(inner: &[TokenTree]) -> impl Iterator<Item = usize> {
    (0..inner.len())
        .filter(|&start| start == 0 || is_punct(start.checked_sub(1).and_then(|at| inner.get(at)), ','))
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

/// Every file of a room by its name, with its text.
fn texts() -> Vec<(String, String)> {
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
            (name.display().to_string(), text)
        })
        .collect()
}

#[test]
fn no_file_imports_upwards() {
    let mut wrong = Vec::new();
    for (name, text) in texts() {
        let at = module(Path::new(&name));
        assert!(place(&at[0]).is_some(), "{name} is in no room of the list");
        wrong.extend(upward(&at, &text).into_iter().map(|used| format!("{name}, {used}")));
    }
    assert!(wrong.is_empty(), "{} paths lead upwards:\n{}", wrong.len(), wrong.join("\n"));
}

/// Files that import one another in circles. None of these may grow, and no other may come.
const CIRCLES: &[&[&str]] = &[
    // KMDF's objects hold one another: a device its queues, a queue its requests, a request its queue and its target
    &[
        "wdf/device.rs",
        "wdf/file.rs",
        "wdf/io_target/mod.rs",
        "wdf/queue/object.rs",
        "wdf/request/cancel.rs",
        "wdf/request/mod.rs",
    ],
];

/// One file among the others: what it imports, and what it passes on from the modules in it.
#[derive(Debug, Default)]
struct File {
    at: Vec<String>,
    names: BTreeSet<Vec<String>>,
    /// Names that `pub use` takes from a module in it, and what they are there.
    passed_on: BTreeMap<String, Vec<String>>,
}

impl File {
    fn read(at: &[String], text: &str, children: &BTreeSet<String>) -> Self {
        let tokens: TokenStream = text.parse().expect("a source parses");
        let mut found = Vec::new();
        uses(tokens.clone(), at, &mut found);
        let names = found.into_iter().flat_map(|used| used.names).collect();
        let mut file = Self { at: at.to_vec(), names, passed_on: BTreeMap::new() };
        file.inner(tokens, children);
        file
    }

    /// The paths that begin with a module in this file.
    fn inner(&mut self, tokens: TokenStream, children: &BTreeSet<String>) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (next, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => self.inner(group.stream(), children),
                TokenTree::Ident(word)
                    if children.contains(&word.to_string()) && colons(&tokens, next + 1) =>
                {
                    let before = |back| next.checked_sub(back).and_then(|at| tokens.get(at));
                    let mut names = Vec::new();
                    leaves(&tokens, next, &self.at, &mut names);
                    let is = |token: Option<&TokenTree>, wanted: &str| {
                        token.is_some_and(|token| token.to_string() == wanted)
                    };
                    let public = is(before(2), "pub") || matches!(before(2), Some(TokenTree::Group(_)));
                    if is_punct(before(1), ':') {
                        continue;
                    }
                    if is(before(1), "use") && public {
                        let last = |name: Vec<String>| name.last().cloned().map(|last| (last, name));
                        self.passed_on.extend(names.into_iter().filter_map(last));
                    } else {
                        self.names.extend(names);
                    }
                }
                _ => {}
            }
        }
    }
}

/// The file in which a name is, through those that pass it on.
fn home<'f>(files: &'f BTreeMap<String, File>, name: &[String]) -> Option<&'f str> {
    let (of, file) = (1..=name.len()).rev().find_map(|len| files.iter().find(|of| of.1.at == name[..len]))?;
    let passed_on = name.get(file.at.len()).and_then(|next| file.passed_on.get(next));
    passed_on.and_then(|on| home(files, on)).or(Some(of))
}

/// What is imported from a file on.
fn reached<'f>(direct: &BTreeMap<&str, BTreeSet<&'f str>>, from: &str) -> BTreeSet<&'f str> {
    let (mut seen, mut left) = (BTreeSet::new(), direct[from].clone());
    while let Some(at) = left.pop_first() {
        if seen.insert(at) {
            left.extend(&direct[at]);
        }
    }
    seen
}

/// The circles among files, each in the order of the names.
fn circles(files: &BTreeMap<String, File>) -> Vec<Vec<&str>> {
    let direct: BTreeMap<&str, BTreeSet<&str>> = files
        .iter()
        .map(|(name, file)| {
            let to = file.names.iter().filter_map(|name| home(files, name));
            (name.as_str(), to.filter(|to| to != name).collect())
        })
        .collect();
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        direct.keys().map(|&from| (from, reached(&direct, from))).collect();
    let tied = |from: &&str| {
        let back = |to: &&&str| reached[**to].contains(from);
        reached[*from].iter().filter(back).copied().collect::<Vec<_>>()
    };
    let all: BTreeSet<Vec<&str>> = direct.keys().map(tied).filter(|circle| !circle.is_empty()).collect();
    all.into_iter().collect()
}

/// Those files by name, as far as they are in rooms.
fn files(texts: &[(String, String)]) -> BTreeMap<String, File> {
    let at: Vec<Vec<String>> = texts.iter().map(|(name, _)| module(Path::new(name))).collect();
    let children = |of: &[String]| {
        let inside = at.iter().filter(|at| at.len() == of.len() + 1 && at.starts_with(of));
        inside.filter_map(|at| at.last().cloned()).collect()
    };
    texts
        .iter()
        .zip(&at)
        .map(|((name, text), at)| (name.clone(), File::read(at, text, &children(at))))
        .collect()
}

#[test]
fn no_files_import_one_another_in_a_circle_that_is_not_listed() {
    let files = files(&texts());
    let found = circles(&files);
    for circle in &found {
        for from in circle {
            let ties = files[*from]
                .names
                .iter()
                .filter(|name| home(&files, name).is_some_and(|to| to != *from && circle.contains(&to)));
            let ties: Vec<String> = ties.map(|name| name.join("::")).collect();
            println!("{from}: {}", ties.join(", "));
        }
        println!();
    }
    assert_eq!(found, CIRCLES, "the circles that there are, and those that are listed");
}

fn circles_of(texts: &[(&str, &str)]) -> Vec<Vec<String>> {
    let texts: Vec<_> = texts.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    let files = files(&texts);
    circles(&files).into_iter().map(|circle| circle.into_iter().map(str::to_owned).collect()).collect()
}

#[test]
fn a_circle_is_found_through_the_names_that_a_folder_passes_on() {
    let folder = ("ke/mod.rs", "mod a; mod b; pub use a::{A, C};");
    let a = ("ke/a.rs", "use super::b::B;");
    assert_eq!(circles_of(&[folder, a, ("ke/b.rs", "fn f(a: super::A) {}")]), [["ke/a.rs", "ke/b.rs"]]);
    assert!(circles_of(&[folder, a, ("ke/b.rs", "mod tests { use super::super::A; }")]).is_empty());
    assert!(circles_of(&[folder, a, ("ke/b.rs", "use crate::hal;")]).is_empty());
}

#[test]
fn a_folder_that_uses_its_files_and_is_used_by_them_is_a_circle() {
    let both = [("ke/mod.rs", "mod a; pub fn g() { a::f() }"), ("ke/a.rs", "pub fn f() { super::g() }")];
    assert_eq!(circles_of(&both), [["ke/a.rs", "ke/mod.rs"]]);
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
        ("fn f(node: crate::pnp::Node) {}", "line 1: crate::pnp"),
        ("struct Holds { node: super::super::pnp::Node }", "line 1: super::super::pnp"),
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
