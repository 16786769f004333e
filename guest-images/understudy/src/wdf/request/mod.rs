//! WDFREQUEST: a request received from a queue, or made by the driver to be sent.

pub(crate) mod api;
pub(crate) mod buffers;
pub(crate) mod cancel;
pub(crate) mod complete;
pub(crate) mod format;
pub(crate) mod send;

use super::io_target::Target;
use super::memory::Memory;
use super::object::{self, Attributes, Typed};
use super::queue::Queue;
use crate::io::Irp;
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Timer};
use crate::mm::Owner;
use crate::verifier::pool::Lent;
use crate::verifier::violation;
use alloc::{format, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering::Relaxed};
use understudy_rules::wdf::recall::Recall;
use understudy_rules::wdf::table::{Handle, HandleFault};
use wdk_offline::{
    NTSTATUS, PFN_WDF_REQUEST_CANCEL, PFN_WDF_REQUEST_COMPLETION_ROUTINE, WDF_REQUEST_COMPLETION_PARAMS,
    WDFCONTEXT, WDFREQUEST,
};

/// Who has a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Made by the driver; it is the driver's to send, use again and delete.
    Created,
    /// Received, and on a queue.
    Queued,
    /// Received, and the driver's.
    Driver,
    /// Completed, or sent and forgotten: only references keep the handle.
    Completed,
}

/// One side of a buffer that a formatted request uses.
pub(crate) struct Span {
    /// The driver's memory object; it is referenced until the request is used again.
    pub memory: Arc<Memory>,
    /// Its handle, as the completion parameters give it back.
    pub handle: u64,
    /// First byte.
    pub offset: usize,
    /// Bytes.
    pub len: usize,
}

/// What a formatted control request carries besides its IRP.
pub(crate) struct Format {
    /// IRP_MJ_DEVICE_CONTROL or IRP_MJ_INTERNAL_DEVICE_CONTROL.
    pub major: u8,
    /// Control code.
    pub code: u32,
    /// Input, if any.
    pub input: Option<Span>,
    /// Output, if any.
    pub output: Option<Span>,
    /// The IRP's system buffer meanwhile; at least one byte.
    pub system: IrqLock<Vec<u8>>,
    /// What describes the output's pages meanwhile, with a direct method.
    pub mdl: Option<Lent>,
    /// The system buffer and the MDL that the IRP had before.
    pub before: (usize, usize),
}

/// The driver's completion routine with its context: one shot.
#[derive(Clone, Copy)]
pub(crate) struct Routine(pub PFN_WDF_REQUEST_COMPLETION_ROUTINE, pub WDFCONTEXT);

// SAFETY: the context is the driver's word, handed back to it only.
unsafe impl Send for Routine {}

impl Routine {
    const NONE: Self = Self(None, core::ptr::null_mut());
}

/// Who waits for a synchronous send.
pub(crate) struct Waiter {
    /// Set when the completion routine has run.
    pub done: Event,
    /// The status.
    pub status: AtomicI32,
}

/// What changes in a request.
pub(crate) struct Inner {
    /// The IRP, until completion.
    pub irp: Option<Irp>,
    /// Who has it.
    pub place: Place,
    /// Whose queue it came from, or is on.
    pub queue: Option<Arc<Queue>>,
    /// The driver has had it once.
    pub presented: bool,
    /// Count and marks.
    pub recall: Recall,
    /// EvtRequestCancel, while marked cancelable and until it has been called.
    pub cancel: PFN_WDF_REQUEST_CANCEL,
    /// Marked, and neither unmarked nor cancelled.
    pub cancelable: bool,
    /// In EvtIoStop.
    pub in_stop: bool,
    /// What StopAcknowledge said: requeue or keep.
    pub acknowledged: Option<bool>,
    /// The driver's own has come back since it was made or used again.
    pub used: bool,
    /// Formatted since the last use.
    pub formatted: bool,
    /// The control request's code and buffers, if formatted as one.
    pub format: Option<Arc<Format>>,
    /// The target that it is sent to, until it is back.
    pub target: Option<Arc<Target>>,
    /// On the list of those that ignore the target's state.
    pub ignores_state: bool,
    /// It waits in a stopped target.
    pub parked: bool,
    /// The completion routine for the next send.
    pub routine: Routine,
    /// The sender that waits.
    pub waiter: Option<Arc<Waiter>>,
    /// WdfRequestGetCompletionParams.
    pub params: WDF_REQUEST_COMPLETION_PARAMS,
    /// WDFMEMORY of the received buffers: input, output.
    pub memories: (Option<Handle>, Option<Handle>),
    /// WDFFILEOBJECT, 0 if none.
    pub file: u64,
}

// SAFETY: the raw members are the IRP's address and words that go back to the driver.
unsafe impl Send for Inner {}

/// A request.
pub(crate) struct Request {
    handle: AtomicU64,
    /// The driver that owns the handle.
    pub owner: Owner,
    /// It came with an IRP of somebody else.
    pub received: bool,
    /// Everything that changes.
    pub inner: IrqLock<Inner>,
    /// Made at the first send with a time-out.
    pub timer: spin::Once<Timer>,
}

impl Typed for Request {
    const KIND: &'static str = "WDFREQUEST";

    fn require_deletable(&self, raw: u64, function: &str) {
        crate::verifier::require_irql(function, Irql::DISPATCH);
        if self.received {
            violation("ObjectNotDeletable", 3, raw, format!("{function} of a received WDFREQUEST"));
        }
    }

