//! The rings in memory that framework and driver share.
//!
//! Rules: CX15 to CX17 (`driver/docs/netadaptercx.md`).

use crate::verifier::pool::Lent;
use alloc::{vec, vec::Vec};
use core::mem::offset_of;
use netadaptercx_sys::{NET_RING, NetRingGetElementAtIndex};
use understudy_rules::netcx::element::RingHeader;
use understudy_rules::netcx::verifier::Ring;

/// Where the elements begin.
const ELEMENTS: usize = offset_of!(NET_RING, Buffer);

/// One ring's memory, lent out of the pool. The driver holds pointers to it as long as its queue lives.
pub(crate) struct RingMemory {
    ring: *mut NET_RING,
    /// Kept only for its bytes, at which `ring` points.
    _memory: Lent,
    stride: usize,
    count: u32,
}

// SAFETY: access is volatile and byte-wise; framework and driver take turns, as the ring protocol has it.
unsafe impl Send for RingMemory {}
// SAFETY: as above.
unsafe impl Sync for RingMemory {}

impl RingMemory {
    /// A ring of `count` (a power of two) elements of `stride` bytes (a multiple of 8), all zero.
    #[must_use]
    pub(crate) fn new(count: u32, stride: usize) -> Self {
        let size = (ELEMENTS + count as usize * stride).next_multiple_of(64);
        let memory = Lent::new(b"NxRg", size, true);
        // it begins at a page, or ends where one ends: either way it is aligned to 64
        let ring = memory.start().cast::<NET_RING>();
        // SAFETY: fresh memory of at least a header's size, aligned to 64.
        unsafe {
            (*ring).ElementStride = stride as u16;
            (*ring).NumberOfElements = count;
            (*ring).ElementIndexMask = count - 1;
        }
        Self { ring, _memory: memory, stride, count }
    }

    /// The pointer for the driver.
    #[must_use]
    pub(crate) fn pointer(&self) -> *mut NET_RING {
        self.ring
    }

    /// The header as it is now.
    #[must_use]
    pub(crate) fn header(&self) -> RingHeader {
        // SAFETY: the ring lives as long as self; the driver writes plain words, hence volatile.
        unsafe {
            let ring = self.ring;
            let reserved = (&raw const (*ring).u.OSReserved2).cast::<[u64; 4]>().read_volatile();
            RingHeader {
                stride: (&raw const (*ring).ElementStride).read_volatile(),
                count: (&raw const (*ring).NumberOfElements).read_volatile(),
                mask: (&raw const (*ring).ElementIndexMask).read_volatile(),
                end: (&raw const (*ring).EndIndex).read_volatile(),
                begin: (&raw const (*ring).BeginIndex).read_volatile(),
                next: (&raw const (*ring).NextIndex).read_volatile(),
                reserved: ((&raw const (*ring).OSReserved1).read_volatile(), reserved),
            }
        }
    }

    /// Elements that the driver holds.
    #[must_use]
    pub(crate) fn held(&self) -> u32 {
        let header = self.header();
        header.distance(header.begin, header.end)
    }

    /// Elements that may still be given to the driver: one always stays empty.
    #[must_use]
    pub(crate) fn free(&self) -> u32 {
        self.count - 1 - self.held()
    }

    /// Index mask.
    #[must_use]
    pub(crate) fn mask(&self) -> u32 {
        self.count - 1
    }

    /// Zeroes the three indices and OSReserved0, as before each EvtStart.
    pub(crate) fn restart(&self) {
        // SAFETY: no callback of the queue runs now; the ring is the framework's.
        unsafe {
            (&raw mut (*self.ring).BeginIndex).write_volatile(0);
            (&raw mut (*self.ring).NextIndex).write_volatile(0);
            (&raw mut (*self.ring).EndIndex).write_volatile(0);
            (&raw mut (*self.ring).u.OSReserved0).write_volatile(0);
        }
    }

    /// Gives `count` more elements to the driver.
    pub(crate) fn give(&self, count: u32) {
        let end = self.header().end.wrapping_add(count) & self.mask();
        // SAFETY: EndIndex is the framework's, and no callback of the queue runs now.
        unsafe { (&raw mut (*self.ring).EndIndex).write_volatile(end) };
    }

    /// A copy of an element's bytes.
    #[must_use]
    pub(crate) fn read(&self, index: u32) -> Vec<u8> {
        let mut bytes = vec![0; self.stride];
        // SAFETY: the masked index lies within the ring, an element has `stride` bytes.
        unsafe {
            let element = NetRingGetElementAtIndex(self.ring, index).cast::<u8>();
            core::ptr::copy_nonoverlapping(element, bytes.as_mut_ptr(), self.stride);
        }
        bytes
    }

    /// Changes an element that is the framework's.
    pub(crate) fn edit(&self, index: u32, change: impl FnOnce(&mut [u8])) {
        // SAFETY: as in `read`; no callback of the queue runs now, so this is the only reference.
        let element = unsafe {
            core::slice::from_raw_parts_mut(
                NetRingGetElementAtIndex(self.ring, index).cast::<u8>(),
                self.stride,
            )
        };
        change(element);
    }

    /// All of the ring, for the rules.
    #[must_use]
    pub(crate) fn copy(&self) -> Ring {
        let mut bytes = vec![0; self.stride * self.count as usize];
        // SAFETY: the elements lie in one piece of that size behind the header.
        unsafe {
            let elements = NetRingGetElementAtIndex(self.ring, 0).cast::<u8>();
            core::ptr::copy_nonoverlapping(elements, bytes.as_mut_ptr(), bytes.len());
        }
        Ring { header: self.header(), bytes }
    }

    /// Address of byte `offset` of element 0: what an extension query answers.
    #[must_use]
    pub(crate) fn element_base(&self, offset: usize) -> *mut u8 {
        // SAFETY: the offset lies within element 0.
        unsafe { NetRingGetElementAtIndex(self.ring, 0).cast::<u8>().add(offset) }
    }

    /// Bytes from one element to the next.
    #[must_use]
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }
}
