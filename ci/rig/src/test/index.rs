//! The page over all scenarios of a run: verdict, duration, cause, and the way to the evidence. It is written again after
//! each result, and needs nothing but itself.

use super::outcome::{Counts, End, Outcome};
use anyhow::Result;
use lab::base::evidence::{files_below, write_whole};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use std::path::Path;

/// The whole run, as far as it is known.
#[derive(Debug)]
pub(super) struct Index<'a> {
    /// The folder of the page and of all the evidence.
    pub folder: &'a Path,
    /// The command that was given.
    pub command: &'a str,
    /// When the run began.
    pub began: &'a str,
    /// Names and descriptions of all that are to be run, in their order.
    pub scenarios: &'a [(&'static str, &'static str)],
    /// Those that have ended.
    pub outcomes: &'a [Outcome],
    /// Whether nothing more is to come.
    pub over: bool,
}

impl Index<'_> {
    /// Writes `index.html`.
    pub(super) fn write(&self) -> Result<()> {
        write_whole(&self.folder.join("index.html"), self.page().into_string().as_bytes())
    }

    fn page(&self) -> Markup {
        let counts = Counts::of(self.outcomes);
        let verdict = match (counts.failed, self.over) {
            (0, true) => "passed",
            (0, false) => "not over",
            _ => "FAILED",
        };
        // Failures stand first, then those that are interesting, then those that passed.
        let mut rows: Vec<Row> = self.scenarios.iter().map(|scenario| self.row(*scenario)).collect();
        rows.sort_by_key(|row| row.rank);
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    title { "cancelnic: " (verdict) ", " (counts) }
                    style { (PreEscaped(include_str!("index.css"))) }
                }
                body {
                    h1 class=(if counts.failed > 0 { "bad" } else { "good" }) { (verdict) }
                    p { (counts) " of " (self.scenarios.len()) " scenarios"
                        @if counts.flaky > 0 { "; " (counts.flaky) " flaky" } }
                    p.meta { code { (self.command) } " · " (self.began) }
                    ol {
                        @for row in &rows {
                            li class=(row.class) id=(row.name) {
                                span.verdict { (row.verdict) }
                                span.took { (row.took) }
                                div {
                                    strong { (row.name) }
                                    p { (row.description) }
                                    @if !row.cause.is_empty() { p.cause { (row.cause) } }
                                    @if !row.links.is_empty() {
                                        p { @for (href, label) in &row.links { a href=(href) { (label) } " " } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }

    fn row(&self, (name, description): (&'static str, &'static str)) -> Row {
        let outcome = self.outcomes.iter().find(|outcome| outcome.name == name);
        let (rank, class, verdict, cause) = match outcome.map(|outcome| (&outcome.end, outcome)) {
            Some((End::Bad(failure), _)) => (0, "bad", "failed", failure.cause.clone()),
            Some((End::Good, outcome)) if outcome.is_flaky() => {
                let cause = outcome.earlier.last().map(|failure| failure.cause.clone());
                (1, "odd", "flaky", cause.unwrap_or_default())
            }
            Some((End::Skipped(why), _)) => (2, "odd", "skipped", why.clone()),
            None => (3, "odd", "not run", String::new()),
            Some((End::Good, _)) => (4, "good", "passed", String::new()),
        };
        let took = outcome.filter(|outcome| !matches!(outcome.end, End::Skipped(_)));
        Row {
            rank,
            class,
            verdict,
            name,
            description,
            took: took.map(|outcome| format!("{:.1} s", outcome.took.as_secs_f64())).unwrap_or_default(),
            cause,
            links: outcome
                .and_then(|outcome| outcome.folder.as_deref())
                .map_or_else(Vec::new, |folder| self.links(folder)),
        }
    }

    /// Links to the pages below a scenario's folder, and to the folder.
    fn links(&self, folder: &Path) -> Vec<(String, String)> {
        let Ok(relative) = folder.strip_prefix(self.folder) else { return Vec::new() };
        let pages = files_below(folder)
            .into_iter()
            .filter(|file| file.file_name().is_some_and(|name| name == "report.html"));
        let pages = pages.filter_map(|page| {
            let href = page.strip_prefix(self.folder).ok()?.display().to_string();
            let inside = page.parent()?.strip_prefix(folder).ok()?.display().to_string();
            let label = if inside.is_empty() { "page".to_owned() } else { format!("page ({inside})") };
            Some((href, label))
        });
        pages.chain([(format!("{}/", relative.display()), "files".to_owned())]).collect()
    }
}

struct Row {
    rank: u8,
    class: &'static str,
    verdict: &'static str,
    name: &'static str,
    description: &'static str,
    took: String,
    cause: String,
    links: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::tests::{bad, outcome};

    #[test]
    fn failures_come_first_with_their_cause_escaped_and_links_that_stay_inside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let evidence = folder.path().join("bad-one");
        let part = evidence.join("without-the-fault");
        std::fs::create_dir_all(&part).unwrap();
        for place in [&evidence, &part] {
            std::fs::write(place.join("report.html"), "").unwrap();
        }
        let mut failed = outcome("bad-one", End::Bad(bad("expected <[5, 64]> & saw [54]")));
        failed.folder = Some(evidence);
        let outcomes = [outcome("good-one", End::Good), failed];
        let scenarios = [("good-one", "shows <this>"), ("bad-one", "that"), ("late-one", "later")];
        let index = Index {
            folder: folder.path(),
            command: "cargo rig test",
            began: "2026-01-01",
            scenarios: &scenarios,
            outcomes: &outcomes,
            over: false,
        };
        index.write().unwrap();
        let page = std::fs::read_to_string(folder.path().join("index.html")).unwrap();
        let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("no {text} in {page}"));
        assert!(place("id=\"bad-one\"") < place("id=\"late-one\""));
        assert!(place("id=\"late-one\"") < place("id=\"good-one\""));
        place("expected &lt;[5, 64]&gt; &amp; saw [54]");
        place("shows &lt;this&gt;");
        place("<a href=\"bad-one/report.html\">page</a>");
        place("<a href=\"bad-one/without-the-fault/report.html\">page (without-the-fault)</a>");
        place("<a href=\"bad-one/\">files</a>");
        place("1 passed, 1 failed, 0 skipped");
        assert!(!page.contains("<script"), "no script is needed");
    }
}
