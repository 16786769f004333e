//! A scenario: a value that carries its name, what it shows, what it needs, and how it is run and judged.

use crate::form::{self, FORMS};
use crate::want::{Cast, OF_ANY_DRIVER, Want};
use agent_protocol::Violation;
use anyhow::{Context, Result, bail, ensure};
use cancelnic_mutants::Mutant;
use lab::base::artefact::Built;
use lab::base::evidence::Evidence;
use lab::base::files::{DriverFiles, Files, NIC};
use lab::base::folder::Folder;
use lab::facts::Facts;
use lab::facts::hang::Hang;
use lab::guest::crash::Crash;
use lab::guest::need::Need;
use lab::guest::symbols::Stack;
use lab::machine::Hardware;
use lab::report::table::{Style, fault_line, step_line};
use lab::run::{Guest, Judged, Run, judged};
use lab::session::pool::{self, Pool};
use lab::settings::Settings;
use lab::verdict::judge;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Changes the usual settings to those that a scenario asks for.
pub(crate) type Prepare = fn(&mut Settings);
/// What a scenario does.
pub(crate) type Body = fn(&mut Run) -> Result<()>;
/// Looks into the facts of a run for what a scenario is there to show.
pub(crate) type Shows = fn(&Facts) -> Result<()>;
/// The guest, and the machines that it may be run on.
type Place<'a> = (&'a Arc<dyn Guest>, Option<&'a Arc<Pool>>);
/// Why a tool is not to be had that a scenario needs beyond the set-up; `None` if it is there.
pub(crate) type Tool = fn() -> Option<&'static str>;

/// One scenario.
pub struct Scenario {
    /// Its name in kebab case. Nothing is decided by it.
    pub name: &'static str,
    /// What it shows, in a line.
    pub description: &'static str,
    kind: Way,
    prepare: Prepare,
    shows: Shows,
    needs: &'static [Need],
    tool: Tool,
    of_any_driver: bool,
    /// What it needs of drivers and device that are not ours; `None`: it is for ours alone.
    wants: Option<&'static [Want]>,
}

/// How a scenario is run and judged.
enum Way {
    /// A run that must be judged good.
    Good(Body),
    /// A run of a deliberately broken driver, in which one of these rules must be found broken.
    Caught { mutant: Mutant, rules: &'static [&'static str], body: Body },
    /// A run of a deliberately broken driver whose fault the framework makes up for: it must be judged good, and show how.
    Endured { mutant: Mutant, body: Body },
    /// A run that must be judged good in both forms of the queue cancel, with the same fate of each frame.
    BothForms(Body),
    /// A use of the command itself.
    Command(fn(&Trial) -> Result<()>),
}

/// A run with these settings that must be judged good.
pub(crate) fn good(name: &'static str, description: &'static str, prepare: Prepare, body: Body) -> Scenario {
    Scenario::new(name, description, Way::Good(body)).prepare(prepare)
}

/// A run with the usual device and guest that must be judged good.
pub(crate) fn usual(name: &'static str, description: &'static str, body: Body) -> Scenario {
    Scenario::new(name, description, Way::Good(body))
}

/// A run of a deliberately broken driver in which one of `rules` must be found broken, and which passes without the fault.
pub(crate) fn caught(
    name: &'static str,
    description: &'static str,
    mutant: Mutant,
    rules: &'static [&'static str],
    body: Body,
) -> Scenario {
    Scenario::new(name, description, Way::Caught { mutant, rules, body })
}

/// A run of a deliberately broken driver whose fault the framework makes up for.
pub(crate) fn endured(name: &'static str, description: &'static str, mutant: Mutant, body: Body) -> Scenario {
    Scenario::new(name, description, Way::Endured { mutant, body })
}

/// A run that must be judged good in both forms of the queue cancel, with the same fate of each frame.
pub(crate) fn both_forms(
    name: &'static str,
    description: &'static str,
    prepare: Prepare,
    body: Body,
) -> Scenario {
    Scenario::new(name, description, Way::BothForms(body)).prepare(prepare)
}

