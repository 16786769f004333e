//! A transmit packet queue: from the packet ring to the virtqueue and back, and its cancel.
//!
//! Packets go from EndIndex's side of the ring to the device in order (NextIndex), and back to the
//! framework in order (BeginIndex), whatever order the device completes them in. Before a packet goes
//! back, the driver's own bits say what became of it: the packet's Scratch is 1 iff it was cancelled,
//! its first fragment's Scratch is 1 iff it had been posted.

use cancelnic_registers::{Caps, Direction, Op, State, TxOutcome};
use netadaptercx_sys::NET_PACKET;

use crate::{
    Fault, Mutant, Outcome,
    command::{Answer, CommandPort},
    counters::{StopLine, TxCounters},
    hardware::{Doorbell, Notify, Registers},
    outcome::Waiting,
    ring::Rings,
    signals::Signals,
    virtqueue::Virtqueue,
};

/// What posting one packet came to.
enum Posting {
    Posted,
    /// Not enough free descriptors now.
    NoRoom,
    /// No virtqueue of this size can hold it, or there is nothing in it to send.
    Impossible,
}

/// A transmit packet queue. Its methods are called from the callbacks of the same names, never two at
/// a time.
pub struct TxQueue<'q, 'm> {
    virtqueue: &'q mut Virtqueue<'m>,
    rings: Rings,
    signals: &'q Signals,
    port: CommandPort,
    pair: u8,
    can_cancel: bool,
    mutant: Mutant,
    /// EvtCancel came and the hardware takes packets back: nothing more is posted.
    cancelled: bool,
    /// EvtCancel came: the queue only empties.
    ending: bool,
    counters: TxCounters,
}

impl<'q, 'm> TxQueue<'q, 'm> {
    /// A queue over `virtqueue`, which has nothing outstanding. Without [`Caps::tx_cancel`] its cancel
    /// lets everything drain. `None` if the device has no registers for queue pair `pair`.
    #[must_use]
    pub fn new(
        virtqueue: &'q mut Virtqueue<'m>,
        rings: Rings,
        signals: &'q Signals,
        pair: u8,
        caps: Caps,
        mutant: Mutant,
    ) -> Option<Self> {
        Some(Self {
            virtqueue,
            rings,
            signals,
            port: CommandPort::new(Direction::Tx, pair)?,
            pair,
            can_cancel: caps.tx_cancel(),
            mutant,
            cancelled: false,
            ending: false,
            counters: TxCounters::default(),
        })
    }

    /// EvtStart, PASSIVE_LEVEL. The framework has set the rings' indices to 0; the virtqueue goes on
    /// where it was.
    pub fn start(&mut self, registers: &impl Registers) -> Outcome {
        self.cancelled = false;
        self.ending = false;
        if !self.can_cancel || self.signals.is_lost() || self.mutant.forgets_resume() {
            return Outcome::default();
        }
        let resumed = self.port.issue(registers, Op::Resume).and_then(|()| self.port.answer(registers));
        Outcome::of(resumed.err())
    }

    /// EvtAdvance, at most DISPATCH_LEVEL: returns what is finished, posts what is new.
    pub fn advance(&mut self, doorbell: &impl Doorbell) -> Outcome {
        let before = self.rings.packets.begin();
        let mut fault = self.reap();
        self.take_up();
        if self.virtqueue.publish() {
            doorbell.ring();
        }
        // Packets that were skipped go back at once if nothing older is outstanding.
        fault = fault.or(self.reap());
        self.outcome(fault, self.rings.packets.begin() != before)
    }

    /// EvtSetNotificationEnabled(TRUE), at most DISPATCH_LEVEL: arms the interrupt, then looks once
    /// more, for what came meanwhile causes none.
    pub fn set_notification_enabled(&mut self, registers: &impl Registers, notify: &impl Notify) -> Outcome {
        self.signals.arm();
        let mut work = self.virtqueue.enable_interrupt();
        let mut fault = None;
        if self.signals.is_lost() {
            work |= self.virtqueue.outstanding() != 0;
        } else if self.cancelled {
            match self.port.answer(registers) {
                Ok(Answer::Taken(State::Stopped)) => {
                    // All used elements are visible (C5), no other will come.
                    work |= self.virtqueue.has_news();
                    let owed = self.virtqueue.outstanding();
                    if !work && owed != 0 {
                        fault = Some(Fault::Incomplete(owed));
                    }
                }
                Ok(_) => {}
                Err(error) => fault = Some(error),
            }
        }
        if work && self.signals.take_armed() {
            notify.notify();
        }
        Outcome::of(fault)
    }

    /// EvtCancel, at most DISPATCH_LEVEL, without waiting: tells the device to take everything back,
    /// gives back what it never got, and what it has finished with already. The rest comes back
    /// through [`Self::advance`].
    pub fn cancel(&mut self, registers: &impl Registers) -> Outcome {
        self.ending = true;
        let mut fault = None;
        if self.can_cancel {
            self.cancelled = true;
            if !self.signals.is_lost() {
                let told = self.port.issue(registers, Op::Cancel);
                fault = told.and_then(|()| self.port.answer(registers)).err();
            }
            self.take_up();
        }
        let reaped = self.reap();
        self.outcome(fault.or(reaped), true)
    }

