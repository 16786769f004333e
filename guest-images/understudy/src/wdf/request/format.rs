//! Formatting: the next stack location, and a control request's buffers.

use super::send::{ALREADY_SENT, STATUS_REQUEST_NOT_ACCEPTED};
use super::{Format, Request, Span, get};
use crate::io::{Irp, MJ_DEVICE_CONTROL, MJ_INTERNAL_DEVICE_CONTROL, mdl_over};
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::verifier::{fault, require_irql, violation};
use crate::wdf::io_target::{self, Target};
use crate::wdf::memory::Memory;
use crate::wdf::object::get_ptr;
use alloc::{format, sync::Arc, vec};
use understudy_rules::io::method::Method;
use wdk_offline::{
    NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS, WDF_DRIVER_GLOBALS, WDFIOTARGET, WDFMEMORY,
    WDFMEMORY_OFFSET, WDFREQUEST,
};

const STATUS_INTEGER_OVERFLOW: NTSTATUS = 0xC000_0095_u32 as i32;
/// Bug check 0x10D/6, second parameter.
const NO_STACK_LOCATION: u64 = 1;

impl Request {
    /// A driver-created request's IRP has as many locations as the target wants; a new one if need be.
    fn require_locations(&self, target: &Target) {
        let needed = target.stack_size();
        let old =
            self.inner.with(|inner| inner.irp.filter(|irp| !self.received && irp.locations_left() < needed));
        if let Some(old) = old {
            let made = Irp::new(needed, None);
            self.inner.with(|inner| inner.irp = Some(made));
            old.free();
        }
    }

    /// Ends an earlier format: its system buffer and its references.
    pub(crate) fn clear_format(&self) {
        let (old, irp) = self.inner.with(|inner| {
            inner.formatted = false;
            (inner.format.take(), inner.irp)
        });
        Self::release_format(old, irp);
    }
}

/// WdfRequestFormatRequestUsingCurrentType: up to DISPATCH_LEVEL. The next location is as the current one.
pub(crate) unsafe extern "win64" fn format_using_current_type(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
) {
    const FUNCTION: &str = "WdfRequestFormatRequestUsingCurrentType";
    require_irql(FUNCTION, Irql::DISPATCH);
    let request = get(request, FUNCTION);
    let irp = request.irp(FUNCTION);
    // SAFETY: a live IRP.
    let locations = unsafe { (*irp.raw()).StackCount };
    if locations < 2 || irp.locations_left() == 0 || !request.received {
        violation(
            "RequestNoStackLocation",
            6,
            NO_STACK_LOCATION,
            format!("{FUNCTION}: no location below its own"),
        );
    }
    request.clear_format();
    irp.copy_current_to_next();
    request.inner.with(|inner| inner.formatted = true);
}

/// The part of a memory object that a formatted request uses.
fn span(
    function: &str,
    memory: WDFMEMORY,
    offset: *const WDFMEMORY_OFFSET,
) -> Result<Option<Span>, NTSTATUS> {
    if memory.is_null() {
        return Ok(None);
    }
    let handle = memory as u64;
    let memory = get_ptr::<Memory, _>(memory, function);
    // SAFETY: the driver passes NULL or its own structure.
    let given = unsafe { offset.as_ref() };
    let from = given.map_or(0, |offset| offset.BufferOffset);
    let len = given.map_or(0, |offset| offset.BufferLength);
    let rest = memory.len().checked_sub(from).ok_or(STATUS_INTEGER_OVERFLOW)?;
    let len = if len == 0 { rest } else { len };
    if len > rest {
        return Err(STATUS_INTEGER_OVERFLOW);
    }
    Ok(Some(Span { memory, handle, offset: from, len }))
}

/// A control request as a driver describes it.
struct Ioctl {
    major: u8,
    code: u32,
    input: (WDFMEMORY, *const WDFMEMORY_OFFSET),
    output: (WDFMEMORY, *const WDFMEMORY_OFFSET),
}

