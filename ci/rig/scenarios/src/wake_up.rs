//! Completions that fall around the moment at which a packet queue goes to sleep: between the last EvtAdvance and
//! EvtSetNotificationEnabled, and between that and the sleep. The queue has to be advanced again without any other event.

use crate::scenario::{Scenario, caught, endured, good, no_watchdog, of_any_driver};
use anyhow::{Result, ensure};
use cancelnic_mutants::Mutant;
use cancelnic_registers::QueueId;
use lab::facts::Facts;
use lab::guest::need::Need;
use lab::run::{COMPLETE, RX, Run, TX};
use lab::settings::Settings;

/// The driver's faults: what came while the queue was armed is not notified.
const TX_FORGETS: Mutant = Mutant::ForgetsToNotifyTx;
const RX_FORGETS: Mutant = Mutant::ForgetsToNotifyRx;

/// A frame is completed while the transmit queue waits at `window`. One alone: whoever sends more may be half done when
/// the queue comes there, and the rest would wake it.
fn tx_completed_at(run: &mut Run, window: &str) -> Result<()> {
    run.load()?;
    // Asleep: else the queue could be on its way to the window before the frame.
    run.await_asleep(TX)?;
    run.hold(COMPLETE)?;
    run.hold_at(window, |run| run.send(1))?;
    run.await_device(TX, "the frame off the wire", |tx| tx.off_wire == 1)?;
    // An interrupt for the receive queue wakes both: that of the frame that comes back is over.
    run.await_received("the frame received", 1)?;
    run.release(COMPLETE)?;
    run.await_device(TX, "the frame completed", |tx| tx.off_wire == 0)?;
    run.release_window(window)?;
    run.await_sent("the queue advanced again: the frame sent", 1)
}

/// Nine frames arrive while the receive queue waits at `window`, where the first has brought it.
fn rx_arrived_at(run: &mut Run, window: &str) -> Result<()> {
    run.load()?;
    let before = run.await_device(RX, "buffers at the device", |rx| rx.posted > 0)?.received;
    run.await_asleep(RX)?;
    run.hold_at(window, |run| {
        run.inject(1)?;
        run.await_received("the first received", 1)
    })?;
    run.inject(9)?;
    run.await_device(RX, "9 more delivered", |rx| rx.received == before + 10)?;
    run.release_window(window)?;
    run.await_received("the queue advanced again: 10 received", 10)
}

fn tx_before_arming(run: &mut Run) -> Result<()> {
    tx_completed_at(run, "netcx.arm.before@tx0")
}

fn tx_after_arming(run: &mut Run) -> Result<()> {
    tx_completed_at(run, "netcx.arm.after@tx0")
}

fn rx_before_arming(run: &mut Run) -> Result<()> {
    rx_arrived_at(run, "netcx.arm.before@rx0")
}

fn rx_after_arming(run: &mut Run) -> Result<()> {
    rx_arrived_at(run, "netcx.arm.after@rx0")
}

/// A framework that polls once more after EvtSetNotificationEnabled.
fn as_source(settings: &mut Settings) {
    no_watchdog(settings);
    settings.kernel.as_documented = false;
}

/// The rule names the queue, the callback, and what the driver has not seen.
fn names(facts: &Facts, queue: QueueId, [seen, used]: [u16; 2]) -> Result<()> {
    let found = facts.violations.iter().find(|violation| violation.rule == "LostWakeUp");
    let callback = format!("{queue} EvtSetNotificationEnabled");
    let used = format!("used index was {seen} when the driver last looked and has been {used} since");
    ensure!(
        found.is_some_and(|found| found.callback == callback && found.place.contains(&used)),
        "{callback}: {used}, and not {found:?}"
    );
    Ok(())
}

/// The rule that finds both.
const LOST: &[&str] = &["LostWakeUp"];

pub(crate) fn all() -> Vec<Scenario> {
    let mut all = of_any_driver([
        good(
            "tx-completion-before-arming",
            "a completion between the last EvtAdvance and the arming of tx0 is not lost",
            no_watchdog,
            tx_before_arming,
        )
        .needs(&[Need::HoldPoints, Need::Views]),
        good(
            "tx-completion-after-arming",
            "a completion just after tx0's notification is armed wakes the queue",
            no_watchdog,
            tx_after_arming,
        )
        .needs(&[Need::HoldPoints, Need::Views]),
        good(
            "rx-frames-before-arming",
            "frames that arrive between the last EvtAdvance and the arming of rx0 are not lost",
            no_watchdog,
            rx_before_arming,
        )
        .needs(&[Need::HoldPoints, Need::Views]),
        good(
            "rx-frames-after-arming",
            "frames that arrive just after rx0's notification is armed wake the queue",
            no_watchdog,
            rx_after_arming,
        )
        .needs(&[Need::HoldPoints, Need::Views]),
    ]);
    all.extend([
        caught(
            "caught-tx-notify-forgotten",
            "a driver that does not look again after arming tx0 (a lost wake-up) is caught",
            TX_FORGETS,
            LOST,
            tx_before_arming,
        )
        .prepare(no_watchdog)
        .shows(|facts| names(facts, TX, [0, 1]))
        .needs(&[Need::HoldPoints, Need::Views]),
        caught(
            "caught-rx-notify-forgotten",
            "a driver that does not look again after arming rx0 (a lost wake-up) is caught",
            RX_FORGETS,
            LOST,
            rx_before_arming,
        )
        .prepare(no_watchdog)
        .shows(|facts| names(facts, RX, [1, 10]))
        .needs(&[Need::HoldPoints, Need::Views]),
        endured(
            "tx-notify-forgotten-as-source",
            "the lost wake-up of tx0 where the framework polls again, as in its source",
            TX_FORGETS,
            tx_before_arming,
        )
        .prepare(as_source)
        .needs(&[Need::HoldPoints, Need::Views]),
        endured(
            "rx-notify-forgotten-as-source",
            "the lost wake-up of rx0 where the framework polls again, as in its source",
            RX_FORGETS,
            rx_before_arming,
        )
        .prepare(as_source)
        .needs(&[Need::HoldPoints, Need::Views]),
    ]);
    all
}
