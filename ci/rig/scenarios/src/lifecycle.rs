//! The life of driver and queues: load, restart, power, unload, with and without traffic.

use crate::scenario::{Scenario, good, no_watchdog, of_any_driver, usual};
use anyhow::{Result, bail, ensure};
use lab::facts::Facts;
use lab::facts::reports::sizes;
use lab::guest::need::Need;
use lab::run::{RX, Run, TX, WIRE};

fn load_and_unload(run: &mut Run) -> Result<()> {
    run.load()?;
    run.unload()
}

/// A second driver goes on with the command words where the first one left them.
fn reload(run: &mut Run) -> Result<()> {
    for sent in [50, 100] {
        run.load()?;
        run.send(50)?;
        run.await_traffic("frames sent and received", sent, sent)?;
        run.unload()?;
    }
    Ok(())
}

/// Packet queues come and go, virtqueues with them; what was taken back in the first life stays taken back.
fn new_queues(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(64)?;
    run.await_device(TX, "64 on the hardware", |tx| tx.available + tx.fetched >= 64)?;
    run.power_down()?;
    run.expect_fates([0, 64, 0])?;
    run.release(WIRE)?;
    run.power_up()?;
    run.send(100)?;
    run.await_traffic("100 sent and received", 100, 100)
}

fn stop_in_traffic(run: &mut Run) -> Result<()> {
    run.load()?;
    for _ in 0..5 {
        run.send(200)?;
        run.pause()?;
        run.restart()?;
    }
    run.send(1)?;
    run.await_accounted()
}

fn unload_in_traffic(run: &mut Run) -> Result<()> {
    run.load()?;
    run.send(200)?;
    run.unload()
}

/// 100 kbit/s by the real clock: 6.7 ms a frame, 1.3 s for all, so that the cancel comes while some are through.
fn stop_a_slow_wire(run: &mut Run) -> Result<()> {
    // A guest that waits for its lists first has all of them sent.
    run.require(Need::Pause)?;
    run.load()?;
    run.send(200)?;
    run.await_device(TX, "some frames sent", |tx| tx.sent >= 3)?;
    run.pause()?;
    let [sent, taken_back, never_posted] = sizes(&run.facts.tx);
    run.expect("frames that came back", sent + taken_back + never_posted + run.facts.tx.paused.len(), 200)?;
    run.expect("some sent, some taken back", (sent >= 3, taken_back > 0), (true, true))
}

/// The same path for a guest that follows the source where it differs from the documents, and for other seeds.
fn whole_path(run: &mut Run) -> Result<()> {
    whole_path_up(run)?;
    run.unload()
}

fn whole_path_up(run: &mut Run) -> Result<()> {
    run.load()?;
    run.send(20)?;
    run.await_traffic("20 sent and received", 20, 20)?;
    run.hold(WIRE)?;
    run.send(64)?;
    run.await_device(TX, "64 on the hardware", |tx| tx.available + tx.fetched >= 64)?;
    run.pause()?;
    run.expect_fates([20, 64, 0])?;
    run.release(WIRE)?;
    run.restart()?;
    run.send(20)?;
    run.await_traffic("40 sent and received", 40, 40)
}

/// Traffic through all that a queue can go through.
fn every_turn(run: &mut Run) -> Result<()> {
    run.require(Need::Callbacks)?;
    whole_path_up(run)?;
    run.send(200)?;
    run.pause()?;
    run.restart()?;
    run.send(50)?;
    run.power_down()?;
    run.power_up()?;
    run.send(50)?;
    run.unload()
}

/// Callbacks of one queue never overlap, and come in the order of a queue's life: EvtStart, EvtAdvance, EvtCancel,
/// EvtAdvance, EvtStop; after EvtStop none comes until the next EvtStart.
fn in_order(facts: &Facts) -> Result<()> {
    for queue in [TX, RX] {
        let calls: Vec<_> = facts.callbacks.iter().filter(|call| call.queue == queue.name()).collect();
        for pair in calls.windows(2) {
            let (first, second) = (pair[0], pair[1]);
            ensure!(first.at + first.took <= second.at, "{queue}: {first:?} overlaps {second:?}");
        }
        let mut lives = 0;
        let mut state = "stopped";
        for call in calls {
            state = match (state, call.what.as_str()) {
                ("stopped", "EvtStart") => "running",
                ("running", "EvtAdvance") => "running",
                ("running", "EvtCancel") => "ending",
                ("ending", "EvtAdvance") => "ending",
                ("ending", "EvtStop") => {
                    lives += 1;
                    "stopped"
                }
                ("stopped", what) if what.starts_with("EvtAdapterCreate") => "stopped",
                (state, what) => bail!("{queue}: {what} while {state}"),
            };
        }
        ensure!((lives, state) == (4, "stopped"), "{queue}: {lives} lives, {state} at the end");
    }
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    of_any_driver([
        usual(
            "load-and-unload",
            "the drivers load, start and unload, and nothing is left in the guest",
            load_and_unload,
        ),
        usual(
            "reload-the-driver",
            "the driver is unloaded and loaded again, and carries traffic each time",
            reload,
        ),
        usual(
            "queues-destroyed-and-created-anew",
            "the packet queues are destroyed and created again, and carry traffic",
            new_queues,
        ),
        usual(
            "stop-while-traffic-flows",
            "the data path is stopped while traffic flows: every frame has one fate",
            stop_in_traffic,
        ),
        usual(
            "unload-while-traffic-flows",
            "the driver is unloaded while traffic flows: every frame has one fate",
            unload_in_traffic,
        ),
        good(
            "stop-a-slow-wire",
            "a data path with a slow wire is stopped under traffic",
            |settings| {
                no_watchdog(settings);
                settings.device.speed = "100K";
            },
            stop_a_slow_wire,
        )
        .needs(&[Need::Pause]),
        usual(
            "callbacks-keep-their-order",
            "each queue's callbacks come in NetAdapterCx's order and never overlap, through four lives",
            every_turn,
        )
        .shows(in_order)
        .needs(&[Need::Callbacks]),
        good(
            "whole-path-as-documented",
            "load, traffic, cancel, restart, power and unload, by NetAdapterCx's documentation",
            |settings| settings.kernel.seed += 1,
            whole_path,
        ),
        good(
            "whole-path-as-source",
            "load, traffic, cancel, restart, power and unload, by NetAdapterCx's source",
            |settings| {
                settings.kernel.seed += 2;
                settings.kernel.as_documented = false;
            },
            whole_path,
        ),
    ])
}
