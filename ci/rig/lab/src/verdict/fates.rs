//! The fate of each transmitted frame, as the driver reports it and as the device saw it.

use super::device::driver_reset;
use super::words::{first_difference, frames, violation};
use crate::device::TX;
use crate::facts::Facts;
use agent_protocol::{Ids, Violation};
use std::collections::{BTreeMap, HashSet};

/// What the driver reported of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reported {
    Sent,
    TakenBack,
    NeverPosted,
}

/// What the device did with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    OnTheWire,
    TakenBack,
    Neither,
}

/// The rule that a pair breaks, and the pair in words.
fn fault(reported: Reported, seen: Seen) -> Option<(&'static str, &'static str)> {
    match (reported, seen) {
        (Reported::Sent, Seen::OnTheWire)
        | (Reported::TakenBack, Seen::TakenBack)
        | (Reported::NeverPosted, Seen::Neither) => None,
        (Reported::Sent, Seen::TakenBack) => Some((
            "SentButNotOnWire",
            "the driver reported sent, never on the wire: the device took them back",
        )),
        (Reported::Sent, Seen::Neither) => {
            Some(("SentButNotOnWire", "the driver reported sent, never on the wire"))
        }
        (Reported::TakenBack, Seen::OnTheWire) => {
            Some(("TakenBackButOnWire", "the driver reported taken back, on the wire all the same"))
        }
        (Reported::TakenBack, Seen::Neither) => {
            Some(("TakenBackDiffers", "the driver reported taken back, the device has not taken them back"))
        }
        (Reported::NeverPosted, Seen::OnTheWire) => {
            Some(("NeverPostedButOnWire", "the driver reported never posted, on the wire all the same"))
        }
        (Reported::NeverPosted, Seen::TakenBack) => {
            Some(("TakenBackDiffers", "the driver reported never posted, the device took them back"))
        }
    }
}

/// Whether the capture can be held against the driver's report at all: it was read, and the driver has not reset the
/// device, which forgets what was under way.
fn comparable(facts: &Facts) -> bool {
    let capture_is_there = !facts.violations.iter().any(|fault| fault.rule == "NoCapture");
    let mut reset = Vec::new();
    driver_reset(facts, &mut reset);
    capture_is_there && !facts.device_given_up && reset.is_empty()
}

/// Every frame for which driver and device report different fates. Both fates are definite when they are reported: the
/// device writes a frame into the capture before it gives its descriptors back, and takes back before it writes STOPPED.
/// Frames of which the driver has not reported any fate yet are left out.
pub(super) fn contradictions(facts: &Facts, found: &mut Vec<Violation>) {
    if !comparable(facts) {
        return;
    }
    let on_the_wire: HashSet<u64> = facts.capture.outbound.iter().copied().collect();
    let taken_back: HashSet<u64> = facts.capture.taken_back.iter().copied().collect();
    let mut faults: BTreeMap<(Reported, Seen), Vec<u64>> = BTreeMap::new();
    for (reported, set) in [
        (Reported::Sent, &facts.tx.sent),
        (Reported::TakenBack, &facts.tx.taken_back),
        (Reported::NeverPosted, &facts.tx.never_posted),
    ] {
        for id in set.iter() {
            let seen = if on_the_wire.contains(&id) {
                Seen::OnTheWire
            } else if taken_back.contains(&id) {
                Seen::TakenBack
            } else {
                Seen::Neither
            };
            if fault(reported, seen).is_some() {
                faults.entry((reported, seen)).or_default().push(id);
            }
        }
    }
    for ((reported, seen), ids) in faults {
        if let Some((rule, words)) = fault(reported, seen) {
            let ids: Ids = ids.into_iter().collect();
            found.push(violation(rule, TX, format!("{}: {words}", frames(&ids))));
        }
    }
    let both: Ids = facts.capture.outbound.iter().copied().filter(|id| taken_back.contains(id)).collect();
    if !both.is_empty() && !facts.fates_untold {
        let place = format!("{}: on the wire, and taken back by the device", frames(&both));
        found.push(violation("InTwoSets", TX, place));
    }
}

/// The outbound frames of the capture are exactly the sent set in its order, those that cancels took back exactly the set
/// of these. Names only what the contradictions do not.
pub(super) fn wire_agrees(facts: &Facts, found: &mut Vec<Violation>) {
    let mut contradicted = Vec::new();
    contradictions(facts, &mut contradicted);
    if facts.device_given_up || !contradicted.is_empty() {
        return;
    }
    let sent: Vec<u64> = facts.tx.sent.iter().collect();
    if let Some(difference) = first_difference("on the wire", &facts.capture.outbound, "sent", &sent) {
        found.push(violation("WireDiffersFromSent", TX, difference));
    }
    let taken_back: Vec<u64> = facts.tx.taken_back.iter().collect();
    let seen = &facts.capture.taken_back;
    if let Some(difference) = first_difference("taken back by the device", seen, "taken back", &taken_back) {
        found.push(violation("TakenBackDiffers", TX, difference));
    }
}
