//! What `cargo rig test` runs: every scenario by its name, each in a session of its own.

mod binding;
mod broken;
mod cause;
mod command;
mod copied;
mod debugger;
pub mod descriptions;
mod filter;
mod filter_broken;
mod filter_random;
mod filter_requests;
mod filter_stack;
mod forms;
mod hang;
mod image;
mod lifecycle;
mod machine;
mod needs;
mod page;
mod receive;
mod requests;
mod stuck;
mod transmit;
mod wake_up;
mod windbg;
mod windows;

use crate::archive::Evidence;
use crate::build::Built;
use crate::crash::Crash;
use crate::facts::Facts;
use crate::foreign::Foreign;
use crate::guest::{Guest, Need};
use crate::hang::Hang;
use crate::pool::{self, Pool};
use crate::process::Folder;
use crate::report::table::{Style, fault_line, step_line};
use crate::run::Run;
use crate::settings::{Files, NIC, Settings};
use crate::symbols::Stack;
use crate::verdict::judge;
use agent_protocol::Violation;
use anyhow::{Context, Result, bail, ensure};
use cancelnic_mutants::Mutant;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// One scenario.
pub struct Scenario {
    /// Its name in kebab case; its place in the list is of no meaning.
    pub name: &'static str,
    kind: Kind,
}

enum Kind {
    /// A run that must be judged good.
    Good { prepare: fn(&mut Settings), body: fn(&mut Run) -> Result<()>, shows: Shows },
    /// A run of a deliberately broken driver, in which one of these rules must be found broken.
    Caught {
        mutant: Mutant,
        prepare: fn(&mut Settings),
        body: fn(&mut Run) -> Result<()>,
        rules: &'static [&'static str],
        shows: Shows,
    },
    /// A run of a deliberately broken driver whose fault the framework makes up for: it must be judged good, and show
    /// how.
    Endured { mutant: Mutant, prepare: fn(&mut Settings), body: fn(&mut Run) -> Result<()>, shows: Shows },
    /// A run that must be judged good in both forms of the queue cancel, with the same fate of each frame.
    BothForms { prepare: fn(&mut Settings), body: fn(&mut Run) -> Result<()> },
    /// A use of the command itself.
    Command(fn(&Trial) -> Result<()>),
}

/// What a use of the command is tried with.
pub struct Trial {
    /// What the build has made.
    pub built: Built,
    /// Where its sessions and programs leave what they wrote.
    pub evidence: Evidence,
}

impl Trial {
    /// The usual settings with the drivers that ship.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::new(Files::shipped(&self.built));
        settings.evidence = Some(self.evidence.clone());
        settings
    }

    /// A temporary folder whose logs stay as evidence.
    pub fn folder(&self) -> Result<Folder> {
        let mut folder = Folder::new()?;
        folder.keep_for(Some(self.evidence.clone()));
        Ok(folder)
    }
}

/// Looks into the facts of a run for what a scenario is there to show.
type Shows = fn(&Facts) -> Result<()>;

const fn good(name: &'static str, prepare: fn(&mut Settings), body: fn(&mut Run) -> Result<()>) -> Scenario {
    Scenario { name, kind: Kind::Good { prepare, body, shows: |_| Ok(()) } }
}

/// The usual device and guest.
const fn usual(name: &'static str, body: fn(&mut Run) -> Result<()>) -> Scenario {
    good(name, |_| (), body)
}

/// A scenario whose driver of the NIC is its test build, for the test bench of requests.
const fn on_bench(name: &'static str, body: fn(&mut Run) -> Result<()>) -> Scenario {
    good(name, |settings| settings.bench = true, body)
}

