//! `cargo rig test`: the scenarios, some side by side, with their results as they come.

mod durations;
mod index;
mod junit;
mod outcome;
mod results;
mod select;
mod workers;

use crate::build;
use crate::exit::{self, Class};
use crate::guest;
use crate::inspect;
use crate::packages::{self, Brought};
use crate::trials;
use crate::{foreign, rules};
use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use durations::Durations;
use lab::base::console;
use lab::base::evidence::{Evidence, RunFolder};
use lab::base::failure::{Machine, Usage};
use lab::base::folder::Folder;
use lab::base::left::stand_aside_if_interrupted;
use lab::base::places;
use lab::base::workspace::Workspace;
use lab::report::table::Style;
use lab::run::{CannotRun, Guest, Run, archive};
use lab::session::pool::Pool;
use outcome::{End, Failure, Outcome};
use results::{Results, Told};
use scenarios::{Cast, Circumstances, Failed, Scenario};
use select::{Shard, Wanted};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use workers::{News, Next};

/// Between two looks at scenarios that run long.
const TICK: Duration = Duration::from_secs(1);

/// Which scenarios keep their evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Keep {
    /// Every scenario
    All,
    /// Those that failed, at the last attempt or before
    Failed,
    /// None
    None,
}

/// What `cargo rig test` takes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Run only scenarios whose name contains one of these
    #[arg(value_name = "FILTER")]
    filters: Vec<String>,
    /// Leave out scenarios whose name contains NAME; may be given several times
    #[arg(long = "skip", value_name = "NAME")]
    skips: Vec<String>,
    /// Match each FILTER and each --skip as a whole name
    #[arg(long)]
    exact: bool,
    /// Of the scenarios chosen, run part K of N: every Nth, beginning with the Kth
    #[arg(long, value_name = "K/N")]
    shard: Option<Shard>,
    #[command(flatten)]
    guest: guest::Options,
    #[command(flatten)]
    driver: foreign::Options,
    #[command(flatten)]
    packages: packages::Options,
    #[command(flatten)]
    rules: rules::Options,
    /// With --guest windows: start a machine for each scenario, also where one could run several
    #[arg(long)]
    boot_each: bool,
    /// Print each name with a line on what the scenario shows, and run nothing
    #[arg(long)]
    list: bool,
    /// Scenarios side by side
    #[arg(short, long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Try a scenario that fails up to N times more; one that passes then is reported as flaky
    #[arg(long, value_name = "N", default_value_t = 0)]
    retries: u16,
    /// Begin no further scenario once one has failed
    #[arg(long)]
    fail_fast: bool,
    /// Which scenarios keep page, capture, trace and logs
    #[arg(long, value_enum, default_value_t = Keep::Failed)]
    keep: Keep,
    /// Folder for the evidence and index.html [default: a new one in target/rig/runs, to which target/rig/latest leads]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Write the results as JUnit XML, again after each result; `-` is standard output, once at the end
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Seed for what the guest may vary [default: 1]
    #[arg(long)]
    seed: Option<u64>,
}

impl Options {
    /// The scenarios that are wanted, of those that there are for such drivers. Of those that take any package, others than a
    /// package's run hears only if they concern it.
    fn choose(&self, cast: &Cast) -> Result<Vec<Scenario>> {
        let foreign = self.driver.is_given();
        let packages = *cast != Cast::ours();
        let mut scenarios = trials::all();
        scenarios.retain(|scenario| match (packages, foreign) {
            (true, _) => scenario.is_of_packages(),
            (false, true) => scenario.is_of_any_driver(),
            (false, false) => scenario.does_not_concern(cast).is_none(),
        });
        let names: Vec<_> = scenarios.iter().map(|scenario| scenario.name).collect();
        let wanted =
            Wanted { filters: &self.filters, skips: &self.skips, exact: self.exact, shard: self.shard };
        let chosen = wanted.choose(&names)?;
        scenarios.retain(|scenario| chosen.contains(&scenario.name));
        Ok(scenarios)
    }

    fn seed(&self, brought: &Brought) -> u64 {
        self.seed.or(brought.seed).unwrap_or(1)
    }

    /// The command that runs a scenario again, but for `--exact` and its name.
    fn again(&self, on_image: bool, brought: &Brought) -> String {
        let (guest, driver, packages) = (self.guest.replay(), self.driver.replay(), &brought.replay);
        let rules = self.rules.replay(brought.rules.as_deref());
        let seed = self.seed(brought);
        let mut again = format!("cargo rig test --seed {seed}{guest}{driver}{packages}{rules}");
        if on_image {
            again.push_str(" --boot-each");
        }
        again
    }

