//! cancelnic-relay.sys's device interface ([`crate::RELAY_INTERFACE`]).
//!
//! The relay owns [`SLOTS`] slots, each with at most one request that goes to cancelnic.sys, or down the relay's own
//! stack ([`way`]). A slot's request is either the relay's own ([`CREATE`], [`SEND`]) or a program's: every control code
//! of [`crate::nic`] and [`crate::bench`] that a program sends to the relay is passed on, in the slot and with the options
//! that [`PASS`] named.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Header, Input, control_code};

/// Slots, numbered from 0.
pub const SLOTS: u32 = 16;

/// Input [`Target`]; output [`TargetAnswer`]: does something to the I/O target.
pub const TARGET: u32 = control_code(0x830);
/// Input [`Slot`]; output [`Outcome`]: makes the slot's request (WdfRequestCreate). STATUS_OBJECT_NAME_COLLISION if
/// it has one.
pub const CREATE: u32 = control_code(0x831);
/// Input [`Send`]; output [`Outcome`]: formats the slot's own request as [`crate::nic::WAIT`] and sends it.
/// STATUS_NOT_FOUND if the slot has none, STATUS_DEVICE_BUSY if it is under way or has not been reused.
pub const SEND: u32 = control_code(0x832);
/// Input [`Slot`]; output [`Outcome`]: recalls the slot's request (WdfRequestCancelSentRequest) with a reference held
/// over the call. STATUS_NOT_FOUND if the slot has none.
pub const CANCEL: u32 = control_code(0x833);
/// Input [`Slot`]; output [`Outcome`]: makes the slot's own request ready to be sent again (WdfRequestReuse).
/// STATUS_DEVICE_BUSY while it is under way.
pub const REUSE: u32 = control_code(0x834);
/// Input [`Slot`]; output [`Outcome`]: deletes the slot's own request. STATUS_DEVICE_BUSY while it is under way.
pub const DELETE: u32 = control_code(0x835);
/// Input [`Slot`]; output [`SlotState`].
pub const STATE: u32 = control_code(0x836);
/// Input [`Pass`]; no output: how the next requests of programs are passed on.
pub const PASS: u32 = control_code(0x837);
/// No input; output [`crate::log::LogAnswer`] and records.
pub const LOG: u32 = control_code(0x838);

/// Which of the relay's two targets is meant.
pub mod way {
    /// The remote one, cancelnic.sys's device interface.
    pub const NIC: u32 = 0;
    /// The local one, the next lower device of the relay's own stack.
    pub const BELOW: u32 = 1;
}

/// Values of [`Target::action`]. [`target::OPEN`] and [`target::CLOSE`] are for [`way::NIC`].
pub mod target {
    /// Nothing: only the state is asked for.
    pub const NONE: u32 = 0;
    /// WdfIoTargetOpen of the first interface of cancelnic.sys.
    pub const OPEN: u32 = 1;
    /// WdfIoTargetClose.
    pub const CLOSE: u32 = 2;
    /// WdfIoTargetStart.
    pub const START: u32 = 3;
    /// WdfIoTargetStop, WdfIoTargetCancelSentIo.
    pub const STOP_CANCEL: u32 = 4;
    /// WdfIoTargetStop, WdfIoTargetWaitForSentIoToComplete.
    pub const STOP_WAIT: u32 = 5;
    /// WdfIoTargetStop, WdfIoTargetLeaveSentIoPending.
    pub const STOP_LEAVE: u32 = 6;
    /// WdfIoTargetPurge, WdfIoTargetPurgeIoAndWait.
    pub const PURGE_WAIT: u32 = 7;
    /// WdfIoTargetPurge, WdfIoTargetPurgeIo.
    pub const PURGE: u32 = 8;
    /// The largest of these.
    pub const LAST: u32 = PURGE;
}

/// Input of [`TARGET`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Target {
    /// Version and size.
    pub header: Header,
    /// One of [`target`].
    pub action: u32,
    /// One of [`way`].
    pub way: u32,
}

impl Input for Target {
    fn is_allowed(&self) -> bool {
        let for_one_way = matches!(self.action, target::OPEN | target::CLOSE);
        self.action <= target::LAST && (self.way == way::NIC || self.way == way::BELOW && !for_one_way)
    }
}

impl Target {
    /// Does `action` to the target `way`.
    #[must_use]
    pub const fn new(way: u32, action: u32) -> Self {
        Self { header: Header::of::<Self>(), action, way }
    }
}

/// Output of [`TARGET`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TargetAnswer {
    /// Version and size.
    pub header: Header,
    /// NTSTATUS of the call; 0 if it has none.
    pub status: u32,
    /// WdfIoTargetGetState's: 1 started, 2 stopped, 3 closed for query-remove, 4 closed, 5 deleted, 6 purged.
    pub state: u32,
}

/// Input that is a slot only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Slot {
    /// Version and size.
    pub header: Header,
    /// The slot, below [`SLOTS`].
    pub slot: u32,
    /// Zero.
    pub reserved: u32,
}

impl Input for Slot {
    fn is_allowed(&self) -> bool {
        self.reserved == 0
    }
}

impl Slot {
    /// Slot number `slot`.
    #[must_use]
    pub const fn new(slot: u32) -> Self {
        Self { header: Header::of::<Self>(), slot, reserved: 0 }
    }
}

