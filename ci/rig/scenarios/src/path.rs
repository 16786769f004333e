//! What the demo does: a queue cancel, a cancel by ID, a recalled request, a receive cancel.

use agent_protocol::Ids;
use anyhow::{Context, Result, ensure};
use cancelnic_ioctl::Header;
use cancelnic_ioctl::nic::behaviour;
use cancelnic_ioctl::relay::{Send, phase, target};
use lab::base::wait::{LIMIT, until};
use lab::facts::{Recall, Subgroup};
use lab::run::requests::Requests;
use lab::run::{Run, TX, WIRE};
use std::collections::HashSet;
use std::time::Duration;

/// Frames that leave the wire before it is held again.
const LET_PASS: u32 = 5;
/// Frames of the second round.
const SECOND_ROUND: u32 = 100;
/// Small enough that a ring of 256 packets does not fit: a packet takes two descriptors.
pub const QUEUE_SIZE: u16 = 128;
/// Subgroups of the filter's own sends, each with an ID of its own.
const SUBGROUPS: u32 = 3;
/// Frames in each.
const IN_SUBGROUP: u32 = 30;
/// NTSTATUS of a request that was recalled in time.
const STATUS_CANCELLED: u32 = 0xC000_0120;

/// Load, hold the wire, send, cancel, every packet back, restart, send again, receive, cancel by ID, recall a request,
/// cancel receive, unload.
pub fn cancel_path(run: &mut Run, frames: u32) -> Result<()> {
    // Two descriptors a packet: the rest waits in the packet ring.
    let fits = |frames: u64| u64::from(QUEUE_SIZE / 2).min(frames);
    let sent = first_frames(run, frames, "a full virtqueue", fits(frames.into()))?;
    let left = u64::from(frames) - sent;
    let on_hardware = fits(left);
    run.await_device(TX, "a full virtqueue again", |tx| {
        tx.available + tx.fetched + tx.on_wire >= on_hardware
    })?;
    run.pause()?;
    run.expect_fates([sent, on_hardware, left - on_hardware])?;
    let sent = second_round(run, sent)?;
    cancel_by_id(run, sent)?;
    recall(run)?;
    let empty_before = run.facts.rx.returned_empty;
    run.pause()?;
    run.step("receive buffers back empty", |run| {
        let back = run.facts.rx.returned_empty - empty_before;
        ensure!(back > 0, "no receive buffer came back");
        Ok(((), format!("{back} of them, {} still held", run.facts.rx.held)))
    })?;
    run.unload()
}

/// The same for another project's driver: no request is recalled, and how many frames are on the hardware is for the driver
/// to choose. The verdict still judges the sets of frames.
pub fn of_any_driver(run: &mut Run, frames: u32) -> Result<()> {
    // A part of the virtqueue that is full with eight descriptors a packet too.
    let some = u64::from(QUEUE_SIZE / 8).min(frames.into());
    let sent = first_frames(run, frames, "frames on the hardware", some)?;
    run.pause()?;
    let sent = second_round(run, sent)?;
    cancel_by_id(run, sent)?;
    run.pause()?;
    run.unload()
}

/// The driver is loaded and has `frames` to send; the wire is held until `on_hardware` of them are there, and lets a few
/// pass. How many left it.
fn first_frames(run: &mut Run, frames: u32, what: &str, on_hardware: u64) -> Result<u64> {
    run.load()?;
    run.hold(WIRE)?;
    run.send(frames)?;
    run.await_device(TX, what, |tx| tx.available + tx.fetched + tx.on_wire >= on_hardware)?;
    let sent = LET_PASS.min(frames).into();
    run.let_pass(WIRE, sent)?;
    run.await_traffic("those sent and received", sent, sent)?;
    Ok(sent)
}

/// After the cancel frames go out and come in, on top of the `sent`. How many these are now.
fn second_round(run: &mut Run, sent: u64) -> Result<u64> {
    run.release(WIRE)?;
    run.restart()?;
    run.send(SECOND_ROUND)?;
    let sent = sent + u64::from(SECOND_ROUND);
    run.await_traffic("the second round sent and received", sent, sent)?;
    Ok(sent)
}

