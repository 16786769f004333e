//! `MISTAKES.md`: each kind of mistake, what Windows does, what understudy does, and the scenarios and tests that show it.
//! It is made from the table of rules and from the sources, so that what it names is there; `CANCELNIC_BLESS=1` writes it.

mod sources;

use sources::{files, literals, root, within};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use understudy_rules::rule::{self, GROUPS, Source};

/// Scenarios and tests that are named for one rule at most.
const MOST_NAMED: usize = 3;
/// Rules that something shows, at least.
const LEAST_SHOWN: usize = 60;

/// What shows a rule's breach, by the rule.
type Shown = BTreeMap<&'static str, Vec<String>>;

fn note(shown: &mut Shown, rule: &str, what: &str) {
    if let Some(rule) = rule::find(rule) {
        let all = shown.entry(rule.name).or_default();
        if !all.iter().any(|known| known == what) {
            all.push(what.into());
        }
    }
}

/// The texts behind each `opening`, to the bracket that closes it, with what stands before.
fn calls<'t>(text: &'t str, opening: &str) -> Vec<(&'t str, &'t str)> {
    text.match_indices(opening).map(|(at, found)| (&text[..at], within(&text[at + found.len()..]))).collect()
}

/// The last function that begins in a text: the test around what follows it.
fn function(before: &str) -> Option<&str> {
    let (_, rest) = before.rsplit_once("fn ")?;
    rest.split_once('(').map(|(name, _)| name)
}

/// `caught("scenario", "..", Mutant::.., &["Rule", ..]`: a scenario in which one of the rules must be found broken.
fn by_scenarios(shown: &mut Shown) {
    for text in files(&root().join("../../ci/rig/scenarios/src")) {
        for (_, call) in calls(&text, "caught(\n") {
            let Some((head, rest)) = call.split_once("&[") else { continue };
            let (Some(name), Some((rules, _))) = (literals(head).next(), rest.split_once(']')) else {
                continue;
            };
            literals(rules).for_each(|rule| note(shown, rule, &format!("`{name}`")));
        }
    }
}

/// `stops_with!("Rule", ..)`, and the lines `test: how(what) => "Rule";` of a list of them: host tests of the frameworks.
fn by_host_tests(shown: &mut Shown) {
    for text in files(&root().join("src/twin")) {
        for (before, call) in calls(&text, "stops_with!(") {
            if let (Some(test), Some(rule)) = (function(before), literals(call).next()) {
                note(shown, rule, &format!("`{test}`"));
            }
        }
        for line in text.split(';').filter(|line| line.contains("=> \"")) {
            let Some((head, rule)) = line.split_once("=> \"") else { continue };
            let name =
                head.rsplit(['\n', '{']).find_map(|part| part.split_once(':')).map(|(name, _)| name.trim());
            if let (Some(name), Some((rule, _))) = (name, rule.split_once('"')) {
                note(shown, rule, &format!("`{name}`"));
            }
        }
    }
}

/// Rules that a test of the crate `rules` names.
fn by_tests_of_rules(shown: &mut Shown) {
    for text in files(&root().join("rules/src")) {
        let tests = text.find("#[test]").map_or("", |at| &text[at..]);
        for test in tests.split("#[test]").skip(1) {
            let name = test.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
            let Some((name, _)) = name else { continue };
            literals(test).for_each(|literal| note(shown, literal, &format!("`{name}`")));
        }
    }
}

/// The bug checks that understudy reports for each rule, where the call that stops the run names both.
fn bug_checks() -> Shown {
    let mut found = Shown::new();
    let mut note = |rule: &str, code: &str| note(&mut found, rule, code);
    for text in files(&root().join("src")) {
        for opening in
            ["trace::stop(", "trace::judge(", "trace::stop_in(", "trace::stop_at(", "trace::stop_hung("]
        {
            for (_, call) in calls(&text, opening) {
                let code = call.split_once("BugCheck::").map(|(_, rest)| rest);
                let code =
                    code.and_then(|rest| rest.split(|c: char| !c.is_ascii_uppercase() && c != '_').next());
                if let Some(code) = code.filter(|code| !code.is_empty()) {
                    literals(call).for_each(|rule| note(rule, code));
                }
            }
        }
        for (before, call) in calls(&text, "violation(") {
            let mut parts = call.trim_start().splitn(3, ',');
            match (parts.next(), parts.next()) {
                // the code of NetAdapterCx's bug check stands before the rule
                (Some(code), Some(rule)) if code.trim().parse::<u32>().is_ok() => {
                    literals(rule)
                        .for_each(|rule| note(rule, &format!("BUGCODE_NETADAPTER_DRIVER {}", code.trim())));
                }
                (Some(rule), _) if rule.starts_with('"') && !before.ends_with("io::") => {
                    literals(rule).for_each(|rule| note(rule, "WDF_VIOLATION"));
                }
                _ => {}
            }
        }
    }
    found
}

