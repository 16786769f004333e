//! cancelnic.sys's device interface ([`crate::NIC_INTERFACE`]).
//!
//! [`WAIT`] may also come as an internal device control, from another driver: then the wait queue presents it first,
//! otherwise it is handed on from the queue of the control codes. All others are ordinary device controls.
//!
//! A waiting request is known by the tag that its sender gave it. It ends with STATUS_SUCCESS and a [`CancelEvent`]
//! once a packet queue's EvtCancel has done its work, with STATUS_CANCELLED when it is cancelled or its file is
//! closed, or, in a test build, as [`crate::bench::COMPLETE`] asks for.

use core::fmt;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Header, Input, METHOD_OUT_DIRECT, control_code};

/// No input; output [`Counters`].
pub const COUNTERS: u32 = control_code(0x820);
/// No input; output [`RingSnapshot`].
pub const RINGS: u32 = control_code(0x821);
/// Input [`Wait`]; output [`CancelEvent`]. Pends. STATUS_INSUFFICIENT_RESOURCES if too many wait.
pub const WAIT: u32 = control_code(0x822);
/// No input; output [`crate::log::LogAnswer`] and records.
pub const LOG: u32 = control_code(0x823);
/// As [`LOG`], the records written straight into the program's buffer (METHOD_OUT_DIRECT).
pub const LOG_DIRECT: u32 = control_code(0x829) | METHOD_OUT_DIRECT;

/// Transmit packets by fate, since the packet queue was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TxCounts {
    /// Given to the device.
    pub posted: u64,
    /// Completed as sent.
    pub sent: u64,
    /// Completed as taken back.
    pub taken_back: u64,
    /// Returned without having been given to the device.
    pub never_posted: u64,
    /// Refused by the device.
    pub refused: u64,
    /// Lost with the device.
    pub lost: u64,
}

/// Receive packets by fate, since the packet queue was created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RxCounts {
    /// Given to the device.
    pub posted: u64,
    /// Indicated with a frame.
    pub received: u64,
    /// Returned without a frame.
    pub returned_empty: u64,
    /// Of those, completed with an impossible length.
    pub malformed: u64,
}

/// Answer of [`COUNTERS`], as after each queue's last callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counters {
    /// Version and size.
    pub header: Header,
    /// Transmit queue 0.
    pub tx: TxCounts,
    /// Receive queue 0.
    pub rx: RxCounts,
    /// EvtCancels of packet queues since the device was added.
    pub cancels: u64,
    /// Requests that wait now.
    pub waiting: u64,
}

/// A packet ring's indices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Ring {
    /// 1 between EvtStart and EvtStop.
    pub started: u32,
    /// Elements in the ring.
    pub elements: u32,
    /// First element that the driver owns.
    pub begin: u32,
    /// First of those that it has not posted.
    pub next: u32,
    /// End of what the driver owns.
    pub end: u32,
    /// Zero.
    pub reserved: u32,
}

impl Ring {
    /// Elements that the driver owns. The ring has a power of two of them.
    #[must_use]
    pub const fn owned(&self) -> u32 {
        self.end.wrapping_sub(self.begin) & self.elements.wrapping_sub(1)
    }
}

impl fmt::Display for Ring {
    /// How many packets are kept and which: `10 of 256 kept: BeginIndex 250, EndIndex 4`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { elements, begin, end, .. } = self;
        write!(f, "{} of {elements} kept: BeginIndex {begin}, EndIndex {end}", self.owned())
    }
}

/// Answer of [`RINGS`], as after each queue's last callback.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RingSnapshot {
    /// Version and size.
    pub header: Header,
    /// Packet ring of transmit queue 0.
    pub tx: Ring,
    /// Packet ring of receive queue 0.
    pub rx: Ring,
}

/// Values of [`Wait::behaviour`]: what the driver does with the request once it has it. All but the first are for test
/// builds, see [`crate::bench`]; the shipped driver refuses them.
pub mod behaviour {
    /// Marks it cancelable and keeps it.
    pub const CANCELABLE: u32 = 0;
    /// Keeps it without marking it; [`crate::bench::MARK`] may do so later.
    pub const NOT_CANCELABLE: u32 = 1;
    /// Forwards it to the second queue.
    pub const SECOND_QUEUE: u32 = 2;
    /// Forwards it to the third queue.
    pub const THIRD_QUEUE: u32 = 3;
    /// Completes it at once, STATUS_SUCCESS, with the state of things.
    pub const AT_ONCE: u32 = 4;
    /// Marks it cancelable by WdfRequestMarkCancelable, which may call EvtRequestCancel before it returns.
    pub const CANCELABLE_OLD: u32 = 5;
    /// The largest of these.
    pub const LAST: u32 = CANCELABLE_OLD;
}

/// Input of [`WAIT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Wait {
    /// Version and size.
    pub header: Header,
    /// The sender's name for the request.
    pub tag: u32,
    /// One of [`behaviour`].
    pub behaviour: u32,
}

impl Input for Wait {
    /// For a test build; the shipped driver takes [`behaviour::CANCELABLE`] alone.
    fn is_allowed(&self) -> bool {
        self.behaviour <= behaviour::LAST
    }
}

impl Wait {
    /// A request called `tag`.
    #[must_use]
    pub const fn new(tag: u32, behaviour: u32) -> Self {
        Self { header: Header::of::<Self>(), tag, behaviour }
    }
}

/// Output of [`WAIT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CancelEvent {
    /// Version and size.
    pub header: Header,
    /// Number of the EvtCancel since the device was added, from 1 on; 0 if there was none yet.
    pub number: u64,
    /// The packet queue: 0 transmit, 1 receive.
    pub queue: u32,
    /// Packets that the driver still owned when EvtCancel was about to return.
    pub outstanding: u32,
    /// Transmit queue 0 at that time.
    pub tx: TxCounts,
    /// Receive queue 0 at that time.
    pub rx: RxCounts,
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use std::string::ToString;

    #[test]
    fn a_ring_says_what_is_kept_across_its_end() {
        let ring = Ring { elements: 256, begin: 250, end: 4, ..Ring::default() };
        assert_eq!(ring.to_string(), "10 of 256 kept: BeginIndex 250, EndIndex 4");
    }

    #[test]
    fn a_ring_that_was_never_seen_keeps_nothing() {
        assert_eq!(Ring::default().owned(), 0);
    }
}
