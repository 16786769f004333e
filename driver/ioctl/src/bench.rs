//! The test bench of cancelnic.sys's requests, in test builds only, behind an interface of its own
//! ([`crate::NIC_BENCH_INTERFACE`]): what other drivers do with a waiting request ([`crate::nic::WAIT`]) and with their
//! queues, done on a program's demand. They work also while the device has no power.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{Header, Input, control_code, nic::behaviour};

/// Input [`Mark`]; output [`Status`]: makes a waiting request cancelable that was not.
/// STATUS_NOT_FOUND if none of this tag is in a state for it.
pub const MARK: u32 = control_code(0x824);
/// Input [`Complete`]; output [`Status`]: ends a waiting request, unmarking it first if it is cancelable; the
/// answer tells what WdfRequestUnmarkCancelable returned. STATUS_NOT_FOUND as with [`MARK`].
pub const COMPLETE: u32 = control_code(0x825);
/// Input [`Forward`]; output [`Status`]: hands a waiting, not cancelable request to another queue, or back to the
/// one that it came from (WdfRequestRequeue).
pub const FORWARD: u32 = control_code(0x826);
/// Input [`Retrieve`]; output [`Status`]: takes the next request out of a manual queue; it waits again, with its own
/// behaviour. STATUS_NO_MORE_ENTRIES if there is none.
pub const RETRIEVE: u32 = control_code(0x827);
/// Input [`QueueAction`]; output [`QueueState`].
pub const QUEUE: u32 = control_code(0x828);

/// Input of [`MARK`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Mark {
    /// Version and size.
    pub header: Header,
    /// The request.
    pub tag: u32,
    /// 1: by WdfRequestMarkCancelableEx; 0: by WdfRequestMarkCancelable.
    pub ex: u32,
}

impl Input for Mark {
    fn is_allowed(&self) -> bool {
        self.ex <= 1
    }
}

impl Mark {
    /// Marks the request called `tag`.
    #[must_use]
    pub const fn new(tag: u32, ex: bool) -> Self {
        Self { header: Header::of::<Self>(), tag, ex: ex as u32 }
    }
}

/// Input of [`COMPLETE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Complete {
    /// Version and size.
    pub header: Header,
    /// The request.
    pub tag: u32,
    /// NTSTATUS to complete it with.
    pub status: u32,
}

impl Input for Complete {
    fn is_allowed(&self) -> bool {
        true
    }
}

impl Complete {
    /// Completes the request called `tag`.
    #[must_use]
    pub const fn new(tag: u32, status: u32) -> Self {
        Self { header: Header::of::<Self>(), tag, status }
    }
}

/// The queues of the interface.
pub mod queue {
    /// Of the control codes: parallel, not power-managed.
    pub const CONTROL: u32 = 0;
    /// Presents waiting requests: parallel, power-managed.
    pub const WAIT: u32 = 1;
    /// Manual, power-managed.
    pub const SECOND: u32 = 2;
    /// Manual, power-managed, with EvtIoCanceledOnQueue.
    pub const THIRD: u32 = 3;
}

/// Whether waiting requests are taken out of `queue` on demand.
const fn is_manual(queue: u32) -> bool {
    matches!(queue, queue::SECOND | queue::THIRD)
}

/// Whether `queue` is one that holds waiting requests.
const fn has_requests(queue: u32) -> bool {
    queue == queue::WAIT || is_manual(queue)
}

/// Input of [`FORWARD`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Forward {
    /// Version and size.
    pub header: Header,
    /// The request.
    pub tag: u32,
    /// One of [`queue`], not [`queue::CONTROL`].
    pub queue: u32,
}

impl Input for Forward {
    fn is_allowed(&self) -> bool {
        has_requests(self.queue)
    }
}

impl Forward {
    /// Forwards the request called `tag`.
    #[must_use]
    pub const fn new(tag: u32, queue: u32) -> Self {
        Self { header: Header::of::<Self>(), tag, queue }
    }
}

/// Input of [`RETRIEVE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Retrieve {
    /// Version and size.
    pub header: Header,
    /// [`queue::SECOND`] or [`queue::THIRD`].
    pub queue: u32,
    /// [`crate::nic::behaviour::CANCELABLE`], [`crate::nic::behaviour::NOT_CANCELABLE`] or [`crate::nic::behaviour::AT_ONCE`].
    pub behaviour: u32,
}

