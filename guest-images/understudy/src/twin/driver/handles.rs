//! Requests, queues and I/O targets as tests hold them.

use super::{evt_cancel, evt_completion, evt_state};
use crate::wdf::{io_target, object, queue::api as queue_api, request};
use core::mem::zeroed;
use core::ptr::{null, null_mut};
use wdk_offline::*;

/// A WDFREQUEST as tests hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Request(pub u64);

impl Request {
    /// The handle.
    pub(crate) fn raw(self) -> WDFREQUEST {
        self.0 as WDFREQUEST
    }

    /// WdfRequestComplete.
    pub(crate) fn complete(self, status: NTSTATUS) {
        // SAFETY: KMDF checks every handle that it is given; so for all below.
        unsafe { request::api::complete(null_mut(), self.raw(), status) };
    }

    /// WdfRequestCompleteWithInformation.
    pub(crate) fn complete_with(self, status: NTSTATUS, information: u64) {
        // SAFETY: as above.
        unsafe { request::api::complete_with_information(null_mut(), self.raw(), status, information) };
    }

    /// WdfRequestMarkCancelable, with the test's EvtRequestCancel.
    pub(crate) fn mark(self) {
        // SAFETY: as above; the routine is the test driver's.
        unsafe { request::cancel::mark_cancelable(null_mut(), self.raw(), Some(evt_cancel)) };
    }

    /// WdfRequestMarkCancelableEx.
    pub(crate) fn mark_ex(self) -> NTSTATUS {
        // SAFETY: as above.
        unsafe { request::cancel::mark_cancelable_ex(null_mut(), self.raw(), Some(evt_cancel)) }
    }

    /// WdfRequestUnmarkCancelable.
    pub(crate) fn unmark(self) -> NTSTATUS {
        // SAFETY: as above.
        unsafe { request::cancel::unmark_cancelable(null_mut(), self.raw()) }
    }

    /// WdfRequestIsCanceled.
    pub(crate) fn is_cancelled(self) -> bool {
        // SAFETY: as above.
        unsafe { request::cancel::is_canceled(null_mut(), self.raw()) != 0 }
    }

    /// WdfRequestForwardToIoQueue.
    pub(crate) fn forward(self, to: Queue) -> NTSTATUS {
        // SAFETY: as above.
        unsafe { queue_api::forward_to_io_queue(null_mut(), self.raw(), to.raw()) }
    }

    /// WdfRequestRequeue.
    pub(crate) fn requeue(self) -> NTSTATUS {
        // SAFETY: as above.
        unsafe { queue_api::requeue(null_mut(), self.raw()) }
    }

    /// WdfRequestFormatRequestUsingCurrentType.
    pub(crate) fn format_as_it_came(self) {
        // SAFETY: as above.
        unsafe { request::format::format_using_current_type(null_mut(), self.raw()) };
    }

    /// WdfIoTargetFormatRequestForIoctl without buffers.
    pub(crate) fn format(self, target: Target, code: u32) -> NTSTATUS {
        let none = null_mut();
        // SAFETY: as above.
        unsafe {
            request::format::format_for_ioctl(
                null_mut(),
                target.raw(),
                self.raw(),
                code,
                none,
                null_mut(),
                none,
                null_mut(),
            )
        }
    }

    /// WdfRequestSend; the test's completion routine is set before. `flags` and a relative `timeout`.
    pub(crate) fn send(self, target: Target, flags: u32, timeout: i64) -> bool {
        let mut options = WDF_REQUEST_SEND_OPTIONS {
            Size: size_of::<WDF_REQUEST_SEND_OPTIONS>() as u32,
            Flags: flags,
            Timeout: timeout,
        };
        // SAFETY: as above; the routine is the test driver's.
        unsafe {
            request::send::set_completion_routine(null_mut(), self.raw(), Some(evt_completion), null_mut());
            request::send::send(null_mut(), self.raw(), target.raw(), &raw mut options) != 0
        }
    }

    /// WdfRequestCancelSentRequest with a reference over the call.
    pub(crate) fn cancel_sent(self) -> bool {
        self.reference();
        // SAFETY: as above.
        let ran = unsafe { request::cancel::cancel_sent_request(null_mut(), self.raw()) != 0 };
        self.dereference();
        ran
    }

    /// WdfRequestGetStatus.
    pub(crate) fn status(self) -> NTSTATUS {
        // SAFETY: as above.
        unsafe { request::api::get_status(null_mut(), self.raw()) }
    }

    /// WdfRequestReuse.
    pub(crate) fn reuse(self) -> NTSTATUS {
        let mut params = WDF_REQUEST_REUSE_PARAMS {
            Size: size_of::<WDF_REQUEST_REUSE_PARAMS>() as u32,
            // SAFETY: numbers and a pointer.
            ..unsafe { zeroed() }
        };
        // SAFETY: as above.
        unsafe { request::api::reuse(null_mut(), self.raw(), &raw mut params) }
    }

