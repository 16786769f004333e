//! One split ring in service (virtio 1.3 section 2.7): which chains are available, and their used elements. Both are taken
//! and given in runs: an index is read or written once for many chains.

use std::sync::atomic::{Ordering, fence};

use virtio_bindings::bindings::virtio_ring::{VRING_AVAIL_F_NO_INTERRUPT, VRING_USED_F_NO_NOTIFY};
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

use crate::chain::Table;

/// Chains that are taken or completed at once.
pub(crate) const RUN: usize = 32;
/// Entries of the largest ring (virtio 1.3 section 2.7).
const LARGEST: u16 = 1 << 15;

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
    #[error("ring size {0} is not a power of 2 from 1 to 32768")]
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
    rings: Rings,
    /// The ring's size less 1: a place in it is the index's last bits.
    mask: u16,
    next_avail: u16,
    /// Index of the next used element that is written.
    next_used: u16,
    /// Used elements to be written, in order: at most [`RUN`].
    owed: Vec<Element>,
    /// Chains taken and neither completed nor skipped.
    outstanding: u16,
    /// Doorbell asked for at this index.
    armed: Option<u16>,
    /// How often one was asked for.
    arms: u64,
    /// The used ring asks for no doorbell.
    is_hushed: bool,
    /// Where the used ring ended when the driver's wish for interrupts was looked at last.
    told: u16,
}

/// Head and length, as they are in memory.
type Element = [[u8; 4]; 2];

/// Heads of chains that were taken one after the other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    heads: [[u8; 2]; RUN],
    len: usize,
    /// The place in the available ring behind them.
    end: u16,
    table: Table,
}

impl Run {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The place in the available ring behind them.
    pub(crate) fn end(&self) -> u16 {
        self.end
    }

    /// Where their descriptors are.
    pub(crate) fn table(&self) -> Table {
        self.table
    }

    /// The heads; `None` for one that names no descriptor of the table, so that no used element can be written.
    pub(crate) fn heads(&self) -> impl Iterator<Item = Option<u16>> {
        let heads = self.heads.iter().take(self.len).map(|head| u16::from_le_bytes(*head));
        heads.map(|head| Some(head).filter(|head| *head < self.table.entries))
    }
}

impl Ring {
    pub(crate) fn enter<M: GuestMemory>(memory: &M, rings: &Rings) -> Result<Ring, Broken> {
        let Rings { size, desc, avail, used, .. } = *rings;
        if !size.is_power_of_two() || size > LARGEST {
            return Err(Broken::Size(size));
        }
        if !desc.is_multiple_of(16) || !avail.is_multiple_of(2) || !used.is_multiple_of(4) {
            return Err(Broken::Alignment);
        }
        let n = usize::from(size);
        let lengths = [16, 2, 8].map(|entry: usize| entry.saturating_mul(n));
        let parts =
            [(desc, 0, Permissions::Read), (avail, 6, Permissions::Read), (used, 6, Permissions::Write)];
        let is_there = |((at, more, access), len): ((u64, usize, _), usize)| {
            memory.check_range(GuestAddress(at), len.saturating_add(more), access)
        };
        // Address 0 is what virtio takes for "not set".
        if avail == 0 || !parts.into_iter().zip(lengths).all(is_there) {
            return Err(Broken::Memory);
        }
        // Not the base: a chain whose head is unknown gets no used element.
        let next_used = load(memory, used, 2, Ordering::Relaxed).ok_or(Broken::Memory)?;
        Ok(Ring {
            rings: *rings,
            mask: size.wrapping_sub(1),
            next_avail: rings.base,
            next_used,
            owed: Vec::with_capacity(RUN),
            outstanding: 0,
            armed: None,
            arms: 0,
            is_hushed: false,
            told: next_used,
        })
    }

    /// Index of the next chain to take.
    pub(crate) fn next_index(&self) -> u16 {
        self.next_avail
    }

    /// With VIRTIO_F_EVENT_IDX, the index at which a doorbell was asked for last.
    pub(crate) fn armed(&self) -> Option<u16> {
        self.armed
    }

    /// How often a doorbell was asked for.
    pub(crate) fn arms(&self) -> u64 {
        self.arms
    }

    /// Whether the used ring asks for no doorbell.
    pub(crate) fn is_hushed(&self) -> bool {
        self.is_hushed
    }

    /// Where the descriptors are.
    pub(crate) fn table(&self) -> Table {
        Table { address: self.rings.desc, entries: self.rings.size }
    }