    fn dispose(self: Arc<Self>) {
        let (out, irp, format) = self.inner.with(|inner| {
            let out = inner.recall.is_out();
            let irp = if self.received { None } else { inner.irp.take() };
            inner.place = Place::Completed;
            (out, irp, inner.format.take())
        });
        if out {
            violation(
                "RequestDeletedWhileSent",
                6,
                self.handle(),
                "a WDFREQUEST is deleted while it is sent".into(),
            );
        }
        Self::release_format(format, irp);
        if let Some(irp) = irp {
            irp.free();
        }
    }
}

impl Request {
    fn make(owner: Owner, received: bool, irp: Irp, place: Place) -> Arc<Self> {
        Arc::new(Self {
            handle: AtomicU64::new(0),
            owner,
            received,
            inner: IrqLock::new(Inner {
                irp: Some(irp),
                place,
                queue: None,
                presented: false,
                recall: Recall::new(),
                cancel: None,
                cancelable: false,
                in_stop: false,
                acknowledged: None,
                used: false,
                formatted: false,
                format: None,
                target: None,
                ignores_state: false,
                parked: false,
                routine: Routine::NONE,
                waiter: None,
                params: WDF_REQUEST_COMPLETION_PARAMS::default(),
                memories: (None, None),
                file: 0,
            }),
            timer: spin::Once::new(),
        })
    }

    /// A request for an IRP that has come to a device of `owner`.
    pub(crate) fn receive(owner: Owner, irp: Irp, file: u64, attributes: Attributes) -> Arc<Self> {
        let made = Self::make(owner, true, irp, Place::Queued);
        made.inner.with(|inner| inner.file = file);
        let payload = made.clone();
        let handle = object::create_for(owner, "dispatch", payload, None, attributes);
        made.handle.store(handle.raw(), Relaxed);
        irp.set_context(handle.raw());
        made
    }

    /// Its handle.
    pub(crate) fn handle(&self) -> u64 {
        self.handle.load(Relaxed)
    }

    /// Its handle as callbacks get it.
    pub(crate) fn raw(&self) -> WDFREQUEST {
        self.handle() as WDFREQUEST
    }

    /// What stands on the time line before callbacks of its driver.
    pub(crate) fn label(&self) -> &'static str {
        crate::verifier::owners::label(self.owner)
    }

    /// The IRP; a completed request has none, which is a violation.
    pub(crate) fn irp(&self, function: &str) -> Irp {
        self.inner.with(|inner| inner.irp).unwrap_or_else(|| {
            violation(
                "RequestUsedAfterCompletion",
                6,
                self.handle(),
                format!("{function}: it has been completed"),
            )
        })
    }

    /// Which control request it is, for reports.
    pub(crate) fn describe(&self) -> alloc::string::String {
        let irp = self.inner.with(|inner| inner.irp);
        let code = irp.map_or(0, |irp| {
            let location = irp.current();
            // SAFETY: received requests stand at a location of their own, in a live IRP.
            if self.received { unsafe { (*location).Parameters.DeviceIoControl.IoControlCode } } else { 0 }
        });
        format!("WDFREQUEST {:#x}, control code {code:#x}", self.handle())
    }

    /// Ends a format: the IRP's own system buffer comes back, and the driver's memory is free.
    pub(crate) fn release_format(format: Option<Arc<Format>>, irp: Option<Irp>) {
        let Some(format) = format else { return };
        if let Some(irp) = irp {
            // SAFETY: the IRP is the request's, and not sent.
            unsafe {
                (*irp.raw()).AssociatedIrp.SystemBuffer = format.before.0 as *mut _;
                if format.mdl.is_some() {
                    (*irp.raw()).MdlAddress = format.before.1 as *mut _;
                }
            }
        }
        for span in [&format.input, &format.output].into_iter().flatten() {
            span.memory.unuse();
        }
    }
}

/// The request behind a handle that a driver passes.
pub(crate) fn get(handle: WDFREQUEST, function: &str) -> Arc<Request> {
    object::get_ptr::<Request, _>(handle, function)
}

/// As [`get`], for completion: a handle that is gone was completed before.
pub(crate) fn get_to_complete(handle: WDFREQUEST, function: &str) -> Arc<Request> {
    if let Err(HandleFault::Stale("WDFREQUEST")) = object::find::<Request>(handle as u64) {
        violation("RequestCompletedTwice", 6, handle as u64, format!("{function}: the WDFREQUEST is gone"));
    }
    get(handle, function)
}

/// The request that a framework cancel routine or completion routine finds in its IRP's context.
pub(crate) fn of_context(raw: u64) -> Option<Arc<Request>> {
    object::find::<Request>(raw).ok().flatten()
}

/// A status as WDF-private ones are shown to the outside.
pub(crate) fn outward(status: NTSTATUS) -> NTSTATUS {
    const DEVICE_BUSY: NTSTATUS = 0x8000_0011_u32 as i32;
    const INTERNAL_ERROR: NTSTATUS = 0xC000_00E5_u32 as i32;
    const INVALID_DEVICE_REQUEST: NTSTATUS = 0xC000_0010_u32 as i32;
    // the facility of the framework's own statuses
    if status as u32 & 0x0fff_0000 != 0x0020_0000 {
        return status;
    }
    match status as u32 {
        0xC020_0203 | 0xC020_0204 => DEVICE_BUSY,
        0xC020_0201 => INTERNAL_ERROR,
        _ => INVALID_DEVICE_REQUEST,
    }
}
