//! Sending, and a request's way back.

use super::{Format, Place, Request, Routine, Waiter, get};
use crate::io::{Irp, STATUS_MORE_PROCESSING_REQUIRED};
use crate::ke::Irql;
use crate::ke::{Event, Timer};
use crate::verifier::{judge, require_irql, violation, window};
use crate::wdf::io_target::{self, Target};
use crate::wdf::object::{self};
use alloc::{boxed::Box, format, sync::Arc};
use core::ffi::c_void;
use core::sync::atomic::{AtomicI32, Ordering::SeqCst};
use understudy_rules::io::method::Method;
use understudy_rules::wdf::recall::Fired;
use wdk_offline::{
    DEVICE_OBJECT, IRP, NTSTATUS, PFN_WDF_REQUEST_COMPLETION_ROUTINE, STATUS_INFO_LENGTH_MISMATCH,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, WDF_DRIVER_GLOBALS,
    WDF_REQUEST_COMPLETION_PARAMS, WDF_REQUEST_SEND_OPTIONS, WDFCONTEXT, WDFIOTARGET, WDFMEMORY, WDFREQUEST,
};

const TIMEOUT: u32 = 1;
const SYNCHRONOUS: u32 = 2;
const IGNORE_STATE: u32 = 4;
const SEND_AND_FORGET: u32 = 8;
/// The request was not formatted, or has too few stack locations.
pub(crate) const STATUS_REQUEST_NOT_ACCEPTED: NTSTATUS = 0xC000_00D0_u32 as i32;
/// Bug check 0x10D/6, second parameter.
pub(crate) const ALREADY_SENT: u64 = 3;
/// WdfRequestTypeNoFormat.
const NO_FORMAT: i32 = 255;

impl Request {
    /// The completion routine's turn: runs it, then lets the target's reference go. No lock is held. Up to
    /// DISPATCH_LEVEL.
    pub(crate) fn finish_send(self: &Arc<Self>, target: &Arc<Target>) {
        window::COMPLETE_BEFORE_ROUTINE.pass_for(self.owner);
        let handle = self.handle();
        object::hold(handle);
        let (irp, routine, waiter, format) = self.inner.with(|inner| {
            inner.target = None;
            inner.parked = false;
            inner.formatted = false;
            inner.used = !self.received;
            (
                inner.irp,
                core::mem::replace(&mut inner.routine, Routine::NONE),
                inner.waiter.take(),
                inner.format.clone(),
            )
        });
        if let Some(irp) = irp {
            let (status, information) = irp.status();
            let status = self.inner.with(|inner| inner.recall.outcome(status));
            irp.set_status(status, information);
            self.bring_back(format.as_deref(), status, information);
            let mut params = self.inner.with(|inner| inner.params);
            if let Routine(Some(routine), context) = routine {
                let target_raw = target.raw();
                // SAFETY: the driver's completion routine with its own handles and context; no lock is held.
                crate::verifier::trace::callback(self.label(), "EvtRequestCompletionRoutine", || unsafe {
                    routine(self.raw(), target_raw, &raw mut params, context);
                });
            }
            if let Some(waiter) = waiter {
                waiter.status.store(status, SeqCst);
                waiter.done.set();
            }
        }
        target.settle();
        object::release(handle);
    }

    /// Copies a buffered control request's output back, whatever its status (a direct one's was written in place), and fills the completion parameters.
    fn bring_back(&self, format: Option<&Format>, status: NTSTATUS, information: u64) {
        let mut params = WDF_REQUEST_COMPLETION_PARAMS {
            Size: size_of::<WDF_REQUEST_COMPLETION_PARAMS>() as u32,
            Type: NO_FORMAT,
            ..WDF_REQUEST_COMPLETION_PARAMS::default()
        };
        params.IoStatus.__bindgen_anon_1.Status = status;
        params.IoStatus.Information = information;
        if let Some(format) = format {
            // WDF_REQUEST_TYPE has the numbers of the major functions
            params.Type = format.major.into();
            params.Parameters.Ioctl.IoControlCode = format.code;
            if let Some(input) = &format.input {
                params.Parameters.Ioctl.Input.Buffer = input.handle as WDFMEMORY;
                params.Parameters.Ioctl.Input.Offset = input.offset;
            }
            if let Some(output) = &format.output {
                params.Parameters.Ioctl.Output.Buffer = output.handle as WDFMEMORY;
                params.Parameters.Ioctl.Output.Offset = output.offset;
                params.Parameters.Ioctl.Output.Length = information as usize;
                if Method::of(format.code) == Method::Buffered {
                    let len = output.len.min(information as usize);
                    format.system.with(|system| {
                        // SAFETY: the span lies in the memory object, which lives; the system buffer is as long.
                        unsafe {
                            let to = output.memory.buffer().add(output.offset);
                            core::ptr::copy_nonoverlapping(system.as_ptr(), to, len);
                        }
                    });
                }
            }
        }
        self.inner.with(|inner| inner.params = params);
    }

