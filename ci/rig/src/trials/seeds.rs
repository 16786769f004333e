//! `driver/docs/seeds.md` says of every sentence of five documents which line of code does it and which scenarios show
//! it. Here its table is read: what it names must be there.

use super::all;
use lab::base::workspace;
use std::collections::HashSet;
use std::path::PathBuf;

/// One row of the table.
struct Row {
    number: String,
    /// File and symbol.
    code: Vec<(String, String)>,
    scenarios: Vec<String>,
}

fn root() -> PathBuf {
    workspace::checkout().unwrap()
}

fn text() -> String {
    std::fs::read_to_string(root().join("driver/docs/seeds.md")).unwrap()
}

/// What stands between backquotes in a cell.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn rows() -> Vec<Row> {
    text()
        .lines()
        .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            assert_eq!(cells.len(), 5, "number, sentence, rule, code, scenarios: {line}");
            assert!(cells.iter().all(|cell| !cell.is_empty()), "an empty cell: {line}");
            let code = quoted(cells[3]).into_iter().map(|place| {
                let (file, symbol) =
                    place.split_once(": ").unwrap_or_else(|| panic!("file: symbol, not {place}"));
                (file.to_owned(), symbol.to_owned())
            });
            Row {
                number: cells[0].to_owned(),
                code: code.collect(),
                scenarios: quoted(cells[4]).into_iter().map(str::to_owned).collect(),
            }
        })
        .collect()
}

/// Whether Rust text defines the symbol.
fn defines(text: &str, symbol: &str) -> bool {
    ["fn", "struct", "enum", "const", "static", "trait", "type"].iter().any(|keyword| {
        text.match_indices(&format!("{keyword} {symbol}")).any(|(at, found)| {
            !text[at + found.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_')
        })
    })
}

#[test]
fn sentences_are_numbered_within_the_five_documents() {
    let mut expected = (0, 0);
    for row in rows() {
        let (document, sentence) = row.number.split_once('.').unwrap();
        let number: (u32, u32) = (document.parse().unwrap(), sentence.parse().unwrap());
        let next = [(expected.0, expected.1 + 1), (expected.0 + 1, 1)];
        assert!(next.contains(&number), "{} follows {}.{}", row.number, expected.0, expected.1);
        expected = number;
    }
    assert_eq!(expected.0, 5, "documents");
}

#[test]
fn every_line_of_code_that_a_sentence_names_is_there() {
    for row in rows() {
        assert!(!row.code.is_empty(), "{}: no code", row.number);
        for (file, symbol) in row.code {
            let content = std::fs::read_to_string(root().join(&file));
            let content = content.unwrap_or_else(|error| panic!("{}: {file}: {error}", row.number));
            let there =
                if file.ends_with(".rs") { defines(&content, &symbol) } else { content.contains(&symbol) };
            assert!(there, "{}: {file} has no {symbol}", row.number);
        }
    }
}

#[test]
fn every_scenario_that_a_sentence_names_is_in_the_list() {
    let names: HashSet<&str> = all().iter().map(|scenario| scenario.name).collect();
    for row in rows() {
        for name in &row.scenarios {
            assert!(names.contains(&**name), "{}: there is no scenario {name}", row.number);
        }
    }
}

/// The page itself says how many sentences no scenario shows.
#[test]
fn sentences_without_a_scenario_are_counted() {
    let without: Vec<String> =
        rows().into_iter().filter(|row| row.scenarios.is_empty()).map(|row| row.number).collect();
    let says = format!("Sentences without a scenario: {}.", without.len());
    assert!(text().contains(&says), "{says} They are {without:?}");
}

#[test]
fn a_symbol_is_found_whole_only() {
    assert!(defines("    pub fn cancel(&mut self)", "cancel"));
    assert!(defines("const fn cancel<T>()", "cancel"));
    assert!(!defines("fn cancel_all()", "cancel"));
    assert!(!defines("self.cancel()", "cancel"));
}
