//! Cancellation from both sides: the receiver's marks, and the sender's recall.

use super::{Place, Request, get, of_context};
use crate::io::{Irp, STATUS_CANCELLED};
use crate::ke::Irql;
use crate::verifier::{judge, require_irql, violation, window};
use crate::wdf::object::{self};
use crate::wdf::queue::Queue;
use alloc::{format, sync::Arc};
use wdk_offline::{
    DEVICE_OBJECT, IRP, NTSTATUS, PFN_WDF_REQUEST_CANCEL, STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS,
    WDF_DRIVER_GLOBALS, WDFREQUEST,
};

impl Request {
    /// Puts the framework's cancel routine on the IRP and reads Cancel again. `false`: it was cancelled already, and
    /// this thread has taken the routine back, so the request is its own.
    pub(crate) fn arm(irp: Irp, routine: unsafe extern "win64" fn(*mut DEVICE_OBJECT, *mut IRP)) -> bool {
        irp.set_cancel_routine(Some(routine));
        Self::check_armed(irp)
    }

    /// The second half of [`Self::arm`].
    fn check_armed(irp: Irp) -> bool {
        !(irp.is_cancelled() && irp.set_cancel_routine(None).is_some())
    }

    /// Takes the framework's cancel routine off. `false`: a canceller has it, and the request is that one's.
    pub(crate) fn disarm(irp: Irp) -> bool {
        irp.set_cancel_routine(None).is_some()
    }

    /// The owner's queue, if the request is the driver's.
    fn owned(&self) -> Option<(Arc<Queue>, Irp)> {
        self.inner.with(|inner| {
            let owned = inner.place == Place::Driver;
            inner.queue.clone().zip(inner.irp).filter(|_| owned)
        })
    }

    /// Whether the IRP was cancelled before it had the framework's routine, which this thread has now taken back. Once a
    /// canceller has it, the request is not marked any more, and its IRP may be gone.
    fn take_mark_back(&self) -> bool {
        let taken_back = |irp: Irp| !Self::check_armed(irp);
        self.inner.with(|inner| inner.cancelable && inner.irp.is_some_and(taken_back))
    }

    /// WdfRequestMarkCancelable(Ex): `driver/docs/requests.md`, RQ14 to RQ19.
    fn mark(self: &Arc<Self>, routine: PFN_WDF_REQUEST_CANCEL, ex: bool) -> NTSTATUS {
        let Some((queue, irp)) = self.owned() else { return STATUS_INVALID_DEVICE_REQUEST };
        if self.inner.with(|inner| inner.cancel.is_some()) {
            return STATUS_INVALID_DEVICE_REQUEST;
        }
        window::MARK_ENTERED.pass_for(self.owner);
        // listed and armed in one step: a purge that comes between would not find it
        let purged = queue.begin_mark(self, routine, || {
            irp.set_cancel_routine(Some(cancelled_at_driver));
        });
        let armed = !purged && {
            window::MARK_ROUTINE_SET.pass_for(self.owner);
            !self.take_mark_back()
        };
        if armed {
            return STATUS_SUCCESS;
        }
        queue.end_mark(self);
        if ex {
            self.inner.with(|inner| inner.cancel = None);
            return STATUS_CANCELLED;
        }
        self.inner.with(|inner| inner.recall.flag());
        queue.cancel_for_driver(self);
        STATUS_SUCCESS
    }

    /// WdfRequestUnmarkCancelable.
    fn unmark(self: &Arc<Self>) -> NTSTATUS {
        let Some((queue, irp)) = self.owned() else { return STATUS_INVALID_DEVICE_REQUEST };
        if !self.inner.with(|inner| inner.cancelable) {
            // either it was never marked, or the cancel has won
            return if self.inner.with(|inner| inner.cancel.is_some()) {
                STATUS_CANCELLED
            } else {
                STATUS_INVALID_DEVICE_REQUEST
            };
        }
        if !Self::disarm(irp) {
            return STATUS_CANCELLED;
        }
        queue.end_mark(self);
        self.inner.with(|inner| inner.cancel = None);
        STATUS_SUCCESS
    }

    /// The algorithm of `driver/docs/requests.md`, RQ1 to RQ4: mark, count, IoCancelIrp, count. Up to DISPATCH_LEVEL.
    pub(crate) fn recall(self: &Arc<Self>) -> bool {
        self.inner.with(|inner| inner.recall.flag());
        window::CANCEL_FLAGGED.pass_for(self.owner);
        let Some((irp, target)) = self.inner.with(|inner| {
            let held = inner.recall.hold();
            inner.irp.zip(inner.target.clone()).filter(|_| held)
        }) else {
            return false;
        };
        window::CANCEL_COUNTED.pass_for(self.owner);
        let ran = irp.cancel();
        window::CANCEL_IRP_DONE.pass_for(self.owner);
        if self.inner.with(|inner| inner.recall.release()) {
            target.complete_recalled(self);
        }
        ran
    }
}

/// Cancel routine of a request on a queue. Comes with the cancel spin lock held.
pub(crate) unsafe extern "win64" fn cancelled_on_queue(_device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    if let Some((request, queue)) = enter(irp) {
        queue.take_cancelled(&request);
        queue.cancel_for_queue(&request);
    }
}

