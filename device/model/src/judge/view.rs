//! The judge's own view of a ring in service: who owns which descriptor, what the device's buffers held
//! when it got them, what the used ring holds.

use std::ops::Range;
use std::sync::atomic::Ordering;

use cancelnic_registers::{Direction, NET_HEADER_SIZE};
use virtio_bindings::bindings::virtio_ring::{VRING_AVAIL_F_NO_INTERRUPT, VRING_DESC_F_INDIRECT};
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemory};

use super::Rule;
use super::frame::{self, Negotiated};
use crate::Rings;

/// Pieces of a chain that are looked at.
const PIECES: usize = 64;
/// Bytes of a transmit chain that are looked at: all if it has no more, else its first and its last [`WINDOW`], and two of
/// these between them, which are elsewhere in each chain. Of a receive chain: one behind the header, whose buffer chains may
/// share.
const WHOLE: usize = 256;
/// Bytes that are looked at in one place.
const WINDOW: usize = 64;
/// Descriptors and windows that one call on the queue looks at once more: those of 1024 frames, in two pieces each.
const BUDGET: usize = 1024 * (2 + WHOLE / WINDOW);
/// Chains that one look takes in: more come with the next, or when the device takes them.
const CHAINS: usize = 256;

type Found = (Rule, Option<u16>);

#[derive(Debug)]
pub(super) struct View {
    rings: Rings,
    direction: Direction,
    /// Index of the next chain to look at.
    seen: u16,
    /// Chains that the device owns, by head.
    flights: Vec<Flight>,
    /// Descriptors that the device owns.
    owned: Vec<bool>,
    used: Used,
    /// Flags of the available ring that were found wrong.
    wrong_flags: u16,
    /// Where the windows of the next chain are.
    look: usize,
    /// What is left of [`BUDGET`].
    left: usize,
}

/// A chain that the device owns, or the place for one.
#[derive(Debug, Default, Clone)]
struct Flight {
    flying: bool,
    /// Descriptors of the table.
    descriptors: Vec<(u16, Raw)>,
    /// Descriptors of an indirect table.
    indirect: Vec<Raw>,
    /// Where the windows between its ends are.
    look: usize,
    digest: u64,
}

impl Flight {
    /// Its buffers, in order.
    fn pieces(&self) -> impl Iterator<Item = &Raw> {
        let direct = self.descriptors.iter().map(|(_, raw)| raw).filter(|_| self.indirect.is_empty());
        direct.chain(&self.indirect)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) addr: u64,
    pub(super) len: u32,
    pub(super) flags: u16,
    next: u16,
}

impl Raw {
    fn read<M: GuestMemory>(memory: &M, at: u64) -> Option<(Raw, Descriptor)> {
        let found: Descriptor = memory.read_obj(GuestAddress(at)).ok()?;
        let raw = Raw { addr: found.addr().0, len: found.len(), flags: found.flags(), next: found.next() };
        Some((raw, found))
    }

    fn is_indirect(self) -> bool {
        u32::from(self.flags) & VRING_DESC_F_INDIRECT != 0
    }
}

/// What the used ring holds.
#[derive(Debug)]
struct Used {
    flags: u16,
    index: u16,
    elements: Vec<[u32; 2]>,
}

impl View {
    /// Of rings that are in guest memory.
    pub(super) fn new<M: GuestMemory>(memory: &M, rings: &Rings, direction: Direction) -> Option<View> {
        let n = usize::from(rings.size);
        let mut elements = Vec::with_capacity(n);
        for slot in 0..rings.size {
            elements.push(element(memory, rings, slot)?);
        }
        Some(View {
            rings: *rings,
            direction,
            seen: rings.base,
            flights: vec![Flight::default(); n],
            owned: vec![false; n],
            used: Used {
                flags: word(memory, rings.used)?,
                index: word(memory, add(rings.used, 2)?)?,
                elements,
            },
            wrong_flags: 0,
            look: 0,
            left: BUDGET,
        })
    }

    pub(super) fn rings(&self) -> &Rings {
        &self.rings
    }

    /// The available index now.
    pub(super) fn published<M: GuestMemory>(&self, memory: &M) -> Option<u16> {
        let at = GuestAddress(add(self.rings.avail, 2)?);
        memory.load(at, Ordering::Acquire).ok().map(u16::from_le)
    }

