//! WDFDRIVER, and binding: WDFLDR's four functions.

use super::functions;
use super::object::{self, Attributes, Payload, require_irql, violation};
use super::table::Handle;
use crate::agent::trace;
use crate::ke::irqlock::IrqLock;
use alloc::{boxed::Box, format, string::String, sync::Arc};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use wdk_offline::loader::{
    KMDF_1_31_FUNCTION_COUNT, NETADAPTERCX_2_0_FUNCTION_COUNT, WDF_BIND_INFO, WDF_CLASS_BIND_INFO,
};
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

/// The one driver's handle; 0 before WdfDriverCreate.
static HANDLE: AtomicU64 = AtomicU64::new(0);
/// The globals that the bound client holds; null while nothing is bound.
static GLOBALS: IrqLock<Option<Globals>> = IrqLock::new(None);
static CLASS_BOUND: AtomicBool = AtomicBool::new(false);

struct Globals(*mut WDF_DRIVER_GLOBALS, *mut u32);

// SAFETY: the pointers are leaked boxes that only bind and unbind touch.
unsafe impl Send for Globals {}

/// The driver's handle, once it exists.
pub fn handle() -> Option<Handle> {
    let raw = HANDLE.load(Relaxed);
    (raw != 0).then(|| Handle::from_raw(raw))
}

/// What of the bindings is left, for the check at unload.
pub fn still_bound() -> Option<&'static str> {
    if CLASS_BOUND.load(Relaxed) {
        Some("NetAdapterCx (WdfVersionUnbindClass)")
    } else if GLOBALS.with(|globals| globals.is_some()) {
        Some("KMDF (WdfVersionUnbind)")
    } else {
        None
    }
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
    _driver: *mut DRIVER_OBJECT,
    _registry_path: *mut UNICODE_STRING,
    info: *mut WDF_BIND_INFO,
    globals: *mut *mut WDF_DRIVER_GLOBALS,
) -> NTSTATUS {
    require_irql("WdfVersionBind", 0);
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
    if let Some((major, minor)) = crate::pnp::declared_kmdf().filter(|declared| *declared != (1, 31)) {
        return refuse_bind(
            STATUS_NOT_SUPPORTED,
            &format!("the INF declares KMDF {major}.{minor}, the driver binds 1.31"),
        );
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
    let net = Box::into_raw(Box::new(0_u32));
    GLOBALS.with(|slot| *slot = Some(Globals(made, net)));
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
    require_irql("WdfVersionUnbind", 0);
    if CLASS_BOUND.load(Relaxed) {
        violation("UnbindOrder", 0, 0, "WdfVersionUnbind before WdfVersionUnbindClass".into());
    }
    match GLOBALS.with(Option::take) {
        Some(Globals(made, net)) if made == globals => {
            // SAFETY: made by `version_bind` with Box::into_raw, taken out of the slot just now.
            unsafe {
                drop(Box::from_raw(made));
                drop(Box::from_raw(net));
            }
        }
        _ => violation("UnbindWithoutBind", 0, globals as u64, "WdfVersionUnbind".into()),
    }
    STATUS_SUCCESS
}

/// WdfVersionBindClass: PASSIVE_LEVEL. NetAdapterCx 2.0 with its 75 functions, copied into the client's array.
pub unsafe extern "win64" fn version_bind_class(
    _info: *mut WDF_BIND_INFO,
    globals: *mut WDF_DRIVER_GLOBALS,
    class: *mut WDF_CLASS_BIND_INFO,
) -> NTSTATUS {
    require_irql("WdfVersionBindClass", 0);
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
    if name != "NetAdapterCx" {
        return refuse_bind(STATUS_OBJECT_NAME_NOT_FOUND, &format!("no class extension {name:?}"));
    }
    let version = request.Version;
    if (version.Major, version.Minor, version.Build) != (2, 0, 0) {
        return refuse_bind(
            STATUS_NOT_SUPPORTED,
            &format!(
                "NetAdapterCx {}.{}.{} is not here, only 2.0",
                version.Major, version.Minor, version.Build
            ),
        );
    }
    if request.FunctionTableCount != NETADAPTERCX_2_0_FUNCTION_COUNT {
        let count = request.FunctionTableCount;
        return refuse_bind(
            STATUS_INVALID_PARAMETER,
            &format!("NetAdapterCx 2.0 has 75 functions, not {count}"),
        );
    }
    let Some(net) =
        GLOBALS.with(|slot| slot.as_ref().filter(|slot| slot.0 == globals).map(|slot| slot.1 as u64))
    else {
        return refuse_bind(STATUS_INVALID_PARAMETER, "WdfVersionBindClass with globals that no bind gave");
    };
    let table = functions::net_table();
    // SAFETY: the client's array has FunctionTableCount entries, ClassBindInfo is the address of its globals pointer.
    unsafe {
        core::ptr::copy_nonoverlapping(table.as_ptr(), request.FunctionTable.cast::<usize>(), table.len());
        *request.ClassBindInfo.cast::<u64>() = net;
    }
    CLASS_BOUND.store(true, Relaxed);
    STATUS_SUCCESS
}

/// WdfVersionUnbindClass: PASSIVE_LEVEL.
pub unsafe extern "win64" fn version_unbind_class(
    _info: *mut WDF_BIND_INFO,
    _globals: *mut WDF_DRIVER_GLOBALS,
    _class: *mut WDF_CLASS_BIND_INFO,
) {
    require_irql("WdfVersionUnbindClass", 0);
    if !CLASS_BOUND.swap(false, Relaxed) {
        violation("UnbindWithoutBind", 0, 0, "WdfVersionUnbindClass".into());
    }
}

/// Whether `globals` is the pointer that the class binding gave out.
pub fn is_net_globals(globals: u64) -> bool {
    CLASS_BOUND.load(Relaxed)
        && GLOBALS.with(|slot| slot.as_ref().is_some_and(|slot| slot.1 as u64 == globals))
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
    require_irql(FUNCTION, 0);
    // SAFETY: the driver passes its configuration.
    let config = unsafe { &*config };
    if config.Size as usize != size_of::<WDF_DRIVER_CONFIG>() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    if config.DriverInitFlags & NON_PNP == 0 && config.EvtDriverDeviceAdd.is_none() {
        return STATUS_INVALID_PARAMETER;
    }
    if handle().is_some() {
        violation("DriverCreatedTwice", 0, 0, FUNCTION.into());
    }
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let made = Driver { device_add: config.EvtDriverDeviceAdd, unload: config.EvtDriverUnload };
    let made = object::create(FUNCTION, Payload::Driver(Arc::new(made)), None, attributes);
    HANDLE.store(made.raw(), Relaxed);
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
unsafe extern "win64" fn framework_unload(_driver_object: *mut DRIVER_OBJECT) {
    remove();
}

/// Calls EvtDriverUnload and deletes the driver object, if there is one.
pub fn remove() {
    let Some(handle) = handle() else { return };
    let driver = object::get::<Driver>(handle.raw(), "unload");
    if let Some(unload) = driver.unload {
        // SAFETY: the driver's callback with its own handle, at PASSIVE_LEVEL.
        trace::callback("device", "EvtDriverUnload", || unsafe { unload(handle.raw() as WDFDRIVER) });
    }
    object::delete(handle);
    HANDLE.store(0, Relaxed);
}