    /// The whole command, for the page.
    fn command(&self, on_image: bool, brought: &Brought) -> String {
        let mut command = self.again(on_image, brought);
        self.skips.iter().for_each(|skip| command.push_str(&format!(" --skip {skip}")));
        if let Some(shard) = self.shard {
            command.push_str(&format!(" --shard {shard}"));
        }
        if self.exact {
            command.push_str(" --exact");
        }
        self.filters.iter().for_each(|filter| command.push_str(&format!(" {filter}")));
        command
    }
}

/// Runs the scenarios; `true` if none failed.
pub(crate) fn test(options: &Options) -> Result<bool> {
    let junit_on_output = console::is_output(options.junit.as_deref());
    let foreign = options.driver.find(options.guest.guest)?;
    let brought = options.packages.gather(options.guest.guest, &options.driver)?;
    let is_foreign = foreign.is_some() || !brought.packages.is_empty();
    let mut words = options.rules.words(options.guest.guest, is_foreign, brought.rules.as_deref())?;
    words.extend(brought.words.iter().cloned());
    let guest = options.guest.choose()?;
    let on_image = options.guest.guest == guest::GuestKind::Windows;
    let cast = brought.cast();
    let mut scenarios = options.choose(&cast)?;
    if options.list {
        list(&scenarios, guest.as_ref(), &cast);
        return Ok(true);
    }
    let aside = concerned(&mut scenarios, &cast);
    if scenarios.is_empty() {
        return Err(Usage(format!("no scenario concerns these drivers: {}", aside.join("; "))).into());
    }
    places::qemu()?;
    // What every scenario needs, and the folder that was asked for, before anything that takes long.
    drop(Folder::new()?);
    let folder = options.report.as_deref().map(RunFolder::at).transpose()?;
    let test_builds = !is_foreign && !on_image;
    let built = build::build(build::Options { test_builds, verbose: false })?;
    let folder = folder.map_or_else(RunFolder::new, Ok)?;
    let machines = (on_image && !options.boot_each).then(Arc::<Pool>::default);
    let circumstances = Circumstances {
        again: options.again(on_image, &brought),
        guest,
        built,
        seed: options.seed(&brought),
        foreign,
        words,
        machines: machines.clone(),
        packages: brought.packages.clone(),
        with: brought.with.clone(),
        hardware: brought.hardware.clone(),
    };
    try_to_load(&circumstances, &folder)?;
    aside.iter().for_each(|line| println!("{line}"));

    // Other guests take other times.
    let target = Workspace::find()?.target().to_path_buf();
    let remembered = (!on_image).then(|| target.join("rig/durations.json"));
    let durations = remembered.as_deref().map(Durations::read).unwrap_or_default();
    if machines.is_some() {
        // Those on one kind of machine follow each other.
        scenarios.sort_by_cached_key(Scenario::machine);
    } else {
        select::longest_first(&mut scenarios, |scenario| scenario.name, &durations);
    }
    let task =
        Task { circumstances: &circumstances, folder: &folder, retries: options.retries, keep: options.keep };
    let mut results = Results::new(Told {
        scenarios: scenarios.iter().map(|scenario| (scenario.name, scenario.description)).collect(),
        folder: folder.path().to_path_buf(),
        command: options.command(on_image, &brought),
        junit: options.junit.clone().filter(|_| !junit_on_output),
        jobs: options.jobs.into(),
        style: Style::of_stdout(),
        durations,
    })?;
    let not_begun = workers::run(
        options.jobs.into(),
        scenarios,
        |scenario| scenario.name,
        |scenario| {
            let outcome = task.carry_out(&scenario);
            // What failed because everything is being ended is not to be told.
            stand_aside_if_interrupted();
            outcome
        },
        TICK,
        |news| match news {
            News::Began(name) => results.began(name),
            News::Quiet => results.quiet(),
            News::Done(outcome) => {
                let failed = outcome.failure().is_some();
                results.done(outcome);
                if failed && options.fail_fast {
                    return Next::Stop;
                }
                Next::GoOn
            }
        },
    );
    let ended = machines.map_or(Ok(()), |machines| machines.end()).context("switching the machines off");
    let (outcomes, kept) = results.end(not_begun.len(), remembered.as_deref());
    let verdict = verdict(&outcomes);
    kept?;
    if junit_on_output {
        let file = folder.path().join(results::JUNIT);
        let text =
            std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        console::print_file(&text);
    }
    ended?;
    verdict
}

