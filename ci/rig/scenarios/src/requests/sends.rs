//! How each cell of the matrix is brought about by how the request is sent: synchronously, with a time-out, for good,
//! for a program, whatever the target's state.

use super::stage::{Stage, expect_refused, expect_status};
use super::status::{CANCELLED, IO_TIMEOUT, SUCCESS};
use super::waiting::await_waiting;
use anyhow::{Result, ensure};
use cancelnic_ioctl::nic::behaviour;
use cancelnic_ioctl::relay::{Outcome, option, target};
use lab::run::Run;

/// Longer than any run, in 100 ns from now on.
const LONG: i64 = -600_000_000_000;
/// Long enough that the receiver has the request before, in 100 ns from now on.
const SHORT: i64 = -3_000_000;

pub(super) fn synchronous(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let sending = stage.sending(run, behaviour::CANCELABLE, option::SYNCHRONOUS, 0)?;
    stage.await_logged(run, "marked")?;
    stage.recall(run)?;
    let sent: Outcome = stage.requests.finish(run, &sending)?;
    ensure!(sent.returned == 1, "WdfRequestSend returned FALSE for a request that was submitted");
    expect_status("the sender's status", sent.status, CANCELLED)?;
    stage.over(run)
}

pub(super) fn synchronous_completed(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let sending = stage.sending(run, behaviour::NOT_CANCELABLE, option::SYNCHRONOUS, 0)?;
    // its call is noted before it is there to be completed
    await_waiting(run, stage.requests.nic, 1)?;
    let completed = stage.requests.complete(run, stage.tag, SUCCESS)?;
    expect_status("complete", completed, SUCCESS)?;
    let sent: Outcome = stage.requests.finish(run, &sending)?;
    ensure!(sent.returned == 1, "WdfRequestSend returned FALSE for a request that was submitted");
    stage.recall(run)?;
    stage.over(run)
}

pub(super) fn long_timeout(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.requests.create(run, stage.slot)?;
    let sent = stage.requests.send(run, &stage.send_with(behaviour::CANCELABLE, option::TIMEOUT, LONG))?;
    ensure!(sent.returned == 1, "not sent: {sent:?}");
    stage.recall(run)?;
    stage.over(run)
}

pub(super) fn short_timeout(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.requests.create(run, stage.slot)?;
    let sent = stage.requests.send(run, &stage.send_with(behaviour::CANCELABLE, option::TIMEOUT, SHORT))?;
    ensure!(sent.returned == 1, "not sent: {sent:?}");
    stage.await_logged(run, if stage.routine { "completion" } else { "completing" })?;
    stage.recall(run)?;
    stage.over(run)
}

pub(super) fn synchronous_timeout(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let options = option::TIMEOUT | option::SYNCHRONOUS;
    let sending = stage.sending(run, behaviour::CANCELABLE, options, SHORT)?;
    let sent: Outcome = stage.requests.finish(run, &sending)?;
    ensure!(sent.returned == 1, "WdfRequestSend returned FALSE for a request that was submitted");
    expect_status("the sender's status", sent.status, IO_TIMEOUT)?;
    stage.recall(run)?;
    stage.over(run)
}

/// A program's request that the relay has sent and forgotten, with the file object that it came with.
pub(super) fn forgotten(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let program = stage.passing(run, behaviour::NOT_CANCELABLE, option::SEND_AND_FORGET, false)?;
    stage.await_logged(run, "sent")?;
    stage.status = Some(run.finish_control(&program)?.status);
    stage.recall(run)?;
    stage.take_log(run)
}

pub(super) fn passed(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let program = stage.passing(run, behaviour::CANCELABLE, 0, true)?;
    stage.await_logged(run, "sent")?;
    stage.recall(run)?;
    stage.status = Some(run.finish_control(&program)?.status);
    stage.take_log(run)
}

pub(super) fn passed_and_completed(run: &mut Run, stage: &mut Stage) -> Result<()> {
    const STATUS_NOT_FOUND: u32 = 0xC000_0225;
    let program = stage.passing(run, behaviour::NOT_CANCELABLE, 0, true)?;
    stage.await_logged(run, "sent")?;
    stage.requests.complete(run, stage.tag, SUCCESS)?;
    stage.status = Some(run.finish_control(&program)?.status);
    expect_refused("recall", stage.requests.cancel(run, stage.slot), STATUS_NOT_FOUND)?;
    stage.take_log(run)
}

pub(super) fn passed_without_routine(run: &mut Run, stage: &mut Stage) -> Result<()> {
    let program = stage.passing(run, behaviour::CANCELABLE, 0, false)?;
    stage.status = Some(run.finish_control(&program)?.status);
    stage.take_log(run)
}

pub(super) fn ignoring_state(run: &mut Run, stage: &mut Stage) -> Result<()> {
    stage.requests.target(run, target::STOP_LEAVE)?;
    stage.requests.create(run, stage.slot)?;
    let send = stage.send_with(behaviour::CANCELABLE, option::IGNORE_TARGET_STATE, 0);
    ensure!(stage.requests.send(run, &send)?.returned == 1, "not sent");
    stage.recall(run)?;
    stage.over(run)?;
    let started = stage.requests.target(run, target::START)?;
    expect_status("start", started.status, 0)
}
