//! The results as they come: lines on the terminal, a progress line below them where there is one, the page, JUnit.

use super::durations::Durations;
use super::index::Index;
use super::junit;
use super::outcome::{Counts, End, Outcome};
use super::workers::Next;
use anyhow::Result;
use chrono::{SubsecRound, Utc};
use indicatif::{ProgressBar, ProgressStyle};
use lab::report::table::Style;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The JUnit file in the folder of the evidence.
pub(super) const JUNIT: &str = "junit.xml";

/// A scenario that runs for so long gets a line where there is no progress line, and again each time as long.
const LONG: Duration = Duration::from_secs(60);

/// What the results are told for.
#[derive(Debug)]
pub(super) struct Told {
    /// Names and descriptions of all that are to be run.
    pub scenarios: Vec<(&'static str, &'static str)>,
    /// The folder of the evidence.
    pub folder: PathBuf,
    /// The command that was given.
    pub command: String,
    /// The JUnit file that was asked for.
    pub junit: Option<PathBuf>,
    /// How many run side by side.
    pub jobs: usize,
    /// How to write to standard output.
    pub style: Style,
    /// How long they took before.
    pub durations: Durations,
}

/// A scenario that runs.
#[derive(Debug)]
struct Running {
    name: &'static str,
    since: Instant,
    /// How long it had run when a line was last printed of it.
    told: Duration,
}

/// All that is known, and who is told of it.
#[derive(Debug)]
pub(super) struct Results {
    told: Told,
    began: String,
    outcomes: Vec<Outcome>,
    running: Vec<Running>,
    bar: Option<ProgressBar>,
    /// The first file that could not be written.
    trouble: Option<anyhow::Error>,
}

impl Results {
    /// Before the first result. Fails if the files cannot be written.
    pub(super) fn new(told: Told) -> Result<Self> {
        let bar = (told.style == Style::Rich).then(|| {
            let bar = ProgressBar::new(told.scenarios.len() as u64);
            if let Ok(style) = ProgressStyle::with_template("{pos}/{len} {bar:20} {elapsed} {wide_msg}") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        let mut results = Self {
            told,
            began: Utc::now().trunc_subsecs(0).to_rfc3339(),
            outcomes: Vec::new(),
            running: Vec::new(),
            bar,
            trouble: None,
        };
        results.line(&format!(
            "running {} scenarios, {} side by side; evidence: {}",
            results.told.scenarios.len(),
            results.told.jobs,
            results.told.folder.display()
        ));
        results.write(false);
        results.trouble.take().map_or(Ok(results), Err)
    }

    /// Prints a line above the progress line.
    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| println!("{text}")),
            None => println!("{text}"),
        }
    }

    /// A scenario was begun.
    pub(super) fn began(&mut self, name: &'static str) -> Next {
        self.running.push(Running { name, since: Instant::now(), told: Duration::ZERO });
        self.show_running();
        Next::GoOn
    }

    fn show_running(&self) {
        if let Some(bar) = &self.bar {
            let names: Vec<_> = self.running.iter().map(|running| running.name).collect();
            bar.set_message(names.join(", "));
        }
    }

    /// Nothing has happened for a while: those that run long get a line, so that nobody watches a silent log.
    pub(super) fn quiet(&mut self) -> Next {
        let mut lines = Vec::new();
        for running in &mut self.running {
            let so_far = running.since.elapsed();
            if so_far >= running.told + LONG {
                running.told = so_far;
                lines.push(format!("      still running after {} s: {}", so_far.as_secs(), running.name));
            }
        }
        if self.bar.is_none() {
            lines.iter().for_each(|line| self.line(line));
        }
        Next::GoOn
    }

    /// A scenario has ended.
    pub(super) fn done(&mut self, outcome: Outcome) {
        self.running.retain(|running| running.name != outcome.name);
        let number = self.outcomes.len() + 1;
        let lines = self.lines(number, &outcome);
        self.line(&lines);
        if matches!(outcome.end, End::Good) {
            self.told.durations.note(outcome.name, outcome.took);
        }
        self.outcomes.push(outcome);
        if let Some(bar) = &self.bar {
            bar.set_position(number as u64);
        }
        self.show_running();
        self.write(false);
    }

    /// The line of a scenario, and below it the whole account of a failure.
    fn lines(&self, number: usize, outcome: &Outcome) -> String {
        let style = self.told.style;
        let seconds = outcome.took.as_secs_f64();
        let slow = self.told.durations.slow(outcome.name, outcome.took);
        let slow = slow.map_or_else(String::new, |before| format!("  slow: {before:.1} s the last time"));
        let all = self.told.scenarios.len();
        let width = all.to_string().len();
        let start = format!("{number:width$}/{all} ");
        let name = outcome.name;
        match &outcome.end {
            End::Skipped(why) => format!("{start} skipped           {name}: {why}"),
            End::Good if outcome.is_flaky() => {
                let attempts = outcome.earlier.len() + 1;
                let cause = outcome.earlier.last().map(|failure| failure.cause.as_str()).unwrap_or_default();
                let mark = style.bad("flaky  ");
                format!(
                    "{start} {mark} {seconds:7.1} s  {name}: passed at attempt {attempts}; before: {cause}{slow}"
                )
            }
            End::Good => format!("{start} {} {seconds:7.1} s  {name}{slow}", style.good("ok     ")),
            End::Bad(failure) => {
                let mut text = format!("{start} {} {seconds:7.1} s  {name}{slow}", style.bad("FAILED "));
                let account = failure.account.lines();
                account.for_each(|line| text.push_str(&format!("\n      {line}")));
                if let Some(folder) = &outcome.folder {
                    text.push_str(&format!("\n      evidence: {}", folder.display()));
                }
                text
            }
        }
    }

    fn write(&mut self, over: bool) {
        let index = Index {
            folder: &self.told.folder,
            command: &self.told.command,
            began: &self.began,
            scenarios: &self.told.scenarios,
            outcomes: &self.outcomes,
            over,
        };
        let own = self.told.folder.join(JUNIT);
        let written = [&Some(own), &self.told.junit]
            .into_iter()
            .flatten()
            .try_for_each(|file| junit::write(file, &self.outcomes))
            .and_then(|()| index.write());
        if let Err(error) = written {
            self.trouble.get_or_insert(error);
        }
    }

    /// After the last result: the summary, whose last line counts, and the first file that could not be written.
    /// `remembered` is where the durations are kept for the next run, if they are.
    pub(super) fn end(mut self, not_begun: usize, remembered: Option<&Path>) -> (Vec<Outcome>, Result<()>) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.write(true);
        if let Some(Err(error)) = remembered.map(|file| self.told.durations.write(file)) {
            self.trouble.get_or_insert(error);
        }
        let counts = Counts::of(&self.outcomes);
        println!();
        for outcome in &self.outcomes {
            if let Some(failure) = outcome.failure() {
                println!("failed: {}: {}", outcome.name, failure.cause);
            }
        }
        for outcome in self.outcomes.iter().filter(|outcome| outcome.is_flaky()) {
            println!("flaky: {}, passed at attempt {}", outcome.name, outcome.earlier.len() + 1);
        }
        for (why, names) in skipped(&self.outcomes) {
            match &names[..] {
                [name] => println!("skipped: {name}: {why}"),
                names => println!("skipped: {} scenarios: {why}", names.len()),
            }
        }
        if not_begun > 0 {
            println!("{not_begun} not begun, after a failure (--fail-fast)");
        }
        println!("page: {}", self.told.folder.join("index.html").display());
        println!("{counts}");
        (self.outcomes, self.trouble.map_or(Ok(()), Err))
    }
}