    /// WdfObjectReference.
    pub(crate) fn reference(self) {
        // SAFETY: as above.
        unsafe { object::reference_actual(null_mut(), self.0 as WDFOBJECT, null_mut(), 0, null()) };
    }

    /// WdfObjectDereference.
    pub(crate) fn dereference(self) {
        // SAFETY: as above.
        unsafe { object::dereference_actual(null_mut(), self.0 as WDFOBJECT, null_mut(), 0, null()) };
    }

    /// WdfObjectDelete.
    pub(crate) fn delete(self) {
        // SAFETY: as above.
        unsafe { object::object_delete(null_mut(), self.0 as WDFOBJECT) };
    }
}

/// A WDFQUEUE as tests hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Queue(pub u64);

/// What WdfIoQueueStop and its like are to be called with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// WdfIoQueueStop.
    Stop,
    /// WdfIoQueueStopAndPurge.
    StopAndPurge,
    /// WdfIoQueueDrain.
    Drain,
    /// WdfIoQueuePurge.
    Purge,
}

impl Queue {
    /// The handle.
    pub(crate) fn raw(self) -> WDFQUEUE {
        self.0 as WDFQUEUE
    }

    /// WdfIoQueueRetrieveNextRequest.
    pub(crate) fn retrieve(self) -> Result<Request, NTSTATUS> {
        let mut found = null_mut();
        // SAFETY: KMDF checks the handle, the place is this function's.
        match unsafe { queue_api::retrieve_next_request(null_mut(), self.raw(), &raw mut found) } {
            STATUS_SUCCESS => Ok(Request(found as u64)),
            status => Err(status),
        }
    }

    /// Changes the queue; the test's state callback is called at the end if `notify`.
    pub(crate) fn change(self, change: Change, notify: bool) {
        let callback: PFN_WDF_IO_QUEUE_STATE = if notify { Some(evt_state) } else { None };
        let function = match change {
            Change::Stop => queue_api::stop,
            Change::StopAndPurge => queue_api::stop_and_purge,
            Change::Drain => queue_api::drain,
            Change::Purge => queue_api::purge,
        };
        // SAFETY: as above.
        unsafe { function(null_mut(), self.raw(), callback, null_mut()) };
    }

    /// As [`Self::change`], and waits.
    pub(crate) fn change_and_wait(self, change: Change) {
        let function = match change {
            Change::Stop => queue_api::stop_synchronously,
            Change::StopAndPurge => queue_api::stop_and_purge_synchronously,
            Change::Drain => queue_api::drain_synchronously,
            Change::Purge => queue_api::purge_synchronously,
        };
        // SAFETY: as above.
        unsafe { function(null_mut(), self.raw()) };
    }

    /// WdfIoQueueStart.
    pub(crate) fn start(self) {
        // SAFETY: as above.
        unsafe { queue_api::start(null_mut(), self.raw()) };
    }

    /// WdfIoQueueReadyNotify with the test's state callback.
    pub(crate) fn ready_notify(self) -> NTSTATUS {
        // SAFETY: as above.
        unsafe { queue_api::ready_notify(null_mut(), self.raw(), Some(evt_state), null_mut()) }
    }

    /// Requests on the queue, and with the driver; the state's bits.
    pub(crate) fn state(self) -> (i32, u32, u32) {
        let (mut queued, mut owned) = (0, 0);
        // SAFETY: as above.
        let bits = unsafe { queue_api::get_state(null_mut(), self.raw(), &raw mut queued, &raw mut owned) };
        (bits, queued, owned)
    }
}

/// A WDFIOTARGET as tests hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target(pub u64);

impl Target {
    /// The handle.
    pub(crate) fn raw(self) -> WDFIOTARGET {
        self.0 as WDFIOTARGET
    }

    /// WdfIoTargetStop: 1 cancels and waits, 2 waits, 3 leaves the sent ones.
    pub(crate) fn stop(self, action: i32) {
        // SAFETY: KMDF checks the handle; so for all below.
        unsafe { io_target::api::stop(null_mut(), self.raw(), action) };
    }

    /// WdfIoTargetStart.
    pub(crate) fn start(self) -> NTSTATUS {
        // SAFETY: as above.
        unsafe { io_target::api::start(null_mut(), self.raw()) }
    }

    /// WdfIoTargetPurge: 1 waits, 2 does not.
    pub(crate) fn purge(self, action: i32) {
        // SAFETY: as above.
        unsafe { io_target::api::purge(null_mut(), self.raw(), action) };
    }

    /// WdfIoTargetClose.
    pub(crate) fn close(self) {
        // SAFETY: as above.
        unsafe { io_target::api::close(null_mut(), self.raw()) };
    }
}
