//! The functions of requests in the KMDF table, cancellation, sending and buffers aside.

use super::{Place, Request, get, get_to_complete};
use crate::io::Irp;
use crate::ke::Irql;
use crate::verifier::{fault, require_irql, violation};
use crate::wdf::io_target;
use crate::wdf::object::{self, Attributes};
use alloc::format;
use core::sync::atomic::Ordering::Relaxed;
use understudy_rules::wdf::recall::Recall;
use wdk_offline::{
    IRP, NTSTATUS, STATUS_INFO_LENGTH_MISMATCH, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS,
    WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES, WDF_REQUEST_PARAMETERS, WDF_REQUEST_REUSE_PARAMS,
    WDFFILEOBJECT, WDFIOTARGET, WDFREQUEST,
};

const STATUS_WDF_REQUEST_INVALID_STATE: NTSTATUS = 0xC020_0208_u32 as i32;
/// WDF_REQUEST_REUSE_SET_NEW_IRP.
const SET_NEW_IRP: u32 = 1;

/// WdfRequestCreate: up to DISPATCH_LEVEL. Parent: as the attributes say, else the target, else the driver.
pub(crate) unsafe extern "win64" fn create(
    globals: *mut WDF_DRIVER_GLOBALS,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    target: WDFIOTARGET,
    request: *mut WDFREQUEST,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfRequestCreate";
    require_irql(FUNCTION, Irql::DISPATCH);
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let driver = crate::wdf::client::of(globals, FUNCTION);
    let (stack, fallback) = if target.is_null() {
        (1, driver)
    } else {
        (
            io_target::get(target, FUNCTION).stack_size(),
            understudy_rules::wdf::table::Handle::from_raw(target as u64),
        )
    };
    let parent = attributes.parent().unwrap_or(fallback);
    let owner = object::owner(driver.raw(), FUNCTION);
    if fault::strikes(owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = Request::make(owner, false, Irp::new(stack, None), Place::Created);
    let handle = object::create(FUNCTION, made.clone(), Some(parent), attributes);
    made.handle.store(handle.raw(), Relaxed);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *request = handle.raw() as WDFREQUEST };
    STATUS_SUCCESS
}

/// WdfRequestReuse: up to DISPATCH_LEVEL. The mark of an earlier cancel goes, and so does the completion routine.
pub(crate) unsafe extern "win64" fn reuse(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    params: *mut WDF_REQUEST_REUSE_PARAMS,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfRequestReuse";
    require_irql(FUNCTION, Irql::DISPATCH);
    // SAFETY: the driver passes its own structure.
    let params = unsafe { *params };
    if params.Size as usize != size_of::<WDF_REQUEST_REUSE_PARAMS>() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    let request = get(request, FUNCTION);
    if request.inner.with(|inner| inner.recall.is_out()) {
        violation(
            "RequestReusedWhileSent",
            6,
            request.handle(),
            format!("{FUNCTION}: WDFREQUEST {:#x}", request.handle()),
        );
    }
    if params.Flags & SET_NEW_IRP != 0 {
        if request.received {
            return STATUS_WDF_REQUEST_INVALID_STATE;
        }
        crate::verifier::trace::not_offered("WdfRequestReuse with a new IRP");
    }
    let irp = request.irp(FUNCTION);
    request.clear_format();
    if !request.received {
        irp.rewind();
    }
    irp.set_status(params.Status, 0);
    request.inner.with(|inner| {
        inner.recall = Recall::new();
        inner.routine = super::Routine::NONE;
        inner.used = false;
    });
    STATUS_SUCCESS
}

/// WdfRequestComplete: up to DISPATCH_LEVEL; Information as set before, else 0.
pub(crate) unsafe extern "win64" fn complete(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    status: NTSTATUS,
) {
    const FUNCTION: &str = "WdfRequestComplete";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_to_complete(request, FUNCTION).complete(FUNCTION, status, None);
}

/// WdfRequestCompleteWithInformation: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn complete_with_information(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    status: NTSTATUS,
    information: u64,
) {
    const FUNCTION: &str = "WdfRequestCompleteWithInformation";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_to_complete(request, FUNCTION).complete(FUNCTION, status, Some(information));
}

/// WdfRequestSetInformation: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn set_information(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    information: u64,
) {
    const FUNCTION: &str = "WdfRequestSetInformation";
    require_irql(FUNCTION, Irql::DISPATCH);
    let irp = get(request, FUNCTION).irp(FUNCTION);
    irp.set_status(irp.status().0, information);
}

/// WdfRequestGetInformation: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_information(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
) -> u64 {
    const FUNCTION: &str = "WdfRequestGetInformation";
    require_irql(FUNCTION, Irql::DISPATCH);
    get(request, FUNCTION).irp(FUNCTION).status().1
}

/// WdfRequestGetStatus: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_status(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfRequestGetStatus";
    require_irql(FUNCTION, Irql::DISPATCH);
    get(request, FUNCTION).irp(FUNCTION).status().0
}

/// WdfRequestGetParameters: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_parameters(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    parameters: *mut WDF_REQUEST_PARAMETERS,
) {
    const FUNCTION: &str = "WdfRequestGetParameters";
    require_irql(FUNCTION, Irql::DISPATCH);
    let request = get(request, FUNCTION);
    let irp = request.irp(FUNCTION);
    if !request.received {
        violation(
            "RequestNotReceived",
            6,
            1,
            format!("{FUNCTION}: the driver's own request has no parameters"),
        );
    }
    // SAFETY: a received request's IRP, at its own location; the driver passes its own structure.
    unsafe {
        if usize::from((*parameters).Size) != size_of::<WDF_REQUEST_PARAMETERS>() {
            violation(
                "StructureSize",
                0,
                (*parameters).Size.into(),
                format!("{FUNCTION}: WDF_REQUEST_PARAMETERS"),
            );
        }
        let location = *irp.current();
        (*parameters).MinorFunction = location.MinorFunction;
        (*parameters).Type = location.MajorFunction.into();
        let (from, to) = (location.Parameters.DeviceIoControl, &mut (*parameters).Parameters.DeviceIoControl);
        to.OutputBufferLength = from.OutputBufferLength as usize;
        to.InputBufferLength = from.InputBufferLength as usize;
        to.IoControlCode = from.IoControlCode;
        to.Type3InputBuffer = from.Type3InputBuffer;
    }
}

/// WdfRequestGetFileObject: up to DISPATCH_LEVEL; NULL where the device has no file objects.
pub(crate) unsafe extern "win64" fn get_file_object(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
) -> WDFFILEOBJECT {
    const FUNCTION: &str = "WdfRequestGetFileObject";
    require_irql(FUNCTION, Irql::DISPATCH);
    get(request, FUNCTION).inner.with(|inner| inner.file) as WDFFILEOBJECT
}

/// WdfRequestWdmGetIrp: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn wdm_get_irp(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
) -> *mut IRP {
    const FUNCTION: &str = "WdfRequestWdmGetIrp";
    require_irql(FUNCTION, Irql::DISPATCH);
    get(request, FUNCTION).irp(FUNCTION).raw()
}

/// WdfRequestGetRequestorMode: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_requestor_mode(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
) -> i8 {
    const FUNCTION: &str = "WdfRequestGetRequestorMode";
    require_irql(FUNCTION, Irql::DISPATCH);
    let irp = get(request, FUNCTION).irp(FUNCTION).raw();
    // SAFETY: the request's IRP, which lives.
    unsafe { (*irp).RequestorMode }
}
