//! A run: what a scenario does with a session, step by step, and what is kept of it.
//!
//! Every method that does something is a step: it is timed, told to whoever watches, and kept for the report. A step
//! that fails ends the scenario; the facts gathered up to then are judged all the same.

mod datapath;
mod evidence;
pub mod filter;
mod kept;
pub mod programs;
pub mod requests;
mod stack;
mod traffic;
mod waits;

use crate::agent::{AgentError, Pending};
use crate::device_trace;
use crate::facts::{Facts, Origin, Step};
use crate::failure::one_line;
use crate::guest::{Guest, Need};
use crate::outside;
use crate::process::stand_aside_if_interrupted;
use crate::reports::{join, join_lists};
use crate::session::Session;
use crate::settings::Settings;
use crate::symbols::Stack;
use crate::verdict::{fault_of, violation};
use crate::wait::{InVain, Limits, Look};
use agent_protocol::{Command, IoResult, ListReport, QueueReport, QueueView, Reply, Violation};
use anyhow::{Context, Result, anyhow};
use evidence::Trouble;
use std::time::{Duration, Instant};

pub use crate::control::{COMPLETE, FETCH, RX_WRITE, WIRE};
pub use datapath::Pausing;

/// How long a guest is waited for that is asked about its queues after a failure: one that can answer answers at once.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// How long one look for an answer of the guest may take: in between is looked whether it can still come.
const ANSWER: Duration = Duration::from_millis(20);