fn windows(source: Source) -> &'static str {
    match source {
        Source::Windows => "it stops, hangs or loses memory",
        Source::Verifier => "a verifier stops, where it is on",
        Source::Documents => "nothing looks; the documents forbid it",
        Source::Advice => "nothing",
    }
}

/// Whatever shows the breach of each rule.
fn shown() -> Shown {
    let mut shown = Shown::new();
    by_scenarios(&mut shown);
    by_host_tests(&mut shown);
    by_tests_of_rules(&mut shown);
    shown
}

fn page() -> String {
    let (shown, codes) = (shown(), bug_checks());
    let mut page = format!(
        "# Mistakes, and what becomes of them\n\nMade from the table of rules and the sources (`CANCELNIC_BLESS=1 cargo test -p understudy \
         --test mistakes` writes it).\nA name with hyphens is a scenario of `cargo rig test`, one with low lines a host test of `cargo test -p understudy \
         -p understudy-rules`; both run in CI.\nAt most {MOST_NAMED} are named, and a dash stands where none is. Each rule stops a run, with the bug check \
         beside it where one call has both; one with a\nstar can be a warning or off. [RULES.md](RULES.md) has what each source means.\n",
    );
    for (title, rules) in GROUPS {
        let _ = write!(
            page,
            "\n## {title}\n\n| mistake | Windows | understudy | shown by |\n|---|---|---|---|\n"
        );
        for rule in rules {
            let star = if rule.goes_on { " *" } else { "" };
            let named = shown.get(rule.name).map_or_else(
                || String::from("-"),
                |all| all.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", "),
            );
            let code =
                codes.get(rule.name).map_or_else(String::new, |codes| format!(": {}", codes.join(", ")));
            let windows = windows(rule.source);
            let _ = writeln!(page, "| {} | {windows} | `{}`{star}{code} | {named} |", rule.when, rule.name);
        }
    }
    page
}

/// The page's rows: the cells.
fn rows(page: &str) -> Vec<Vec<&str>> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// What stands between the first two backquotes.
fn quoted(cell: &str) -> &str {
    cell.split('`').nth(1).unwrap_or_default()
}

/// A later scenario or test need not be named; whatever is named has to be there, and to show that rule.
#[test]
fn every_rule_has_a_row_and_what_a_row_names_shows_its_rule() {
    let path = root().join("MISTAKES.md");
    if std::env::var_os("CANCELNIC_BLESS").is_some() {
        fs::write(&path, page()).expect("the page can be written");
    }
    let there = fs::read_to_string(&path).expect("MISTAKES.md");
    let (rows, shown) = (rows(&there), shown());
    let row_of = |rule: &str| rows.iter().find(|cells| cells.get(2).is_some_and(|cell| quoted(cell) == rule));
    let mut wrong: Vec<String> = Vec::new();
    for rule in rule::all() {
        match row_of(rule.name) {
            None => wrong.push(format!("{} has no row", rule.name)),
            Some(cells)
                if cells.first() != Some(&rule.when) || cells.get(1) != Some(&windows(rule.source)) =>
            {
                wrong.push(format!("{} has changed", rule.name));
            }
            Some(_) => {}
        }
    }
    for cells in &rows {
        let (rule, named) = (quoted(cells[2]), cells[3].split(", ").filter(|named| *named != "-"));
        let known = shown.get(rule).map_or(&[][..], Vec::as_slice);
        let gone = named.filter(|named| !known.iter().any(|known| known == named));
        wrong.extend(gone.map(|named| format!("{named} does not show {rule}")));
    }
    assert!(wrong.is_empty(), "CANCELNIC_BLESS=1 writes MISTAKES.md: {wrong:#?}");
    let most = rows.iter().filter(|cells| cells[3] != "-").count();
    assert!(most >= LEAST_SHOWN, "only {most} rules are shown by something");
}

#[test]
fn a_call_is_read_to_the_bracket_that_closes_it() {
    assert_eq!(within("a, f(b), \")(\") + g(c)"), "a, f(b), \")(\"");
    assert_eq!(literals("a \"b\" c \"d\"").collect::<Vec<_>>(), ["b", "d"]);
}