    /// The head at place `index` of the available ring.
    pub(super) fn head_at<M: GuestMemory>(&self, memory: &M, index: u16) -> Option<u16> {
        let slot = index.checked_rem(self.rings.size)?;
        word(memory, add(self.rings.avail, 4)?.checked_add(2u64.checked_mul(slot.into())?)?)
    }

    /// Takes in the chains before place `end` of the available ring, a few hundred at most.
    pub(super) fn see<M: GuestMemory>(
        &mut self,
        memory: &M,
        end: u16,
        negotiated: Option<Negotiated>,
        found: &mut Vec<Found>,
    ) {
        for _ in 0..CHAINS {
            let ahead = end.wrapping_sub(self.seen);
            if ahead == 0 || ahead > self.rings.size {
                return;
            }
            let head = self.head_at(memory, self.seen);
            self.seen = self.seen.wrapping_add(1);
            if let Some(head) = head.filter(|head| *head < self.rings.size) {
                match self.board(memory, head) {
                    Some(reused) => found.push((Rule::DescriptorReused, Some(reused))),
                    None => self.faults(memory, head, negotiated, found),
                }
            }
        }
    }

    /// The device has taken everything before place `index`, unseen.
    pub(super) fn skip_to(&mut self, index: u16) {
        self.seen = index;
    }

    /// From here on the device owns the chain at `head`; a descriptor that it owned already.
    fn board<M: GuestMemory>(&mut self, memory: &M, head: u16) -> Option<u16> {
        if self.owned.get(usize::from(head)).copied().unwrap_or(false) {
            return Some(head);
        }
        let mut flight = std::mem::take(self.flights.get_mut(usize::from(head))?);
        flight.descriptors.clear();
        flight.indirect.clear();
        let mut reused = None;
        let mut next = Some(head);
        while let Some(index) = next.filter(|_| flight.descriptors.len() < PIECES) {
            match self.owned.get_mut(usize::from(index)) {
                Some(owned) if !*owned => *owned = true,
                // In another chain, or met twice in this one, which is malformed then.
                Some(_) => {
                    let own = flight.descriptors.iter().any(|(own, _)| *own == index);
                    reused = Some(index).filter(|_| !own);
                    break;
                }
                None => break,
            }
            let Some((raw, descriptor)) = self.descriptor(memory, index) else { break };
            flight.descriptors.push((index, raw));
            if descriptor.refers_to_indirect_table() {
                read_table(memory, raw, &mut flight.indirect);
                break;
            }
            next = descriptor.has_next().then_some(raw.next);
        }
        flight.flying = true;
        // Not a multiple of a window, nor of any usual length.
        self.look = self.look.wrapping_add(WINDOW + 37);
        flight.look = self.look;
        flight.digest = self.digest(memory, &flight);
        if let Some(place) = self.flights.get_mut(usize::from(head)) {
            *place = flight;
        }
        reused
    }

    /// The faults of the chain at `head`, just taken in, against what was negotiated.
    fn faults<M: GuestMemory>(
        &self,
        memory: &M,
        head: u16,
        negotiated: Option<Negotiated>,
        found: &mut Vec<Found>,
    ) {
        let Some(flight) = self.flights.get(usize::from(head)) else { return };
        let indirect = flight.descriptors.last().is_some_and(|(_, raw)| raw.is_indirect());
        if indirect && negotiated.is_some_and(|negotiated| !negotiated.indirect) {
            found.push((Rule::FeatureNotNegotiated, Some(head)));
        }
        if self.direction == Direction::Tx && indirect != flight.indirect.is_empty() {
            let mtu = negotiated.and_then(|negotiated| negotiated.mtu);
            let faults = frame::faults(memory, flight.pieces(), mtu);
            found.extend(faults.into_iter().flatten().map(|rule| (rule, Some(head))));
        }
    }

    fn descriptor<M: GuestMemory>(&self, memory: &M, index: u16) -> Option<(Raw, Descriptor)> {
        Raw::read(memory, self.rings.desc.checked_add(16u64.checked_mul(index.into())?)?)
    }

