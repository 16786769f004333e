//! The functions of I/O targets in the KMDF table.

use super::{State, Target, get};
use crate::io::file::File;
use crate::io::{STATUS_INVALID_DEVICE_STATE, api, names};
use crate::ke::Irql;
use crate::verifier::{fault, require_irql, violation};
use crate::wdf::object::{self, Attributes};
use alloc::{format, sync::Arc};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    DEVICE_OBJECT, NTSTATUS, STATUS_INFO_LENGTH_MISMATCH, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS, WDF_DRIVER_GLOBALS,
    WDF_IO_TARGET_OPEN_PARAMS, WDF_OBJECT_ATTRIBUTES, WDFDEVICE, WDFIOTARGET,
};

/// Bug check 0x10D, first parameter: a handle of another kind.
const BAD_HANDLE: u64 = 5;

/// WdfIoTargetCreate: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn create(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    target: *mut WDFIOTARGET,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfIoTargetCreate";
    require_irql(FUNCTION, Irql::PASSIVE);
    object::get_ptr::<crate::wdf::device::Device, _>(device, FUNCTION);
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let parent = attributes.parent().unwrap_or(Handle::from_raw(device as u64));
    let owner = object::owner(device as u64, FUNCTION);
    if fault::strikes(owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = Target::make(FUNCTION, owner, parent, attributes, None);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *target = made.raw() };
    STATUS_SUCCESS
}

/// The target behind a handle that must be a remote one's: the framework takes no other kind.
fn get_remote(target: WDFIOTARGET, function: &str) -> Arc<Target> {
    let found = get(target, function);
    if found.local {
        violation(
            "InvalidHandle",
            BAD_HANDLE,
            target as u64,
            format!("{function}: the device's own WDFIOTARGET is no remote one"),
        );
    }
    found
}

/// WdfIoTargetOpen: PASSIVE_LEVEL. By name, or an existing device.
pub(crate) unsafe extern "win64" fn open(
    _globals: *mut WDF_DRIVER_GLOBALS,
    target: WDFIOTARGET,
    params: *mut WDF_IO_TARGET_OPEN_PARAMS,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfIoTargetOpen";
    const USE_EXISTING: i32 = 1;
    const BY_NAME: i32 = 2;
    require_irql(FUNCTION, Irql::PASSIVE);
    let target = get_remote(target, FUNCTION);
    // SAFETY: the driver passes its own structure.
    let params = unsafe { *params };
    if params.Size as usize != size_of::<WDF_IO_TARGET_OPEN_PARAMS>() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    if target.inner.with(|inner| !inner.to.is_null()) {
        return STATUS_INVALID_DEVICE_STATE;
    }
    if fault::strikes(target.owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let (to, file, file_object) = match params.Type {
        USE_EXISTING if !params.TargetDeviceObject.is_null() => {
            (params.TargetDeviceObject, None, params.TargetFileObject)
        }
        BY_NAME => {
            let name = api::text(&raw const params.TargetDeviceName);
            let Some(to) = names::resolve(&name) else { return STATUS_OBJECT_NAME_NOT_FOUND };
            match File::open(to, names::below(&name), false) {
                Ok(file) => (to, Some(file.clone()), file.object()),
                Err(status) => return status,
            }
        }
        USE_EXISTING => return STATUS_INVALID_PARAMETER,
        _ => {
            crate::verifier::trace::not_offered("WdfIoTargetOpen other than by name or of an existing device")
        }
    };
    target.inner.with(|inner| {
        inner.to = to;
        inner.file = file;
        inner.file_object = file_object;
        inner.params = params;
        inner.state = State::Started;
    });
    STATUS_SUCCESS
}

/// WdfIoTargetClose: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn close(_globals: *mut WDF_DRIVER_GLOBALS, target: WDFIOTARGET) {
    const FUNCTION: &str = "WdfIoTargetClose";
    require_irql(FUNCTION, Irql::PASSIVE);
    get_remote(target, FUNCTION).close(State::Closed);
}

/// WdfIoTargetCloseForQueryRemove: PASSIVE_LEVEL, in EvtIoTargetQueryRemove.
pub(crate) unsafe extern "win64" fn close_for_query_remove(
    _globals: *mut WDF_DRIVER_GLOBALS,
    target: WDFIOTARGET,
) {
    const FUNCTION: &str = "WdfIoTargetCloseForQueryRemove";
    require_irql(FUNCTION, Irql::PASSIVE);
    get_remote(target, FUNCTION).close(State::ClosedForQueryRemove);
}

/// WdfIoTargetStart: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn start(
    _globals: *mut WDF_DRIVER_GLOBALS,
    target: WDFIOTARGET,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfIoTargetStart";
    require_irql(FUNCTION, Irql::DISPATCH);
    get(target, FUNCTION).start()
}

/// WdfIoTargetStop: PASSIVE_LEVEL; leaving the sent requests alone up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn stop(
    _globals: *mut WDF_DRIVER_GLOBALS,
    target: WDFIOTARGET,
    action: i32,
) {
    const FUNCTION: &str = "WdfIoTargetStop";
    require_irql(FUNCTION, if action == 3 { Irql::DISPATCH } else { Irql::PASSIVE });
    let target = get(target, FUNCTION);
    if !(1..=3).contains(&action) {
        violation("InvalidAction", 4, action as u64, format!("{FUNCTION}: action {action}"));
    }
    target.stop(action);
}

/// WdfIoTargetPurge: PASSIVE_LEVEL to wait, else up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn purge(
    _globals: *mut WDF_DRIVER_GLOBALS,
    target: WDFIOTARGET,
    action: i32,
) {
    const FUNCTION: &str = "WdfIoTargetPurge";
    require_irql(FUNCTION, if action == 2 { Irql::DISPATCH } else { Irql::PASSIVE });
    let target = get(target, FUNCTION);
    if !(1..=2).contains(&action) {
        violation("InvalidAction", 4, action as u64, format!("{FUNCTION}: action {action}"));
    }
    target.purge(action == 1);
}

/// WdfIoTargetWdmGetTargetDeviceObject: up to DISPATCH_LEVEL; NULL while it is not open.
pub(crate) unsafe extern "win64" fn wdm_get_target_device_object(
    _globals: *mut WDF_DRIVER_GLOBALS,
    target: WDFIOTARGET,
) -> *mut DEVICE_OBJECT {
    const FUNCTION: &str = "WdfIoTargetWdmGetTargetDeviceObject";
    require_irql(FUNCTION, Irql::DISPATCH);
    get(target, FUNCTION).inner.with(|inner| inner.to)
}

/// WdfIoTargetGetState: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_state(_globals: *mut WDF_DRIVER_GLOBALS, target: WDFIOTARGET) -> i32 {
    const FUNCTION: &str = "WdfIoTargetGetState";
    require_irql(FUNCTION, Irql::DISPATCH);
    get(target, FUNCTION).inner.with(|inner| inner.state as i32)
}
