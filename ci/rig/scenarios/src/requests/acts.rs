//! How each cell of the matrix is brought about by where the request is: where the guest's framework is held, who goes
//! first.

use super::stage::{Stage, expect_status};
use super::status::{CANCELLED, SUCCESS};
use anyhow::{Result, ensure};
use cancelnic_ioctl::bench::{self, Status, queue};
use cancelnic_ioctl::nic::behaviour;
use cancelnic_ioctl::relay::{Outcome, TargetAnswer, target};
use lab::run::Run;

/// The recall has taken the receiver's cancel routine, and not called it.
const ROUTINE_TAKEN: &str = "wdf.cancel.routine-taken";

pub(super) fn never_sent(run: &mut Run, stage: &mut Stage) -> Result<()> {
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

pub(super) fn counted_then_recalled(run: &mut Run, stage: &mut Stage) -> Result<()> {
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

pub(super) fn counted_and_held(run: &mut Run, stage: &mut Stage) -> Result<()> {
    const COUNTED: &str = "wdf.send.counted";
    let sending = run.hold_at(COUNTED, |run| stage.sending(run, behaviour::CANCELABLE, 0, 0))?;
    stage.recall_held(run, "wdf.cancel.counted", |run, stage| {
        run.release_window(COUNTED)?;
        let sent: Outcome = stage.requests.finish(run, &sending)?;
        ensure!(sent.returned == 1, "refused although the canceller completes it");
        Ok(())
    })?;
    stage.over(run)
}

pub(super) fn queued(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.requests.queue(run, queue::WAIT, bench::action::STOP)?;
    stage.sent(run, behaviour::CANCELABLE)?;
    let seen = stage.requests.queue(run, queue::WAIT, bench::action::NONE)?;
    ensure!((seen.queued, seen.owned) == (1, 0), "not in the queue: {seen:?}");
    stage.recall(run)?;
    stage.requests.queue(run, queue::WAIT, bench::action::START)?;
    stage.over(run)
}

pub(super) fn leaving_the_queue(run: &mut Run, stage: &mut Stage) -> Result<()> {
    const SUBMITTED: &str = "wdf.send.submitted";
    const FLAGGED: &str = "wdf.cancel.flagged";
    const PRESENT: &str = "wdf.queue.before-present";

    // A window holds whoever comes first, the programs' own control requests too: both sides are past their own
    // presentation, at windows of their own, when this one is held.
    let sending = run.hold_at(SUBMITTED, |run| stage.sending(run, behaviour::CANCELABLE, 0, 0))?;
    let recalling = run.hold_at(FLAGGED, |run| stage.requests.begin_cancel(run, stage.slot))?;
    run.hold_at(PRESENT, |run| run.release_window(SUBMITTED))?;
    run.release_window(FLAGGED)?;
    stage.recalled(run, &recalling)?;
    run.release_window(PRESENT)?;
    let sent: Outcome = stage.requests.finish(run, &sending)?;
    ensure!(sent.returned == 1, "not sent");
    stage.over(run)
}

pub(super) fn parked(run: &mut Run, stage: &mut Stage) -> Result<()> {
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

pub(super) fn parked_and_started(run: &mut Run, stage: &mut Stage) -> Result<()> {
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

pub(super) fn cancelable(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::CANCELABLE)?;
    stage.recall(run)?;
    stage.over(run)
}

pub(super) fn recalled_then_unmarked(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::CANCELABLE)?;
    stage.recall_held(run, ROUTINE_TAKEN, |run, stage| {
        let unmarked = stage.requests.complete(run, stage.tag, SUCCESS)?;
        expect_status("unmark", unmarked, CANCELLED)
    })?;
    stage.over(run)
}

/// The receiver completes it, held at `window` while it is recalled.
fn complete_and_recall(run: &mut Run, stage: &mut Stage, behaviour: u32, window: &str) -> Result<()> {
    stage.sent(run, behaviour)?;
    let completing = stage.race(
        run,
        window,
        |run, stage| stage.requests.begin_complete(run, stage.tag, SUCCESS),
        |run, stage| stage.recall(run),
    )?;
    let unmarked: Status = stage.requests.finish(run, &completing)?;
    expect_status("unmark", unmarked.status, SUCCESS)?;
    stage.over(run)
}

pub(super) fn unmarked_then_recalled(run: &mut Run, stage: &mut Stage) -> Result<()> {
    complete_and_recall(run, stage, behaviour::CANCELABLE, "wdf.complete.entered")
}

pub(super) fn completed_then_recalled(run: &mut Run, stage: &mut Stage) -> Result<()> {
    complete_and_recall(run, stage, behaviour::NOT_CANCELABLE, "wdf.complete.before-routine")
}

pub(super) fn not_cancelable(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::NOT_CANCELABLE)?;
    stage.recall(run)?;
    let completed = stage.requests.complete(run, stage.tag, SUCCESS)?;
    expect_status("complete", completed, SUCCESS)?;
    stage.over(run)
}

fn recall_then_mark(run: &mut Run, stage: &mut Stage, ex: bool, expected: u32) -> Result<()> {
    stage.sent(run, behaviour::NOT_CANCELABLE)?;
    stage.recall(run)?;
    let marked = stage.requests.mark(run, stage.tag, ex)?;
    expect_status("mark", marked, expected)?;
    stage.over(run)
}

pub(super) fn recalled_then_marked_ex(run: &mut Run, stage: &mut Stage) -> Result<()> {
    recall_then_mark(run, stage, true, CANCELLED)
}

pub(super) fn recalled_then_marked(run: &mut Run, stage: &mut Stage) -> Result<()> {
    recall_then_mark(run, stage, false, SUCCESS)
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

pub(super) fn recalled_while_marking(run: &mut Run, stage: &mut Stage) -> Result<()> {
    mark_and_recall(run, stage, "wdf.mark.entered", CANCELLED)
}

pub(super) fn recalled_when_marked(run: &mut Run, stage: &mut Stage) -> Result<()> {
    mark_and_recall(run, stage, "wdf.mark.routine-set", SUCCESS)
}

pub(super) fn forwarded(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::SECOND_QUEUE)?;
    stage.recall(run)?;
    stage.over(run)
}

pub(super) fn forwarded_with_callback(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::THIRD_QUEUE)?;
    stage.recall(run)?;
    stage.over(run)
}

