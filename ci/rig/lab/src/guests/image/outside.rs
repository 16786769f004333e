//! The fates of frames as the device saw them, for a guest that does not tell: what left the wire, what a cancel took
//! back, what was delivered. What never came to the hardware is the rest, once the data path is down.
//!
//! Only frames of ours count. A guest has others of its own on the same queues.

use crate::device::{RX, TX};
use crate::facts::Facts;
use agent_protocol::{Ids, QueueReport};
use std::collections::BTreeSet;

/// Fills the queues' sets from the capture and the device's counts.
pub(super) fn look(facts: &mut Facts) {
    let capture = &facts.capture;
    let never_posted = std::mem::take(&mut facts.tx.never_posted);
    let mut tx = QueueReport { queue: TX.name().into(), never_posted, ..QueueReport::default() };
    tx.sent = capture.outbound.iter().copied().collect();
    tx.taken_back = capture.taken_back.iter().copied().collect();
    let known: BTreeSet<u64> =
        [&tx.sent, &tx.taken_back, &tx.never_posted].into_iter().flat_map(Ids::iter).collect();
    tx.posted = known.iter().copied().collect();
    tx.outstanding = given(facts).difference(&known).copied().collect();
    let returned_empty = facts.device.queue(RX).map_or(0, |rx| rx.returned);
    let received = capture.inbound.iter().copied().collect();
    facts.tx = tx;
    facts.rx = QueueReport { queue: RX.name().into(), received, returned_empty, ..QueueReport::default() };
}

/// The data path is down: what is in no set of the device's has never been there.
pub(super) fn assume_never_posted(facts: &mut Facts) {
    let rest: Vec<u64> = facts.tx.outstanding.iter().chain(facts.tx.never_posted.iter()).collect();
    facts.tx.never_posted = rest.into_iter().collect::<BTreeSet<u64>>().into_iter().collect();
    look(facts);
}

/// Frames on their way to the ring: given, and not ended above it.
fn given(facts: &Facts) -> BTreeSet<u64> {
    let ended: BTreeSet<u64> = facts.originated_ended.iter().collect();
    facts.offered.iter().filter(|id| !ended.contains(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::capture::Capture;
    use crate::device::control::Queue;
    use crate::verdict::judge;

    fn seen(outbound: &[u64], taken_back: &[u64]) -> Facts {
        let capture = Capture {
            outbound: outbound.to_vec(),
            taken_back: taken_back.to_vec(),
            inbound: outbound.to_vec(),
            ..Capture::default()
        };
        let mut facts = Facts { fates_untold: true, capture, ..Facts::default() };
        facts.offered = Ids(vec![(1, 9)]);
        facts.originated_ended = Ids(vec![(4, 4)]);
        for (queue, sent, taken_back, received) in
            [(TX, outbound.len(), taken_back.len(), 0), (RX, 0, 0, outbound.len())]
        {
            let [sent, taken_back, received] = [sent, taken_back, received].map(|count| count as u64);
            facts.device.queues.push(Queue { sent, taken_back, received, ..Queue::new(queue) });
        }
        look(&mut facts);
        facts
    }

    fn rules(mut facts: Facts) -> Vec<String> {
        assume_never_posted(&mut facts);
        judge(&facts).into_iter().map(|violation| violation.rule).collect()
    }

    #[test]
    fn what_the_device_never_saw_is_outstanding_until_the_data_path_is_down() {
        let mut facts = seen(&[1, 2], &[3, 5]);
        assert_eq!(facts.tx.outstanding, Ids(vec![(6, 9)]));
        assert!(facts.tx.never_posted.is_empty());
        assume_never_posted(&mut facts);
        assert_eq!(facts.tx.never_posted, Ids(vec![(6, 9)]));
        assert_eq!((facts.tx.posted.len(), facts.tx.outstanding.len()), (8, 0));
        assert_eq!(judge(&facts), []);
    }

    #[test]
    fn what_was_never_posted_stays_so_when_more_is_given() {
        let mut facts = seen(&[1, 2], &[3, 5]);
        assume_never_posted(&mut facts);
        facts.offered.push(10);
        look(&mut facts);
        assert_eq!(facts.tx.never_posted, Ids(vec![(6, 9)]));
        assert_eq!(facts.tx.outstanding, Ids(vec![(10, 10)]));
    }

    #[test]
    fn a_frame_that_was_taken_back_and_sent_is_found() {
        assert!(rules(seen(&[1, 2, 3], &[3])).contains(&"InTwoSets".to_owned()));
    }

    #[test]
    fn a_frame_that_was_sent_twice_or_never_given_or_late_is_found() {
        assert!(rules(seen(&[1, 2, 2], &[])).contains(&"FrameTwice".to_owned()));
        assert!(rules(seen(&[1, 2, 77], &[])).contains(&"SenderLostFrames".to_owned()));
        assert!(rules(seen(&[2, 1], &[])).contains(&"OutOfOrder".to_owned()));
    }

    #[test]
    fn other_peoples_frames_count_for_the_device_only() {
        let mut facts = seen(&[1, 2], &[]);
        facts.device.queues[0].sent += 3;
        assume_never_posted(&mut facts);
        assert_eq!(judge(&facts).len(), 1);
        facts.capture.foreign.outbound = 3;
        assert_eq!(judge(&facts), []);
    }
}
