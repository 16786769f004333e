//! The table of rules has those that the sources break, and README.md names the rules and windows that there are.

mod sources;

use sources::{files, root, within};
use std::collections::BTreeSet;
use std::fs;
use understudy_rules::rule;

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
    behind.flat_map(|rest| sources::literals(within(rest))).collect()
}

/// A rule's name: words run together, or Static Driver Verifier's with low lines.
fn is_rule(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && name.contains(|c: char| c.is_ascii_lowercase())
}

fn texts() -> (String, String) {
    let source = ["src", "rules/src"].map(|folder| files(&root().join(folder)).concat()).concat();
    (source, fs::read_to_string(root().join("README.md")).expect("README.md"))
}

/// The literals that name a rule where it is broken.
fn broken_in(source: &str) -> BTreeSet<&str> {
    let mut rules = literals(source, &["stop(", "violation(", "Broken::new(", "judge(", "warn("]);
    rules.extend(arguments(
        source,
        &[
            "trace::stop(",
            "trace::stop_in(",
            "trace::stop_at(",
            "trace::stop_hung(",
            "trace::judge(",
            "broken(",
        ],
    ));
    rules.into_iter().filter(|name| is_rule(name)).collect()
}

#[test]
fn every_rule_that_the_sources_break_is_in_the_table() {
    let (source, _) = texts();
    let rules = broken_in(&source);
    assert!(rules.len() > 100, "the sources are not read: {} rules", rules.len());
    let missing: Vec<_> = rules.into_iter().filter(|name| rule::find(name).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_rule_of_the_table_is_in_the_sources() {
    let (source, _) = texts();
    let unused: Vec<_> =
        rule::all().map(|rule| rule.name).filter(|name| !source.contains(&format!("\"{name}\""))).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

#[test]
fn a_rule_that_the_readme_names_is_in_the_table() {
    let (_, readme) = texts();
    let (_, section) = readme.split_once("## What stops a run").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("the next one");
    let first_cells: String =
        section.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next()).collect();
    let named: Vec<_> = quoted(&first_cells).into_iter().filter(|name| is_rule(name)).collect();
    assert!(named.len() > 5, "the table is not read");
    let unknown: Vec<_> = named.into_iter().filter(|name| rule::find(name).is_none()).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
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