fn recall_then_forward(run: &mut Run, stage: &mut Stage, to: u32) -> Result<()> {
    stage.sent(run, behaviour::NOT_CANCELABLE)?;
    stage.recall(run)?;
    let forwarded = stage.requests.forward(run, stage.tag, to)?;
    expect_status("forward", forwarded, SUCCESS)?;
    stage.over(run)
}

pub(super) fn recalled_then_forwarded(run: &mut Run, stage: &mut Stage) -> Result<()> {
    recall_then_forward(run, stage, queue::SECOND)
}

pub(super) fn recalled_then_forwarded_with_callback(run: &mut Run, stage: &mut Stage) -> Result<()> {
    recall_then_forward(run, stage, queue::THIRD)
}

pub(super) fn completed(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::AT_ONCE)?;
    stage.recall(run)?;
    stage.over(run)
}

pub(super) fn held_then_completed(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::NOT_CANCELABLE)?;
    stage.recall_held(run, "wdf.cancel.counted", |run, stage| {
        let completed = stage.requests.complete(run, stage.tag, SUCCESS)?;
        expect_status("complete", completed, SUCCESS)
    })?;
    stage.over(run)
}

fn second_recall(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let second = stage.requests.cancel(run, stage.slot)?;
    ensure!(second.returned == 0, "the second recall found something: {second:?}");
    Ok(())
}

pub(super) fn twice(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::CANCELABLE)?;
    stage.recall(run)?;
    second_recall(run, stage)?;
    stage.over(run)
}

pub(super) fn twice_at_once(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.sent(run, behaviour::CANCELABLE)?;
    stage.recall_held(run, ROUTINE_TAKEN, second_recall)?;
    stage.over(run)
}
