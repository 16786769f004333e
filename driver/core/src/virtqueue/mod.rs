//! The driver's side of a split virtqueue (virtio 1.3 §2.7) that carries virtio-net frames.
//!
//! The public interface is safe. What the device writes is checked before it is believed: a used
//! element must name a chain that is outstanding, and the used index must not run ahead of what was
//! posted. The first breach ends the queue's service ([`Violation`], repeated at every call); nothing
//! of the driver's own is ever indexed by a number that the device chose unchecked.
//!
//! Every chain starts with a descriptor for virtio-net's header, whose memory belongs to the queue;
//! callers only give the frame's buffers. The device reads a transmit queue's buffers, whose chains share one header,
//! all zeros; it writes a receive queue's, and each of those chains has a header of its own. Completed chains come out in the order in which they were
//! posted, whatever order the device used.
//!
//! A virtqueue lives from D0 entry to D0 exit, across any number of starts and stops of the packet
//! queue above it: indices and free list just go on.

mod memory;

use core::{
    fmt,
    num::Wrapping,
    sync::atomic::{Ordering, fence},
};

use cancelnic_registers::Direction;

pub use memory::{DmaMemory, Layout};

use memory::{DESC_NEXT, DESC_WRITE, Descriptor};

/// Length of virtio-net's header with VERSION_1 (virtio 1.3 §5.1.6), bytes.
pub const NET_HEADER_LEN: u32 = cancelnic_registers::NET_HEADER_SIZE as u32;

/// A breach of the virtqueue's rules by the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// The used index is this far ahead of the last one, more than chains are outstanding.
    UsedIndexAhead(u16),
    /// A used element names this chain, beyond the queue's size.
    IdOutOfRange(u32),
    /// A used element names this chain, which is not outstanding.
    IdNotOutstanding(u16),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UsedIndexAhead(by) => write!(f, "the device's used index is {by} ahead"),
            Self::IdOutOfRange(id) => write!(f, "the device used chain {id}, beyond the queue's size"),
            Self::IdNotOutstanding(id) => write!(f, "the device used chain {id}, which is not outstanding"),
        }
    }
}

/// A piece of memory for the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    /// Where the device finds it.
    pub address: u64,
    /// Bytes, not 0.
    pub len: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Not the head of a chain.
    #[default]
    Free,
    /// Head of a chain that the device has.
    Posted,
    /// Head of a chain that the device has used.
    Used,
}

/// What the driver remembers of one descriptor, in memory of its own that no device reaches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Slot {
    /// Next in the chain, or in the free list.
    next: u16,
    /// Descriptors of the chain (of its head).
    count: u16,
    /// The head that was posted as the n-th, n being this slot's number modulo the queue's size.
    order: u16,
    state: State,
    token: u32,
    /// As the device wrote it.
    used_len: u32,
}

/// A chain that the device has finished with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The number it was posted with.
    pub token: u32,
    /// The used element's `len`, any value at all.
    pub len: u32,
}

/// The driver's side of one virtqueue.
pub struct Virtqueue<'m> {
    memory: DmaMemory,
    layout: Layout,
    slots: &'m mut [Slot],
    direction: Direction,
    event_idx: bool,
    /// First free descriptor, if `free_count` is not 0.
    free: u16,
    free_count: u16,
    /// Chains posted ever (also those not yet published), modulo 2^16: the next available index.
    posted: Wrapping<u16>,
    /// Of these, chains that the device knows of.
    published: Wrapping<u16>,
    /// Used elements looked at, modulo 2^16.
    used: Wrapping<u16>,
    /// Chains taken out by [`Self::pop`], modulo 2^16. `posted - popped` are outstanding.
    popped: Wrapping<u16>,
    violation: Option<Violation>,
}

impl<'m> Virtqueue<'m> {
    /// A new, empty queue; its memory is set to zero.
    ///
    /// `None` if `memory` is smaller than the layout asks for or not aligned to
    /// [`Layout::ALIGNMENT`], or if there are not exactly as many slots as descriptors.
    ///
    /// # Safety
    /// `memory` is what [`DmaMemory`] says and is not accessed by anyone but the device for as long
    /// as the queue lives; the device is not using it yet.
    #[must_use]
    pub unsafe fn new(
        memory: DmaMemory,
        layout: Layout,
        slots: &'m mut [Slot],
        direction: Direction,
        event_idx: bool,
    ) -> Option<Self> {
        if slots.len() != usize::from(layout.size()) || !memory.holds(&layout) {
            return None;
        }
        memory.clear(&layout);
        let size = layout.size();
        for (number, slot) in (0_u16..).zip(slots.iter_mut()) {
            *slot = Slot { next: (number + 1) % size, ..Slot::default() };
        }
        Some(Self {
            memory,
            layout,
            slots,
            direction,
            event_idx,
            free: 0,
            free_count: size,
            posted: Wrapping(0),
            published: Wrapping(0),
            used: Wrapping(0),
            popped: Wrapping(0),
            violation: None,
        })
    }