/// A use of the command itself.
pub fn command(name: &'static str, description: &'static str, test: fn(&Trial) -> Result<()>) -> Scenario {
    Scenario::new(name, description, Way::Command(test))
}

/// These, each of which concerns any driver of the NIC: none talks to cancelnic.sys itself, breaks it on purpose, chooses the
/// form of its cancel, or waits for its watchdog.
pub(crate) fn of_any_driver<const N: usize>(scenarios: [Scenario; N]) -> Vec<Scenario> {
    let wants = Some(OF_ANY_DRIVER);
    scenarios.into_iter().map(|scenario| Scenario { of_any_driver: true, wants, ..scenario }).collect()
}

/// The driver of the NIC is its test build, for the test bench of requests.
pub(crate) fn bench(settings: &mut Settings) {
    settings.bench = true;
}

/// A run with the test bench of requests that must be judged good.
pub(crate) fn on_bench(name: &'static str, description: &'static str, body: Body) -> Scenario {
    usual(name, description, body).prepare(bench)
}

/// A scenario's watchdog must not fire while the rig holds a gate.
pub(crate) fn no_watchdog(settings: &mut Settings) {
    settings.kernel.parameters.insert("WatchdogMs", 0);
}

/// The run's first fault is in this callback, or step, and its place holds these words: it is the one that was meant.
pub(crate) fn caused(facts: &Facts, callback: &str, words: &[&str]) -> Result<()> {
    let faults = judge(facts);
    let cause = faults.first().context("no fault")?;
    let meant = cause.callback == callback && words.iter().all(|words| cause.place.contains(words));
    ensure!(meant, "not in {callback:?} with {words:?}, but {}", fault_line(cause));
    Ok(())
}

impl Scenario {
    fn new(name: &'static str, description: &'static str, kind: Way) -> Self {
        Self {
            name,
            description,
            kind,
            prepare: |_| (),
            shows: |_| Ok(()),
            needs: &[],
            tool: || None,
            of_any_driver: false,
            wants: None,
        }
    }

    /// The same with these settings.
    pub fn prepare(self, prepare: Prepare) -> Self {
        Self { prepare, ..self }
    }

    /// The same, which looks for this in the facts.
    pub fn shows(self, shows: Shows) -> Self {
        Self { shows, ..self }
    }

    /// The same, whose body asks this of its guest, beyond what every guest does. What settings and driver need is seen from
    /// those. Every run on understudy checks it.
    pub fn needs(self, needs: &'static [Need]) -> Self {
        Self { needs, ..self }
    }

    /// The same, which takes any drivers and devices that have this.
    pub fn wants(self, wants: &'static [Want]) -> Self {
        Self { wants: Some(wants), ..self }
    }

    /// The same, which needs this tool.
    pub fn tool(self, tool: Tool) -> Self {
        Self { tool, ..self }
    }

    /// Whether it concerns any driver of the NIC ([`of_any_driver`]).
    pub fn is_of_any_driver(&self) -> bool {
        self.of_any_driver
    }

    /// Whether it takes packages of other projects.
    pub fn is_of_packages(&self) -> bool {
        self.wants.is_some()
    }

    /// Why it does not concern these drivers, or this device; `None` if it does.
    pub fn does_not_concern(&self, cast: &Cast) -> Option<String> {
        let wants = self.wants.unwrap_or_default();
        wants.iter().find(|want| !want.is_met(cast)).map(|want| format!("needs {want}"))
    }

