//! What a queue that is not given back looks like, for the hang report. Pure: knows elements and indices, no ring.

use super::element::{Packet, RingHeader};
use agent_protocol::{FragmentOwner, KeptPacket, MOST_LISTED, Owner, QueueView, RingView};
use alloc::{vec, vec::Vec};
use cancelnic_registers::Direction;

/// What is read from a queue's rings and books.
pub struct Parts<'a> {
    /// Which way.
    pub direction: Direction,
    /// The packet ring's header.
    pub packets: RingHeader,
    /// The fragment ring's header.
    pub fragments: RingHeader,
    /// The packets that the driver owns, from BeginIndex on.
    pub owned: &'a [Packet],
    /// Numbers of the frames in them, as far as they have one.
    pub numbers: &'a [u64],
}

/// The part of the view that follows from the rings; queue, callback and registers are the caller's.
#[must_use]
pub fn view(parts: &Parts<'_>) -> QueueView {
    let header = &parts.packets;
    let posted = header.distance(header.begin, header.next);
    let kept = parts.owned.iter().zip(0_u32..).take(MOST_LISTED).map(|(packet, step)| KeptPacket {
        index: header.begin.wrapping_add(step) & header.mask,
        number: parts.numbers.get(step as usize).copied(),
        posted: step < posted,
        cancelled: packet.scratch,
    });
    QueueView {
        packets: ring(header),
        fragments: ring(&parts.fragments),
        kept: kept.collect(),
        owners: owners(parts),
        ..QueueView::default()
    }
}

fn ring(header: &RingHeader) -> RingView {
    RingView { begin: header.begin, next: header.next, end: header.end, elements: header.count }
}

fn owners(parts: &Parts<'_>) -> Vec<FragmentOwner> {
    let (packets, fragments) = (&parts.packets, &parts.fragments);
    let mut named = vec![None; fragments.count as usize];
    // a receive packet names its fragments only when it goes back
    if parts.direction == Direction::Tx {
        for (packet, step) in parts.owned.iter().zip(0_u32..) {
            for piece in 0..u32::from(packet.fragment_count) {
                let at = packet.fragment_index.wrapping_add(piece) & fragments.mask;
                named[at as usize] = Some(packets.begin.wrapping_add(step) & packets.mask);
            }
        }
    }
    let posted = fragments.distance(fragments.begin, fragments.next);
    let mut owners: Vec<FragmentOwner> = Vec::new();
    for step in 0..fragments.distance(fragments.begin, fragments.end) {
        let at = fragments.begin.wrapping_add(step) & fragments.mask;
        let owner = match named[at as usize] {
            Some(packet) => Owner::Packet(packet),
            None if parts.direction == Direction::Rx && step < posted => Owner::Device,
            None => Owner::Driver,
        };
        if let Some(last) = owners.last_mut().filter(|last| last.owner == owner) {
            last.count += 1;
        } else if owners.len() < MOST_LISTED {
            owners.push(FragmentOwner { first: at, count: 1, owner });
        } else {
            break;
        }
    }
    owners
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(begin: u32, next: u32, end: u32) -> RingHeader {
        RingHeader { stride: 16, count: 8, mask: 7, begin, next, end, reserved: (0, [0; 4]) }
    }

    fn names(fragment_index: u32, fragment_count: u16, scratch: bool) -> Packet {
        Packet { fragment_index, fragment_count, scratch, ..Packet::default() }
    }

    #[test]
    fn each_transmit_fragment_is_the_packets_that_names_it() {
        let owned = [names(7, 2, true), names(1, 1, false)];
        let view = view(&Parts {
            direction: Direction::Tx,
            packets: header(7, 0, 1),
            fragments: header(7, 0, 3),
            owned: &owned,
            numbers: &[41, 42],
        });
        assert_eq!((view.packets.owned(), view.fragments.owned()), (2, 4));
        let kept = [
            KeptPacket { index: 7, number: Some(41), posted: true, cancelled: true },
            KeptPacket { index: 0, number: Some(42), posted: false, cancelled: false },
        ];
        assert_eq!(view.kept, kept);
        let owners = [
            FragmentOwner { first: 7, count: 2, owner: Owner::Packet(7) },
            FragmentOwner { first: 1, count: 1, owner: Owner::Packet(0) },
            FragmentOwner { first: 2, count: 1, owner: Owner::Driver },
        ];
        assert_eq!(view.owners, owners);
    }

    #[test]
    fn receive_fragments_are_the_devices_up_to_next_index() {
        let owned = [Packet::default().poisoned(); 4];
        let view = view(&Parts {
            direction: Direction::Rx,
            packets: header(6, 0, 2),
            fragments: header(6, 0, 2),
            owned: &owned,
            numbers: &[],
        });
        let owners = [
            FragmentOwner { first: 6, count: 2, owner: Owner::Device },
            FragmentOwner { first: 0, count: 2, owner: Owner::Driver },
        ];
        assert_eq!(view.owners, owners);
        assert!(view.kept.iter().all(|packet| packet.number.is_none()));
    }

    #[test]
    fn a_long_list_is_cut() {
        let owned: Vec<Packet> = (0..100).map(|at| names(at, 1, false)).collect();
        let header = RingHeader { count: 128, mask: 127, ..header(0, 0, 100) };
        let parts = Parts {
            direction: Direction::Tx,
            packets: header,
            fragments: header,
            owned: &owned,
            numbers: &[],
        };
        let view = view(&parts);
        assert_eq!((view.kept.len(), view.owners.len()), (MOST_LISTED, MOST_LISTED));
        assert_eq!(view.packets.owned(), 100);
    }
}