    /// The bytes of the flight that are looked at.
    fn windows(&self, flight: &Flight) -> [Range<usize>; 4] {
        let len = flight
            .pieces()
            .fold(0, |sum: usize, raw| sum.saturating_add(usize::try_from(raw.len).unwrap_or(usize::MAX)));
        let at = |start: usize| start..start.saturating_add(WINDOW);
        match self.direction {
            Direction::Rx => [at(NET_HEADER_SIZE), 0..0, 0..0, 0..0],
            Direction::Tx if len <= WHOLE => [0..len, 0..0, 0..0, 0..0],
            Direction::Tx => {
                let between = len.saturating_sub(WINDOW.saturating_mul(3));
                let half = between >> 1;
                let place = |from: usize| flight.look.wrapping_add(from).checked_rem(between).unwrap_or(0);
                let inner = |from: usize| at(WINDOW.saturating_add(place(from)));
                [at(0), inner(0), inner(half), at(len.saturating_sub(WINDOW))]
            }
        }
    }

    /// Of the bytes that are looked at.
    fn digest<M: GuestMemory>(&self, memory: &M, flight: &Flight) -> u64 {
        let mut bytes = [0; WHOLE];
        if let ([(_, raw)], Direction::Tx) = (&flight.descriptors[..], self.direction)
            && !raw.is_indirect()
            && let Some(part) = bytes.get_mut(..usize::try_from(raw.len).unwrap_or(usize::MAX))
        {
            // Most frames: one piece, looked at whole.
            return memory.read_slice(part, GuestAddress(raw.addr)).map_or(0, |()| mix(0, part));
        }
        let mut digest = 0;
        for window in self.windows(flight) {
            // Where the piece begins in the chain.
            let mut start: usize = 0;
            for raw in flight.pieces() {
                let end = start.saturating_add(usize::try_from(raw.len).unwrap_or(usize::MAX));
                let from = window.start.max(start);
                let len = window.end.min(end).saturating_sub(from);
                let offset = u64::try_from(from.saturating_sub(start)).unwrap_or(u64::MAX);
                let part = bytes.get_mut(..len).filter(|part| !part.is_empty());
                if let (Some(part), Some(at)) = (part, add(raw.addr, offset)) {
                    if memory.read_slice(part, GuestAddress(at)).is_err() {
                        return digest;
                    }
                    digest = mix(digest, part);
                }
                start = end;
                if start >= window.end {
                    break;
                }
            }
        }
        digest
    }

    /// A call on the queue begins: what it may look at once more.
    pub(super) fn begin(&mut self) {
        self.left = BUDGET;
    }

    /// Whether the chain at `head` is as it was when the device got it.
    pub(super) fn check<M: GuestMemory>(&mut self, memory: &M, head: u16, rule: Rule) -> Option<Found> {
        let flight = self.flights.get(usize::from(head)).filter(|flight| flight.flying)?;
        let pieces = flight.descriptors.len().saturating_add(flight.indirect.len());
        self.left = self.left.checked_sub(pieces.saturating_add(WHOLE / WINDOW))?;
        let changed = flight
            .descriptors
            .iter()
            .find(|(index, raw)| self.descriptor(memory, *index).is_none_or(|(now, _)| now != *raw));
        let found = match changed {
            Some((index, _)) => (Rule::DescriptorReused, Some(*index)),
            None if self.digest(memory, flight) != flight.digest => (rule, Some(head)),
            None => return None,
        };
        Some(found)
    }

    /// The device has written into the chain at `head` itself.
    pub(super) fn wrote<M: GuestMemory>(&mut self, memory: &M, head: u16) {
        let Some(flight) = self.flights.get(usize::from(head)).filter(|flight| flight.flying) else { return };
        let digest = self.digest(memory, flight);
        if let Some(flight) = self.flights.get_mut(usize::from(head)) {
            flight.digest = digest;
        }
    }

    /// The device gives the chain at `head` back: the next used element, which is about to be written.
    pub(super) fn completes<M: GuestMemory>(&mut self, memory: &M, head: u16, len: u32) -> Option<Found> {
        if let Some(flight) = self.flights.get_mut(usize::from(head)).filter(|flight| flight.flying) {
            flight.flying = false;
            for (index, _) in &flight.descriptors {
                if let Some(owned) = self.owned.get_mut(usize::from(*index)) {
                    *owned = false;
                }
            }
        }
        let slot = self.used.index.checked_rem(self.rings.size)?;
        let known = self.used.elements.get_mut(usize::from(slot))?;
        let found = element(memory, &self.rings, slot).filter(|found| found != known);
        let scribbled = found.map(|_| (Rule::UsedRingWritten, u16::try_from(known[0]).ok()));
        *known = [head.into(), len];
        self.used.index = self.used.index.wrapping_add(1);
        scribbled
    }

