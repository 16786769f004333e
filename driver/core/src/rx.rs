//! A receive packet queue: buffers to the device, frames to the framework, and its cancel.
//!
//! One packet and one fragment make a pair, posted as one chain and returned in order: with a frame,
//! or with Ignore set and the packet otherwise untouched. Both go back in the same call.
//!
//! The rule that everything else here serves: **no buffer goes back while the device may still write
//! it.** After EvtCancel that is proven by the queue's STATE reading STOPPED, by a reset that was
//! answered ([`Signals::mark_lost`]), or by registers that read all ones.
//!
//! Rules: CP10, CP22, CP23 (`driver/docs/cancel-path.md`).

use cancelnic_mutants::{Mutant, Shown};
use cancelnic_registers::{Direction, Op, State};
use netadaptercx_sys::NET_PACKET_LAYOUT;

use crate::{
    CancelForm, Fault, Outcome,
    command::{Answer, CommandPort},
    counters::{RxCounters, StopLine},
    hardware::{Doorbell, Notify, Registers},
    outcome::Waiting,
    ring::Rings,
    signals::Signals,
    virtqueue::{NET_HEADER_LEN, Virtqueue},
};

/// Looks at STATE that EvtCancel takes at most. The device is normally STOPPED at the first.
const CANCEL_LOOKS: u32 = 4;

/// Shortest frame that has an Ethernet header, bytes.
const ETHERNET_HEADER_LEN: u32 = 14;

/// A receive packet queue. Its methods are called from the callbacks of the same names, never two at a
/// time.
pub struct RxQueue<'q, 'm> {
    virtqueue: &'q mut Virtqueue<'m>,
    rings: Rings,
    signals: &'q Signals,
    port: CommandPort,
    pair: u8,
    form: CancelForm,
    mutant: Shown,
    /// EvtCancel came: nothing more is posted.
    cancelled: bool,
    counters: RxCounters,
}

impl<'q, 'm> RxQueue<'q, 'm> {
    /// A queue over `virtqueue`, which has nothing outstanding. `None` if the device has no registers
    /// for queue pair `pair`.
    #[must_use]
    pub fn new(
        virtqueue: &'q mut Virtqueue<'m>,
        rings: Rings,
        signals: &'q Signals,
        pair: u8,
        form: CancelForm,
        mutant: Shown,
    ) -> Option<Self> {
        Some(Self {
            virtqueue,
            rings,
            signals,
            port: CommandPort::new(Direction::Rx, pair)?,
            pair,
            form,
            mutant,
            cancelled: false,
            counters: RxCounters::default(),
        })
    }

    /// EvtStart, PASSIVE_LEVEL. The framework has set the rings' indices to 0; the virtqueue goes on
    /// where it was. Buffers are posted by the next [`Self::advance`].
    pub fn start(&mut self, registers: &impl Registers) -> Outcome {
        self.cancelled = false;
        if self.signals.is_lost() || self.mutant.is(Mutant::ForgetsResume) {
            return Outcome::default();
        }
        let resumed = self.port.issue(registers, Op::Resume).and_then(|()| self.port.answer(registers));
        Outcome::of(resumed.err())
    }

    /// EvtAdvance, at most DISPATCH_LEVEL: indicates frames and posts buffers; after EvtCancel it
    /// returns everything once the device is proven quiet.
    pub fn advance(&mut self, registers: &impl Registers, doorbell: &impl Doorbell) -> Outcome {
        let before = self.rings.packets.begin();
        let fault = if self.signals.is_lost() {
            self.lost()
        } else {
            let fault = self.indicate(self.cancelled);
            if self.cancelled {
                fault.or_else(|| self.finish(registers, 1))
            } else {
                self.post(doorbell);
                fault
            }
        };
        self.outcome(fault, self.rings.packets.begin() != before)
    }

    /// EvtSetNotificationEnabled(TRUE), at most DISPATCH_LEVEL: arms the interrupt, then looks once
    /// more at ring and STATE, for what came meanwhile causes none.
    pub fn set_notification_enabled(&mut self, registers: &impl Registers, notify: &impl Notify) -> Outcome {
        self.signals.arm();
        let mut work = self.virtqueue.enable_interrupt();
        let mut fault = None;
        if self.cancelled && self.owed() != 0 {
            if self.signals.is_lost() {
                work = true;
            } else {
                match self.port.answer(registers) {
                    Ok(Answer::Taken(State::Stopped)) | Err(Fault::Gone) => work = true,
                    Ok(_) => {}
                    Err(error) => fault = Some(error),
                }
            }
        }
        if work && !self.mutant.is(Mutant::ForgetsToNotifyRx) && self.signals.take_armed() {
            notify.notify();
        }
        Outcome::of(fault)
    }

    /// EvtCancel, at most DISPATCH_LEVEL, without waiting: tells the device to take everything back,
    /// indicates what it has completed, and returns the rest if the device is proven quiet within a
    /// few looks. If it is not, the queue is armed, whether the framework has asked for it or not: it
    /// may stop polling now, and the interrupt that follows STOPPED (C7) brings on [`Self::advance`].
    pub fn cancel(&mut self, registers: &impl Registers) -> Outcome {
        self.cancelled = true;
        let leaves_the_rest = self.mutant.is(Mutant::LeavesTheRestToAdvance);
        if leaves_the_rest {
            self.signals.disarm();
        }
        let fault = if self.signals.is_lost() {
            self.lost()
        } else {
            match self.port.issue(registers, Op::Cancel) {
                Err(fault) => {
                    // Gone, hence quiet: nothing was written, nothing will be.
                    self.return_all();
                    Some(fault)
                }
                Ok(()) if self.mutant.is(Mutant::ReturnsBeforeStopped) => {
                    self.return_all();
                    None
                }
                Ok(()) if leaves_the_rest => self.indicate(true),
                Ok(()) => self.indicate(true).or_else(|| self.finish_or_arm(registers)),
            }
        };
        self.outcome(fault, true)
    }

    /// EvtStop, PASSIVE_LEVEL: nothing is outstanding. The glue calls [`Signals::disarm`] under its
    /// lock before this.
    #[must_use]
    pub fn stop(&mut self) -> StopLine {
        debug_assert_eq!(self.owed(), 0, "stopped with buffers outstanding");
        StopLine::Rx { index: self.pair, counters: self.counters }
    }

    /// Packets that the driver owns, or fragments if there are more: the framework waits for both.
    #[must_use]
    pub fn owed(&self) -> u32 {
        self.rings.packets.owned().max(self.rings.fragments.owned())
    }

    /// Counted since the queue was made.
    #[must_use]
    pub fn counters(&self) -> RxCounters {
        self.counters
    }

    fn outcome(&self, fault: Option<Fault>, progress: bool) -> Outcome {
        let waiting = match (self.cancelled, self.owed()) {
            (true, 0) => Waiting::Ended,
            (true, _) if progress => Waiting::Began,
            _ => Waiting::Unchanged,
        };
        Outcome { fault, waiting }
    }

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
