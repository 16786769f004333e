//! The life of driver and queues: load, restart, power, unload, with and without traffic.

use super::{Kind, Scenario, good, no_watchdog, usual};
use crate::facts::Facts;
use crate::guest::Need;
use crate::reports::sizes;
use crate::run::{Run, WIRE};
use anyhow::{Result, bail, ensure};

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
    run.await_device("tx0", "64 on the hardware", |tx| tx.available + tx.fetched >= 64)?;
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
    run.await_device("tx0", "some frames sent", |tx| tx.sent >= 3)?;
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
    run.await_device("tx0", "64 on the hardware", |tx| tx.available + tx.fetched >= 64)?;
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
    for queue in ["tx0", "rx0"] {
        let calls: Vec<_> = facts.callbacks.iter().filter(|call| call.queue == queue).collect();
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

pub fn all() -> Vec<Scenario> {
    vec![
        usual("load-and-unload", load_and_unload),
        usual("reload-the-driver", reload),
        usual("queues-destroyed-and-created-anew", new_queues),
        usual("stop-while-traffic-flows", stop_in_traffic),
        usual("unload-while-traffic-flows", unload_in_traffic),
        good(
            "stop-a-slow-wire",
            |settings| {
                no_watchdog(settings);
                settings.device.speed = "100K";
            },
            stop_a_slow_wire,
        ),
        Scenario {
            name: "callbacks-keep-their-order",
            kind: Kind::Good { prepare: |_| (), body: every_turn, shows: in_order },
        },
        good("whole-path-as-documented", |settings| settings.guest.seed += 1, whole_path),
        good(
            "whole-path-as-source",
            |settings| {
                settings.guest.seed += 2;
                settings.guest.as_documented = false;
            },
            whole_path,
        ),
    ]
}