    /// Where the three parts lie for the device: descriptor table, available ring, used ring.
    #[must_use]
    pub fn addresses(&self) -> [u64; 3] {
        let base = self.memory.physical();
        [base, base + self.layout.available() as u64, base + self.layout.used() as u64]
    }

    /// Descriptors in the queue.
    #[must_use]
    pub fn size(&self) -> u16 {
        self.layout.size()
    }

    /// Descriptors that no chain holds.
    #[must_use]
    pub fn free_descriptors(&self) -> u16 {
        self.free_count
    }

    /// Chains posted and not yet taken out by [`Self::pop`].
    #[must_use]
    pub fn outstanding(&self) -> u16 {
        (self.posted - self.popped).0
    }

    /// Token of the oldest outstanding chain, used or not.
    #[must_use]
    pub fn oldest(&self) -> Option<u32> {
        (self.outstanding() != 0).then(|| self.slot(self.order_at(self.popped)).token)
    }

    /// The breach that ended this queue's service.
    #[must_use]
    pub fn violation(&self) -> Option<Violation> {
        self.violation
    }

    /// Adds a chain of a header and `buffers`, of which there are `count`, under the name `token`.
    /// The device sees it once [`Self::publish`] is called. `false` if there are not enough free
    /// descriptors, or the queue is out of service: nothing was changed then.
    #[must_use]
    pub fn post(&mut self, token: u32, buffers: impl Iterator<Item = Buffer>, count: u16) -> bool {
        let needed = u32::from(count) + 1;
        if self.violation.is_some() || needed > u32::from(self.free_count) {
            return false;
        }
        let head = self.free;
        let write = if self.direction == Direction::Rx { DESC_WRITE } else { 0 };
        let header = Buffer { address: self.header_address(head), len: NET_HEADER_LEN };
        let mut at = head;
        let mut last = head;
        let mut used = 0;
        for buffer in core::iter::once(header).chain(buffers).take(needed as usize) {
            let next = self.slot(at).next;
            let flags = write | if used + 1 < needed { DESC_NEXT } else { 0 };
            let descriptor = Descriptor { address: buffer.address, len: buffer.len, flags, next };
            self.memory.write_descriptor(&self.layout, at, descriptor);
            used += 1;
            last = at;
            at = next;
        }
        if used != needed {
            // The caller gave fewer buffers than it said: end the chain where they ended.
            self.memory.end_chain(&self.layout, last, write);
        }
        self.free = at;
        self.free_count -= used as u16;
        let order = self.position(self.posted);
        let slot = self.slot_mut(head);
        slot.count = used as u16;
        slot.state = State::Posted;
        slot.token = token;
        self.slot_mut(order).order = head;
        self.memory.write_available(&self.layout, order, head);
        self.posted += 1;
        true
    }

    /// A mutant's fault: asks for checksums, which nobody negotiates, in the header that all transmits share.
    pub(crate) fn ask_for_checksums(&self) {
        self.memory.write_header_flags(&self.layout, memory::NEEDS_CHECKSUM);
    }

    /// Makes all posted chains visible to the device. `true`: ring the doorbell.
    #[must_use]
    pub fn publish(&mut self) -> bool {
        let old = self.published;
        if old == self.posted {
            return false;
        }
        // The device must see descriptors and ring entries before the index that announces them
        // (virtio 1.3 §2.7.13.1); the store is a release.
        self.memory.store_available_index(&self.layout, self.posted.0);
        self.published = self.posted;
        // The new index must be visible before the device's wish is read, else both sides may miss
        // the other (§2.7.13.4.1): a store before a load, hence a full fence.
        fence(Ordering::SeqCst);
        if self.event_idx {
            let event = Wrapping(self.memory.available_event(&self.layout));
            // §2.7.10: the device wants a doorbell when the index passes `event`
            (self.posted - event - Wrapping(1)).0 < (self.posted - old).0
        } else {
            !self.memory.notifications_unwanted(&self.layout)
        }
    }

