//! WDFDEVICE_INIT: what the device is to be, before it is created (src/framework/shared/core/fxdeviceinitapi.cpp).

use super::device::DeviceInit;
use super::object::{self, Attributes, Typed as _, get_ptr};
use crate::io::api::text;
use crate::ke::Irql;
use crate::verifier::{require_irql, violation};
use alloc::{format, sync::Arc};
use core::sync::atomic::Ordering::Relaxed;
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    GUID, NTSTATUS, PWDFDEVICE_INIT, STATUS_SUCCESS, UNICODE_STRING, WDF_DRIVER_GLOBALS,
    WDF_OBJECT_ATTRIBUTES,
};

/// DO_BUFFERED_IO, DO_DIRECT_IO.
const BUFFERED: u32 = 4;
const DIRECT: u32 = 0x10;
/// Bytes of WDF_POWER_POLICY_EVENT_CALLBACKS, in its present and its first form.
const POLICY_CALLBACKS: [u32; 2] = [64, 56];
type Globals = *mut WDF_DRIVER_GLOBALS;

fn get(init: PWDFDEVICE_INIT, function: &str) -> Arc<DeviceInit> {
    require_irql(function, Irql::PASSIVE);
    get_ptr::<DeviceInit, _>(init, function)
}

/// WdfDeviceInitSetIoType: PASSIVE_LEVEL; so are all below. 1 neither, 2 buffered, 3 direct, for read and write.
pub(crate) unsafe extern "win64" fn set_io_type(_globals: Globals, init: PWDFDEVICE_INIT, kind: i32) {
    const FUNCTION: &str = "WdfDeviceInitSetIoType";
    let flags = match kind {
        1 => 0,
        2 => BUFFERED,
        3 => DIRECT,
        _ => violation("InvalidAction", 0, kind as u64, format!("{FUNCTION}: there is no such type")),
    };
    get(init, FUNCTION).transfer.store(flags, Relaxed);
}

/// WdfDeviceInitSetDeviceType: FILE_DEVICE_x.
pub(crate) unsafe extern "win64" fn set_device_type(_globals: Globals, init: PWDFDEVICE_INIT, kind: u32) {
    get(init, "WdfDeviceInitSetDeviceType").kind.store(kind, Relaxed);
}

/// WdfDeviceInitSetExclusive: one open file at a time.
pub(crate) unsafe extern "win64" fn set_exclusive(_globals: Globals, init: PWDFDEVICE_INIT, exclusive: u8) {
    get(init, "WdfDeviceInitSetExclusive").exclusive.store(exclusive != 0, Relaxed);
}

/// WdfDeviceInitFree: of a control device's that was not created; EvtDriverDeviceAdd's is the framework's.
pub(crate) unsafe extern "win64" fn free(_globals: Globals, init: PWDFDEVICE_INIT) {
    const FUNCTION: &str = "WdfDeviceInitFree";
    let known = get(init, FUNCTION);
    if !known.bus.is_control() {
        known.require_deletable(init as u64, FUNCTION);
    }
    object::delete(Handle::from_raw(init as u64));
}

/// WdfDeviceInitAssignName.
pub(crate) unsafe extern "win64" fn assign_name(
    _globals: Globals,
    init: PWDFDEVICE_INIT,
    name: *const UNICODE_STRING,
) -> NTSTATUS {
    let name = text(name);
    let name = (!name.is_empty()).then_some(name);
    let old = get(init, "WdfDeviceInitAssignName").name.with(|slot| core::mem::replace(slot, name));
    drop(old);
    STATUS_SUCCESS
}

/// WdfDeviceInitAssignSDDLString: who may open the device, which is the system's to judge.
pub(crate) unsafe extern "win64" fn assign_security(
    _globals: Globals,
    init: PWDFDEVICE_INIT,
    _security: *const UNICODE_STRING,
) -> NTSTATUS {
    get(init, "WdfDeviceInitAssignSDDLString");
    STATUS_SUCCESS
}

/// WdfDeviceInitSetDeviceClass: under which class the system keeps the security that it has set.
pub(crate) unsafe extern "win64" fn set_device_class(
    _globals: Globals,
    init: PWDFDEVICE_INIT,
    _class: *const GUID,
) {
    get(init, "WdfDeviceInitSetDeviceClass");
}

/// WdfDeviceInitSetPowerPolicyEventCallbacks: for a device that wakes the system, which nothing does here.
pub(crate) unsafe extern "win64" fn set_power_policy_callbacks(
    _globals: Globals,
    init: PWDFDEVICE_INIT,
    callbacks: *mut u32,
) {
    const FUNCTION: &str = "WdfDeviceInitSetPowerPolicyEventCallbacks";
    get(init, FUNCTION);
    // SAFETY: the driver passes a structure that begins with its size.
    let size = unsafe { *callbacks };
    if !POLICY_CALLBACKS.contains(&size) {
        violation("StructureSize", 0, size.into(), format!("{FUNCTION}: WDF_POWER_POLICY_EVENT_CALLBACKS"));
    }
}

/// WdfDeviceInitSetPowerPolicyOwnership: the rig decides on power, whoever owns the policy.
pub(crate) unsafe extern "win64" fn set_power_policy_ownership(
    _globals: Globals,
    init: PWDFDEVICE_INIT,
    _owner: u8,
) {
    get(init, "WdfDeviceInitSetPowerPolicyOwnership");
}

/// WdfDeviceInitSetPowerPageable, -NotPageable: whether the disk of the paging file may be off in power callbacks.
pub(crate) unsafe extern "win64" fn set_power_pageable(_globals: Globals, init: PWDFDEVICE_INIT) {
    get(init, "WdfDeviceInitSetPowerPageable");
}

/// WdfDeviceInitSetRequestAttributes: of the requests that come to the device.
pub(crate) unsafe extern "win64" fn set_request_attributes(
    _globals: Globals,
    init: PWDFDEVICE_INIT,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
) {
    const FUNCTION: &str = "WdfDeviceInitSetRequestAttributes";
    let init = get(init, FUNCTION);
    match Attributes::read(attributes, FUNCTION) {
        Ok(given) if given.parent().is_none() => init.requests.with(|slot| *slot = given),
        _ => violation("ObjectAttributes", 0, 0, format!("{FUNCTION}: WDF_OBJECT_ATTRIBUTES")),
    }
}

/// WdfFdoInitSetFilter: what the driver has no queue for goes on to the next lower device.
pub(crate) unsafe extern "win64" fn set_filter(_globals: Globals, init: PWDFDEVICE_INIT) {
    get(init, "WdfFdoInitSetFilter").filter.store(true, Relaxed);
}
