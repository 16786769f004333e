//! The class extension's side of a receive queue: gives poisoned packets and buffers, checks every
//! rule on what the driver did to them, and watches that nobody writes a buffer that was returned.

use netadaptercx_sys::{NET_FRAGMENT, NET_PACKET, NET_PACKET_LAYOUT};

use crate::{
    frame,
    memory::Guest,
    rings::{BUFFER, QueueRings},
};

/// Fills buffers that the driver does not have.
const CANARY: u8 = 0xe7;

pub(crate) struct ReceiveSide {
    pub rings: QueueRings,
    /// Numbers of the frames indicated, in order.
    pub received: Vec<u64>,
    /// Packets returned with Ignore.
    pub empty: u64,
}

impl ReceiveSide {
    pub(crate) fn new(guest: &Guest, packets: u32, fragments: u32) -> Self {
        let (_, buffers) = guest.alloc(BUFFER * fragments as usize);
        let side = Self { rings: QueueRings::new(packets, fragments, buffers), received: vec![], empty: 0 };
        (0..fragments).for_each(|index| side.fill(guest, index));
        side
    }

    /// The rings as at Start: indices 0.
    pub(crate) fn start(&self) {
        assert_eq!(self.outstanding(), 0);
        self.rings.reset();
    }

    pub(crate) fn outstanding(&self) -> usize {
        self.rings.packets.owned().len() + self.rings.fragments.owned().len()
    }

    /// Gives all that there is room for, poisoned as the verifier does.
    pub(crate) fn give(&self) {
        let QueueRings { packets, fragments, .. } = &self.rings;
        for _ in 0..packets.room() {
            packets.set(packets.end(), poison());
            packets.set_end(packets.after(packets.end(), 1));
        }
        for _ in 0..fragments.room() {
            fragments.set(fragments.end(), poisoned_fragment());
            fragments.set_end(fragments.after(fragments.end(), 1));
        }
    }

    fn fill(&self, guest: &Guest, index: u32) {
        guest.write(self.rings.buffer(index), &[CANARY; BUFFER]);
    }

    /// No buffer outside the driver's hands has been written.
    pub(crate) fn check_buffers(&self, guest: &Guest) {
        let owned = self.rings.fragments.owned();
        for index in (0..self.rings.fragments.count).filter(|index| !owned.contains(index)) {
            let unwritten = guest.read(self.rings.buffer(index), BUFFER) == [CANARY; BUFFER];
            assert!(unwritten, "buffer {index} was written after it was returned");
        }
    }

    /// Runs a callback of the driver and checks what it did; tells how many packets came back.
    pub(crate) fn call<R>(&mut self, guest: &Guest, callback: impl FnOnce() -> R) -> (R, usize) {
        let QueueRings { packets, fragments, .. } = &self.rings;
        let before = (packets.snapshot(), fragments.snapshot());
        let (begin, fragments_begin) = (packets.begin(), fragments.begin());
        let owned = packets.distance(begin, packets.end());
        let owned_fragments = fragments.distance(fragments_begin, fragments.end());
        let result = callback();
        assert_eq!(before.0[..0x30], packets.snapshot()[..0x30], "packet ring's header");
        assert_eq!(before.1[..0x30], fragments.snapshot()[..0x30], "fragment ring's header");

        let back = packets.distance(begin, packets.begin());
        let fragments_back = fragments.distance(fragments_begin, fragments.begin());
        assert!(back <= owned && fragments_back <= owned_fragments, "BeginIndex left the owned range");
        for n in back..owned {
            let packet = self.rings.packet(packets.after(begin, n));
            assert!(!packet.Ignore(), "Ignore on a packet that was not returned");
            assert_eq!(packet, poison(), "a packet was written and not returned");
        }
        // A fragment that no frame names goes back silently; frames name ascending ones.
        let mut expected = fragments_begin;
        for n in 0..back {
            let packet = self.rings.packet(packets.after(begin, n));
            if packet.Ignore() {
                let mut rest = packet;
                rest.set_Ignore(false);
                assert_eq!(rest, poison(), "a packet set Ignore was otherwise touched");
                self.empty += 1;
                continue;
            }
            assert_eq!(packet.FragmentCount, 1);
            assert_eq!(packet.Layout, NET_PACKET_LAYOUT::default());
            let at = packet.FragmentIndex;
            assert!(fragments.distance(expected, at) < fragments_back, "fragment not returned in this call");
            assert!(fragments.distance(fragments_begin, expected) <= fragments.distance(fragments_begin, at));
            expected = fragments.after(at, 1);
            let fragment = self.rings.fragment(at);
            assert_eq!((fragment.Capacity(), fragment.Offset()), (BUFFER as u32, 0));
            let len = fragment.ValidLength();
            assert!(len <= fragment.Capacity());
            let bytes = guest.read(self.rings.buffer(at), len as usize);
            self.received.push(frame::number_of(&bytes));
        }
        let returned: Vec<u32> = (0..fragments_back).map(|n| fragments.after(fragments_begin, n)).collect();
        returned.into_iter().for_each(|index| self.fill(guest, index));
        (result, back as usize)
    }
}

/// What the verifier writes into a packet that it gives.
fn poison() -> NET_PACKET {
    let mut layout = NET_PACKET_LAYOUT { Bits: [0xff; 5] };
    layout.set_Reserved0(0);
    NET_PACKET { FragmentIndex: u32::MAX, FragmentCount: u16::MAX, Layout: layout, Bits: 0 }
}

fn poisoned_fragment() -> NET_FRAGMENT {
    let mut fragment = NET_FRAGMENT::default();
    fragment.set_Capacity(BUFFER as u32);
    fragment.set_ValidLength(u32::MAX);
    fragment.set_Offset(u16::MAX);
    fragment
}
