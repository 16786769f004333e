//! Both forms of the queue cancel, run side by side: net ring iterators, and BeginIndex with whole rings as in 2018.
//! Each run is judged by itself; then every frame must have met the same fate, in the same order.

use super::transmit;
use crate::scenario::{Scenario, both_forms, no_watchdog};
use anyhow::Result;
use lab::device::control::State;
use lab::guest::need::Need;
use lab::run::{RX, RX_WRITE, Run, TX, WIRE};
use lab::settings::{Settings, Wire};

/// Packets on the hardware and never posted, a receive frame half written, two behind it, buffers never posted.
fn everything(run: &mut Run) -> Result<()> {
    run.load()?;
    run.inject(20)?;
    run.await_guest("20 received, all buffers given again", |_, rx| {
        rx.received.len() == 20 && rx.held == 255
    })?;
    run.hold(WIRE)?;
    run.send(200)?;
    run.await_device(TX, "the virtqueue full", |tx| tx.available + tx.fetched == 64)?;
    run.hold(RX_WRITE)?;
    run.inject(3)?;
    run.await_device(RX, "a frame half written", |rx| rx.writing == 1)?;
    let pausing = run.begin_pause(1)?;
    run.await_device(RX, "CANCELLING", |rx| rx.state == State::Cancelling)?;
    run.release(RX_WRITE)?;
    run.finish_pause(&pausing)?;
    run.expect_fates([0, 64, 136])?;
    run.expect(
        "received, returned empty",
        (run.facts.rx.received.len(), run.facts.rx.returned_empty),
        (21, 254),
    )?;
    run.release(WIRE)?;
    run.restart()?;
    run.await_received("the two that waited", 23)?;
    run.send(50)?;
    run.await_guest("50 sent and received, all buffers given again", |tx, rx| {
        tx.sent.len() == 50 && rx.received.len() == 73 && rx.held == 255
    })
}

/// Without hardware support the callback takes nothing back: every frame ends as sent, after receive has stopped.
fn no_cancel(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(64)?;
    run.await_device(TX, "64 on the hardware", |tx| tx.available + tx.fetched == 64)?;
    let pausing = run.begin_pause(1)?;
    run.await_device(RX, "STOPPED", |rx| rx.state == State::Stopped)?;
    run.release(WIRE)?;
    run.finish_pause(&pausing)?;
    run.expect_fates([64, 0, 0])?;
    run.restart()?;
    run.await_guest("all received, all buffers given again", |_, rx| {
        rx.received.len() == 64 && rx.held == 255
    })
}

fn small_virtqueues(settings: &mut Settings) {
    no_watchdog(settings);
    settings.device.queue_size = 128;
}

/// What leaves the wire while receive is being cancelled would arrive just before that, or just after.
fn slow_and_nothing_comes_back(settings: &mut Settings) {
    transmit::slow_by_hand(settings);
    settings.device.wire = Wire::Null;
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        both_forms(
            "forms-same-frames-same-order",
            "both forms agree on frames on the hardware, in the ring only, and half received",
            small_virtqueues,
            everything,
        )
        .needs(&[Need::Fates]),
        both_forms(
            "forms-alike-across-ring-wrap",
            "both forms of the queue cancel give each frame the same fate across the ring's wrap",
            |_| (),
            transmit::across_the_wrap,
        ),
        both_forms(
            "forms-alike-one-on-the-wire",
            "both forms of the queue cancel agree with one frame on the wire",
            slow_and_nothing_comes_back,
            transmit::one_on_the_wire,
        ),
        both_forms(
            "forms-alike-without-hardware-cancel",
            "both forms of the queue cancel agree on a device that takes nothing back",
            transmit::without_cancel,
            no_cancel,
        )
        .needs(&[Need::Fates]),
    ]
}
