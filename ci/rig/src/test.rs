//! `cargo rig test`: the scenarios, through libtest-mimic.

use crate::build;
use crate::failure::Usage;
use crate::foreign::Foreign;
use crate::guest::{self, Guest, GuestKind};
use crate::places;
use crate::pool::Pool;
use crate::scenarios::{self, CannotRun, Circumstances, Scenario};
use anyhow::{Context, Result};
use clap::Args;
use libtest_mimic::{Arguments, Completion, Failed, Trial};
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
    #[command(flatten)]
    guest: guest::Options,
    /// Run another project's driver of the NIC, the .sys and .inf in this folder, in place of ours; only the scenarios
    /// that concern any such driver
    #[arg(long, value_name = "DIR")]
    driver: Option<PathBuf>,
    /// With --guest windows: start a machine for each scenario, also where one could run several
    #[arg(long)]
    boot_each: bool,
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

impl Options {
    /// Whether the scenario of that name is to be run.
    fn want(&self, name: &str) -> bool {
        match &self.filter {
            Some(filter) if self.exact => name == filter,
            Some(filter) => name.contains(filter.as_str()),
            None => true,
        }
    }
}

/// What became of one scenario.
struct Outcome {
    name: &'static str,
    took: Duration,
    end: End,
}

/// How a scenario ended.
enum End {
    Good,
    /// What was wrong.
    Bad(String),
    /// Why this guest cannot run it.
    CannotRun(String),
}

type Outcomes = Arc<Mutex<Vec<Outcome>>>;

/// Runs the scenarios; `true` if none failed.
pub fn test(options: &Options) -> Result<bool> {
    if options.driver.is_some() && options.guest.guest != GuestKind::Understudy {
        return Err(Usage("--driver is for --guest understudy: an image holds its own drivers".into()).into());
    }
    let guest = options.guest.choose()?;
    let foreign = options.driver.as_deref().map(Foreign::find).transpose()?;
    let mut scenarios = if foreign.is_some() { scenarios::of_any_driver() } else { scenarios::all() };
    scenarios.retain(|scenario| options.want(scenario.name));
    if scenarios.is_empty() {
        return Err(Usage("no scenario has that name; `cargo rig test --list` names them".into()).into());
    }
    if options.list {
        list(scenarios, &guest);
        return Ok(true);
    }
    places::qemu()?;
    let on_image = guest.image().is_some();
    let mutants = foreign.is_none() && !on_image;
    let built = build::build(build::Options { mutants, verbose: false })?;
    let mut again = format!("cargo rig test --seed {}{}", options.seed, options.guest.replay());
    if let Some(driver) = &options.driver {
        again.push_str(&format!(" --driver {}", driver.display()));
    }
    if on_image {
        again.push_str(" --boot-each");
    }
    let machines = (on_image && !options.boot_each).then(Arc::<Pool>::default);
    if machines.is_some() {
        scenarios.sort_by_cached_key(Scenario::machine);
    }
    let circumstances =
        Circumstances { guest, built, seed: options.seed, foreign, machines: machines.clone() };
    let circumstances = Arc::new((circumstances, again));
    let outcomes = Outcomes::default();
    let trials = scenarios
        .into_iter()
        .map(|scenario| trial(scenario, Arc::clone(&circumstances), Arc::clone(&outcomes)))
        .collect();
    let conclusion = libtest_mimic::run(&arguments(), trials);
    machines.map_or(Ok(()), |machines| machines.end()).context("switching the machines off")?;
    if let Some(file) = &options.junit {
        write_junit(file, &outcomes)?;
    }
    let refused = conclusion.num_ignored;
    if refused > 0 && on_image {
        println!("{refused} cannot be run on this guest; the reason stands with each");
    }
    Ok(!conclusion.has_failed())
}

/// Prints the names, and with those that this guest cannot run the reason.
fn list(scenarios: Vec<Scenario>, guest: &Guest) {
    for scenario in scenarios {
        match scenario.cannot_run_on(guest) {
            Some(why) => println!("{}: cannot be run, {why}", scenario.name),
            None => println!("{}: test", scenario.name),
        }
    }
}

