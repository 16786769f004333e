//! How each cell of the matrix is brought about: what is sent, where the guest's framework is held, who goes first.

use crate::run::Run;
use crate::run::programs::Controlling;
use crate::run::requests::{Logged, Requests};
use crate::session::LIMIT;
use anyhow::{Context, Result, bail, ensure};
use cancelnic_ioctl::Header;
use cancelnic_ioctl::nic::{self, CancelEvent, Status, Wait, behaviour, queue};
use cancelnic_ioctl::relay::{Outcome, Send, TargetAnswer, option, phase, target};
use std::thread;
use std::time::{Duration, Instant};
use zerocopy::IntoBytes;

/// Brings a cell about.
pub type Act = fn(&mut Run, &mut Stage) -> Result<()>;

/// Longer than any run, in 100 ns from now on.
const LONG: i64 = -600_000_000_000;
/// Long enough that the receiver has the request before, in 100 ns from now on.
const SHORT: i64 = -3_000_000;

/// One cell's request, and what was seen of it.
pub struct Stage {
    pub requests: Requests,
    /// Whether it is sent with a completion routine.
    pub routine: bool,
    /// The relay's slot, and the request's tag at the NIC.
    slot: u32,
    tag: u32,
    /// What the recall returned.
    pub returned: Option<bool>,
    /// Final status.
    pub status: Option<u32>,
    /// Both drivers' logs.
    pub log: Vec<Logged>,
}

impl Stage {
    pub fn new(requests: Requests, routine: bool, number: u32) -> Self {
        Self { requests, routine, slot: 3, tag: number, returned: None, status: None, log: Vec::new() }
    }

    /// A send of the slot's request.
    fn send_with(&self, behaviour: u32, options: u32, timeout: i64) -> Send {
        Send {
            header: Header::of::<Send>(),
            slot: self.slot,
            options,
            timeout,
            routine: self.routine.into(),
            reserved: 0,
            tag: self.tag,
            behaviour,
        }
    }

    /// Makes the request and sends it, asynchronously; it must be sent.
    fn sent(&self, run: &mut Run, behaviour: u32) -> Result<()> {
        self.requests.create(run, self.slot)?;
        let sent = self.requests.send(run, &self.send_with(behaviour, 0, 0))?;
        ensure!(sent.returned == 1, "not sent: {sent:?}");
        Ok(())
    }

    /// Makes the request and begins to send it.
    fn sending(&self, run: &mut Run, behaviour: u32, options: u32, timeout: i64) -> Result<Controlling> {
        self.requests.create(run, self.slot)?;
        self.requests.begin_send(run, &self.send_with(behaviour, options, timeout))
    }

    fn recall(&mut self, run: &mut Run) -> Result<()> {
        let outcome = self.requests.cancel(run, self.slot)?;
        self.returned = Some(outcome.returned == 1);
        ensure!(outcome.irql == 0, "recalled at IRQL {}", outcome.irql);
        Ok(())
    }

    fn recalled(&mut self, run: &mut Run, recalling: &Controlling) -> Result<()> {
        let outcome: Outcome = self.requests.finish(run, recalling)?;
        self.returned = Some(outcome.returned == 1);
        Ok(())
    }

    /// Takes what the logs have by now.
    fn take_log(&mut self, run: &mut Run) -> Result<()> {
        self.log.extend(self.requests.log(run)?);
        self.log.sort_by_key(|logged| logged.record.at);
        Ok(())
    }

