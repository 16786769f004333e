//! Queues that are not given back: that they are found, that the one report of it has every part, and what the
//! framework does after an unfinished receive cancel, by its documents and by its source.

use super::transmit::one_of_ten_off_the_wire;
use crate::scenario::{Scenario, caught, endured, good, no_watchdog};
use agent_protocol::{FragmentOwner, KeptPacket, Owner, RingView};
use anyhow::{Context, Result, ensure};
use cancelnic_mutants::Mutant;
use cancelnic_registers::{CommandResult, QueueId, State};
use lab::device::control::State as Stage;
use lab::facts::Facts;
use lab::facts::hang::Hang;
use lab::guest::need::Need;
use lab::run::{COMPLETE, RX, Run, TX, WIRE};
use lab::settings::Settings;

/// The driver's faults: one cancelled transmit packet is kept; EvtCancel returns no receive buffer.
const KEEPS_A_PACKET: Mutant = Mutant::KeepsAPacket;
const LEAVES_THE_REST: Mutant = Mutant::LeavesTheRestToAdvance;

/// 64 packets on the hardware, 136 in the ring only.
fn cancel_200(run: &mut Run) -> Result<()> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(200)?;
    run.await_device(TX, "the virtqueue full", |tx| tx.available + tx.fetched == 64)?;
    run.pause()
}

fn cancel_idle(run: &mut Run) -> Result<()> {
    run.load()?;
    run.await_guest("all buffers given", |_, rx| rx.held == 255)?;
    run.pause()?;
    run.expect("[returned empty, held]", [run.facts.rx.returned_empty, run.facts.rx.held], [255, 0])
}

fn only_hang(facts: &Facts, queue: QueueId) -> Result<&Hang> {
    ensure!(facts.hangs.len() == 1, "not one report: {:?}", facts.hangs);
    facts
        .hangs
        .first()
        .filter(|hang| hang.view.queue == queue.name())
        .with_context(|| format!("no report on {queue}"))
}

/// The device is driven, and has ended, or is in, a cancel that took `count` frames or buffers, as the guest reads its
/// status register.
fn expect_status(hang: &Hang, state: State, count: Option<u16>) -> Result<()> {
    let status = hang.status().context("no device to read")?;
    let driven = hang.view.device.is_some_and(|device| device.device_status == 0x0f);
    ensure!(
        driven
            && status.state() == Some(state)
            && status.result() == Some(CommandResult::Ok)
            && count.is_none_or(|count| count == status.count()),
        "{hang}"
    );
    Ok(())
}

/// The packet ring's indices, and how many packets the driver keeps of its 256.
fn expect_packets(hang: &Hang, [kept, begin, next, end]: [u32; 4]) -> Result<()> {
    let RingView { begin: first, next: posted, end: last, elements } = hang.view.packets;
    let seen = [hang.view.packets.owned(), first, posted, last];
    ensure!(elements == 256 && seen == [kept, begin, next, end], "{hang}");
    Ok(())
}

/// Its virtqueue has this size, and so many chains are not used.
fn expect_virtqueue(hang: &Hang, size: u16, available: u16, unused: u16) -> Result<()> {
    let device = hang.view.device.context("no device to read")?;
    let queue = device.virtqueue.context("no virtqueue enabled")?;
    ensure!(
        (queue.size, queue.available) == (size, available)
            && queue.available.wrapping_sub(queue.used) == unused,
        "{hang}"
    );
    Ok(())
}

/// Packet 199, frame 200, was in the ring only; its fragment is its own; the device has given everything back.
fn packet_is_reported(facts: &Facts) -> Result<()> {
    let hang = only_hang(facts, TX)?;
    expect_packets(hang, [1, 199, 200, 200])?;
    ensure!(
        hang.view.kept == [KeptPacket { index: 199, number: Some(200), posted: true, cancelled: true }],
        "{hang}"
    );
    ensure!(
        hang.view.owners == [FragmentOwner { first: 199, count: 1, owner: Owner::Packet(199) }],
        "{hang}"
    );
    ensure!(hang.view.fragments.owned() == 1, "{hang}");
    ensure!(hang.view.last_callback == "EvtSetNotificationEnabled", "{hang}");
    expect_virtqueue(hang, 128, 64, 0)?;
    expect_status(hang, State::Stopped, Some(64))?;
    Ok(())
}

