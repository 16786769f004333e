//! Completions that fall around the moment at which a packet queue goes to sleep: between the last EvtAdvance and
//! EvtSetNotificationEnabled, and between that and the sleep. The queue has to be advanced again without any other event.

use super::{Kind, Scenario, Shows, good, no_watchdog};
use crate::facts::Facts;
use crate::run::{COMPLETE, Run};
use crate::settings::Settings;
use anyhow::{Result, ensure};
use cancelnic_mutants::Mutant;

/// The driver's faults: what came while the queue was armed is not notified.
const TX_FORGETS: Mutant = Mutant::ForgetsToNotifyTx;
const RX_FORGETS: Mutant = Mutant::ForgetsToNotifyRx;

/// A frame is completed while the transmit queue waits at `window`. One alone: whoever sends more may be half done when
/// the queue comes there, and the rest would wake it.
fn tx_completed_at(run: &mut Run, window: &str) -> Result<()> {
    run.load()?;
    // Asleep: else the queue could be on its way to the window before the frame.
    run.await_asleep("tx0")?;
    run.hold(COMPLETE)?;
    run.hold_at(window, |run| run.send(1))?;
    run.await_device("tx0", "the frame off the wire", |tx| tx.off_wire == 1)?;
    // An interrupt for the receive queue wakes both: that of the frame that comes back is over.
    run.await_received("the frame received", 1)?;
    run.release(COMPLETE)?;
    run.await_device("tx0", "the frame completed", |tx| tx.off_wire == 0)?;
    run.release_window(window)?;
    run.await_sent("the queue advanced again: the frame sent", 1)
}

/// Nine frames arrive while the receive queue waits at `window`, where the first has brought it.
fn rx_arrived_at(run: &mut Run, window: &str) -> Result<()> {
    run.load()?;
    let before = run.await_device("rx0", "buffers at the device", |rx| rx.posted > 0)?.received;
    run.await_asleep("rx0")?;
    run.hold_at(window, |run| {
        run.inject(1)?;
        run.await_received("the first received", 1)
    })?;
    run.inject(9)?;
    run.await_device("rx0", "9 more delivered", |rx| rx.received == before + 10)?;
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
    settings.guest.as_documented = false;
}

/// The rule names the queue, the callback, and what the driver has not seen.
fn names(facts: &Facts, queue: &str, [seen, used]: [u16; 2]) -> Result<()> {
    let found = facts.violations.iter().find(|violation| violation.rule == "LostWakeUp");
    let callback = format!("{queue} EvtSetNotificationEnabled");
    let used = format!("used index was {seen} when the driver last looked and has been {used} since");
    ensure!(
        found.is_some_and(|found| found.callback == callback && found.place.contains(&used)),
        "{callback}: {used}, and not {found:?}"
    );
    Ok(())
}

/// A driver that forgets to notify, under a framework that does as documented.
const fn caught(
    name: &'static str,
    mutant: Mutant,
    body: fn(&mut Run) -> Result<()>,
    shows: Shows,
) -> Scenario {
    Scenario {
        name,
        kind: Kind::Caught { mutant, prepare: no_watchdog, body, rules: &["LostWakeUp"], shows },
    }
}

/// The same driver under a framework that makes up for it.
const fn endured(name: &'static str, mutant: Mutant, body: fn(&mut Run) -> Result<()>) -> Scenario {
    Scenario { name, kind: Kind::Endured { mutant, prepare: as_source, body, shows: |_| Ok(()) } }
}

pub fn all() -> Vec<Scenario> {
    vec![
        good("tx-completion-before-arming", no_watchdog, tx_before_arming),
        good("tx-completion-after-arming", no_watchdog, tx_after_arming),
        good("rx-frames-before-arming", no_watchdog, rx_before_arming),
        good("rx-frames-after-arming", no_watchdog, rx_after_arming),
        caught("caught-tx-notify-forgotten", TX_FORGETS, tx_before_arming, |facts| {
            names(facts, "tx0", [0, 1])
        }),
        caught("caught-rx-notify-forgotten", RX_FORGETS, rx_before_arming, |facts| {
            names(facts, "rx0", [1, 10])
        }),
        endured("tx-notify-forgotten-as-source", TX_FORGETS, tx_before_arming),
        endured("rx-notify-forgotten-as-source", RX_FORGETS, rx_before_arming),
    ]
}
