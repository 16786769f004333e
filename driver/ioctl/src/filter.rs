//! Control requests of cancelnic-lwf.sys, for its control device [`crate::FILTER_DEVICE`].
//!
//! Every request names a filter module by its index in the order of attachment, 0 for the first. Beyond the faults
//! of [`crate::Fault`], which change nothing:
//! - STATUS_DEVICE_DOES_NOT_EXIST: there is no module with that index;
//! - STATUS_BUFFER_TOO_SMALL: the output buffer is shorter than the answer;
//! - STATUS_INVALID_DEVICE_REQUEST: the control code is unknown.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Header, Input, control_code};

/// Sends frames of the filter's own. Input [`Send`], output [`Sent`]. Succeeds when the lists have been queued or
/// passed down; what becomes of them is in [`Counters`]. All or none: STATUS_INSUFFICIENT_RESOURCES without memory,
/// or with more than [`MOST_OUTSTANDING`] own lists outstanding; STATUS_DEVICE_NOT_READY unless the module runs.
pub const SEND: u32 = control_code(0x810);
/// Closes the gate: sends, overlying drivers' and the filter's own, are queued. Input [`Select`], no output. The gate
/// belongs to the file that has closed it last. It opens by itself when the last handle of that file is closed, which also
/// happens to a program that dies; when more than [`MOST_HELD`] lists are queued; and [`LONGEST_HOLD_MS`] after this
/// request, with the next send or control request that comes to the module.
pub const HOLD: u32 = control_code(0x811);
/// Lets queued sends go on their way. Input [`Release`], no output.
pub const RELEASE: u32 = control_code(0x812);
/// Cancels the filter's own sends by ID: those queued, and by NdisFCancelSendNetBufferLists those below. Input
/// [`Cancel`], no output. An ID that is NULL or not the filter's own (its high-order byte) is a [`crate::Fault::Value`].
pub const CANCEL: u32 = control_code(0x813);
/// Asks for a module's books. Input [`Select`], output [`Counters`].
pub const COUNTERS: u32 = control_code(0x814);
/// Lists the queued sends in their order. Input [`Select`], output [`Held`] followed by as many [`HeldList`] as the
/// output buffer holds, at most [`MOST_LISTED`].
pub const HELD: u32 = control_code(0x815);
/// Takes a module out of the way of lists, or puts it in again. Input [`Bypass`], no output. Succeeds when NDIS has been
/// asked to pause and restart the stack, during which it happens: [`Counters::bypassed`] says when it has. With the status
/// of NdisFRestartFilter if NDIS does not take that on. A module that is bypassed sees no list and sends none of its own
/// ([`SEND`] ends with STATUS_DEVICE_NOT_READY); its gate stays as it is. It is put in again when the last handle of the
/// file that has taken it out is closed.
pub const BYPASS: u32 = control_code(0x817);

/// Most subgroups of one [`Send`].
pub const MOST_GROUPS: usize = 8;
/// Most own lists of a module that may be outstanding.
pub const MOST_OUTSTANDING: u32 = 16_384;
/// Most lists that a closed gate holds: with more, it opens.
pub const MOST_HELD: u64 = 32_768;
/// Longest time that a gate stays closed, in milliseconds.
pub const LONGEST_HOLD_MS: u64 = 60_000;
/// Shortest frame of [`Send`], in bytes.
pub const SHORTEST: u32 = 60;
/// Longest frame of [`Send`], in bytes.
pub const LONGEST: u32 = 1514;
/// Most [`HeldList`] of one answer.
pub const MOST_LISTED: usize = 1024;
/// [`Release::count`]: everything, and the gate is opened.
pub const ALL: u64 = u64::MAX;

