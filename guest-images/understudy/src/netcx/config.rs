//! NETCONFIGURATION: the adapter's keywords.

use super::adapter;
use super::require::{enter, require_not_null, violation};
use crate::ke::Irql;
use crate::verifier::fault;
use crate::wdf::object::{self, Attributes, Typed, get_ptr};
use alloc::{string::String, sync::Arc};
use netadaptercx_sys::{NET_DRIVER_GLOBALS, NETADAPTER, NETCONFIGURATION};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_OBJECT_NAME_NOT_FOUND,
    STATUS_SUCCESS, UNICODE_STRING, WDF_OBJECT_ATTRIBUTES,
};

/// An open configuration.
pub(crate) struct Configuration;

impl Typed for Configuration {
    const KIND: &'static str = "NETCONFIGURATION";
}

/// NetAdapterOpenConfiguration: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn open(
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
    if fault::strikes(object::owner(adapter as u64, FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let handle =
        object::create(FUNCTION, Arc::new(Configuration), Some(Handle::from_raw(adapter as u64)), attributes);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *configuration = handle.raw() as NETCONFIGURATION };
    STATUS_SUCCESS
}

/// NetConfigurationClose: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn close(globals: *mut NET_DRIVER_GLOBALS, configuration: NETCONFIGURATION) {
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
pub(crate) unsafe extern "win64" fn query_ulong(
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
