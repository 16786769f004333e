//! WDFDRIVER, and binding: WDFLDR's four functions.

use super::object::{self, Attributes, Typed};
use super::{class, functions};
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use crate::verifier::{require_irql, trace, violation};
use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use understudy_rules::wdf::table::Handle;
use wdk_offline::loader::{KMDF_1_31_FUNCTION_COUNT, WDF_BIND_INFO, WDF_CLASS_BIND_INFO};
use wdk_offline::{
    DRIVER_OBJECT, NTSTATUS, PFN_WDF_DRIVER_DEVICE_ADD, PFN_WDF_DRIVER_UNLOAD, STATUS_INFO_LENGTH_MISMATCH,
    STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS,
    UNICODE_STRING, WDF_DRIVER_CONFIG, WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES, WDFDRIVER, WDFFUNC,
};

/// WdfDriverInitNonPnpDriver.
const NON_PNP: u32 = 1;

/// The driver object's framework side.
pub struct Driver {
    /// EvtDriverDeviceAdd.
    pub device_add: PFN_WDF_DRIVER_DEVICE_ADD,
    unload: PFN_WDF_DRIVER_UNLOAD,
}

impl Typed for Driver {
    const KIND: &'static str = "WDFDRIVER";
}

/// A driver that has bound: its globals, its class binding, its WDFDRIVER.
struct Client {
    owner: Owner,
    driver: *mut DRIVER_OBJECT,
    globals: *mut WDF_DRIVER_GLOBALS,
    /// What the class binding gives out.
    net: *mut u32,
    class_bound: bool,
    /// 0 before WdfDriverCreate and after removal.
    handle: u64,
}

// SAFETY: the pointers are leaked boxes that only bind and unbind touch, and the driver object as an address.
unsafe impl Send for Client {}

static CLIENTS: IrqLock<Vec<Client>> = IrqLock::new(Vec::new());

/// Looks at the client whose globals these are; none is a violation.
fn with_client<R>(
    globals: *mut WDF_DRIVER_GLOBALS,
    function: &str,
    look: impl FnOnce(&mut Client) -> R,
) -> R {
    let found = CLIENTS.with(|clients| clients.iter_mut().find(|client| client.globals == globals).map(look));
    found.unwrap_or_else(|| {
        violation("InvalidGlobals", 0, globals as u64, format!("{function}: no client's globals"))
    })
}

/// The driver's handle, once it exists.
pub fn handle(owner: Owner) -> Option<Handle> {
    let raw = CLIENTS.with(|clients| {
        clients.iter().find(|client| client.owner == owner).map_or(0, |client| client.handle)
    });
    (raw != 0).then(|| Handle::from_raw(raw))
}

/// The WDFDRIVER of the client that calls; none yet is a violation.
pub fn of(globals: *mut WDF_DRIVER_GLOBALS, function: &str) -> Handle {
    match with_client(globals, function, |client| client.handle) {
        0 => violation("DriverNotCreated", 0, 0, format!("{function} before WdfDriverCreate")),
        raw => Handle::from_raw(raw),
    }
}

/// What of the bindings is left, for the check at unload.
pub fn still_bound(owner: Owner) -> Option<&'static str> {
    CLIENTS.with(|clients| {
        let client = clients.iter().find(|client| client.owner == owner)?;
        Some(if client.class_bound {
            "NetAdapterCx (WdfVersionUnbindClass)"
        } else {
            "KMDF (WdfVersionUnbind)"
        })
    })
}

/// Reads a zero-terminated UTF-16 string of at most 64 units.
unsafe fn wide(text: *const u16) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller passes a zero-terminated string; reading stops at its end.
    let units = (0..64).map(|at| unsafe { text.add(at).read() }).take_while(|&unit| unit != 0);
    char::decode_utf16(units).map(|c| c.unwrap_or('?')).collect()
}

fn refuse_bind(status: NTSTATUS, why: &str) -> NTSTATUS {
    crate::log!("bind refused: {why}");
    trace::set_reason(why);
    status
}