/// Sends of the filter's own wait in the filter; one subgroup is cancelled by its ID, the others leave the wire behind
/// the `sent` frames that did before.
fn cancel_by_id(run: &mut Run, sent: u64) -> Result<()> {
    let filter = run.open_filter()?;
    // frames that went through the filter come back to it after their packets have left the ring
    let before =
        filter.await_counters(run, "earlier sends back", |counters| counters.own_outstanding == 0)?;
    filter.hold(run)?;
    let own = filter.send(run, SUBGROUPS * IN_SUBGROUP, SUBGROUPS)?;
    let cancelled = own.ids[1];
    filter.cancel(run, cancelled)?;
    let held: HashSet<u64> = filter.held(run)?.iter().map(|list| list.number).collect();
    let gone: Ids = own.numbers().filter(|number| !held.contains(number)).collect();
    filter.note_ended(run, gone.iter());
    for &cancel_id in &own.ids {
        let of_it = |number: &u64| own.id_of(*number) == cancel_id;
        run.facts.subgroups.push(Subgroup {
            cancel_id,
            given: own.numbers().filter(of_it).collect(),
            aborted: gone.iter().filter(of_it).collect(),
        });
    }
    let of_others = gone.iter().filter(|number| own.id_of(*number) != cancelled).count();
    run.expect("[aborted, of other subgroups]", [gone.len(), of_others as u64], [u64::from(IN_SUBGROUP), 0])?;

    let all = sent + u64::from((SUBGROUPS - 1) * IN_SUBGROUP);
    filter.release_all(run)?;
    run.await_traffic("the other subgroups sent and received", all, all)?;
    // a list comes back through the filter after its packet has left the ring
    let counters = filter.await_counters(run, "own sends back", |counters| counters.own_outstanding == 0)?;
    run.expect(
        "the filter's own [success, aborted]",
        [counters.own_success - before.own_success, counters.own_aborted - before.own_aborted],
        [u64::from((SUBGROUPS - 1) * IN_SUBGROUP), u64::from(IN_SUBGROUP)],
    )?;
    run.close(filter.file)
}

/// A driver above waits, by a request, for the next cancel at the NIC, and takes the request back.
fn recall(run: &mut Run) -> Result<()> {
    const SLOT: u32 = 0;
    const TAG: u32 = 1;
    let requests = run.open_requests()?;
    requests.create(run, SLOT)?;
    requests.log(run)?;
    let wait = Send {
        header: Header::of::<Send>(),
        slot: SLOT,
        routine: 1,
        tag: TAG,
        behaviour: behaviour::CANCELABLE,
        ..Send::default()
    };
    let sent = requests.send(run, &wait)?;
    ensure!(sent.returned == 1, "WdfRequestSend returned FALSE, status {:#010x}", sent.status);
    let recalled = requests.cancel(run, SLOT)?;
    let ended = wait_for_end(run, requests, SLOT)?;
    let events = requests.log(run)?.iter().map(|logged| logged.told()).collect();
    run.facts.recalls.push(Recall {
        request: "wait for the next cancel event".into(),
        returned: recalled.returned != 0,
        status: ended,
        events,
    });
    run.step("expect TRUE and STATUS_CANCELLED", |_| {
        let seen = format!("returned {}, status {ended:#010x}", recalled.returned);
        ensure!(recalled.returned == 1 && ended == STATUS_CANCELLED, "{seen}");
        Ok(((), seen))
    })?;
    requests.delete(run, SLOT)?;
    requests.target(run, target::CLOSE)?;
    run.close(requests.relay)?;
    run.close(requests.nic)
}

/// Waits until the completion routine has run; the request's final status.
fn wait_for_end(run: &mut Run, requests: Requests, slot: u32) -> Result<u32> {
    let status = until(LIMIT, Duration::from_millis(1), || {
        let state = requests.state(run, slot)?;
        Ok((state.phase == phase::DONE).then_some(state.status))
    })?;
    status.context("the recalled request does not end")
}
