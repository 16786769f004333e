//! The translator above the receive ring: gives buffers to the driver, turns the frames that come into net buffer lists,
//! and takes buffers back when those lists have been returned.
//!
//! Rules: CX18, CX23 to CX26 (`driver/docs/netadaptercx.md`).

use crate::ke::Event;
use crate::ke::irqlock::IrqLock;
use crate::mm::buffers::{Pool, Slot};
use crate::ndis::flow;
use crate::ndis::memory::{self, Extent};
use crate::netcx::adapter;
use crate::netcx::queue::{Above, Fault, Queue};
use agent_protocol::QueueReport;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::{format, string::String, vec, vec::Vec};
use understudy_rules::frame::{self, Reading};
use understudy_rules::ndis::ledger::{List, Party};
use understudy_rules::netcx::element::{Fragment, Packet};
use understudy_rules::netcx::ledger::RxLedger;

/// Lists indicated per poll, as the framework limits it.
const PER_POLL: usize = 32;

/// The translator above a receive queue.
pub(super) struct Receive {
    state: IrqLock<Receiver>,
    /// Set when indicated lists came back.
    returned: Event,
}

/// Its state.
struct Receiver {
    pool: Pool,
    books: RxLedger,
    /// Frames go up: the gate is open. Behind a closed one they are read, counted and dropped.
    open: bool,
    /// Buffer of each fragment in the ring.
    slots: Vec<Option<Slot>>,
    /// Capacity of each buffer as the driver sees it.
    capacity: u32,
    /// Lists to be indicated.
    ready: VecDeque<List>,
    /// Buffers under each list that has been made and is not back.
    out: BTreeMap<List, Vec<Slot>>,
    /// Lists that came back, to be taken apart at the next poll.
    returned: Vec<List>,
}

/// One frame that the driver indicated.
struct Frame {
    /// Its number, if it is one of ours.
    number: Option<u64>,
    /// Where it lies.
    extents: Vec<Extent>,
    /// The same by buffer.
    slots: Vec<Slot>,
}

impl Receive {
    /// A translator with its gate closed, which goes on with these books, for rings of `ring` elements and buffers of
    /// `capacity` bytes as the driver sees them.
    ///
    /// # Errors
    /// There is not enough memory.
    pub(super) fn new(books: RxLedger, ring: u32, capacity: u32) -> Result<Self, String> {
        let pool = Pool::new(2 * ring as usize + 64)?;
        let state = IrqLock::new(Receiver::new(pool, books, ring, capacity));
        Ok(Self { state, returned: Event::auto() })
    }

    /// Opens or closes the gate.
    pub(super) fn set_open(&self, open: bool) {
        self.state.with(|receiver| receiver.open = open);
    }

    /// How many lists are above, or about to go there.
    pub(super) fn lists_out(&self) -> usize {
        self.state.with(|receiver| receiver.above())
    }

    /// Waits until lists came back, at most `us` microseconds. PASSIVE_LEVEL.
    pub(super) fn wait_returned(&self, us: u64) {
        self.returned.wait_timeout(us);
    }

    /// Lists have come back from above; their buffers are free at the next poll. Up to DISPATCH_LEVEL.
    pub(super) fn give_back(&self, lists: &[List]) {
        self.state.with(|receiver| receiver.returned.extend_from_slice(lists));
        self.returned.set();
    }

    /// The books, for the queue's next incarnation.
    pub(super) fn take_books(&self) -> RxLedger {
        self.state.with(|receiver| core::mem::take(&mut receiver.books))
    }
}

impl Above for Receive {
    fn fill(&self, queue: &Queue) -> Result<bool, Fault> {
        self.state.with(|receiver| receiver.fill(queue))
    }

    fn reap(&self, queue: &Queue, moved: (u32, u32)) -> Result<usize, Fault> {
        self.state.with(|receiver| receiver.reap(queue, moved))
    }

    fn recycle(&self) -> Result<bool, Fault> {
        self.state.with(Receiver::recycle)
    }

    fn hand_up(&self, _over: bool) -> bool {
        let ready = self.state.with(Receiver::take_ready);
        if !ready.is_empty() {
            flow::indicate_from_miniport(&ready);
        }
        !ready.is_empty()
    }

    fn stopped(&self) -> Result<(), Fault> {
        self.state.with(Receiver::stopped)
    }

    fn report(&self, queue: &str) -> QueueReport {
        self.state.with(|receiver| receiver.books.report(queue))
    }
}

