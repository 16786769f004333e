//! The fates of frames that a guest has not reported before it ended.

use crate::facts::Facts;
use agent_protocol::Ids;
use std::collections::BTreeSet;

/// The guest has ended, or answers no more, before it reported the fate of every frame: those that left the wire or were
/// taken back get the fate that the device saw. What the guest has reported stays.
pub(super) fn complete(facts: &mut Facts) {
    let tx = &mut facts.tx;
    let mut known: BTreeSet<u64> =
        [&tx.sent, &tx.taken_back, &tx.never_posted].into_iter().flat_map(Ids::iter).collect();
    let posted: BTreeSet<u64> = tx.posted.iter().collect();
    for (seen, set) in
        [(&facts.capture.outbound, &mut tx.sent), (&facts.capture.taken_back, &mut tx.taken_back)]
    {
        for &id in seen.iter().filter(|id| known.insert(**id)) {
            set.push(id);
            facts.only_at_device.push(id);
            if !posted.contains(&id) {
                tx.posted.push(id);
            }
        }
    }
    tx.outstanding = tx.outstanding.iter().filter(|id| !known.contains(id)).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::capture::Capture;
    use agent_protocol::QueueReport;

    #[test]
    fn a_guest_that_ended_leaves_the_fates_that_the_device_saw() {
        let capture = Capture { outbound: vec![1, 2, 3], taken_back: vec![4, 5], ..Capture::default() };
        let mut facts = Facts { capture, ..Facts::default() };
        facts.tx =
            QueueReport { posted: Ids(vec![(1, 8)]), sent: Ids(vec![(1, 2)]), ..QueueReport::default() };
        facts.tx.outstanding = Ids(vec![(3, 8)]);
        complete(&mut facts);
        assert_eq!((&facts.tx.sent, &facts.tx.taken_back), (&Ids(vec![(1, 3)]), &Ids(vec![(4, 5)])));
        assert_eq!((&facts.only_at_device, &facts.tx.outstanding), (&Ids(vec![(3, 5)]), &Ids(vec![(6, 8)])));
        assert_eq!(facts.kept(), Ids(vec![(6, 8)]));
        let sizes = [&facts.tx.sent, &facts.tx.taken_back, &facts.tx.never_posted, &facts.kept()];
        assert_eq!(sizes.map(Ids::len).iter().sum::<u64>(), facts.tx.posted.len());
    }
}
