//! A receive packet queue: buffers to the device, frames to the framework, and its cancel.
//!
//! One packet and one fragment make a pair, posted as one chain and returned in order: with a frame,
//! or with Ignore set and the packet otherwise untouched. Both go back in the same call.
//!
//! The rule that everything else here serves: **no buffer goes back while the device may still write
//! it.** After EvtCancel that is proven by the queue's STATE reading STOPPED, by a reset that was
//! answered ([`crate::signals::Signals::mark_lost`]), or by registers that read all ones.
//!
//! Rules: CP10, CP22, CP23 (`driver/docs/cancel-path.md`).

use cancelnic_mutants::Mutant;
use cancelnic_registers::{Caps, Direction, Op, State};
use netadaptercx_sys::NET_PACKET_LAYOUT;

use crate::{
    Fault,
    command::Answer,
    counters::RxCounters,
    hardware::{Doorbell, Registers},
    queue::{Flow, Queue},
    ring::Rings,
    virtqueue::NET_HEADER_LEN,
};

/// Looks at STATE that EvtCancel takes at most. The device is normally STOPPED at the first.
const CANCEL_LOOKS: u32 = 4;

/// Shortest frame that has an Ethernet header, bytes.
const ETHERNET_HEADER_LEN: u32 = 14;

/// The direction of receive queues.
#[derive(Debug)]
pub enum Receive {}

/// A receive packet queue.
pub type RxQueue<'q, 'm> = Queue<'q, 'm, Receive>;

impl Flow for Receive {
    const DIRECTION: Direction = Direction::Rx;
    const FORGETS_TO_NOTIFY: Mutant = Mutant::ForgetsToNotifyRx;
    type Counters = RxCounters;

    /// The driver starts no device without it ([`crate::identity`]).
    fn can_cancel(_caps: Caps) -> bool {
        true
    }

    fn owed(rings: &Rings) -> u32 {
        rings.packets.owned().max(rings.fragments.owned())
    }

    fn advance(
        queue: &mut RxQueue<'_, '_>,
        registers: &impl Registers,
        doorbell: &impl Doorbell,
    ) -> Option<Fault> {
        if queue.signals.is_lost() {
            return queue.lost();
        }
        let fault = queue.indicate(queue.cancelled);
        if queue.cancelled {
            fault.or_else(|| queue.finish(registers, 1))
        } else {
            queue.post(doorbell);
            fault
        }
    }

