//! Transmit: where every frame is when the cancel comes.

use crate::scenario::{Scenario, good, no_watchdog, of_any_driver, usual};
use anyhow::{Result, ensure};
use lab::facts::Facts;
use lab::facts::reports::sizes;
use lab::guest::need::Need;
use lab::run::{COMPLETE, FETCH, Run, TX, WIRE};
use lab::settings::Settings;

/// What the device of these scenarios holds when `n` frames wait in front of the held wire.
fn hold_and_send(run: &mut Run, count: u32) -> Result<()> {
    run.hold(WIRE)?;
    run.send(count)?;
    let wanted = u64::from(count);
    run.await_device(TX, "all of them on the hardware", |tx| {
        tx.available + tx.fetched + tx.on_wire >= wanted
    })?;
    Ok(())
}

/// The device holds ten frames: one is off the wire and not completed, nine wait in front of it.
pub fn one_of_ten_off_the_wire(run: &mut Run) -> Result<()> {
    run.hold(COMPLETE)?;
    hold_and_send(run, 10)?;
    run.let_pass(WIRE, 1)?;
    run.await_device(TX, "one off the wire", |tx| tx.off_wire == 1).map(drop)
}

fn held(run: &mut Run, count: u32) -> Result<()> {
    run.load()?;
    hold_and_send(run, count)?;
    run.pause()?;
    run.expect_fates([0, count.into(), 0])
}

/// Frames that 60 bytes, one fragment each, to make the ring's indices wrap: lets all but a few slots pass first.
pub fn across_the_wrap(run: &mut Run) -> Result<()> {
    run.load()?;
    run.send(230)?;
    run.await_traffic("the first 230 sent and received", 230, 230)?;
    hold_and_send(run, 64)?;
    run.pause()?;
    run.expect_fates([230, 64, 0])
}

/// 24 rounds of 64: the virtqueue of 1024 wraps too, with cancelled chains in it.
fn many_rounds(run: &mut Run) -> Result<()> {
    run.load()?;
    for round in 1..=24 {
        hold_and_send(run, 64)?;
        run.pause()?;
        run.expect_fates([0, 64 * round, 0])?;
        run.restart()?;
    }
    run.release(WIRE)?;
    run.send(64)?;
    run.await_traffic("64 more sent and received", 64, 64)
}

/// At 1 Mbit/s by a clock that stands still, one frame is on the wire and stays there.
pub fn one_on_the_wire(run: &mut Run) -> Result<()> {
    run.load()?;
    run.send(10)?;
    run.await_device(TX, "one on the wire, nine behind it", |tx| {
        tx.on_wire == 1 && tx.available + tx.fetched >= 9
    })?;
    let pausing = run.begin_pause(1)?;
    run.await_cancelling(&pausing, TX)?;
    run.advance_clock(10_000)?;
    run.finish_pause(&pausing)?;
    run.expect_fates([1, 9, 0])
}

fn one_off_the_wire(run: &mut Run) -> Result<()> {
    run.load()?;
    one_of_ten_off_the_wire(run)?;
    let pausing = run.begin_pause(1)?;
    run.await_cancelling(&pausing, TX)?;
    run.release(COMPLETE)?;
    run.finish_pause(&pausing)?;
    run.expect_fates([1, 9, 0])
}

/// Nothing is fetched: the chains are taken back from the available ring.
fn still_available(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(FETCH)?;
    run.send(64)?;
    run.await_device(TX, "64 available", |tx| tx.available >= 64)?;
    run.pause()?;
    run.expect_fates([0, 64, 0])
}

/// A virtqueue of 128 holds 64 packets of two descriptors; the other 136 stay in the packet ring.
fn never_posted(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(200)?;
    run.await_device(TX, "the virtqueue full", |tx| tx.available + tx.fetched >= 64)?;
    run.pause()?;
    run.expect_fates([0, 64, 136])
}

/// Nine descriptors a packet, 14 packets in a virtqueue of 128, the fifteenth does not fit.
fn many_fragments(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send_as(20, 1514, 8)?;
    run.await_device(TX, "the virtqueue full", |tx| tx.available + tx.fetched >= 14)?;
    run.pause()?;
    run.expect_fates([0, 14, 6])?;
    run.release(WIRE)?;
    run.restart()?;
    run.send_as(20, 1514, 8)?;
    run.await_traffic("20 of 8 fragments sent and received", 20, 20)
}

fn twice(run: &mut Run) -> Result<()> {
    run.load()?;
    hold_and_send(run, 64)?;
    run.pause_cancelling(2)?;
    run.expect_fates([0, 64, 0])
}

fn restart_and_send(run: &mut Run) -> Result<()> {
    held(run, 64)?;
    run.release(WIRE)?;
    run.restart()?;
    run.send(100)?;
    run.await_traffic("100 sent and received", 100, 100)
}

/// A device without TX_CANCEL: what was given to it drains as sent.
fn no_cancel(run: &mut Run) -> Result<()> {
    run.load()?;
    hold_and_send(run, 64)?;
    let pausing = run.begin_pause(1)?;
    run.release(WIRE)?;
    run.finish_pause(&pausing)?;
    run.expect_fates([64, 0, 0])?;
    let tx = run.await_device(TX, "the device's counts", |_| true)?;
    run.expect("cancels", tx.cancels, 0)?;
    run.restart()?;
    run.send(64)?;
    run.await_sent("64 more sent", 128)
}

