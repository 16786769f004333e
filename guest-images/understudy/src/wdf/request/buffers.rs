//! A received control request's buffers, wherever its transfer method has them.

use super::{Place, Request, get};
use crate::io::{MJ_DEVICE_CONTROL, MJ_INTERNAL_DEVICE_CONTROL, MJ_READ, MJ_WRITE};
use crate::ke::Irql;
use crate::verifier::{require_irql, violation};
use crate::wdf::memory::Memory;
use crate::wdf::object::{self, Attributes};
use alloc::format;
use core::ffi::c_void;
use ndis_sys::MDL;
use understudy_rules::io::method::{Method, Side, Source};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    NTSTATUS, STATUS_INVALID_DEVICE_REQUEST, STATUS_SUCCESS, WDF_DRIVER_GLOBALS, WDFMEMORY, WDFREQUEST,
};

/// KernelMode of IRP.RequestorMode.
const KERNEL: i8 = 0;
const STATUS_BUFFER_TOO_SMALL: NTSTATUS = 0xC000_0023_u32 as i32;

impl Request {
    /// Address and length of one side; STATUS_BUFFER_TOO_SMALL where there is none.
    fn buffer(&self, function: &str, side: Side) -> Result<(*mut u8, usize), NTSTATUS> {
        let irp = self.irp(function);
        if self.inner.with(|inner| inner.place) != Place::Driver {
            violation(
                "RequestNotOwned",
                6,
                self.handle(),
                format!("{function}: the driver does not have the request"),
            );
        }
        let location = irp.current();
        // SAFETY: a received request's IRP, at its own location.
        let (major, control, mode) = unsafe {
            ((*location).MajorFunction, (*location).Parameters.DeviceIoControl, (*irp.raw()).RequestorMode)
        };
        match major {
            MJ_DEVICE_CONTROL | MJ_INTERNAL_DEVICE_CONTROL => {}
            MJ_READ | MJ_WRITE => {
                crate::verifier::trace::not_offered(&format!("{function} of a read or write request"))
            }
            _ => return Err(STATUS_INVALID_DEVICE_REQUEST),
        }
        let len = if side == Side::Input { control.InputBufferLength } else { control.OutputBufferLength };
        if len == 0 {
            return Err(STATUS_BUFFER_TOO_SMALL);
        }
        let from_kernel = mode == KERNEL || major == MJ_INTERNAL_DEVICE_CONTROL;
        // SAFETY: the request's IRP, with the buffers that its sender has set.
        let address: *mut c_void = unsafe {
            match Method::of(control.IoControlCode).source(side, from_kernel)? {
                Source::SystemBuffer => (*irp.raw()).AssociatedIrp.SystemBuffer,
                // its pages are mapped while the I/O manager has it
                Source::Mdl => (*(*irp.raw()).MdlAddress.cast::<MDL>()).MappedSystemVa,
                Source::Pointer => {
                    crate::verifier::trace::not_offered(&format!("{function} of a driver's METHOD_NEITHER"))
                }
            }
        };
        Ok((address.cast(), len as usize))
    }
}

fn retrieve(
    function: &str,
    side: Side,
    request: WDFREQUEST,
    least: usize,
    buffer: *mut *mut c_void,
    length: *mut usize,
) -> NTSTATUS {
    require_irql(function, Irql::DISPATCH);
    let (found, len) = match get(request, function).buffer(function, side) {
        Ok(found) => found,
        Err(status) => return status,
    };
    if len < least {
        return STATUS_BUFFER_TOO_SMALL;
    }
    // SAFETY: the driver passes the places, the length's only if it wants it.
    unsafe {
        *buffer = found.cast();
        if !length.is_null() {
            *length = len;
        }
    }
    STATUS_SUCCESS
}

fn retrieve_memory(function: &str, side: Side, request: WDFREQUEST, memory: *mut WDFMEMORY) -> NTSTATUS {
    require_irql(function, Irql::DISPATCH);
    let request = get(request, function);
    let (found, len) = match request.buffer(function, side) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let slot = |memories: (Option<Handle>, Option<Handle>)| match side {
        Side::Input => memories.0,
        Side::Output => memories.1,
    };
    let handle = slot(request.inner.with(|inner| inner.memories)).unwrap_or_else(|| {
        let payload = Memory::over(found, len);
        let handle = object::create_for(request.owner, function, payload, None, Attributes::NONE);
        request.inner.with(|inner| match side {
            Side::Input => inner.memories.0 = Some(handle),
            Side::Output => inner.memories.1 = Some(handle),
        });
        handle
    });
    // SAFETY: the driver passes the place for its handle.
    unsafe { *memory = handle.raw() as WDFMEMORY };
    STATUS_SUCCESS
}

/// WdfRequestRetrieveInputBuffer: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn retrieve_input_buffer(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    least: usize,
    buffer: *mut *mut c_void,
    length: *mut usize,
) -> NTSTATUS {
    retrieve("WdfRequestRetrieveInputBuffer", Side::Input, request, least, buffer, length)
}

/// WdfRequestRetrieveOutputBuffer: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn retrieve_output_buffer(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    least: usize,
    buffer: *mut *mut c_void,
    length: *mut usize,
) -> NTSTATUS {
    retrieve("WdfRequestRetrieveOutputBuffer", Side::Output, request, least, buffer, length)
}

/// WdfRequestRetrieveInputMemory: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn retrieve_input_memory(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    memory: *mut WDFMEMORY,
) -> NTSTATUS {
    retrieve_memory("WdfRequestRetrieveInputMemory", Side::Input, request, memory)
}

/// WdfRequestRetrieveOutputMemory: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn retrieve_output_memory(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    memory: *mut WDFMEMORY,
) -> NTSTATUS {
    retrieve_memory("WdfRequestRetrieveOutputMemory", Side::Output, request, memory)
}
