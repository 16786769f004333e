//! The translator above the transmit ring: turns net buffer lists into packets and fragments, and packets that come back
//! into completed lists. Cancellation IDs do not concern it.
//!
//! Rules: CX19 to CX22 (`driver/docs/netadaptercx.md`).

use crate::ke::irqlock::IrqLock;
use crate::mm::buffers::{Pool, SIZE, Slot};
use crate::ndis::nbl::{Buffer, Nbl, Piece};
use crate::ndis::{books, flow};
use crate::netcx::queue::{Above, Fault, Queue};
use agent_protocol::QueueReport;
use alloc::{collections::VecDeque, format, string::String, vec::Vec};
use ndis_sys::{NDIS_STATUS_PAUSED, NDIS_STATUS_SUCCESS};
use understudy_rules::frame;
use understudy_rules::ndis::ledger::{Broken, List, Party};
use understudy_rules::netcx::element::{Fragment, Packet};
use understudy_rules::netcx::ledger::{Outcome, TxLedger};

/// Packets translated, and lists completed, per poll, as the framework limits it.
const PER_POLL: usize = 64;
/// A fragment's address is rounded down to this many bytes: what is left is its Offset.
const FRAGMENT_LINE: usize = 64;
/// Bytes of an Ethernet header.
const ETHERNET_HEADER: usize = 14;
/// Bounce buffers of a queue.
const BOUNCE_BUFFERS: usize = 64;

/// A NET_BUFFER in the packet ring.
struct Out {
    list: List,
    bounce: Option<Slot>,
}

/// How a NET_BUFFER goes into the ring. Bounced: more pieces than a packet may have, or memory in an image, whose pages
/// do not lie in one piece.
enum Translation {
    /// It cannot be sent: a packet without fragments that the driver skips.
    Ignored,
    /// Its pieces as they are.
    Direct(Vec<Piece>),
    /// Copied into one buffer.
    Bounced(Vec<u8>),
}

/// The translator above a transmit queue.
pub(super) struct Transmit(IrqLock<Sender>);

/// Its state.
struct Sender {
    bounce: Pool,
    books: TxLedger,
    /// New lists are taken: the gate is open.
    open: bool,
    /// Lists in front of the ring, the first one perhaps translated in part.
    queued: VecDeque<List>,
    /// NET_BUFFERs of the first one that are in the ring or were.
    begun: usize,
    /// What is in the ring, in order.
    out: VecDeque<Out>,
    /// Lists whose packets are all back.
    done: VecDeque<List>,
    /// Most fragments that a packet may have.
    most_fragments: usize,
    /// Longest frame, in bytes.
    longest: usize,
}

/// A list of the translator's.
fn list(list: List) -> Nbl {
    // SAFETY: the translator holds it: whoever passed it down does not touch it until it is completed.
    unsafe { Nbl::new(list) }
}

fn fault(broken: Broken) -> Fault {
    (broken.rule, broken.place)
}

impl Transmit {
    /// A translator with its gate closed, which goes on with these books.
    ///
    /// # Errors
    /// There is not enough memory.
    pub(super) fn new(books: TxLedger) -> Result<Self, String> {
        Ok(Self(IrqLock::new(Sender::new(books)?)))
    }

    /// Opens the gate, for packets of at most so many fragments and an MTU; `None`: as before.
    pub(super) fn open(&self, limits: Option<(usize, u32)>) {
        self.0.with(|sender| {
            if let Some((fragments, mtu)) = limits {
                sender.most_fragments = fragments;
                sender.set_mtu(mtu);
            }
            sender.open = true;
        });
    }

    /// Closes the gate.
    pub(super) fn close(&self) {
        self.0.with(|sender| sender.open = false);
    }

    /// Takes lists with their frames' numbers; returns those that met a closed gate. Up to DISPATCH_LEVEL.
    pub(super) fn accept(&self, lists: &[(List, Vec<Option<u64>>)]) -> Vec<List> {
        let mut refused = Vec::with_capacity(lists.len());
        self.0.with(|sender| {
            let met_closed = lists.iter().filter(|(list, numbers)| !sender.accept(*list, numbers));
            refused.extend(met_closed.map(|(list, _)| *list));
        });
        refused
    }

    /// Frames that somebody above completed NDIS_STATUS_PAUSED.
    pub(super) fn refuse(&self, numbers: &[Option<u64>]) {
        self.0.with(|sender| numbers.iter().flatten().for_each(|&number| sender.books.refuse(number)));
    }

    /// The books, for the queue's next incarnation.
    pub(super) fn take_books(&self) -> TxLedger {
        self.0.with(|sender| core::mem::take(&mut sender.books))
    }
}

