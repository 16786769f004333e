//! Deliberately broken requests: each runs a path that the same driver without its fault passes, and must be caught.

use super::super::{Kind, Scenario};
use super::life::{self, pass_one, power, removal};
use super::stage::expect_refused;
use super::waiting::{await_waiting, wait};
use super::{CANCELLED, SUCCESS};
use crate::run::Run;
use crate::run::requests::{INTERFACE_FAULTS, RELAY, Requests};
use crate::settings::{Mutant, NIC};
use anyhow::{Result, ensure};
use cancelnic_ioctl::nic;
use cancelnic_ioctl::nic::{CancelEvent, Wait, behaviour, mutant as nic_mutant};
use cancelnic_ioctl::relay::{Send, mutant, phase};
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

const fn relay(
    name: &'static str,
    number: u32,
    body: fn(&mut Run) -> Result<()>,
    rules: &'static [&'static str],
) -> Scenario {
    let mutant = Mutant { driver: RELAY, number };
    Scenario { name, kind: Kind::Caught { mutant, prepare: |_| (), body, rules, shows: |_| Ok(()) } }
}

const fn interface(
    name: &'static str,
    number: u32,
    body: fn(&mut Run) -> Result<()>,
    rules: &'static [&'static str],
) -> Scenario {
    let mutant = Mutant { driver: NIC, number: INTERFACE_FAULTS + number };
    Scenario { name, kind: Kind::Caught { mutant, prepare: |_| (), body, rules, shows: |_| Ok(()) } }
}

pub fn all() -> Vec<Scenario> {
    const TWICE: &[&str] =
        &["RequestCompletedTwice", "RequestUsedAfterCompletion", "RequestNotOwned", "InvalidHandle"];
    vec![
        relay(
            "caught-recall-without-reference",
            mutant::CANCELS_WITHOUT_REFERENCE,
            recall,
            &["CancelledWithoutReference"],
        ),
        relay("caught-stop-not-acknowledged", mutant::FORGETS_ACKNOWLEDGE, power, &["StopNotAcknowledged"]),
        relay(
            "caught-acknowledged-outside-stop",
            mutant::ACKNOWLEDGES_OUTSIDE,
            recall_passed,
            &["StopAcknowledgeMisused"],
        ),
        relay(
            "caught-sent-without-reuse",
            mutant::RESENDS_WITHOUT_REUSE,
            reuse,
            &["RequestNotReused", "SentAgainWithoutReuse"],
        ),
        relay("caught-sent-while-sent", mutant::SENDS_TWICE, busy, &["RequestAlreadySent"]),
        relay("caught-handle-of-another-kind", mutant::WRONG_HANDLE, recall, &["InvalidHandle"]),
        relay("caught-purge-ignored", mutant::IGNORES_PURGE, removal, &["RequestNeverCompleted"]),
        relay("caught-completed-after-recall", mutant::COMPLETES_AFTER_CANCEL, recall_passed, TWICE),
        relay("caught-deleted-while-sent", mutant::DELETES_SENT, busy, &["RequestDeletedWhileSent"]),
        relay(
            "caught-target-without-power",
            mutant::LEAVES_TARGET,
            power,
            &["TargetNotStopped", "TargetRunsWithoutPower"],
        ),
        relay("caught-local-target-closed", mutant::CLOSES_LOCAL_TARGET, removal, &["InvalidHandle"]),
        interface(
            "caught-completed-while-cancelable",
            nic_mutant::COMPLETES_WHILE_CANCELABLE,
            complete,
            &["RequestCompletedWhileCancelable"],
        ),
        interface("caught-completed-twice", nic_mutant::COMPLETES_TWICE, complete, TWICE),
        interface(
            "caught-cancelled-request-lost",
            nic_mutant::LOSES_CANCELLED,
            recall,
            &["RecalledRequestLost"],
        ),
        interface("caught-marked-twice", nic_mutant::MARKS_TWICE, recall, &["RequestNotMarkable"]),
        interface(
            "caught-cleanup-forgotten",
            nic_mutant::FORGETS_CLEANUP,
            cleanup,
            &["RequestNeverCompleted"],
        ),
        interface("caught-event-forgotten", nic_mutant::FORGETS_EVENT, event, &["WaiterNotTold"]),
        interface(
            "caught-information-too-long",
            nic_mutant::INFORMATION_TOO_LARGE,
            at_once,
            &["RequestInformationTooLong"],
        ),
        interface("caught-used-after-completion", nic_mutant::USES_COMPLETED, at_once, TWICE),
    ]
}
