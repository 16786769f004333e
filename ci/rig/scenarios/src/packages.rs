//! What any driver has to live through, whatever its device: nothing here knows what it does.

use crate::scenario::{Scenario, usual};
use crate::want::Want;
use anyhow::{Result, ensure};
use lab::guest::need::Need;
use lab::run::{Load, Run};

/// How often a way up and down is gone.
const ROUNDS: u32 = 5;
/// More allocations than a driver makes on its way up: nobody loads one for an hour.
const MOST_ALLOCATIONS: u32 = 512;

fn load_and_unload(run: &mut Run) -> Result<()> {
    run.subjects()?;
    for _ in 0..ROUNDS {
        run.load()?;
        run.unload()?;
    }
    Ok(())
}

fn pause_and_restart(run: &mut Run) -> Result<()> {
    run.subjects()?;
    run.load()?;
    for _ in 0..ROUNDS {
        run.pause()?;
        run.restart()?;
    }
    Ok(())
}

fn power(run: &mut Run) -> Result<()> {
    let subjects = run.subjects()?;
    run.load()?;
    for _ in 0..ROUNDS {
        for subject in subjects.iter().filter(|subject| subject.has_device()) {
            run.power_cycle(&subject.service)?;
        }
    }
    Ok(())
}

fn surprise(run: &mut Run) -> Result<()> {
    let subjects = run.subjects()?;
    for subject in subjects.iter().filter(|subject| subject.has_device()) {
        run.load()?;
        run.pull_out(&subject.service)?;
    }
    Ok(())
}

/// The device goes while it sleeps.
fn surprise_in_d3(run: &mut Run) -> Result<()> {
    let subjects = run.subjects()?;
    for subject in subjects.iter().filter(|subject| subject.has_device()) {
        run.load()?;
        run.sleep_of(&subject.service)?;
        run.pull_out(&subject.service)?;
    }
    Ok(())
}

fn detach_and_attach(run: &mut Run) -> Result<()> {
    run.subjects()?;
    run.load()?;
    for _ in 0..ROUNDS {
        run.detach_filter()?;
        run.attach_filter()?;
    }
    Ok(())
}

/// One allocation after the other fails on the way up. A driver may refuse to load then, or do without; either way nothing is
/// left, and no rule broken.
fn without_memory(run: &mut Run) -> Result<()> {
    for subject in run.subjects()? {
        let mut after = 0;
        loop {
            let loaded = run.load_without_memory(&subject.service, after)?;
            if loaded != Load::Refused {
                run.unload()?;
            }
            if loaded == Load::Done(false) {
                break;
            }
            after += 1;
            ensure!(after < MOST_ALLOCATIONS, "{} allocates without end", subject.service);
        }
        // the failure that never came is not to come later
        run.fail_allocation(&subject.service, u32::MAX)?;
    }
    // with memory it goes on
    run.load()
}

fn traffic(run: &mut Run) -> Result<()> {
    run.subjects()?;
    run.load()?;
    run.send(20)?;
    run.await_traffic("20 sent and received", 20, 20)
}

fn pause_in_traffic(run: &mut Run) -> Result<()> {
    run.subjects()?;
    run.load()?;
    for _ in 0..ROUNDS {
        run.send(100)?;
        run.pause()?;
        run.restart()?;
    }
    run.send(1)?;
    run.await_accounted()
}

/// Nothing comes back: receive buffers wait, and have to come back empty all the same.
fn silent_wire(run: &mut Run) -> Result<()> {
    run.subjects()?;
    run.load()?;
    run.silence_wire(true)?;
    run.send(20)?;
    run.await_sent("20 sent", 20)?;
    run.pause()?;
    run.silence_wire(false)?;
    run.restart()?;
    run.send(20)?;
    run.await_traffic("40 sent, 20 received", 40, 20)
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        usual(
            "any-driver-loads-and-unloads",
            "the drivers are loaded and unloaded five times, and nothing is left of them",
            load_and_unload,
        )
        .wants(&[])
        .needs(&[Need::OwnKernel]),
        usual(
            "any-driver-pauses-and-restarts",
            "an idle data path is paused and restarted five times",
            pause_and_restart,
        )
        .wants(&[Want::Nic])
        .needs(&[Need::OwnKernel]),
        usual("any-driver-sleeps-and-wakes", "each device goes to D3 and back to D0 five times", power)
            .wants(&[Want::Device])
            .needs(&[Need::OwnKernel, Need::Sleep]),
        usual(
            "any-driver-is-pulled-out",
            "each device is removed without a warning: its driver lets go of everything",
            surprise,
        )
        .wants(&[Want::Device])
        .needs(&[Need::OwnKernel, Need::Surprise]),
        usual(
            "any-driver-is-pulled-out-asleep",
            "each device is removed without a warning while it is in D3",
            surprise_in_d3,
        )
        .wants(&[Want::Device])
        .needs(&[Need::OwnKernel, Need::Sleep, Need::Surprise]),
        usual(
            "any-filter-detaches-and-attaches",
            "the filter is detached and attached again five times",
            detach_and_attach,
        )
        .wants(&[Want::Nic, Want::Filter])
        .needs(&[Need::OwnKernel]),
        usual(
            "any-driver-without-memory",
            "on the way up each allocation of each driver fails once: nothing leaks, no rule is broken",
            without_memory,
        )
        .wants(&[])
        .needs(&[Need::OwnKernel, Need::NoMemory]),
        usual("any-nic-carries-frames", "20 frames leave the card and come back to it", traffic)
            .wants(&[Want::Nic, Want::Wire])
            .needs(&[Need::OwnKernel]),
        usual(
            "any-nic-pauses-in-traffic",
            "the data path is paused five times while frames are on their way: each has one fate",
            pause_in_traffic,
        )
        .wants(&[Want::Nic, Want::Wire])
        .needs(&[Need::OwnKernel]),
        usual(
            "any-nic-with-a-silent-wire",
            "nothing comes back from the wire: a pause gets every receive buffer back empty",
            silent_wire,
        )
        .wants(&[Want::Nic, Want::Wire])
        .needs(&[Need::OwnKernel]),
    ]
}
