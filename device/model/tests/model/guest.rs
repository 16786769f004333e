//! The driver's side of one virtqueue, with a view of its own of everything: the oracle.

use std::collections::HashMap;
use std::time::Duration;

use cancelnic_model::{Frame, Link, Rings, Settings, Speed, Wire};
use cancelnic_registers::{Caps, QueueId};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
/// Bytes of the buffer that belongs to each descriptor.
pub(crate) const BUFFER: u64 = 2048;

/// Judged queues of a device that can do everything, with a link that takes no time.
pub(crate) fn settings(fifo_depth: u16) -> Settings {
    let link = Link::new(Speed::Unlimited);
    Settings {
        caps: Caps::ALL,
        judged: true,
        fifo_depth,
        link,
        pending_limit: 64,
        pending_bytes: 1 << 20,
        longest: usize::MAX,
    }
}

/// A wire that takes every frame.
pub(crate) struct Nowhere;

impl Wire for Nowhere {
    fn transmit(&mut self, _: QueueId, frame: Frame, _: Duration) -> Option<Frame> {
        Some(frame)
    }
}

/// One virtqueue in guest memory.
pub(crate) struct Virtqueue {
    pub size: u16,
    start: u64,
    pub event_idx: bool,
    free: Vec<u16>,
    chains: HashMap<u16, Vec<u16>>,
    pub avail_idx: u16,
    pub used_idx: u16,
}

impl Virtqueue {
    /// With `size` entries, at `start` (aligned to a page).
    pub(crate) fn new(start: u64, size: u16, event_idx: bool) -> Virtqueue {
        Virtqueue {
            size,
            start,
            event_idx,
            free: (0..size).rev().collect(),
            chains: HashMap::new(),
            avail_idx: 0,
            used_idx: 0,
        }
    }

    fn n(&self) -> u64 {
        self.size.into()
    }
    pub(crate) fn desc(&self) -> u64 {
        self.start
    }
    pub(crate) fn avail(&self) -> u64 {
        self.start + 16 * self.n()
    }
    pub(crate) fn used(&self) -> u64 {
        (self.avail() + 6 + 2 * self.n() + 3) & !3
    }
    pub(crate) fn used_len(&self) -> u64 {
        6 + 8 * self.n()
    }
    pub(crate) fn buffers(&self) -> u64 {
        (self.used() + self.used_len() + 0xfff) & !0xfff
    }
    /// First address behind all of it.
    pub(crate) fn end(&self) -> u64 {
        self.buffers() + BUFFER * self.n()
    }
    pub(crate) fn start(&self) -> u64 {
        self.start
    }
    pub(crate) fn rings(&self, base: u16) -> Rings {
        Rings {
            size: self.size,
            desc: self.desc(),
            avail: self.avail(),
            used: self.used(),
            base,
            event_idx: self.event_idx,
        }
    }

    /// A new life: rings zeroed, all descriptors free.
    pub(crate) fn reset(&mut self, memory: &GuestMemoryMmap<()>) {
        *self = Virtqueue::new(self.start, self.size, self.event_idx);
        let zeros = vec![0; (self.buffers() - self.start) as usize];
        memory.write_slice(&zeros, GuestAddress(self.start)).unwrap();
    }

    pub(crate) fn put_descriptor(&self, memory: &GuestMemoryMmap<()>, index: u16, raw: (u64, u32, u16, u16)) {
        let at = self.desc() + 16 * u64::from(index);
        memory.write_obj(raw.0.to_le(), GuestAddress(at)).unwrap();
        memory.write_obj(raw.1.to_le(), GuestAddress(at + 8)).unwrap();
        memory.write_obj(raw.2.to_le(), GuestAddress(at + 12)).unwrap();
        memory.write_obj(raw.3.to_le(), GuestAddress(at + 14)).unwrap();
    }

    /// Puts `head` into the available ring and publishes it.
    pub(crate) fn publish(&mut self, memory: &GuestMemoryMmap<()>, head: u16) {
        let slot = self.avail() + 4 + 2 * u64::from(self.avail_idx % self.size);
        memory.write_obj(head.to_le(), GuestAddress(slot)).unwrap();
        self.avail_idx = self.avail_idx.wrapping_add(1);
        memory.write_obj(self.avail_idx.to_le(), GuestAddress(self.avail() + 2)).unwrap();
    }

    /// Descriptors that are free.
    pub(crate) fn room(&self) -> usize {
        self.free.len()
    }

    /// Makes and publishes a readable chain that holds `parts`, a descriptor each.
    pub(crate) fn post_out(&mut self, memory: &GuestMemoryMmap<()>, parts: &[&[u8]]) -> u16 {
        let parts: Vec<(u32, &[u8])> = parts.iter().map(|part| (part.len() as u32, *part)).collect();
        self.post(memory, &parts, 0)
    }

