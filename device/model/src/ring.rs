//! One split ring in service, on virtio-queue: which chains are available, and their used elements.

use std::sync::atomic::{Ordering, fence};

use virtio_bindings::bindings::virtio_ring::VRING_AVAIL_F_NO_INTERRUPT;
use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT};
use vm_memory::{Bytes, GuestAddress, GuestMemory};

/// Where a queue's rings are, and where it goes on, as the front end says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rings {
    /// Entries of each ring: a power of 2, at most 32768.
    pub size: u16,
    /// Guest-physical address of the descriptor table, aligned to 16 bytes.
    pub desc: u64,
    /// Guest-physical address of the available ring, aligned to 2 bytes.
    pub avail: u64,
    /// Guest-physical address of the used ring, aligned to 4 bytes.
    pub used: u64,
    /// Index of the first chain to take. 0 is a new life, anything else goes on where the queue left.
    pub base: u16,
    /// Whether VIRTIO_F_EVENT_IDX was accepted.
    pub event_idx: bool,
}

/// Why a queue does nothing until it leaves service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Not a power of 2 from 1 to 32768.
    #[error("ring size {0} is no power of 2 up to 32768")]
    Size(u16),
    /// One of the three parts is not aligned (virtio 1.3 section 2.7).
    #[error("a ring is not aligned")]
    Alignment,
    /// One of the three parts is not in guest memory.
    #[error("a ring is outside guest memory")]
    Memory,
    /// The available index ran ahead by more than the queue's size.
    #[error("the available index ran ahead of the ring")]
    Index,
}

/// One ring in service.
#[derive(Debug)]
pub(crate) struct Ring {
    queue: Queue,
    event_idx: bool,
    /// Chains taken and neither completed nor skipped.
    outstanding: u16,
    /// Doorbell asked for at this index.
    armed: Option<u16>,
    /// How often one was asked for.
    arms: u64,
    /// Used elements that nobody was told about.
    untold: bool,
}

impl Ring {
    pub(crate) fn enter<M: GuestMemory>(memory: &M, rings: &Rings) -> Result<Ring, Broken> {
        let size = Broken::Size(rings.size);
        let mut queue = Queue::new(rings.size).map_err(|_| size)?;
        queue.try_set_desc_table_address(GuestAddress(rings.desc)).map_err(|_| Broken::Alignment)?;
        queue.try_set_avail_ring_address(GuestAddress(rings.avail)).map_err(|_| Broken::Alignment)?;
        queue.try_set_used_ring_address(GuestAddress(rings.used)).map_err(|_| Broken::Alignment)?;
        queue.set_event_idx(rings.event_idx);
        queue.set_ready(true);
        // Address 0 is what virtio-queue takes for "not set".
        if rings.avail == 0 || !queue.is_valid(memory) {
            return Err(Broken::Memory);
        }
        queue.set_next_avail(rings.base);
        // Not the base: a chain whose head is unknown gets no used element.
        let used = queue.used_idx(memory, Ordering::Relaxed).map_err(|_| Broken::Memory)?;
        queue.set_next_used(used.0);
        Ok(Ring { queue, event_idx: rings.event_idx, outstanding: 0, armed: None, arms: 0, untold: false })
    }

    pub(crate) fn size(&self) -> u16 {
        self.queue.size()
    }

    /// Index of the next chain to take.
    pub(crate) fn next_index(&self) -> u16 {
        self.queue.next_avail()
    }

    /// Where a doorbell was asked for last.
    pub(crate) fn armed(&self) -> Option<u16> {
        self.armed
    }

    /// How often a doorbell was asked for since the ring entered service.
    pub(crate) fn arms(&self) -> u64 {
        self.arms
    }

    /// Chains published and not yet taken. Together with those outstanding they are a ring's worth at most,
    /// or the driver has published over chains that are not its own yet.
    pub(crate) fn available<M: GuestMemory>(&self, memory: &M) -> Result<u16, Broken> {
        let index = self.queue.avail_idx(memory, Ordering::Acquire).map_err(|_| Broken::Memory)?;
        let ahead = index.0.wrapping_sub(self.queue.next_avail());
        let room = self.queue.size().saturating_sub(self.outstanding);
        if ahead > room { Err(Broken::Index) } else { Ok(ahead) }
    }

    /// Takes the next chain.
    pub(crate) fn take<'a, M: GuestMemory>(
        &mut self,
        memory: &'a M,
    ) -> Result<Option<DescriptorChain<&'a M>>, Broken> {
        if self.available(memory)? == 0 {
            return Ok(None);
        }
        let mut chains = self.queue.iter(memory).map_err(|_| Broken::Index)?;
        let chain = chains.next().ok_or(Broken::Memory)?;
        self.outstanding = self.outstanding.saturating_add(1);
        Ok(Some(chain))
    }

    /// Gives the chain taken last back to the available ring.
    pub(crate) fn put_back(&mut self) {
        self.queue.go_to_previous_position();
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// Takes every chain that is available at this moment, and gives them to `each` in order.
    pub(crate) fn take_all<'a, M: GuestMemory>(
        &mut self,
        memory: &'a M,
        mut each: impl FnMut(DescriptorChain<&'a M>),
    ) -> Result<(), Broken> {
        let count = self.available(memory)?;
        let chains = self.queue.iter(memory).map_err(|_| Broken::Index)?;
        let mut taken: u16 = 0;
        for chain in chains.take(usize::from(count)) {
            each(chain);
            taken = taken.saturating_add(1);
        }
        self.outstanding = self.outstanding.saturating_add(taken);
        if taken == count { Ok(()) } else { Err(Broken::Memory) }
    }

    /// Asks for a doorbell at the next chain; true if one has come meanwhile.
    pub(crate) fn ask_for_doorbell<M: GuestMemory>(&mut self, memory: &M) -> Result<bool, Broken> {
        let index = self.queue.next_avail();
        if !self.event_idx || self.armed == Some(index) {
            return Ok(false);
        }
        self.armed = Some(index);
        self.arms = self.arms.saturating_add(1);
        self.queue.enable_notification(memory).map_err(|_| Broken::Memory)
    }

    /// Writes a used element and makes it visible.
    pub(crate) fn complete<M: GuestMemory>(&mut self, memory: &M, head: u16, len: u32) -> Result<(), Broken> {
        self.skip();
        self.untold = true;
        self.queue.add_used(memory, head, len).map_err(|_| Broken::Memory)
    }

    /// Gives up on a chain whose head is unknown: it gets no used element.
    pub(crate) fn skip(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// Whether the driver wants an interrupt for what was completed since it was last asked (virtio 1.3
    /// section 2.7.7.2).
    pub(crate) fn wants_interrupt<M: GuestMemory>(&mut self, memory: &M) -> bool {
        if !std::mem::take(&mut self.untold) {
            return false;
        }
        if self.event_idx {
            return self.queue.needs_notification(memory).unwrap_or(true);
        }
        // The element must be visible before the flag is read, else both sides wait.
        fence(Ordering::SeqCst);
        let flags: u16 = memory.load(GuestAddress(self.queue.avail_ring()), Ordering::Relaxed).unwrap_or(0);
        u32::from(u16::from_le(flags)) & VRING_AVAIL_F_NO_INTERRUPT == 0
    }
}
