//! The rules by which a run is judged. Each reads the facts alone, and names what it finds.

use crate::capture::Foreign;
use crate::control::Queue;
use crate::facts::Facts;
use agent_protocol::{Ids, ListReport, Violation};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Everything that is wrong with a run: faults seen while it went on, then those that the sets show.
pub fn judge(facts: &Facts) -> Vec<Violation> {
    let mut found = facts.violations.clone();
    for step in facts.steps.iter().filter(|step| !step.ok) {
        // A fault that a step named itself stands in the list already.
        if !found.iter().any(|violation| step.detail.contains(&violation.rule)) {
            found.push(violation("StepFailed", &step.name, &step.detail));
        }
    }
    device_found(facts, &mut found);
    if !found.is_empty() {
        // The run did not get to its end: its sets are not complete, and would only repeat that.
        return found;
    }
    let rules: [fn(&Facts, &mut Vec<Violation>); 7] = [
        transmit_sets,
        above_the_ring,
        lists_agree,
        wire_agrees,
        receive_agrees,
        driver_agrees,
        device_agrees,
    ];
    for rule in rules {
        rule(facts, &mut found);
    }
    found
}

/// A fault.
pub fn violation(rule: &str, callback: impl Into<String>, place: impl Into<String>) -> Violation {
    Violation { rule: rule.into(), callback: callback.into(), place: place.into() }
}

/// The device's judge has found nothing, but for what giving the device up looks like from its side.
fn device_found(facts: &Facts, found: &mut Vec<Violation>) {
    for queue in &facts.device.queues {
        let told = queue.findings.iter().filter(|finding| {
            let given_up = facts.device_given_up && finding.rule == "ResetInFlight";
            !given_up
        });
        found.extend(told.map(|finding| violation(&finding.rule, &queue.queue, finding.describe())));
        let untold = queue.findings_total.saturating_sub(queue.findings.len() as u64);
        if untold > 0 {
            found.push(violation("MoreFindings", &queue.queue, format!("{untold} more")));
        }
    }
}

/// posted = sent + taken back + never posted, disjoint, in order, nothing twice, nothing left.
fn transmit_sets(facts: &Facts, found: &mut Vec<Violation>) {
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
                None => found.push(violation("FrameNeverGiven", "tx0", format!("frame {id} is {name}"))),
                Some(&place) => {
                    if last.is_some_and(|last| place <= last) {
                        found.push(violation("OutOfOrder", "tx0", format!("frame {id} in {name}")));
                    }
                    last = Some(place);
                }
            }
            if let Some(other) = owner.insert(id, name).filter(|other| *other != name) {
                found.push(violation("InTwoSets", "tx0", format!("frame {id} is {other} and {name}")));
            }
        }
    }
    let kept: Ids = tx.posted.iter().filter(|id| !owner.contains_key(id)).collect();
    if !kept.is_empty() {
        found.push(violation("PacketKept", "tx0", format!("never came back: {}", runs(&kept))));
    }
    if !tx.outstanding.is_empty() && kept.is_empty() {
        found.push(violation("PacketKept", "tx0", format!("outstanding: {}", runs(&tx.outstanding))));
    }
}

fn twice(name: &str, set: &Ids, found: &mut Vec<Violation>) {
    let mut seen = HashSet::new();
    for id in set.iter().filter(|id| !seen.insert(*id)) {
        found.push(violation("FrameTwice", "tx0", format!("frame {id} in {name}")));
    }
}

/// What the rig gave to the sender is in the ring's set, skipped by the driver, still queued, completed as paused, or
/// aborted by its ID before it came to the ring.
fn above_the_ring(facts: &Facts, found: &mut Vec<Violation>) {
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
        found.push(violation("SenderLostFrames", "tx0", difference));
    }
}

