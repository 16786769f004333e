//! Deliberately broken requests: each runs a path that the same driver without its fault passes, and must be caught.

use super::super::{Kind, Scenario};
use super::life::{self, pass_one, power, removal};
use super::stage::expect_refused;
use super::waiting::{await_waiting, wait};
use super::{CANCELLED, SUCCESS};
use crate::run::Run;
use crate::run::requests::Requests;
use anyhow::{Result, ensure};
use cancelnic_ioctl::nic;
use cancelnic_ioctl::nic::{CancelEvent, Wait, behaviour};
use cancelnic_ioctl::relay::{Send, phase};
use cancelnic_mutants::Mutant;
use zerocopy::IntoBytes;

const SLOT: u32 = 1;
const TAG: u32 = 4;

fn ready(run: &mut Run) -> Result<Requests> {
    run.load()?;
    run.open_requests()
}

fn send(behaviour: u32) -> Send {
    Send { slot: SLOT, tag: TAG, ..Send::waiting(behaviour) }
}

fn sent(run: &mut Run, behaviour: u32) -> Result<Requests> {
    let requests = ready(run)?;
    requests.create(run, SLOT)?;
    ensure!(requests.send(run, &send(behaviour))?.returned == 1, "not sent");
    Ok(requests)
}

/// A cancelable request is recalled.
fn recall(run: &mut Run) -> Result<()> {
    let requests = sent(run, behaviour::CANCELABLE)?;
    requests.cancel(run, SLOT)?;
    let state = requests.state(run, SLOT)?;
    if (state.phase, state.status) != (phase::DONE, CANCELLED) {
        let place = format!("slot {SLOT}: {state:?}");
        return Err(run.found("RecalledRequestLost", "EvtRequestCancel", place));
    }
    requests.close(run)
}

/// A cancelable request is completed by its receiver.
fn complete(run: &mut Run) -> Result<()> {
    let requests = sent(run, behaviour::CANCELABLE)?;
    requests.complete(run, TAG, SUCCESS)?;
    requests.close(run)
}

/// A program's request, passed on, is recalled.
fn recall_passed(run: &mut Run) -> Result<()> {
    let requests = ready(run)?;
    let program = pass_one(run, requests)?;
    requests.cancel(run, life::SLOT)?;
    let status = run.finish_control(&program)?.status;
    run.expect("status", status, CANCELLED)?;
    requests.close(run)
}

/// What was recalled before it was sent can be sent once it has been reused.
fn reuse(run: &mut Run) -> Result<()> {
    let requests = ready(run)?;
    requests.create(run, SLOT)?;
    requests.cancel(run, SLOT)?;
    requests.send(run, &send(behaviour::AT_ONCE))?;
    requests.reuse(run, SLOT)?;
    let again = requests.send(run, &send(behaviour::AT_ONCE))?;
    if again.returned != 1 {
        let place = format!("slot {SLOT}: status {:#010x}", again.status);
        return Err(run.found("SentAgainWithoutReuse", "WdfRequestSend", place));
    }
    requests.close(run)
}

/// A request that is under way is refused to be sent, and to be deleted.
fn busy(run: &mut Run) -> Result<()> {
    const STATUS_DEVICE_BUSY: u32 = 0x8000_0011;
    let requests = sent(run, behaviour::NOT_CANCELABLE)?;
    let again = requests.send(run, &send(behaviour::NOT_CANCELABLE));
    expect_refused("send again", again, STATUS_DEVICE_BUSY)?;
    expect_refused("delete", requests.delete(run, SLOT), STATUS_DEVICE_BUSY)?;
    requests.complete(run, TAG, SUCCESS)?;
    requests.close(run)
}

/// A program waits for an event, which comes.
fn event(run: &mut Run) -> Result<()> {
    let requests = sent(run, behaviour::CANCELABLE)?;
    run.pause()?;
    let state = requests.state(run, SLOT)?;
    if (state.phase, state.status) != (phase::DONE, SUCCESS) {
        let place = format!("slot {SLOT}: {state:?}");
        return Err(run.found("WaiterNotTold", "EvtCancel", place));
    }
    requests.close(run)
}