/// Input of [`SEND`]. Frames are broadcast from the adapter's address with EtherType 0x88B5, their number as a
/// big-endian `u64`, and filler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Send {
    /// Of this structure.
    pub header: Header,
    /// Index of the module.
    pub module: u32,
    /// Count of subgroups, at most [`MOST_GROUPS`]: frame i belongs to subgroup i modulo this, and each subgroup
    /// gets an ID of its own. 1: one ID for all. 0: no ID.
    pub groups: u32,
    /// Number of the first frame.
    pub first: u64,
    /// Count of frames, at least 1.
    pub count: u32,
    /// Length of each in bytes, [`SHORTEST`] to [`LONGEST`].
    pub len: u32,
}

impl Input for Send {
    fn is_allowed(&self) -> bool {
        self.groups as usize <= MOST_GROUPS
            && (1..=MOST_OUTSTANDING).contains(&self.count)
            && (SHORTEST..=LONGEST).contains(&self.len)
            && self.first.checked_add(u64::from(self.count)).is_some()
    }
}

/// Output of [`SEND`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Sent {
    /// Of this structure.
    pub header: Header,
    /// The subgroups' cancellation IDs; the rest is 0.
    pub ids: [u64; MOST_GROUPS],
}

/// A module and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Select {
    /// Of this structure.
    pub header: Header,
    /// Index of the module.
    pub module: u32,
    /// 0.
    pub reserved: u32,
}

impl Input for Select {
    fn is_allowed(&self) -> bool {
        self.reserved == 0
    }
}

/// Input of [`RELEASE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Release {
    /// Of this structure.
    pub header: Header,
    /// Index of the module.
    pub module: u32,
    /// 0.
    pub reserved: u32,
    /// How many lists may pass a gate that stays closed, lists that come later included; or [`ALL`].
    pub count: u64,
}

impl Input for Release {
    fn is_allowed(&self) -> bool {
        self.reserved == 0 && self.count > 0
    }
}

/// Input of [`CANCEL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Cancel {
    /// Of this structure.
    pub header: Header,
    /// Index of the module.
    pub module: u32,
    /// 0.
    pub reserved: u32,
    /// One of [`Sent::ids`].
    pub cancel_id: u64,
}

impl Input for Cancel {
    fn is_allowed(&self) -> bool {
        self.reserved == 0 && self.cancel_id != 0
    }
}

/// Input of [`BYPASS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Bypass {
    /// Of this structure.
    pub header: Header,
    /// Index of the module.
    pub module: u32,
    /// 1: lists go past the module; 0: through it.
    pub on: u32,
}

impl Input for Bypass {
    fn is_allowed(&self) -> bool {
        self.on <= 1
    }
}

/// Output of [`COUNTERS`]: numbers of net buffer lists since the module was attached, but for the first three
/// and the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Counters {
    /// Of this structure.
    pub header: Header,
    /// 1 if the gate is closed.
    pub gate_closed: u32,
    /// 1 if the module is running.
    pub running: u32,
    /// Queued now, own ones included.
    pub held_now: u64,
    /// Own lists that are queued or below now.
    pub own_outstanding: u64,
    /// Own lists made.
    pub own_originated: u64,
    /// Own lists that ended with NDIS_STATUS_SUCCESS.
    pub own_success: u64,
    /// Own lists that ended with NDIS_STATUS_SEND_ABORTED.
    pub own_aborted: u64,
    /// Own lists that ended with NDIS_STATUS_PAUSED.
    pub own_paused: u64,
    /// Own lists that ended with another status.
    pub own_failed: u64,
    /// Overlying drivers' lists that were passed down.
    pub passed_down: u64,
    /// Of those, how many came back from below.
    pub passed_up: u64,
    /// Overlying drivers' lists that were queued.
    pub queued: u64,
    /// Overlying drivers' lists completed with NDIS_STATUS_SEND_ABORTED out of the queue.
    pub cancelled: u64,
    /// Overlying drivers' lists completed with NDIS_STATUS_PAUSED by this module.
    pub refused: u64,
    /// Calls of FilterCancelSendNetBufferLists, and [`CANCEL`] requests.
    pub cancel_calls: u64,
    /// Of those, how many were passed down.
    pub cancels_passed_on: u64,
    /// Received lists that were passed up.
    pub received: u64,
    /// Received lists that came back.
    pub returned: u64,
    /// 1 if lists go past the module.
    pub bypassed: u64,
}

