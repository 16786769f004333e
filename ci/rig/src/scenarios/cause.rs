//! Broken drivers whose first reported fault must be the cause, not the step that failed for it.

use super::{Kind, Scenario, Shows, no_watchdog};
use crate::facts::Facts;
use crate::guest::Need;
use crate::run::{Run, WIRE};
use crate::settings::Settings;
use crate::verdict::judge;
use anyhow::{Context, Result, bail, ensure};
use cancelnic_mutants::Mutant;

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
    run.await_device("tx0", "64 on the hardware", |tx| tx.available + tx.fetched == 64)?;
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
    run.await_device("tx0", "ten on the hardware", |tx| tx.available + tx.fetched == 10)?;
    run.look()?;
    run.expect("sent while the wire is held", run.facts.tx.sent.len(), 0)?;
    run.pause()
}

/// The first fault is `rule` on `queue`, its place begins as said, and no step waited until its limit for what cannot come.
fn first(facts: &Facts, rule: &str, queue: &str, place: &str) -> Result<()> {
    let faults = judge(facts);
    let cause = faults.first().context("no fault")?;
    ensure!(
        cause.rule == rule && cause.callback == queue && cause.place.starts_with(place),
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
    let one =
        first(facts, "TakenBackButOnWire", "tx0", "frame 4: the driver reported taken back, on the wire");
    one.or_else(|_| {
        first(facts, "TakenBackButOnWire", "tx0", "frames 4, 8: the driver reported taken back, on the wire")
    })
}

fn skipped(facts: &Facts) -> Result<()> {
    first(
        facts,
        "SentButNotOnWire",
        "tx0",
        "frames 20-64: the driver reported sent, never on the wire: the device took them back",
    )
}

fn returned_early(facts: &Facts) -> Result<()> {
    first(facts, "SentButNotOnWire", "tx0", "frames 1-10: the driver reported sent, never on the wire")
}

/// In the step of the cancel, with the queue that the driver's watchdog names.
fn never_cancelled(facts: &Facts) -> Result<()> {
    let place = "the driver gave the device up: tx0 not given back in 2000 ms: 59 of 256 kept";
    first(facts, "DriverResetDevice", "tx0", place)?;
    let failed = facts.steps.iter().find(|step| !step.ok).context("no step failed")?;
    ensure!(failed.name == "every packet back, queues stopped", "{failed:?}");
    ensure!(
        facts.prints.iter().any(|print| print.text.contains("not given back in 2000 ms")),
        "{:?}",
        facts.prints
    );
    Ok(())
}

fn not_rung(facts: &Facts) -> Result<()> {
    first(facts, "DoorbellMissing", "tx0", "descriptor ")
}

/// The states of the report are the device's: a cancel shows, however short it was.
fn states_are_the_devices(facts: &Facts) -> Result<()> {
    for queue in ["tx0", "rx0"] {
        let states: Vec<_> = facts
            .states
            .iter()
            .filter(|sample| sample.queue == queue)
            .map(|sample| sample.state.as_str())
            .collect();
        let cancelled = states.windows(3).any(|seen| seen == ["RUNNING", "CANCELLING", "STOPPED"]);
        ensure!(cancelled, "{queue}: {states:?}");
        ensure!(states.last() == Some(&"-"), "{queue} is unloaded: {states:?}");
    }
    let times = facts.states.iter().map(|sample| sample.at);
    ensure!(times.is_sorted(), "{:?}", facts.states);
    // One clock: the device stops within the step that cancels, as the rig measured it.
    let stopped = facts.states.iter().find(|sample| sample.queue == "tx0" && sample.state == "STOPPED");
    let stopped = stopped.context("tx0 was not stopped")?.at;
    let begun = facts.steps.iter().find(|step| step.name.contains("cancel both queues"));
    let over = facts.steps.iter().find(|step| step.name.contains("queues stopped"));
    let (begun, over) = (begun.context("no cancel")?.at, over.context("no end of it")?);
    ensure!((begun..=over.at + over.took).contains(&stopped), "{begun:?} {stopped:?} {over:?}");
    Ok(())
}

const fn caught(
    name: &'static str,
    mutant: Mutant,
    prepare: fn(&mut Settings),
    body: fn(&mut Run) -> Result<()>,
    rules: &'static [&'static str],
    shows: Shows,
) -> Scenario {
    Scenario { name, kind: Kind::Caught { mutant, prepare, body, rules, shows } }
}

pub fn all() -> Vec<Scenario> {
    vec![
        caught(
            "cause-sent-marked-taken-back",
            Mutant::MarksSentAsTakenBack,
            no_watchdog,
            ten_sent,
            &["TakenBackButOnWire"],
            marked,
        ),
        caught(
            "cause-completion-skipped",
            Mutant::SkipsACompletion,
            no_watchdog,
            five_sent_and_the_rest_cancelled,
            &["SentButNotOnWire"],
            skipped,
        ),
        caught(
            "cause-cancel-never-written",
            Mutant::ForgetsCancel,
            |_| (),
            five_sent_and_the_rest_cancelled,
            &["DriverResetDevice"],
            never_cancelled,
        ),
        caught(
            "cause-doorbell-not-rung",
            Mutant::ForgetsDoorbell,
            no_watchdog,
            ten_sent,
            &["DoorbellMissing"],
            not_rung,
        ),
        caught(
            "cause-returned-before-used",
            Mutant::ReturnsBeforeUsed,
            no_watchdog,
            ten_held,
            &["SentButNotOnWire"],
            returned_early,
        ),
        Scenario {
            name: "states-are-the-devices-own",
            kind: Kind::Good {
                prepare: no_watchdog,
                body: |run| {
                    run.require(Need::Pause)?;
                    five_sent_and_the_rest_cancelled(run)
                },
                shows: states_are_the_devices,
            },
        },
    ]
}