/// WdfVersionBind: PASSIVE_LEVEL. Size, component, version and function count must be those of KMDF 1.31.
pub unsafe extern "win64" fn version_bind(
    driver: *mut DRIVER_OBJECT,
    _registry_path: *mut UNICODE_STRING,
    info: *mut WDF_BIND_INFO,
    globals: *mut *mut WDF_DRIVER_GLOBALS,
) -> NTSTATUS {
    require_irql("WdfVersionBind", Irql::PASSIVE);
    // SAFETY: the driver passes its static bind request.
    let request = unsafe { &*info };
    if request.Size as usize != size_of::<WDF_BIND_INFO>() {
        return refuse_bind(
            STATUS_INFO_LENGTH_MISMATCH,
            &format!("WDF_BIND_INFO.Size {:#x}, not 0x30", request.Size),
        );
    }
    // SAFETY: as above, zero-terminated by contract.
    let component = unsafe { wide(request.Component) };
    if component != "KmdfLibrary" {
        return refuse_bind(STATUS_OBJECT_NAME_NOT_FOUND, &format!("no framework library {component:?}"));
    }
    let version = request.Version;
    if (version.Major, version.Minor, version.Build) != (1, 31, 0) {
        return refuse_bind(
            STATUS_NOT_SUPPORTED,
            &format!("KMDF {}.{} is not here, only 1.31", version.Major, version.Minor),
        );
    }
    let Some(service) = crate::verifier::owners::by_driver(driver) else {
        return refuse_bind(STATUS_INVALID_PARAMETER, "WdfVersionBind with a driver object that is nobody's");
    };
    if service.package.kmdf != Some((1, 31)) {
        let declared = service.package.kmdf.map(|(major, minor)| format!("KMDF {major}.{minor}"));
        let declared = declared.unwrap_or_else(|| "no KMDF".into());
        return refuse_bind(
            STATUS_NOT_SUPPORTED,
            &format!("the INF declares {declared}, the driver binds 1.31"),
        );
    }
    if still_bound(service.owner).is_some() {
        violation("BoundTwice", 0, 0, format!("WdfVersionBind by {}", service.name));
    }
    if request.FuncCount != KMDF_1_31_FUNCTION_COUNT {
        return refuse_bind(
            STATUS_INVALID_PARAMETER,
            &format!("KMDF 1.31 has 458 functions, not {}", request.FuncCount),
        );
    }
    let made = Box::into_raw(Box::new(WDF_DRIVER_GLOBALS {
        DisplaceDriverUnload: 1,
        ..WDF_DRIVER_GLOBALS::default()
    }));
    let client = Client {
        owner: service.owner,
        driver,
        globals: made,
        net: Box::into_raw(Box::new(0_u32)),
        class_bound: false,
        handle: 0,
    };
    CLIENTS.with(|clients| clients.push(client));
    // SAFETY: FuncTable is the address of the client's table pointer, `globals` of its globals pointer.
    unsafe {
        *request.FuncTable.cast::<*const WDFFUNC>() = functions::wdf_table();
        *globals = made;
    }
    STATUS_SUCCESS
}

/// WdfVersionUnbind: PASSIVE_LEVEL, after the class's.
pub unsafe extern "win64" fn version_unbind(
    _registry_path: *mut UNICODE_STRING,
    _info: *mut WDF_BIND_INFO,
    globals: *mut WDF_DRIVER_GLOBALS,
) -> NTSTATUS {
    require_irql("WdfVersionUnbind", Irql::PASSIVE);
    let gone = CLIENTS.with(|clients| {
        let at = clients.iter().position(|client| client.globals == globals);
        at.map(|at| clients.swap_remove(at))
    });
    let Some(gone) = gone else {
        violation("UnbindWithoutBind", 0, globals as u64, "WdfVersionUnbind".into());
    };
    if gone.class_bound {
        violation("UnbindOrder", 0, 0, "WdfVersionUnbind before WdfVersionUnbindClass".into());
    }
    // SAFETY: made by `version_bind` with Box::into_raw, taken out of the list just now.
    unsafe {
        drop(Box::from_raw(gone.globals));
        drop(Box::from_raw(gone.net));
    }
    STATUS_SUCCESS
}