impl Receiver {
    /// A receiver with its gate closed; `capacity` is MaximumFrameSize, at most a pool buffer's size.
    fn new(pool: Pool, books: RxLedger, fragments: u32, capacity: u32) -> Self {
        Self {
            pool,
            books,
            open: false,
            slots: vec![None; fragments as usize],
            capacity,
            ready: VecDeque::new(),
            out: BTreeMap::new(),
            returned: Vec::new(),
        }
    }

    /// Fills the rings with empty buffers. Returns whether any was given.
    ///
    /// # Errors
    /// A free buffer was written.
    fn fill(&mut self, queue: &Queue) -> Result<bool, Fault> {
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
    fn reap(&mut self, queue: &Queue, moved: (u32, u32)) -> Result<usize, Fault> {
        let mut ignored = 0;
        let begin = queue.packets.header().begin;
        for step in (1..=moved.0).rev() {
            let index = begin.wrapping_sub(step) & queue.packets.mask();
            let packet = Packet::read(&queue.packets.read(index));
            if packet.ignore {
                ignored += 1;
                self.books.empty();
                continue;
            }
            let frame = self.frame(queue, &packet)?;
            self.books.frame(frame.number);
            if self.open {
                self.make_list(queue, &packet, frame)?;
            }
        }
        // buffers that no list took with it go back to the pool by fragment, whichever packet named them
        let begin = queue.fragments.header().begin;
        for step in (1..=moved.1).rev() {
            let index = begin.wrapping_sub(step) & queue.fragments.mask();
            if let Some(slot) = self.slots[index as usize].take() {
                self.pool.give(slot);
            }
        }
        Ok(ignored)
    }

    fn make_list(&mut self, queue: &Queue, packet: &Packet, frame: Frame) -> Result<(), Fault> {
        // without memory for a list the frame is lost, as on a wire
        let Some(list) = memory::make(Party::Miniport, adapter::handle(), &frame.extents, 0) else {
            return Ok(());
        };
        for step in 0..u32::from(packet.fragment_count) {
            let index = packet.fragment_index.wrapping_add(step) & queue.fragments.mask();
            self.slots[index as usize] = None;
        }
        self.out.insert(list, frame.slots);
        self.ready.push_back(list);
        Ok(())
    }

    fn frame(&self, queue: &Queue, packet: &Packet) -> Result<Frame, Fault> {
        let mut bytes = Vec::new();
        let (mut extents, mut slots) = (Vec::new(), Vec::new());
        for step in 0..u32::from(packet.fragment_count) {
            let index = packet.fragment_index.wrapping_add(step) & queue.fragments.mask();
            let fragment = Fragment::read(&queue.fragments.read(index));
            let (from, len) = (usize::from(fragment.offset), fragment.valid_length as usize);
            let slot = self.slots[index as usize];
            let part = slot.and_then(|slot| Some((slot, self.pool.bytes(slot).get(from..from + len)?)));
            let Some((slot, part)) = part else {
                return Err(("RxFrameOutsideBuffer", format!("fragment {index}: {fragment:?}")));
            };
            bytes.extend_from_slice(part);
            slots.push(slot);
            extents.push(Extent { address: part.as_ptr() as usize, len });
        }
        let number = match frame::read(&bytes) {
            Reading::Numbered(number) => Some(number),
            Reading::Other => None,
            Reading::Damaged(place) => return Err(("RxFrameDamaged", place)),
        };
        Ok(Frame { number, extents, slots })
    }

    /// Lists to be indicated now.
    fn take_ready(&mut self) -> Vec<List> {
        let count = self.ready.len().min(PER_POLL);
        self.ready.drain(..count).collect()
    }

    /// How many lists are above, or about to go there.
    fn above(&self) -> usize {
        self.out.len() - self.returned.len()
    }

    /// Takes returned lists apart. Returns whether there was any.
    ///
    /// # Errors
    /// One of them is not what it was.
    fn recycle(&mut self) -> Result<bool, Fault> {
        let returned = core::mem::take(&mut self.returned);
        for &list in &returned {
            let slots = self.out.remove(&list).unwrap_or_default();
            memory::free(Party::Miniport, list).map_err(|broken| (broken.rule, broken.place))?;
            slots.into_iter().for_each(|slot| self.pool.give(slot));
        }
        Ok(!returned.is_empty())
    }

    /// The rings are empty: all buffers must be in the pool with their pattern.
    ///
    /// # Errors
    /// One is missing or was written.
    fn stopped(&mut self) -> Result<(), Fault> {
        self.recycle()?;
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
