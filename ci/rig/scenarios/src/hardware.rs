//! Hardware that goes wrong (`fault.arm`), and the driver that survives it.

use crate::scenario::{Scenario, usual};
use crate::transmit::quick_watchdog;
use anyhow::Result;
use lab::device::control::Fault;
use lab::facts::reports::sizes;
use lab::guest::need::Need;
use lab::run::{RX, Run, TX, WIRE};

fn link_flaps(run: &mut Run) -> Result<()> {
    run.load()?;
    run.arm_fault(Fault::LinkFlap, None, 20)?;
    run.await_link(true)?;
    run.send(5)?;
    run.await_traffic("5 sent and received", 5, 5)
}

fn spurious_interrupts(run: &mut Run) -> Result<()> {
    run.load()?;
    for sent in [10, 20] {
        run.arm_fault(Fault::InterruptSpurious, Some(TX), 50)?;
        run.arm_fault(Fault::InterruptSpurious, Some(RX), 50)?;
        run.send(10)?;
        run.await_traffic("frames sent and received", sent, sent)?;
    }
    Ok(())
}

/// Ten frames on hardware that goes wrong in this way: the driver gives the device up, and every packet comes back.
fn given_up(run: &mut Run, fault: Fault, count: u64) -> Result<()> {
    run.require(Need::Callbacks)?;
    run.facts.device_given_up = true;
    run.load()?;
    run.hold(WIRE)?;
    run.send(10)?;
    run.await_device(TX, "10 on the hardware", |tx| tx.available + tx.fetched >= 10)?;
    let queue = if fault == Fault::RegistersAllOnes { None } else { Some(TX) };
    run.arm_fault(fault, queue, count)?;
    run.pause()?;
    run.expect_fault(fault)?;
    let [sent, taken_back, never_posted] = sizes(&run.facts.tx);
    run.expect("frames that came back", sent + taken_back + never_posted, 10)
}

pub(crate) fn all() -> Vec<Scenario> {
    let watched = |name, description, body| {
        usual(name, description, body).prepare(quick_watchdog).needs(&[Need::Callbacks])
    };
    vec![
        usual(
            "hardware-link-flaps",
            "a link that goes down and up 20 times at once is up in the end",
            link_flaps,
        )
        .needs(&[Need::Callbacks]),
        usual(
            "hardware-interrupts-without-cause",
            "interrupts without a cause at both queues cost the driver nothing",
            spurious_interrupts,
        ),
        watched(
            "hardware-completion-withheld",
            "a CANCEL that ends without one of the used elements: all packets come back",
            |run| given_up(run, Fault::CompletionWithheld, 1),
        ),
        watched(
            "hardware-completion-of-another",
            "a used element of a descriptor that the table does not have: all packets come back",
            |run| given_up(run, Fault::CompletionOfAnother, 1),
        ),
        watched(
            "hardware-completion-after-stopped",
            "a used element that comes after STOPPED: all packets come back",
            |run| given_up(run, Fault::CompletionAfterStopped, 1),
        ),
        watched(
            "hardware-registers-all-ones",
            "a device that is gone when its queues are cancelled: all packets come back",
            |run| given_up(run, Fault::RegistersAllOnes, 100_000),
        ),
    ]
}
