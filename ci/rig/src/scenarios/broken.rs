//! Deliberately broken drivers: each runs a path that the same driver without its fault passes, and must be caught.

use super::{Kind, Scenario, no_watchdog};
use crate::control::State;
use crate::run::{RX_WRITE, Run, WIRE};
use crate::settings::Settings;
use anyhow::Result;
use cancelnic_mutants::Mutant;

fn cancel_64(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(64)?;
    run.await_device("tx0", "64 on the hardware", |tx| tx.available + tx.fetched == 64)?;
    run.pause()
}

fn cancel_half_written(run: &mut Run) -> Result<()> {
    run.load()?;
    run.await_device("rx0", "buffers at the device", |rx| rx.posted > 0)?;
    run.hold(RX_WRITE)?;
    run.inject(1)?;
    run.await_device("rx0", "a frame half written", |rx| rx.writing == 1)?;
    let pausing = run.begin_pause(1)?;
    run.await_device("rx0", "CANCELLING", |rx| rx.state == State::Cancelling)?;
    // The faulty driver gives the buffers back in there, while the device still writes.
    run.await_returned("rx0", "EvtCancel")?;
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

const fn caught(
    name: &'static str,
    mutant: Mutant,
    prepare: fn(&mut Settings),
    body: fn(&mut Run) -> Result<()>,
    rules: &'static [&'static str],
) -> Scenario {
    Scenario { name, kind: Kind::Caught { mutant, prepare, body, rules, shows: |_| Ok(()) } }
}

pub fn all() -> Vec<Scenario> {
    vec![
        caught("caught-packet-kept", Mutant::KeepsAPacket, no_watchdog, cancel_64, &["QueueNotDrained"]),
        caught(
            "caught-rx-buffers-before-stopped",
            Mutant::ReturnsBeforeStopped,
            no_watchdog,
            cancel_half_written,
            &["RxBufferReturnedEarly", "ReceiveBufferTouched"],
        ),
        caught("caught-wait-in-cancel", Mutant::WaitsInCancel, no_watchdog, cancel_64, &["WaitAtDispatch"]),
        caught(
            "caught-resume-forgotten",
            Mutant::ForgetsResume,
            no_watchdog,
            cancel_and_restart,
            &["QueueNotResumed"],
        ),
    ]
}
