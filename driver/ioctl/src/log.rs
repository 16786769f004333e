//! What cancelnic.sys and cancelnic-relay.sys write down about requests, in order, and how it is read.
//!
//! A log is read with the driver's own log code. Records are taken out as they are read; the answer is a
//! [`LogAnswer`] followed by as many [`Record`]s as there are and the output buffer holds.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::Header;

/// Records that a driver keeps until they are read; further ones are counted and dropped.
pub const LOG_RECORDS: usize = 512;

/// Head of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LogAnswer {
    /// Version, and the size of this head.
    pub header: Header,
    /// Records that follow.
    pub count: u32,
    /// Records dropped since the last reading because the log was full.
    pub lost: u32,
}

/// One thing that happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Record {
    /// Number within the driver's log, from 0 on.
    pub sequence: u32,
    /// What happened: one of [`event`].
    pub event: u32,
    /// Which request: the slot (relay) or the tag (NIC); `u32::MAX` for none.
    pub tag: u32,
    /// NTSTATUS, where there is one.
    pub status: u32,
    /// What [`event`] says.
    pub value: u64,
    /// The thread's number.
    pub thread: u64,
    /// The processor's time stamp counter: orders the logs of two drivers.
    pub at: u64,
    /// IRQL.
    pub irql: u32,
    /// Zero.
    pub reserved: u32,
}

/// Values of [`Record::event`]. `value` is 0 where nothing is said of it.
pub mod event {
    /// NIC: a request was presented by a queue; `value` is the queue ([`crate::bench::queue`]).
    pub const PRESENTED: u32 = 1;
    /// NIC: WdfRequestMarkCancelableEx returned `status`, or WdfRequestMarkCancelable returned (`value` is 1).
    pub const MARKED: u32 = 2;
    /// NIC: EvtRequestCancel was called.
    pub const CANCEL_CALLBACK: u32 = 3;
    /// NIC: WdfRequestUnmarkCancelable returned `status`.
    pub const UNMARKED: u32 = 4;
    /// NIC: WdfRequestComplete is about to be called with `status`.
    pub const COMPLETING: u32 = 5;
    /// NIC: WdfRequestForwardToIoQueue to queue `value` returned `status`.
    pub const FORWARDED: u32 = 6;
    /// NIC: EvtIoCanceledOnQueue was called.
    pub const CANCELED_ON_QUEUE: u32 = 7;
    /// NIC: WdfRequestRequeue returned `status`.
    pub const REQUEUED: u32 = 8;
    /// NIC: a packet queue's EvtCancel has done its work; `value` is the event's number.
    pub const CANCEL_EVENT: u32 = 9;
    /// NIC: EvtIoQueueState was called for queue `value`, which was empty and has a request.
    pub const READY: u32 = 10;
    /// Both: EvtIoStop was called with action flags `value`.
    pub const STOP: u32 = 16;
    /// Both: WdfRequestStopAcknowledge(FALSE) is about to be called.
    pub const ACKNOWLEDGING: u32 = 17;
    /// Both: EvtIoResume was called.
    pub const RESUME: u32 = 18;
    /// Both: EvtFileCleanup was called.
    pub const CLEANUP: u32 = 19;
    /// Relay: WdfRequestSend is about to be called with option flags `value`.
    pub const SENDING: u32 = 32;
    /// Relay: WdfRequestSend returned `value` (BOOLEAN); `status` is WdfRequestGetStatus's where it returned FALSE or
    /// the send was synchronous, else 0.
    pub const SENT: u32 = 33;
    /// Relay: WdfRequestCancelSentRequest is about to be called, a reference held.
    pub const CANCELLING: u32 = 34;
    /// Relay: WdfRequestCancelSentRequest returned `value` (BOOLEAN).
    pub const CANCELLED: u32 = 35;
    /// Relay: the completion routine was called; `status` and `value` are the I/O status block.
    pub const COMPLETION: u32 = 36;
    /// Relay: WdfRequestReuse returned `status`.
    pub const REUSED: u32 = 37;
    /// Relay: a target function is about to be called; `value` is the action ([`crate::relay::target`]).
    pub const TARGET: u32 = 38;
    /// Relay: it has returned; `value` is the target's state.
    pub const TARGET_DONE: u32 = 39;
    /// Relay: the program's request is about to be completed with `status`.
    pub const RETURNING: u32 = 40;
}
