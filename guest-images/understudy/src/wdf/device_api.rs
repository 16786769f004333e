//! What a driver asks of its device, and tells of it, beside requests: names, states, capabilities, idling, neighbours.

use super::device::Device;
use super::driver::Driver;
use super::object::{self, get_ptr};
use crate::io::{api, interface, names};
use crate::ke::Irql;
use crate::verifier::{require_irql, trace, violation};
use alloc::{format, sync::Arc};
use core::ffi::c_void;
use core::sync::atomic::Ordering::Relaxed;
use wdk_offline::{
    DEVICE_OBJECT, GUID, NTSTATUS, STATUS_INFO_LENGTH_MISMATCH, STATUS_SUCCESS, UNICODE_STRING,
    WDF_DEVICE_STATE, WDF_DRIVER_GLOBALS, WDFDEVICE, WDFDRIVER, WDFIOTARGET, WDFQUEUE,
};

/// Bytes of the structures that are taken as they are (kmdf-1.33-layout.json; the idle settings in their first form, too).
const PNP_CAPABILITIES: [u32; 1] = [48];
const POWER_CAPABILITIES: [u32; 1] = [80];
const IDLE_SETTINGS: [u32; 3] = [24, 28, 36];
const WAKE_SETTINGS: [u32; 1] = [20];
type Globals = *mut WDF_DRIVER_GLOBALS;

fn get(device: WDFDEVICE, function: &str, most: Irql) -> Arc<Device> {
    require_irql(function, most);
    get_ptr::<Device, _>(device, function)
}

fn is_size(size: *mut u32, known: &[u32]) -> bool {
    // SAFETY: the driver passes a structure that begins with its size.
    known.contains(unsafe { &*size })
}

fn require_size(function: &str, size: *mut u32, known: &[u32]) {
    if !is_size(size, known) {
        // SAFETY: as above.
        violation("StructureSize", 0, unsafe { *size }.into(), function.into());
    }
}

/// WdfDeviceSetPnpCapabilities: PASSIVE_LEVEL. What Windows shows of them, and asks for them, nobody does here.
pub(crate) unsafe extern "win64" fn set_pnp_capabilities(
    _globals: Globals,
    device: WDFDEVICE,
    given: *mut u32,
) {
    const FUNCTION: &str = "WdfDeviceSetPnpCapabilities";
    get(device, FUNCTION, Irql::PASSIVE);
    require_size(FUNCTION, given, &PNP_CAPABILITIES);
}

/// WdfDeviceSetPowerCapabilities: PASSIVE_LEVEL. The rig knows D0 and D3.
pub(crate) unsafe extern "win64" fn set_power_capabilities(
    _globals: Globals,
    device: WDFDEVICE,
    given: *mut u32,
) {
    const FUNCTION: &str = "WdfDeviceSetPowerCapabilities";
    get(device, FUNCTION, Irql::PASSIVE);
    require_size(FUNCTION, given, &POWER_CAPABILITIES);
}

/// WdfDeviceAssignS0IdleSettings: PASSIVE_LEVEL. A device leaves D0 when the rig wants it, however long it idles.
pub(crate) unsafe extern "win64" fn assign_idle_settings(
    _globals: Globals,
    device: WDFDEVICE,
    given: *mut u32,
) -> NTSTATUS {
    get(device, "WdfDeviceAssignS0IdleSettings", Irql::PASSIVE);
    if is_size(given, &IDLE_SETTINGS) { STATUS_SUCCESS } else { STATUS_INFO_LENGTH_MISMATCH }
}

/// WdfDeviceAssignSxWakeSettings: PASSIVE_LEVEL. The system does not sleep.
pub(crate) unsafe extern "win64" fn assign_wake_settings(
    _globals: Globals,
    device: WDFDEVICE,
    given: *mut u32,
) -> NTSTATUS {
    get(device, "WdfDeviceAssignSxWakeSettings", Irql::PASSIVE);
    if is_size(given, &WAKE_SETTINGS) { STATUS_SUCCESS } else { STATUS_INFO_LENGTH_MISMATCH }
}

fn stop_idle(function: &str, device: WDFDEVICE, wait: u8) -> NTSTATUS {
    let device = get(device, function, if wait == 0 { Irql::DISPATCH } else { Irql::PASSIVE });
    device.idle_stops.fetch_add(1, Relaxed);
    STATUS_SUCCESS
}