/// Whether none failed. If runs could not take place and nothing was found wrong in the others, that is an error.
fn verdict(outcomes: &[Outcome]) -> Result<bool> {
    let failures: Vec<_> = outcomes.iter().filter_map(Outcome::failure).collect();
    let no_fault = failures.iter().all(|failure| failure.class != Class::Fault);
    match failures.first() {
        Some(first) if no_fault => {
            let others = failures.len() - 1;
            let more = if others == 0 { String::new() } else { format!(" (and {others} more like it)") };
            Err(Machine(format!("no fault was found, but a run could not take place: {}{more}", first.cause))
                .into())
        }
        first => Ok(first.is_none()),
    }
}

/// Other projects' drivers are loaded once before everything else: if they cannot be, no scenario can run.
fn try_to_load(circumstances: &Circumstances, folder: &RunFolder) -> Result<()> {
    let others: Vec<_> = circumstances.foreign.iter().chain(&circumstances.packages).collect();
    if others.is_empty() {
        return Ok(());
    }
    let mut settings = circumstances.settings()?;
    let evidence = Evidence::new(folder.path().join("load"));
    settings.evidence = Some(evidence.clone());
    let loaded =
        Run::start(settings, Arc::clone(&circumstances.guest), None, Box::new(|_| ())).and_then(|mut run| {
            let loaded = run.load();
            let (facts, mut session) =
                run.finish(loaded.as_ref().map(drop).map_err(|error| anyhow::anyhow!("{error:#}")));
            archive(&evidence, &mut session, &facts, &lab::verdict::judge(&facts));
            loaded
        });
    evidence.settle(loaded.is_err())?;
    match loaded {
        // A driver that was loaded and failed is for the scenarios to judge.
        Err(error) if exit::class(&error) != Class::Fault => {
            others.into_iter().for_each(inspect::explain);
            Err(error.context(format!("no scenario can run (logs: {})", evidence.folder().display())))
        }
        _ => Ok(()),
    }
}

/// Leaves out those that do not concern the drivers; how many there are for each reason.
fn concerned(scenarios: &mut Vec<Scenario>, cast: &Cast) -> Vec<String> {
    let mut aside = BTreeMap::<String, usize>::new();
    scenarios.retain(|scenario| match scenario.does_not_concern(cast) {
        Some(why) => {
            *aside.entry(why).or_default() += 1;
            false
        }
        None => true,
    });
    aside.into_iter().map(|(why, count)| format!("left out: {count} scenarios, each {why}")).collect()
}

/// Prints the names with what each scenario shows, and of those that cannot run the reason.
fn list(scenarios: &[Scenario], guest: &dyn Guest, cast: &Cast) {
    let cannot = |scenario: &Scenario| {
        let here = scenario.cannot_run_here().map(str::to_owned);
        scenario.cannot_run_on(guest).or(here).or_else(|| scenario.does_not_concern(cast))
    };
    // those that run come first where most are for other drivers
    let (run, others): (Vec<_>, Vec<_>) =
        scenarios.iter().partition(|scenario| scenario.does_not_concern(cast).is_none());
    for scenario in run.into_iter().chain(others) {
        match cannot(scenario) {
            Some(why) => println!("{}: cannot be run, {why}", scenario.name),
            None => println!("{}: {}", scenario.name, scenario.description),
        }
    }
}

/// What each worker does.
struct Task<'a> {
    circumstances: &'a Circumstances,
    folder: &'a RunFolder,
    retries: u16,
    keep: Keep,
}