/// Option flags of a send, with the values of WDF_REQUEST_SEND_OPTIONS_FLAGS.
pub mod option {
    /// Cancelled when the time-out is over.
    pub const TIMEOUT: u32 = 1;
    /// The call returns when the request has completed.
    pub const SYNCHRONOUS: u32 = 2;
    /// Sent whatever the target's state.
    pub const IGNORE_TARGET_STATE: u32 = 4;
    /// Not seen again. For passed requests.
    pub const SEND_AND_FORGET: u32 = 8;
    /// All of these.
    pub(super) const ALL: u32 = TIMEOUT | SYNCHRONOUS | IGNORE_TARGET_STATE | SEND_AND_FORGET;
}

/// Input of [`SEND`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Send {
    /// Version and size.
    pub header: Header,
    /// The slot, below [`SLOTS`].
    pub slot: u32,
    /// Flags of [`option`].
    pub options: u32,
    /// With [`option::TIMEOUT`]: the time-out in 100 ns, negative: from now on. Not above 0.
    pub timeout: i64,
    /// 1: with a completion routine.
    pub routine: u32,
    /// One of [`way`].
    pub way: u32,
    /// Tag of the request at the NIC.
    pub tag: u32,
    /// One of [`crate::nic::behaviour`].
    pub behaviour: u32,
}

/// Whether a request may be sent so.
const fn may_send(options: u32, timeout: i64, routine: u32, way: u32) -> bool {
    options & !option::ALL == 0 && timeout <= 0 && routine <= 1 && way <= way::BELOW
}

impl Input for Send {
    fn is_allowed(&self) -> bool {
        may_send(self.options, self.timeout, self.routine, self.way)
    }
}

impl Send {
    /// Sends the request of slot 0, which the NIC is to treat as one of [`crate::nic::behaviour`]: asynchronously, with a
    /// completion routine.
    #[must_use]
    pub const fn waiting(behaviour: u32) -> Self {
        let header = Header::of::<Self>();
        Self { header, slot: 0, options: 0, timeout: 0, routine: 1, way: way::NIC, tag: 0, behaviour }
    }
}

/// Input of [`PASS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Pass {
    /// Version and size.
    pub header: Header,
    /// The slot of the next request; a request finds STATUS_DEVICE_BUSY if it is taken.
    pub slot: u32,
    /// Flags of [`option`].
    pub options: u32,
    /// As in [`Send`].
    pub timeout: i64,
    /// 1: with a completion routine, as a request that is not forgotten needs it.
    pub routine: u32,
    /// One of [`way`].
    pub way: u32,
}

impl Input for Pass {
    fn is_allowed(&self) -> bool {
        self.slot < SLOTS && may_send(self.options, self.timeout, self.routine, self.way)
    }
}

/// Output of [`SEND`], [`CANCEL`] and the other operations on a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Outcome {
    /// Version and size.
    pub header: Header,
    /// What WdfRequestSend or WdfRequestCancelSentRequest returned (BOOLEAN).
    pub returned: u32,
    /// NTSTATUS: of the call, or WdfRequestGetStatus after a send.
    pub status: u32,
    /// IRQL at which the call was made.
    pub irql: u32,
    /// Completion routines that have run for the slot's request since it was sent, as the relay counts them.
    pub completions: u32,
}

/// Values of [`SlotState::phase`].
pub mod phase {
    /// No request.
    pub const EMPTY: u32 = 0;
    /// Made or reused, not sent.
    pub const READY: u32 = 1;
    /// Sent; its completion routine has not run, or it has none.
    pub const SENT: u32 = 2;
    /// Its completion routine has run, or a synchronous send has returned, or the send failed.
    pub const DONE: u32 = 3;
}

/// Output of [`STATE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SlotState {
    /// Version and size.
    pub header: Header,
    /// One of [`phase`].
    pub phase: u32,
    /// 1: a program's request.
    pub passed: u32,
    /// NTSTATUS with which it completed; in [`phase::SENT`] what WdfRequestGetStatus says.
    pub status: u32,
    /// Completion routines run for it since it was sent.
    pub completions: u32,
    /// IoStatus.Information.
    pub information: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_target_is_neither_opened_nor_closed() {
        let all = 0..=target::LAST + 1;
        let refused = |way| all.clone().filter(move |action| !Target::new(way, *action).is_allowed());
        assert!(refused(way::NIC).eq([target::LAST + 1]));
        assert!(refused(way::BELOW).eq([target::OPEN, target::CLOSE, target::LAST + 1]));
        assert!(refused(way::BELOW + 1).eq(all));
    }

    #[test]
    fn a_request_is_sent_with_known_options_only() {
        let good = Send { timeout: -1, options: option::ALL, ..Send::waiting(0) };
        assert!(good.is_allowed());
        for send in [
            Send { options: 16, ..good },
            Send { timeout: 1, ..good },
            Send { routine: 2, ..good },
            Send { way: 2, ..good },
        ] {
            assert!(!send.is_allowed(), "{send:?}");
            let Send { options, timeout, routine, way, .. } = send;
            assert!(!Pass { options, timeout, routine, way, ..Pass::default() }.is_allowed(), "{send:?}");
        }
    }

    #[test]
    fn programs_requests_are_passed_on_in_a_slot_that_there_is() {
        let slots = [0, SLOTS - 1, SLOTS].map(|slot| Pass { slot, ..Pass::default() }.is_allowed());
        assert_eq!(slots, [true, true, false]);
        assert_eq!([0, 1].map(|reserved| Slot { reserved, ..Slot::new(0) }.is_allowed()), [true, false]);
    }
}
