//! The virtual machine is paused and resumed: its queues leave service and enter it again in the middle of things.

use super::transmit::one_of_ten_off_the_wire;
use crate::scenario::{Scenario, good, no_watchdog, of_any_driver, usual};
use anyhow::Result;
use lab::run::{COMPLETE, Run, TX, WIRE};

/// The cancel waits for a completion that a gate holds; leaving service finishes it whole.
fn in_a_cancel(run: &mut Run) -> Result<()> {
    run.load()?;
    // One completion first: a queue that never completed anything starts anew when the machine goes on.
    run.send(1)?;
    run.await_traffic("one sent and received", 1, 1)?;
    one_of_ten_off_the_wire(run)?;
    let pausing = run.begin_pause(1)?;
    run.await_cancelling(&pausing, TX)?;
    run.stop_machine()?;
    run.await_device(TX, "the queue out of service", |tx| !tx.in_service && tx.off_wire == 0)?;
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
    run.await_device(TX, "30 on the hardware", |tx| tx.available + tx.fetched >= 30)?;
    run.stop_machine()?;
    run.await_device(TX, "the queue out of service", |tx| !tx.in_service)?;
    run.release(WIRE)?;
    run.continue_machine()?;
    run.await_traffic("all sent and received", 31, 31)
}

pub(crate) fn all() -> Vec<Scenario> {
    of_any_driver([
        good(
            "machine-paused-in-a-cancel",
            "the virtual machine is paused while a cancel waits: leaving service finishes it",
            no_watchdog,
            in_a_cancel,
        ),
        usual(
            "machine-paused-with-frames-held",
            "the virtual machine is paused with frames fetched: each is sent once afterwards",
            with_frames_held,
        ),
    ])
}
