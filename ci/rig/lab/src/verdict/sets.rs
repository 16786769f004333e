//! Rules on sets of frames: transmit, receive, lists, and the counts that driver and device keep of them.

use super::words::{first_difference, frames, runs, violation};
use crate::device::capture::Foreign;
use crate::device::control::Queue;
use crate::device::{RX, TX};
use crate::facts::Facts;
use agent_protocol::{Ids, ListReport, Violation};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Sent, taken back and never posted are disjoint, in order, without a number twice, and of frames that were posted.
pub(super) fn sets_disjoint(facts: &Facts, found: &mut Vec<Violation>) {
    let tx = &facts.tx;
    let place_of: HashMap<u64, usize> = tx.posted.iter().enumerate().map(|(at, id)| (id, at)).collect();
    twice("posted", &tx.posted, found);
    let mut owner: HashMap<u64, &str> = HashMap::new();
    for (name, set) in
        [("sent", &tx.sent), ("taken_back", &tx.taken_back), ("never_posted", &tx.never_posted)]
    {
        twice(name, set, found);
        let mut last = None;
        for id in set.iter() {
            match place_of.get(&id) {
                None => found.push(violation("FrameNeverGiven", TX, format!("frame {id} is {name}"))),
                Some(&place) => {
                    if last.is_some_and(|last| place <= last) {
                        found.push(violation("OutOfOrder", TX, format!("frame {id} in {name}")));
                    }
                    last = Some(place);
                }
            }
            if let Some(other) = owner.insert(id, name).filter(|other| *other != name) {
                found.push(violation("InTwoSets", TX, format!("frame {id} is {other} and {name}")));
            }
        }
    }
}

/// posted = sent + taken back + never posted.
pub(super) fn nothing_kept(facts: &Facts, found: &mut Vec<Violation>) {
    let kept = facts.kept();
    if !kept.is_empty() {
        found.push(violation("PacketKept", TX, format!("never came back: {}", runs(&kept))));
    } else if !facts.tx.outstanding.is_empty() {
        let place = format!("outstanding: {}", runs(&facts.tx.outstanding));
        found.push(violation("PacketKept", TX, place));
    }
}

fn twice(name: &str, set: &Ids, found: &mut Vec<Violation>) {
    let mut seen = HashSet::new();
    for id in set.iter().filter(|id| !seen.insert(*id)) {
        found.push(violation("FrameTwice", TX, format!("frame {id} in {name}")));
    }
}

/// What the rig gave to the sender is in the ring's set, skipped by the driver, still queued, completed as paused, or
/// aborted by its ID before it came to the ring.
pub(super) fn above_the_ring(facts: &Facts, found: &mut Vec<Violation>) {
    let tx = &facts.tx;
    let none = ListReport::default();
    let lists = facts.lists.as_ref().unwrap_or(&none);
    // a list that was refused in front of the ring is paused in both views, one that the filter refused in the upper
    let paused: BTreeSet<u64> = tx.paused.iter().chain(lists.paused.iter()).collect();
    let on_the_way = tx.posted.iter().chain(tx.skipped.iter()).chain(tx.queued.iter()).chain(paused);
    let mut accounted: Vec<u64> =
        on_the_way.chain(lists.aborted.iter()).chain(facts.originated_ended.iter()).collect();
    accounted.sort_unstable();
    let mut offered: Vec<u64> = facts.offered.iter().collect();
    offered.sort_unstable();
    if let Some(difference) = first_difference("accounted for", &accounted, "given to the sender", &offered) {
        found.push(violation("SenderLostFrames", TX, difference));
    }
}

/// Each list of the overlying driver came back at most once, and none failed.
pub(super) fn lists_sound(facts: &Facts, found: &mut Vec<Violation>) {
    let Some(lists) = &facts.lists else { return };
    for (name, set) in [
        ("completed with success", &lists.success),
        ("aborted", &lists.aborted),
        ("paused", &lists.paused),
        ("failed", &lists.failed),
    ] {
        twice(name, set, found);
    }
    if !lists.failed.is_empty() {
        found.push(violation("ListFailed", "protocol", runs(&lists.failed)));
    }
}

/// Every list of the overlying driver came back, with success exactly those whose packets came back.
pub(super) fn lists_agree(facts: &Facts, found: &mut Vec<Violation>) {
    let Some(lists) = &facts.lists else { return };
    if !lists.outstanding.is_empty() {
        found.push(violation("ListKept", "protocol", runs(&lists.outstanding)));
    }
    let own: BTreeSet<u64> = facts.originated.iter().collect();
    let tx = &facts.tx;
    let sets = [&tx.sent, &tx.taken_back, &tx.never_posted, &tx.skipped];
    let returned: BTreeSet<u64> =
        sets.into_iter().flat_map(Ids::iter).filter(|id| !own.contains(id)).collect();
    let success: BTreeSet<u64> = lists.success.iter().collect();
    if let Some(id) = success.symmetric_difference(&returned).next() {
        let place = if returned.contains(id) {
            "came back from the ring, its list did not"
        } else {
            "was not on the ring"
        };
        found.push(violation("ListsDifferFromPackets", "protocol", format!("frame {id} {place}")));
    }
}

/// Every frame at the device is as its sender made it, and is ours unless the guest has protocols of its own.
pub(super) fn frames_whole(facts: &Facts, found: &mut Vec<Violation>) {
    for damaged in &facts.capture.damaged {
        found.push(violation("FrameDamaged", "wire", damaged));
    }
    let foreign = facts.capture.foreign;
    if !facts.fates_untold && foreign != Foreign::default() {
        found.push(violation("FrameOfAnotherProtocol", "wire", format!("{foreign:?}")));
    }
}

