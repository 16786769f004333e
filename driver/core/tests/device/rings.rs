//! Packet and fragment rings in memory, as the class extension lays them out.

use std::{
    alloc::{Layout, alloc_zeroed, dealloc},
    ptr::null_mut,
};

use cancelnic_core::Rings;
use netadaptercx_sys::{
    NET_EXTENSION, NET_FRAGMENT, NET_PACKET, NET_RING, NET_RING_COLLECTION, NetRingGetElementAtIndex,
};

const HEADER: usize = 64;
/// Elements carry extensions behind their structure, of which the driver only knows one.
const PACKET_STRIDE: usize = 20;
const FRAGMENT_STRIDE: usize = 32;
const LOGICAL_ADDRESS: usize = 16;
/// Bytes of each receive buffer and of each piece of a frame to transmit.
pub(crate) const BUFFER: usize = 2048;

/// Owns one ring's memory.
pub(crate) struct Ring {
    pub raw: *mut NET_RING,
    layout: Layout,
    pub count: u32,
}

impl Ring {
    fn new(count: u32, stride: usize) -> Self {
        let layout = Layout::from_size_align(HEADER + count as usize * stride, 64).expect("a size");
        // SAFETY: the size is not 0.
        let raw: *mut NET_RING = unsafe { alloc_zeroed(layout) }.cast();
        assert!(!raw.is_null());
        let ring = Self { raw, layout, count };
        ring.header(|header| {
            header.ElementStride = stride as u16;
            header.NumberOfElements = count;
            header.ElementIndexMask = count - 1;
        });
        ring
    }

    /// Access to the fields; the elements behind them are not touched through it.
    pub(crate) fn header<R>(&self, with: impl FnOnce(&mut NET_RING) -> R) -> R {
        // SAFETY: the allocation holds at least a header, elements included it is larger than
        // NET_RING; no other reference exists while `with` runs.
        with(unsafe { &mut *self.raw })
    }

    pub(crate) fn begin(&self) -> u32 {
        self.header(|ring| ring.BeginIndex)
    }

    pub(crate) fn end(&self) -> u32 {
        self.header(|ring| ring.EndIndex)
    }

    pub(crate) fn set_end(&self, index: u32) {
        self.header(|ring| ring.EndIndex = index & (self.count - 1));
    }

    pub(crate) fn after(&self, index: u32, by: u32) -> u32 {
        index.wrapping_add(by) & (self.count - 1)
    }

    pub(crate) fn distance(&self, from: u32, to: u32) -> u32 {
        to.wrapping_sub(from) & (self.count - 1)
    }

    pub(crate) fn room(&self) -> u32 {
        self.count - 1 - self.distance(self.begin(), self.end())
    }

    /// Indices from Begin up to End.
    pub(crate) fn owned(&self) -> Vec<u32> {
        let begin = self.begin();
        (0..self.distance(begin, self.end())).map(|n| self.after(begin, n)).collect()
    }

    pub(crate) fn reset(&self) {
        self.header(|ring| (ring.BeginIndex, ring.NextIndex, ring.EndIndex) = (0, 0, 0));
    }

    /// All bytes but BeginIndex, NextIndex and Scratch, which are the driver's.
    pub(crate) fn snapshot(&self) -> Vec<u8> {
        // SAFETY: the allocation has that many bytes, all initialised by `alloc_zeroed`.
        let mut bytes =
            unsafe { std::slice::from_raw_parts(self.raw.cast::<u8>(), self.layout.size()) }.to_vec();
        bytes[0x30..0x40].fill(0);
        bytes
    }

    fn element<T: Copy>(&self, index: u32) -> *mut T {
        assert!(index < self.count);
        // SAFETY: a whole ring, as allocated.
        unsafe { NetRingGetElementAtIndex(self.raw, index) }.cast()
    }

    pub(crate) fn get<T: Copy>(&self, index: u32) -> T {
        // SAFETY: an element of this ring, aligned and large enough for its structure.
        unsafe { self.element::<T>(index).read() }
    }

    pub(crate) fn set<T: Copy>(&self, index: u32, value: T) {
        // SAFETY: as in `get`.
        unsafe { self.element::<T>(index).write(value) };
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `new`.
        unsafe { dealloc(self.raw.cast(), self.layout) };
    }
}

/// One queue's rings and the addresses of its fragments.
pub(crate) struct QueueRings {
    pub packets: Ring,
    pub fragments: Ring,
    collection: Box<NET_RING_COLLECTION>,
    /// First fragment's buffer, for the device; the others follow every [`BUFFER`] bytes.
    pub buffers: u64,
}

impl QueueRings {
    pub(crate) fn new(packets: u32, fragments: u32, buffers: u64) -> Self {
        let packets = Ring::new(packets, PACKET_STRIDE);
        let fragments = Ring::new(fragments, FRAGMENT_STRIDE);
        for index in 0..fragments.count {
            let at = fragments.element::<NET_FRAGMENT>(index).wrapping_byte_add(LOGICAL_ADDRESS);
            // SAFETY: inside the element, whose stride leaves room for it, and aligned.
            unsafe { at.cast::<u64>().write(buffers + u64::from(index) * BUFFER as u64) };
        }
        let collection = Box::new(NET_RING_COLLECTION { Rings: [packets.raw, fragments.raw, null_mut()] });
        Self { packets, fragments, collection, buffers }
    }

    /// What the driver works on. Not to be used after `self` is gone.
    pub(crate) fn rings(&self) -> Rings {
        let mut addresses = NET_EXTENSION::absent();
        let first = self.fragments.element::<NET_FRAGMENT>(0).wrapping_byte_add(LOGICAL_ADDRESS);
        addresses.Reserved[0] = first.cast();
        addresses.Reserved[1] = std::ptr::without_provenance_mut(FRAGMENT_STRIDE);
        addresses.u.Enabled = 1;
        // SAFETY: the rings live as long as `self`, and tests drop the driver's queue before.
        unsafe { Rings::new(&raw const *self.collection, addresses) }.expect("well-formed rings")
    }

    pub(crate) fn buffer(&self, fragment: u32) -> u64 {
        self.buffers + u64::from(fragment) * BUFFER as u64
    }

    pub(crate) fn packet(&self, index: u32) -> NET_PACKET {
        self.packets.get(index)
    }

    pub(crate) fn fragment(&self, index: u32) -> NET_FRAGMENT {
        self.fragments.get(index)
    }

    pub(crate) fn reset(&self) {
        self.packets.reset();
        self.fragments.reset();
    }
}