    /// The driver gives the request away for good: it is completed as far as this driver goes.
    fn forget(self: &Arc<Self>, to: *mut DEVICE_OBJECT) {
        let (irp, queue) = self.inner.with(|inner| {
            inner.place = Place::Completed;
            (inner.irp.take(), inner.queue.take())
        });
        let Some(irp) = irp else { return };
        self.drop_memory(irp);
        let handle = understudy_rules::wdf::table::Handle::from_raw(self.handle());
        object::clean(handle);
        irp.set_context(0);
        irp.skip_current();
        irp.call(to);
        if let Some(queue) = queue {
            queue.completed(self);
        }
        object::finish(handle);
    }

    /// The time-out's callback, at DISPATCH_LEVEL.
    fn timed_out(self: &Arc<Self>) {
        if self.inner.with(|inner| inner.recall.fire()) == Fired::Cancel {
            self.recall();
        }
    }
}

/// The framework's completion routine in the IRP: the request is back from the target.
unsafe extern "win64" fn returned(
    _device: *mut DEVICE_OBJECT,
    irp: *mut IRP,
    context: *mut c_void,
) -> NTSTATUS {
    // SAFETY: made by Arc::into_raw in `send_now` for this one call.
    let request = unsafe { Arc::from_raw(context.cast::<Request>()) };
    // the lower driver has used the driver context for itself
    Irp::from_raw(irp, "completion routine").set_context(request.handle());
    let last = request.inner.with(|inner| {
        inner.recall.stop_timer();
        inner.recall.release()
    });
    if last && let Some(target) = request.inner.with(|inner| inner.target.clone()) {
        target.take_back(&request);
    }
    // else a canceller is inside, and completes when it leaves
    STATUS_MORE_PROCESSING_REQUIRED
}

/// Hands the formatted IRP to the target's device.
pub(crate) fn send_now(request: &Arc<Request>, irp: Irp, to: *mut DEVICE_OBJECT) {
    window::SEND_SUBMITTED.pass_for(request.owner);
    irp.set_completion(Some(returned), Arc::into_raw(request.clone()).cast_mut().cast());
    irp.call(to);
}

/// Makes the timer of a request that is to be submitted with a time-out, at the first time.
pub(crate) fn make_timer(request: &Arc<Request>) {
    let weak = Arc::downgrade(request);
    request.timer.call_once(|| {
        Timer::new(Box::new(move || {
            if let Some(request) = weak.upgrade() {
                request.timed_out();
            }
        }))
    });
}

/// Starts the time-out, which is relative, of a request that is being submitted.
pub(crate) fn start_timer(request: &Request, timeout: i64) {
    if let Some(timer) = request.timer.get() {
        request.inner.with(|inner| inner.recall.set_timer());
        timer.start(timeout.unsigned_abs().div_ceil(10));
    }
}

struct Options {
    flags: u32,
    timeout: i64,
}

fn read_options(function: &str, options: *const WDF_REQUEST_SEND_OPTIONS) -> Result<Options, NTSTATUS> {
    // SAFETY: the driver passes NULL or its own structure.
    let Some(options) = (unsafe { options.as_ref() }) else { return Ok(Options { flags: 0, timeout: 0 }) };
    if options.Size as usize != size_of::<WDF_REQUEST_SEND_OPTIONS>() {
        crate::log!("{function}: WDF_REQUEST_SEND_OPTIONS.Size is {}", options.Size);
        return Err(STATUS_INFO_LENGTH_MISMATCH);
    }
    let known = TIMEOUT | SYNCHRONOUS | IGNORE_STATE | SEND_AND_FORGET;
    let forget = options.Flags & SEND_AND_FORGET != 0;
    if options.Flags & !known != 0 || forget && options.Flags != SEND_AND_FORGET {
        return Err(STATUS_INVALID_PARAMETER);
    }
    let timeout = if options.Flags & TIMEOUT != 0 { options.Timeout } else { 0 };
    if timeout > 0 {
        crate::verifier::trace::not_offered("WdfRequestSend with an absolute time-out");
    }
    Ok(Options { flags: options.Flags, timeout })
}