    /// Looks at what the device has used since, and checks it. [`Self::pop`] then takes it out.
    ///
    /// # Errors
    /// The first breach of the rules, at this call or an earlier one; the queue is out of service.
    pub fn poll(&mut self) -> Result<(), Violation> {
        if let Some(violation) = self.violation {
            return Err(violation);
        }
        // An acquire: elements and buffers that the device wrote before this index are visible.
        let index = Wrapping(self.memory.load_used_index(&self.layout));
        let ahead = (index - self.used).0;
        if ahead > (self.published - self.used).0 {
            return Err(self.break_off(Violation::UsedIndexAhead(ahead)));
        }
        while self.used != index {
            let (id, len) = self.memory.used_element(&self.layout, self.position(self.used));
            let Ok(head) = u16::try_from(id) else {
                return Err(self.break_off(Violation::IdOutOfRange(id)));
            };
            match self.slots.get_mut(usize::from(head)) {
                None => return Err(self.break_off(Violation::IdOutOfRange(id))),
                Some(slot) if slot.state == State::Posted => {
                    slot.state = State::Used;
                    slot.used_len = len;
                }
                Some(_) => return Err(self.break_off(Violation::IdNotOutstanding(head))),
            }
            self.used += 1;
        }
        Ok(())
    }

    /// The oldest outstanding chain, if [`Self::poll`] found it used, without taking it out.
    #[must_use]
    pub fn peek(&self) -> Option<Completed> {
        if self.outstanding() == 0 {
            return None;
        }
        let slot = self.slot(self.order_at(self.popped));
        (slot.state == State::Used).then_some(Completed { token: slot.token, len: slot.used_len })
    }

    /// Takes out the oldest outstanding chain, if [`Self::poll`] found it used. Its descriptors are
    /// free again.
    pub fn pop(&mut self) -> Option<Completed> {
        let completed = self.peek()?;
        self.release_oldest();
        Some(completed)
    }

    /// Takes out the oldest outstanding chain, used or not, and tells its token. Only for a device
    /// that is known to touch it no more: reset, or gone.
    pub(crate) fn abandon_oldest(&mut self) -> Option<u32> {
        let token = self.oldest()?;
        self.release_oldest();
        Some(token)
    }

    /// Asks for an interrupt at the next used element. `true`: there is one already, no interrupt
    /// may come for it.
    #[must_use]
    pub fn enable_interrupt(&mut self) -> bool {
        if self.event_idx {
            self.memory.store_used_event(&self.layout, self.used.0);
        }
        // Without EVENT_IDX interrupts stay wanted always (flags 0): there is nothing to write.
        // The wish must be visible before the index is read again (§2.7.7.1).
        fence(Ordering::SeqCst);
        self.has_news()
    }

    /// Whether the device has used something that [`Self::poll`] has not seen, and would look at.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.violation.is_none() && self.memory.load_used_index(&self.layout) != self.used.0
    }

    fn break_off(&mut self, violation: Violation) -> Violation {
        self.violation = Some(violation);
        violation
    }

    /// Frees the oldest outstanding chain; there is one.
    fn release_oldest(&mut self) {
        let head = self.order_at(self.popped);
        let count = self.slot(head).count;
        let mut last = head;
        for _ in 1..count {
            last = self.slot(last).next;
        }
        self.slot_mut(last).next = self.free;
        self.slot_mut(head).state = State::Free;
        self.free = head;
        self.free_count += count;
        self.popped += 1;
    }

    fn header_address(&self, head: u16) -> u64 {
        let place = if self.direction == Direction::Rx { head } else { 0 };
        self.memory.physical() + self.layout.header(place) as u64
    }

    /// Position of the n-th chain in either ring.
    fn position(&self, n: Wrapping<u16>) -> u16 {
        n.0 & (self.layout.size() - 1)
    }

    fn order_at(&self, n: Wrapping<u16>) -> u16 {
        self.slot(self.position(n)).order
    }

    /// Slot numbers come from this queue's own lists and are below its size.
    fn slot(&self, number: u16) -> &Slot {
        &self.slots[usize::from(number)]
    }

    fn slot_mut(&mut self, number: u16) -> &mut Slot {
        &mut self.slots[usize::from(number)]
    }
}
