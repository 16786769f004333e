//! A run: what a scenario does with a session, step by step, and what is kept of it.
//!
//! Every method that does something is a step: it is timed, told to whoever watches, and kept for the report. A step
//! that fails ends the scenario; the facts gathered up to then are judged all the same.

mod archive;
mod ask;
mod complete;
mod datapath;
mod end;
pub mod filter;
mod judged;
mod kept;
mod link;
pub mod memory;
mod packages;
pub mod programs;
pub mod requests;
mod stack;
mod timeline;
mod traffic;
pub(crate) mod trouble;
mod waits;

use crate::base::failure::one_line;
use crate::base::left::stand_aside_if_interrupted;
use crate::device::control::State;
use crate::facts::reports::sizes;
use crate::facts::{Facts, Origin, Step};
use crate::guest::agent::{AgentError, Pending};
use crate::guest::need::Need;
use crate::guest::symbols::Stack;
use crate::session::Session;
use crate::session::boot::Boot;
use crate::session::pool::Pool;
use crate::settings::Settings;
use crate::verdict::fault_of;
use agent_protocol::{Command, ListReport, QueueReport, QueueView, Violation};
use anyhow::{Context, Result, anyhow};
use cancelnic_registers::QueueId;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};
use trouble::Trouble;

pub use crate::device::control::{COMPLETE, FETCH, RX_WRITE, WIRE};
pub use crate::device::{RX, TX};
pub use archive::archive;
pub use datapath::Pausing;
pub use judged::{CannotRun, Judged, judged};
pub use packages::Load;

/// How long a guest is waited for that is asked about its queues after a failure: one that can answer answers at once.
const LAST_WORDS: Duration = Duration::from_secs(5);

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
pub(crate) enum Lives {
    GoOn,
    End,
}

/// The guest of a run: how it does what a scenario asks for. What a guest does not do in another way, it does as the
/// stand-in kernel does, which can be asked for everything.
pub trait Guest: Debug + Send + Sync {
    /// How its machine is started and ends.
    fn boot(&self) -> Arc<dyn Boot>;

    /// Why it cannot be asked for something; `None` if it can.
    fn lacks(&self, need: Need) -> Option<&'static str>;

    /// What it means that it holds other files than the run's.
    fn other_files(&self) -> &'static str;

    /// Ends the machine, or leaves it to the next scenario. Failures are steps of the run.
    fn end(&self, run: &mut Run, ended: Ended);

    /// Hands the drivers their parameters, where its start has not done so.
    fn configure(&self, _run: &mut Run) -> Result<()> {
        Ok(())
    }

    /// Hands `count` frames of 60 bytes in one fragment to a sender above the NIC.
    fn send(&self, run: &mut Run, count: u32) -> Result<()> {
        run.give(count, 60, 1, 0)
    }

    /// The step and the command that take the data path down, with EvtCancel called `cancels` times for each queue.
    fn pause(&self, cancels: u32) -> (&'static str, Command) {
        ("pause: cancel both queues", Command::Pause { cancels })
    }

    /// The step and the command that start the stopped data path again.
    fn restart(&self) -> (&'static str, Command) {
        ("restart both queues", Command::Restart)
    }

    /// Does what it takes for the data path to come down, before its end is waited for.
    fn help_down(&self, _run: &mut Run, _pausing: &Pausing) -> Result<()> {
        Ok(())
    }

    /// Waits, as a step, until the device cancels a queue.
    fn await_cancelling(&self, run: &mut Run, _pausing: &Pausing, queue: QueueId) -> Result<()> {
        run.await_device(queue, "CANCELLING", |queue| queue.state == State::Cancelling).map(drop)
    }

    /// Checks what must hold when the data path is down, beyond what always must; what is to be noted of it.
    fn check_down(&self, _run: &mut Run, _pausing: &Pausing) -> Result<&'static str> {
        Ok("")
    }

    /// Brings what is known of both queues up to date.
    fn look(&self, run: &mut Run) -> Result<()> {
        run.ask(Command::Report).map(drop)
    }

    /// The data path is down: every frame that was given has met its fate.
    fn close_books(&self, _run: &mut Run) -> Result<()> {
        Ok(())
    }

    /// Checks, as a step, how many frames were sent, were taken back by the hardware, and never came there.
    fn expect_fates(&self, run: &mut Run, expected: [u64; 3]) -> Result<()> {
        run.expect(FATES, sizes(&run.facts.tx), expected)
    }

    /// After a failure: has it report once more. Whether it has reported the fates that there are.
    fn hear_last(&self, run: &mut Run) -> bool {
        run.hear_last()
    }

    /// The run is over and the capture is read: fates that the guest has not reported are those that the device saw.
    fn complete_fates(&self, facts: &mut Facts, all_reported: bool) {
        if !all_reported {
            complete::complete(facts);
        }
    }

    /// It has been silent for so long: what stands behind it.
    fn explain_silence(&self, run: &mut Run, silence: Duration) -> anyhow::Error {
        run.session.interrogate(silence)
    }
}

/// What [`Guest::expect_fates`] looks at.
pub(crate) const FATES: &str = "[sent, taken back, never posted]";

/// How the steps of a run have ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// The guest has stopped with a bug check.
    pub stopped: bool,
    /// No step has failed.
    pub went_well: bool,
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
    pub(crate) trouble: Option<Trouble>,
    pub(crate) settings: Settings,
    guest: Arc<dyn Guest>,
    /// Machines of an image that run one scenario after another; without, the run starts one for itself.
    pool: Option<Arc<Pool>>,
    started: Instant,
    watcher: Watcher,
    next: u64,
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
    /// Starts a session as a separate step, or takes a machine of `pool` that runs.
    pub fn start(
        settings: Settings,
        guest: Arc<dyn Guest>,
        pool: Option<Arc<Pool>>,
        mut watcher: Watcher,
    ) -> Result<Self> {
        let started = Instant::now();
        let origin = Origin::now(settings.name, &settings.command);
        let waiting = pool.as_ref().map(|machines| machines.take(&settings)).transpose()?.flatten();
        let waited = waiting.is_some();
        let name = if waited { "take a machine that runs" } else { "start device, QEMU and guest" };
        watcher(StepEvent::Begins(name));
        let mut session = waiting.map_or_else(|| Session::start(&settings, &guest.boot()), Ok)?;
        session.keep_for(settings.evidence.clone());
        settings.files.check_held(&session.greeting.drivers).context(guest.other_files())?;
        let fates_untold = guest.lacks(Need::Fates).is_some();
        let mut facts = Facts {
            origin,
            seed: settings.kernel.seed,
            foreign_driver: settings.files.foreign,
            other_device: !settings.hardware.is_ours(),
            wire: settings.hardware.has_wire(),
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
            patience: guest.boot().patience().act(),
            mute: false,
            trouble: None,
            settings,
            guest: Arc::clone(&guest),
            pool,
            started,
            watcher,
            next: 1,
            receiving: None,
            ended_lives: Vec::new(),
            prints_read: 0,
            given_up: None,
            loaded: false,
            earlier: Default::default(),
            earlier_lists: ListReport::default(),
        };
        guest.configure(&mut run)?;
        Ok(run)
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
        match self.guest.lacks(need) {
            Some(why) => Err(AgentError::Unsupported(format!("{need}: {why}")).into()),
            None => Ok(()),
        }
    }
}