/// Each list of the overlying driver came back once, and with success exactly those whose packets came back.
fn lists_agree(facts: &Facts, found: &mut Vec<Violation>) {
    let Some(lists) = &facts.lists else { return };
    for (name, set) in [
        ("completed with success", &lists.success),
        ("aborted", &lists.aborted),
        ("paused", &lists.paused),
        ("failed", &lists.failed),
    ] {
        twice(name, set, found);
    }
    for (rule, set) in [("ListFailed", &lists.failed), ("ListKept", &lists.outstanding)] {
        if !set.is_empty() {
            found.push(violation(rule, "protocol", runs(set)));
        }
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

/// The outbound frames of the capture are exactly the sent set, those that its cancels took back exactly the set of these.
fn wire_agrees(facts: &Facts, found: &mut Vec<Violation>) {
    for damaged in &facts.capture.damaged {
        found.push(violation("FrameDamaged", "wire", damaged));
    }
    let foreign = facts.capture.foreign;
    if !facts.fates_untold && foreign != Foreign::default() {
        found.push(violation("FrameOfAnotherProtocol", "wire", format!("{foreign:?}")));
    }
    if facts.device_given_up {
        return;
    }
    let sent: Vec<u64> = facts.tx.sent.iter().collect();
    if let Some(difference) = first_difference("on the wire", &facts.capture.outbound, "sent", &sent) {
        let taken_back: BTreeSet<u64> = facts.tx.taken_back.iter().collect();
        let leaked = facts.capture.outbound.iter().find(|id| taken_back.contains(id));
        found.push(match leaked {
            Some(id) => violation("TakenBackButOnWire", "tx0", format!("frame {id}")),
            None => violation("WireDiffersFromSent", "tx0", difference),
        });
    }
    let taken_back: Vec<u64> = facts.tx.taken_back.iter().collect();
    let seen = &facts.capture.taken_back;
    if let Some(difference) = first_difference("taken back by the device", seen, "taken back", &taken_back) {
        found.push(violation("TakenBackDiffers", "tx0", difference));
    }
}

/// Received frames are those that were delivered, a subset of those sent, and all of those that had to arrive.
fn receive_agrees(facts: &Facts, found: &mut Vec<Violation>) {
    let received: Vec<u64> = facts.rx.received.iter().collect();
    if let Some(difference) =
        first_difference("delivered by the device", &facts.capture.inbound, "received", &received)
    {
        found.push(violation("ReceivedDiffersFromDelivered", "rx0", difference));
    }
    let sources: HashSet<u64> = facts.capture.outbound.iter().copied().chain(facts.injected.iter()).collect();
    for id in received.iter().filter(|id| !sources.contains(id)) {
        found.push(violation("ReceivedButNeverSent", "rx0", format!("frame {id}")));
    }
    let arrived: HashSet<u64> = received.into_iter().collect();
    for stretch in &facts.must_arrive {
        let wanted = facts
            .capture
            .outbound
            .iter()
            .skip(stretch.from as usize)
            .take((stretch.to - stretch.from) as usize);
        let missing: Ids = wanted.copied().filter(|id| !arrived.contains(id)).collect();
        if missing.len() > stretch.dropped {
            found.push(violation("FrameNotReceived", "rx0", runs(&missing)));
        }
    }
}

/// The driver's own counts are the sizes of the sets.
fn driver_agrees(facts: &Facts, found: &mut Vec<Violation>) {
    // Its words come by the same way as the fates.
    if facts.fates_untold {
        return;
    }
    if facts.foreign_driver && ["tx0", "rx0"].iter().all(|queue| facts.driver.total(queue).is_none()) {
        return;
    }
    let (tx, rx) = (&facts.tx, &facts.rx);
    let on_hardware = tx.sent.len() + tx.taken_back.len();
    let expected = [
        ("tx0", "posted", on_hardware),
        ("tx0", "sent", tx.sent.len()),
        ("tx0", "taken_back", tx.taken_back.len()),
        ("tx0", "never_posted", tx.never_posted.len()),
        ("rx0", "received", rx.received.len()),
        ("rx0", "returned_empty", rx.returned_empty),
    ];
    for (queue, name, expected) in expected {
        let count = |name| facts.driver.total(queue).and_then(|counts| counts.get(name).copied());
        // what a device that was given up still had bears the mark of what it took back
        let lost = if facts.device_given_up && name == "taken_back" { count("lost") } else { None };
        let said = count(name).map(|said| said + lost.unwrap_or_default());
        if said != Some(expected) {
            let said = said.map_or_else(|| "nothing".to_owned(), |said| said.to_string());
            let place = format!("{name}: the driver says {said}, the sets say {expected}");
            found.push(violation("DriverCountsDiffer", queue, place));
        }
    }
}

/// The device's totals are the sizes of the sets, and it owes nothing.
fn device_agrees(facts: &Facts, found: &mut Vec<Violation>) {
    if facts.device_given_up {
        return;
    }
    let none = Queue::default();
    let tx = facts.device.queue("tx0").unwrap_or(&none);
    let rx = facts.device.queue("rx0").unwrap_or(&none);
    let foreign = facts.capture.foreign;
    for (queue, name, says, expected) in [
        ("tx0", "sent", tx.sent, facts.tx.sent.len() + foreign.outbound),
        ("tx0", "taken_back", tx.taken_back, facts.tx.taken_back.len() + foreign.taken_back),
        ("tx0", "refused", tx.refused, 0),
        ("tx0", "broken", tx.broken.into(), 0),
        ("rx0", "received", rx.received, facts.rx.received.len() + foreign.inbound),
        ("rx0", "refused", rx.refused, 0),
        ("rx0", "broken", rx.broken.into(), 0),
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
        found.push(violation("DeviceCountsDiffer", "rx0", place));
    }
}

fn first_difference(left_name: &str, left: &[u64], right_name: &str, right: &[u64]) -> Option<String> {
    if left == right {
        return None;
    }
    let at = left.iter().zip(right).take_while(|(left, right)| left == right).count();
    let name = |id: Option<&u64>| id.map_or_else(|| "nothing".to_owned(), |id| format!("frame {id}"));
    Some(format!(
        "{} {left_name}, {} {right_name}; at place {at}: {} against {}",
        left.len(),
        right.len(),
        name(left.get(at)),
        name(right.get(at))
    ))
}

/// Numbers for people: `1-5, 9`.
pub fn runs(ids: &Ids) -> String {
    const SHOWN: usize = 12;
    let mut text: Vec<String> = ids
        .0
        .iter()
        .take(SHOWN)
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    if ids.0.len() > SHOWN {
        text.push(format!("... ({} in all)", ids.len()));
    }
    if text.is_empty() { "none".to_owned() } else { text.join(", ") }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
pub(crate) mod tests;
