//! `cargo rig test`: the scenarios, through libtest-mimic.

use crate::build::{self, Built};
use crate::foreign::Foreign;
use crate::places;
use crate::scenarios::{self, Scenario};
use crate::settings::GuestKind;
use anyhow::{Context, Result};
use clap::Args;
use libtest_mimic::{Arguments, Failed, Trial};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Sessions side by side: each is a busy processor.
const SIDE_BY_SIDE: usize = 2;

/// What `cargo rig test` takes.
#[derive(Debug, Args)]
pub struct Options {
    /// Run only scenarios whose name holds this
    filter: Option<String>,
    /// Which guest
    #[arg(long, value_enum, default_value_t = GuestKind::Understudy)]
    guest: GuestKind,
    /// Run another project's driver of the NIC, the .sys and .inf in this folder, in place of ours; only the scenarios
    /// that concern any such driver
    #[arg(long, value_name = "DIR")]
    driver: Option<PathBuf>,
    /// Print the names and run nothing
    #[arg(long)]
    list: bool,
    /// FILTER is a whole name
    #[arg(long)]
    exact: bool,
    /// Write the results as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Seed for what the guest may vary
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What became of one scenario.
struct Outcome {
    name: &'static str,
    took: Duration,
    error: Option<String>,
}

type Outcomes = Arc<Mutex<Vec<Outcome>>>;

/// What all scenarios of a test are run with.
struct Circumstances {
    guest: GuestKind,
    built: Option<Built>,
    seed: u64,
    foreign: Option<Foreign>,
    /// How to say the same again, but for the scenario's name.
    again: String,
}

/// Runs the scenarios; `true` if none failed.
pub fn test(options: &Options) -> Result<bool> {
    let foreign = options.driver.as_deref().map(Foreign::find).transpose()?;
    let scenarios = if foreign.is_some() { scenarios::of_any_driver() } else { scenarios::all() };
    let built = if options.list {
        None
    } else {
        places::qemu()?;
        Some(build::build(build::Options { mutants: foreign.is_none(), verbose: false })?)
    };
    let mut again = format!("cargo rig test --seed {}", options.seed);
    if let Some(driver) = &options.driver {
        again.push_str(&format!(" --driver {}", driver.display()));
    }
    let circumstances =
        Arc::new(Circumstances { guest: options.guest, built, seed: options.seed, foreign, again });
    let outcomes = Outcomes::default();
    let trials = scenarios
        .into_iter()
        .map(|scenario| trial(scenario, Arc::clone(&circumstances), Arc::clone(&outcomes)))
        .collect();
    let conclusion = libtest_mimic::run(&arguments(options), trials);
    if let Some(file) = &options.junit {
        write_junit(file, &outcomes)?;
    }
    if conclusion.num_passed + conclusion.num_failed + conclusion.num_ignored == 0 && !options.list {
        anyhow::bail!("no scenario has that name; `cargo rig test --list` names them");
    }
    Ok(!conclusion.has_failed())
}

fn arguments(options: &Options) -> Arguments {
    Arguments {
        list: options.list,
        exact: options.exact,
        filter: options.filter.clone(),
        test_threads: Some(SIDE_BY_SIDE),
        ..Arguments::default()
    }
}

fn trial(scenario: Scenario, circumstances: Arc<Circumstances>, outcomes: Outcomes) -> Trial {
    let ignored = scenario.cannot_run_here();
    Trial::test(scenario.name, move || {
        let Circumstances { guest, built, seed, foreign, again } = &*circumstances;
        let built = built.as_ref().ok_or("nothing is built")?;
        let started = Instant::now();
        let result = scenario.run(*guest, built, *seed, foreign.as_ref());
        let name = scenario.name;
        let error = result.err().map(|error| format!("{error:#}\nagain: {again} --exact {name}"));
        let failed = error.clone();
        let outcome = Outcome { name, took: started.elapsed(), error };
        outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        failed.map_or(Ok(()), |error| Err(Failed::from(error)))
    })
    .with_ignored_flag(ignored)
}

fn write_junit(path: &Path, outcomes: &Outcomes) -> Result<()> {
    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|outcome| outcome.name);
    let mut suite = TestSuite::new("cargo rig test");
    for outcome in outcomes.iter() {
        let mut status = TestCaseStatus::success();
        if let Some(error) = &outcome.error {
            status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_message(error.lines().last().unwrap_or_default());
            status.set_description(error.as_str());
        }
        let mut case = TestCase::new(outcome.name, status);
        case.set_time(outcome.took);
        suite.add_test_case(case);
    }
    let mut report = Report::new("cancelnic");
    report.add_test_suite(suite);
    let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    report.serialize(file).context("cannot write the JUnit file")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_stands_in_the_junit_file() {
        let outcomes = Outcomes::default();
        for (name, error) in [("good-one", None), ("bad-one", Some("no\nagain: cargo rig test".to_owned()))] {
            outcomes.lock().unwrap().push(Outcome { name, took: Duration::from_millis(5), error });
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        write_junit(file.path(), &outcomes).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("tests=\"2\"") && text.contains("failures=\"1\""), "{text}");
        assert!(text.contains("again: cargo rig test"), "{text}");
    }
}
