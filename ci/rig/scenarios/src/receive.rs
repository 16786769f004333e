//! Receive: what the device is doing with buffers when the cancel comes.

use super::transmit::quick_watchdog;
use crate::scenario::{Scenario, good, no_watchdog, of_any_driver, usual};
use anyhow::{Result, ensure};
use lab::facts::Facts;
use lab::guest::need::Need;
use lab::run::{RX, RX_WRITE, Run};

fn idle(run: &mut Run) -> Result<()> {
    run.load()?;
    let rx = run.await_device(RX, "buffers at the device", |rx| rx.posted > 0)?;
    run.pause()?;
    run.expect("frames received", run.facts.rx.received.len(), 0)?;
    run.expect("at least the posted buffers back", run.facts.rx.returned_empty >= rx.posted, true)?;
    run.expect("buffers still held", run.facts.rx.held, 0)
}

/// One frame is half in its buffer, nine wait behind it. The one arrives, no buffer goes back before STOPPED, and
/// the nine arrive after the restart.
fn half_written(run: &mut Run, waiting: u32) -> Result<()> {
    if waiting > 0 {
        // A device that is disabled forgets them.
        run.require(Need::Pause)?;
    }
    run.load()?;
    run.await_device(RX, "buffers at the device", |rx| rx.posted > 0)?;
    run.hold(RX_WRITE)?;
    run.inject(1 + waiting)?;
    run.await_device(RX, "a frame half written", |rx| rx.writing == 1)?;
    let pausing = run.begin_pause(1)?;
    run.await_cancelling(&pausing, RX)?;
    if !run.facts.fates_untold {
        run.await_returned(RX, "EvtCancel")?;
    }
    run.look()?;
    run.expect("buffers back before STOPPED", run.facts.rx.returned_empty, 0)?;
    run.release(RX_WRITE)?;
    run.finish_pause(&pausing)?;
    run.expect("frames received", run.facts.rx.received.len(), 1)?;
    run.restart()?;
    run.await_received("those that waited", 1 + u64::from(waiting))
}

/// Frames are on their way through the ring while the queue is cancelled.
fn frames_arriving(run: &mut Run) -> Result<()> {
    run.load()?;
    run.await_device(RX, "buffers at the device", |rx| rx.posted > 0)?;
    run.inject(100)?;
    run.pause()?;
    run.restart()?;
    run.await_received("all of them", 100)
}

fn again_and_again(run: &mut Run) -> Result<()> {
    run.load()?;
    for round in 1..=10 {
        run.send(30)?;
        run.await_received("the round received", 30 * round)?;
        run.pause()?;
        run.restart()?;
    }
    Ok(())
}

/// A frame stays half in its buffer: the watchdog resets the device, and every buffer comes back all the same.
fn watchdog(run: &mut Run) -> Result<()> {
    run.require(Need::Callbacks)?;
    run.facts.device_given_up = true;
    run.load()?;
    run.await_guest("all buffers given", |_, rx| rx.held == 255)?;
    run.hold(RX_WRITE)?;
    run.inject(1)?;
    run.await_device(RX, "a frame half written", |rx| rx.writing == 1)?;
    run.pause()?;
    run.expect("buffers still held", run.facts.rx.held, 0)
}

/// The driver says which queue it was, and what of it is kept.
fn watchdog_names_the_queue(facts: &Facts) -> Result<()> {
    let said = facts.driver.not_given_back();
    let expected = "rx0 not given back in 200 ms: 255 of 256 kept: BeginIndex 0, EndIndex 255 ";
    ensure!(said.len() == 1 && said[0].starts_with(expected), "{said:?}");
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    let mut all = of_any_driver([
        usual("rx-cancel-idle", "a receive cancel without traffic returns every buffer empty", idle),
        good(
            "rx-cancel-half-written",
            "no buffer goes back before the half written frame is whole",
            no_watchdog,
            |run| half_written(run, 0),
        ),
        good(
            "rx-cancel-frames-waiting",
            "a receive cancel with one frame half written and nine waiting: as documented",
            no_watchdog,
            |run| half_written(run, 9),
        )
        .needs(&[Need::Pause]),
        good(
            "rx-cancel-frames-waiting-as-source",
            "the same by NetAdapterCx's source: one frame half written, nine waiting",
            |settings| {
                no_watchdog(settings);
                settings.kernel.as_documented = false;
            },
            |run| half_written(run, 9),
        )
        .needs(&[Need::Pause]),
        usual(
            "rx-cancel-frames-arriving",
            "a receive cancel while frames arrive: all of them are received after the restart",
            frames_arriving,
        ),
        usual(
            "rx-cancel-again-and-again",
            "ten rounds of traffic, receive cancel and restart: every frame arrives",
            again_and_again,
        ),
    ]);
    all.push(
        usual(
            "rx-watchdog-resets-the-device",
            "a frame that stays half written: the watchdog resets the device, all buffers come back",
            watchdog,
        )
        .prepare(quick_watchdog)
        .shows(watchdog_names_the_queue)
        .needs(&[Need::Fates, Need::Callbacks]),
    );
    all
}
