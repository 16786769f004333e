//! The virtual machine is paused and resumed: its queues leave service and enter it again in the middle of things.

use super::transmit::one_of_ten_off_the_wire;
use super::{Scenario, good, no_watchdog, usual};
use crate::run::{COMPLETE, Run, WIRE};
use anyhow::Result;

/// The cancel waits for a completion that a gate holds; leaving service finishes it whole.
fn in_a_cancel(run: &mut Run) -> Result<()> {
    run.load()?;
    // One completion first: a queue that never completed anything starts anew when the machine goes on.
    run.send(1)?;
    run.await_traffic("one sent and received", 1, 1)?;
    one_of_ten_off_the_wire(run)?;
    let pausing = run.begin_pause(1)?;
    run.await_cancelling(&pausing, "tx0")?;
    run.stop_machine()?;
    run.await_device("tx0", "the queue out of service", |tx| !tx.in_service && tx.off_wire == 0)?;
    run.continue_machine()?;
    run.finish_pause(&pausing)?;
    run.expect_fates([2, 9, 0])?;
    run.release(COMPLETE)?;
    run.release(WIRE)?;
    run.restart()?;
    run.send(20)?;
    run.await_traffic("20 more sent and received", 22, 22)
}

/// Chains that were fetched and not sent are fetched again, each sent once.
fn with_frames_held(run: &mut Run) -> Result<()> {
    run.load()?;
    run.send(1)?;
    run.await_traffic("one sent and received", 1, 1)?;
    run.hold(WIRE)?;
    run.send(30)?;
    run.await_device("tx0", "30 on the hardware", |tx| tx.available + tx.fetched >= 30)?;
    run.stop_machine()?;
    run.await_device("tx0", "the queue out of service", |tx| !tx.in_service)?;
    run.release(WIRE)?;
    run.continue_machine()?;
    run.await_traffic("all sent and received", 31, 31)
}

pub fn all() -> Vec<Scenario> {
    vec![
        good("machine-paused-in-a-cancel", no_watchdog, in_a_cancel),
        usual("machine-paused-with-frames-held", with_frames_held),
    ]
}