/// As documented: nothing of the queue is called after EvtCancel, and nobody ever gives the buffers back.
fn callbacks_stopped(facts: &Facts) -> Result<()> {
    let hang = only_hang(facts, RX)?;
    let packets = hang.view.packets;
    ensure!((packets.owned(), packets.elements) == (255, 256), "{hang}");
    let first: Vec<_> =
        hang.view.kept.iter().take(2).map(|kept| (kept.index, kept.number, kept.posted)).collect();
    ensure!(first == [(0, None, true), (1, None, true)], "{hang}");
    ensure!(hang.view.owners == [FragmentOwner { first: 0, count: 255, owner: Owner::Device }], "{hang}");
    let fragments = hang.view.fragments;
    ensure!((fragments.owned(), fragments.elements, fragments.begin) == (255, 256, 0), "{hang}");
    ensure!(hang.view.last_callback == "EvtCancel", "{hang}");
    let size = hang.view.device.and_then(|device| device.virtqueue).map(|queue| queue.size);
    ensure!(size == Some(1024), "{hang}");
    expect_status(hang, State::Stopped, Some(255))?;
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
    let calls: Vec<&str> = facts
        .callbacks
        .iter()
        .filter(|call| call.queue == RX.name())
        .map(|call| call.what.as_str())
        .collect();
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
    run.await_device(TX, "CANCELLING", |tx| tx.state == Stage::Cancelling)?;
    run.await_device(RX, "STOPPED", |rx| rx.state == Stage::Stopped)?;
    run.await_guest("the receive buffers back", |_, rx| rx.held == 0)?;
    let hangs = run.look_for_hangs()?;
    run.step("the report has every part", |_| {
        let [hang] = &hangs[..] else { anyhow::bail!("not one report: {hangs:?}") };
        expect_packets(hang, [10, 0, 10, 10])?;
        let first: Vec<_> =
            hang.view.kept.iter().take(2).map(|kept| (kept.index, kept.number, kept.posted)).collect();
        ensure!(first == [(0, Some(1), true), (1, Some(2), true)], "{hang}");
        ensure!(hang.view.fragments.owned() == 10, "{hang}");
        let queue = hang.view.device.and_then(|device| device.virtqueue).context("no virtqueue enabled")?;
        ensure!((queue.size, queue.available) == (1024, 10), "{hang}");
        expect_status(hang, State::Cancelling, None)?;
        let device = hang.device.as_ref().context("nothing of the device process")?;
        ensure!(device.state == Stage::Cancelling && device.off_wire == 1, "{hang}");
        Ok(((), hang.to_string()))
    })?;
    run.release(COMPLETE)?;
    run.finish_pause(&pausing)?;
    run.expect_fates([1, 9, 0])
}

fn as_source(settings: &mut Settings) {
    no_watchdog(settings);
    settings.kernel.as_documented = false;
}

/// The rule that finds both.
const NOT_DRAINED: &[&str] = &["QueueNotDrained"];

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        caught(
            "hang-reported-tx-packet-kept",
            "a transmit packet that is kept is reported: indices, fragments, registers, rings",
            KEEPS_A_PACKET,
            NOT_DRAINED,
            cancel_200,
        )
        .prepare(|settings| {
            no_watchdog(settings);
            settings.device.queue_size = 128;
        })
        .shows(packet_is_reported),
        good(
            "hang-reported-device-holds",
            "a queue that the device holds is reported with every part, and goes back when it can",
            no_watchdog,
            device_holds,
        )
        .needs(&[Need::Views, Need::Fates]),
        caught(
            "rx-cancel-unfinished-as-documented",
            "buffers that EvtCancel leaves never come back, as documented, and this is caught",
            LEAVES_THE_REST,
            NOT_DRAINED,
            cancel_idle,
        )
        .prepare(|settings| {
            no_watchdog(settings);
            settings.kernel.as_documented = true;
        })
        .shows(callbacks_stopped)
        .needs(&[Need::Fates]),
        endured(
            "rx-cancel-unfinished-as-source",
            "buffers that EvtCancel leaves come back by later polling, as in the source",
            LEAVES_THE_REST,
            cancel_idle,
        )
        .prepare(as_source)
        .shows(polling_went_on)
        .needs(&[Need::Fates]),
    ]
}