/// Every received frame was delivered by the device, and had been sent or injected before.
pub(super) fn received_was_delivered(facts: &Facts, found: &mut Vec<Violation>) {
    if facts.violations.iter().any(|fault| fault.rule == "NoCapture") {
        return;
    }
    let delivered: HashSet<u64> = facts.capture.inbound.iter().copied().collect();
    let never: Ids = facts.rx.received.iter().filter(|id| !delivered.contains(id)).collect();
    if !never.is_empty() {
        let place = format!("{}: received, never delivered by the device", frames(&never));
        found.push(violation("ReceivedDiffersFromDelivered", RX, place));
    }
    let sources: HashSet<u64> = facts.capture.outbound.iter().copied().chain(facts.injected.iter()).collect();
    for id in facts.rx.received.iter().filter(|id| !sources.contains(id)) {
        found.push(violation("ReceivedButNeverSent", RX, format!("frame {id}")));
    }
}

/// Received frames are exactly those that were delivered, in their order.
pub(super) fn receive_agrees(facts: &Facts, found: &mut Vec<Violation>) {
    let received: Vec<u64> = facts.rx.received.iter().collect();
    if found.iter().any(|fault| fault.rule == "ReceivedDiffersFromDelivered") {
        return;
    }
    if let Some(difference) =
        first_difference("delivered by the device", &facts.capture.inbound, "received", &received)
    {
        found.push(violation("ReceivedDiffersFromDelivered", RX, difference));
    }
}

/// Every frame that left the wire while receive was up was received, but for those that found no buffer.
pub(super) fn everything_arrived(facts: &Facts, found: &mut Vec<Violation>) {
    let arrived: HashSet<u64> = facts.rx.received.iter().collect();
    for stretch in &facts.must_arrive {
        let wanted = facts
            .capture
            .outbound
            .iter()
            .skip(stretch.from as usize)
            .take((stretch.to - stretch.from) as usize);
        let missing: Ids = wanted.copied().filter(|id| !arrived.contains(id)).collect();
        if missing.len() > stretch.dropped {
            found.push(violation("FrameNotReceived", RX, runs(&missing)));
        }
    }
}

/// The driver's own counts are the sizes of the sets.
pub(super) fn driver_agrees(facts: &Facts, found: &mut Vec<Violation>) {
    // Its words come by the same way as the fates.
    if facts.fates_untold {
        return;
    }
    if facts.foreign_driver && [TX, RX].iter().all(|queue| facts.driver.total(*queue).is_none()) {
        return;
    }
    if facts.load_refused && facts.offered.is_empty() {
        return;
    }
    let (tx, rx) = (&facts.tx, &facts.rx);
    let on_hardware = tx.sent.len() + tx.taken_back.len();
    let expected = [
        (TX, "posted", on_hardware),
        (TX, "sent", tx.sent.len()),
        (TX, "taken_back", tx.taken_back.len()),
        (TX, "never_posted", tx.never_posted.len()),
        (RX, "received", rx.received.len()),
        (RX, "returned_empty", rx.returned_empty),
    ];
    for (queue, name, expected) in expected {
        let count = |name| facts.driver.total(queue).and_then(|counts| counts.get(name).copied());
        // what a device that was given up still had bears the mark of what it took back
        let lost = if facts.device_given_up && name == "taken_back" { count("lost") } else { None };
        let said = count(name).map(|said| said.saturating_add(lost.unwrap_or_default()));
        if said != Some(expected) {
            let said = said.map_or_else(|| "nothing".to_owned(), |said| said.to_string());
            let place = format!("{name}: the driver says {said}, the sets say {expected}");
            found.push(violation("DriverCountsDiffer", queue, place));
        }
    }
}

/// The device could use every chain that the driver posted.
pub(super) fn device_refused(facts: &Facts, found: &mut Vec<Violation>) {
    for queue in facts.device.queues.iter().filter(|queue| queue.refused > 0 && !facts.device_given_up) {
        let place = format!("{} chains are malformed: the device refused them", queue.refused);
        found.push(violation("ChainRefused", queue.queue, place));
    }
}

/// The device's totals are the sizes of the sets, and it owes nothing.
pub(super) fn device_agrees(facts: &Facts, found: &mut Vec<Violation>) {
    if facts.device_given_up {
        return;
    }
    let [tx, rx] =
        [TX, RX].map(|queue| facts.device.queue(queue).cloned().unwrap_or_else(|| Queue::new(queue)));
    let foreign = facts.capture.foreign;
    for (queue, name, says, expected) in [
        (TX, "sent", tx.sent, facts.tx.sent.len() + foreign.outbound),
        (TX, "taken_back", tx.taken_back, facts.tx.taken_back.len() + foreign.taken_back),
        (RX, "received", rx.received, facts.rx.received.len() + foreign.inbound),
    ] {
        if says != expected {
            let place = format!("{name}: the device says {says}, the sets say {expected}");
            found.push(violation("DeviceCountsDiffer", queue, place));
        }
    }
    if rx.returned > facts.rx.returned_empty {
        let place = format!(
            "the device gave back {} buffers empty, the driver only {}",
            rx.returned, facts.rx.returned_empty
        );
        found.push(violation("DeviceCountsDiffer", RX, place));
    }
}
