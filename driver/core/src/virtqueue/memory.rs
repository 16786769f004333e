//! The memory that a virtqueue shares with its device: where its parts lie, and each access to it.

use core::{
    ptr::NonNull,
    sync::atomic::{AtomicU16, Ordering},
};

use cancelnic_registers::Direction;

use super::NET_HEADER_LEN;

pub(super) const DESC_NEXT: u16 = 1;
pub(super) const DESC_WRITE: u16 = 2;
const USED_NO_NOTIFY: u16 = 1;
/// Flag of `virtio_net_hdr`: the device is to complete the checksum (virtio 1.3 §5.1.6).
pub(super) const NEEDS_CHECKSUM: u8 = 1;

const DESCRIPTOR_SIZE: usize = 16;
const USED_ELEMENT_SIZE: usize = 8;
/// A multiple of the header's 12 bytes that keeps headers from sharing a 16-byte line.
const HEADER_STRIDE: usize = 16;

/// A descriptor as it lies in the table (virtio 1.3 §2.7.5), little-endian, which is what the only
/// supported machine has.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Descriptor {
    pub address: u64,
    pub len: u32,
    pub flags: u16,
    pub next: u16,
}
const _: () = assert!(size_of::<Descriptor>() == DESCRIPTOR_SIZE && cfg!(target_endian = "little"));

/// Where the parts of a virtqueue lie in its memory, bytes from its start (virtio 1.3 §2.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    size: u16,
    headers: u16,
}

impl Layout {
    /// What the memory's addresses, virtual and physical, must be multiples of.
    pub const ALIGNMENT: usize = 16;

    /// For `size` descriptors: a power of two from 2 to 32768, else `None`.
    #[must_use]
    pub const fn new(size: u16, direction: Direction) -> Option<Self> {
        if size < 2 || !size.is_power_of_two() {
            return None;
        }
        let headers = match direction {
            Direction::Tx => 1,
            Direction::Rx => size,
        };
        Some(Self { size, headers })
    }

    /// Descriptors.
    #[must_use]
    pub const fn size(&self) -> u16 {
        self.size
    }

    /// Start of the available ring.
    #[must_use]
    pub const fn available(&self) -> usize {
        DESCRIPTOR_SIZE * self.size as usize
    }

    const fn used_event(&self) -> usize {
        self.available() + 4 + 2 * self.size as usize
    }

    /// Start of the used ring.
    #[must_use]
    pub const fn used(&self) -> usize {
        (self.used_event() + 2).next_multiple_of(4)
    }

    const fn available_event(&self) -> usize {
        self.used() + 4 + USED_ELEMENT_SIZE * self.size as usize
    }

    /// Start of the header with this number.
    pub(super) const fn header(&self, number: u16) -> usize {
        (self.available_event() + 2).next_multiple_of(HEADER_STRIDE) + HEADER_STRIDE * number as usize
    }

    /// Bytes in all.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.header(self.headers)
    }
}
const _: () = assert!(NET_HEADER_LEN as usize <= HEADER_STRIDE);

/// Memory that processor and device both see, and both coherently: a common buffer.
///
/// Made by [`DmaMemory::new`], which states what is asked of it.
#[derive(Debug)]
pub struct DmaMemory {
    start: NonNull<u8>,
    physical: u64,
    len: usize,
}

// SAFETY: it is an exclusive reference to memory that no thread owns; `DmaMemory::new` asks for that.
unsafe impl Send for DmaMemory {}

impl DmaMemory {
    /// `len` bytes at `start` for the processor, at `physical` for the device.
    ///
    /// # Safety
    /// The memory is readable and writable for as long as this value or what is made of it lives,
    /// and no Rust reference to it exists in that time.
    #[must_use]
    pub const unsafe fn new(start: NonNull<u8>, physical: u64, len: usize) -> Self {
        Self { start, physical, len }
    }

    pub(super) const fn physical(&self) -> u64 {
        self.physical
    }

    /// Every offset that the methods below compute from this layout is then inside and aligned.
    pub(super) fn holds(&self, layout: &Layout) -> bool {
        self.len >= layout.bytes()
            && self.start.addr().get().is_multiple_of(Layout::ALIGNMENT)
            && self.physical.is_multiple_of(Layout::ALIGNMENT as u64)
    }