impl Input for Retrieve {
    fn is_allowed(&self) -> bool {
        let kept =
            matches!(self.behaviour, behaviour::CANCELABLE | behaviour::NOT_CANCELABLE | behaviour::AT_ONCE);
        kept && is_manual(self.queue)
    }
}

impl Retrieve {
    /// Takes the next request of `queue`.
    #[must_use]
    pub const fn new(queue: u32, behaviour: u32) -> Self {
        Self { header: Header::of::<Self>(), queue, behaviour }
    }
}

/// Values of [`QueueAction::action`].
pub mod action {
    /// Nothing: only the state is asked for.
    pub const NONE: u32 = 0;
    /// WdfIoQueueStart.
    pub const START: u32 = 1;
    /// WdfIoQueueStop, without a completion callback.
    pub const STOP: u32 = 2;
    /// WdfIoQueueStopAndPurge, without one either.
    pub const STOP_AND_PURGE: u32 = 3;
    /// WdfIoQueueDrain, without one either.
    pub const DRAIN: u32 = 4;
    /// WdfIoQueuePurge, without one either.
    pub const PURGE: u32 = 5;
    /// WdfIoQueueReadyNotify: [`crate::log::event::READY`] is noted from now on.
    pub const READY_NOTIFY: u32 = 6;
    /// WdfIoQueueReadyNotify with NULL: not any more.
    pub const READY_FORGET: u32 = 7;
    /// The largest of these.
    pub const LAST: u32 = READY_FORGET;
}

/// Input of [`QUEUE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QueueAction {
    /// Version and size.
    pub header: Header,
    /// One of [`queue`], not [`queue::CONTROL`].
    pub queue: u32,
    /// One of [`action`].
    pub action: u32,
}

impl Input for QueueAction {
    fn is_allowed(&self) -> bool {
        self.action <= action::LAST && has_requests(self.queue)
    }
}

impl QueueAction {
    /// Does `action` to `queue`.
    #[must_use]
    pub const fn new(queue: u32, action: u32) -> Self {
        Self { header: Header::of::<Self>(), queue, action }
    }
}

/// Output of [`QUEUE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct QueueState {
    /// Version and size.
    pub header: Header,
    /// WdfIoQueueGetState's flags: 1 accepts, 2 dispatches, 4 empty, 8 the driver owns none, 16 held by PnP.
    pub state: u32,
    /// Requests in the queue.
    pub queued: u32,
    /// Requests that the driver owns.
    pub owned: u32,
    /// NTSTATUS of the action; 0 if it has none.
    pub status: u32,
}

/// A status as an answer: that of [`MARK`], [`COMPLETE`], [`FORWARD`], [`RETRIEVE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Status {
    /// Version and size.
    pub header: Header,
    /// NTSTATUS of the framework's call.
    pub status: u32,
    /// Zero.
    pub reserved: u32,
}

impl Status {
    /// The answer `status`.
    #[must_use]
    pub const fn new(status: u32) -> Self {
        Self { header: Header::of::<Self>(), status, reserved: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_by_one_of_two_functions() {
        let ex = [0, 1, 2, u32::MAX].map(|ex| Mark { ex, ..Mark::default() }.is_allowed());
        assert_eq!(ex, [true, true, false, false]);
    }

    #[test]
    fn requests_are_forwarded_to_the_queues_that_hold_them() {
        let queues = [queue::CONTROL, queue::WAIT, queue::SECOND, queue::THIRD, 4];
        let allowed = queues.map(|queue| Forward::new(0, queue).is_allowed());
        assert_eq!(allowed, [false, true, true, true, false]);
        let asked = queues.map(|queue| QueueAction::new(queue, action::NONE).is_allowed());
        assert_eq!(asked, allowed);
        assert!(QueueAction::new(queue::WAIT, action::LAST).is_allowed());
        assert!(!QueueAction::new(queue::WAIT, action::LAST + 1).is_allowed());
    }

    #[test]
    fn a_request_is_retrieved_from_a_manual_queue_and_then_kept_or_ended() {
        let queues = [queue::CONTROL, queue::WAIT, queue::SECOND, queue::THIRD, 4];
        let allowed = queues.map(|queue| Retrieve::new(queue, behaviour::CANCELABLE).is_allowed());
        assert_eq!(allowed, [false, false, true, true, false]);
        let kept = (0..=behaviour::LAST + 1).filter(|kept| Retrieve::new(queue::THIRD, *kept).is_allowed());
        assert!(kept.eq([behaviour::CANCELABLE, behaviour::NOT_CANCELABLE, behaviour::AT_ONCE]));
    }
}
