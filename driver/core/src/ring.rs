//! The packet queue's rings as this crate uses them: indices always within the ring, elements by value.
//!
//! The only file that follows pointers into `NET_RING` memory. Its two faces move the same indices:
//! [`iterator`] is the API's form since 2019, [`older`] that of 2018.

mod iterator;
mod older;

use core::mem::offset_of;

use netadaptercx_sys::{
    NET_EXTENSION, NET_FRAGMENT, NET_FRAGMENT_LOGICAL_ADDRESS, NET_PACKET, NET_RING, NET_RING_COLLECTION,
    NetExtensionGetData, NetRingAdvanceIndex, NetRingGetElementAtIndex, NetRingGetRangeCount,
    NetRingTypeFragment, NetRingTypePacket,
};

use crate::virtqueue::Buffer;

/// One ring's indices. `ring` and `mask` are vouched for by [`Rings::new`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    ring: *mut NET_RING,
    mask: u32,
}

/// Where the ring's header has its indices.
const BEGIN: usize = offset_of!(NET_RING, BeginIndex);
const NEXT: usize = offset_of!(NET_RING, NextIndex);
const END: usize = offset_of!(NET_RING, EndIndex);

impl Ring {
    fn index(&self, offset: usize) -> u32 {
        let place = self.ring.wrapping_byte_add(offset).cast::<u32>();
        // SAFETY: `Rings::new`: a live ring, whose header has an index there. Volatile: the framework may move EndIndex at
        // any time; nobody moves the others during the caller's callback.
        self.mask & unsafe { place.read_volatile() }
    }

    fn set_index(&self, offset: usize, index: u32) {
        let place = self.ring.wrapping_byte_add(offset).cast::<u32>();
        // SAFETY: as in `index`; the callers name an index that is the driver's to write.
        unsafe { place.write_volatile(index & self.mask) };
    }

    pub(crate) fn begin(&self) -> u32 {
        self.index(BEGIN)
    }

    pub(crate) fn next(&self) -> u32 {
        self.index(NEXT)
    }

    pub(crate) fn end(&self) -> u32 {
        self.index(END)
    }

    pub(crate) fn set_begin(&self, index: u32) {
        self.set_index(BEGIN, index);
    }

    pub(crate) fn set_next(&self, index: u32) {
        self.set_index(NEXT, index);
    }

    pub(crate) fn after(&self, index: u32, by: u32) -> u32 {
        NetRingAdvanceIndex(self.mask, index, by)
    }

    /// How it stands: its elements, BeginIndex, NextIndex, EndIndex.
    pub(crate) fn indices(&self) -> [u32; 4] {
        [self.mask + 1, self.begin(), self.next(), self.end()]
    }

    /// Elements that the driver owns.
    pub(crate) fn owned(&self) -> u32 {
        NetRingGetRangeCount(self.mask, self.begin(), self.end())
    }
}

/// The rings of one packet queue whose fragments carry logical addresses.
#[derive(Clone, Copy)]
pub struct Rings {
    pub(crate) packets: Ring,
    pub(crate) fragments: Ring,
    addresses: NET_EXTENSION,
}

impl Rings {
    /// The rings of `collection`, with the answer to the query for the fragments' logical addresses.
    ///
    /// `None` if the extension is not enabled, or a ring's elements are too small, not a power of two,
    /// or its mask does not fit their number.
    ///
    /// # Safety
    /// Collection, rings and extension are those of one packet queue, live for as long as this value
    /// is used, and follow the class extension's rules: outside the callbacks of this queue nobody
    /// uses this value, inside nobody but the caller touches indices and elements that it owns.
    #[must_use]
    pub unsafe fn new(collection: *const NET_RING_COLLECTION, addresses: NET_EXTENSION) -> Option<Self> {
        let ring = |kind: usize, size: usize, align: usize| {
            // SAFETY: the caller vouches for the collection.
            let ring = unsafe { (*collection).Rings[kind] };
            // SAFETY: the caller vouches for the ring. Nobody changes these three while it lives.
            let mask = unsafe { (*ring).ElementIndexMask };
            // SAFETY: as for the mask.
            let count = unsafe { (*ring).NumberOfElements };
            // SAFETY: as for the mask.
            let stride = usize::from(unsafe { (*ring).ElementStride });
            let fits = stride >= size && stride.is_multiple_of(align);
            (count.is_power_of_two() && mask == count - 1 && fits).then_some(Ring { ring, mask })
        };
        if !addresses.Enabled() {
            return None;
        }
        Some(Self {
            packets: ring(NetRingTypePacket, size_of::<NET_PACKET>(), align_of::<NET_PACKET>())?,
            fragments: ring(NetRingTypeFragment, size_of::<NET_FRAGMENT>(), align_of::<NET_FRAGMENT>())?,
            addresses,
        })
    }

    fn packet_at(&self, index: u32) -> *mut NET_PACKET {
        // SAFETY: `Rings::new`: a whole, live ring.
        unsafe { NetRingGetElementAtIndex(self.packets.ring, index) }.cast()
    }

    fn fragment_at(&self, index: u32) -> *mut NET_FRAGMENT {
        // SAFETY: `Rings::new`: a whole, live ring.
        unsafe { NetRingGetElementAtIndex(self.fragments.ring, index) }.cast()
    }

    pub(crate) fn packet(&self, index: u32) -> NET_PACKET {
        // SAFETY: an element of a live ring, of at least this size and aligned for it (`Rings::new`).
        unsafe { self.packet_at(index).read() }
    }

    pub(crate) fn update_packet(&self, index: u32, change: impl FnOnce(&mut NET_PACKET)) {
        let mut packet = self.packet(index);
        change(&mut packet);
        // SAFETY: as in `packet`; the driver owns the element.
        unsafe { self.packet_at(index).write(packet) };
    }

    pub(crate) fn fragment(&self, index: u32) -> NET_FRAGMENT {
        // SAFETY: an element of a live ring, of at least this size and aligned for it (`Rings::new`).
        unsafe { self.fragment_at(index).read() }
    }

    pub(crate) fn update_fragment(&self, index: u32, change: impl FnOnce(&mut NET_FRAGMENT)) {
        let mut fragment = self.fragment(index);
        change(&mut fragment);
        // SAFETY: as in `fragment`; the driver owns the element.
        unsafe { self.fragment_at(index).write(fragment) };
    }

    /// Where the device finds the first byte of a fragment's buffer.
    fn address(&self, index: u32) -> u64 {
        let data: *const NET_FRAGMENT_LOGICAL_ADDRESS =
            NetExtensionGetData(&self.addresses, index & self.fragments.mask).cast();
        // SAFETY: `Rings::new`: the extension has such an entry for every fragment of the ring.
        unsafe { data.read() }.LogicalAddress
    }

    /// The piece of a frame to transmit that lies in a fragment.
    pub(crate) fn valid_part(&self, index: u32) -> Buffer {
        let fragment = self.fragment(index);
        Buffer {
            address: self.address(index).wrapping_add(u64::from(fragment.Offset())),
            len: fragment.ValidLength(),
        }
    }

    /// The whole buffer of a fragment to receive into.
    pub(crate) fn whole_buffer(&self, index: u32) -> Buffer {
        Buffer { address: self.address(index), len: self.fragment(index).Capacity() }
    }
}
