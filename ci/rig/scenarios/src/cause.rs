//! Broken drivers whose first reported fault must be the cause, not the step that failed for it.

use crate::scenario::{Scenario, caught, no_watchdog, usual};
use anyhow::{Context, Result, bail, ensure};
use cancelnic_mutants::Mutant;
use cancelnic_registers::QueueId;
use lab::facts::Facts;
use lab::guest::need::Need;
use lab::run::{RX, Run, TX, WIRE};
use lab::verdict::judge;

/// Ten frames go out and come in.
fn ten_sent(run: &mut Run) -> Result<()> {
    run.load()?;
    run.send(10)?;
    run.await_traffic("ten sent and received", 10, 10)
}

/// Five leave the wire, 59 are taken back.
fn five_sent_and_the_rest_cancelled(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(64)?;
    run.await_device(TX, "64 on the hardware", |tx| tx.available + tx.fetched == 64)?;
    run.let_pass(WIRE, 5)?;
    run.await_traffic("five sent and received", 5, 5)?;
    run.pause()?;
    run.expect_fates([5, 59, 0])
}

/// Ten are on the hardware, and none can have been sent.
fn ten_held(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(10)?;
    run.await_device(TX, "ten on the hardware", |tx| tx.available + tx.fetched == 10)?;
    run.look()?;
    run.expect("sent while the wire is held", run.facts.tx.sent.len(), 0)?;
    run.pause()
}

/// The first fault is `rule` on `queue`, its place begins as said, and no step waited until its limit for what cannot come.
fn first(facts: &Facts, rule: &str, queue: QueueId, place: &str) -> Result<()> {
    let faults = judge(facts);
    let cause = faults.first().context("no fault")?;
    ensure!(
        cause.rule == rule && cause.callback == queue.name() && cause.place.starts_with(place),
        "first comes {cause:?}, not {rule} in {queue}: {place}"
    );
    let to_its_limit =
        |detail: &str| detail.contains("waited for") && !detail.contains("cannot come any more");
    if let Some(step) = facts.steps.iter().find(|step| to_its_limit(&step.detail)) {
        bail!("`{}` went on waiting: {}", step.name, step.detail);
    }
    Ok(())
}

fn marked(facts: &Facts) -> Result<()> {
    // The wait may end at the first of them or at the second.
    let one = first(facts, "TakenBackButOnWire", TX, "frame 4: the driver reported taken back, on the wire");
    one.or_else(|_| {
        first(facts, "TakenBackButOnWire", TX, "frames 4, 8: the driver reported taken back, on the wire")
    })
}

fn skipped(facts: &Facts) -> Result<()> {
    first(
        facts,
        "SentButNotOnWire",
        TX,
        "frames 20-64: the driver reported sent, never on the wire: the device took them back",
    )
}

fn returned_early(facts: &Facts) -> Result<()> {
    first(facts, "SentButNotOnWire", TX, "frames 1-10: the driver reported sent, never on the wire")
}

/// In the step of the cancel, with the queue that the driver's watchdog names.
fn never_cancelled(facts: &Facts) -> Result<()> {
    let place = "the driver gave the device up: tx0 not given back in 2000 ms: 59 of 256 kept";
    first(facts, "DriverResetDevice", TX, place)?;
    let failed = facts.steps.iter().find(|step| !step.ok).context("no step failed")?;
    ensure!(failed.name == "every packet back, queues stopped", "{failed:?}");
    ensure!(
        facts.prints.iter().any(|print| print.text.contains("not given back in 2000 ms")),
        "{:?}",
        facts.prints
    );
    Ok(())
}

fn asked_for_checksums(facts: &Facts) -> Result<()> {
    first(facts, "HeaderInvalid", TX, "descriptor ")
}

fn not_rung(facts: &Facts) -> Result<()> {
    first(facts, "DoorbellMissing", TX, "descriptor ")
}

/// The states of the report are the device's: a cancel shows, however short it was.
fn states_are_the_devices(facts: &Facts) -> Result<()> {
    for queue in [TX, RX] {
        let states: Vec<_> = facts
            .states
            .iter()
            .filter(|sample| sample.queue == queue.name())
            .map(|sample| sample.state.as_str())
            .collect();
        let cancelled = states.windows(3).any(|seen| seen == ["RUNNING", "CANCELLING", "STOPPED"]);
        ensure!(cancelled, "{queue}: {states:?}");
        ensure!(states.last() == Some(&"-"), "{queue} is unloaded: {states:?}");
    }
    let times = facts.states.iter().map(|sample| sample.at);
    ensure!(times.is_sorted(), "{:?}", facts.states);
    // One clock: the device stops within the step that cancels, as the rig measured it.
    let stopped = facts.states.iter().find(|sample| sample.queue == TX.name() && sample.state == "STOPPED");
    let stopped = stopped.context("tx0 was not stopped")?.at;
    let begun = facts.steps.iter().find(|step| step.name.contains("cancel both queues"));
    let over = facts.steps.iter().find(|step| step.name.contains("queues stopped"));
    let (begun, over) = (begun.context("no cancel")?.at, over.context("no end of it")?);
    ensure!((begun..=over.at + over.took).contains(&stopped), "{begun:?} {stopped:?} {over:?}");
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        caught(
            "cause-sent-marked-taken-back",
            "a driver that marks sent frames as taken back fails by those frames, not by the wait",
            Mutant::MarksSentAsTakenBack,
            &["TakenBackButOnWire"],
            ten_sent,
        )
        .prepare(no_watchdog)
        .shows(marked),
        caught(
            "cause-completion-skipped",
            "a driver that skips a completion fails by the frames it reports as sent that never left",
            Mutant::SkipsACompletion,
            &["SentButNotOnWire"],
            five_sent_and_the_rest_cancelled,
        )
        .prepare(no_watchdog)
        .shows(skipped),
        caught(
            "cause-cancel-never-written",
            "a driver that never writes CANCEL fails by its reset of the device, in its watchdog's words",
            Mutant::ForgetsCancel,
            &["DriverResetDevice"],
            five_sent_and_the_rest_cancelled,
        )
        .shows(never_cancelled),
        caught(
            "cause-doorbell-not-rung",
            "a driver that rings no doorbell fails by the device's finding, before any wait has run out",
            Mutant::ForgetsDoorbell,
            &["DoorbellMissing"],
            ten_sent,
        )
        .prepare(no_watchdog)
        .shows(not_rung),
        caught(
            "caught-checksum-not-negotiated",
            "a driver whose frames ask for a checksum that nobody negotiated is caught by the device's judge",
            Mutant::AsksForChecksums,
            &["HeaderInvalid"],
            ten_sent,
        )
        .prepare(no_watchdog)
        .shows(asked_for_checksums),
        caught(
            "cause-returned-before-used",
            "a driver that returns packets before the device has used them fails by those frames",
            Mutant::ReturnsBeforeUsed,
            &["SentButNotOnWire"],
            ten_held,
        )
        .prepare(no_watchdog)
        .shows(returned_early),
        usual(
            "states-are-the-devices-own",
            "the report's states are the device's, on the rig's clock, and a short cancel shows",
            |run| {
                run.require(Need::Pause)?;
                five_sent_and_the_rest_cancelled(run)
            },
        )
        .prepare(no_watchdog)
        .shows(states_are_the_devices)
        .needs(&[Need::Pause]),
    ]
}
