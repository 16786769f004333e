//! The rig's rooms stand on each other in one order, and no two files know each other in a circle.
//!
//! The paths of every file of the three crates are read: a name of another room has to lead down. A room is a file or a
//! folder right below a crate's top. What is for tests alone is left out, and so is a parent's `pub use` of its child, which
//! only gives the child's names another address.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use syn::{Item, UseTree, Visibility};

/// The crates from the bottom up, each with its rooms from the bottom up. The compiler keeps the order of the crates.
const FLOORS: [(&str, &str, &[&str]); 4] = [
    ("driver_inspect", "ci/rig/inspect/src", &["image", "binding", "calls", "offers", "compare"]),
    (
        "lab",
        "ci/rig/lab/src",
        &[
            "base", "device", "machine", "guest", "settings", "facts", "session", "verdict", "report", "run",
            "guests",
        ],
    ),
    (
        "scenarios",
        "ci/rig/scenarios/src",
        &[
            "form",
            "want",
            "scenario",
            "path",
            "transmit",
            "receive",
            "wake_up",
            "forms",
            "filter",
            "filter_random",
            "filter_requests",
            "filter_stack",
            "filter_broken",
            "lifecycle",
            "machine",
            "memory",
            "packages",
            "requests",
            "broken",
            "cause",
            "binding",
            "stuck",
            "hang",
            "hardware",
            "trespass",
            "windows",
        ],
    ),
    (
        "rig",
        "ci/rig/src",
        &[
            "exit", "fat", "browser", "terminal", "live", "build", "package", "guest", "foreign", "packages",
            "rules", "inspect", "kdnet", "image", "demo", "debug", "trials", "test", "manual", "bench",
        ],
    ),
];

/// A module of a crate: the names from the crate's top.
type Module = Vec<String>;

/// What one file names: modules of its crate, with the path as it is written.
type Names = Vec<(Module, String)>;

/// The modules of a crate, with their files.
struct Modules(BTreeMap<Module, PathBuf>);

impl Modules {
    fn of(root: &Path) -> Self {
        let mut modules = BTreeMap::new();
        let mut folders = vec![root.to_path_buf()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()) {
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") {
                    let inside = path.strip_prefix(root).unwrap().with_extension("");
                    let mut module: Module =
                        inside.iter().map(|name| name.to_str().unwrap().to_owned()).collect();
                    if ["mod", "lib", "main"].contains(&module.last().unwrap().as_str()) {
                        module.pop();
                    }
                    modules.insert(module, path);
                }
            }
        }
        Self(modules)
    }

    /// The module in which a path of `from` ends; `None` if it leads out of the crate, or is a name of this module.
    fn resolve(&self, from: &[String], path: &[String]) -> Option<Module> {
        let mut rest = path.iter();
        let mut at: Module = match path.first()?.as_str() {
            "crate" => {
                rest.next();
                Module::new()
            }
            "self" | "super" => from.to_vec(),
            child => {
                let child: Module = from.iter().cloned().chain([child.to_owned()]).collect();
                self.0.contains_key(&child).then(|| from.to_vec())?
            }
        };
        for name in rest {
            match name.as_str() {
                "self" => {}
                "super" => _ = at.pop(),
                name => {
                    at.push(name.to_owned());
                    if !self.0.contains_key(&at) {
                        at.pop();
                        break;
                    }
                }
            }
        }
        (at != from).then_some(at)
    }

    /// What the file of `module` names.
    fn names(&self, module: &[String], file: &syn::File) -> Names {
        let mut names = Names::new();
        let mut note = |path: &[String], facade: bool| {
            if let Some(to) = self.resolve(module, path)
                && !(facade && to.starts_with(module))
            {
                names.push((to, path.join("::")));
            }
        };
        for item in &file.items {
            match item {
                item if is_for_tests(item) => {}
                Item::Mod(inner) if inner.content.is_none() => {}
                Item::Use(used) => {
                    let facade = !matches!(used.vis, Visibility::Inherited);
                    leaves(&used.tree, &mut Vec::new(), &mut |path| note(path, facade));
                }
                item => paths(item.to_token_stream(), &mut |path| note(path, false)),
            }
        }
        names
    }
}

fn is_for_tests(item: &Item) -> bool {
    let attributes = match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.meta.to_token_stream().to_string().contains("test")
    })
}

/// Every path of a `use`.
fn leaves(tree: &UseTree, before: &mut Vec<String>, note: &mut impl FnMut(&[String])) {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            leaves(&path.tree, before, note);
            before.pop();
        }
        UseTree::Name(name) => leaf(&name.ident.to_string(), before, note),
        UseTree::Rename(name) => leaf(&name.ident.to_string(), before, note),
        UseTree::Glob(_) => note(before),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, before, note)),
    }
}

fn leaf(name: &str, before: &mut Vec<String>, note: &mut impl FnMut(&[String])) {
    before.push(name.to_owned());
    note(before);
    before.pop();
}

