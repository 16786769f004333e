//! What guest, device, capture and driver report of the same thing, side by side, and where they differ.

use crate::device::{RX, TX};
use crate::facts::Facts;
use agent_protocol::Ids;
use cancelnic_registers::QueueId;
use std::collections::BTreeSet;

/// The witnesses, in the order of [`Count::said`].
pub(super) const NAMES: [&str; 4] = ["guest", "driver", "device", "capture"];

/// One number, as each witness has it; `None` from one that does not count it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Count {
    /// What is counted.
    pub what: &'static str,
    /// By guest, driver, device, capture.
    pub said: [Option<u64>; 4],
}

impl Count {
    /// Whether two witnesses disagree.
    pub(super) fn differs(&self) -> bool {
        let mut said = self.said.iter().flatten();
        let first = said.next();
        said.any(|said| Some(said) != first)
    }
}

/// Frames that one witness has and another has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// Who has them and who has not.
    pub what: &'static str,
    /// Which they are.
    pub frames: String,
}

/// Everything that more than one witness counts. Frames of the guest's own protocols are left out.
pub(super) fn counts(facts: &Facts) -> Vec<Count> {
    let driver = |queue: QueueId, name: &str| facts.driver.total(queue)?.get(name).copied();
    let (tx, rx, capture) = (&facts.tx, &facts.rx, &facts.capture);
    let device = |queue: QueueId| facts.device.queue(queue);
    let of_ours = |total: u64, foreign: u64| total.saturating_sub(foreign);
    let len = |frames: &[u64]| Some(frames.len() as u64);
    let foreign = capture.foreign;
    let count = |what, said| Count { what, said };
    vec![
        count(
            "sent",
            [
                Some(tx.sent.len()),
                driver(TX, "sent"),
                device(TX).map(|tx| of_ours(tx.sent, foreign.outbound)),
                len(&capture.outbound),
            ],
        ),
        count(
            "taken back",
            [
                Some(tx.taken_back.len()),
                driver(TX, "taken_back"),
                device(TX).map(|tx| of_ours(tx.taken_back, foreign.taken_back)),
                len(&capture.taken_back),
            ],
        ),
        count("never posted", [Some(tx.never_posted.len()), driver(TX, "never_posted"), None, None]),
        count(
            "received",
            [
                Some(rx.received.len()),
                driver(RX, "received"),
                device(RX).map(|rx| of_ours(rx.received, foreign.inbound)),
                len(&capture.inbound),
            ],
        ),
        count("buffers returned empty", [Some(rx.returned_empty), driver(RX, "returned_empty"), None, None]),
    ]
}

/// `165 sent, 64 taken back, ...` of counts on which all agree.
pub(super) fn sentence<'a>(counts: impl IntoIterator<Item = &'a Count>) -> String {
    let parts = counts.into_iter().filter_map(|count| {
        let said = count.said.iter().flatten().next()?;
        Some(format!("{said} {}", count.what))
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// The frames on which the guest and the device's capture differ.
pub(super) fn differences(facts: &Facts) -> Vec<Difference> {
    let (tx, rx, capture) = (&facts.tx, &facts.rx, &facts.capture);
    let set = |ids: &Ids| ids.iter().collect::<BTreeSet<u64>>();
    let seen = |frames: &[u64]| frames.iter().copied().collect::<BTreeSet<u64>>();
    let (sent, on_wire) = (set(&tx.sent), seen(&capture.outbound));
    let (taken_back, at_device) = (set(&tx.taken_back), seen(&capture.taken_back));
    let (received, delivered) = (set(&rx.received), seen(&capture.inbound));
    [
        ("sent, and not on the wire", &sent - &on_wire),
        ("on the wire, and not sent", &on_wire - &sent),
        ("taken back, and not by the device", &taken_back - &at_device),
        ("taken back by the device only", &at_device - &taken_back),
        ("received, and not delivered", &received - &delivered),
        ("delivered, and not received", &delivered - &received),
        // Where nothing comes back from the wire, nothing is missing.
        (
            "on the wire, and not received",
            if received.is_empty() { BTreeSet::new() } else { &on_wire - &received },
        ),
    ]
    .into_iter()
    .filter(|(_, frames)| !frames.is_empty())
    .map(|(what, frames)| Difference { what, frames: every_run(&frames.into_iter().collect()) })
    .collect()
}

/// Numbers for people, all of them: `1-5, 9`.
fn every_run(ids: &Ids) -> String {
    let run = |(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ids.0.iter().map(run).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::example::good;

    #[test]
    fn witnesses_of_a_good_run_agree() {
        let facts = good();
        let counts = counts(&facts);
        assert!(!counts.iter().any(Count::differs), "{counts:?}");
        assert_eq!(
            sentence(&counts),
            "2 sent, 4 taken back, 4 never posted, 2 received, 250 buffers returned empty"
        );
        assert_eq!(differences(&facts), []);
    }

    #[test]
    fn a_witness_that_counts_otherwise_is_named_with_the_frames() {
        let mut facts = good();
        facts.capture.outbound.push(3);
        let counts = counts(&facts);
        let differing: Vec<_> =
            counts.iter().filter(|count| count.differs()).map(|count| count.what).collect();
        assert_eq!(differing, ["sent"]);
        let told: Vec<_> = differences(&facts).into_iter().map(|one| (one.what, one.frames)).collect();
        assert_eq!(told[0], ("on the wire, and not sent", "3".to_owned()));
    }
}