    /// Chains that are available now. More than the driver can have: it has run ahead, and some were
    /// published over chains that are not its own yet.
    pub(crate) fn available<M: GuestMemory>(&self, memory: &M) -> Result<u16, Broken> {
        let index = load(memory, self.rings.avail, 2, Ordering::Acquire).ok_or(Broken::Memory)?;
        let ahead = index.wrapping_sub(self.next_avail);
        let room = self.rings.size.saturating_sub(self.outstanding);
        if ahead > room { Err(Broken::Index) } else { Ok(ahead) }
    }

    /// Takes the next chains: as many as there are, `most` and [`RUN`] at most.
    pub(crate) fn take<M: GuestMemory>(&mut self, memory: &M, most: usize) -> Result<Run, Broken> {
        let available = self.available(memory)?;
        self.take_known(memory, available, most)
    }

    /// Takes the next chains, of which `available` are known to be there.
    fn take_known<M: GuestMemory>(&mut self, memory: &M, available: u16, most: usize) -> Result<Run, Broken> {
        let len = most.min(RUN).min(available.into());
        let taken = u16::try_from(len).unwrap_or(u16::MAX);
        let end = self.next_avail.wrapping_add(taken);
        let mut run = Run { heads: [[0; 2]; RUN], len, end, table: self.table() };
        let place = self.next_avail & self.mask;
        let bytes = run.heads.as_flattened_mut().get_mut(..len.saturating_mul(2)).unwrap_or_default();
        let (first, rest) = bytes.split_at_mut(bytes.len().min(self.behind(place).saturating_mul(2)));
        let at = |place: u16| 4u64.saturating_add(u64::from(place).saturating_mul(2));
        read(memory, self.rings.avail, at(place), first)?;
        read(memory, self.rings.avail, at(0), rest)?;
        self.next_avail = end;
        self.outstanding = self.outstanding.saturating_add(taken);
        Ok(run)
    }

    /// Places from `place` to the ring's end.
    fn behind(&self, place: u16) -> usize {
        self.rings.size.saturating_sub(place).into()
    }

    /// Gives the chains taken last back to the available ring.
    pub(crate) fn put_back(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(u16::MAX);
        self.next_avail = self.next_avail.wrapping_sub(count);
        self.outstanding = self.outstanding.saturating_sub(count);
    }

    /// Takes every chain that is available at this moment, and gives them to `each` in order.
    pub(crate) fn take_all<M: GuestMemory>(
        &mut self,
        memory: &M,
        mut each: impl FnMut(Option<u16>),
    ) -> Result<(), Broken> {
        let mut left = self.available(memory)?;
        while left > 0 {
            let run = self.take_known(memory, left, RUN)?;
            run.heads().for_each(&mut each);
            left = left.saturating_sub(u16::try_from(run.len()).unwrap_or(u16::MAX));
        }
        Ok(())
    }

    /// Asks for a doorbell at the next chain; true if one has come meanwhile.
    pub(crate) fn ask_for_doorbell<M: GuestMemory>(&mut self, memory: &M) -> Result<bool, Broken> {
        let index = self.next_avail;
        if !self.rings.event_idx || self.armed == Some(index) {
            return Ok(false);
        }
        self.armed = Some(index);
        self.arms = self.arms.saturating_add(1);
        let event = 4u64.saturating_add(u64::from(self.rings.size).saturating_mul(8));
        store(memory, self.rings.used, event, index, Ordering::Relaxed)?;
        // The wish must be visible before the index is read, else both sides wait.
        fence(Ordering::SeqCst);
        Ok(self.available(memory)? > 0)
    }

    /// Asks for no doorbell at all, or for doorbells again; true if that is a change. With VIRTIO_F_EVENT_IDX nothing is
    /// to be done: one that is not asked for does not come. Look for chains afterwards.
    pub(crate) fn hush<M: GuestMemory>(&mut self, memory: &M, on: bool) -> Result<bool, Broken> {
        if self.rings.event_idx || self.is_hushed == on {
            return Ok(false);
        }
        let flags = if on { VRING_USED_F_NO_NOTIFY } else { 0 };
        store(memory, self.rings.used, 0, u16::try_from(flags).unwrap_or(0), Ordering::Relaxed)?;
        self.is_hushed = on;
        fence(Ordering::SeqCst);
        Ok(true)
    }

