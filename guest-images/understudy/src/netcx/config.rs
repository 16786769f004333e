//! The parameter checks by NetAdapterCx's codes, and NETCONFIGURATION: the adapter's keywords.
//!
//! Rules: CX30, CX31 (`driver/docs/netadaptercx.md`).

use super::adapter;
use crate::ke::Irql;
use crate::verifier::{BugCheck, trace};
use crate::wdf::object::{self, Attributes, Typed, get_ptr};
use alloc::{format, string::String, sync::Arc};
use netadaptercx_sys::{NET_DRIVER_GLOBALS, NETADAPTER, NETCONFIGURATION};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    NTSTATUS, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND, STATUS_SUCCESS, UNICODE_STRING,
    WDF_OBJECT_ATTRIBUTES,
};

/// Stops for a parameter rule: `code` is the first parameter, `p2` and `p3` as the rule has them.
pub fn violation(code: u64, rule: &str, p2: u64, p3: u64, place: String) -> ! {
    trace::stop(BugCheck::BUGCODE_NETADAPTER_DRIVER, [code, p2, p3, 0], rule, place)
}

/// The checks that every function makes first: code 0 for wrong globals, 1 and 2 for the IRQL.
pub fn enter(function: &str, globals: *mut NET_DRIVER_GLOBALS, most: Irql) {
    if !crate::wdf::driver::is_net_globals(globals as u64) {
        violation(0, "CorruptedPrivateGlobals", globals as u64, 0, function.into());
    }
    let irql = crate::ke::irql();
    if most == Irql::PASSIVE && irql != Irql::PASSIVE {
        violation(1, "IrqlIsNotPassive", irql.into(), 0, format!("{function} at IRQL {irql}"));
    }
    if irql > most {
        violation(2, "IrqlNotLessOrEqualDispatch", irql.into(), 0, format!("{function} at IRQL {irql}"));
    }
}

/// Code 8: the structure's Size must be exactly that of version 2.0.
pub fn require_size(function: &str, given: u32, expected: usize) {
    if given as usize != expected {
        violation(
            8,
            "InvalidStructTypeSize",
            given.into(),
            expected as u64,
            format!("{function}: Size {given}, expected {expected}"),
        );
    }
}

/// Code 15: the pointer must not be NULL.
pub fn require_not_null<T>(function: &str, pointer: *const T) {
    if pointer.is_null() {
        violation(15, "NotNull", 0, 0, format!("{function}: a required pointer is NULL"));
    }
}

/// An open configuration.
pub struct Configuration;

impl Typed for Configuration {
    const KIND: &'static str = "NETCONFIGURATION";
}

/// NetAdapterOpenConfiguration: PASSIVE_LEVEL.
pub unsafe extern "win64" fn open(
    globals: *mut NET_DRIVER_GLOBALS,
    adapter: NETADAPTER,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    configuration: *mut NETCONFIGURATION,
) -> NTSTATUS {
    const FUNCTION: &str = "NetAdapterOpenConfiguration";
    enter(FUNCTION, globals, Irql::PASSIVE);
    get_ptr::<adapter::Adapter, _>(adapter, FUNCTION);
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if attributes.parent().is_some() {
        violation(23, "ParentObjectNotNull", 0, 0, FUNCTION.into());
    }
    let handle =
        object::create(FUNCTION, Arc::new(Configuration), Some(Handle::from_raw(adapter as u64)), attributes);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *configuration = handle.raw() as NETCONFIGURATION };
    STATUS_SUCCESS
}

/// NetConfigurationClose: PASSIVE_LEVEL.
pub unsafe extern "win64" fn close(globals: *mut NET_DRIVER_GLOBALS, configuration: NETCONFIGURATION) {
    const FUNCTION: &str = "NetConfigurationClose";
    enter(FUNCTION, globals, Irql::PASSIVE);
    get_ptr::<Configuration, _>(configuration, FUNCTION);
    object::delete(Handle::from_raw(configuration as u64));
}

/// The adapter keyword's value: the command line's `param.NAME`, else the INF's.
fn keyword(name: &str) -> Option<String> {
    crate::settings::param(name).or_else(|| {
        let lower = name.to_ascii_lowercase();
        adapter::device()?.bus.service().package.keywords.get(&lower).cloned()
    })
}

/// NetConfigurationQueryUlong: PASSIVE_LEVEL. Values are decimal or, as the flag allows, hexadecimal strings.
pub unsafe extern "win64" fn query_ulong(
    globals: *mut NET_DRIVER_GLOBALS,
    configuration: NETCONFIGURATION,
    flags: i32,
    name: *const UNICODE_STRING,
    value: *mut u32,
) -> NTSTATUS {
    const FUNCTION: &str = "NetConfigurationQueryUlong";
    enter(FUNCTION, globals, Irql::PASSIVE);
    get_ptr::<Configuration, _>(configuration, FUNCTION);
    if flags & !1 != 0 {
        violation(16, "InvalidQueryUlongFlag", flags as u64, 0, FUNCTION.into());
    }
    require_not_null(FUNCTION, name);
    require_not_null(FUNCTION, value);
    // SAFETY: checked for NULL; the string is the driver's.
    let name = unsafe { *name };
    // SAFETY: Length bytes at Buffer are the string.
    let units = unsafe { core::slice::from_raw_parts(name.Buffer, usize::from(name.Length) / 2) };
    let name = String::from_utf16_lossy(units);
    let Some(text) = keyword(&name) else { return STATUS_OBJECT_NAME_NOT_FOUND };
    let number = if flags & 1 == 0 { text.parse().ok() } else { u32::from_str_radix(&text, 16).ok() };
    match number {
        Some(number) => {
            // SAFETY: checked for NULL.
            unsafe { *value = number };
            STATUS_SUCCESS
        }
        None => STATUS_INVALID_PARAMETER,
    }
}
