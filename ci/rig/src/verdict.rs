//! The rules by which a run is judged. Each reads the facts alone, and names what it finds.
//!
//! Faults are listed with the cause before the symptom. A rule that [`Holds::Always`] is judged in every run: what it
//! compares is definite as soon as it is known. A rule that [`Holds::AtEnd`] needs a run that got to its end, because
//! it compares whole sets.

mod fates;

use crate::capture::Foreign;
use crate::control::{Queue, QueueId, Rule, Stats};
use crate::driver_log;
use crate::facts::Facts;
use agent_protocol::{Ids, ListReport, Violation};
use std::collections::{BTreeSet, HashMap, HashSet};

/// When a rule can be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holds {
    /// Also in a run that failed half-way: whatever is still missing could not explain what the rule finds.
    Always,
    /// Only when the run got to its end: until then sets may lack frames whose fate is not known yet.
    AtEnd,
}

/// A rule reads the facts and adds what it finds.
type Judge = fn(&Facts, &mut Vec<Violation>);

/// The rules, in the order in which their faults are listed.
const RULES: [(Holds, Judge); 14] = [
    (Holds::Always, fates::contradictions),
    (Holds::Always, sets_disjoint),
    (Holds::Always, lists_sound),
    (Holds::Always, frames_whole),
    (Holds::Always, received_was_delivered),
    (Holds::Always, device_refused),
    (Holds::AtEnd, nothing_kept),
    (Holds::AtEnd, above_the_ring),
    (Holds::AtEnd, lists_agree),
    (Holds::AtEnd, fates::wire_agrees),
    (Holds::AtEnd, receive_agrees),
    (Holds::AtEnd, everything_arrived),
    (Holds::AtEnd, driver_agrees),
    (Holds::AtEnd, device_agrees),
];

/// Faults seen while a run went on that are mostly consequences of others, which the sets and the device's judge name.
const CONSEQUENCES: [&str; 11] = [
    "AgentLost",
    "GuestHangs",
    "GuestRestarted",
    "MachineOff",
    "NoCapture",
    "NoDeviceCounts",
    "NoTrace",
    "PacketKept",
    "QueueNotCancelled",
    "QueueNotResumed",
    "ScenarioFailed",
];

/// Everything that is wrong with a run, the cause before the symptom:
///
/// 1. the driver has given the device up: nothing of what follows can be right;
/// 2. a rule of the guest's framework, or another fault that ended the run where it happened;
/// 3. contradictions between what driver, device and wire report of a frame;
/// 4. the findings of the device's judge;
/// 5. consequences: the guest hangs, a queue does not run;
/// 6. failed steps;
/// 7. the rules on whole sets, if none of the others was broken and the run got to its end.
pub fn judge(facts: &Facts) -> Vec<Violation> {
    let mut found = Vec::new();
    driver_reset(facts, &mut found);
    let is_consequence = |fault: &&Violation| CONSEQUENCES.contains(&fault.rule.as_str());
    found.extend(facts.violations.iter().filter(|fault| !is_consequence(fault)).cloned());
    apply(Holds::Always, facts, &mut found);
    found.extend(device_faults(&facts.device, facts.device_given_up));
    found.extend(facts.violations.iter().filter(is_consequence).cloned());
    let ended = facts.steps.iter().all(|step| step.ok);
    for step in facts.steps.iter().filter(|step| !step.ok) {
        // A fault that a step named itself is in the list already.
        if !found.iter().any(|violation| step.detail.contains(&violation.rule)) {
            found.push(violation("StepFailed", &step.name, &step.detail));
        }
    }
    if ended && facts.violations.is_empty() && device_faults(&facts.device, facts.device_given_up).is_empty()
    {
        apply(Holds::AtEnd, facts, &mut found);
    }
    found
}

fn apply(holds: Holds, facts: &Facts, found: &mut Vec<Violation>) {
    RULES.iter().filter(|rule| rule.0 == holds).for_each(|(_, judge)| judge(facts, found));
}

/// A fault.
pub fn violation(rule: &str, callback: impl Into<String>, place: impl Into<String>) -> Violation {
    Violation { rule: rule.into(), callback: callback.into(), place: place.into() }
}

/// A fault as the error of the step in which it was found.
pub fn fault_of(fault: &Violation) -> String {
    format!("{} in {} ({})", fault.rule, fault.callback, fault.place)
}

/// The fault, if a line that the driver printed reports that it has given the device up.
pub fn given_up(line: &str) -> Option<Violation> {
    let reason = driver_log::given_up(line)?;
    let queue = ["tx0", "rx0"].into_iter().find(|queue| reason.starts_with(queue)).unwrap_or("device");
    Some(violation("DriverResetDevice", queue, format!("the driver gave the device up: {reason}")))
}

/// The driver has given the device up, and nobody expects it.
fn driver_reset(facts: &Facts, found: &mut Vec<Violation>) {
    if !facts.device_given_up {
        found.extend(facts.driver.printed().iter().find_map(|line| given_up(line)));
    }
}

/// What the device's judge found, but for what giving the device up looks like from its side, and the queues that the
/// guest's indices made unusable.
pub fn device_faults(device: &Stats, given_up: bool) -> Vec<Violation> {
    let mut found = Vec::new();
    for queue in &device.queues {
        let told = queue.findings.iter().filter(|finding| !(given_up && finding.rule == Rule::ResetInFlight));
        found.extend(
            told.map(|finding| violation(finding.rule.name(), queue.queue.name(), finding.describe())),
        );
        let untold = queue.findings_total.saturating_sub(queue.findings.len() as u64);
        if untold > 0 {
            found.push(violation("MoreFindings", queue.queue.name(), format!("{untold} more")));
        }
        if queue.broken && !given_up {
            let place = "the guest's indices of the virtqueue make no sense, the device uses it no more";
            found.push(violation("QueueBroken", queue.queue.name(), place));
        }
    }
    found
}