impl Above for Transmit {
    fn fill(&self, queue: &Queue) -> Result<bool, Fault> {
        self.0.with(|sender| sender.fill(queue))
    }

    fn reap(&self, queue: &Queue, moved: (u32, u32)) -> Result<usize, Fault> {
        self.0.with(|sender| sender.reap(queue, moved.0)).map(|()| 0)
    }

    fn hand_up(&self, over: bool) -> bool {
        let (done, paused) = self.0.with(|sender| {
            let done = sender.take_done();
            // what never came into the ring goes back last
            let last = over && done.is_empty();
            (done, if last { sender.take_queued() } else { Vec::new() })
        });
        for (lists, status) in [(&done, NDIS_STATUS_SUCCESS), (&paused, NDIS_STATUS_PAUSED)] {
            if !lists.is_empty() {
                lists.iter().for_each(|&list| books::live(list).set_status(status));
                flow::complete(Party::Miniport, lists);
            }
        }
        !(done.is_empty() && paused.is_empty())
    }

    fn is_settled(&self) -> bool {
        self.0.with(|sender| sender.is_idle())
    }

    fn stopped(&self) -> Result<(), Fault> {
        self.0.with(Sender::paused)
    }

    fn report(&self, queue: &str) -> QueueReport {
        self.0.with(|sender| sender.books.report(queue))
    }
}

impl Sender {
    /// A sender with its gate closed.
    ///
    /// # Errors
    /// There is not enough memory.
    fn new(books: TxLedger) -> Result<Self, String> {
        Ok(Self {
            bounce: Pool::new(BOUNCE_BUFFERS)?,
            books,
            open: false,
            queued: VecDeque::new(),
            begun: 0,
            out: VecDeque::new(),
            done: VecDeque::new(),
            most_fragments: 1,
            longest: frame::LONGEST,
        })
    }

    /// Takes a list from above, unless the gate is closed: then the list stays the caller's, to be completed
    /// NDIS_STATUS_PAUSED. `numbers` are its frames'.
    fn accept(&mut self, given: List, numbers: &[Option<u64>]) -> bool {
        if self.open {
            // packets that are not back: none is in the ring yet
            list(given).set_miniport_word(numbers.len() as u64);
            self.queued.push_back(given);
            numbers.iter().for_each(|&number| self.books.give(number));
        } else {
            numbers.iter().flatten().for_each(|&number| self.books.refuse(number));
        }
        self.open
    }

    /// Whether no list is with the translator.
    fn is_idle(&self) -> bool {
        self.queued.is_empty() && self.out.is_empty() && self.done.is_empty()
    }

    /// Moves lists into the ring as far as there is room. Returns whether any packet moved.
    ///
    /// # Errors
    /// A free bounce buffer was written, or a list does not hold together.
    fn fill(&mut self, queue: &Queue) -> Result<bool, Fault> {
        let mut moved = 0;
        while moved < PER_POLL
            && let Some(&front) = self.queued.front()
        {
            let buffers = list(front).buffers().map_err(fault)?;
            let Some(&buffer) = buffers.get(self.begun) else {
                // all of it is in the ring, or it had no NET_BUFFER at all
                self.next_list(buffers.len());
                continue;
            };
            if queue.packets.free() == 0 || !self.post(queue, front, buffer)? {
                break;
            }
            self.begun += 1;
            moved += 1;
            if self.begun == buffers.len() {
                self.next_list(buffers.len());
            }
        }
        Ok(moved != 0)
    }

    fn next_list(&mut self, buffers: usize) {
        self.begun = 0;
        if let Some(front) = self.queued.pop_front()
            && buffers == 0
        {
            self.done.push_back(front);
        }
    }

    fn translate(&self, buffer: Buffer) -> Result<Translation, Fault> {
        let pieces = buffer.pieces().map_err(fault)?;
        let len: usize = pieces.iter().map(|piece| piece.len).sum();
        if len == 0 || len > self.longest {
            return Ok(Translation::Ignored);
        }
        let reachable = pieces.iter().all(|piece| crate::mm::watched::physical(piece.address).is_some());
        if pieces.len() > self.most_fragments || !reachable {
            return Ok(Translation::Bounced(buffer.copy().map_err(fault)?));
        }
        Ok(Translation::Direct(pieces))
    }