    /// Waits until something stands in the logs.
    pub fn await_logged(&mut self, run: &mut Run, what: &str) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            self.take_log(run)?;
            if self.log.iter().any(|logged| logged.what() == what) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                bail!("no {what} in the logs");
            }
            thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// The end: the logs, the final status, and that the completion routine ran as often as it should.
    fn over(&mut self, run: &mut Run) -> Result<()> {
        self.take_log(run)?;
        let state = self.requests.state(run, self.slot)?;
        self.status = Some(state.status);
        if self.routine {
            ensure!(state.phase == phase::DONE, "the request has not ended: {state:?}");
        }
        Ok(())
    }

    /// Leaves nothing behind.
    pub fn clear(&self, run: &mut Run) -> Result<()> {
        if self.requests.state(run, self.slot)?.phase != phase::EMPTY {
            self.requests.delete(run, self.slot)?;
        }
        Ok(())
    }

    /// Runs `first` until it waits at `window`, then `then`, then lets it go on and waits for its end.
    fn race(
        &mut self,
        run: &mut Run,
        window: &str,
        first: impl FnOnce(&mut Run, &mut Self) -> Result<Controlling>,
        then: impl FnOnce(&mut Run, &mut Self) -> Result<()>,
    ) -> Result<Controlling> {
        let before = run.held_at(window);
        run.hold_window(window)?;
        let begun = first(run, self)?;
        run.await_held(window, before)?;
        then(run, self)?;
        run.release_window(window)?;
        Ok(begun)
    }

    /// Begins a program's request that the relay passes on.
    fn passing(&self, run: &mut Run, behaviour: u32, options: u32, routine: bool) -> Result<Controlling> {
        self.requests.pass(run, self.slot, options, routine)?;
        let wait = Wait::new(self.tag, behaviour);
        let room = size_of::<CancelEvent>() as u32;
        run.begin_control("a program's request", self.requests.relay, nic::WAIT, wait.as_bytes(), room)
    }
}

/// A mark that is made late must come out as expected.
fn expect_status(what: &str, seen: u32, expected: u32) -> Result<()> {
    ensure!(seen == expected, "{what}: {seen:#010x}, expected {expected:#010x}");
    Ok(())
}

pub fn never_sent(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let requests = stage.requests;
    requests.create(run, stage.slot)?;
    stage.recall(run)?;
    let send = stage.send_with(behaviour::CANCELABLE, 0, 0);
    let refused = requests.send(run, &send)?;
    ensure!(refused.returned == 0, "sent although it was recalled");
    stage.take_log(run)?;
    stage.status = Some(refused.status);
    // reused, it can be sent, and recalled, like any other
    expect_status("reuse", requests.reuse(run, stage.slot)?.status, 0)?;
    ensure!(requests.send(run, &send)?.returned == 1, "not sent after it was reused");
    ensure!(requests.cancel(run, stage.slot)?.returned == 1, "not recalled after it was reused");
    Ok(())
}

pub fn counted_then_recalled(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let sending = stage.race(
        run,
        "wdf.send.counted",
        |run, stage| stage.sending(run, behaviour::CANCELABLE, 0, 0),
        |run, stage| stage.recall(run),
    )?;
    let refused: Outcome = stage.requests.finish(run, &sending)?;
    ensure!(refused.returned == 0, "sent although it was recalled");
    stage.take_log(run)?;
    stage.status = Some(refused.status);
    Ok(())
}

pub fn counted_and_held(run: &mut Run, stage: &mut Stage) -> Result<()> {
    const COUNTED: &str = "wdf.send.counted";
    let before = run.held_at(COUNTED);
    run.hold_window(COUNTED)?;
    let sending = stage.sending(run, behaviour::CANCELABLE, 0, 0)?;
    run.await_held(COUNTED, before)?;
    let recalling = stage.race(
        run,
        "wdf.cancel.counted",
        |run, stage| stage.requests.begin_cancel(run, stage.slot),
        |run, stage| {
            run.release_window(COUNTED)?;
            let sent: Outcome = stage.requests.finish(run, &sending)?;
            ensure!(sent.returned == 1, "refused although the canceller completes it");
            Ok(())
        },
    )?;
    stage.recalled(run, &recalling)?;
    stage.over(run)
}

pub fn queued(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.requests.queue(run, queue::WAIT, nic::action::STOP)?;
    stage.sent(run, behaviour::CANCELABLE)?;
    let seen = stage.requests.queue(run, queue::WAIT, nic::action::NONE)?;
    ensure!((seen.queued, seen.owned) == (1, 0), "not in the queue: {seen:?}");
    stage.recall(run)?;
    stage.requests.queue(run, queue::WAIT, nic::action::START)?;
    stage.over(run)
}