/// WdfRequestSend: up to DISPATCH_LEVEL, synchronously at PASSIVE_LEVEL. TRUE: submitted.
pub(crate) unsafe extern "win64" fn send(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    target: WDFIOTARGET,
    options: *mut WDF_REQUEST_SEND_OPTIONS,
) -> u8 {
    const FUNCTION: &str = "WdfRequestSend";
    require_irql(FUNCTION, Irql::DISPATCH);
    let request = get(request, FUNCTION);
    let target = io_target::get(target, FUNCTION);
    let irp = request.irp(FUNCTION);
    let refuse = |status: NTSTATUS| {
        irp.set_status(status, 0);
        0
    };
    let options = match read_options(FUNCTION, options) {
        Ok(options) => options,
        Err(status) => return refuse(status),
    };
    if request.inner.with(|inner| inner.recall.is_out()) {
        violation(
            "RequestAlreadySent",
            6,
            ALREADY_SENT,
            format!("{FUNCTION}: WDFREQUEST {:#x}", request.handle()),
        );
    }
    let (place, formatted, has_routine, cancelable) = request
        .inner
        .with(|inner| (inner.place, inner.formatted, inner.routine.0.is_some(), inner.cancelable));
    if cancelable || !matches!(place, Place::Created | Place::Driver) {
        violation(
            "RequestNotOwned",
            6,
            request.handle(),
            format!("{FUNCTION}: marked cancelable, or not the driver's"),
        );
    }
    if request.inner.with(|inner| inner.used) {
        judge(
            "RequestNotReused",
            6,
            request.handle(),
            format!(
                "{FUNCTION}: WDFREQUEST {:#x} came back, and WdfRequestReuse was not called",
                request.handle()
            ),
        );
    }
    if options.flags & SEND_AND_FORGET != 0 {
        if !request.received || request.inner.with(|inner| inner.format.is_some()) {
            return refuse(STATUS_INVALID_DEVICE_REQUEST);
        }
        return match target.started_device() {
            Some(device) => {
                request.forget(device);
                1
            }
            None => refuse(crate::io::STATUS_INVALID_DEVICE_STATE),
        };
    }
    if !formatted || irp.locations_left() < target.stack_size() {
        return refuse(STATUS_REQUEST_NOT_ACCEPTED);
    }
    if options.flags & SYNCHRONOUS != 0 {
        require_irql("WdfRequestSend, synchronous", Irql::PASSIVE);
        return send_and_wait(&request, &target, irp, &options);
    }
    if request.received && !has_routine {
        return refuse(STATUS_INVALID_DEVICE_REQUEST);
    }
    let ignore = options.flags & IGNORE_STATE != 0;
    u8::from(target.submit(&request, irp, ignore, options.timeout))
}

fn send_and_wait(request: &Arc<Request>, target: &Arc<Target>, irp: Irp, options: &Options) -> u8 {
    let waiter = Arc::new(Waiter { done: Event::auto(), status: AtomicI32::new(0) });
    request.inner.with(|inner| inner.waiter = Some(waiter.clone()));
    let handle = request.handle();
    object::hold(handle);
    let sent = target.submit(request, irp, options.flags & IGNORE_STATE != 0, 0);
    if sent {
        let came = if options.timeout == 0 {
            waiter.done.wait();
            true
        } else {
            waiter.done.wait_timeout(options.timeout.unsigned_abs().div_ceil(10).max(1))
        };
        if !came {
            request.inner.with(|inner| inner.recall.timed_out());
            request.recall();
            waiter.done.wait();
        }
    } else {
        request.inner.with(|inner| inner.waiter = None);
    }
    object::release(handle);
    u8::from(sent)
}

/// WdfRequestSetCompletionRoutine: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn set_completion_routine(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    routine: PFN_WDF_REQUEST_COMPLETION_ROUTINE,
    context: WDFCONTEXT,
) {
    const FUNCTION: &str = "WdfRequestSetCompletionRoutine";
    require_irql(FUNCTION, Irql::DISPATCH);
    get(request, FUNCTION).inner.with(|inner| inner.routine = Routine(routine, context));
}

/// WdfRequestGetCompletionParams: up to DISPATCH_LEVEL, after the request has come back.
pub(crate) unsafe extern "win64" fn get_completion_params(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    params: *mut WDF_REQUEST_COMPLETION_PARAMS,
) {
    const FUNCTION: &str = "WdfRequestGetCompletionParams";
    require_irql(FUNCTION, Irql::DISPATCH);
    let stored = get(request, FUNCTION).inner.with(|inner| inner.params);
    // SAFETY: the driver passes its own structure.
    unsafe { *params = stored };
}