fn resume_idle(function: &str, device: WDFDEVICE) {
    let raw = device as u64;
    let device = get(device, function, Irql::DISPATCH);
    if device.idle_stops.fetch_update(Relaxed, Relaxed, |count| count.checked_sub(1)).is_err() {
        violation("IdleResumedTooOften", 0, raw, format!("{function} without WdfDeviceStopIdle"));
    }
}

/// WdfDeviceStopIdleNoTrack: up to DISPATCH_LEVEL, with a wait at PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn stop_idle_no_track(
    _globals: Globals,
    device: WDFDEVICE,
    wait: u8,
) -> NTSTATUS {
    stop_idle("WdfDeviceStopIdle", device, wait)
}

/// WdfDeviceResumeIdleNoTrack: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn resume_idle_no_track(_globals: Globals, device: WDFDEVICE) {
    resume_idle("WdfDeviceResumeIdle", device);
}

/// WdfDeviceStopIdle, with a tag.
pub(crate) unsafe extern "win64" fn stop_idle_actual(
    _globals: Globals,
    device: WDFDEVICE,
    wait: u8,
    _tag: *mut c_void,
    _line: i32,
    _file: *const i8,
) -> NTSTATUS {
    stop_idle("WdfDeviceStopIdle", device, wait)
}

/// WdfDeviceResumeIdle, with a tag.
pub(crate) unsafe extern "win64" fn resume_idle_actual(
    _globals: Globals,
    device: WDFDEVICE,
    _tag: *mut c_void,
    _line: i32,
    _file: *const i8,
) {
    resume_idle("WdfDeviceResumeIdle", device);
}

