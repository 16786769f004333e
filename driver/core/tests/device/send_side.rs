//! The class extension's side of a transmit queue: gives packets, checks every rule on what the
//! driver did to them, and takes them back in order.

use std::collections::VecDeque;

use netadaptercx_sys::{NET_FRAGMENT, NET_PACKET};

use crate::{
    frame,
    memory::Guest,
    rings::{BUFFER, QueueRings},
};

/// What the driver says became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Sent,
    TakenBack,
    NeverPosted,
}

pub(crate) struct SendSide {
    pub rings: QueueRings,
    /// Frames given and not yet returned, in order; `None` for packets to ignore.
    given: VecDeque<Option<u64>>,
    /// Frames returned, in order.
    pub returned: Vec<(u64, Fate)>,
    next_number: u64,
}

impl SendSide {
    pub(crate) fn new(guest: &Guest, packets: u32, fragments: u32) -> Self {
        let (_, buffers) = guest.alloc(BUFFER * fragments as usize);
        let rings = QueueRings::new(packets, fragments, buffers);
        Self { rings, given: VecDeque::new(), returned: vec![], next_number: 0 }
    }

    /// The rings as at Start: indices 0. Elements keep what they had.
    pub(crate) fn start(&self) {
        assert_eq!(self.outstanding(), 0);
        self.rings.reset();
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.given.len()
    }

    /// Numbers of all frames with this fate, in the order of their return.
    pub(crate) fn with_fate(&self, fate: Fate) -> Vec<u64> {
        self.returned.iter().filter(|frame| frame.1 == fate).map(|frame| frame.0).collect()
    }

    /// Gives a frame in `pieces` fragments; `None` if a ring is full.
    pub(crate) fn give(&mut self, guest: &Guest, pieces: u32) -> Option<u64> {
        let QueueRings { packets, fragments, .. } = &self.rings;
        if packets.room() == 0 || fragments.room() < pieces {
            return None;
        }
        let number = self.next_number;
        self.next_number += 1;
        let bytes = frame::numbered(number, frame::length(number));
        let first = fragments.end();
        let piece = bytes.len().div_ceil(pieces as usize);
        for (n, part) in (0..pieces).zip(bytes.chunks(piece)) {
            let index = fragments.after(first, n);
            let offset = (number % 7) as u16;
            guest.write(self.rings.buffer(index) + u64::from(offset), part);
            // The driver's bit is left as the last user of the element left it.
            let mut fragment = NET_FRAGMENT { Bits: fragments.get::<NET_FRAGMENT>(index).Bits & 1 << 62 };
            fragment.set_Capacity(BUFFER as u32);
            fragment.set_Offset(offset);
            fragment.set_ValidLength(part.len() as u32);
            fragments.set(index, fragment);
        }
        let mut packet =
            NET_PACKET { FragmentIndex: first, FragmentCount: pieces as u16, ..NET_PACKET::default() };
        packet.Layout.set_Layer2Type(2);
        packet.Layout.set_Layer2HeaderLength(14);
        let index = packets.end();
        packet.set_Scratch(packets.get::<NET_PACKET>(index).Scratch());
        packets.set(index, packet);
        packets.set_end(packets.after(index, 1));
        fragments.set_end(fragments.after(first, pieces));
        self.given.push_back(Some(number));
        Some(number)
    }

    /// Gives as many frames of one fragment as fit, up to `count`.
    pub(crate) fn give_all(&mut self, guest: &Guest, count: usize) -> usize {
        (0..count).take_while(|_| self.give(guest, 1).is_some()).count()
    }

    /// Gives a packet that could not be translated: nothing in it.
    pub(crate) fn give_ignored(&mut self) {
        let packets = &self.rings.packets;
        assert_ne!(packets.room(), 0);
        let index = packets.end();
        let mut packet = NET_PACKET::default();
        packet.set_Ignore(true);
        packets.set(index, packet);
        packets.set_end(packets.after(index, 1));
        self.given.push_back(None);
    }

    /// Runs a callback of the driver and checks what it did; tells how many packets came back.
    pub(crate) fn call<R>(&mut self, callback: impl FnOnce() -> R) -> (R, usize) {
        let QueueRings { packets, fragments, .. } = &self.rings;
        let headers_before = (packets.snapshot(), fragments.snapshot());
        let elements_before = self.elements();
        let (begin, fragments_begin) = (packets.begin(), fragments.begin());
        let owned = packets.distance(begin, packets.end());
        let owned_fragments = fragments.distance(fragments_begin, fragments.end());
        let result = callback();

        // InvalidRingImmutable: nothing in front of BeginIndex but what was there
        assert_eq!(headers_before.0[..0x30], packets.snapshot()[..0x30], "packet ring's header");
        assert_eq!(headers_before.1[..0x30], fragments.snapshot()[..0x30], "fragment ring's header");
        assert_eq!(elements_before, self.elements(), "elements may change in Scratch only");

        // InvalidRingBeginIndex: the owned range never grows
        let back = packets.distance(begin, packets.begin());
        assert!(back <= owned, "BeginIndex left the owned range");
        assert!(fragments.distance(fragments_begin, fragments.begin()) <= owned_fragments);
        assert!(packets.distance(packets.begin(), packets.header(|ring| ring.NextIndex)) <= owned - back);
        let mut fragments_end = fragments_begin;
        for n in 0..back {
            let packet = self.rings.packet(packets.after(begin, n));
            match self.given.pop_front().expect("as many given as owned") {
                None => assert!(packet.Ignore() && !packet.Scratch()),
                Some(number) => {
                    let posted = self.rings.fragment(packet.FragmentIndex).Scratch();
                    let fate = match (packet.Scratch(), posted) {
                        (false, true) => Fate::Sent,
                        (true, true) => Fate::TakenBack,
                        (true, false) => Fate::NeverPosted,
                        (false, false) => panic!("frame {number} returned without a fate"),
                    };
                    self.returned.push((number, fate));
                    fragments_end = fragments.after(packet.FragmentIndex, packet.FragmentCount.into());
                }
            }
        }
        assert_eq!(fragments.begin(), fragments_end, "fragments go back with their packets");
        (result, back as usize)
    }

    /// Every element without the driver's bits.
    fn elements(&self) -> (Vec<NET_PACKET>, Vec<NET_FRAGMENT>) {
        let packets = (0..self.rings.packets.count).map(|index| {
            let mut packet = self.rings.packet(index);
            packet.set_Scratch(false);
            packet
        });
        let fragments = (0..self.rings.fragments.count).map(|index| {
            let mut fragment = self.rings.fragment(index);
            fragment.set_Scratch(false);
            fragment
        });
        (packets.collect(), fragments.collect())
    }
}