pub fn leaving_the_queue(run: &mut Run, stage: &mut Stage) -> Result<()> {
    const SUBMITTED: &str = "wdf.send.submitted";
    const FLAGGED: &str = "wdf.cancel.flagged";
    const PRESENT: &str = "wdf.queue.before-present";

    // A window holds whoever comes first, the programs' own control requests too: both sides are past their own
    // presentation, at windows of their own, when this one is held.
    let before = run.held_at(SUBMITTED);
    run.hold_window(SUBMITTED)?;
    let sending = stage.sending(run, behaviour::CANCELABLE, 0, 0)?;
    run.await_held(SUBMITTED, before)?;
    let before = run.held_at(FLAGGED);
    run.hold_window(FLAGGED)?;
    let recalling = stage.requests.begin_cancel(run, stage.slot)?;
    run.await_held(FLAGGED, before)?;
    let before = run.held_at(PRESENT);
    run.hold_window(PRESENT)?;
    run.release_window(SUBMITTED)?;
    run.await_held(PRESENT, before)?;
    run.release_window(FLAGGED)?;
    stage.recalled(run, &recalling)?;
    run.release_window(PRESENT)?;
    let sent: Outcome = stage.requests.finish(run, &sending)?;
    ensure!(sent.returned == 1, "not sent");
    stage.over(run)
}

pub fn parked(run: &mut Run, stage: &mut Stage) -> Result<()> {
    const STATUS_WDF_QUEUED: u32 = 0x4020_0000;
    stage.requests.target(run, target::STOP_LEAVE)?;
    stage.sent(run, behaviour::CANCELABLE)?;
    let state = stage.requests.state(run, stage.slot)?;
    expect_status("while it is parked", state.status, STATUS_WDF_QUEUED)?;
    stage.recall(run)?;
    stage.over(run)?;
    let started = stage.requests.target(run, target::START)?;
    expect_status("start", started.status, 0)
}

pub fn parked_and_started(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.requests.target(run, target::STOP_LEAVE)?;
    stage.sent(run, behaviour::CANCELABLE)?;
    let starting = stage.race(
        run,
        "wdf.send.submitted",
        |run, stage| stage.requests.begin_target(run, target::START),
        |run, stage| stage.recall(run),
    )?;
    let started: TargetAnswer = stage.requests.finish(run, &starting)?;
    expect_status("start", started.status, 0)?;
    stage.over(run)
}

pub fn cancelable(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::CANCELABLE)?;
    stage.recall(run)?;
    stage.over(run)
}

pub fn recalled_then_unmarked(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::CANCELABLE)?;
    let recalling = stage.race(
        run,
        "wdf.cancel.routine-taken",
        |run, stage| stage.requests.begin_cancel(run, stage.slot),
        |run, stage| {
            let unmarked = stage.requests.complete(run, stage.tag, super::SUCCESS)?;
            expect_status("unmark", unmarked, super::CANCELLED)
        },
    )?;
    stage.recalled(run, &recalling)?;
    stage.over(run)
}

/// The receiver completes it, held at `window` while it is recalled.
fn complete_and_recall(run: &mut Run, stage: &mut Stage, behaviour: u32, window: &str) -> Result<()> {
    stage.sent(run, behaviour)?;
    let completing = stage.race(
        run,
        window,
        |run, stage| stage.requests.begin_complete(run, stage.tag, super::SUCCESS),
        |run, stage| stage.recall(run),
    )?;
    let unmarked: Status = stage.requests.finish(run, &completing)?;
    expect_status("unmark", unmarked.status, super::SUCCESS)?;
    stage.over(run)
}

pub fn unmarked_then_recalled(run: &mut Run, stage: &mut Stage) -> Result<()> {
    complete_and_recall(run, stage, behaviour::CANCELABLE, "wdf.complete.entered")
}

pub fn completed_then_recalled(run: &mut Run, stage: &mut Stage) -> Result<()> {
    complete_and_recall(run, stage, behaviour::NOT_CANCELABLE, "wdf.complete.before-routine")
}

pub fn not_cancelable(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::NOT_CANCELABLE)?;
    stage.recall(run)?;
    let completed = stage.requests.complete(run, stage.tag, super::SUCCESS)?;
    expect_status("complete", completed, super::SUCCESS)?;
    stage.over(run)
}

fn recall_then_mark(run: &mut Run, stage: &mut Stage, ex: bool, expected: u32) -> Result<()> {
    stage.sent(run, behaviour::NOT_CANCELABLE)?;
    stage.recall(run)?;
    let marked = stage.requests.mark(run, stage.tag, ex)?;
    expect_status("mark", marked, expected)?;
    stage.over(run)
}