    /// Makes and publishes a writable chain with buffers of `lens` bytes.
    pub(crate) fn post_in(&mut self, memory: &GuestMemoryMmap<()>, lens: &[u32]) -> u16 {
        let parts: Vec<(u32, &[u8])> = lens.iter().map(|len| (*len, &[][..])).collect();
        self.post(memory, &parts, WRITE)
    }

    fn post(&mut self, memory: &GuestMemoryMmap<()>, parts: &[(u32, &[u8])], flags: u16) -> u16 {
        let indices = self.free.split_off(self.free.len() - parts.len());
        for (i, (index, (len, bytes))) in indices.iter().zip(parts).enumerate() {
            let next = indices.get(i + 1).copied();
            let flags = flags | if next.is_some() { NEXT } else { 0 };
            memory.write_slice(bytes, GuestAddress(self.buffer(*index))).unwrap();
            self.put_descriptor(memory, *index, (self.buffer(*index), *len, flags, next.unwrap_or(0)));
        }
        let head = indices[0];
        self.chains.insert(head, indices);
        self.publish(memory, head);
        head
    }

    pub(crate) fn buffer(&self, index: u16) -> u64 {
        self.buffers() + BUFFER * u64::from(index)
    }

    /// What the device wrote into the chain at `head`.
    pub(crate) fn written(&self, memory: &GuestMemoryMmap<()>, head: u16, len: u32, lens: &[u32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, part) in self.chains[&head].iter().zip(lens) {
            let mut buffer = vec![0; *part as usize];
            memory.read_slice(&mut buffer, GuestAddress(self.buffer(*index))).unwrap();
            bytes.extend(buffer);
        }
        bytes.truncate(len as usize);
        bytes
    }

    /// The used elements that have come: head and len. Their descriptors stay taken until
    /// [`Virtqueue::release`].
    pub(crate) fn reap(&mut self, memory: &GuestMemoryMmap<()>) -> Vec<(u16, u32)> {
        let index: u16 = memory.read_obj(GuestAddress(self.used() + 2)).unwrap();
        let mut elements = Vec::new();
        while self.used_idx != u16::from_le(index) {
            let slot = self.used() + 4 + 8 * u64::from(self.used_idx % self.size);
            let id: u32 = memory.read_obj(GuestAddress(slot)).unwrap();
            let len: u32 = memory.read_obj(GuestAddress(slot + 4)).unwrap();
            elements.push((u16::try_from(u32::from_le(id)).unwrap(), u32::from_le(len)));
            self.used_idx = self.used_idx.wrapping_add(1);
        }
        elements
    }

    /// Frees the descriptors of a chain that came back; panics if no such chain is out.
    pub(crate) fn release(&mut self, head: u16) {
        let indices = self.chains.remove(&head).expect("a used element for a chain that is not out");
        self.free.extend(indices);
    }

    /// Asks for an interrupt at the next used element, or for none for a long time.
    pub(crate) fn want_interrupts(&self, memory: &GuestMemoryMmap<()>, wanted: bool) {
        let flags: u16 = if wanted || self.event_idx { 0 } else { 1 };
        memory.write_obj(flags.to_le(), GuestAddress(self.avail())).unwrap();
        let event = if wanted { self.used_idx } else { self.used_idx.wrapping_sub(0x4000) };
        let at = self.avail() + 4 + 2 * self.n();
        memory.write_obj(event.to_le(), GuestAddress(at)).unwrap();
    }

    /// Whether the device wants a doorbell now that the available index went from `old` to where it is.
    pub(crate) fn doorbell_wanted(&self, memory: &GuestMemoryMmap<()>, old: u16) -> bool {
        if !self.event_idx {
            let flags: u16 = memory.read_obj(GuestAddress(self.used())).unwrap();
            return u16::from_le(flags) & 1 == 0;
        }
        let event: u16 = memory.read_obj(GuestAddress(self.used() + 4 + 8 * self.n())).unwrap();
        self.avail_idx.wrapping_sub(u16::from_le(event)).wrapping_sub(1) < self.avail_idx.wrapping_sub(old)
    }
}

/// A numbered frame of `len` bytes (at least 22).
pub(crate) fn frame(number: u64, len: usize) -> Vec<u8> {
    numbered_frame::bytes(number, [2, 0, 0, 0, 0, 1], numbered_frame::EVERYONE).take(len).collect()
}

/// The number of a frame, checked to be what [`frame`] made.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    let number = numbered_frame::number(bytes).unwrap();
    assert_eq!(bytes, frame(number, bytes.len()));
    number
}
