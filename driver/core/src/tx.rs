//! A transmit packet queue: from the packet ring to the virtqueue and back, and its cancel.
//!
//! Packets go from EndIndex's side of the ring to the device in order (NextIndex), and back to the
//! framework in order (BeginIndex), whatever order the device completes them in. Before a packet goes
//! back, the driver's own bits say what became of it: the packet's Scratch is 1 iff it was cancelled,
//! its first fragment's Scratch is 1 iff it had been posted.
//!
//! Rules: CP13 to CP18 (`driver/docs/cancel-path.md`).

use cancelnic_mutants::Mutant;
use cancelnic_registers::{Caps, Direction, Op, State, TxOutcome};
use netadaptercx_sys::NET_PACKET;

use crate::{
    CancelForm, Fault,
    command::Answer,
    counters::TxCounters,
    hardware::{Doorbell, Registers},
    queue::{Flow, Queue},
    ring::Rings,
};

/// What posting one packet came to.
enum Posting {
    Posted,
    /// Not enough free descriptors now.
    NoRoom,
    /// No virtqueue of this size can hold it, or there is nothing in it to send.
    Impossible,
}

/// The direction of transmit queues.
#[derive(Debug)]
pub enum Transmit {}

/// A transmit packet queue. Without [`Caps::tx_cancel`] its cancel lets everything drain.
pub type TxQueue<'q, 'm> = Queue<'q, 'm, Transmit>;

impl Flow for Transmit {
    const DIRECTION: Direction = Direction::Tx;
    const FORGETS_TO_NOTIFY: Mutant = Mutant::ForgetsToNotifyTx;
    type Counters = TxCounters;

    fn can_cancel(caps: Caps) -> bool {
        caps.tx_cancel()
    }

    fn owed(rings: &Rings) -> u32 {
        rings.packets.owned()
    }

    fn advance(
        queue: &mut TxQueue<'_, '_>,
        _registers: &impl Registers,
        doorbell: &impl Doorbell,
    ) -> Option<Fault> {
        let fault = queue.reap();
        queue.take_up();
        if queue.mutant.is(Mutant::AsksForChecksums) {
            queue.virtqueue.ask_for_checksums();
        }
        if queue.virtqueue.publish() && !queue.mutant.is(Mutant::ForgetsDoorbell) {
            doorbell.ring();
        }
        // Packets that were skipped go back at once if nothing older is outstanding.
        fault.or(queue.reap())
    }

    fn look_again(queue: &TxQueue<'_, '_>, registers: &impl Registers, news: bool) -> Result<bool, Fault> {
        if queue.signals.is_lost() {
            return Ok(queue.virtqueue.outstanding() != 0);
        }
        if !queue.takes_back() || queue.port.answer(registers)? != Answer::Taken(State::Stopped) {
            return Ok(false);
        }
        // All used elements are visible (C5), no other will come.
        match queue.virtqueue.outstanding() {
            0 => Ok(false),
            _ if news || queue.virtqueue.has_news() => Ok(true),
            owed => Err(Fault::Incomplete(owed)),
        }
    }

    /// Gives back what the device never got, and what it has finished with already.
    fn cancel(queue: &mut TxQueue<'_, '_>, registers: &impl Registers) -> Option<Fault> {
        let mut fault = None;
        if queue.takes_back() && !queue.signals.is_lost() && !queue.mutant.is(Mutant::ForgetsCancel) {
            let told = queue.port.issue(registers, Op::Cancel);
            fault = told.and_then(|()| queue.port.answer(registers)).err();
        }
        let reaped = match queue.form {
            CancelForm::Iterator => {
                if queue.takes_back() {
                    queue.take_up();
                }
                queue.reap()
            }
            CancelForm::Older => queue.advance_begin_past_cancelled(),
        };
        fault.or(reaped)
    }
}

impl TxQueue<'_, '_> {
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
        let refuse = self.takes_back() || self.signals.is_lost();
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
                if !self.takes_back() || !self.take_up_one(begin) {
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
                self.mark_fate(index, completed.len);
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
            && self.takes_back()
            && is_last
            && self.rings.packet(index).Scratch())
    }

    /// Marks and counts a packet that the device has used.
    fn mark_fate(&mut self, index: u32, used_len: u32) {
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