/// The two formats for control requests.
fn format_ioctl(function: &str, target: WDFIOTARGET, request: WDFREQUEST, ioctl: Ioctl) -> NTSTATUS {
    let Ioctl { major, code, input, output } = ioctl;
    require_irql(function, Irql::DISPATCH);
    let target = io_target::get(target, function);
    let request = get(request, function);
    if request.inner.with(|inner| inner.recall.is_out()) {
        violation(
            "RequestAlreadySent",
            6,
            ALREADY_SENT,
            format!("{function}: WDFREQUEST {:#x}", request.handle()),
        );
    }
    let method = Method::of(code);
    if method == Method::Neither {
        crate::verifier::trace::not_offered(&format!("{function} with METHOD_NEITHER"));
    }
    let (input, output) = match (span(function, input.0, input.1), span(function, output.0, output.1)) {
        (Ok(input), Ok(output)) => (input, output),
        (Err(status), _) | (_, Err(status)) => return status,
    };
    if fault::strikes(request.owner, function) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    request.require_locations(&target);
    let irp = request.irp(function);
    if irp.locations_left() < target.stack_size() {
        return STATUS_REQUEST_NOT_ACCEPTED;
    }
    request.clear_format();
    let len = |span: &Option<Span>| span.as_ref().map_or(0, |span| span.len);
    let (input_len, output_len) = (len(&input), len(&output));
    let shared = if method == Method::Buffered { output_len } else { 0 };
    let mut system = vec![0_u8; input_len.max(shared).max(1)];
    let mdl = output.as_ref().filter(|_| method != Method::Buffered).map(|output| {
        // SAFETY: the span lies in the memory object, which lives as long as the format.
        mdl_over(unsafe { output.memory.buffer().add(output.offset) }, output.len)
    });
    if let Some(input) = &input {
        // SAFETY: the span lies in the memory object, which lives.
        let bytes =
            unsafe { core::slice::from_raw_parts(input.memory.buffer().add(input.offset), input.len) };
        system[..input.len].copy_from_slice(bytes);
    }
    for span in [&input, &output].into_iter().flatten() {
        span.memory.reuse();
    }
    let next = irp.next();
    // SAFETY: the driver owns the request and with it its IRP, which is not sent; the system buffer stays with the
    // format, whose vector does not move its bytes.
    let before = unsafe {
        let before = ((*irp.raw()).AssociatedIrp.SystemBuffer as usize, (*irp.raw()).MdlAddress as usize);
        core::ptr::write_bytes(next, 0, 1);
        (*next).MajorFunction = major;
        (*next).FileObject = target.file_object();
        (*next).Parameters.DeviceIoControl.IoControlCode = code;
        (*next).Parameters.DeviceIoControl.InputBufferLength = input_len as u32;
        (*next).Parameters.DeviceIoControl.OutputBufferLength = output_len as u32;
        (*irp.raw()).AssociatedIrp.SystemBuffer = system.as_mut_ptr().cast();
        if let Some(mdl) = &mdl {
            (*irp.raw()).MdlAddress = mdl.start().cast();
        }
        before
    };
    let format = Arc::new(Format { major, code, input, output, system: IrqLock::new(system), mdl, before });
    request.inner.with(|inner| {
        inner.format = Some(format);
        inner.formatted = true;
    });
    STATUS_SUCCESS
}

macro_rules! formats {
    ($($entry:ident, $function:literal, $major:expr;)*) => {$(
        #[doc = concat!($function, ": up to DISPATCH_LEVEL.")]
        pub(crate) unsafe extern "win64" fn $entry(
            _globals: *mut WDF_DRIVER_GLOBALS,
            target: WDFIOTARGET,
            request: WDFREQUEST,
            code: u32,
            input: WDFMEMORY,
            input_offset: *mut WDFMEMORY_OFFSET,
            output: WDFMEMORY,
            output_offset: *mut WDFMEMORY_OFFSET,
        ) -> NTSTATUS {
            let (input, output) = ((input, input_offset.cast_const()), (output, output_offset.cast_const()));
            format_ioctl($function, target, request, Ioctl { major: $major, code, input, output })
        }
    )*};
}
formats! {
    format_for_ioctl, "WdfIoTargetFormatRequestForIoctl", MJ_DEVICE_CONTROL;
    format_for_internal_ioctl, "WdfIoTargetFormatRequestForInternalIoctl", MJ_INTERNAL_DEVICE_CONTROL;
}
