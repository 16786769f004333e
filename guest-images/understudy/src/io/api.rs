//! The I/O manager's functions as drivers import them from ntoskrnl.

use super::{Irp, device, interface, irp, names};
use crate::ke::Irql;
use crate::verifier::{fault, require_irql};
use alloc::{string::String, vec::Vec};
use core::ffi::c_void;
use wdk_offline::{
    DEVICE_OBJECT, DRIVER_OBJECT, GUID, IRP, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS, UNICODE_STRING,
};

/// Tag of lists that IoGetDeviceInterfaces gives out.
const INTERFACES_TAG: u32 = u32::from_le_bytes(*b"IoDI");
/// DEVICE_INTERFACE_INCLUDE_NONACTIVE.
const INCLUDE_NONACTIVE: u32 = 1;

/// The text of a driver's string; empty for NULL.
pub(crate) fn text(string: *const UNICODE_STRING) -> String {
    // SAFETY: the driver passes NULL or a string of its own.
    let Some(string) = (unsafe { string.as_ref() }) else { return String::new() };
    if string.Buffer.is_null() {
        return String::new();
    }
    // SAFETY: Length bytes at Buffer are the string.
    let units = unsafe { core::slice::from_raw_parts(string.Buffer, usize::from(string.Length) / 2) };
    String::from_utf16_lossy(units)
}

fn status_of(result: Result<(), NTSTATUS>) -> NTSTATUS {
    result.map_or_else(|status| status, |()| STATUS_SUCCESS)
}

/// IoCreateDevice: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn create_device(
    driver: *mut DRIVER_OBJECT,
    extension: u32,
    name: *const UNICODE_STRING,
    kind: u32,
    characteristics: u32,
    exclusive: u8,
    made: *mut *mut DEVICE_OBJECT,
) -> NTSTATUS {
    const FUNCTION: &str = "IoCreateDevice";
    require_irql(FUNCTION, Irql::PASSIVE);
    let name = text(name);
    let Some(service) = crate::verifier::owners::by_driver(driver) else { return STATUS_INVALID_PARAMETER };
    if fault::strikes(service.owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let new = device::New {
        driver,
        owner: service.owner,
        name: (!name.is_empty()).then_some(name.as_str()),
        extension: extension as usize,
        stack: 1,
        kind,
        characteristics,
        dispatch: device::Dispatch::Driver,
    };
    match device::create(&new) {
        Ok(object) => {
            // SAFETY: the driver passes the place for its device object, which nobody has opened yet.
            unsafe {
                if exclusive != 0 {
                    (*object).Flags |= device::EXCLUSIVE;
                }
                *made = object;
            }
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// IoDeleteDevice: PASSIVE_LEVEL here; files on it are closed first.
pub(crate) unsafe extern "win64" fn delete_device(object: *mut DEVICE_OBJECT) {
    require_irql("IoDeleteDevice", Irql::PASSIVE);
    super::file::close_all(object);
    device::delete(object);
}

/// IoCreateSymbolicLink: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn create_symbolic_link_for(
    name: *const UNICODE_STRING,
    device: *const UNICODE_STRING,
    _unused: u64,
    caller: u64,
) -> NTSTATUS {
    const FUNCTION: &str = "IoCreateSymbolicLink";
    require_irql(FUNCTION, Irql::PASSIVE);
    let owner = crate::verifier::owners::owner_of(caller);
    if fault::strikes(owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    status_of(names::link(&text(name), &text(device), owner))
}

/// IoDeleteSymbolicLink: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn delete_symbolic_link(name: *const UNICODE_STRING) -> NTSTATUS {
    require_irql("IoDeleteSymbolicLink", Irql::PASSIVE);
    status_of(names::unlink(&text(name)))
}

/// IofCompleteRequest: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn complete_request(irp: *mut IRP, _boost: i8) {
    Irp::from_raw(irp, "IoCompleteRequest").complete();
}

/// IofCallDriver: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn call_driver(device: *mut DEVICE_OBJECT, irp: *mut IRP) -> NTSTATUS {
    Irp::from_raw(irp, "IoCallDriver").call(device)
}

/// IoCancelIrp: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn cancel_irp(irp: *mut IRP) -> u8 {
    u8::from(Irp::from_raw(irp, "IoCancelIrp").cancel())
}

/// IoAcquireCancelSpinLock: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn acquire_cancel_spin_lock(irql: *mut u8) {
    let old = irp::acquire_cancel_lock();
    // SAFETY: the driver passes the place for its IRQL.
    unsafe { *irql = old.number() };
}

/// IoReleaseCancelSpinLock: at DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn release_cancel_spin_lock(irql: u8) {
    irp::release_cancel_lock(Irql::new(irql));
}

/// IoGetDeviceInterfaces: PASSIVE_LEVEL. A list of zero-terminated links with an empty one at its end, in paged pool.
pub(crate) unsafe extern "win64" fn get_device_interfaces_for(
    class: *const GUID,
    _physical: *mut DEVICE_OBJECT,
    flags: u32,
    list: *mut *mut u16,
    _fifth: u64,
    _sixth: u64,
    _seventh: u64,
    caller: u64,
) -> NTSTATUS {
    require_irql("IoGetDeviceInterfaces", Irql::PASSIVE);
    if flags & INCLUDE_NONACTIVE != 0 {
        crate::verifier::trace::not_offered("IoGetDeviceInterfaces with instances that are not enabled");
    }
    // SAFETY: the driver passes the address of a GUID.
    let links = interface::links(unsafe { &*class });
    let mut units: Vec<u16> = Vec::new();
    for link in links {
        units.extend(link.encode_utf16());
        units.push(0);
    }
    units.push(0);
    let owner = crate::verifier::owners::owner_of(caller);
    let block = crate::verifier::pool::alloc(owner, INTERFACES_TAG, units.len() * 2, true).cast::<u16>();
    if block.is_null() {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    // SAFETY: a fresh block of that many units; the driver passes the place for the list.
    unsafe {
        core::ptr::copy_nonoverlapping(units.as_ptr(), block, units.len());
        *list = block;
    }
    STATUS_SUCCESS
}

/// PsGetCurrentThreadId: any IRQL.
pub(crate) unsafe extern "win64" fn current_thread_id() -> *mut c_void {
    // numbers are multiples of four, and none is zero
    ((crate::ke::current_thread() + 1) * 4) as *mut c_void
}
