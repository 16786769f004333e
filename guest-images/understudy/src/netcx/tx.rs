//! The sender above the transmit ring: turns pending frames into packets, and accounts the packets that come back.

use super::buffers::{Pool, Slot};
use super::element::{Fragment, Packet};
use super::frame;
use super::ledger::{Outcome, TxLedger};
use super::queue::Queue;
use alloc::{string::String, vec, vec::Vec};

/// A broken rule: its name and where.
pub type Fault = (&'static str, String);

/// Packets translated per poll, as the framework limits it.
const PER_POLL: u32 = 64;
/// Offsets of data in their fragments differ, up to this many bytes.
const MOST_OFFSET: u64 = 64;

/// The sender's state below the books.
pub struct Sender {
    pool: Pool,
    /// The books.
    pub books: TxLedger,
    /// New frames are taken: the gate is open.
    pub open: bool,
    /// Buffer of each fragment in the ring.
    slots: Vec<Option<Slot>>,
    seed: u64,
    /// Source address of frames.
    pub mac: [u8; 6],
    /// Most fragments that a packet may have.
    pub most_fragments: usize,
}

impl Sender {
    /// A sender with its gate closed.
    #[must_use]
    pub fn new(pool: Pool, books: TxLedger, fragments: u32, seed: u64) -> Self {
        Self {
            pool,
            books,
            open: false,
            slots: vec![None; fragments as usize],
            seed,
            mac: [0; 6],
            most_fragments: 8,
        }
    }

    /// Moves pending frames into the ring as far as there is room. Returns whether any moved.
    ///
    /// # Errors
    /// A free buffer was written.
    pub fn fill(&mut self, queue: &Queue) -> Result<bool, Fault> {
        let mut moved = 0;
        while moved < PER_POLL
            && let Some(pending) = self.books.next()
        {
            let wanted = usize::from(pending.fragments).clamp(1, self.most_fragments);
            let lengths = frame::cut(pending.len.into(), wanted, self.seed ^ pending.number);
            if queue.packets.free() == 0 || (queue.fragments.free() as usize) < lengths.len() {
                break;
            }
            let bytes = frame::build(pending.number, pending.len.into(), self.mac);
            let first = queue.fragments.header().end;
            let mut from = 0;
            for (step, &len) in lengths.iter().enumerate() {
                let index = first.wrapping_add(step as u32) & queue.fragments.mask();
                let slot = self.pool.take().map_err(|place| ("TxBufferWrittenAfterReturn", place))?;
                let Some(slot) = slot else {
                    return Err(("FrameworkOutOfBuffers", "the Tx pool is empty".into()));
                };
                let offset = (self.seed.rotate_left(step as u32) ^ pending.number) % MOST_OFFSET;
                let fragment = Fragment {
                    valid_length: len as u32,
                    capacity: super::buffers::SIZE as u32,
                    offset: offset as u16,
                    ..Fragment::default()
                };
                self.pool.bytes_mut(slot)[offset as usize..][..len].copy_from_slice(&bytes[from..from + len]);
                queue.write_fragment(index, fragment, self.pool.place(slot));
                self.slots[index as usize] = Some(slot);
                from += len;
            }
            let packet = Packet {
                fragment_index: first,
                fragment_count: lengths.len() as u16,
                l2_len: 14,
                l2_type: 2,
                ..Packet::default()
            };
            queue.clear_packet(queue.packets.header().end, packet);
            queue.fragments.give(lengths.len() as u32);
            queue.packets.give(1);
            self.books.post();
            moved += 1;
        }
        Ok(moved != 0)
    }

    /// Accounts the `count` packets just before BeginIndex, gives their buffers back, and clears the packets.
    ///
    /// # Errors
    /// A count is wrong.
    pub fn reap(&mut self, queue: &Queue, count: u32) -> Result<(), Fault> {
        let begin = queue.packets.header().begin;
        for step in (1..=count).rev() {
            let index = begin.wrapping_sub(step) & queue.packets.mask();
            let packet = Packet::read(&queue.packets.read(index));
            let first = Fragment::read(&queue.fragments.read(packet.fragment_index));
            let outcome = Outcome::from_scratch(packet.scratch, first.scratch);
            self.books.returned(outcome).map_err(|place| ("PacketReturnedTwice", place))?;
            for fragment in 0..u32::from(packet.fragment_count) {
                let at = packet.fragment_index.wrapping_add(fragment) & queue.fragments.mask();
                if let Some(slot) = self.slots[at as usize].take() {
                    self.pool.give(slot);
                }
            }
            queue.clear_packet(index, Packet::default());
        }
        Ok(())
    }

    /// The ring is empty at a pause: what waits completes PAUSED; books and buffers must agree.
    ///
    /// # Errors
    /// A frame or buffer is missing.
    pub fn paused(&mut self) -> Result<(), Fault> {
        self.books.pause();
        self.books.balance().map_err(|place| ("FramesDoNotBalance", place))?;
        self.pool.check_free().map_err(|place| ("TxBufferWrittenAfterReturn", place))?;
        if !self.pool.is_full() {
            return Err(("FrameworkOutOfBuffers", alloc::format!("{} Tx buffers are out", self.pool.out())));
        }
        Ok(())
    }
}
