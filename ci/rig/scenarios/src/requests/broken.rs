//! Deliberately broken requests: each runs a path that the same driver without its fault passes, and must be caught.

use super::life::{self, pass_one, power, removal};
use super::stage::{expect_refused, expect_status};
use super::status::{CANCELLED, SUCCESS};
use super::waiting::{await_waiting, wait};
use crate::scenario::{Scenario, bench, caught, caused, endured};
use anyhow::{Result, ensure};
use cancelnic_ioctl::nic;
use cancelnic_ioctl::nic::{CancelEvent, Wait, behaviour};
use cancelnic_ioctl::relay::{Send, phase};
use cancelnic_mutants::Mutant;
use lab::facts::Facts;
use lab::guest::need::Need;
use lab::run::Run;
use lab::run::requests::Requests;
use lab::settings::Settings;
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

/// A program's request, passed on, is answered by the NIC's driver at once.
fn pass_to_the_nic(run: &mut Run) -> Result<()> {
    let requests = ready(run)?;
    requests.pass(run, life::SLOT, 0, true)?;
    let program = wait(run, requests.relay, TAG, behaviour::AT_ONCE)?;
    let status = run.finish_control(&program)?.status;
    expect_status("the program's status", status, SUCCESS)?;
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

/// The rule warns, and does not end the run.
fn warning(settings: &mut Settings) {
    bench(settings);
    settings.kernel.words.push("rule.CancelledWithoutReference=warn".into());
}

/// Once, though the callback may come again.
fn warned_once(facts: &Facts) -> Result<()> {
    let rules: Vec<_> = facts.warnings.iter().map(|warning| &warning.violation.rule).collect();
    ensure!(rules == ["CancelledWithoutReference"], "{rules:?}");
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    const TWICE: &[&str] =
        &["RequestCompletedTwice", "RequestUsedAfterCompletion", "RequestNotOwned", "InvalidHandle"];
    let all = vec![
        caught(
            "caught-recall-without-reference",
            "a relay that recalls a request without holding a reference is caught",
            Mutant::CancelsWithoutReference,
            &["CancelledWithoutReference"],
            recall,
        )
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-relay EvtIoDeviceControl",
                &["WdfRequestCancelSentRequest: the driver holds no reference"],
            )
        }),
        caught(
            "caught-stop-not-acknowledged",
            "a relay that forgets to acknowledge a stop is caught",
            Mutant::ForgetsAcknowledge,
            &["StopNotAcknowledged"],
            power,
        )
        .shows(|facts| caused(facts, "none", &["power transition of a WDFQUEUE: the driver still has"]))
        .needs(&[Need::Sleep]),
        caught(
            "caught-passed-with-foreign-file",
            "a relay that sends a program's request to another device as it came loses it to NDIS",
            Mutant::PassesForeignFile,
            &["ScenarioFailed"],
            pass_to_the_nic,
        )
        .shows(|facts| caused(facts, "", &["the program's status: 0xc0000010"])),
        caught(
            "caught-acknowledged-outside-stop",
            "a relay that acknowledges a stop outside EvtIoStop is caught",
            Mutant::AcknowledgesOutside,
            &["StopAcknowledgeMisused"],
            recall_passed,
        )
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-relay EvtIoDeviceControl",
                &["WdfRequestStopAcknowledge: outside EvtIoStop"],
            )
        }),
        caught(
            "caught-sent-without-reuse",
            "a relay that sends a completed request again without reusing it is caught",
            Mutant::ResendsWithoutReuse,
            &["RequestNotReused", "SentAgainWithoutReuse"],
            reuse,
        )
        .shows(|facts| caused(facts, "WdfRequestSend", &["status 0xc0000120"])),
        caught(
            "caught-sent-while-sent",
            "a relay that sends a request which is under way is caught",
            Mutant::SendsTwice,
            &["RequestAlreadySent"],
            busy,
        )
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-relay EvtIoDeviceControl",
                &["WdfIoTargetFormatRequestForInternalIoctl: WDFREQUEST"],
            )
        }),
        caught(
            "caught-handle-of-another-kind",
            "a relay that passes a handle of another kind is caught",
            Mutant::PassesWrongHandle,
            &["InvalidHandle"],
            recall,
        )
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-relay EvtIoDeviceControl",
                &["WdfRequestCancelSentRequest: the handle is a WDFIOTARGET"],
            )
        }),
        caught(
            "caught-purge-ignored",
            "a relay that ignores EvtIoStop with Purge is caught",
            Mutant::IgnoresPurge,
            &["RequestNeverCompleted"],
            removal,
        )
        .shows(|facts| caused(facts, "none", &["power transition of a WDFQUEUE: the driver still has"])),
        caught(
            "caught-completed-after-recall",
            "a relay that completes a request again after its recall is caught",
            Mutant::CompletesAfterCancel,
            TWICE,
            recall_passed,
        )
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-relay EvtIoDeviceControl",
                &["WdfRequestCompleteWithInformation: WDFREQUEST", "Relay::cancel"],
            )
        }),
        caught(
            "caught-deleted-while-sent",
            "a relay that deletes a request which is under way is caught",
            Mutant::DeletesSent,
            &["RequestDeletedWhileSent"],
            busy,
        )
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-relay EvtIoDeviceControl",
                &["a WDFREQUEST is deleted while it is sent", "send::dispose"],
            )
        }),
        caught(
            "caught-target-without-power",
            "a relay that leaves its target running without power is caught",
            Mutant::LeavesTarget,
            &["TargetNotStopped", "TargetRunsWithoutPower"],
            power,
        )
        .shows(|facts| caused(facts, "none", &["EvtDeviceD0Exit has returned, and a WDFIOTARGET"]))
        .needs(&[Need::Sleep]),
        caught(
            "caught-local-target-closed",
            "a relay that closes its local I/O target is caught",
            Mutant::ClosesLocalTarget,
            &["InvalidHandle"],
            removal,
        )
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-relay EvtDeviceSelfManagedIoCleanup",
                &["WdfIoTargetClose: the device's own WDFIOTARGET"],
            )
        }),
        caught(
            "caught-completed-while-cancelable",
            "an interface that completes a request without unmarking it is caught",
            Mutant::CompletesWhileCancelable,
            &["RequestCompletedWhileCancelable"],
            complete,
        )
        .shows(|facts| {
            caused(facts, "device EvtIoDeviceControl", &["WdfRequestCompleteWithInformation: WDFREQUEST"])
        }),
        caught(
            "caught-completed-twice",
            "an interface that completes a request twice is caught",
            Mutant::CompletesRequestTwice,
            TWICE,
            complete,
        )
        .shows(|facts| {
            caused(
                facts,
                "device EvtIoDeviceControl",
                &["WdfRequestCompleteWithInformation: WDFREQUEST", "misuse"],
            )
        }),
        caught(
            "caught-cancelled-request-lost",
            "an interface that never completes a cancelled request is caught",
            Mutant::LosesCancelledRequest,
            &["RecalledRequestLost"],
            recall,
        )
        .shows(|facts| caused(facts, "EvtRequestCancel", &["completions: 0"])),
        caught(
            "caught-marked-twice",
            "an interface that marks a request cancelable twice is caught",
            Mutant::MarksRequestTwice,
            &["RequestNotMarkable"],
            recall,
        )
        .shows(|facts| caused(facts, "device EvtIoInternalDeviceControl", &["WdfRequestMarkCancelable: "])),
        caught(
            "caught-cleanup-forgotten",
            "an interface that leaves the requests of a closed file waiting is caught",
            Mutant::ForgetsCleanup,
            &["RequestNeverCompleted"],
            cleanup,
        )
        .shows(|facts| {
            caused(facts, "none", &["1 requests of a file are outstanding 5 s after its IRP_MJ_CLEANUP"])
        }),
        caught(
            "caught-event-forgotten",
            "an interface that does not tell those who wait for a cancel event is caught",
            Mutant::ForgetsEvent,
            &["WaiterNotTold"],
            event,
        )
        .shows(|facts| caused(facts, "EvtCancel", &["completions: 0"]))
        .needs(&[Need::Pause]),
        caught(
            "caught-information-too-long",
            "an interface that reports more bytes than the output buffer holds is caught",
            Mutant::ReportsTooMuchWritten,
            &["RequestInformationTooLong"],
            at_once,
        )
        .shows(|facts| {
            caused(
                facts,
                "device EvtIoDeviceControl",
                &["WdfRequestCompleteWithInformation: Information 4200"],
            )
        }),
        caught(
            "caught-used-after-completion",
            "an interface that uses a request after its completion is caught",
            Mutant::UsesCompletedRequest,
            TWICE,
            at_once,
        )
        .shows(|facts| {
            caused(
                facts,
                "device EvtIoDeviceControl",
                &["WdfRequestIsCanceled: the WDFREQUEST has been deleted"],
            )
        }),
        caught(
            "caught-buffer-written-after-completion",
            "an interface that writes a request's buffer after its completion is caught",
            Mutant::WritesCompletedBuffer,
            &["UseAfterFree"],
            at_once,
        )
        .shows(|facts| {
            caused(
                facts,
                "device EvtIoDeviceControl",
                &["write to byte 0 of a freed block: ", "freed in device EvtIoDeviceControl; at ", "misuse"],
            )
        }),
    ];
    let warned = endured(
        "rule-that-warns-does-not-stop",
        "a rule that is set to warn is in the report once, and the run goes on",
        Mutant::CancelsWithoutReference,
        recall,
    );
    let on_bench = all.into_iter().map(|scenario| scenario.prepare(bench));
    on_bench.chain([warned.prepare(warning).shows(warned_once)]).collect()
}
