//! What each cell of the matrix shows: the expectations, from the framework's published source.
//!
//! One row is one way to bring a cell about; cells that no driver can bring about stand here with the reason.

use super::stage::Act;
use super::status::{CANCELLED, INVALID_DEVICE_REQUEST, IO_TIMEOUT, SUCCESS};
use super::{acts, sends};

/// Who is first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum First {
    /// The recall, or there is nobody else.
    Recall,
    /// The other side: sender, receiver, timer, the other canceller.
    Other,
}

/// With which sends a cell can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Routine {
    Both,
    Only(bool),
}

/// One cell, or two that differ in the completion routine only.
pub(super) struct Cell {
    pub state: &'static str,
    pub first: First,
    pub routine: Routine,
    /// How it comes about, in words.
    pub how: &'static str,
    pub outcome: Expected,
}

pub(super) enum Expected {
    /// No driver can bring it about; why.
    Impossible(&'static str),
    Seen(Act, Seen),
}

/// What a cell shows.
pub(super) struct Seen {
    /// What WdfRequestCancelSentRequest returned; `None` if it cannot be called any more.
    pub returned: Option<bool>,
    /// Final status.
    pub status: u32,
    /// Calls and callbacks of both drivers in order. `completion` is the completion routine, and is not there without
    /// one; what stands behind `|` may come at any time after what stands before it.
    pub log: &'static str,
    /// Whether the completion routine runs inside the recall, in its thread.
    pub inside: bool,
    /// IRQL of the completion routine.
    pub irql: u32,
}

const fn seen(returned: bool, status: u32, inside: bool, log: &'static str) -> Seen {
    Seen { returned: Some(returned), status, log, inside, irql: 0 }
}

const fn cell(state: &'static str, first: First, how: &'static str, act: Act, seen: Seen) -> Cell {
    Cell { state, first, routine: Routine::Both, how, outcome: Expected::Seen(act, seen) }
}

const fn impossible(state: &'static str, first: First, routine: Routine, why: &'static str) -> Cell {
    Cell { state, first, routine, how: "", outcome: Expected::Impossible(why) }
}

use First::{Other, Recall as Recaller};

pub(super) const NEVER_SENT: &str = "never sent";
pub(super) const QUEUED: &str = "queued at the target";
pub(super) const PARKED: &str = "parked in a stopped target";
pub(super) const CANCELABLE: &str = "delivered and cancelable";
pub(super) const NOT_CANCELABLE: &str = "delivered and not cancelable";
pub(super) const BECOMING: &str = "becoming cancelable meanwhile";
pub(super) const FORWARDED: &str = "forwarded";
pub(super) const COMPLETED: &str = "completed";
pub(super) const COMPLETING: &str = "completing now";
pub(super) const TWICE: &str = "cancelled twice";
pub(super) const SYNCHRONOUS: &str = "synchronous";
pub(super) const TIMEOUT: &str = "with timeout";
pub(super) const FORGOTTEN: &str = "send-and-forget";
pub(super) const PASSED: &str = "a program's request, passed on";

/// The recall finds no cancel routine, and the marking the recall.
const FOUND_WHEN_MARKING: Seen =
    seen(false, CANCELLED, false, "sending presented sent cancelling cancelled marked completing completion");

/// Every cell. The drivers' states are those of the framework's source; `how` names the place of the race.
pub(super) static TABLE: &[Cell] = &[
    cell(
        NEVER_SENT,
        Recaller,
        "recalled, then sent: the mark sticks until the request is reused",
        acts::never_sent,
        seen(false, CANCELLED, false, "cancelling cancelled sending sent"),
    ),
    cell(
        NEVER_SENT,
        Other,
        "the sender has counted it, and looks at the mark after the recall",
        acts::counted_then_recalled,
        seen(false, CANCELLED, false, "sending cancelling cancelled sent"),
    ),
    cell(
        NEVER_SENT,
        Other,
        "the sender finds the mark while the canceller holds the count: the canceller completes it",
        acts::counted_and_held,
        seen(false, CANCELLED, true, "sending cancelling sent completion cancelled"),
    ),
    cell(
        QUEUED,
        Recaller,
        "in a stopped queue, never presented: the framework completes it",
        acts::queued,
        seen(true, CANCELLED, true, "sending sent cancelling completion cancelled"),
    ),
    cell(
        QUEUED,
        Other,
        "it has left the queue, and EvtIo has not been called",
        acts::leaving_the_queue,
        seen(
            false,
            CANCELLED,
            false,
            "sending cancelling cancelled presented marked completing completion sent",
        ),
    ),
    cell(
        PARKED,
        Recaller,
        "STATUS_WDF_QUEUED until the recall",
        acts::parked,
        seen(true, CANCELLED, true, "target target-done sending sent cancelling completion cancelled"),
    ),
    cell(
        PARKED,
        Other,
        "WdfIoTargetStart sends it on, and has not called the driver: it arrives with Cancel set",
        acts::parked_and_started,
        seen(
            false,
            CANCELLED,
            false,
            "target target-done sending sent target cancelling cancelled presented marked completing completion \
             target-done",
        ),
    ),
    cell(
        CANCELABLE,
        Recaller,
        "EvtRequestCancel inside the recall",
        acts::cancelable,
        seen(
            true,
            CANCELLED,
            true,
            "sending presented marked sent cancelling cancel-callback completing completion cancelled",
        ),
    ),
    cell(
        CANCELABLE,
        Recaller,
        "the recall has the routine when the receiver unmarks: STATUS_CANCELLED",
        acts::recalled_then_unmarked,
        seen(
            true,
            CANCELLED,
            true,
            "sending presented marked sent cancelling unmarked cancel-callback completing completion cancelled",
        ),
    ),
    cell(
        CANCELABLE,
        Other,
        "the receiver has unmarked and completes",
        acts::unmarked_then_recalled,
        seen(
            false,
            SUCCESS,
            false,
            "sending presented marked sent unmarked completing cancelling cancelled completion",
        ),
    ),
    cell(
        NOT_CANCELABLE,
        Recaller,
        "nothing happens, and the receiver completes as it likes",
        acts::not_cancelable,
        seen(false, SUCCESS, false, "sending presented sent cancelling cancelled completing completion"),
    ),
    impossible(
        NOT_CANCELABLE,
        Other,
        Routine::Both,
        "what else could be first is its completion or its marking: cells of their own",
    ),
    cell(
        BECOMING,
        Recaller,
        "the IRP's Cancel is set: WdfRequestMarkCancelableEx says STATUS_CANCELLED",
        acts::recalled_then_marked_ex,
        FOUND_WHEN_MARKING,
    ),
    cell(
        BECOMING,
        Recaller,
        "WdfRequestMarkCancelable calls EvtRequestCancel before it returns",
        acts::recalled_then_marked,
        seen(
            false,
            CANCELLED,
            false,
            "sending presented sent cancelling cancelled cancel-callback completing completion marked",
        ),
    ),
    cell(
        BECOMING,
        Recaller,
        "the marking has begun, and nothing is set",
        acts::recalled_while_marking,
        FOUND_WHEN_MARKING,
    ),
    cell(
        BECOMING,
        Other,
        "the routine is set, and Cancel has not been read again: the recall takes it",
        acts::recalled_when_marked,
        seen(
            true,
            CANCELLED,
            true,
            "sending presented sent cancelling cancel-callback completing completion cancelled marked",
        ),
    ),
    cell(
        FORWARDED,
        Recaller,
        "in the second queue: the framework completes it",
        acts::forwarded,
        seen(true, CANCELLED, true, "sending presented forwarded sent cancelling completion cancelled"),
    ),
    cell(
        FORWARDED,
        Recaller,
        "in the third queue: EvtIoCanceledOnQueue, as it was presented before",
        acts::forwarded_with_callback,
        seen(
            true,
            CANCELLED,
            true,
            "sending presented forwarded sent cancelling canceled-on-queue completing completion cancelled",
        ),
    ),
    cell(
        FORWARDED,
        Other,
        "recalled first, then forwarded: success, and cancelled there",
        acts::recalled_then_forwarded,
        seen(false, CANCELLED, false, "sending presented sent cancelling cancelled completion forwarded"),
    ),
    cell(
        FORWARDED,
        Other,
        "the same, to the queue with EvtIoCanceledOnQueue",
        acts::recalled_then_forwarded_with_callback,
        seen(
            false,
            CANCELLED,
            false,
            "sending presented sent cancelling cancelled canceled-on-queue completing completion forwarded",
        ),
    ),
    cell(
        COMPLETED,
        Recaller,
        "the status stays",
        acts::completed,
        seen(false, SUCCESS, false, "sending presented completing completion sent cancelling cancelled"),
    ),
    impossible(COMPLETED, Other, Routine::Both, "there is no other side left"),
    cell(
        COMPLETING,
        Recaller,
        "the canceller holds the count: the completion routine is its to run",
        acts::held_then_completed,
        seen(false, SUCCESS, true, "sending presented sent cancelling completing completion cancelled"),
    ),
    cell(
        COMPLETING,
        Other,
        "the count is 0, and the completion routine has not run",
        acts::completed_then_recalled,
        seen(false, SUCCESS, false, "sending presented sent completing cancelling cancelled completion"),
    ),
    cell(
        TWICE,
        Recaller,
        "one after the other: the second finds nothing",
        acts::twice,
        seen(
            true,
            CANCELLED,
            true,
            "sending presented marked sent cancelling cancel-callback completing completion cancelled \
             cancelling cancelled",
        ),
    ),
    cell(
        TWICE,
        Other,
        "the first has the routine when the second comes",
        acts::twice_at_once,
        seen(
            true,
            CANCELLED,
            true,
            "sending presented marked sent cancelling cancelling cancelled cancel-callback completing \
             completion cancelled",
        ),
    ),
    cell(
        SYNCHRONOUS,
        Recaller,
        "another thread recalls: the routine inside it, then the sender goes on",
        sends::synchronous,
        seen(
            true,
            CANCELLED,
            true,
            "sending presented marked cancelling cancel-callback completing completion | cancelled sent",
        ),
    ),
    cell(
        SYNCHRONOUS,
        Other,
        "the receiver completes it first",
        sends::synchronous_completed,
        seen(false, SUCCESS, false, "sending presented completing completion | sent cancelling cancelled"),
    ),
    cell(
        TIMEOUT,
        Recaller,
        "the recall is before the timer: no time-out",
        sends::long_timeout,
        seen(
            true,
            CANCELLED,
            true,
            "sending presented marked sent cancelling cancel-callback completing completion cancelled",
        ),
    ),
    cell(
        TIMEOUT,
        Other,
        "the timer recalls it, at DISPATCH_LEVEL: STATUS_IO_TIMEOUT",
        sends::short_timeout,
        Seen {
            irql: 2,
            ..seen(
                false,
                IO_TIMEOUT,
                false,
                "sending presented marked sent cancel-callback completing completion cancelling cancelled",
            )
        },
    ),
    cell(
        TIMEOUT,
        Other,
        "synchronous: the waiting sender recalls it",
        sends::synchronous_timeout,
        seen(
            false,
            IO_TIMEOUT,
            false,
            "sending presented marked cancel-callback completing completion sent cancelling cancelled",
        ),
    ),
    impossible(
        FORGOTTEN,
        Recaller,
        Routine::Only(false),
        "it keeps its file object, with which NDIS completes it before the NIC's driver could keep it",
    ),
    Cell {
        state: FORGOTTEN,
        first: Other,
        routine: Routine::Only(false),
        how: "NDIS completes it; the count was never raised: nothing to recall, and the reference keeps the object",
        outcome: Expected::Seen(
            sends::forgotten,
            seen(false, INVALID_DEVICE_REQUEST, false, "sending sent cancelling cancelled"),
        ),
    },
    impossible(
        FORGOTTEN,
        Recaller,
        Routine::Only(true),
        "a request that is sent and forgotten does not come back: no routine is ever called",
    ),
    impossible(FORGOTTEN, Other, Routine::Only(true), "as above"),
    Cell {
        state: PASSED,
        first: Recaller,
        routine: Routine::Only(true),
        how: "the completion routine inside the recall completes it for the program",
        outcome: Expected::Seen(
            sends::passed,
            seen(
                true,
                CANCELLED,
                true,
                "sending presented marked sent cancelling cancel-callback completing completion returning \
                 cancelled",
            ),
        ),
    },
    Cell {
        state: PASSED,
        first: Other,
        routine: Routine::Only(true),
        how: "completed by the receiver, and gone when the recall would come",
        outcome: Expected::Seen(
            sends::passed_and_completed,
            Seen {
                returned: None,
                ..seen(false, SUCCESS, false, "sending presented sent completing completion returning")
            },
        ),
    },
    Cell {
        state: PASSED,
        first: Recaller,
        routine: Routine::Only(false),
        how: "a queue-presented request without a routine is refused: STATUS_INVALID_DEVICE_REQUEST",
        outcome: Expected::Seen(
            sends::passed_without_routine,
            Seen { returned: None, ..seen(false, INVALID_DEVICE_REQUEST, false, "sending sent returning") },
        ),
    },
    impossible(PASSED, Other, Routine::Only(false), "refused before anybody else has it"),
    cell(
        IGNORING,
        Recaller,
        "sent although the target is stopped; recalled like any other",
        sends::ignoring_state,
        seen(
            true,
            CANCELLED,
            true,
            "target target-done sending presented marked sent cancelling cancel-callback completing completion \
             cancelled",
        ),
    ),
];

pub(super) const IGNORING: &str = "ignoring the target's state";
