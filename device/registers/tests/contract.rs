//! The documents of the contract and the code name each other: a rule that the code cites is in the documents, and a
//! test, a scenario, a file that the documents name is there.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The documents, and what the names of their rules begin with.
const DOCUMENTS: [(&str, &[&str]); 5] = [
    ("device/registers/README.md", &["C", "REG"]),
    ("driver/docs/cancel-path.md", &["CP"]),
    ("driver/docs/netadaptercx.md", &["CX"]),
    ("driver/docs/requests.md", &["RQ"]),
    ("driver/docs/ndis-filter.md", &["NF"]),
];
/// Folders with nothing of ours.
const OTHERS: [&str; 3] = ["target", ".git", "node_modules"];
/// Where the scenarios are.
const SCENARIOS: &str = "ci/rig/scenarios/src";

fn root() -> PathBuf {
    Path::new(&std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below `folder` whose names end with one of `extensions`.
fn files(folder: &Path, extensions: &[&str], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() && !OTHERS.contains(&&*name) {
            files(&entry.path(), extensions, found);
        } else if kind.is_file() && extensions.iter().any(|extension| name.ends_with(extension)) {
            found.push(entry.path());
        }
    }
}

/// All files with these extensions, with their contents.
fn all(extensions: &[&str]) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(&root(), extensions, &mut found);
    assert!(found.len() > 3, "the repository has {} such files", found.len());
    found.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

/// The words of a text: letters, digits and `_` in one piece.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// A word that has the form of a rule's name: its beginning, its number.
fn as_rule(word: &str) -> Option<(&str, u32)> {
    let (beginning, number) = word.split_at(word.find(|c: char| c.is_ascii_digit())?);
    let known = DOCUMENTS.iter().any(|(_, beginnings)| beginnings.contains(&beginning));
    (known && !number.starts_with('0') && number.len() <= 2).then_some((beginning, number.parse().ok()?))
}

/// The comment of a line of code.
fn comment(line: &str) -> &str {
    line.find("//").map_or("", |at| &line[at..])
}

/// The pieces of a text between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The rules that a document defines, in its order: `<a id="c1"></a>C1`.
fn defined(text: &str) -> Vec<(String, u32)> {
    text.split("<a id=\"")
        .skip(1)
        .map(|rest| {
            let (id, rest) = rest.split_once("\"></a>").expect("an anchor that ends");
            let name = words(rest).next().expect("a name behind the anchor");
            assert_eq!(id.to_uppercase(), name, "an anchor is its rule's name in lower case");
            let (beginning, number) = as_rule(name).unwrap_or_else(|| panic!("{name} is not a rule's name"));
            (beginning.to_owned(), number)
        })
        .collect()
}

/// How many rules begin in each way.
fn counts() -> BTreeMap<String, u32> {
    let mut counts = BTreeMap::new();
    for (document, beginnings) in DOCUMENTS {
        for (beginning, number) in defined(&read(&root().join(document))) {
            assert!(beginnings.contains(&&*beginning), "{document} defines {beginning}{number}");
            let count = counts.entry(beginning.clone()).or_insert(0);
            *count += 1;
            assert_eq!(*count, number, "{document}: {beginning}{number} does not follow the one before");
        }
    }
    counts
}

#[test]
fn rules_are_numbered_without_gaps() {
    let counts = counts();
    assert_eq!(counts["C"], 11);
    assert_eq!(counts.len(), 6, "{counts:?}");
}

#[test]
fn every_rule_that_is_cited_is_in_the_documents() {
    let counts = counts();
    let mut cited = 0;
    for (path, text) in all(&[".rs", ".md"]) {
        let code = path.extension().is_some_and(|extension| extension == "rs");
        for line in text.lines() {
            let line = if code { comment(line) } else { line };
            for (beginning, number) in words(line).filter_map(as_rule) {
                cited += 1;
                let there = number <= counts[beginning];
                assert!(there, "{}: there is no rule {beginning}{number}: {line}", path.display());
            }
        }
    }
    assert!(cited > 100, "{cited} rules are cited");
}

#[test]
fn every_document_that_the_code_names_is_in_the_repository() {
    let documents: Vec<PathBuf> = all(&[".md"]).into_iter().map(|(path, _)| path).collect();
    for (path, text) in all(&[".rs"]) {
        for line in text.lines().map(comment) {
            let names = line.split(|c: char| !c.is_ascii_alphanumeric() && !"/.-_".contains(c));
            for name in names.filter(|name| name.len() > 3 && name.ends_with(".md")) {
                let name = name.trim_start_matches("../");
                let there = documents.iter().any(|document| document.ends_with(name));
                assert!(there, "{}: there is no {name}: {line}", path.display());
            }
        }
    }
}

#[test]
fn every_test_that_a_document_names_is_there() {
    let mut named = 0;
    for (document, _) in DOCUMENTS {
        let text = read(&root().join(document));
        for (file, test) in quoted(&text).filter_map(|piece| piece.split_once(".rs::")) {
            named += 1;
            let content = read(&root().join(format!("{file}.rs")));
            let lines: Vec<&str> = content.lines().map(str::trim).collect();
            let at = lines.iter().position(|line| line.starts_with(&format!("fn {test}(")));
            let at = at.unwrap_or_else(|| panic!("{document}: {file}.rs has no {test}"));
            let marked = lines[at.saturating_sub(3)..at].contains(&"#[test]");
            assert!(marked, "{document}: {test} of {file}.rs is not a test");
        }
    }
    assert!(named > 60, "{named} tests are named");
}

#[test]
fn every_scenario_that_a_document_names_is_there() {
    let mut sources = Vec::new();
    files(&root().join(SCENARIOS), &[".rs"], &mut sources);
    let scenarios: String = sources.iter().map(|path| read(path)).collect();
    let mut named = 0;
    for (document, _) in DOCUMENTS {
        for line in read(&root().join(document)).lines() {
            for cell in line.split(" | ") {
                let Some(at) = cell.find("scenario") else { continue };
                for name in
                    quoted(&cell[at..]).filter(|name| name.contains('-') && !name.contains([' ', '/', '.']))
                {
                    named += 1;
                    let there = scenarios.contains(&format!("\"{name}\""));
                    assert!(there, "{document}: there is no scenario {name}");
                }
            }
        }
    }
    assert!(named > 20, "{named} scenarios are named");
}

#[test]
fn every_link_between_documents_leads_somewhere() {
    for (document, _) in DOCUMENTS.into_iter().chain([("driver/docs/seeds.md", &[] as &[&str])]) {
        let path = root().join(document);
        for link in
            read(&path).split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(link, _)| link)
        {
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            if link.starts_with("https://") {
                continue;
            }
            let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
            assert!(target.exists(), "{document}: there is no {link}");
            let there = anchor.is_empty() || read(&target).contains(&format!("<a id=\"{anchor}\">"));
            assert!(there, "{document}: there is no anchor {link}");
        }
    }
}

#[test]
fn a_rules_name_is_found_whole_only() {
    assert_eq!(as_rule("C11"), Some(("C", 11)));
    for other in ["0xC4", "C0", "C023000C", "CXX1", "c1", "REG", "C1a"] {
        assert_eq!(as_rule(other), None, "{other}");
    }
    assert_eq!(words("(C7), C1..C11; `REG2`").filter_map(as_rule).count(), 4);
}
