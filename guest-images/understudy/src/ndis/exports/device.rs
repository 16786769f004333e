//! Control devices: NdisRegisterDeviceEx over the I/O manager.

use crate::io::{api, device, names};
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::ndis::modules;
use crate::ndis::violation::{judge, require_irql, stop};
use crate::verifier::fault;
use alloc::{boxed::Box, format, string::String, vec, vec::Vec};
use core::sync::atomic::{AtomicU16, Ordering::Relaxed};
use ndis_sys::*;
use wdk_offline::DEVICE_OBJECT;

const IRQL: &str = "Irql_Miscellaneous_Function";
/// Handles of control devices are no addresses.
const HANDLES: u64 = 0x5d0b_4e44_5640_0000;
/// FILE_DEVICE_NETWORK and FILE_DEVICE_SECURE_OPEN.
const NETWORK: u32 = 0x12;
const SECURE_OPEN: u32 = 0x100;
/// Bytes of NDIS's own device extension, and where in it the pointer to the driver's area stands.
const EXTENSION: usize = 0x40;
const RESERVED_AT: usize = 0x28;
/// What fills the rest of NDIS's extension: nobody else writes there.
const MARK: u64 = 0x4e44_4953_4e44_4953;

struct Control {
    handle: u64,
    driver: u64,
    object: *mut DEVICE_OBJECT,
    link: String,
    /// The driver's area, which DEVICE_OBJECT's extension points to.
    area: Box<[u64]>,
    /// The copy of its dispatch table.
    table: *mut device::Table,
}

// SAFETY: the device object is the I/O manager's and lives until `deregister`, and so does the table.
unsafe impl Send for Control {}

/// Number of the next one: a handle is never used again.
static NEXT: AtomicU16 = AtomicU16::new(1);
static CONTROLS: IrqLock<Vec<Control>> = IrqLock::new(Vec::new());

/// Whether a driver has a control device.
pub(super) fn registered(driver: u64) -> bool {
    CONTROLS.with(|controls| controls.iter().any(|control| control.driver == driver))
}

/// NdisRegisterDeviceEx: PASSIVE_LEVEL, with a driver's handle.
pub(super) unsafe extern "win64" fn register(
    handle: NDIS_HANDLE,
    attributes: *mut NDIS_DEVICE_OBJECT_ATTRIBUTES,
    object: *mut *mut DEVICE_OBJECT,
    device_handle: *mut NDIS_HANDLE,
) -> i32 {
    const FUNCTION: &str = "NdisRegisterDeviceEx";
    require_irql(IRQL, FUNCTION, Irql::PASSIVE);
    let Some(driver) = modules::driver(handle) else { return NDIS_STATUS_NOT_SUPPORTED };
    // SAFETY: the driver passes its attributes.
    let given = unsafe { *attributes };
    if given.Header.Type != NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES
        || usize::from(given.Header.Size) < size_of::<NDIS_DEVICE_OBJECT_ATTRIBUTES>()
    {
        stop("InvalidObjectHeader", format!("{FUNCTION}: {:?}", given.Header));
    }
    if given.DeviceName.is_null() || given.MajorFunctions.is_null() {
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    if given.DefaultSDDLString.is_null() {
        judge(
            "ControlDeviceWithoutSecurity",
            format!("{FUNCTION}: no DefaultSDDLString: anybody may open it"),
        );
    }
    if fault::strikes(driver.owner, FUNCTION) {
        return NDIS_STATUS_RESOURCES;
    }
    let name = api::text(given.DeviceName);
    // SAFETY: the driver's table has an entry for each major function; it is copied.
    let table = Box::into_raw(Box::new(unsafe { *given.MajorFunctions.cast::<device::Table>() }));
    let made = device::create(&device::New {
        driver: driver.object,
        owner: driver.owner,
        name: Some(&name),
        extension: EXTENSION,
        stack: 1,
        kind: NETWORK,
        characteristics: SECURE_OPEN,
        // SAFETY: the copy stays until the device has been deleted.
        dispatch: device::Dispatch::Table(unsafe { &*table }),
    });
    // SAFETY: no device has the table.
    let forget_table = || drop(unsafe { Box::from_raw(table) });
    let raw = match made {
        Ok(raw) => raw,
        Err(status) => {
            forget_table();
            return status;
        }
    };
    let link = if given.SymbolicName.is_null() { String::new() } else { api::text(given.SymbolicName) };
    if !link.is_empty()
        && let Err(status) = names::link(&link, &name, driver.owner)
    {
        device::delete(raw);
        forget_table();
        return status;
    }
    let mut area = vec![0_u64; (given.ExtensionSize as usize).div_ceil(8)].into_boxed_slice();
    // SAFETY: the extension has EXTENSION bytes, zeroed, and is NDIS's.
    unsafe {
        let extension = (*raw).DeviceExtension.cast::<u64>();
        (0..EXTENSION / 8).for_each(|word| extension.add(word).write(MARK));
        extension.add(RESERVED_AT / 8).write(area.as_mut_ptr() as u64);
    }
    let number = HANDLES | u64::from(NEXT.fetch_add(1, Relaxed)) << 4;
    CONTROLS.with(|controls| {
        controls.push(Control { handle: number, driver: driver.handle, object: raw, link, area, table });
    });
    // SAFETY: the driver passes both places.
    unsafe {
        *object = raw;
        *device_handle = number as NDIS_HANDLE;
    }
    NDIS_STATUS_SUCCESS
}

/// NdisDeregisterDeviceEx: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn deregister(handle: NDIS_HANDLE) {
    const FUNCTION: &str = "NdisDeregisterDeviceEx";
    require_irql(IRQL, FUNCTION, Irql::PASSIVE);
    let gone = CONTROLS.with(|controls| {
        let at = controls.iter().position(|control| control.handle == handle as u64);
        at.map(|at| controls.swap_remove(at))
    });
    let Some(control) = gone else {
        stop(
            "InvalidDeviceHandle",
            format!("{FUNCTION}: {handle:p} is no control device's (deregistered already?)"),
        );
    };
    // SAFETY: the device object lives until it is deleted below.
    let extension = unsafe {
        core::slice::from_raw_parts((*control.object).DeviceExtension.cast::<u64>(), EXTENSION / 8)
    };
    let kept = extension.iter().enumerate().all(|(at, &word)| {
        if at == RESERVED_AT / 8 { word == control.area.as_ptr() as u64 } else { word == MARK }
    });
    if !kept {
        stop("DeviceExtensionWritten", format!("{FUNCTION}: DeviceExtension is NDIS's"));
    }
    if !control.link.is_empty()
        && let Err(status) = names::unlink(&control.link)
    {
        stop("InvalidDeviceHandle", format!("{FUNCTION}: the link is gone: {:#010x}", status as u32));
    }
    device::delete(control.object);
    // SAFETY: made in `register`, and the device that had it is gone.
    drop(unsafe { Box::from_raw(control.table) });
}

/// NdisGetDeviceReservedExtension: up to DISPATCH_LEVEL. The area behind a control device; NULL of any other.
pub(super) unsafe extern "win64" fn reserved_extension(object: *mut DEVICE_OBJECT) -> *mut u64 {
    require_irql(IRQL, "NdisGetDeviceReservedExtension", Irql::DISPATCH);
    CONTROLS.with(|controls| {
        let mut of_it =
            controls.iter_mut().filter(|control| control.object == object && !control.area.is_empty());
        of_it.next().map_or(core::ptr::null_mut(), |control| control.area.as_mut_ptr())
    })
}