pub fn recalled_then_marked_ex(run: &mut Run, stage: &mut Stage) -> Result<()> {
    recall_then_mark(run, stage, true, super::CANCELLED)
}

pub fn recalled_then_marked(run: &mut Run, stage: &mut Stage) -> Result<()> {
    recall_then_mark(run, stage, false, super::SUCCESS)
}

/// The receiver marks it, held at `window` while it is recalled.
fn mark_and_recall(run: &mut Run, stage: &mut Stage, window: &str, expected: u32) -> Result<()> {
    stage.sent(run, behaviour::NOT_CANCELABLE)?;
    let marking = stage.race(
        run,
        window,
        |run, stage| stage.requests.begin_mark(run, stage.tag, true),
        |run, stage| stage.recall(run),
    )?;
    let marked: Status = stage.requests.finish(run, &marking)?;
    expect_status("mark", marked.status, expected)?;
    stage.over(run)
}

pub fn recalled_while_marking(run: &mut Run, stage: &mut Stage) -> Result<()> {
    mark_and_recall(run, stage, "wdf.mark.entered", super::CANCELLED)
}

pub fn recalled_when_marked(run: &mut Run, stage: &mut Stage) -> Result<()> {
    mark_and_recall(run, stage, "wdf.mark.routine-set", super::SUCCESS)
}

pub fn forwarded(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::SECOND_QUEUE)?;
    stage.recall(run)?;
    stage.over(run)
}

pub fn forwarded_with_callback(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::THIRD_QUEUE)?;
    stage.recall(run)?;
    stage.over(run)
}

fn recall_then_forward(run: &mut Run, stage: &mut Stage, to: u32) -> Result<()> {
    stage.sent(run, behaviour::NOT_CANCELABLE)?;
    stage.recall(run)?;
    let forwarded = stage.requests.forward(run, stage.tag, to)?;
    expect_status("forward", forwarded, super::SUCCESS)?;
    stage.over(run)
}

pub fn recalled_then_forwarded(run: &mut Run, stage: &mut Stage) -> Result<()> {
    recall_then_forward(run, stage, queue::SECOND)
}

pub fn recalled_then_forwarded_with_callback(run: &mut Run, stage: &mut Stage) -> Result<()> {
    recall_then_forward(run, stage, queue::THIRD)
}

pub fn completed(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::AT_ONCE)?;
    stage.recall(run)?;
    stage.over(run)
}

pub fn held_then_completed(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::NOT_CANCELABLE)?;
    let recalling = stage.race(
        run,
        "wdf.cancel.counted",
        |run, stage| stage.requests.begin_cancel(run, stage.slot),
        |run, stage| {
            let completed = stage.requests.complete(run, stage.tag, super::SUCCESS)?;
            expect_status("complete", completed, super::SUCCESS)
        },
    )?;
    stage.recalled(run, &recalling)?;
    stage.over(run)
}

pub fn twice(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::CANCELABLE)?;
    stage.recall(run)?;
    let second = stage.requests.cancel(run, stage.slot)?;
    ensure!(second.returned == 0, "the second recall found something: {second:?}");
    stage.over(run)
}

pub fn twice_at_once(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::CANCELABLE)?;
    let recalling = stage.race(
        run,
        "wdf.cancel.routine-taken",
        |run, stage| stage.requests.begin_cancel(run, stage.slot),
        |run, stage| {
            let second = stage.requests.cancel(run, stage.slot)?;
            ensure!(second.returned == 0, "the second recall found something: {second:?}");
            Ok(())
        },
    )?;
    stage.recalled(run, &recalling)?;
    stage.over(run)
}

pub fn synchronous(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let sending = stage.sending(run, behaviour::CANCELABLE, option::SYNCHRONOUS, 0)?;
    stage.await_logged(run, "marked")?;
    stage.recall(run)?;
    let sent: Outcome = stage.requests.finish(run, &sending)?;
    ensure!(sent.returned == 1, "WdfRequestSend returned FALSE for a request that was submitted");
    expect_status("the sender's status", sent.status, super::CANCELLED)?;
    stage.over(run)
}

