//! A run: what a scenario does with a session, step by step, and what is kept of it.
//!
//! Every method that does something is a step: it is timed, told to whoever watches, and kept for the report. A step
//! that fails ends the scenario; the facts gathered up to then are judged all the same.

mod evidence;
pub mod filter;
pub mod programs;
pub mod requests;
mod stack;

use crate::agent::{AgentError, Pending};
use crate::capture::Capture;
use crate::control::Queue;
use crate::facts::{Facts, Sample, Step, Stretch};
use crate::failure::one_line;
use crate::guest::{Guest, Need};
use crate::hang::Hang;
use crate::process::stand_aside_if_interrupted;
use crate::reports::{describe, join, join_lists};
use crate::session::{LIMIT, Session};
use crate::settings::{Settings, Wire};
use crate::verdict::{runs, violation};
use agent_protocol::{Command, IoResult, ListReport, QueueReport, QueueView, Reply, Violation};
use anyhow::{Context, Result, anyhow, bail};
use evidence::Trouble;
use std::thread;
use std::time::{Duration, Instant};

/// The gates of the device: the queue and the gate's name.
pub type Gate = (&'static str, &'static str);
/// Before the device fetches a chain.
pub const FETCH: Gate = ("tx0", "fetch");
/// Before a frame goes on the wire.
pub const WIRE: Gate = ("tx0", "wire");
/// Between the wire and the used element.
pub const COMPLETE: Gate = ("tx0", "complete");
/// In the middle of a frame that is being written into a receive buffer.
pub const RX_WRITE: Gate = ("rx0", "rx-write");

/// Told of every step, as soon as it is over.
pub type Watcher = Box<dyn FnMut(&Step)>;