    /// The device has written the flags of the used ring.
    pub(super) fn wrote_flags(&mut self, flags: u16) {
        self.used.flags = flags;
    }

    /// Whether flags and index of the used ring are what the device wrote.
    pub(super) fn used_header_changed<M: GuestMemory>(&mut self, memory: &M, found: &mut Vec<Found>) {
        let (flags, index) =
            (word(memory, self.rings.used), add(self.rings.used, 2).and_then(|at| word(memory, at)));
        if let (Some(flags), Some(index)) = (flags, index)
            && (flags, index) != (self.used.flags, self.used.index)
        {
            found.push((Rule::UsedRingWritten, None));
            // The device writes its own index again.
            self.used.flags = flags;
        }
    }

    /// Whether the available ring has flags that the driver must not set, each set of them once: with
    /// VIRTIO_F_EVENT_IDX any, without it another than the one that asks for no interrupt.
    pub(super) fn wrong_flags<M: GuestMemory>(&mut self, memory: &M, found: &mut Vec<Found>) {
        let Some(flags) = word(memory, self.rings.avail) else { return };
        let allowed = if self.rings.event_idx { 0 } else { VRING_AVAIL_F_NO_INTERRUPT as u16 };
        let wrong = flags & !allowed;
        if wrong != 0 && wrong != self.wrong_flags {
            found.push((Rule::FeatureNotNegotiated, None));
        }
        self.wrong_flags = wrong;
    }

    /// The whole used ring, at the end.
    pub(super) fn used_ring_changed<M: GuestMemory>(&mut self, memory: &M) -> Vec<Found> {
        let mut found = Vec::new();
        self.used_header_changed(memory, &mut found);
        let scribbled = (0..self.rings.size)
            .zip(&self.used.elements)
            .find(|(slot, known)| element(memory, &self.rings, *slot).is_some_and(|found| found != **known));
        if let Some((_, known)) = scribbled {
            found.push((Rule::UsedRingWritten, u16::try_from(known[0]).ok()));
        }
        found
    }
}

/// The chain in the indirect table that `raw` refers to: its descriptors in order.
fn read_table<M: GuestMemory>(memory: &M, raw: Raw, table: &mut Vec<Raw>) {
    let entries = raw.len.checked_div(16).unwrap_or(0).min(PIECES as u32);
    let mut next = Some(0);
    while let Some(entry) = next.filter(|entry| u32::from(*entry) < entries && table.len() < PIECES) {
        let at = u64::from(entry).checked_mul(16).and_then(|offset| add(raw.addr, offset));
        let Some((entry, descriptor)) = at.and_then(|at| Raw::read(memory, at)) else { return };
        table.push(entry);
        next = descriptor.has_next().then_some(entry.next);
    }
}

fn add(address: u64, offset: u64) -> Option<u64> {
    address.checked_add(offset)
}

fn word<M: GuestMemory>(memory: &M, at: u64) -> Option<u16> {
    memory.load(GuestAddress(at), Ordering::Relaxed).ok().map(u16::from_le)
}

fn element<M: GuestMemory>(memory: &M, rings: &Rings, slot: u16) -> Option<[u32; 2]> {
    let at = add(rings.used, 4)?.checked_add(8u64.checked_mul(slot.into())?)?;
    let found: [u32; 2] = memory.read_obj(GuestAddress(at)).ok()?;
    Some(found.map(u32::from_le))
}

/// Not proof against someone who tries, and quick: four words side by side.
fn mix(digest: u64, bytes: &[u8]) -> u64 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let step = |digest: u64, word: u64| (digest.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let (words, tail) = bytes.as_chunks::<8>();
    let (blocks, rest) = words.as_chunks::<4>();
    let mut lanes = [digest, 1, 2, 3];
    for block in blocks {
        for (lane, word) in lanes.iter_mut().zip(block) {
            *lane = step(*lane, u64::from_le_bytes(*word));
        }
    }
    let mut last = [0; 8];
    last.iter_mut().zip(tail).for_each(|(to, from)| *to = *from);
    let rest = rest.iter().chain([&last]).map(|word| u64::from_le_bytes(*word));
    lanes.into_iter().chain(rest).fold(bytes.len() as u64, step)
}