fn arguments() -> Arguments {
    Arguments { test_threads: Some(SIDE_BY_SIDE), ..Arguments::default() }
}

/// `circumstances` come with how to say the same again, but for the scenario's name.
fn trial(scenario: Scenario, circumstances: Arc<(Circumstances, String)>, outcomes: Outcomes) -> Trial {
    let ignored = scenario.cannot_run_here();
    if ignored {
        // Its trial never runs.
        let end = End::CannotRun("this machine lacks a program that it needs".into());
        let outcome = Outcome { name: scenario.name, took: Duration::ZERO, end };
        outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
    }
    Trial::ignorable_test(scenario.name, move || {
        let (circumstances, again) = &*circumstances;
        let (name, started) = (scenario.name, Instant::now());
        let result = match scenario.cannot_run_on(&circumstances.guest) {
            Some(why) => Err(CannotRun(why).into()),
            None => scenario.run(circumstances),
        };
        let (end, told) = match result {
            Ok(()) => (End::Good, Ok(Completion::Completed)),
            Err(error) => match error.downcast_ref() {
                Some(CannotRun(why)) => (End::CannotRun(why.clone()), Ok(Completion::ignored_with(why))),
                None => {
                    let text = format!("{error:#}\nagain: {again} --exact {name}");
                    (End::Bad(text.clone()), Err(Failed::from(text)))
                }
            },
        };
        let outcome = Outcome { name, took: started.elapsed(), end };
        outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
        told
    })
    .with_ignored_flag(ignored)
}

fn write_junit(path: &Path, outcomes: &Outcomes) -> Result<()> {
    let mut outcomes = outcomes.lock().unwrap_or_else(PoisonError::into_inner);
    outcomes.sort_by_key(|outcome| outcome.name);
    let mut suite = TestSuite::new("cargo rig test");
    for outcome in outcomes.iter() {
        let mut status = TestCaseStatus::success();
        match &outcome.end {
            End::Good => {}
            End::Bad(error) => {
                status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(error.lines().last().unwrap_or_default());
                status.set_description(error.as_str());
            }
            End::CannotRun(why) => {
                status = TestCaseStatus::skipped();
                status.set_message(why.as_str());
            }
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

    fn options(line: &[&str]) -> Options {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            options: Options,
        }
        <Line as clap::Parser>::parse_from([&["test"], line].concat()).options
    }

    #[test]
    fn a_name_that_no_scenario_has_is_wrong_usage_and_nothing_is_built_for_it() {
        for line in [&["nobody"][..], &["--exact", "load"], &["--list", "nobody"]] {
            let error = test(&options(line)).unwrap_err();
            assert!(error.is::<Usage>() && error.to_string().starts_with("no scenario"), "{error:#}");
        }
    }

    #[test]
    fn a_driver_for_an_image_is_wrong_usage_whether_they_are_there_or_not() {
        let line = ["--driver", "/nowhere", "--guest", "windows", "--images", "/nowhere"];
        let error = test(&options(&line)).unwrap_err();
        assert!(error.is::<Usage>() && error.to_string().starts_with("--driver is for"), "{error:#}");
    }

    #[test]
    fn failures_and_what_cannot_be_run_stand_in_the_junit_file() {
        let outcomes = Outcomes::default();
        for (name, end) in [
            ("good-one", End::Good),
            ("bad-one", End::Bad("no\nagain: cargo rig test".to_owned())),
            ("no-one", End::CannotRun("needs a pause by itself: Windows has none".to_owned())),
        ] {
            outcomes.lock().unwrap().push(Outcome { name, took: Duration::from_millis(5), end });
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        write_junit(file.path(), &outcomes).unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("tests=\"3\"") && text.contains("failures=\"1\""), "{text}");
        assert!(text.contains("again: cargo rig test"), "{text}");
        assert!(text.contains("<skipped message=\"needs a pause by itself: Windows has none\""), "{text}");
    }
}