/// WdfVersionBindClass: PASSIVE_LEVEL. The class extension's functions are copied into the client's array.
pub unsafe extern "win64" fn version_bind_class(
    _info: *mut WDF_BIND_INFO,
    globals: *mut WDF_DRIVER_GLOBALS,
    class: *mut WDF_CLASS_BIND_INFO,
) -> NTSTATUS {
    require_irql("WdfVersionBindClass", Irql::PASSIVE);
    // SAFETY: the driver passes its static class bind request.
    let request = unsafe { &*class };
    if request.Size as usize != size_of::<WDF_CLASS_BIND_INFO>() {
        return refuse_bind(
            STATUS_INFO_LENGTH_MISMATCH,
            &format!("WDF_CLASS_BIND_INFO.Size {:#x}, not 0x50", request.Size),
        );
    }
    // SAFETY: as above, zero-terminated by contract.
    let name = unsafe { wide(request.ClassName) };
    let Some(extension) = class::get().filter(|extension| extension.name() == name) else {
        return refuse_bind(STATUS_OBJECT_NAME_NOT_FOUND, &format!("no class extension {name:?}"));
    };
    let version = request.Version;
    let Some(count) = extension.functions(version) else {
        return refuse_bind(
            STATUS_NOT_SUPPORTED,
            &format!(
                "{name} {}.{}.{} is not offered, only {}",
                version.Major,
                version.Minor,
                version.Build,
                extension.versions()
            ),
        );
    };
    if request.FunctionTableCount as usize != count {
        let (asked, major, minor) = (request.FunctionTableCount, version.Major, version.Minor);
        return refuse_bind(
            STATUS_INVALID_PARAMETER,
            &format!("{name} {major}.{minor} has {count} functions, not {asked}"),
        );
    }
    let net = with_client(globals, "WdfVersionBindClass", |client| {
        client.class_bound = true;
        client.net as u64
    });
    let table = functions::class_table(extension);
    // SAFETY: the client's array has FunctionTableCount entries, ClassBindInfo is the address of its globals pointer.
    unsafe {
        core::ptr::copy_nonoverlapping(table.as_ptr(), request.FunctionTable.cast::<usize>(), count);
        *request.ClassBindInfo.cast::<u64>() = net;
    }
    STATUS_SUCCESS
}

/// WdfVersionUnbindClass: PASSIVE_LEVEL.
pub unsafe extern "win64" fn version_unbind_class(
    _info: *mut WDF_BIND_INFO,
    globals: *mut WDF_DRIVER_GLOBALS,
    _class: *mut WDF_CLASS_BIND_INFO,
) {
    const FUNCTION: &str = "WdfVersionUnbindClass";
    require_irql(FUNCTION, Irql::PASSIVE);
    if !with_client(globals, FUNCTION, |client| core::mem::replace(&mut client.class_bound, false)) {
        violation("UnbindWithoutBind", 0, 0, "WdfVersionUnbindClass".into());
    }
}

/// Whether `globals` is the pointer that the class binding gave out.
pub fn is_net_globals(globals: u64) -> bool {
    CLIENTS.with(|clients| clients.iter().any(|client| client.class_bound && client.net as u64 == globals))
}

/// WdfDriverCreate: PASSIVE_LEVEL, from DriverEntry, once.
pub unsafe extern "win64" fn driver_create(
    globals: *mut WDF_DRIVER_GLOBALS,
    driver_object: *mut DRIVER_OBJECT,
    _registry_path: *const UNICODE_STRING,
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
    let made = Driver { device_add: config.EvtDriverDeviceAdd, unload: config.EvtDriverUnload };
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
pub fn remove(owner: Owner) {
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