    /// What this machine lacks that the scenario needs beyond the set-up; `None` if nothing.
    pub fn cannot_run_here(&self) -> Option<&'static str> {
        (self.tool)()
    }

    /// Why this guest cannot run it, as far as that is known beforehand; `None` if it can.
    pub fn cannot_run_on(&self, guest: &dyn Guest) -> Option<String> {
        let lacks = |need: Need| guest.lacks(need).map(|why| format!("needs {need}: {why}"));
        self.all_needs().into_iter().find_map(lacks)
    }

    /// The settings that it asks for, without files; the usual ones of a command.
    fn prepared(&self) -> Settings {
        let mut settings = Settings::new(Files::none());
        (self.prepare)(&mut settings);
        settings
    }

    /// Its settings; the NIC's driver is its test build where the test bench is wanted.
    fn make_ready(&self, settings: &mut Settings, built: &Built) -> Result<()> {
        (self.prepare)(settings);
        if settings.bench { take_test_build(settings, built, NIC) } else { Ok(()) }
    }

    /// The fault that its driver shows, if it has one.
    #[must_use]
    pub fn mutant(&self) -> Option<Mutant> {
        match self.kind {
            Way::Caught { mutant, .. } | Way::Endured { mutant, .. } => Some(mutant),
            _ => None,
        }
    }

    /// What it needs of its guest.
    fn all_needs(&self) -> Vec<Need> {
        let mut needs = self.prepared().needs();
        match self.kind {
            Way::Good(_) => {}
            Way::BothForms(_) => needs.extend([Need::Parameters, Need::Callbacks]),
            Way::Caught { .. } | Way::Endured { .. } => needs.push(Need::TestBuild),
            Way::Command(_) => needs.push(Need::OwnKernel),
        }
        needs.extend(self.needs);
        needs
    }

    /// The machine that it needs: scenarios equal in this can follow each other on one.
    pub fn machine(&self) -> pool::MachineKind {
        pool::MachineKind::of(&self.prepared())
    }

    /// Runs it under these circumstances; every session in it leaves its files for `evidence`. The error is [`Failed`],
    /// [`CannotRun`](lab::run::CannotRun), or whatever kept the run from taking place.
    pub fn run(&self, circumstances: &Circumstances, evidence: &Evidence) -> Result<()> {
        let Circumstances { guest, built, machines, .. } = circumstances;
        if let Way::Command(test) = self.kind {
            return test(&Trial { built: built.clone(), evidence: evidence.clone() });
        }
        let mut settings = circumstances.settings()?;
        settings.name = self.name;
        settings.command = format!("{} --exact {}", circumstances.again, self.name);
        settings.evidence = Some(evidence.clone());
        let place = (guest, machines.as_ref());
        match self.kind {
            Way::Good(body) => {
                self.make_ready(&mut settings, built)?;
                (self.shows)(&self.good(settings, place, body)?)
            }
            Way::Endured { mutant, body } => {
                take_test_build(&mut settings, built, mutant.driver())?;
                self.make_ready(&mut settings, built)?;
                settings.mutant = Some(mutant);
                (self.shows)(&self.good(settings, place, body)?)
            }
            Way::Caught { mutant, rules, body } => {
                take_test_build(&mut settings, built, mutant.driver())?;
                self.make_ready(&mut settings, built)?;
                // The same driver, behaving, passes: what is caught below is the mutant and nothing else.
                let whole =
                    Settings { evidence: Some(evidence.part("without-the-fault")), ..settings.clone() };
                self.good(whole, place, body).context("without the fault")?;
                settings.mutant = Some(mutant);
                settings.evidence = Some(evidence.part("with-the-fault"));
                let Judged { facts, violations, log, .. } = judged(settings, guest, place.1, body)?;
                if !violations.iter().any(|violation| rules.contains(&violation.rule.as_str())) {
                    let found = violations.first().map_or_else(|| "no fault".into(), fault_line);
                    let cause = format!("none of {rules:?} was found, but {found}");
                    return Err(Failed::new(cause, &facts, &violations, &log).into());
                }
                (self.shows)(&facts)
            }
            Way::BothForms(body) => {
                self.make_ready(&mut settings, built)?;
                let mut runs = Vec::new();
                for (number, name) in FORMS {
                    settings.kernel.parameters.insert("CancelForm", number);
                    settings.evidence = Some(evidence.part(name));
                    let facts = self.good(settings.clone(), place, body).context(name)?;
                    form::in_form(&facts, name)?;
                    runs.push(facts);
                }
                let [iterator, older] = &runs[..] else { bail!("two forms, {} runs", runs.len()) };
                form::same_fates(iterator, older)
            }
            Way::Command(_) => Ok(()),
        }
    }

    /// A run that must be judged good, and need of its guest exactly what the scenario declares.
    fn good(&self, settings: Settings, (guest, machines): Place<'_>, body: Body) -> Result<Facts> {
        let Judged { facts, violations, log, needed } = judged(settings, guest, machines, body)?;
        if let Some(first) = violations.first() {
            return Err(Failed::new(fault_line(first), &facts, &violations, &log).into());
        }
        let sorted = |needs: &[Need]| needs.iter().copied().collect::<BTreeSet<_>>();
        let (declared, needed) = (sorted(self.needs), sorted(&needed));
        ensure!(
            declared == needed,
            "the scenario declares that {} needs {declared:?}, and it needs {needed:?}",
            self.name
        );
        Ok(facts)
    }
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

