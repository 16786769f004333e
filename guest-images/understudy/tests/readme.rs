//! README.md names the rules and the windows that there are, and no others.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, into: &mut String) {
    for entry in fs::read_dir(folder).expect("the sources are there") {
        let path = entry.expect("an entry of the folder").path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push_str(&fs::read_to_string(path).expect("a source is text"));
        }
    }
}

/// Everything in backquotes.
fn quoted(readme: &str) -> BTreeSet<&str> {
    readme.split('`').skip(1).step_by(2).collect()
}

/// String literals that directly follow one of `openings`, with only white space between.
fn literals<'s>(source: &'s str, openings: &[&str]) -> BTreeSet<&'s str> {
    let behind = openings.iter().flat_map(|opening| source.split(opening).skip(1));
    behind
        .filter_map(|rest| rest.trim_start().strip_prefix('"'))
        .filter_map(|rest| rest.split_once('"').map(|(name, _)| name))
        .collect()
}

/// String literals anywhere among the arguments of calls that begin with one of `openings`.
fn arguments<'s>(source: &'s str, openings: &[&str]) -> BTreeSet<&'s str> {
    let behind = openings.iter().flat_map(|opening| source.split(opening).skip(1));
    behind.flat_map(within).collect()
}

/// String literals up to the bracket that closes what stands before `rest`.
fn within(rest: &str) -> impl Iterator<Item = &str> {
    let mut open = 1;
    let mut closes = move |part: &str| {
        part.chars().any(|c| {
            open += i32::from(c == '(') - i32::from(c == ')');
            open == 0
        })
    };
    let parts = rest.split('"').enumerate();
    let inside = parts.take_while(move |(at, part)| at % 2 == 1 || !closes(part));
    inside.filter(|(at, _)| at % 2 == 1).map(|(_, part)| part)
}

/// A rule's name: words run together, or Static Driver Verifier's with low lines.
fn is_rule(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.contains(|c: char| c.is_ascii_lowercase())
}

fn texts() -> (String, String) {
    let root = PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let mut source = String::new();
    for folder in ["src", "rules/src"] {
        sources(&root.join(folder), &mut source);
    }
    (source, fs::read_to_string(root.join("README.md")).expect("README.md"))
}

#[test]
fn every_rule_that_stops_a_run_stands_in_the_readme() {
    let (source, readme) = texts();
    let known = quoted(&readme);
    let mut rules = literals(&source, &["stop(", "violation(", "Broken::new("]);
    rules.extend(arguments(
        &source,
        &["trace::stop(", "trace::stop_in(", "trace::stop_at(", "trace::stop_hung("],
    ));
    let rules: Vec<_> = rules.into_iter().filter(|name| is_rule(name)).collect();
    assert!(rules.len() > 100, "the sources are not read: {} rules", rules.len());
    let missing: Vec<_> = rules.into_iter().filter(|name| !known.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_readmes_rules_are_in_the_source() {
    let (source, readme) = texts();
    let tables = readme.lines().filter(|line| line.starts_with("| `") && !line.starts_with("| `param"));
    let first_cells: String = tables.filter_map(|line| line.split('|').nth(1)).collect();
    let named: Vec<_> = quoted(&first_cells).into_iter().filter(|name| is_rule(name)).collect();
    assert!(named.len() > 100, "the tables are not read: {} rules", named.len());
    let gone: Vec<_> = named.into_iter().filter(|name| !source.contains(&format!("\"{name}\""))).collect();
    assert!(gone.is_empty(), "{gone:?}");
}

#[test]
fn the_readmes_windows_are_those_that_there_are() {
    let (source, readme) = texts();
    let windows = literals(&source, &["Window::new("]);
    let named: BTreeSet<_> = quoted(&readme)
        .into_iter()
        .filter(|name| ["wdf.", "netcx.", "ndis."].iter().any(|family| name.starts_with(family)))
        .collect();
    assert_eq!(named, windows);
}