/// Sent, taken back and never posted are disjoint, in order, without a number twice, and of frames that were posted.
fn sets_disjoint(facts: &Facts, found: &mut Vec<Violation>) {
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
}

/// posted = sent + taken back + never posted.
fn nothing_kept(facts: &Facts, found: &mut Vec<Violation>) {
    let kept = facts.kept();
    if !kept.is_empty() {
        found.push(violation("PacketKept", "tx0", format!("never came back: {}", runs(&kept))));
    } else if !facts.tx.outstanding.is_empty() {
        let place = format!("outstanding: {}", runs(&facts.tx.outstanding));
        found.push(violation("PacketKept", "tx0", place));
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

/// Each list of the overlying driver came back at most once, and none failed.
fn lists_sound(facts: &Facts, found: &mut Vec<Violation>) {
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
fn lists_agree(facts: &Facts, found: &mut Vec<Violation>) {
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
fn frames_whole(facts: &Facts, found: &mut Vec<Violation>) {
    for damaged in &facts.capture.damaged {
        found.push(violation("FrameDamaged", "wire", damaged));
    }
    let foreign = facts.capture.foreign;
    if !facts.fates_untold && foreign != Foreign::default() {
        found.push(violation("FrameOfAnotherProtocol", "wire", format!("{foreign:?}")));
    }
}

/// Every received frame was delivered by the device, and had been sent or injected before.
fn received_was_delivered(facts: &Facts, found: &mut Vec<Violation>) {
    if facts.violations.iter().any(|fault| fault.rule == "NoCapture") {
        return;
    }
    let delivered: HashSet<u64> = facts.capture.inbound.iter().copied().collect();
    let never: Ids = facts.rx.received.iter().filter(|id| !delivered.contains(id)).collect();
    if !never.is_empty() {
        let place = format!("{}: received, never delivered by the device", frames(&never));
        found.push(violation("ReceivedDiffersFromDelivered", "rx0", place));
    }
    let sources: HashSet<u64> = facts.capture.outbound.iter().copied().chain(facts.injected.iter()).collect();
    for id in facts.rx.received.iter().filter(|id| !sources.contains(id)) {
        found.push(violation("ReceivedButNeverSent", "rx0", format!("frame {id}")));
    }
}

/// Received frames are exactly those that were delivered, in their order.
fn receive_agrees(facts: &Facts, found: &mut Vec<Violation>) {
    let received: Vec<u64> = facts.rx.received.iter().collect();
    if found.iter().any(|fault| fault.rule == "ReceivedDiffersFromDelivered") {
        return;
    }
    if let Some(difference) =
        first_difference("delivered by the device", &facts.capture.inbound, "received", &received)
    {
        found.push(violation("ReceivedDiffersFromDelivered", "rx0", difference));
    }
}

/// Every frame that left the wire while receive was up was received, but for those that found no buffer.
fn everything_arrived(facts: &Facts, found: &mut Vec<Violation>) {
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

/// The device could use every chain that the driver posted.
fn device_refused(facts: &Facts, found: &mut Vec<Violation>) {
    for queue in facts.device.queues.iter().filter(|queue| queue.refused > 0 && !facts.device_given_up) {
        let place = format!("{} chains are malformed: the device refused them", queue.refused);
        found.push(violation("ChainRefused", queue.queue.name(), place));
    }
}

/// The device's totals are the sizes of the sets, and it owes nothing.
fn device_agrees(facts: &Facts, found: &mut Vec<Violation>) {
    if facts.device_given_up {
        return;
    }
    let [tx, rx] = [QueueId::TX0, QueueId::RX0]
        .map(|queue| facts.device.queue(queue).cloned().unwrap_or_else(|| Queue::new(queue)));
    let foreign = facts.capture.foreign;
    for (queue, name, says, expected) in [
        ("tx0", "sent", tx.sent, facts.tx.sent.len() + foreign.outbound),
        ("tx0", "taken_back", tx.taken_back, facts.tx.taken_back.len() + foreign.taken_back),
        ("rx0", "received", rx.received, facts.rx.received.len() + foreign.inbound),
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

/// Runs of consecutive numbers that [`runs`] shows of a set.
pub const RUNS_SHOWN: usize = 12;

/// Frames for people: `frame 3`, `frames 1-5, 9`.
fn frames(ids: &Ids) -> String {
    let noun = if ids.len() == 1 { "frame" } else { "frames" };
    format!("{noun} {}", runs(ids))
}

/// Numbers for people: `1-5, 9`.
pub fn runs(ids: &Ids) -> String {
    let mut text: Vec<String> = ids
        .0
        .iter()
        .take(RUNS_SHOWN)
        .map(|(first, last)| if first == last { first.to_string() } else { format!("{first}-{last}") })
        .collect();
    if ids.0.len() > RUNS_SHOWN {
        text.push(format!("... ({} in all)", ids.len()));
    }
    if text.is_empty() { "none".to_owned() } else { text.join(", ") }
}

#[cfg(test)]
#[path = "verdict_tests.rs"]
pub(crate) mod tests;