/// What a run tells of its steps while it goes on.
#[derive(Debug, Clone, Copy)]
pub enum StepEvent<'a> {
    /// The step of this name has begun. Steps can be parts of others.
    Begins(&'a str),
    /// The step that began last and was not over is over.
    Ends(&'a Step),
}

/// Told of every step when it begins and when it is over.
pub type Watcher = Box<dyn FnMut(StepEvent<'_>)>;

/// How an answer about both queues came: with which command the lives of the queues ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lives {
    GoOn,
    End,
}

/// A scenario's hold on a session.
pub struct Run {
    /// The machinery, for what no method here does.
    pub session: Session,
    /// What is known up to now; completed by [`Run::finish`].
    pub facts: Facts,
    /// How long an answer may take.
    pub patience: Duration,
    /// The guest does not even answer what it can answer at once.
    mute: bool,
    /// A sign, on the agent's line, of the guest's end.
    trouble: Option<Trouble>,
    settings: Settings,
    started: Instant,
    watcher: Watcher,
    next: u64,
    /// Frames that were sent where the scenario has them taken back.
    surplus: u64,
    /// Whether gates were opened in the data path's last way down.
    gates_opened: bool,
    /// Since when receive is up: frames that had left the wire then, and drops until then.
    receiving: Option<(u64, u64)>,
    /// Places in the guest's record at which its queues' lives ended.
    ended_lives: Vec<usize>,
    /// How much of the guest's record has been read for lines of the drivers.
    prints_read: usize,
    /// The driver has given the device up, which the scenario does not expect.
    given_up: Option<Violation>,
    loaded: bool,
    /// What the queues of drivers that have been unloaded did.
    earlier: [QueueReport; 2],
    /// What the overlying driver's lists did then.
    earlier_lists: ListReport,
}

impl Run {
    /// Starts a session as a step of its own.
    pub fn start(settings: Settings, mut watcher: Watcher) -> Result<Self> {
        let started = Instant::now();
        let origin = Origin::now(settings.name, &settings.command);
        let waiting =
            settings.machines.as_ref().map(|machines| machines.take(&settings)).transpose()?.flatten();
        let waited = waiting.is_some();
        let name = if waited { "take a machine that runs" } else { "start device, QEMU and guest" };
        watcher(StepEvent::Begins(name));
        let mut session = waiting.map_or_else(|| Session::start(&settings), Ok)?;
        session.keep_for(settings.evidence.clone());
        settings.files.check_held(&session.greeting.drivers).context(match &settings.home {
            Guest::Understudy => "understudy was given other files",
            Guest::Image(_) => "the image is of another build: make it anew",
        })?;
        let fates_untold = settings.home.lacks(Need::Fates).is_some();
        let mut facts = Facts {
            origin,
            seed: settings.guest.seed,
            foreign_driver: settings.files.foreign,
            fates_untold,
            ..Facts::default()
        };
        let greeting = session.greeting.clone();
        let step = Step {
            name: name.into(),
            ok: true,
            at: Duration::ZERO,
            took: started.elapsed(),
            detail: match session.ran() {
                [] => format!("{} booted in {} ms", greeting.name(), greeting.boot.as_millis()),
                ran => format!("{}; it has run {}", greeting.name(), ran.join(", ")),
            },
        };
        facts.greeting = Some(greeting);
        watcher(StepEvent::Ends(&step));
        facts.steps.push(step);
        let mut run = Self {
            session,
            facts,
            patience: settings.home.patience().act(),
            mute: false,
            trouble: None,
            settings,
            started,
            watcher,
            next: 1,
            surplus: 0,
            gates_opened: false,
            receiving: None,
            ended_lives: Vec::new(),
            prints_read: 0,
            given_up: None,
            loaded: false,
            earlier: Default::default(),
            earlier_lists: ListReport::default(),
        };
        run.configure()?;
        Ok(run)
    }

    /// A guest on an image has no command line to read its drivers' parameters from.
    fn configure(&mut self) -> Result<()> {
        let parameters = self.settings.parameters();
        if self.settings.home.image().is_none() || parameters.is_empty() {
            return Ok(());
        }
        let set = parameters.iter().map(|(name, value)| format!("{name} = {value}"));
        let set = set.collect::<Vec<_>>().join(", ");
        let parameters = parameters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.step("set the drivers' parameters", |run| {
            run.ask(Command::Configure { parameters })?;
            Ok(((), set))
        })
    }

    /// Carries out a step: `act` says in a line what was seen.
    pub fn step<T>(
        &mut self,
        name: impl Into<String>,
        act: impl FnOnce(&mut Self) -> Result<(T, String)>,
    ) -> Result<T> {
        let name = name.into();
        (self.watcher)(StepEvent::Begins(&name));
        let at = self.started.elapsed();
        let mut result = act(self).and_then(|done| self.check_driver().map(|()| done));
        if let Err(error) = result {
            stand_aside_if_interrupted();
            self.trouble = self.trouble.or(Trouble::of(&error));
            if let Some(AgentError::Unsupported(why)) = error.downcast_ref() {
                self.facts.refused.get_or_insert_with(|| why.clone());
            }
            result = Err(self.name_bug_check(error));
        }
        let (ok, detail) = match &result {
            Ok((_, detail)) => (true, detail.clone()),
            Err(error) => (false, one_line(error)),
        };
        let step = Step { name, ok, at, took: self.started.elapsed() - at, detail };
        (self.watcher)(StepEvent::Ends(&step));
        self.facts.steps.push(step);
        result.map(|(value, _)| value)
    }

    /// Notes a fault, which ends the run as a failure.
    pub fn fault(&mut self, fault: Violation) -> anyhow::Error {
        let line = fault_of(&fault);
        self.facts.violations.push(fault);
        anyhow!(line)
    }

    /// A bug check is the fault of the rule that it names.
    fn name_bug_check(&mut self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast() {
            Ok(AgentError::BugCheck { violation, view, stack, .. }) => {
                self.note_bug_check(violation, view, stack)
            }
            Ok(error) => error.into(),
            Err(error) => error,
        }
    }

    fn note_bug_check(
        &mut self,
        violation: Violation,
        view: Option<Box<QueueView>>,
        stack: Option<Box<Stack>>,
    ) -> anyhow::Error {
        self.facts.stacks.extend(stack.map(|stack| *stack));
        if let Some(view) = view {
            let hang = self.hang(&view);
            self.facts.hangs.push(hang);
        }
        self.fault(violation)
    }

    /// Checks what a scenario expects, as a step.
    pub fn expect<T: PartialEq + std::fmt::Debug>(&mut self, what: &str, seen: T, expected: T) -> Result<()> {
        self.step(format!("expect {what}"), |_| {
            if seen == expected {
                Ok(((), format!("{seen:?}")))
            } else {
                Err(anyhow!("expected {expected:?}, saw {seen:?}"))
            }
        })
    }

    /// What comes next needs this of the guest. A guest that lacks it ends the run here.
    pub fn require(&mut self, need: Need) -> Result<()> {
        self.facts.needed.insert(need);
        match self.settings.home.lacks(need) {
            Some(why) => Err(AgentError::Unsupported(format!("{need}: {why}")).into()),
            None => Ok(()),
        }
    }

    /// Looks at the device and its capture, for a guest that tells no frame's fate.
    fn look_from_outside(&mut self) -> Result<()> {
        self.facts.device = self.session.control.stats().map_err(|error| self.session.explain(error))?;
        self.facts.capture = self.session.read_capture()?;
        outside::look(&mut self.facts);
        Ok(())
    }

    /// The data path is down: every frame that was given has met its fate.
    fn settle(&mut self) -> Result<()> {
        if self.facts.fates_untold {
            self.look_from_outside()?;
            outside::settle(&mut self.facts);
        }
        Ok(())
    }

    /// Sends a command, waits for its answer, keeps what it says of the queues.
    fn ask(&mut self, command: Command) -> Result<Option<IoResult>> {
        let pending = self.begin(command)?;
        self.collect(&pending, Lives::GoOn)
    }

    fn begin(&mut self, command: Command) -> Result<Pending> {
        if let Some(need) = Need::of(&command) {
            self.require(need)?;
        }
        self.session.agent.begin(command).map_err(|error| self.session.explain(error))
    }

    fn collect(&mut self, pending: &Pending, lives: Lives) -> Result<Option<IoResult>> {
        let answered = self.wait_at_most(Limits::of(self.patience), "the guest's answer", |run| {
            match run.session.agent.finish(pending, ANSWER) {
                Err(AgentError::TimedOut(_)) => Ok(Look::NotYet(format!(
                    "{}; {} callbacks over",
                    run.device_line()?,
                    run.session.agent.events()
                ))),
                answered => Ok(Look::Found(answered)),
            }
        });
        let mut reply = match answered {
            Ok(answered) => answered.map_err(|error| self.session.explain(error))?,
            Err(error) => match error.downcast::<InVain>() {
                Ok(in_vain) => {
                    self.trouble = Some(Trouble::Silent);
                    return Err(self.find_kept(in_vain.how.waited()));
                }
                Err(error) => return Err(error),
            },
        };
        let io = reply.io.take();
        self.keep(reply);
        if lives == Lives::End {
            self.ended_lives.push(self.session.agent.heard());
        }
        Ok(io)
    }

    fn keep(&mut self, reply: Reply) {
        if let Some(lists) = reply.lists {
            self.facts.lists = Some(join_lists(&self.earlier_lists, lists));
        }
        for report in reply.queues {
            match report.queue.as_str() {
                "tx0" => self.facts.tx = join(&self.earlier[0], report),
                "rx0" => self.facts.rx = join(&self.earlier[1], report),
                _ => {}
            }
        }
    }

    /// After a failure: asks the guest once more about its queues, so that what is judged is as complete as can be.
    /// Whether the guest has reported the fates that there are.
    fn hear_last(&mut self) -> bool {
        if self.facts.steps.iter().all(|step| step.ok) || self.facts.fates_untold {
            return true;
        }
        if self.mute || self.trouble == Some(Trouble::Gone) || self.session.agent.bug_check().is_some() {
            return false;
        }
        match self.session.agent.call(Command::Report, LAST_WORDS) {
            Ok(report) => {
                self.keep(report);
                true
            }
            // A guest that refuses to report, before its drivers are loaded say, has no frames.
            Err(AgentError::Failed(_) | AgentError::Unsupported(_)) => true,
            Err(_) => false,
        }
    }

    /// Ends the run: unloads if the scenario went well and left the driver loaded, powers off, reads the capture.
    pub fn finish(mut self, scenario: Result<()>) -> (Facts, Session) {
        if scenario.is_ok() && self.loaded {
            // A failure is a step like any other: it stands in the facts.
            let _ = self.unload();
        }
        let fates_are_known = self.hear_last();
        match self.session.control.stats() {
            Ok(stats) => self.facts.device = stats,
            // A device that has gone is named by the step that missed it. It leaves when QEMU does, and QEMU when the guest
            // has stopped: the guest's last words may still be on their way.
            Err(_) if self.facts.steps.iter().any(|step| !step.ok) => self.session.hear_out(),
            Err(error) => self.facts.violations.push(violation("NoDeviceCounts", "", one_line(&error))),
        }
        let bug_check = self.session.bug_check();
        let stopped = bug_check.is_some();
        if let Some(AgentError::BugCheck { violation, view, stack, .. }) = bug_check
            && !self.facts.violations.contains(&violation)
        {
            // A step that failed for another reason, as the machine was off already.
            self.note_bug_check(violation, view, stack);
        }
        let went_well = self.facts.steps.iter().all(|step| step.ok);
        let on_an_image = self.settings.home.image().is_some();
        if on_an_image && (stopped || !went_well) {
            self.take_evidence();
            let _ = self.step("switch the machine off", |run| Ok((run.session.abandon()?, String::new())));
        } else if went_well && self.settings.machines.is_some() {
            // It may run another scenario once this one is judged.
        } else if stopped || went_well {
            let _ = self.step("power off", |run| {
                if stopped {
                    run.session.end_after_bug_check()?
                } else {
                    run.session.end()?
                }
                Ok(((), String::new()))
            });
        }
        if let Err(error) = scenario
            && self.facts.steps.iter().all(|step| step.ok)
        {
            self.facts.violations.push(violation("ScenarioFailed", "", one_line(&error)));
        }
        self.facts.origin.lasted = self.started.elapsed();
        crate::timeline::collect(&self.session, self.started, &self.ended_lives, &mut self.facts);
        match self.session.read_capture() {
            Ok(capture) => self.facts.capture = capture,
            Err(error) => self.facts.violations.push(violation("NoCapture", "", one_line(&error))),
        }
        match device_trace::states(&self.session.folder().join("trace.json"), self.facts.origin.monotonic_us)
        {
            Ok(states) => self.facts.states = states,
            Err(error) => self.facts.violations.push(violation("NoTrace", "", one_line(&error))),
        }
        if self.facts.fates_untold {
            outside::look(&mut self.facts);
        } else if !fates_are_known {
            outside::complete(&mut self.facts);
        }
        (self.facts, self.session)
    }
}
