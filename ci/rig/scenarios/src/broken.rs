//! Deliberately broken drivers: each runs a path that the same driver without its fault passes, and must be caught.

use crate::scenario::{Scenario, caught, caused, no_watchdog};
use anyhow::Result;
use cancelnic_mutants::Mutant;
use lab::device::control::State;
use lab::facts::Facts;
use lab::guest::need::Need;
use lab::run::{RX, RX_WRITE, Run, TX, WIRE};

/// 64 frames are on the hardware when the cancel comes.
pub(crate) fn cancel_64(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(64)?;
    run.await_device(TX, "64 on the hardware", |tx| tx.available + tx.fetched == 64)?;
    run.pause()
}

fn cancel_half_written(run: &mut Run) -> Result<()> {
    run.load()?;
    run.await_device(RX, "buffers at the device", |rx| rx.posted > 0)?;
    run.hold(RX_WRITE)?;
    run.inject(1)?;
    run.await_device(RX, "a frame half written", |rx| rx.writing == 1)?;
    let pausing = run.begin_pause(1)?;
    run.await_device(RX, "CANCELLING", |rx| rx.state == State::Cancelling)?;
    // The faulty driver gives the buffers back in there, while the device still writes.
    run.await_returned(RX, "EvtCancel")?;
    run.release(RX_WRITE)?;
    run.finish_pause(&pausing)
}

fn cancel_and_restart(run: &mut Run) -> Result<()> {
    cancel_64(run)?;
    run.release(WIRE)?;
    run.restart()?;
    run.send(10)?;
    run.await_guest("10 sent and received", |tx, rx| tx.sent.len() == 10 && rx.received.len() == 10)
}

/// Whoever sees it first: the guest's kernel when they go back, or the device when it writes the next byte.
fn returned_early(facts: &Facts) -> Result<()> {
    let place = "255 buffers returned while the device's STATE is CANCELLING";
    caused(facts, "rx0 EvtCancel", &[place]).or_else(|_| caused(facts, RX.name(), &["descriptor "]))
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        caught(
            "caught-packet-kept",
            "a driver that keeps one cancelled transmit packet is caught",
            Mutant::KeepsAPacket,
            &["QueueNotDrained"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| {
            caused(
                facts,
                "tx0 EvtSetNotificationEnabled",
                &["tx0: 1 packets and 1 fragments kept while the device is silent"],
            )
        }),
        caught(
            "caught-rx-buffers-before-stopped",
            "a driver that returns receive buffers while the device still writes is caught",
            Mutant::ReturnsBeforeStopped,
            &["RxBufferReturnedEarly", "ReceiveBufferTouched"],
            cancel_half_written,
        )
        .prepare(no_watchdog)
        .shows(returned_early),
        caught(
            "caught-wait-in-cancel",
            "a driver that waits in EvtCancel, at DISPATCH_LEVEL, is caught",
            Mutant::WaitsInCancel,
            &["WaitAtDispatch"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| {
            caused(facts, "tx0 EvtCancel", &["KeDelayExecutionThread at IRQL 2", "misbehave::in_cancel"])
        }),
        caught(
            "caught-resume-forgotten",
            "a driver that does not resume a cancelled queue at its restart is caught",
            Mutant::ForgetsResume,
            &["QueueNotResumed"],
            cancel_and_restart,
        )
        .prepare(no_watchdog)
        .shows(|facts| caused(facts, "EvtStart", &["STATE is STOPPED after the start"]))
        .needs(&[Need::Fates]),
    ]
}