    /// EvtStop, PASSIVE_LEVEL: nothing is outstanding. The glue calls [`Signals::disarm`] under its
    /// lock before this.
    #[must_use]
    pub fn stop(&mut self) -> StopLine {
        debug_assert_eq!(self.owed(), 0, "stopped with packets outstanding");
        self.ending = false;
        StopLine::Tx { index: self.pair, counters: self.counters }
    }

    /// Packets that the driver owns.
    #[must_use]
    pub fn owed(&self) -> u32 {
        self.rings.packets.owned()
    }

    /// Counted since the queue was made.
    #[must_use]
    pub fn counters(&self) -> TxCounters {
        self.counters
    }

    fn outcome(&self, fault: Option<Fault>, progress: bool) -> Outcome {
        let waiting = match (self.ending, self.owed()) {
            (true, 0) => Waiting::Ended,
            (true, _) if progress => Waiting::Began,
            _ => Waiting::Unchanged,
        };
        Outcome { fault, waiting }
    }

    /// Posts new packets, or marks them as never posted once there is no device to post them to.
    fn take_up(&mut self) {
        let refuse = self.cancelled || self.signals.is_lost();
        let ring = self.rings.packets;
        let end = ring.end();
        let mut next = ring.next();
        while next != end {
            self.clear_marks(next);
            let packet = self.rings.packet(next);
            if !packet.Ignore() && packet.FragmentCount != 0 {
                let posting = if refuse { Posting::Impossible } else { self.post(next, &packet) };
                match posting {
                    Posting::Posted => self.counters.posted += 1,
                    Posting::NoRoom => break,
                    Posting::Impossible => {
                        self.rings.update_packet(next, |packet| packet.set_Scratch(true));
                        self.counters.never_posted += 1;
                    }
                }
            }
            next = ring.after(next, 1);
        }
        ring.set_next(next);
    }

    /// The framework hands out elements with whatever bits the driver left in them.
    fn clear_marks(&self, index: u32) {
        let packet = self.rings.packet(index);
        if packet.Scratch() {
            self.rings.update_packet(index, |packet| packet.set_Scratch(false));
        }
        if packet.FragmentCount != 0 && self.rings.fragment(packet.FragmentIndex).Scratch() {
            self.rings.update_fragment(packet.FragmentIndex, |fragment| fragment.set_Scratch(false));
        }
    }

    fn post(&mut self, index: u32, packet: &NET_PACKET) -> Posting {
        let rings = self.rings;
        let first = packet.FragmentIndex;
        let parts = (0..u32::from(packet.FragmentCount))
            .map(move |n| rings.valid_part(rings.fragments.after(first, n)))
            .filter(|part| part.len != 0);
        let count = parts.clone().count();
        if count == 0 || count >= usize::from(self.virtqueue.size()) {
            return Posting::Impossible;
        }
        if !self.virtqueue.post(index, parts, count as u16) {
            return Posting::NoRoom;
        }
        rings.update_fragment(first, |fragment| fragment.set_Scratch(true));
        Posting::Posted
    }

    /// Returns finished packets to the framework, the oldest first.
    fn reap(&mut self) -> Option<Fault> {
        let lost = self.signals.is_lost();
        let fault = self.virtqueue.poll().err().map(Fault::from);
        let ring = self.rings.packets;
        let next = ring.next();
        let mut begin = ring.begin();
        let mut fragments = None;
        while begin != next {
            if self.virtqueue.oldest() == Some(begin) {
                if let Some(completed) = self.virtqueue.pop() {
                    self.settle(begin, completed.len);
                } else if lost && self.virtqueue.abandon_oldest().is_some() {
                    self.rings.update_packet(begin, |packet| packet.set_Scratch(true));
                    self.counters.lost += 1;
                } else {
                    break;
                }
            }
            let packet = self.rings.packet(begin);
            let after = ring.after(begin, 1);
            if self.mutant.keeps_a_packet() && self.cancelled && packet.Scratch() && after == ring.end() {
                break;
            }
            if packet.FragmentCount != 0 {
                let count = u32::from(packet.FragmentCount);
                fragments = Some(self.rings.fragments.after(packet.FragmentIndex, count));
            }
            begin = after;
        }
        ring.set_begin(begin);
        if let Some(fragments) = fragments {
            self.rings.fragments.set_begin(fragments);
        }
        // A lost device's faults are known.
        if lost { None } else { fault }
    }

    /// Marks and counts a packet that the device has used.
    fn settle(&mut self, index: u32, used_len: u32) {
        let cancelled = match TxOutcome::from_used_len(used_len) {
            Some(TxOutcome::TakenBack) => {
                self.counters.taken_back += 1;
                true
            }
            Some(TxOutcome::Refused) => {
                self.counters.refused += 1;
                true
            }
            // virtio lets a device write anything here for a frame that it sent
            Some(TxOutcome::Sent) | None => {
                self.counters.sent += 1;
                false
            }
        };
        if cancelled {
            self.rings.update_packet(index, |packet| packet.set_Scratch(true));
        }
    }
}
