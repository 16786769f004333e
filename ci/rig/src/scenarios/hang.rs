//! Queues that are not given back: that they are found, that the one report of it has every part, and what the
//! framework does after an unfinished receive cancel, by its documents and by its source.

use super::transmit::one_of_ten_off_the_wire;
use super::{Kind, Scenario, Shows, good, no_watchdog};
use crate::control::State;
use crate::facts::Facts;
use crate::hang::Hang;
use crate::run::{COMPLETE, Run, WIRE};
use crate::settings::Settings;
use anyhow::{Context, Result, ensure};
use cancelnic_mutants::Mutant;

/// The driver's faults: one cancelled transmit packet is kept; EvtCancel returns no receive buffer.
const KEEPS_A_PACKET: Mutant = Mutant::KeepsAPacket;
const LEAVES_THE_REST: Mutant = Mutant::LeavesTheRestToAdvance;

/// 64 packets on the hardware, 136 in the ring only.
fn cancel_200(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(200)?;
    run.await_device("tx0", "the virtqueue full", |tx| tx.available + tx.fetched == 64)?;
    run.pause()
}

fn cancel_idle(run: &mut Run) -> Result<()> {
    run.load()?;
    run.await_guest("all buffers given", |_, rx| rx.held == 255)?;
    run.pause()?;
    run.expect("[returned empty, held]", [run.facts.rx.returned_empty, run.facts.rx.held], [255, 0])
}

fn only_hang<'f>(facts: &'f Facts, queue: &str) -> Result<&'f Hang> {
    ensure!(facts.hangs.len() == 1, "not one report: {:?}", facts.hangs);
    facts.hangs.first().filter(|hang| hang.queue == queue).with_context(|| format!("no report on {queue}"))
}

/// Each part is what is expected of it, from its beginning on.
fn parts_begin(hang: &Hang, expected: &[(&str, &str)]) -> Result<()> {
    for (name, text) in expected {
        let seen = hang.parts().into_iter().find(|part| part.0 == *name).map(|part| part.1);
        ensure!(seen.is_some_and(|seen| seen.starts_with(text)), "{name}: {text:?} against {seen:?}");
    }
    Ok(())
}

/// Packet 199, frame 200, was in the ring only; its fragment is its own; the device has given everything back.
fn packet_is_reported(facts: &Facts) -> Result<()> {
    let hang = only_hang(facts, "tx0")?;
    parts_begin(
        hang,
        &[
            ("packets", "1 of 256 kept: BeginIndex 199, NextIndex 200, EndIndex 200"),
            ("kept", "199 (frame 200, posted, cancelled)"),
            ("fragments", "1 of "),
            ("last callback", "EvtSetNotificationEnabled, after "),
            ("registers", "device_status 0x0f; command 0x"),
            ("rings", "virtqueue of 128: available index 64, used index 64, 0 chains not used"),
        ],
    )?;
    ensure!(hang.fragments.ends_with(": 199 packet 199's"), "{}", hang.fragments);
    ensure!(hang.registers.contains(" STOPPED, RESULT 0, COUNT 64"), "{}", hang.registers);
    ensure!(!hang.device.is_empty(), "nothing of the device process");
    Ok(())
}

/// As documented: nothing of the queue is called after EvtCancel, and nobody ever gives the buffers back.
fn callbacks_stopped(facts: &Facts) -> Result<()> {
    let hang = only_hang(facts, "rx0")?;
    parts_begin(
        hang,
        &[
            ("packets", "255 of 256 kept: BeginIndex "),
            ("kept", "0 (no frame, posted), 1 (no frame, posted), "),
            ("fragments", "255 of 256 kept: BeginIndex 0, "),
            ("last callback", "EvtCancel, after "),
            ("registers", "device_status 0x0f; command 0x"),
            ("rings", "virtqueue of 1024: "),
        ],
    )?;
    ensure!(hang.fragments.ends_with(": 0-254 the device's"), "{}", hang.fragments);
    ensure!(hang.registers.contains(" STOPPED, RESULT 0, COUNT 255"), "{}", hang.registers);
    let after = calls_after_cancel(facts)?;
    ensure!(after.is_empty(), "called after EvtCancel: {after:?}");
    Ok(())
}