/// WdfDeviceCreateSymbolicLink: PASSIVE_LEVEL. It goes with the device.
pub(crate) unsafe extern "win64" fn create_symbolic_link(
    _globals: Globals,
    device: WDFDEVICE,
    name: *const UNICODE_STRING,
) -> NTSTATUS {
    let device = get(device, "WdfDeviceCreateSymbolicLink", Irql::PASSIVE);
    let name = api::text(name);
    match names::link_device(&name, device.object(), device.bus.service().owner) {
        Ok(()) => {
            device.links.with(|links| links.push(name));
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// WdfDeviceSetDeviceState: up to DISPATCH_LEVEL. PnP would act on it; the rig decides when.
pub(crate) unsafe extern "win64" fn set_device_state(
    _globals: Globals,
    device: WDFDEVICE,
    state: *mut WDF_DEVICE_STATE,
) {
    const FUNCTION: &str = "WdfDeviceSetDeviceState";
    let device = get(device, FUNCTION, Irql::DISPATCH);
    require_size(FUNCTION, state.cast(), &[size_of::<WDF_DEVICE_STATE>() as u32]);
    // SAFETY: the driver passes its structure, of the size that it says.
    let state = unsafe { *state };
    device.state.with(|slot| *slot = Some(state));
    trace::note(device.label(), FUNCTION);
}

/// WdfDeviceGetDeviceState: up to DISPATCH_LEVEL. What was set, else as it is by default.
pub(crate) unsafe extern "win64" fn get_device_state(
    _globals: Globals,
    device: WDFDEVICE,
    state: *mut WDF_DEVICE_STATE,
) {
    const FUNCTION: &str = "WdfDeviceGetDeviceState";
    let device = get(device, FUNCTION, Irql::DISPATCH);
    let size = size_of::<WDF_DEVICE_STATE>() as u32;
    require_size(FUNCTION, state.cast(), &[size]);
    let untouched = 2;
    let default = WDF_DEVICE_STATE {
        Size: size,
        Disabled: untouched,
        DontDisplayInUI: untouched,
        Failed: untouched,
        NotDisableable: untouched,
        Removed: untouched,
        ResourcesChanged: untouched,
        AssignedToGuest: untouched,
    };
    // SAFETY: the driver passes its structure, of the size that it says.
    unsafe { *state = device.state.with(|slot| *slot).unwrap_or(default) };
}

/// WdfDeviceGetDriver: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_driver(globals: Globals, device: WDFDEVICE) -> WDFDRIVER {
    const FUNCTION: &str = "WdfDeviceGetDriver";
    get(device, FUNCTION, Irql::DISPATCH);
    let driver = super::client::of(globals, FUNCTION);
    object::get::<Driver>(driver.raw(), FUNCTION);
    driver.raw() as WDFDRIVER
}

/// WdfDeviceGetDefaultQueue: up to DISPATCH_LEVEL; NULL if there is none.
pub(crate) unsafe extern "win64" fn get_default_queue(_globals: Globals, device: WDFDEVICE) -> WDFQUEUE {
    let queue = get(device, "WdfDeviceGetDefaultQueue", Irql::DISPATCH).default_queue();
    queue.map_or(core::ptr::null_mut(), |queue| queue.raw())
}

/// WdfDeviceWdmGetAttachedDevice: up to DISPATCH_LEVEL; NULL for a control device.
pub(crate) unsafe extern "win64" fn wdm_get_attached_device(
    _globals: Globals,
    device: WDFDEVICE,
) -> *mut DEVICE_OBJECT {
    below(device, "WdfDeviceWdmGetAttachedDevice")
}

/// WdfDeviceWdmGetPhysicalDevice: up to DISPATCH_LEVEL; NULL for a control device.
pub(crate) unsafe extern "win64" fn wdm_get_physical_device(
    _globals: Globals,
    device: WDFDEVICE,
) -> *mut DEVICE_OBJECT {
    below(device, "WdfDeviceWdmGetPhysicalDevice")
}

/// The bus's device, which is both the next lower one and the physical one.
fn below(device: WDFDEVICE, function: &str) -> *mut DEVICE_OBJECT {
    let bus = get(device, function, Irql::DISPATCH).bus.clone();
    if bus.is_control() { core::ptr::null_mut() } else { bus.pdo().object() }
}

/// WdfWdmDeviceGetWdfDeviceHandle: up to DISPATCH_LEVEL; NULL for a device that is not the framework's.
pub(crate) unsafe extern "win64" fn of_wdm_device(globals: Globals, device: *mut DEVICE_OBJECT) -> WDFDEVICE {
    const FUNCTION: &str = "WdfWdmDeviceGetWdfDeviceHandle";
    require_irql(FUNCTION, Irql::DISPATCH);
    let driver = super::client::of(globals, FUNCTION);
    let mut devices =
        object::children(driver.raw(), FUNCTION).into_iter().filter(|(_, kind)| *kind == "WDFDEVICE");
    let found = devices.find(|(handle, _)| object::get::<Device>(handle.raw(), FUNCTION).object() == device);
    found.map_or(core::ptr::null_mut(), |(handle, _)| handle.raw() as WDFDEVICE)
}

/// WdfDeviceSetDeviceInterfaceState: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn set_interface_state(
    _globals: Globals,
    device: WDFDEVICE,
    class: *const GUID,
    _reference: *const UNICODE_STRING,
    enabled: u8,
) {
    let device = get(device, "WdfDeviceSetDeviceInterfaceState", Irql::PASSIVE);
    // SAFETY: the driver passes the address of a GUID.
    interface::set_class_enabled(device.object(), unsafe { &*class }, enabled != 0);
}

/// WdfDeviceSetStaticStopRemove: up to DISPATCH_LEVEL. Whether PnP may stop and remove it; the rig does as it likes.
pub(crate) unsafe extern "win64" fn set_static_stop_remove(
    _globals: Globals,
    device: WDFDEVICE,
    _stoppable: u8,
) {
    get(device, "WdfDeviceSetStaticStopRemove", Irql::DISPATCH);
}

/// WdfIoTargetGetDevice: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn of_io_target(_globals: Globals, target: WDFIOTARGET) -> WDFDEVICE {
    const FUNCTION: &str = "WdfIoTargetGetDevice";
    require_irql(FUNCTION, Irql::DISPATCH);
    super::io_target::get(target, FUNCTION);
    let mut next = object::parent(target as u64, FUNCTION);
    while let Some(handle) = next {
        if let Ok(Some(_)) = object::find::<Device>(handle.raw()) {
            return handle.raw() as WDFDEVICE;
        }
        next = object::parent(handle.raw(), FUNCTION);
    }
    core::ptr::null_mut()
}