/// Frames longer than the MTU allows are in the packet ring as packets to skip, between others: they go back with
/// those, sent or taken back, and no part of them comes to the hardware.
fn too_long(run: &mut Run) -> Result<()> {
    const LONGER: u32 = 1515;
    run.load()?;
    for _ in 0..3 {
        run.send(5)?;
        run.send_as(5, LONGER, 2)?;
    }
    run.await_guest("15 sent and received, 15 skipped", |tx, rx| {
        tx.sent.len() == 15 && rx.received.len() == 15 && tx.skipped.len() == 15
    })?;
    run.hold(WIRE)?;
    run.send(5)?;
    run.send_as(5, LONGER, 2)?;
    run.send(5)?;
    run.await_device(TX, "10 on the hardware", |tx| tx.available + tx.fetched >= 10)?;
    run.look()?;
    run.expect("skipped packets behind one that is out", run.facts.tx.skipped.len(), 15)?;
    run.pause()?;
    run.expect("skipped", run.facts.tx.skipped.len(), 20)?;
    run.expect_fates([15, 10, 0])
}

/// The completion never comes: the watchdog resets the device, and every packet comes back all the same.
fn watchdog(run: &mut Run) -> Result<()> {
    run.require(Need::Callbacks)?;
    run.facts.device_given_up = true;
    run.load()?;
    one_of_ten_off_the_wire(run)?;
    run.pause()?;
    let [sent, taken_back, never_posted] = sizes(&run.facts.tx);
    run.expect("frames that came back", sent + taken_back + never_posted, 10)?;
    run.await_device(TX, "the device reset", |tx| !tx.in_service).map(drop)
}

/// The driver says which queue it was, and what of it is kept.
fn watchdog_names_the_queue(facts: &Facts) -> Result<()> {
    let said = facts.driver.not_given_back();
    let expected = "tx0 not given back in 200 ms: 10 of 256 kept: BeginIndex 0, EndIndex 10 ";
    ensure!(said.len() == 1 && said[0].starts_with(expected), "{said:?}");
    Ok(())
}

/// The driver gives a queue 200 ms.
pub fn quick_watchdog(settings: &mut Settings) {
    settings.kernel.parameters.insert("WatchdogMs", 200);
}

/// A wire of 1 Mbit/s whose clock is moved by hand.
pub fn slow_by_hand(settings: &mut Settings) {
    no_watchdog(settings);
    settings.device.speed = "1M";
    settings.device.manual_clock = true;
}

/// A device that takes nothing back.
pub fn without_cancel(settings: &mut Settings) {
    no_watchdog(settings);
    settings.device.tx_cancel = false;
}

pub(crate) fn all() -> Vec<Scenario> {
    let mut all = of_any_driver([
        usual("tx-cancel-wire-held-0", "a transmit cancel of an empty queue", |run| held(run, 0)),
        usual("tx-cancel-wire-held-1", "a transmit cancel of one frame that the device has fetched", |run| {
            held(run, 1)
        }),
        usual(
            "tx-cancel-wire-held-64",
            "a transmit cancel of 64 frames that the device has fetched",
            |run| held(run, 64),
        ),
        usual(
            "tx-cancel-wire-held-ring-less-1",
            "a transmit cancel of a full packet ring, 255 frames",
            |run| held(run, 255),
        ),
        usual(
            "tx-cancel-across-ring-wrap",
            "a transmit cancel of 64 frames across the wrap of the packet ring",
            across_the_wrap,
        ),
        usual(
            "tx-cancel-many-rounds",
            "24 rounds of cancel and restart: the virtqueue wraps with cancelled chains in it",
            many_rounds,
        ),
        usual(
            "tx-cancel-still-available",
            "a transmit cancel of frames that the device has not fetched",
            still_available,
        ),
        good(
            "tx-cancel-one-on-the-wire",
            "a transmit cancel with one of ten frames on the wire: it is sent, nine are taken back",
            slow_by_hand,
            one_on_the_wire,
        ),
        good(
            "tx-cancel-one-off-the-wire",
            "a transmit cancel with one of ten frames sent and not completed",
            no_watchdog,
            one_off_the_wire,
        ),
        good(
            "tx-cancel-never-posted",
            "a transmit cancel with 64 frames on the hardware and 136 in the packet ring only",
            |settings| settings.device.queue_size = 128,
            never_posted,
        ),
        good(
            "tx-cancel-many-fragments",
            "a transmit cancel of frames of eight fragments, some of which did not fit the virtqueue",
            |settings| settings.device.queue_size = 128,
            many_fragments,
        )
        .needs(&[Need::Protocol]),
        usual("tx-cancel-twice", "EvtCancel called twice takes each frame back once", twice)
            .needs(&[Need::Pause]),
        usual(
            "tx-frames-too-long-are-skipped",
            "frames over the MTU are skipped in the packet ring and never reach the hardware",
            too_long,
        )
        .needs(&[Need::Fates, Need::Protocol]),
        usual(
            "tx-restart-and-send-again",
            "after a cancel and a restart 100 more frames are sent and received",
            restart_and_send,
        ),
        good(
            "tx-no-cancel-drains",
            "without TX_CANCEL what the device has drains as sent",
            without_cancel,
            no_cancel,
        ),
    ]);
    all.push(
        usual(
            "tx-watchdog-resets-the-device",
            "a completion that never comes: the watchdog resets the device, all packets come back",
            watchdog,
        )
        .prepare(quick_watchdog)
        .shows(watchdog_names_the_queue)
        .needs(&[Need::Callbacks]),
    );
    all
}
