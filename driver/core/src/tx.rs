//! A transmit packet queue: from the packet ring to the virtqueue and back, and its cancel.
//!
//! Packets go from EndIndex's side of the ring to the device in order (NextIndex), and back to the
//! framework in order (BeginIndex), whatever order the device completes them in. Before a packet goes
//! back, the driver's own bits say what became of it: the packet's Scratch is 1 iff it was cancelled,
//! its first fragment's Scratch is 1 iff it had been posted.
//!
//! Rules: CP13 to CP18 (`driver/docs/cancel-path.md`).

use cancelnic_mutants::{Mutant, Shown};
use cancelnic_registers::{Caps, Direction, Op, State, TxOutcome};
use netadaptercx_sys::NET_PACKET;

use crate::{
    CancelForm, Fault, Outcome,
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
    form: CancelForm,
    mutant: Shown,
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
        form: CancelForm,
        mutant: Shown,
    ) -> Option<Self> {
        Some(Self {
            virtqueue,
            rings,
            signals,
            port: CommandPort::new(Direction::Tx, pair)?,
            pair,
            can_cancel: caps.tx_cancel(),
            form,
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
        if !self.can_cancel || self.signals.is_lost() || self.mutant.is(Mutant::ForgetsResume) {
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
        if self.virtqueue.publish() && !self.mutant.is(Mutant::ForgetsDoorbell) {
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
        if work && !self.mutant.is(Mutant::ForgetsToNotifyTx) && self.signals.take_armed() {
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
            if !self.signals.is_lost() && !self.mutant.is(Mutant::ForgetsCancel) {
                let told = self.port.issue(registers, Op::Cancel);
                fault = told.and_then(|()| self.port.answer(registers)).err();
            }
        }
        let reaped = match self.form {
            CancelForm::Iterator => {
                if self.cancelled {
                    self.take_up();
                }
                self.reap()
            }
            CancelForm::Older => self.advance_begin_past_cancelled(),
        };
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
        let mut unposted = self.rings.post_packets();
        while unposted.has_any() && self.take_up_one(unposted.index()) {
            unposted.advance();
        }
        unposted.set();
    }

    /// The same for the packet at NextIndex alone; `false` if it has to wait.
    fn take_up_one(&mut self, index: u32) -> bool {
        self.clear_marks(index);
        let packet = self.rings.packet(index);
        if packet.Ignore() || packet.FragmentCount == 0 {
            return true;
        }
        let refuse = self.cancelled || self.signals.is_lost();
        match if refuse { Posting::Impossible } else { self.post(index, &packet) } {
            Posting::Posted => self.counters.posted += 1,
            Posting::NoRoom => return false,
            Posting::Impossible => {
                self.rings.update_packet(index, |packet| packet.set_Scratch(true));
                self.counters.never_posted += 1;
            }
        }
        true
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
        let (fault, lost) = self.poll();
        let mut fragments = None;
        let mut posted = self.rings.drain_packets();
        while posted.has_any() && self.is_finished(posted.index(), lost) {
            let packet = self.rings.packet(posted.index());
            if packet.FragmentCount != 0 {
                let count = u32::from(packet.FragmentCount);
                fragments = Some(self.rings.fragments.after(packet.FragmentIndex, count));
            }
            posted.advance();
        }
        posted.set();
        if let Some(fragments) = fragments {
            self.rings.fragments.set_begin(fragments);
        }
        fault
    }

    /// EvtCancel in the older form: BeginIndex itself advances past every packet that is finished or
    /// was never posted. What lies behind one that the device still has is left to
    /// [`Self::advance`].
    fn advance_begin_past_cancelled(&mut self) -> Option<Fault> {
        let (fault, lost) = self.poll();
        let ring = self.rings.packets;
        while ring.owned() != 0 {
            let begin = ring.begin();
            if begin == ring.next() {
                if !self.cancelled || !self.take_up_one(begin) {
                    break;
                }
                ring.set_next(ring.after(begin, 1));
            }
            if !self.is_finished(begin, lost) {
                break;
            }
            self.rings.advance_begin_index();
        }
        fault
    }

    /// Looks at what the device has used. Tells whether the queue was lost before: then all that was ever
    /// used has been seen, and faults are known.
    fn poll(&mut self) -> (Option<Fault>, bool) {
        let lost = self.signals.is_lost();
        let fault = self.virtqueue.poll().err().map(Fault::from);
        (fault.filter(|_| !lost), lost)
    }

    /// Whether the packet at BeginIndex may go back; marks and counts it where the device is done with it.
    fn is_finished(&mut self, index: u32, lost: bool) -> bool {
        let skipped = self.mutant.is(Mutant::ReturnsBeforeUsed)
            || self.mutant.is(Mutant::SkipsACompletion) && index == 19;
        if self.virtqueue.oldest() == Some(index) && !skipped {
            if let Some(completed) = self.virtqueue.pop() {
                self.settle(index, completed.len);
            } else if lost && self.virtqueue.abandon_oldest().is_some() {
                self.rings.update_packet(index, |packet| packet.set_Scratch(true));
                self.counters.lost += 1;
            } else {
                return false;
            }
        }
        let ring = self.rings.packets;
        let is_last = ring.after(index, 1) == ring.end();
        !(self.mutant.is(Mutant::KeepsAPacket)
            && self.cancelled
            && is_last
            && self.rings.packet(index).Scratch())
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
                self.mutant.is(Mutant::MarksSentAsTakenBack) && self.counters.sent.is_multiple_of(4)
            }
        };
        if cancelled {
            self.rings.update_packet(index, |packet| packet.set_Scratch(true));
        }
    }
}