/// Every scenario. Those that take longest come first, so that workers side by side end together.
pub fn all() -> Vec<Scenario> {
    [
        windows::all(),
        image::all(),
        page::all(),
        windbg::all(),
        debugger::all(),
        command::all(),
        copied::all(),
        transmit::all(),
        receive::all(),
        wake_up::all(),
        forms::all(),
        filter::all(),
        filter_random::all(),
        filter_requests::all(),
        filter_stack::all(),
        filter_broken::all(),
        lifecycle::all(),
        machine::all(),
        requests::all(),
        broken::all(),
        cause::all(),
        binding::all(),
        stuck::all(),
        hang::all(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Those that concern any driver of the NIC: not those that talk to cancelnic.sys itself, break it on purpose, choose the
/// form of its cancel, or wait for its watchdog.
pub fn of_any_driver() -> Vec<Scenario> {
    [
        transmit::all(),
        receive::all(),
        wake_up::all(),
        filter::all(),
        filter_random::all(),
        lifecycle::all(),
        machine::all(),
    ]
    .into_iter()
    .flatten()
    .filter(|scenario| matches!(scenario.kind, Kind::Good { .. }) && !scenario.name.contains("watchdog"))
    .collect()
}

/// A scenario's watchdog must not fire while the rig holds a gate.
fn no_watchdog(settings: &mut Settings) {
    settings.guest.parameters.insert("WatchdogMs", 0);
}

impl Scenario {
    /// What it shows, in a line.
    pub fn description(&self) -> &'static str {
        descriptions::of(self.name)
    }

    /// What this machine lacks that the scenario needs beyond the set-up; `None` if nothing.
    pub fn cannot_run_here(&self) -> Option<&'static str> {
        let (missing, why) = match self.name {
            "debug-stops-in-cancel-callback" => (!crate::debug::gdb_is_there(), "gdb is not installed"),
            "windbg-extension-reads-a-stopped-driver" => {
                (!windbg::node_is_there(), "node (with its test runner, `node --test`) is not installed")
            }
            page::IN_A_BROWSER => {
                (crate::browser::find().is_none(), "chromium is not installed (or set CANCELNIC_CHROMIUM)")
            }
            // Where the judges are asked for, the scenario runs and reports which is missing.
            name if name.starts_with("image-") => (
                std::env::var_os("CANCELNIC_JUDGES").is_none() && !image::genisoimage_is_there(),
                "genisoimage is not installed (ci/judges gets it)",
            ),
            _ => return None,
        };
        missing.then_some(why)
    }

    /// Why this guest cannot run it, as far as that is known beforehand; `None` if it can.
    pub fn cannot_run_on(&self, guest: &Guest) -> Option<String> {
        let lacks = |need: Need| guest.lacks(need).map(|why| format!("needs {need}: {why}"));
        self.needs().into_iter().find_map(lacks)
    }

    /// The settings that it asks for, without files; the usual ones of a command.
    fn prepared(&self) -> Settings {
        let mut settings = Settings::new(Files::none());
        match self.kind {
            Kind::Good { prepare, .. }
            | Kind::BothForms { prepare, .. }
            | Kind::Caught { prepare, .. }
            | Kind::Endured { prepare, .. } => prepare(&mut settings),
            Kind::Command(_) => {}
        }
        settings
    }

    /// What it needs of its guest.
    fn needs(&self) -> Vec<Need> {
        let mut needs = Need::of_settings(&self.prepared());
        match self.kind {
            Kind::Good { .. } => {}
            Kind::BothForms { .. } => needs.extend([Need::Parameters, Need::Callbacks]),
            Kind::Caught { .. } | Kind::Endured { .. } => needs.push(Need::TestBuild),
            Kind::Command(_) => needs.push(Need::OwnKernel),
        }
        needs.extend(needs::of(self.name));
        needs
    }

    /// The machine that it needs: scenarios alike in this can follow each other on one.
    pub fn machine(&self) -> pool::Kind {
        pool::Kind::of(&self.prepared())
    }

    /// Runs it under these circumstances; every session in it leaves its files for `evidence`. The error is [`Failed`],
    /// [`CannotRun`], or whatever kept the run from taking place.
    pub fn run(&self, circumstances: &Circumstances, evidence: &Evidence) -> Result<()> {
        let Circumstances { guest, built, seed, foreign, machines, again } = circumstances;
        let mut settings = Settings::new(Files::shipped(built));
        settings.name = self.name;
        settings.command = format!("{again} --exact {}", self.name);
        settings.home = guest.clone();
        settings.guest.seed = *seed;
        settings.machines.clone_from(machines);
        settings.evidence = Some(evidence.clone());
        if let Some(foreign) = foreign {
            foreign.take_over(&mut settings.files)?;
        }
        let ready = |settings: &mut Settings, prepare: fn(&mut Settings)| {
            prepare(settings);
            if settings.bench { take_test_build(settings, built, NIC) } else { Ok(()) }
        };
        match self.kind {
            Kind::Good { prepare, body, shows } => {
                ready(&mut settings, prepare)?;
                shows(&self.good(settings, body)?)
            }
            Kind::Endured { mutant, prepare, body, shows } => {
                take_test_build(&mut settings, built, mutant.driver())?;
                ready(&mut settings, prepare)?;
                settings.mutant = Some(mutant);
                shows(&self.good(settings, body)?)
            }
            Kind::Caught { mutant, prepare, body, rules, shows } => {
                take_test_build(&mut settings, built, mutant.driver())?;
                ready(&mut settings, prepare)?;
                // The same driver, behaving, passes: what is caught below is the mutant and nothing else.
                let whole =
                    Settings { evidence: Some(evidence.part("without-the-fault")), ..settings.clone() };
                self.good(whole, body).context("without the fault")?;
                settings.mutant = Some(mutant);
                settings.evidence = Some(evidence.part("with-the-fault"));
                let Judged { facts, violations, log, .. } = judged(settings, body)?;
                if !violations.iter().any(|violation| rules.contains(&violation.rule.as_str())) {
                    let found = violations.first().map_or_else(|| "no fault".into(), fault_line);
                    let cause = format!("none of {rules:?} was found, but {found}");
                    return Err(Failed::new(cause, &facts, &violations, &log).into());
                }
                shows(&facts)
            }
            Kind::BothForms { prepare, body } => {
                ready(&mut settings, prepare)?;
                let mut runs = Vec::new();
                for (number, form) in forms::FORMS {
                    settings.guest.parameters.insert("CancelForm", number);
                    settings.evidence = Some(evidence.part(form));
                    let facts = self.good(settings.clone(), body).context(form)?;
                    forms::in_form(&facts, form)?;
                    runs.push(facts);
                }
                let [iterator, older] = &runs[..] else { bail!("two forms, {} runs", runs.len()) };
                forms::same_fates(iterator, older)
            }
            Kind::Command(test) => test(&Trial { built: built.clone(), evidence: evidence.clone() }),
        }
    }

    /// A run that must be judged good, and need of its guest what it says it does.
    fn good(&self, settings: Settings, body: fn(&mut Run) -> Result<()>) -> Result<Facts> {
        let Judged { facts, violations, log, needed } = judged(settings, body)?;
        if let Some(first) = violations.first() {
            return Err(Failed::new(fault_line(first), &facts, &violations, &log).into());
        }
        let sorted = |needs: &[Need]| needs.iter().copied().collect::<BTreeSet<_>>();
        let (declared, needed) = (sorted(needs::of(self.name)), sorted(&needed));
        ensure!(
            declared == needed,
            "scenarios/needs.rs says that {} needs {declared:?}, and it needs {needed:?}",
            self.name
        );
        Ok(facts)
    }
}

/// What all scenarios of a test are run with.
pub struct Circumstances {
    /// The command that does it again, but for `--exact` and the scenario's name.
    pub again: String,
    /// The guest.
    pub guest: Guest,
    /// What the build has made.
    pub built: Built,
    /// Seed for what the guest may vary.
    pub seed: u64,
    /// Another project's driver in place of ours.
    pub foreign: Option<Foreign>,
    /// Machines that run one scenario after another.
    pub machines: Option<Arc<Pool>>,
}

/// The guest has refused something that the scenario needs.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CannotRun(pub String);

/// A run was judged, and not as it should have been.
#[derive(Debug, thiserror::Error)]
#[error("{cause}")]
pub struct Failed {
    /// In one line: rule, callback and place.
    pub cause: String,
    /// The steps, the faults and the guest's last lines.
    pub account: String,
}

impl Failed {
    fn new(cause: String, facts: &Facts, violations: &[Violation], log: &str) -> Self {
        Self { account: account(facts, violations, log), cause }
    }
}

/// A run and what is thought of it.
struct Judged {
    facts: Facts,
    violations: Vec<Violation>,
    /// The end of the guest's log.
    log: String,
    /// What was asked of the guest.
    needed: Vec<Need>,
}

/// The test build of a driver takes the place of the one that ships.
fn take_test_build(settings: &mut Settings, built: &Built, name: &'static str) -> Result<()> {
    let test_build = built.driver(name)?.test_build.as_ref().context("the test builds are not built")?;
    let driver = settings.files.driver(name)?;
    driver.symbols = test_build.path.with_extension("pdb");
    driver.image = test_build.clone();
    Ok(())
}

/// One run and its judgement.
fn judged(settings: Settings, body: fn(&mut Run) -> Result<()>) -> Result<Judged> {
    let mut run = Run::start(settings.clone(), Box::new(|_| ()))?;
    let outcome = body(&mut run);
    let (facts, mut session) = run.finish(outcome);
    if let Some(refused) = &facts.refused {
        session.keep_for(None);
        return Err(CannotRun(refused.clone()).into());
    }
    let log = std::fs::read(session.guest_log()).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let tail: Vec<&str> = log.lines().rev().take(12).collect();
    let log = session.symbols.explain(&tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
    let violations = judge(&facts);
    if let Some(evidence) = &settings.evidence {
        evidence.run(&mut session, &facts, &violations);
    }
    if let Some(machines) = settings.machines.as_ref().filter(|_| violations.is_empty()) {
        machines.keep(&settings, session).context("the machine after a good run")?;
    }
    let needed = facts.needed.iter().copied().collect();
    Ok(Judged { facts, violations, log, needed })
}

/// The steps, the faults and the guest's last lines.
fn account(facts: &Facts, violations: &[Violation], log: &str) -> String {
    let mut text: Vec<String> = facts.steps.iter().map(|step| step_line(step, Style::Plain)).collect();
    text.extend(violations.iter().map(fault_line));
    text.extend(facts.hangs.iter().map(Hang::text));
    text.extend(facts.stacks.iter().map(Stack::text));
    text.extend(facts.crashes.iter().map(Crash::text));
    text.push("end of the guest's log:".into());
    text.extend(log.lines().map(|line| format!("  {line}")));
    text.join("\n")
}

/// Where a wait for a moment has to look again.
const PERIOD: Duration = Duration::from_millis(2);

#[cfg(test)]
mod seeds;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_kebab_case_and_unique() {
        let scenarios = all();
        let names: HashSet<_> = scenarios.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), scenarios.len());
        let kebab =
            |name: &str| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        assert!(names.iter().all(|name| kebab(name)), "{names:?}");
    }

    #[test]
    fn every_scenario_says_in_a_line_what_it_shows_and_no_two_say_the_same() {
        let names: HashSet<_> = all().iter().map(|scenario| scenario.name).collect();
        let described: HashSet<_> = descriptions::DESCRIPTIONS.iter().map(|row| row.0).collect();
        let without: Vec<_> = names.difference(&described).collect();
        let unknown: Vec<_> = described.difference(&names).collect();
        assert!(
            without.is_empty() && unknown.is_empty(),
            "scenarios/descriptions.rs lacks {without:?} and describes {unknown:?}"
        );
        let lines: HashSet<_> = descriptions::DESCRIPTIONS.iter().map(|row| row.1).collect();
        assert_eq!(lines.len(), descriptions::DESCRIPTIONS.len());
        let long: Vec<_> = lines.iter().filter(|line| line.is_empty() || line.len() > 120).collect();
        assert!(long.is_empty(), "{long:?}");
    }

    #[test]
    fn every_mutant_of_the_drivers_has_a_scenario_that_shows_it() {
        let scenarios = all();
        let shown = |wanted: &Mutant| {
            scenarios.iter().any(|scenario| match scenario.kind {
                Kind::Caught { mutant, .. } | Kind::Endured { mutant, .. } => mutant == *wanted,
                _ => false,
            })
        };
        let unseen: Vec<_> = Mutant::ALL.iter().filter(|mutant| !shown(mutant)).collect();
        assert!(unseen.is_empty(), "{unseen:?}");
    }

    #[test]
    fn what_scenarios_need_is_said_of_scenarios_that_there_are() {
        let names: HashSet<_> = all().iter().map(|scenario| scenario.name).collect();
        let unknown: Vec<_> = needs::NEEDS.iter().filter(|row| !names.contains(row.0)).collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
}