/// Every path of two names or more, also in what is given to a macro.
fn paths(tokens: TokenStream, note: &mut impl FnMut(&[String])) {
    let mut path: Vec<String> = Vec::new();
    // How many colons follow the last name of the path.
    let mut colons = 0;
    let mut end = |path: &mut Vec<String>| {
        if path.len() > 1 {
            note(path);
        }
        path.clear();
    };
    let mut groups = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Ident(name) if colons == 2 && !path.is_empty() => path.push(name.to_string()),
            TokenTree::Ident(name) => {
                end(&mut path);
                path.push(name.to_string());
            }
            TokenTree::Punct(punct) if punct.as_char() == ':' => {
                colons += 1;
                continue;
            }
            TokenTree::Group(group) => {
                end(&mut path);
                groups.push(group.stream());
            }
            _ => end(&mut path),
        }
        colons = 0;
    }
    end(&mut path);
    groups.into_iter().for_each(|group| paths(group, note));
}

/// The workspace's top folder.
fn root() -> PathBuf {
    let package = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs the tests"));
    package.ancestors().nth(2).unwrap().to_path_buf()
}

/// Every file's names, crate by crate.
fn read() -> Vec<(&'static str, &'static [&'static str], BTreeMap<Module, Names>)> {
    let crates = FLOORS.iter().map(|(name, folder, rooms)| {
        let modules = Modules::of(&root().join(folder));
        let files = modules.0.iter().filter(|(module, _)| module.last().is_none_or(|name| name != "tests"));
        let names = files.map(|(module, path)| {
            let file = syn::parse_file(&fs::read_to_string(path).unwrap()).unwrap();
            (module.clone(), modules.names(module, &file))
        });
        (*name, *rooms, names.collect())
    });
    crates.collect()
}

fn shown(module: &[String]) -> String {
    if module.is_empty() { "the top".into() } else { module.join("::") }
}

#[test]
fn no_file_names_a_room_above_its_own() {
    let mut wrong = Vec::new();
    for (name, rooms, files) in read() {
        // The crate's top file is above all of its rooms.
        let floor = |module: &[String]| match module.first() {
            Some(room) => rooms.iter().position(|known| known == room),
            None => Some(rooms.len()),
        };
        for (module, names) in &files {
            let Some(own) = floor(module) else {
                wrong.push(format!("{name}: {} is in no list of rooms", shown(module)));
                continue;
            };
            for (to, path) in names {
                if floor(to).is_some_and(|other| other > own) {
                    wrong.push(format!("{name}: {} names {path}", shown(module)));
                }
            }
        }
        let there: BTreeSet<&str> =
            files.keys().filter_map(|module| module.first()).map(String::as_str).collect();
        let gone: Vec<_> = rooms.iter().filter(|room| !there.contains(*room)).collect();
        assert!(gone.is_empty(), "{name} has no rooms {gone:?}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_two_files_know_each_other_in_a_circle() {
    let mut circles = Vec::new();
    for (name, _, files) in read() {
        let mut left: BTreeMap<&Module, BTreeSet<&Module>> =
            files.iter().map(|(module, names)| (module, names.iter().map(|(to, _)| to).collect())).collect();
        // Whoever knows nobody that is left is in no circle; what remains, is or stands above one.
        loop {
            let done: Vec<&Module> = left
                .iter()
                .filter(|(_, known)| known.iter().all(|to| !left.contains_key(*to)))
                .map(|(module, _)| *module)
                .collect();
            if done.is_empty() {
                break;
            }
            done.into_iter().for_each(|module| _ = left.remove(module));
        }
        // Nor is whom nobody that is left knows.
        loop {
            let known: BTreeSet<&Module> = left.values().flatten().copied().collect();
            let before = left.len();
            left.retain(|module, _| known.contains(*module));
            if left.len() == before {
                break;
            }
        }
        let line = |(module, known): (&&Module, &BTreeSet<&Module>)| {
            let known = known.iter().filter(|to| left.contains_key(**to)).map(|to| shown(to));
            format!("{name}: {} knows {}", shown(module), known.collect::<Vec<_>>().join(", "))
        };
        circles.extend(left.iter().map(line));
    }
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn paths_are_found_in_uses_in_code_and_in_macros() {
    let modules = Modules(
        [&["a"][..], &["a", "b"], &["c"], &[]]
            .into_iter()
            .map(|module| (module.iter().map(|name| (*name).to_owned()).collect(), PathBuf::new()))
            .collect(),
    );
    let file = syn::parse_file(
        "use crate::c::{self, D}; pub use b::E; mod b; fn f() { bail!(\"{}\", super::c::x()); b::g(); }\n\
         #[cfg(test)] mod tests { use crate::z::Y; }",
    )
    .unwrap();
    let names = modules.names(&["a".to_owned()], &file);
    let found: Vec<_> = names.iter().map(|(to, path)| format!("{} by {path}", shown(to))).collect();
    assert_eq!(found, ["c by crate::c::self", "c by crate::c::D", "a::b by b::g", "c by super::c::x"]);
}