/// What all scenarios of a test are run with.
pub struct Circumstances {
    /// The command that does it again, but for `--exact` and the scenario's name.
    pub again: String,
    /// The guest.
    pub guest: Arc<dyn Guest>,
    /// What the build has made.
    pub built: Built,
    /// Seed for what the guest may vary.
    pub seed: u64,
    /// Words of the guest kernel's command line for levels of rules.
    pub words: Vec<String>,
    /// Another project's driver in place of ours.
    pub foreign: Option<DriverFiles>,
    /// Other projects' drivers in the place of all of ours.
    pub packages: Vec<DriverFiles>,
    /// Those of ours that stay beside them.
    pub with: Vec<String>,
    /// The device.
    pub hardware: Hardware,
    /// Machines that run one scenario after another.
    pub machines: Option<Arc<Pool>>,
}

impl Circumstances {
    /// The files that take part.
    ///
    /// # Errors
    /// There is no driver of ours of a name that is wanted.
    pub fn files(&self) -> Result<Files> {
        let mut files = Files::shipped(&self.built);
        if let Some(foreign) = &self.foreign {
            files.take_over(foreign)?;
        }
        if !self.packages.is_empty() {
            files.give_way(&self.packages, &self.with)?;
        }
        Ok(files)
    }

    /// The settings that every run begins with.
    ///
    /// # Errors
    /// As above.
    pub fn settings(&self) -> Result<Settings> {
        let mut settings = Settings::new(self.files()?);
        settings.hardware = self.hardware.clone();
        settings.kernel.seed = self.seed;
        settings.kernel.words.clone_from(&self.words);
        Ok(settings)
    }
}

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
    pub(crate) fn new(cause: String, facts: &Facts, violations: &[Violation], log: &str) -> Self {
        Self { account: account(facts, violations, log), cause }
    }
}

/// The test build of a driver takes the place of the one that ships.
pub fn take_test_build(settings: &mut Settings, built: &Built, name: &'static str) -> Result<()> {
    let test_build = built.driver(name)?.test_build.as_ref().context("the test builds are not built")?;
    let driver = settings.files.driver(name)?;
    driver.symbols = test_build.path.with_extension("pdb");
    driver.image = test_build.clone();
    Ok(())
}

/// The steps, the faults and the guest's last lines.
fn account(facts: &Facts, violations: &[Violation], log: &str) -> String {
    let mut text: Vec<String> = facts.steps.iter().map(|step| step_line(step, Style::Plain)).collect();
    text.extend(violations.iter().map(fault_line));
    text.extend(facts.hangs.iter().map(Hang::to_string));
    text.extend(facts.stacks.iter().map(Stack::text));
    text.extend(facts.crashes.iter().map(Crash::text));
    text.push("end of the guest's log:".into());
    text.extend(log.lines().map(|line| format!("  {line}")));
    text.join("\n")
}