impl Task<'_> {
    /// Runs a scenario, again if it fails and may be tried again.
    fn carry_out(&self, scenario: &Scenario) -> Outcome {
        let name = scenario.name;
        let mut outcome =
            Outcome { name, took: Duration::ZERO, end: End::Good, earlier: Vec::new(), folder: None };
        let here = scenario.cannot_run_here().map(str::to_owned);
        if let Some(why) = here.or_else(|| scenario.cannot_run_on(self.circumstances.guest.as_ref())) {
            outcome.end = End::Skipped(why);
            return outcome;
        }
        let place = self.folder.path().join(name);
        loop {
            let attempt = outcome.earlier.len();
            let evidence = Evidence::new(match attempt {
                0 => place.clone(),
                _ => place.join(format!("retry-{attempt}")),
            });
            let started = Instant::now();
            let result = catch_unwind(AssertUnwindSafe(|| scenario.run(self.circumstances, &evidence)));
            outcome.took = started.elapsed();
            outcome.end = match result {
                Ok(Ok(())) => End::Good,
                Ok(Err(error)) => self.end(name, &error, outcome.took),
                Err(panic) => {
                    let text = panic.downcast_ref::<String>().map(String::as_str);
                    let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("without a word");
                    self.end(name, &anyhow::anyhow!("the rig panicked: {text}"), outcome.took)
                }
            };
            let wanted = match self.keep {
                Keep::All => true,
                Keep::Failed => outcome.failure().is_some(),
                Keep::None => false,
            };
            if let Err(error) = evidence.settle(wanted) {
                // A scenario whose evidence cannot be kept failed for the machine, if not for itself.
                let lost = self.end(name, &error.context("the evidence cannot be kept"), outcome.took);
                if !matches!(outcome.end, End::Bad(_)) {
                    outcome.end = lost;
                }
            }
            match &outcome.end {
                End::Bad(failure) if attempt < usize::from(self.retries) => {
                    outcome.earlier.push(failure.clone())
                }
                _ => break,
            }
        }
        outcome.folder = place.is_dir().then_some(place);
        outcome
    }

    fn end(&self, name: &str, error: &anyhow::Error, took: Duration) -> End {
        if let Some(CannotRun(why)) = error.downcast_ref() {
            return End::Skipped(why.clone());
        }
        let account = match error.downcast_ref() {
            Some(Failed { account, .. }) => format!("{error:#}\n{account}"),
            None => format!("{error:#}"),
        };
        let cause = format!("{error:#}");
        End::Bad(Failure {
            cause: cause.lines().next().unwrap_or_default().trim().to_owned(),
            account: format!("{}\nagain: {} --exact {name}", account.trim_end(), self.circumstances.again),
            class: exit::class(error),
            took,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lab::base::failure::Usage;
    use outcome::Counts;

    /// A failure with this cause.
    pub(super) fn bad(cause: &str) -> Failure {
        let account = format!("{cause}\nmore\nagain: cargo rig test");
        Failure { cause: cause.into(), account, class: Class::Fault, took: Duration::from_millis(5) }
    }

    /// An outcome at the first attempt.
    pub(super) fn outcome(name: &'static str, end: End) -> Outcome {
        Outcome { name, took: Duration::from_millis(5), end, earlier: Vec::new(), folder: None }
    }

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
        for line in
            [&["nobody"][..], &["--exact", "load"], &["--list", "nobody"], &["tx", "--skip", "nobody"]]
        {
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
    fn a_report_in_the_place_of_a_file_is_told_before_anything_is_built_and_is_no_fault() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let error = test(&options(&["--report", path, "--exact", "load-and-unload"])).unwrap_err();
        // Where the set-up has not been made, that comes first; neither is a fault.
        assert_ne!(exit::class(&error), Class::Fault, "{error:#}");
    }

    #[test]
    fn runs_that_could_not_take_place_are_no_fault_unless_one_was_found_too() {
        let machine = || Failure { class: Class::Machine, ..bad("no space") };
        let good = || outcome("good", End::Good);
        assert!(verdict(&[good()]).unwrap());
        assert!(!verdict(&[good(), outcome("bad", End::Bad(bad("x")))]).unwrap());
        let error = verdict(&[outcome("full", End::Bad(machine())), good()]).unwrap_err();
        assert_eq!(exit::class(&error), Class::Machine);
        let both = [outcome("full", End::Bad(machine())), outcome("bad", End::Bad(bad("x")))];
        assert!(!verdict(&both).unwrap());
    }

    #[test]
    fn the_last_line_counts_what_programs_read() {
        let mut flaky = outcome("flaky", End::Good);
        flaky.earlier.push(bad("once"));
        let outcomes = [
            flaky,
            outcome("bad", End::Bad(bad("x"))),
            outcome("no", End::Skipped("gdb is not installed".into())),
        ];
        let counts = Counts::of(&outcomes);
        assert_eq!(counts.to_string(), "1 passed, 1 failed, 1 skipped");
        assert_eq!(counts.flaky, 1);
    }
}
