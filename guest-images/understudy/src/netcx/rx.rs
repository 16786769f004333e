//! The checker above the receive ring: gives buffers to the driver, reads the frames that come, watches what comes back.

use super::buffers::{Pool, Slot};
use super::element::{Fragment, Packet};
use super::frame::{self, Reading};
use super::ledger::RxLedger;
use super::queue::Queue;
use super::tx::Fault;
use alloc::{format, vec, vec::Vec};

/// The receiver's state below the books.
pub struct Receiver {
    pool: Pool,
    /// The books.
    pub books: RxLedger,
    /// Buffer of each fragment in the ring.
    slots: Vec<Option<Slot>>,
    /// Capacity of each buffer as the driver sees it.
    capacity: u32,
}

impl Receiver {
    /// A receiver; `capacity` is MaximumFrameSize, at most a pool buffer's size.
    #[must_use]
    pub fn new(pool: Pool, books: RxLedger, fragments: u32, capacity: u32) -> Self {
        Self { pool, books, slots: vec![None; fragments as usize], capacity }
    }

    /// Fills the rings with empty buffers. Returns whether any was given.
    ///
    /// # Errors
    /// A free buffer was written.
    pub fn fill(&mut self, queue: &Queue) -> Result<bool, Fault> {
        let poison = crate::settings::verifier();
        let mut given = 0;
        while queue.packets.free() != 0 && queue.fragments.free() != 0 {
            let slot = self.pool.take().map_err(|place| ("RxBufferWrittenAfterReturn", place))?;
            let Some(slot) = slot else { break };
            let index = queue.fragments.header().end;
            let fragment = Fragment { capacity: self.capacity, ..Fragment::default() };
            let packet = Packet::default();
            let (packet, fragment) =
                if poison { (packet.poisoned(), fragment.poisoned()) } else { (packet, fragment) };
            queue.write_fragment(index, fragment, self.pool.place(slot));
            self.slots[index as usize] = Some(slot);
            queue.clear_packet(queue.packets.header().end, packet);
            queue.fragments.give(1);
            queue.packets.give(1);
            given += 1;
        }
        self.books.give(given);
        Ok(given != 0)
    }

    /// Reads the packets and fragments just before the two BeginIndex. Returns how many buffers came back unused.
    ///
    /// # Errors
    /// A frame is damaged.
    pub fn reap(&mut self, queue: &Queue, moved: (u32, u32)) -> Result<usize, Fault> {
        let mut ignored = 0;
        let begin = queue.packets.header().begin;
        for step in (1..=moved.0).rev() {
            let index = begin.wrapping_sub(step) & queue.packets.mask();
            let packet = Packet::read(&queue.packets.read(index));
            if packet.ignore {
                ignored += 1;
                self.books.empty();
            } else {
                let number = self.frame(queue, &packet)?;
                self.books.frame(number);
            }
        }
        // buffers go back to the pool by fragment, whichever packet named them
        let begin = queue.fragments.header().begin;
        for step in (1..=moved.1).rev() {
            let index = begin.wrapping_sub(step) & queue.fragments.mask();
            if let Some(slot) = self.slots[index as usize].take() {
                self.pool.give(slot);
            }
        }
        Ok(ignored)
    }

    fn frame(&self, queue: &Queue, packet: &Packet) -> Result<Option<u64>, Fault> {
        let mut bytes = Vec::new();
        for step in 0..u32::from(packet.fragment_count) {
            let index = packet.fragment_index.wrapping_add(step) & queue.fragments.mask();
            let fragment = Fragment::read(&queue.fragments.read(index));
            let (from, len) = (usize::from(fragment.offset), fragment.valid_length as usize);
            let slot = self.slots[index as usize];
            let part = slot.and_then(|slot| self.pool.bytes(slot).get(from..from + len));
            let Some(part) = part else {
                return Err(("RxFrameOutsideBuffer", format!("fragment {index}: {fragment:?}")));
            };
            bytes.extend_from_slice(part);
        }
        match frame::read(&bytes) {
            Reading::Numbered(number) => Ok(Some(number)),
            Reading::Other => Ok(None),
            Reading::Damaged(place) => Err(("RxFrameDamaged", place)),
        }
    }

    /// The rings are empty: all buffers must be in the pool with their pattern.
    ///
    /// # Errors
    /// One is missing or was written.
    pub fn stopped(&mut self) -> Result<(), Fault> {
        self.pool.check_free().map_err(|place| ("RxBufferWrittenAfterReturn", place))?;
        if !self.pool.is_full() {
            return Err((
                "RxBufferLost",
                format!("{} receive buffers are out though the rings are empty", self.pool.out()),
            ));
        }
        Ok(())
    }
}