    /// Puts one NET_BUFFER into the ring, where there is room for it.
    fn post(&mut self, queue: &Queue, front: List, buffer: Buffer) -> Result<bool, Fault> {
        let translation = self.translate(buffer)?;
        let first = queue.fragments.header().end;
        let mut packet = Packet { fragment_index: first, l2_len: 14, l2_type: 2, ..Packet::default() };
        let mut bounce = None;
        match &translation {
            Translation::Ignored => packet.ignore = true,
            Translation::Direct(pieces) => {
                if (queue.fragments.free() as usize) < pieces.len() {
                    return Ok(false);
                }
                for (step, piece) in pieces.iter().enumerate() {
                    let index = first.wrapping_add(step as u32) & queue.fragments.mask();
                    let offset = piece.address % FRAGMENT_LINE;
                    let fragment = Fragment {
                        valid_length: piece.len as u32,
                        capacity: (offset + piece.len) as u32,
                        offset: offset as u16,
                        ..Fragment::default()
                    };
                    let address = piece.address - offset;
                    let physical = crate::mm::watched::physical(address).unwrap_or_default();
                    queue.write_fragment(index, fragment, (address, physical));
                }
                packet.fragment_count = pieces.len() as u16;
            }
            Translation::Bounced(bytes) => {
                if queue.fragments.free() == 0 {
                    return Ok(false);
                }
                // without a buffer it waits for one to come back
                let slot = self.bounce.take().map_err(|place| ("TxBufferWrittenAfterReturn", place))?;
                let Some(slot) = slot else { return Ok(false) };
                self.bounce.bytes_mut(slot)[..bytes.len()].copy_from_slice(bytes);
                let fragment = Fragment {
                    valid_length: bytes.len() as u32,
                    capacity: SIZE as u32,
                    bounced: true,
                    ..Fragment::default()
                };
                queue.write_fragment(first, fragment, self.bounce.place(slot));
                packet.fragment_count = 1;
                bounce = Some(slot);
            }
        }
        queue.clear_packet(queue.packets.header().end, packet);
        queue.fragments.give(packet.fragment_count.into());
        queue.packets.give(1);
        self.books.post(packet.ignore);
        self.out.push_back(Out { list: front, bounce });
        Ok(true)
    }

    /// Accounts the `count` packets just before BeginIndex, gives their buffers back, and clears the packets.
    ///
    /// # Errors
    /// A count is wrong.
    fn reap(&mut self, queue: &Queue, count: u32) -> Result<(), Fault> {
        let begin = queue.packets.header().begin;
        for step in (1..=count).rev() {
            let index = begin.wrapping_sub(step) & queue.packets.mask();
            let packet = Packet::read(&queue.packets.read(index));
            let first = Fragment::read(&queue.fragments.read(packet.fragment_index));
            let outcome = Outcome::from_scratch(packet.scratch, first.scratch);
            self.books.returned(outcome).map_err(|place| {
                if packet.ignore { ("IgnoredPacketMarked", place) } else { ("PacketReturnedTwice", place) }
            })?;
            if let Some(out) = self.out.pop_front() {
                out.bounce.into_iter().for_each(|slot| self.bounce.give(slot));
                self.packet_back(out.list);
            }
            queue.clear_packet(index, Packet::default());
        }
        Ok(())
    }

    fn packet_back(&mut self, of: List) {
        let left = list(of).miniport_word() - 1;
        list(of).set_miniport_word(left);
        if left == 0 {
            self.done.push_back(of);
        }
    }

    /// Lists that are to be completed NDIS_STATUS_SUCCESS now, in the framework's order: reversed.
    fn take_done(&mut self) -> Vec<List> {
        let count = self.done.len().min(PER_POLL);
        let mut lists: Vec<List> = self.done.drain(..count).collect();
        lists.reverse();
        lists
    }

    /// Lists that a pause leaves in front of the empty ring, to be completed NDIS_STATUS_PAUSED; one that was
    /// translated in part comes last.
    fn take_queued(&mut self) -> Vec<List> {
        self.books.pause();
        let mut lists: Vec<List> = self.queued.drain(..).collect();
        if core::mem::take(&mut self.begun) != 0 {
            lists.rotate_left(1);
        }
        lists
    }

    /// The queue is about to be stopped: books and buffers must agree.
    ///
    /// # Errors
    /// A frame or buffer is missing.
    fn paused(&mut self) -> Result<(), Fault> {
        self.books.balance().map_err(|place| ("FramesDoNotBalance", place))?;
        self.bounce.check_free().map_err(|place| ("TxBufferWrittenAfterReturn", place))?;
        if !self.bounce.is_full() || !self.is_idle() {
            let place = format!("{} Tx buffers are out, idle: {}", self.bounce.out(), self.is_idle());
            return Err(("FrameworkOutOfBuffers", place));
        }
        Ok(())
    }

    /// Longest frame for an MTU: header and payload.
    fn set_mtu(&mut self, mtu: u32) {
        self.longest = (mtu as usize + ETHERNET_HEADER).min(SIZE);
    }
}