/// The scenarios that were skipped, by the reason; each has had its line while the others ran.
fn skipped(outcomes: &[Outcome]) -> BTreeMap<&str, Vec<&str>> {
    let mut reasons = BTreeMap::<&str, Vec<&str>>::new();
    for outcome in outcomes {
        if let End::Skipped(why) = &outcome.end {
            reasons.entry(why).or_default().push(outcome.name);
        }
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::tests::{bad, outcome};

    fn results(folder: &Path) -> Results {
        let mut durations = Durations::default();
        durations.note("slow-one", Duration::from_secs(4));
        let told = Told {
            scenarios: vec![
                ("good-one", "shows this"),
                ("bad-one", "shows that"),
                ("slow-one", "shows more"),
            ],
            folder: folder.to_path_buf(),
            command: "cargo rig test".into(),
            junit: None,
            jobs: 2,
            style: Style::Plain,
            durations,
        };
        Results::new(told).unwrap()
    }

    #[test]
    fn a_failure_is_told_at_once_with_its_cause_first_and_the_evidence_last() {
        let folder = tempfile::tempdir().unwrap();
        let results = results(folder.path());
        let mut failed = outcome("bad-one", End::Bad(bad("QueueNotDrained in tx0")));
        failed.folder = Some("/evidence/bad-one".into());
        let text = results.lines(2, &failed);
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        assert_eq!(
            lines,
            [
                "2/3  FAILED      0.0 s  bad-one",
                "QueueNotDrained in tx0",
                "more",
                "again: cargo rig test",
                "evidence: /evidence/bad-one"
            ]
        );
    }

    #[test]
    fn a_scenario_that_takes_much_longer_than_the_last_time_is_marked_and_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let results = results(folder.path());
        let mut slow = outcome("slow-one", End::Good);
        slow.took = Duration::from_secs(13);
        assert_eq!(results.lines(3, &slow), "3/3  ok         13.0 s  slow-one  slow: 4.0 s the last time");
    }

    #[test]
    fn page_and_junit_are_there_after_each_result() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = results(folder.path());
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("index.html").contains("0 passed, 0 failed, 0 skipped"));
        results.began("good-one");
        results.done(outcome("good-one", End::Good));
        assert!(read("junit.xml").contains("name=\"good-one\""));
        assert!(read("index.html").contains("1 passed, 0 failed, 0 skipped"));
        results.done(outcome("bad-one", End::Bad(bad("lost"))));
        assert!(read("junit.xml").contains("message=\"lost\""));
        let durations = folder.path().join("durations.json");
        let (outcomes, written) = results.end(1, Some(&durations));
        written.unwrap();
        assert_eq!(outcomes.len(), 2);
        assert!(Durations::read(&durations).of("good-one").is_some());
        assert!(Durations::read(&durations).of("bad-one").is_none());
    }
}