    fn look_again(queue: &RxQueue<'_, '_>, registers: &impl Registers, _news: bool) -> Result<bool, Fault> {
        if !queue.cancelled || queue.owed() == 0 {
            return Ok(false);
        }
        if queue.signals.is_lost() {
            return Ok(true);
        }
        match queue.port.answer(registers) {
            Ok(Answer::Taken(State::Stopped)) | Err(Fault::Gone) => Ok(true),
            Ok(_) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Indicates what the device has completed, and returns the rest if the device is proven quiet within a few looks. If
    /// it is not, the queue is armed, whether the framework has asked for it or not: it may stop polling now, and the
    /// interrupt that follows STOPPED (C7) brings on EvtAdvance.
    fn cancel(queue: &mut RxQueue<'_, '_>, registers: &impl Registers) -> Option<Fault> {
        let leaves_the_rest = queue.mutant.is(Mutant::LeavesTheRestToAdvance);
        if leaves_the_rest {
            queue.signals.disarm();
        }
        if queue.signals.is_lost() {
            return queue.lost();
        }
        match queue.port.issue(registers, Op::Cancel) {
            Err(fault) => {
                // Gone, hence quiet: nothing was written, nothing will be.
                queue.return_all();
                Some(fault)
            }
            Ok(()) if queue.mutant.is(Mutant::ReturnsBeforeStopped) => {
                queue.return_all();
                None
            }
            Ok(()) if leaves_the_rest => queue.indicate(true),
            Ok(()) => queue.indicate(true).or_else(|| queue.finish_or_arm(registers)),
        }
    }
}

impl RxQueue<'_, '_> {
    /// Gives the device every buffer that there is a packet and a chain for.
    fn post(&mut self, doorbell: &impl Doorbell) {
        let Rings { packets, fragments, .. } = self.rings;
        let (packet_end, fragment_end) = (packets.end(), fragments.end());
        let (mut packet, mut fragment) = (packets.next(), fragments.next());
        while packet != packet_end && fragment != fragment_end {
            let buffer = self.rings.whole_buffer(fragment);
            if buffer.len == 0 || !self.virtqueue.post(packet, core::iter::once(buffer), 1) {
                break;
            }
            self.counters.posted += 1;
            packet = packets.after(packet, 1);
            fragment = fragments.after(fragment, 1);
        }
        packets.set_next(packet);
        fragments.set_next(fragment);
        if self.virtqueue.publish() {
            doorbell.ring();
        }
    }

    /// Returns what the device has completed, the oldest first. With `hold_empty` it ends at the first
    /// buffer without a frame.
    fn indicate(&mut self, hold_empty: bool) -> Option<Fault> {
        let fault = self.virtqueue.poll().err().map(Fault::from);
        while let Some(completed) = self.virtqueue.peek() {
            debug_assert_eq!(completed.token, self.rings.packets.begin());
            let fragment = self.rings.fragments.begin();
            match frame_length(completed.len, self.rings.fragment(fragment).Capacity()) {
                Some(length) => self.return_frame(length),
                None if hold_empty => break,
                None => {
                    self.return_empty();
                    if !self.cancelled {
                        self.counters.malformed += 1;
                    }
                }
            }
            self.virtqueue.pop();
        }
        fault
    }

    /// Looks at STATE up to `looks` times and returns everything once the device is proven quiet.
    fn finish(&mut self, registers: &impl Registers, looks: u32) -> Option<Fault> {
        if self.owed() == 0 {
            return None;
        }
        for _ in 0..looks {
            match self.port.answer(registers) {
                Ok(Answer::Taken(State::Stopped)) => {
                    // A frame may have been finished since the last look at the ring; C5 makes it
                    // visible now.
                    return match self.return_all() {
                        0 => None,
                        owed => Some(Fault::Incomplete(owed)),
                    };
                }
                Ok(_) => {}
                Err(Fault::Gone) => {
                    self.return_all();
                    return Some(Fault::Gone);
                }
                Err(fault) => return Some(fault),
            }
        }
        None
    }

    /// [`Self::finish`] in EvtCancel, whose last look at STATE comes after arming: no wake is lost.
    fn finish_or_arm(&mut self, registers: &impl Registers) -> Option<Fault> {
        let fault = self.finish(registers, CANCEL_LOOKS - 1);
        if fault.is_some() || self.owed() == 0 {
            return fault;
        }
        self.signals.arm();
        self.finish(registers, 1)
    }

    /// The device will write no more. While the framework still wants frames, buffers are kept: it
    /// would hand them out again at once, for ever.
    fn lost(&mut self) -> Option<Fault> {
        if self.cancelled {
            self.return_all();
        } else {
            self.indicate(true);
        }
        None
    }

    /// Returns every packet and every fragment: frames that are complete as frames, the others empty.
    /// The device is quiet. Tells how many chains it never used.
    fn return_all(&mut self) -> u16 {
        self.indicate(false);
        let mut owed = 0;
        while self.virtqueue.abandon_oldest().is_some() {
            owed += 1;
        }
        self.counters.returned_empty += u64::from(self.form.return_all(&self.rings));
        owed
    }

    /// Returns the oldest packet with a frame of `length` bytes in the oldest fragment.
    fn return_frame(&mut self, length: u32) {
        let Rings { packets, fragments, .. } = self.rings;
        let (packet, fragment) = (packets.begin(), fragments.begin());
        self.rings.update_packet(packet, |packet| {
            packet.FragmentIndex = fragment;
            packet.FragmentCount = 1;
            // Unspecified in every layer: the framework parses the frame itself.
            packet.Layout = NET_PACKET_LAYOUT { Bits: [0, 0, 0, 0, packet.Layout.Bits[4] & 0xf0] };
        });
        self.rings.update_fragment(fragment, |fragment| {
            fragment.set_ValidLength(length);
            fragment.set_Offset(0);
        });
        self.counters.received += 1;
        packets.set_begin(packets.after(packet, 1));
        fragments.set_begin(fragments.after(fragment, 1));
    }

    /// Returns the oldest packet without a frame, and the oldest fragment if there is one.
    fn return_empty(&mut self) {
        let Rings { packets, fragments, .. } = self.rings;
        let packet = packets.begin();
        self.rings.update_packet(packet, |packet| packet.set_Ignore(true));
        self.counters.returned_empty += 1;
        packets.set_begin(packets.after(packet, 1));
        if fragments.owned() != 0 {
            let fragment = fragments.begin();
            self.rings.update_fragment(fragment, |fragment| {
                fragment.set_ValidLength(0);
                fragment.set_Offset(0);
            });
            fragments.set_begin(fragments.after(fragment, 1));
        }
    }
}

/// Length of the frame in a buffer of `capacity` bytes whose used element says `used_len`; `None` if
/// that is no Ethernet frame, or more than the device was given.
fn frame_length(used_len: u32, capacity: u32) -> Option<u32> {
    let length = used_len.checked_sub(NET_HEADER_LEN)?;
    (ETHERNET_HEADER_LEN..=capacity).contains(&length).then_some(length)
}