/// A file is closed with a request under way: its program is told. Then the NIC's own book is empty too.
fn cleanup(run: &mut Run) -> Result<()> {
    run.load()?;
    let (nic, other) = (run.open_nic()?, run.open_nic()?);
    let kept = wait(run, other, TAG, behaviour::NOT_CANCELABLE)?;
    await_waiting(run, nic, 1)?;
    run.close(other)?;
    let status = run.finish_control(&kept)?.status;
    run.expect("status", status, CANCELLED)?;
    await_waiting(run, nic, 0)?;
    run.close(nic)
}

/// A program gets an answer at once.
fn at_once(run: &mut Run) -> Result<()> {
    run.load()?;
    let nic = run.open_nic()?;
    let room = size_of::<CancelEvent>() as u32;
    let wait = Wait::new(TAG, behaviour::AT_ONCE);
    let status = run.control("how things stand", nic, nic::WAIT, wait.as_bytes(), room)?.status;
    run.expect("status", status, SUCCESS)?;
    run.close(nic)
}

const fn caught(
    name: &'static str,
    mutant: Mutant,
    body: fn(&mut Run) -> Result<()>,
    rules: &'static [&'static str],
) -> Scenario {
    Scenario {
        name,
        kind: Kind::Caught {
            mutant,
            prepare: |settings| settings.bench = true,
            body,
            rules,
            shows: |_| Ok(()),
        },
    }
}

pub fn all() -> Vec<Scenario> {
    const TWICE: &[&str] =
        &["RequestCompletedTwice", "RequestUsedAfterCompletion", "RequestNotOwned", "InvalidHandle"];
    vec![
        caught(
            "caught-recall-without-reference",
            Mutant::CancelsWithoutReference,
            recall,
            &["CancelledWithoutReference"],
        ),
        caught("caught-stop-not-acknowledged", Mutant::ForgetsAcknowledge, power, &["StopNotAcknowledged"]),
        caught(
            "caught-acknowledged-outside-stop",
            Mutant::AcknowledgesOutside,
            recall_passed,
            &["StopAcknowledgeMisused"],
        ),
        caught(
            "caught-sent-without-reuse",
            Mutant::ResendsWithoutReuse,
            reuse,
            &["RequestNotReused", "SentAgainWithoutReuse"],
        ),
        caught("caught-sent-while-sent", Mutant::SendsTwice, busy, &["RequestAlreadySent"]),
        caught("caught-handle-of-another-kind", Mutant::PassesWrongHandle, recall, &["InvalidHandle"]),
        caught("caught-purge-ignored", Mutant::IgnoresPurge, removal, &["RequestNeverCompleted"]),
        caught("caught-completed-after-recall", Mutant::CompletesAfterCancel, recall_passed, TWICE),
        caught("caught-deleted-while-sent", Mutant::DeletesSent, busy, &["RequestDeletedWhileSent"]),
        caught(
            "caught-target-without-power",
            Mutant::LeavesTarget,
            power,
            &["TargetNotStopped", "TargetRunsWithoutPower"],
        ),
        caught("caught-local-target-closed", Mutant::ClosesLocalTarget, removal, &["InvalidHandle"]),
        caught(
            "caught-completed-while-cancelable",
            Mutant::CompletesWhileCancelable,
            complete,
            &["RequestCompletedWhileCancelable"],
        ),
        caught("caught-completed-twice", Mutant::CompletesRequestTwice, complete, TWICE),
        caught(
            "caught-cancelled-request-lost",
            Mutant::LosesCancelledRequest,
            recall,
            &["RecalledRequestLost"],
        ),
        caught("caught-marked-twice", Mutant::MarksRequestTwice, recall, &["RequestNotMarkable"]),
        caught("caught-cleanup-forgotten", Mutant::ForgetsCleanup, cleanup, &["RequestNeverCompleted"]),
        caught("caught-event-forgotten", Mutant::ForgetsEvent, event, &["WaiterNotTold"]),
        caught(
            "caught-information-too-long",
            Mutant::ReportsTooMuchWritten,
            at_once,
            &["RequestInformationTooLong"],
        ),
        caught("caught-used-after-completion", Mutant::UsesCompletedRequest, at_once, TWICE),
    ]
}
