//! What became of a scenario.

use crate::exit::Class;
use std::path::PathBuf;
use std::time::Duration;

/// One scenario's outcome.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    /// Its name.
    pub name: &'static str,
    /// How long the attempt took that decided it.
    pub took: Duration,
    /// How that attempt ended.
    pub end: End,
    /// The attempts before it, which failed.
    pub earlier: Vec<Failure>,
    /// Where the evidence is, if any was kept.
    pub folder: Option<PathBuf>,
}

/// How a scenario ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// It showed what it is there to show.
    Good,
    /// It failed.
    Bad(Failure),
    /// It was not run, for this reason.
    Skipped(String),
}

/// Why a scenario failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// In one line: rule, callback and place, or the first line of the error.
    pub cause: String,
    /// All of it: steps, faults, the end of the guest's log, the command that runs it again.
    pub account: String,
    /// Whether a fault was found, or the run could not take place.
    pub class: Class,
    /// How long it took.
    pub took: Duration,
}

/// How many ended in which way.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    /// Good, flaky ones among them.
    pub passed: usize,
    /// Failed at every attempt.
    pub failed: usize,
    /// Not run.
    pub skipped: usize,
    /// Passed after a failed attempt.
    pub flaky: usize,
}

impl Outcome {
    /// Whether it passed, but not at once.
    pub(super) fn is_flaky(&self) -> bool {
        matches!(self.end, End::Good) && !self.earlier.is_empty()
    }

    /// Its failure, if it failed.
    pub(super) fn failure(&self) -> Option<&Failure> {
        match &self.end {
            End::Bad(failure) => Some(failure),
            End::Good | End::Skipped(_) => None,
        }
    }
}

impl Counts {
    /// Counts these.
    pub(super) fn of(outcomes: &[Outcome]) -> Self {
        let mut counts = Self::default();
        for outcome in outcomes {
            match outcome.end {
                End::Good => counts.passed += 1,
                End::Bad(_) => counts.failed += 1,
                End::Skipped(_) => counts.skipped += 1,
            }
            counts.flaky += usize::from(outcome.is_flaky());
        }
        counts
    }
}

impl std::fmt::Display for Counts {
    /// The last line of every test run; programs read it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}