/// Cancel routine of a request that its driver has marked. Comes with the cancel spin lock held.
unsafe extern "win64" fn cancelled_at_driver(_device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    if let Some((request, queue)) = enter(irp) {
        request.inner.with(|inner| inner.recall.flag());
        queue.end_mark(&request);
        queue.cancel_for_driver(&request);
    }
}

/// Gives the cancel spin lock back and finds the request.
fn enter(irp: *mut IRP) -> Option<(Arc<Request>, Arc<Queue>)> {
    // SAFETY: the IRP cannot be completed before whoever took its cancel routine lets it.
    let (irql, irp) = (Irql::new(unsafe { (*irp).CancelIrql }), Irp::from_raw(irp, "cancel routine"));
    crate::io::irp::release_cancel_lock(irql);
    let request = of_context(irp.context())?;
    window::CANCEL_ROUTINE.pass_for(request.owner);
    let queue = request.inner.with(|inner| inner.queue.clone())?;
    Some((request, queue))
}

/// WdfRequestMarkCancelable: up to DISPATCH_LEVEL. A request that is cancelled already has its EvtRequestCancel called.
pub(crate) unsafe extern "win64" fn mark_cancelable(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    routine: PFN_WDF_REQUEST_CANCEL,
) {
    const FUNCTION: &str = "WdfRequestMarkCancelable";
    mark_checked(FUNCTION, request, routine, false);
}

/// WdfRequestMarkCancelableEx: up to DISPATCH_LEVEL. STATUS_CANCELLED: the driver completes, no callback comes.
pub(crate) unsafe extern "win64" fn mark_cancelable_ex(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    routine: PFN_WDF_REQUEST_CANCEL,
) -> NTSTATUS {
    mark_checked("WdfRequestMarkCancelableEx", request, routine, true)
}

fn mark_checked(function: &str, request: WDFREQUEST, routine: PFN_WDF_REQUEST_CANCEL, ex: bool) -> NTSTATUS {
    require_irql(function, Irql::DISPATCH);
    if routine.is_none() {
        violation("NullParameter", 4, request as u64, format!("{function}: EvtRequestCancel is NULL"));
    }
    let status = get(request, function).mark(routine, ex);
    require_markable(function, request, status);
    status
}

/// The framework's verifier breaks on these and goes on with a status; here they end the run.
fn require_markable(function: &str, request: WDFREQUEST, status: NTSTATUS) {
    if status == STATUS_INVALID_DEVICE_REQUEST {
        violation(
            "RequestNotMarkable",
            6,
            request as u64,
            format!("{function}: not the driver's, or not marked (Unmark), or marked already (Mark)"),
        );
    }
}

/// WdfRequestUnmarkCancelable: up to DISPATCH_LEVEL. STATUS_CANCELLED: EvtRequestCancel runs or ran, and completes.
pub(crate) unsafe extern "win64" fn unmark_cancelable(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfRequestUnmarkCancelable";
    require_irql(FUNCTION, Irql::DISPATCH);
    let status = get(request, FUNCTION).unmark();
    require_markable(FUNCTION, request, status);
    status
}

/// WdfRequestIsCanceled: up to DISPATCH_LEVEL; not while marked cancelable.
pub(crate) unsafe extern "win64" fn is_canceled(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
) -> u8 {
    const FUNCTION: &str = "WdfRequestIsCanceled";
    require_irql(FUNCTION, Irql::DISPATCH);
    let request = get(request, FUNCTION);
    let irp = request.irp(FUNCTION);
    u8::from(request.inner.with(|inner| inner.recall.is_canceled()) || irp.is_cancelled())
}

/// WdfRequestCancelSentRequest: up to DISPATCH_LEVEL. TRUE: a cancel routine was found and has been called.
///
/// The caller holds a reference over the call: the completion routine may run inside, and what it frees would be gone
/// under the call. Within EvtIoStop the framework holds one.
pub(crate) unsafe extern "win64" fn cancel_sent_request(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
) -> u8 {
    const FUNCTION: &str = "WdfRequestCancelSentRequest";
    require_irql(FUNCTION, Irql::DISPATCH);
    let raw = request as u64;
    let request = get(request, FUNCTION);
    let safe = object::references(raw, FUNCTION) != 0 || request.inner.with(|inner| inner.in_stop);
    if !safe {
        judge(
            "CancelledWithoutReference",
            6,
            raw,
            format!("{FUNCTION}: the driver holds no reference on the WDFREQUEST over the call"),
        );
    }
    let ran = request.recall();
    u8::from(ran)
}

/// WdfRequestStopAcknowledge: up to DISPATCH_LEVEL, effective in EvtIoStop only.
pub(crate) unsafe extern "win64" fn stop_acknowledge(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    requeue: u8,
) {
    const FUNCTION: &str = "WdfRequestStopAcknowledge";
    require_irql(FUNCTION, Irql::DISPATCH);
    let raw = request as u64;
    let request = get(request, FUNCTION);
    let fault = request.inner.with(|inner| {
        if !inner.in_stop {
            return Some("outside EvtIoStop of this request it has no effect");
        }
        if requeue != 0 && (inner.place != Place::Driver || inner.cancelable) {
            return Some("with Requeue of a request that is not the driver's, or marked cancelable");
        }
        inner.acknowledged = Some(requeue != 0);
        None
    });
    if let Some(fault) = fault {
        violation("StopAcknowledgeMisused", 6, raw, format!("{FUNCTION}: {fault}"));
    }
}