/// Beginning of the output of [`HELD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Held {
    /// Of this structure, without the lists behind it.
    pub header: Header,
    /// Lists in the queue.
    pub total: u64,
    /// How many of them, from the front, follow.
    pub listed: u64,
}

/// One queued list in the output of [`HELD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct HeldList {
    /// The number in its first frame; [`NO_NUMBER`] in a frame of another kind.
    pub number: u64,
    /// Its cancellation ID.
    pub cancel_id: u64,
    /// 1 if the filter has originated it.
    pub own: u64,
}

/// [`HeldList::number`] of a frame that has none.
pub const NO_NUMBER: u64 = u64::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Send =
        Send { header: Header::of::<Send>(), module: 0, groups: 3, first: 1, count: 9, len: 60 };

    #[test]
    fn a_send_within_all_ranges_is_taken() {
        for send in [
            GOOD,
            Send { groups: 0, ..GOOD },
            Send { groups: 8, ..GOOD },
            Send { len: LONGEST, ..GOOD },
            Send { count: MOST_OUTSTANDING, ..GOOD },
            Send { first: u64::MAX - 9, ..GOOD },
        ] {
            assert!(send.is_allowed(), "{send:?}");
        }
    }

    #[test]
    fn a_send_outside_a_range_is_refused() {
        for send in [
            Send { groups: 9, ..GOOD },
            Send { len: SHORTEST - 1, ..GOOD },
            Send { len: LONGEST + 1, ..GOOD },
            Send { count: 0, ..GOOD },
            Send { count: MOST_OUTSTANDING + 1, ..GOOD },
            Send { first: u64::MAX - 8, ..GOOD },
        ] {
            assert!(!send.is_allowed(), "{send:?}");
        }
    }

    #[test]
    fn what_is_reserved_has_to_be_0() {
        let select = Select { header: Header::of::<Select>(), module: 0, reserved: 1 };
        let release = Release { header: Header::of::<Release>(), module: 0, reserved: 1, count: 1 };
        let cancel = Cancel { header: Header::of::<Cancel>(), module: 0, reserved: 1, cancel_id: 1 };
        let checks = [select.is_allowed(), release.is_allowed(), cancel.is_allowed()];
        assert_eq!(checks, [false; 3]);
        let good = [
            Select { reserved: 0, ..select }.is_allowed(),
            Release { reserved: 0, ..release }.is_allowed(),
            Cancel { reserved: 0, ..cancel }.is_allowed(),
        ];
        assert_eq!(good, [true; 3]);
    }

    #[test]
    fn null_cancels_nothing_and_nothing_is_not_released() {
        let cancel = Cancel { header: Header::of::<Cancel>(), module: 0, reserved: 0, cancel_id: 0 };
        let release = Release { header: Header::of::<Release>(), module: 0, reserved: 0, count: 0 };
        assert_eq!([cancel.is_allowed(), release.is_allowed()], [false; 2]);
    }

    #[test]
    fn a_bypass_is_on_or_off() {
        let bypass = Bypass { header: Header::of::<Bypass>(), module: 0, on: 0 };
        let checks = [0, 1, 2, u32::MAX].map(|on| Bypass { on, ..bypass }.is_allowed());
        assert_eq!(checks, [true, true, false, false]);
    }

    #[test]
    fn sizes_are_fixed_by_the_version() {
        let sizes = [
            size_of::<Send>(),
            size_of::<Sent>(),
            size_of::<Select>(),
            size_of::<Release>(),
            size_of::<Cancel>(),
            size_of::<Counters>(),
            size_of::<Held>(),
            size_of::<HeldList>(),
            size_of::<Bypass>(),
        ];
        assert_eq!(sizes, [32, 72, 16, 24, 24, 152, 24, 24, 16]);
    }
}