/// As in the source: the wake that follows EvtCancel polls the queue, and that gives the buffers back.
fn polling_went_on(facts: &Facts) -> Result<()> {
    ensure!(facts.hangs.is_empty(), "{:?}", facts.hangs);
    let after = calls_after_cancel(facts)?;
    ensure!(after == ["EvtAdvance", "EvtStop"], "called after EvtCancel: {after:?}");
    Ok(())
}

/// Callbacks of the receive queue after its first EvtCancel, up to its EvtStop; EvtAdvance only where it moved something.
fn calls_after_cancel(facts: &Facts) -> Result<Vec<&str>> {
    let calls: Vec<&str> =
        facts.callbacks.iter().filter(|call| call.queue == "rx0").map(|call| call.what.as_str()).collect();
    let cancel = calls.iter().position(|what| *what == "EvtCancel").context("EvtCancel was never called")?;
    let after = &calls[cancel + 1..];
    let end = after.iter().position(|what| *what == "EvtStop").map_or(after.len(), |stop| stop + 1);
    Ok(after[..end].to_vec())
}

/// A completion is held at the device and nobody watches: the report shows it, and when it comes the queue goes back.
fn device_holds(run: &mut Run) -> Result<()> {
    run.load()?;
    one_of_ten_off_the_wire(run)?;
    let pausing = run.begin_pause(1)?;
    run.await_device("tx0", "CANCELLING", |tx| tx.state == State::Cancelling)?;
    run.await_device("rx0", "STOPPED", |rx| rx.state == State::Stopped)?;
    run.await_guest("the receive buffers back", |_, rx| rx.held == 0)?;
    let hangs = run.look_for_hangs()?;
    run.step("the report has every part", |_| {
        let [hang] = &hangs[..] else { anyhow::bail!("not one report: {hangs:?}") };
        parts_begin(
            hang,
            &[
                ("packets", "10 of 256 kept: BeginIndex 0, NextIndex 10, EndIndex 10"),
                ("kept", "0 (frame 1, posted), 1 (frame 2, posted), "),
                ("fragments", "10 of "),
                ("registers", "device_status 0x0f; command 0x"),
                ("rings", "virtqueue of 1024: available index 10, used index "),
                ("device", "CANCELLING "),
            ],
        )?;
        ensure!(hang.registers.contains(" CANCELLING, RESULT 0, COUNT "), "{}", hang.registers);
        ensure!(hang.device.contains(" off_wire=1 "), "{}", hang.device);
        Ok(((), hang.text()))
    })?;
    run.release(COMPLETE)?;
    run.finish_pause(&pausing)?;
    run.expect_fates([1, 9, 0])
}

const fn caught(
    name: &'static str,
    mutant: Mutant,
    prepare: fn(&mut Settings),
    body: fn(&mut Run) -> Result<()>,
    shows: Shows,
) -> Scenario {
    Scenario { name, kind: Kind::Caught { mutant, prepare, body, rules: &["QueueNotDrained"], shows } }
}

fn as_source(settings: &mut Settings) {
    no_watchdog(settings);
    settings.guest.as_documented = false;
}

pub fn all() -> Vec<Scenario> {
    vec![
        caught(
            "hang-reported-tx-packet-kept",
            KEEPS_A_PACKET,
            |settings| {
                no_watchdog(settings);
                settings.device.queue_size = 128;
            },
            cancel_200,
            packet_is_reported,
        ),
        good("hang-reported-device-holds", no_watchdog, device_holds),
        caught(
            "rx-cancel-unfinished-as-documented",
            LEAVES_THE_REST,
            |settings| {
                no_watchdog(settings);
                settings.guest.as_documented = true;
            },
            cancel_idle,
            callbacks_stopped,
        ),
        Scenario {
            name: "rx-cancel-unfinished-as-source",
            kind: Kind::Endured {
                mutant: LEAVES_THE_REST,
                prepare: as_source,
                body: cancel_idle,
                shows: polling_went_on,
            },
        },
    ]
}