pub fn synchronous_completed(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let sending = stage.sending(run, behaviour::NOT_CANCELABLE, option::SYNCHRONOUS, 0)?;
    stage.await_logged(run, "presented")?;
    stage.requests.complete(run, stage.tag, super::SUCCESS)?;
    let sent: Outcome = stage.requests.finish(run, &sending)?;
    ensure!(sent.returned == 1, "WdfRequestSend returned FALSE for a request that was submitted");
    stage.recall(run)?;
    stage.over(run)
}

pub fn long_timeout(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.requests.create(run, stage.slot)?;
    let sent = stage.requests.send(run, &stage.send_with(behaviour::CANCELABLE, option::TIMEOUT, LONG))?;
    ensure!(sent.returned == 1, "not sent: {sent:?}");
    stage.recall(run)?;
    stage.over(run)
}

pub fn short_timeout(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.requests.create(run, stage.slot)?;
    let sent = stage.requests.send(run, &stage.send_with(behaviour::CANCELABLE, option::TIMEOUT, SHORT))?;
    ensure!(sent.returned == 1, "not sent: {sent:?}");
    stage.await_logged(run, if stage.routine { "completion" } else { "completing" })?;
    stage.recall(run)?;
    stage.over(run)
}

pub fn synchronous_timeout(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let options = option::TIMEOUT | option::SYNCHRONOUS;
    let sending = stage.sending(run, behaviour::CANCELABLE, options, SHORT)?;
    let sent: Outcome = stage.requests.finish(run, &sending)?;
    ensure!(sent.returned == 1, "WdfRequestSend returned FALSE for a request that was submitted");
    expect_status("the sender's status", sent.status, super::IO_TIMEOUT)?;
    stage.recall(run)?;
    stage.over(run)
}

/// A program's request that the relay has sent and forgotten, recalled before or after it is completed.
fn forget(run: &mut Run, stage: &mut Stage, completed_first: bool) -> Result<()> {
    let program = stage.passing(run, behaviour::NOT_CANCELABLE, option::SEND_AND_FORGET, false)?;
    stage.await_logged(run, "sent")?;
    if !completed_first {
        stage.recall(run)?;
    }
    stage.requests.complete(run, stage.tag, super::SUCCESS)?;
    stage.status = Some(run.finish_control(&program)?.status);
    if completed_first {
        stage.recall(run)?;
    }
    stage.take_log(run)
}

pub fn forgotten(run: &mut Run, stage: &mut Stage) -> Result<()> {
    forget(run, stage, false)
}

pub fn forgotten_and_completed(run: &mut Run, stage: &mut Stage) -> Result<()> {
    forget(run, stage, true)
}

pub fn passed(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let program = stage.passing(run, behaviour::CANCELABLE, 0, true)?;
    stage.await_logged(run, "sent")?;
    stage.recall(run)?;
    stage.status = Some(run.finish_control(&program)?.status);
    stage.take_log(run)
}

pub fn passed_and_completed(run: &mut Run, stage: &mut Stage) -> Result<()> {
    const STATUS_NOT_FOUND: u32 = 0xC000_0225;
    let program = stage.passing(run, behaviour::NOT_CANCELABLE, 0, true)?;
    stage.await_logged(run, "sent")?;
    stage.requests.complete(run, stage.tag, super::SUCCESS)?;
    stage.status = Some(run.finish_control(&program)?.status);
    let gone = stage.requests.cancel(run, stage.slot).err().context("there was something to recall")?;
    ensure!(gone.to_string().contains(&format!("{STATUS_NOT_FOUND:#010x}")), "{gone}");
    stage.take_log(run)
}

pub fn passed_without_routine(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let program = stage.passing(run, behaviour::CANCELABLE, 0, false)?;
    stage.status = Some(run.finish_control(&program)?.status);
    stage.take_log(run)
}

pub fn ignoring_state(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.requests.target(run, target::STOP_LEAVE)?;
    stage.requests.create(run, stage.slot)?;
    let send = stage.send_with(behaviour::CANCELABLE, option::IGNORE_TARGET_STATE, 0);
    ensure!(stage.requests.send(run, &send)?.returned == 1, "not sent");
    stage.recall(run)?;
    stage.over(run)?;
    let started = stage.requests.target(run, target::START)?;
    expect_status("start", started.status, 0)
}
