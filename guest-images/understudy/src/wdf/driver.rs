//! WDFDRIVER.

use super::client::{CLIENTS, handle, with_client};
use super::object::{self, Attributes, Typed};
use crate::ke::Irql;
use crate::mm::Owner;
use crate::verifier::pool::Lent;
use crate::verifier::{fault, require_irql, trace, violation};
use alloc::{format, sync::Arc};
use wdk_offline::{
    DRIVER_OBJECT, NTSTATUS, PFN_WDF_DRIVER_DEVICE_ADD, PFN_WDF_DRIVER_UNLOAD, STATUS_INFO_LENGTH_MISMATCH,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, UNICODE_STRING,
    WDF_DRIVER_CONFIG, WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES, WDFDRIVER,
};

/// WdfDriverInitNonPnpDriver.
const NON_PNP: u32 = 1;

/// The driver object's framework side.
pub(crate) struct Driver {
    /// EvtDriverDeviceAdd.
    pub device_add: PFN_WDF_DRIVER_DEVICE_ADD,
    unload: PFN_WDF_DRIVER_UNLOAD,
    /// The path of its registry key, zero-terminated.
    path: Lent,
}

impl Typed for Driver {
    const KIND: &'static str = "WDFDRIVER";
}

/// WdfDriverCreate: PASSIVE_LEVEL, from DriverEntry, once.
pub(crate) unsafe extern "win64" fn driver_create(
    globals: *mut WDF_DRIVER_GLOBALS,
    driver_object: *mut DRIVER_OBJECT,
    registry_path: *const UNICODE_STRING,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    config: *mut WDF_DRIVER_CONFIG,
    driver: *mut WDFDRIVER,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfDriverCreate";
    require_irql(FUNCTION, Irql::PASSIVE);
    // SAFETY: the driver passes its configuration.
    let config = unsafe { &*config };
    if config.Size as usize != size_of::<WDF_DRIVER_CONFIG>() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    if config.DriverInitFlags & NON_PNP == 0 && config.EvtDriverDeviceAdd.is_none() {
        return STATUS_INVALID_PARAMETER;
    }
    let (owner, known, created) =
        with_client(globals, FUNCTION, |client| (client.owner, client.driver, client.handle != 0));
    if created || known != driver_object {
        violation(
            "DriverCreatedTwice",
            0,
            0,
            format!("{FUNCTION}: created already, or for another driver object"),
        );
    }
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if fault::strikes(owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let bytes = crate::io::registry::text(&crate::io::api::text(registry_path));
    let mut path = Lent::new(b"KMrp", bytes.len(), false);
    path.copy_from_slice(&bytes);
    let made = Driver { device_add: config.EvtDriverDeviceAdd, unload: config.EvtDriverUnload, path };
    let made = object::create_for(owner, FUNCTION, Arc::new(made), None, attributes);
    with_client(globals, FUNCTION, |client| client.handle = made.raw());
    // SAFETY: globals and driver object are the ones handed to the driver; `driver` may be WDF_NO_HANDLE.
    unsafe {
        (*globals).Driver = made.raw() as WDFDRIVER;
        (*driver_object).DriverUnload = Some(framework_unload);
        if !driver.is_null() {
            *driver = made.raw() as WDFDRIVER;
        }
    }
    STATUS_SUCCESS
}

/// What the framework puts into DRIVER_OBJECT.DriverUnload: EvtDriverUnload, then the driver object goes.
unsafe extern "win64" fn framework_unload(driver_object: *mut DRIVER_OBJECT) {
    if let Some(service) = crate::verifier::owners::by_driver(driver_object) {
        remove(service.owner);
    }
}

/// Calls EvtDriverUnload and deletes the driver object, if there is one.
pub(crate) fn remove(owner: Owner) {
    let Some(handle) = handle(owner) else { return };
    let driver = object::get::<Driver>(handle.raw(), "unload");
    if let Some(unload) = driver.unload {
        // SAFETY: the driver's callback with its own handle, at PASSIVE_LEVEL.
        trace::callback(crate::verifier::owners::label(owner), "EvtDriverUnload", || unsafe {
            unload(handle.raw() as WDFDRIVER);
        });
    }
    object::delete(handle);
    CLIENTS.with(|clients| {
        if let Some(client) = clients.iter_mut().find(|client| client.owner == owner) {
            client.handle = 0;
        }
    });
}

/// WdfDriverWdmGetDriverObject: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn wdm_get_driver_object(
    globals: *mut WDF_DRIVER_GLOBALS,
    driver: WDFDRIVER,
) -> *mut DRIVER_OBJECT {
    const FUNCTION: &str = "WdfDriverWdmGetDriverObject";
    require_irql(FUNCTION, Irql::DISPATCH);
    object::get_ptr::<Driver, _>(driver, FUNCTION);
    with_client(globals, FUNCTION, |client| client.driver)
}

/// WdfWdmDriverGetWdfDriverHandle: up to DISPATCH_LEVEL; NULL for a driver that is not the framework's.
pub(crate) unsafe extern "win64" fn of_wdm_driver(
    _globals: *mut WDF_DRIVER_GLOBALS,
    driver: *mut DRIVER_OBJECT,
) -> WDFDRIVER {
    require_irql("WdfWdmDriverGetWdfDriverHandle", Irql::DISPATCH);
    let service = crate::verifier::owners::by_driver(driver);
    let found = service.and_then(|service| handle(service.owner));
    found.map_or(core::ptr::null_mut(), |handle| handle.raw() as WDFDRIVER)
}

/// WdfDriverGetRegistryPath: PASSIVE_LEVEL. The path that DriverEntry got, zero-terminated; the framework's.
pub(crate) unsafe extern "win64" fn get_registry_path(
    _globals: *mut WDF_DRIVER_GLOBALS,
    driver: WDFDRIVER,
) -> *mut u16 {
    const FUNCTION: &str = "WdfDriverGetRegistryPath";
    require_irql(FUNCTION, Irql::PASSIVE);
    object::get_ptr::<Driver, _>(driver, FUNCTION).path.start().cast()
}