    /// A used element more. It is in memory after [`Ring::flush`] at the latest.
    pub(crate) fn complete<M: GuestMemory>(&mut self, memory: &M, head: u16, len: u32) -> Result<(), Broken> {
        // A ring may be shorter than a run.
        if self.owed.len() >= RUN.min(self.rings.size.into()) {
            self.flush(memory);
        }
        if self.owed.is_empty()
            && !memory.check_range(GuestAddress(self.rings.used), self.used_len(), Permissions::Write)
        {
            return Err(Broken::Memory);
        }
        self.owed.push([u32::from(head).to_le_bytes(), len.to_le_bytes()]);
        self.skip();
        Ok(())
    }

    /// Bytes of the used ring.
    fn used_len(&self) -> usize {
        usize::from(self.rings.size).saturating_mul(8).saturating_add(4)
    }

    /// Writes the used elements that are owed, and makes them visible.
    pub(crate) fn flush<M: GuestMemory>(&mut self, memory: &M) {
        if self.owed.is_empty() {
            return;
        }
        let place = self.next_used & self.mask;
        let bytes = self.owed.as_flattened().as_flattened();
        let (first, rest) = bytes.split_at(bytes.len().min(self.behind(place).saturating_mul(8)));
        let at = |place: u16| 4u64.saturating_add(u64::from(place).saturating_mul(8));
        let count = u16::try_from(self.owed.len()).unwrap_or(u16::MAX);
        let index = self.next_used.wrapping_add(count);
        // Memory is as it was when the first of them was checked: it is lent for the whole call.
        let _in_memory = write(memory, self.rings.used, at(place), first)
            .and_then(|()| write(memory, self.rings.used, at(0), rest))
            .and_then(|()| store(memory, self.rings.used, 2, index, Ordering::Release));
        self.next_used = index;
        self.owed.clear();
    }

    /// Gives up on a chain whose head is unknown: it gets no used element.
    pub(crate) fn skip(&mut self) {
        self.outstanding = self.outstanding.saturating_sub(1);
    }

    /// Whether the driver wants an interrupt for what was completed since it was last asked (virtio 1.3
    /// section 2.7.7.2).
    pub(crate) fn wants_interrupt<M: GuestMemory>(&mut self, memory: &M) -> bool {
        self.flush(memory);
        let told = std::mem::replace(&mut self.told, self.next_used);
        let new = self.next_used.wrapping_sub(told);
        if new == 0 {
            return false;
        }
        // The elements must be visible before the driver's wish is read, else both sides wait.
        fence(Ordering::SeqCst);
        if self.rings.event_idx {
            let event = 4u64.saturating_add(u64::from(self.rings.size).saturating_mul(2));
            let event = load(memory, self.rings.avail, event, Ordering::Relaxed);
            return event.is_none_or(|event| self.next_used.wrapping_sub(event).wrapping_sub(1) < new);
        }
        let flags = load(memory, self.rings.avail, 0, Ordering::Relaxed).unwrap_or(0);
        u32::from(flags) & VRING_AVAIL_F_NO_INTERRUPT == 0
    }
}

fn place(base: u64, offset: u64) -> Option<GuestAddress> {
    base.checked_add(offset).map(GuestAddress)
}

fn load<M: GuestMemory>(memory: &M, base: u64, offset: u64, order: Ordering) -> Option<u16> {
    memory.load(place(base, offset)?, order).ok().map(u16::from_le)
}

fn store<M: GuestMemory>(
    memory: &M,
    base: u64,
    offset: u64,
    word: u16,
    order: Ordering,
) -> Result<(), Broken> {
    let at = place(base, offset).ok_or(Broken::Memory)?;
    memory.store(word.to_le(), at, order).map_err(|_| Broken::Memory)
}

fn read<M: GuestMemory>(memory: &M, base: u64, offset: u64, into: &mut [u8]) -> Result<(), Broken> {
    if into.is_empty() {
        return Ok(());
    }
    let at = place(base, offset).ok_or(Broken::Memory)?;
    memory.read_slice(into, at).map_err(|_| Broken::Memory)
}

fn write<M: GuestMemory>(memory: &M, base: u64, offset: u64, bytes: &[u8]) -> Result<(), Broken> {
    if bytes.is_empty() {
        return Ok(());
    }
    let at = place(base, offset).ok_or(Broken::Memory)?;
    memory.write_slice(bytes, at).map_err(|_| Broken::Memory)
}