/// A pause that has been asked for and not been waited for.
#[derive(Debug)]
#[must_use = "a pause has to be finished"]
pub struct Pausing(Pending);

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
    /// A sign, on the agent's line, of the guest's end.
    trouble: Option<Trouble>,
    settings: Settings,
    started: Instant,
    watcher: Watcher,
    next: u64,
    /// Number of the file opened last.
    files: u32,
    /// Since when receive is up: frames that had left the wire then, and drops until then.
    receiving: Option<(u64, u64)>,
    /// Places in the guest's record at which its queues' lives ended.
    ended_lives: Vec<usize>,
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
        let session = Session::start(&settings)?;
        settings.files.check_held(&session.greeting.drivers).context(match &settings.home {
            Guest::Understudy => "understudy was given other files",
            Guest::Image(_) => "the image is of another build: make it anew",
        })?;
        let fates_untold = settings.home.lacks(Need::Fates).is_some();
        let mut facts = Facts {
            seed: settings.guest.seed,
            foreign_driver: settings.files.foreign,
            fates_untold,
            ..Facts::default()
        };
        let greeting = session.greeting.clone();
        let step = Step {
            name: "start device, QEMU and guest".into(),
            ok: true,
            at: Duration::ZERO,
            took: started.elapsed(),
            detail: format!("{} booted in {} ms", greeting.name(), greeting.boot.as_millis()),
        };
        facts.greeting = Some(greeting);
        watcher(&step);
        facts.steps.push(step);
        let mut run = Self {
            session,
            facts,
            patience: settings.home.patience().act(),
            trouble: None,
            settings,
            started,
            watcher,
            next: 1,
            files: 0,
            receiving: None,
            ended_lives: Vec::new(),
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
        let at = self.started.elapsed();
        let mut result = act(self);
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
        let step = Step { name: name.into(), ok, at, took: self.started.elapsed() - at, detail };
        (self.watcher)(&step);
        self.facts.steps.push(step);
        self.sample();
        result.map(|(value, _)| value)
    }

    /// Notes a fault, which ends the run as a failure.
    pub fn fault(&mut self, fault: Violation) -> anyhow::Error {
        let line = format!("{} in {} ({})", fault.rule, fault.callback, fault.place);
        self.facts.violations.push(fault);
        anyhow!(line)
    }

    /// A bug check is the fault of the rule that it names.
    fn name_bug_check(&mut self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast() {
            Ok(AgentError::BugCheck { violation, view, .. }) => self.note_bug_check(violation, view),
            Ok(error) => error.into(),
            Err(error) => error,
        }
    }

    fn note_bug_check(&mut self, violation: Violation, view: Option<Box<QueueView>>) -> anyhow::Error {
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
                Err(anyhow!("{what}: expected {expected:?}, saw {seen:?}"))
            }
        })
    }

    /// Loads the driver and brings its data path up.
    pub fn load(&mut self) -> Result<()> {
        self.step("load the drivers", |run| {
            run.ask(Command::Load)?;
            run.loaded = true;
            run.up()?;
            Ok(((), "both queues run".into()))
        })
    }

    /// Closes a gate.
    pub fn hold(&mut self, gate: Gate) -> Result<()> {
        self.gate(format!("hold the {} gate of {}", gate.1, gate.0), gate, false)
    }

    /// Opens a gate.
    pub fn release(&mut self, gate: Gate) -> Result<()> {
        self.gate(format!("open the {} gate of {}", gate.1, gate.0), gate, true)
    }

    fn gate(&mut self, name: String, (queue, gate): Gate, open: bool) -> Result<()> {
        self.step(name, |run| {
            let set = run.session.control.set_gate(queue, gate, open);
            set.map_err(|error| run.session.explain(error))?;
            Ok(((), String::new()))
        })
    }

    /// Lets `count` frames pass a closed gate.
    pub fn let_pass(&mut self, (queue, gate): Gate, count: u64) -> Result<()> {
        self.step(format!("let {count} pass the {gate} gate of {queue}"), |run| {
            let stepped = run.session.control.step_gate(queue, gate, count);
            stepped.map_err(|error| run.session.explain(error))?;
            Ok(((), String::new()))
        })
    }

    /// Moves the device's manual clock on.
    pub fn advance_clock(&mut self, us: u64) -> Result<()> {
        self.step(format!("advance the device's clock by {us} us"), |run| {
            let moved = run.session.control.call("clock.advance", serde_json::json!({ "us": us }));
            moved.map_err(|error| run.session.explain(error))?;
            Ok(((), String::new()))
        })
    }

    /// Hands `count` frames of 60 bytes in one fragment to the sender.
    pub fn send(&mut self, count: u32) -> Result<()> {
        self.send_as(count, 60, 1)
    }

    /// Hands `count` frames to the sender.
    pub fn send_as(&mut self, count: u32, len: u32, fragments: u32) -> Result<()> {
        self.give(count, len, fragments, 0)
    }

    fn give(&mut self, count: u32, len: u32, fragments: u32, cancel_id: u64) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let marked = if cancel_id == 0 { String::new() } else { format!(" with ID {cancel_id:#x}") };
        self.step(format!("send {count} frames{marked}"), |run| {
            let (first, last) = run.take_numbers(count);
            run.ask(Command::Send { first, count, len, fragments, cancel_id })?;
            Ok(((), format!("numbers {first} to {last}")))
        })
    }

    /// Numbers for `count` more frames, first to last, noted as given to a sender above the ring.
    fn take_numbers(&mut self, count: u32) -> (u64, u64) {
        let (first, last) = (self.next, self.next + u64::from(count) - 1);
        self.next = last + 1;
        self.facts.offered.0.push((first, last));
        (first, last)
    }

    /// Lets `count` frames of 60 bytes arrive at the device from outside.
    pub fn inject(&mut self, count: u32) -> Result<()> {
        let (first, last) = (self.next, self.next + u64::from(count) - 1);
        self.step(format!("{count} frames arrive at the device"), |run| {
            run.next = last + 1;
            run.facts.injected.0.push((first, last));
            let params = serde_json::json!({ "queue": "rx0", "first": first, "count": count, "len": 60 });
            let injected = run.session.control.call("rx.inject", params);
            injected.map_err(|error| run.session.explain(error))?;
            Ok(((), format!("numbers {first} to {last}")))
        })
    }

    /// Waits until the device's view of a queue is as wanted.
    pub fn await_device(
        &mut self,
        queue: &str,
        what: &str,
        holds: impl FnMut(&Queue) -> bool,
    ) -> Result<Queue> {
        self.step(format!("wait for {what}"), |run| {
            let seen = run.session.control.wait_for(queue, what, LIMIT, holds);
            let seen = seen.map_err(|error| run.session.explain(error))?;
            let detail = format!("{queue}: {}", seen.describe());
            Ok((seen, detail))
        })
    }

    /// Waits until the guest's view of both queues (tx, rx) is as wanted.
    pub fn await_guest(
        &mut self,
        what: &str,
        mut holds: impl FnMut(&QueueReport, &QueueReport) -> bool,
    ) -> Result<()> {
        self.step(format!("wait for {what}"), |run| {
            let deadline = Instant::now() + LIMIT;
            loop {
                run.ask(Command::Report)?;
                let (tx, rx) = (&run.facts.tx, &run.facts.rx);
                let detail = describe(tx, rx);
                if holds(tx, rx) {
                    return Ok(((), detail));
                }
                if Instant::now() >= deadline {
                    bail!("waited {} s for {what}, in vain: {detail}", LIMIT.as_secs());
                }
                thread::park_timeout(Duration::from_millis(1));
            }
        })
    }

    /// Takes the data path down: cancel, drain, stop.
    pub fn pause(&mut self) -> Result<()> {
        self.pause_cancelling(1)
    }

    /// The same with EvtCancel called `cancels` times for each queue.
    pub fn pause_cancelling(&mut self, cancels: u32) -> Result<()> {
        let pausing = self.begin_pause(cancels)?;
        self.finish_pause(&pausing)
    }

    /// Asks for a pause and does not wait for its end.
    pub fn begin_pause(&mut self, cancels: u32) -> Result<Pausing> {
        self.step("pause: cancel both queues", |run| {
            run.down()?;
            let pending = run.session.agent.begin(Command::Pause { cancels });
            let pending = pending.map_err(|error| run.session.explain(error))?;
            Ok((Pausing(pending), String::new()))
        })
    }

    /// Waits for the end of a pause: every packet and buffer is back, both queues have stopped.
    pub fn finish_pause(&mut self, pausing: &Pausing) -> Result<()> {
        self.step("every packet back, queues stopped", |run| {
            run.collect(&pausing.0, Lives::GoOn)?;
            run.expect_stopped()?;
            Ok(((), describe(&run.facts.tx, &run.facts.rx)))
        })
    }

    /// A pause may only be over when the device can touch nothing of the queue any more.
    fn expect_stopped(&mut self) -> Result<()> {
        for queue in ["tx0", "rx0"] {
            if queue == "tx0" && !self.settings.device.tx_cancel {
                continue;
            }
            let seen = self.session.control.queue(queue);
            let seen = seen.map_err(|error| self.session.explain(error))?;
            if seen.in_service && (seen.state != "STOPPED" || seen.writing != 0) {
                let place = format!("{queue}: {}", seen.describe());
                return Err(self.fault(violation("ReturnedBeforeStopped", "EvtCancel", place)));
            }
        }
        Ok(())
    }

    /// Starts the stopped data path again.
    pub fn restart(&mut self) -> Result<()> {
        self.step("restart both queues", |run| {
            run.ask(Command::Restart)?;
            run.up()?;
            Ok(((), "both queues run".into()))
        })
    }

    /// Leaves D0; the packet queues are destroyed.
    pub fn power_down(&mut self) -> Result<()> {
        self.step("power down", |run| {
            run.down()?;
            run.ask_ending(Command::PowerDown)?;
            Ok(((), describe(&run.facts.tx, &run.facts.rx)))
        })
    }

    /// Enters D0 again, with new packet queues.
    pub fn power_up(&mut self) -> Result<()> {
        self.step("power up with new queues", |run| {
            run.ask(Command::PowerUp)?;
            run.up()?;
            Ok(((), "both queues run".into()))
        })
    }

    /// Removes the device and unloads the driver.
    pub fn unload(&mut self) -> Result<()> {
        self.step("unload the drivers", |run| {
            run.down()?;
            run.ask_ending(Command::Unload)?;
            run.loaded = false;
            run.earlier = [run.facts.tx.clone(), run.facts.rx.clone()];
            run.earlier_lists = run.facts.lists.clone().unwrap_or_default();
            Ok(((), "nothing of them is left".into()))
        })
    }

    /// Stops the virtual machine's processor.
    pub fn stop_machine(&mut self) -> Result<()> {
        self.step("stop the virtual machine", |run| Ok((run.session.monitor.stop()?, String::new())))
    }

    /// Lets the virtual machine go on.
    pub fn continue_machine(&mut self) -> Result<()> {
        self.step("let the virtual machine go on", |run| Ok((run.session.monitor.cont()?, String::new())))
    }

    /// Both queues must run after a start; from here on what is sent has to arrive.
    fn up(&mut self) -> Result<()> {
        let seen = self.session.control.stats();
        let seen = seen.map_err(|error| self.session.explain(error))?;
        for name in ["tx0", "rx0"] {
            let queue = seen.queue(name).cloned().unwrap_or_default();
            if queue.state != "RUNNING" {
                let place = format!("{name}: STATE is {} after the start", queue.state);
                return Err(self.fault(violation("QueueNotResumed", "EvtStart", place)));
            }
        }
        let dropped = seen.queue("rx0").map_or(0, |rx| rx.dropped);
        self.receiving = seen.queue("tx0").map(|tx| (tx.sent + tx.off_wire, dropped));
        Ok(())
    }

    /// Receive goes down: what left the wire since it came up must arrive, but for what still waits at the device.
    fn down(&mut self) -> Result<()> {
        let Some((from, dropped_before)) = self.receiving.take() else { return Ok(()) };
        if self.settings.device.wire == Wire::Null {
            return Ok(());
        }
        let seen = self.session.control.stats();
        let seen = seen.map_err(|error| self.session.explain(error))?;
        if let (Some(tx), Some(rx)) = (seen.queue("tx0"), seen.queue("rx0")) {
            let to = (tx.sent + tx.off_wire).saturating_sub(rx.pending + rx.writing).max(from);
            let dropped = rx.dropped - dropped_before;
            self.facts.must_arrive.push(Stretch { from, to, dropped });
        }
        Ok(())
    }

    /// Sends a command, waits for its answer, keeps what it says of the queues.
    fn ask(&mut self, command: Command) -> Result<Option<IoResult>> {
        let pending = self.begin(command)?;
        self.collect(&pending, Lives::GoOn)
    }

    fn ask_ending(&mut self, command: Command) -> Result<()> {
        let pending = self.begin(command)?;
        self.collect(&pending, Lives::End).map(drop)
    }

    fn begin(&mut self, command: Command) -> Result<Pending> {
        self.session.agent.begin(command).map_err(|error| self.session.explain(error))
    }

    fn collect(&mut self, pending: &Pending, lives: Lives) -> Result<Option<IoResult>> {
        match self.session.agent.finish(pending, self.patience) {
            Ok(mut reply) => {
                let io = reply.io.take();
                self.keep(reply);
                if lives == Lives::End {
                    self.ended_lives.push(self.session.agent.heard());
                }
                Ok(io)
            }
            Err(AgentError::TimedOut(limit)) => {
                self.trouble = Some(Trouble::Silent);
                Err(self.find_kept(limit))
            }
            Err(error) => Err(self.session.explain(error)),
        }
    }

    /// A command does not end: shows every queue that is cancelled and not given back, and names the packets that the
    /// driver keeps although the device has given all back.
    fn find_kept(&mut self, limit: Duration) -> anyhow::Error {
        let report = self.session.agent.call(Command::Report, self.patience.min(LIMIT));
        let (Ok(report), Ok(hangs)) = (report, self.hangs()) else {
            return self.session.explain(AgentError::TimedOut(limit));
        };
        self.keep(report);
        self.facts.hangs.extend(hangs);
        match self.session.control.queue("tx0") {
            Ok(seen) => {
                let outstanding = &self.facts.tx.outstanding;
                let owed = seen.available + seen.fetched + seen.on_wire + seen.off_wire;
                if !outstanding.is_empty() && seen.state == "STOPPED" && owed == 0 {
                    let place = format!("tx0: frames {}", runs(outstanding));
                    return self.fault(violation("PacketKept", "EvtCancel", place));
                }
                anyhow!(
                    "not done within {} ms: {}; device: {}",
                    limit.as_millis(),
                    describe(&self.facts.tx, &self.facts.rx),
                    seen.describe()
                )
            }
            Err(_) => self.session.explain(AgentError::TimedOut(limit)),
        }
    }

    /// Every queue that is cancelled and not given back at this moment.
    fn hangs(&mut self) -> Result<Vec<Hang>, AgentError> {
        let inspected = self.session.agent.call(Command::Inspect, self.patience.min(LIMIT))?;
        let kept = |view: &&QueueView| view.packets.owned() != 0 || view.fragments.owned() != 0;
        let hanging = inspected.views.iter().filter(|view| view.cancelled).filter(kept);
        Ok(hanging.map(|view| self.hang(view)).collect())
    }

    /// The same as a step, for a pause that a scenario keeps from ending.
    pub fn look_for_hangs(&mut self) -> Result<Vec<Hang>> {
        self.step("look for queues not given back", |run| {
            let hangs = run.hangs().map_err(|error| run.session.explain(error))?;
            let detail = hangs.iter().map(Hang::title).collect::<Vec<_>>().join(", ");
            Ok((hangs, detail))
        })
    }

    /// The device's word on a queue that hangs, beside the guest's.
    fn hang(&mut self, view: &QueueView) -> Hang {
        let device = self.session.control.queue(&view.queue).ok();
        Hang::new(view, device.as_ref())
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

    /// Notes the state of the device's queues for the time line.
    fn sample(&mut self) {
        let Ok(stats) = self.session.control.stats() else { return };
        let at = self.started.elapsed();
        for queue in stats.queues {
            let state = if queue.in_service { queue.state } else { "-".into() };
            let last = self.facts.states.iter().rev().find(|sample| sample.queue == queue.queue);
            if last.is_none_or(|last| last.state != state) {
                self.facts.states.push(Sample { at, queue: queue.queue, state });
            }
        }
    }

    /// Ends the run: unloads if the scenario went well and left the driver loaded, powers off, reads the capture.
    pub fn finish(mut self, scenario: Result<()>) -> (Facts, Session) {
        if scenario.is_ok() && self.loaded {
            // A failure is a step like any other: it stands in the facts.
            let _ = self.unload();
        }
        if let Ok(stats) = self.session.control.stats() {
            self.facts.device = stats;
        }
        let bug_check = self.session.bug_check();
        let stopped = bug_check.is_some();
        if let Some(AgentError::BugCheck { violation, view, .. }) = bug_check
            && !self.facts.violations.contains(&violation)
        {
            // A step that failed for another reason, as the machine was off already.
            self.note_bug_check(violation, view);
        }
        let went_well = self.facts.steps.iter().all(|step| step.ok);
        let on_an_image = self.settings.home.image().is_some();
        if on_an_image && (stopped || !went_well) {
            self.take_evidence();
            let _ = self.step("switch the machine off", |run| Ok((run.session.abandon()?, String::new())));
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
        crate::timeline::collect(&self.session, self.started, &self.ended_lives, &mut self.facts);
        match Capture::read(&self.session.capture()) {
            Ok(capture) => self.facts.capture = capture,
            Err(error) => self.facts.violations.push(violation("NoCapture", "", one_line(&error))),
        }
        (self.facts, self.session)
    }
}
