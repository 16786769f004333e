//! WdfRequestComplete, and the ways in which the framework completes a request itself.

use super::{Inner, Place, Request, outward};
use crate::io::{Irp, MJ_CREATE, STATUS_CANCELLED};
use crate::verifier::{violation, window};
use crate::wdf::object::{self};
use crate::wdf::queue::Queue;
use alloc::{format, sync::Arc};
use understudy_rules::wdf::table::Handle;
use wdk_offline::NTSTATUS;

/// Bug check 0x10D, first parameter: a request that is fatally wrong; outstanding references on its memory.
const REQUEST_FATAL: u64 = 6;
const VERIFIER_FATAL: u64 = 3;
/// The broken rule and the bug check's second parameter.
type Fault = (&'static str, u64);
/// UserMode.
const USER: i8 = 1;

impl Request {
    /// Takes the request from whoever has it, for completion.
    fn take(inner: &mut Inner) -> Result<(Irp, Option<Arc<Queue>>), Fault> {
        match inner.place {
            Place::Completed => return Err(("RequestCompletedTwice", 0)),
            Place::Created => return Err(("RequestNotReceived", 5)),
            Place::Queued => return Err(("RequestNotOwned", 0)),
            Place::Driver => {}
        }
        if inner.cancelable {
            return Err(("RequestCompletedWhileCancelable", 0));
        }
        if inner.recall.is_out() {
            return Err(("RequestCompletedWhileSent", 0));
        }
        let irp = inner.irp.take().ok_or(("RequestCompletedTwice", 0))?;
        inner.place = Place::Completed;
        Ok((irp, inner.queue.take()))
    }

    /// WdfRequestComplete by its owner. Up to DISPATCH_LEVEL.
    pub(crate) fn complete(self: &Arc<Self>, function: &str, status: NTSTATUS, information: Option<u64>) {
        let taken = self.inner.with(Self::take);
        let (irp, queue) = taken.unwrap_or_else(|(rule, sub)| {
            violation(rule, REQUEST_FATAL, sub, format!("{function}: WDFREQUEST {:#x}", self.handle()))
        });
        window::COMPLETE_ENTERED.pass_for(self.owner);
        let status = outward(status);
        let information = information.unwrap_or_else(|| irp.status().1);
        self.require_length(function, irp, status, information);
        self.finish(irp, queue, status, information);
    }

    /// Information says how much of the program's buffer was written: never more than there is.
    fn require_length(&self, function: &str, irp: Irp, status: NTSTATUS, information: u64) {
        let location = irp.current();
        // SAFETY: a received request's IRP, at its own location.
        let (mode, len) = unsafe {
            ((*irp.raw()).RequestorMode, (*location).Parameters.DeviceIoControl.OutputBufferLength)
        };
        let create = self.major(irp) == MJ_CREATE;
        if status >= 0 && mode == USER && !create && information > u64::from(len) {
            violation(
                "RequestInformationTooLong",
                REQUEST_FATAL,
                4,
                format!("{function}: Information {information}, the buffer has {len} bytes"),
            );
        }
    }

    fn major(&self, irp: Irp) -> u8 {
        let location = irp.current();
        // SAFETY: a received request's IRP, at its own location.
        unsafe { (*location).MajorFunction }
    }

    /// The framework cancels what the driver does not have: STATUS_CANCELLED, 0.
    pub(crate) fn complete_cancelled(self: &Arc<Self>) {
        self.complete_by_framework(STATUS_CANCELLED);
    }

    /// The framework completes what the driver does not have.
    pub(crate) fn complete_by_framework(self: &Arc<Self>, status: NTSTATUS) {
        let irp = self.inner.with(|inner| {
            inner.place = Place::Completed;
            inner.queue = None;
            inner.irp.take()
        });
        if let Some(irp) = irp {
            self.finish(irp, None, status, 0);
        }
    }

    /// Cleanup, the IRP, the queue's books, the handle: in this order.
    fn finish(self: &Arc<Self>, irp: Irp, queue: Option<Arc<Queue>>, status: NTSTATUS, information: u64) {
        self.drop_memory(irp);
        let handle = Handle::from_raw(self.handle());
        object::clean(handle);
        irp.set_status(status, information);
        irp.set_context(0);
        if self.major(irp) == MJ_CREATE {
            crate::wdf::file::create_completed(self.inner.with(|inner| inner.file), status);
        }
        irp.complete();
        if let Some(queue) = queue {
            queue.completed(self);
        }
        object::finish(handle);
    }

    /// Completion ends every use of the request's buffers; one that a sent request still has is fatal.
    pub(crate) fn drop_memory(self: &Arc<Self>, irp: Irp) {
        let (format, memories) =
            self.inner.with(|inner| (inner.format.take(), core::mem::take(&mut inner.memories)));
        Self::release_format(format, Some(irp));
        for handle in [memories.0, memories.1].into_iter().flatten() {
            let used = object::find::<crate::wdf::memory::Memory>(handle.raw())
                .ok()
                .flatten()
                .is_some_and(|memory| memory.is_used());
            if used {
                violation(
                    "RequestMemoryReferenced",
                    VERIFIER_FATAL,
                    self.handle(),
                    "completed while a sent request uses its WDFMEMORY".into(),
                );
            }
            object::delete(handle);
        }
    }
}