    pub(super) fn clear(&self, layout: &Layout) {
        // SAFETY: `holds` was checked when the queue was made; the bytes are ours (`new`).
        unsafe { self.start.write_bytes(0, layout.bytes()) };
    }

    /// The flags of the first header. For a mutant.
    pub(super) fn write_header_flags(&self, layout: &Layout, flags: u8) {
        // SAFETY: `holds`: a queue has a header.
        let at = unsafe { self.start.add(layout.header(0)) };
        // SAFETY: inside; a byte is aligned. Volatile: the device reads it.
        unsafe { at.write_volatile(flags) };
    }

    /// `index` is below the queue's size.
    pub(super) fn write_descriptor(&self, layout: &Layout, index: u16, descriptor: Descriptor) {
        debug_assert!(index < layout.size);
        // SAFETY: `holds`: inside the table, aligned. Volatile: the device reads it.
        unsafe { self.descriptor(index).write_volatile(descriptor) };
    }

    /// `index` is below the queue's size.
    fn descriptor(&self, index: u16) -> NonNull<Descriptor> {
        // SAFETY: `holds`: the table starts at 0, aligned for its elements, and has `size` of them.
        unsafe { self.start.cast::<Descriptor>().add(usize::from(index)) }
    }

    /// Takes the continuation off the descriptor at `index`.
    pub(super) fn end_chain(&self, layout: &Layout, index: u16, flags: u16) {
        debug_assert!(index < layout.size);
        let at = self.descriptor(index);
        // SAFETY: as in `write_descriptor`.
        let descriptor = unsafe { at.read_volatile() };
        // SAFETY: as in `write_descriptor`.
        unsafe { at.write_volatile(Descriptor { flags, ..descriptor }) };
    }

    /// `position` is below the queue's size.
    pub(super) fn write_available(&self, layout: &Layout, position: u16, head: u16) {
        debug_assert!(position < layout.size);
        self.word(layout.available() + 4 + 2 * usize::from(position)).store(head, Ordering::Relaxed);
    }

    pub(super) fn store_available_index(&self, layout: &Layout, index: u16) {
        self.word(layout.available() + 2).store(index, Ordering::Release);
    }

    pub(super) fn store_used_event(&self, layout: &Layout, index: u16) {
        self.word(layout.used_event()).store(index, Ordering::Relaxed);
    }

    pub(super) fn available_event(&self, layout: &Layout) -> u16 {
        self.word(layout.available_event()).load(Ordering::Relaxed)
    }

    /// The device polls: it wants no doorbell.
    pub(super) fn notifications_unwanted(&self, layout: &Layout) -> bool {
        self.word(layout.used()).load(Ordering::Relaxed) & USED_NO_NOTIFY != 0
    }

    pub(super) fn load_used_index(&self, layout: &Layout) -> u16 {
        self.word(layout.used() + 2).load(Ordering::Acquire)
    }

    /// Chain and length as the device wrote them. `position` is below the queue's size.
    pub(super) fn used_element(&self, layout: &Layout, position: u16) -> (u32, u32) {
        debug_assert!(position < layout.size);
        let at = layout.used() + 4 + USED_ELEMENT_SIZE * usize::from(position);
        // SAFETY: `holds`: the used ring has `size` elements.
        let element = unsafe { self.start.add(at) }.cast::<[u32; 2]>();
        // SAFETY: an element is two aligned words. Volatile: the device wrote them, and a broken one may be writing.
        let [id, len] = unsafe { element.read_volatile() };
        (id, len)
    }

    /// The 16-bit word at `offset`, an even offset computed from the layout.
    fn word(&self, offset: usize) -> &AtomicU16 {
        // SAFETY: `holds`: inside.
        let word = unsafe { self.start.add(offset) }.cast();
        // SAFETY: `holds`: aligned. The memory outlives `self` and is only accessed atomically or by the device at this place
        // (`new`, `clear` before the device knows of it).
        unsafe { AtomicU16::from_ptr(word.as_ptr()) }
    }
}
