//! Drivers that crash, panic or do not come back: the first line of each names callback, function, file and line.

use super::{Kind, Scenario, Shows, no_watchdog};
use crate::facts::Facts;
use crate::run::{Run, WIRE};
use crate::settings::{Mutant, NIC};
use anyhow::{Context, Result, ensure};

/// Where the driver shows these faults.
const SOURCE: &str = "driver/netadapter/src/misbehave.rs:";

fn cancel_64(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(64)?;
    run.await_device("tx0", "64 on the hardware", |tx| tx.available + tx.fetched == 64)?;
    run.pause()
}

/// The fault names this callback, the source, and holds these words; the stack comes from the callback's own function.
fn named(facts: &Facts, callback: &str, function: &str, words: &[&str]) -> Result<()> {
    let fault = facts.violations.first().context("no fault")?;
    ensure!(fault.callback == callback, "in {}", fault.callback);
    for words in words.iter().chain(&[SOURCE]) {
        ensure!(fault.place.contains(words), "no {words:?} in {:?}", fault.place);
    }
    let [stack] = &facts.stacks[..] else { anyhow::bail!("not one stack: {:?}", facts.stacks) };
    ensure!(stack.notes.is_empty(), "{:?}", stack.notes);
    let lines = stack.lines();
    let own = lines.iter().position(|line| line.starts_with(&format!("{function}, driver/netadapter/src/")));
    let own = own.with_context(|| format!("no {function} in:\n{}", stack.text()))?;
    let above = lines[own + 1..].iter().any(|line| line.starts_with("understudy: understudy::"));
    ensure!(above, "nobody has called {function}:\n{}", stack.text());
    Ok(())
}

fn loop_is_named(facts: &Facts) -> Result<()> {
    let words = ["has not returned in 50", "it goes on at IRQL ", "at cancelnic::misbehave::in_cancel, "];
    named(facts, "tx0 EvtCancel", "cancelnic::queue::tx_cancel", &words)
}

fn sleep_is_named(facts: &Facts) -> Result<()> {
    let words = ["has not returned in 50", "it sleeps at IRQL 0", "called from cancelnic::misbehave::"];
    named(facts, "device EvtDevicePrepareHardware", "cancelnic::device::evt_prepare_hardware", &words)
}

fn panic_is_named(facts: &Facts) -> Result<()> {
    named(facts, "tx0 EvtCancel", "cancelnic::queue::tx_cancel", &["a queue with 7 packets too many"])
}

fn crash_is_named(facts: &Facts) -> Result<()> {
    let words = ["read of unmapped 0x18 at cancelnic::misbehave::in_cancel, "];
    named(facts, "tx0 EvtCancel", "cancelnic::queue::tx_cancel", &words)
}

const fn caught(name: &'static str, number: u32, rules: &'static [&'static str], shows: Shows) -> Scenario {
    let mutant = Mutant { driver: NIC, number };
    Scenario { name, kind: Kind::Caught { mutant, prepare: no_watchdog, body: cancel_64, rules, shows } }
}

pub fn all() -> Vec<Scenario> {
    vec![
        caught("caught-loop-in-cancel", 20, &["CallbackDoesNotReturn"], loop_is_named),
        caught("caught-sleep-in-prepare-hardware", 21, &["CallbackDoesNotReturn"], sleep_is_named),
        caught("caught-panic-in-cancel", 22, &["DriverPanicked"], panic_is_named),
        caught("caught-null-read-in-cancel", 23, &["PageFault"], crash_is_named),
    ]
}
