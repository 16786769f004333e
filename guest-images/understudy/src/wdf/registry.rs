//! WDFKEY (src/framework/shared/support/fxregistryapi.cpp): keys of the registry and their values.

use super::device::Device;
use super::driver::Driver;
use super::memory::Memory;
use super::object::{self, Attributes, Typed, get_ptr};
use super::string::Text;
use crate::io::api::text;
use crate::io::registry::{self, DWORD, Key, SZ, Value};
use crate::ke::Irql;
use crate::verifier::{fault, require_irql};
use alloc::{string::String, sync::Arc, vec::Vec};
use core::ffi::c_void;
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    NTSTATUS, POOL_TYPE, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
    UNICODE_STRING, WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES, WDFDEVICE, WDFDRIVER, WDFKEY, WDFMEMORY,
    WDFSTRING,
};

const STATUS_BUFFER_OVERFLOW: NTSTATUS = 0x8000_0005_u32 as i32;
const STATUS_OBJECT_TYPE_MISMATCH: NTSTATUS = 0xC000_0024_u32 as i32;
/// PLUGPLAY_REGKEY_DEVICE, -DRIVER, and that both are the current hardware profile's.
const OF_DEVICE: u32 = 1;
const OF_DRIVER: u32 = 2;
/// REG_CREATED_NEW_KEY, REG_OPENED_EXISTING_KEY.
const CREATED: u32 = 1;
const OPENED: u32 = 2;
type Globals = *mut WDF_DRIVER_GLOBALS;

/// An open key.
pub(crate) struct OpenKey(Key);

impl Typed for OpenKey {
    const KIND: &'static str = "WDFKEY";

    fn require_deletable(&self, _raw: u64, function: &str) {
        require_irql(function, Irql::PASSIVE);
    }
}

fn key(key: WDFKEY, function: &str) -> Arc<OpenKey> {
    require_irql(function, Irql::PASSIVE);
    get_ptr::<OpenKey, _>(key, function)
}

fn done(result: Result<(), NTSTATUS>) -> NTSTATUS {
    result.map_or_else(|status| status, |()| STATUS_SUCCESS)
}

/// Makes a WDFKEY of what `open` finds, below what the attributes say or `fallback`.
unsafe fn open_as(
    function: &str,
    fallback: Handle,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    out: *mut WDFKEY,
    open: impl FnOnce() -> Result<Key, NTSTATUS>,
) -> NTSTATUS {
    require_irql(function, Irql::PASSIVE);
    done(Attributes::read(attributes, function).and_then(|attributes| {
        let made = Arc::new(OpenKey(open()?));
        let parent = attributes.parent().unwrap_or(fallback);
        if fault::strikes(object::owner(parent.raw(), function), function) {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let handle = object::create(function, made, Some(parent), attributes);
        // SAFETY: the driver passes the place for its handle.
        unsafe { *out = handle.raw() as WDFKEY };
        Ok(())
    }))
}

/// The key above, if one is given.
fn above(parent: WDFKEY, function: &str) -> Option<Arc<OpenKey>> {
    (!parent.is_null()).then(|| key(parent, function))
}

/// WdfRegistryOpenKey: PASSIVE_LEVEL; so are all below.
pub(crate) unsafe extern "win64" fn open_key(
    globals: Globals,
    parent: WDFKEY,
    name: *const UNICODE_STRING,
    _access: u32,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    out: *mut WDFKEY,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfRegistryOpenKey";
    let fallback = super::client::of(globals, FUNCTION);
    let parent = above(parent, FUNCTION);
    // SAFETY: as in `open_as`.
    unsafe {
        open_as(FUNCTION, fallback, attributes, out, || {
            Key::open(parent.as_ref().map(|parent| &parent.0), &text(name))
        })
    }
}

/// WdfRegistryCreateKey.
pub(crate) unsafe extern "win64" fn create_key(
    globals: Globals,
    parent: WDFKEY,
    name: *const UNICODE_STRING,
    _access: u32,
    _options: u32,
    disposition: *mut u32,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    out: *mut WDFKEY,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfRegistryCreateKey";
    let fallback = super::client::of(globals, FUNCTION);
    let parent = above(parent, FUNCTION);
    // SAFETY: as in `open_as`; the driver passes NULL or the place for the disposition.
    unsafe {
        open_as(FUNCTION, fallback, attributes, out, || {
            let (key, made) = Key::create(parent.as_ref().map(|parent| &parent.0), &text(name))?;
            if let Some(disposition) = disposition.as_mut() {
                *disposition = if made { CREATED } else { OPENED };
            }
            Ok(key)
        })
    }
}

/// WdfDriverOpenParametersRegistryKey: the key is made if it is not there (FxDriver::OpenParametersKey).
pub(crate) unsafe extern "win64" fn open_parameters(
    _globals: Globals,
    driver: WDFDRIVER,
    _access: u32,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    out: *mut WDFKEY,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfDriverOpenParametersRegistryKey";
    get_ptr::<Driver, _>(driver, FUNCTION);
    let owner = object::owner(driver as u64, FUNCTION);
    let open = || {
        let services = crate::verifier::owners::all();
        let service =
            services.iter().find(|service| service.owner == owner).ok_or(STATUS_INVALID_PARAMETER)?;
        Key::create(Some(&Key::of_service(service)), "Parameters").map(|(key, _)| key)
    };
    // SAFETY: as in `open_as`.
    unsafe { open_as(FUNCTION, Handle::from_raw(driver as u64), attributes, out, open) }
}

/// WdfDeviceOpenRegistryKey: the device's own key, or its driver's.
pub(crate) unsafe extern "win64" fn open_of_device(
    _globals: Globals,
    device: WDFDEVICE,
    kind: u32,
    _access: u32,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    out: *mut WDFKEY,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfDeviceOpenRegistryKey";
    let bus = get_ptr::<Device, _>(device, FUNCTION).bus.clone();
    let open = || match kind {
        OF_DEVICE => Ok(Key::of_device(bus.service())),
        OF_DRIVER => Ok(Key::of_driver(bus.service())),
        _ => Err(STATUS_INVALID_PARAMETER),
    };
    // SAFETY: as in `open_as`.
    unsafe { open_as(FUNCTION, Handle::from_raw(device as u64), attributes, out, open) }
}

/// WdfRegistryClose.
pub(crate) unsafe extern "win64" fn close(_globals: Globals, handle: WDFKEY) {
    key(handle, "WdfRegistryClose");
    object::delete(Handle::from_raw(handle as u64));
}

/// WdfRegistryRemoveKey: the handle goes with the key.
pub(crate) unsafe extern "win64" fn remove_key(_globals: Globals, handle: WDFKEY) -> NTSTATUS {
    let result = key(handle, "WdfRegistryRemoveKey").0.delete();
    if result.is_ok() {
        object::delete(Handle::from_raw(handle as u64));
    }
    done(result)
}

/// WdfRegistryRemoveValue.
pub(crate) unsafe extern "win64" fn remove_value(
    _globals: Globals,
    handle: WDFKEY,
    name: *const UNICODE_STRING,
) -> NTSTATUS {
    done(key(handle, "WdfRegistryRemoveValue").0.remove(&text(name)))
}

/// Copies a value out as far as there is room, with its length and its type where they are wanted.
unsafe fn copy_out(value: &Value, buffer: *mut u8, room: usize, len: *mut u32, kind: *mut u32) -> NTSTATUS {
    // SAFETY: the driver passes a buffer of that length, and NULL or the places for length and type.
    unsafe {
        if let Some(len) = len.as_mut() {
            *len = value.1.len() as u32;
        }
        if let Some(kind) = kind.as_mut() {
            *kind = value.0;
        }
        if buffer.is_null() || room < value.1.len() {
            return STATUS_BUFFER_OVERFLOW;
        }
        core::ptr::copy_nonoverlapping(value.1.as_ptr(), buffer, value.1.len());
    }
    STATUS_SUCCESS
}

/// WdfRegistryQueryValue.
pub(crate) unsafe extern "win64" fn query_value(
    _globals: Globals,
    handle: WDFKEY,
    name: *const UNICODE_STRING,
    room: u32,
    buffer: *mut c_void,
    len: *mut u32,
    kind: *mut u32,
) -> NTSTATUS {
    match key(handle, "WdfRegistryQueryValue").0.value(&text(name)) {
        // SAFETY: as in `copy_out`.
        Ok(value) => unsafe { copy_out(&value, buffer.cast(), room as usize, len, kind) },
        Err(status) => status,
    }
}

/// WdfRegistryQueryMemory: the value in a WDFMEMORY of its size.
pub(crate) unsafe extern "win64" fn query_memory(
    globals: Globals,
    handle: WDFKEY,
    name: *const UNICODE_STRING,
    pool: POOL_TYPE,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    memory: *mut WDFMEMORY,
    kind: *mut u32,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfRegistryQueryMemory";
    let value = match key(handle, FUNCTION).0.value(&text(name)) {
        Ok(value) => value,
        Err(status) => return status,
    };
    // SAFETY: as WdfMemoryCreate; the memory is as long as the value.
    unsafe {
        let none = core::ptr::null_mut();
        let status = super::memory::create(globals, attributes, pool, 0, value.1.len(), memory, none);
        if status != STATUS_SUCCESS {
            return status;
        }
        let made = get_ptr::<Memory, _>(*memory, FUNCTION);
        copy_out(&value, made.buffer(), made.len(), core::ptr::null_mut(), kind)
    }
}

/// A value's text, without the zero at its end.
fn as_text(value: &Value) -> Result<String, NTSTATUS> {
    if value.0 != SZ {
        return Err(STATUS_OBJECT_TYPE_MISMATCH);
    }
    let units: Vec<u16> = value.1.as_chunks::<2>().0.iter().map(|unit| u16::from_le_bytes(*unit)).collect();
    Ok(String::from_utf16_lossy(units.strip_suffix(&[0]).unwrap_or(&units)))
}

/// WdfRegistryQueryUnicodeString: the string that is given has its buffer; the length wanted counts the zero.
pub(crate) unsafe extern "win64" fn query_unicode_string(
    _globals: Globals,
    handle: WDFKEY,
    name: *const UNICODE_STRING,
    len: *mut u16,
    out: *mut UNICODE_STRING,
) -> NTSTATUS {
    let found = key(handle, "WdfRegistryQueryUnicodeString").0.value(&text(name));
    let found = match found.and_then(|value| as_text(&value)) {
        Ok(found) => registry::text(&found),
        Err(status) => return status,
    };
    // SAFETY: the driver passes NULL or the place for the length, NULL or a string with MaximumLength bytes.
    unsafe {
        if let Some(len) = len.as_mut() {
            *len = found.len() as u16;
        }
        let Some(out) = out.as_mut().filter(|out| usize::from(out.MaximumLength) >= found.len()) else {
            return STATUS_BUFFER_OVERFLOW;
        };
        core::ptr::copy_nonoverlapping(found.as_ptr(), out.Buffer.cast(), found.len());
        out.Length = found.len() as u16 - 2;
    }
    STATUS_SUCCESS
}

/// WdfRegistryQueryString: into a WDFSTRING.
pub(crate) unsafe extern "win64" fn query_string(
    _globals: Globals,
    handle: WDFKEY,
    name: *const UNICODE_STRING,
    string: WDFSTRING,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfRegistryQueryString";
    let found = key(handle, FUNCTION).0.value(&text(name));
    done(found.and_then(|value| {
        get_ptr::<Text, _>(string, FUNCTION).set(&as_text(&value)?);
        Ok(())
    }))
}

/// WdfRegistryQueryULong: of REG_DWORD alone.
pub(crate) unsafe extern "win64" fn query_ulong(
    _globals: Globals,
    handle: WDFKEY,
    name: *const UNICODE_STRING,
    out: *mut u32,
) -> NTSTATUS {
    let found = key(handle, "WdfRegistryQueryULong").0.value(&text(name));
    done(found.and_then(|(kind, bytes)| {
        let bytes = <[u8; 4]>::try_from(bytes.as_slice()).ok().filter(|_| kind == DWORD);
        // SAFETY: the driver passes the place for its number.
        unsafe { *out = u32::from_le_bytes(bytes.ok_or(STATUS_OBJECT_TYPE_MISMATCH)?) };
        Ok(())
    }))
}

/// WdfRegistryAssignValue.
pub(crate) unsafe extern "win64" fn assign_value(
    _globals: Globals,
    handle: WDFKEY,
    name: *const UNICODE_STRING,
    kind: u32,
    len: u32,
    value: *mut c_void,
) -> NTSTATUS {
    let bytes = match len {
        0 => Vec::new(),
        // SAFETY: the driver passes that many bytes.
        len => Vec::from(unsafe { core::slice::from_raw_parts(value.cast::<u8>(), len as usize) }),
    };
    done(key(handle, "WdfRegistryAssignValue").0.set(&text(name), (kind, bytes)))
}

/// WdfRegistryAssignUnicodeString: as REG_SZ.
pub(crate) unsafe extern "win64" fn assign_unicode_string(
    _globals: Globals,
    handle: WDFKEY,
    name: *const UNICODE_STRING,
    value: *const UNICODE_STRING,
) -> NTSTATUS {
    let value = (SZ, registry::text(&text(value)));
    done(key(handle, "WdfRegistryAssignUnicodeString").0.set(&text(name), value))
}

/// WdfRegistryAssignString: as REG_SZ, of a WDFSTRING.
pub(crate) unsafe extern "win64" fn assign_string(
    _globals: Globals,
    handle: WDFKEY,
    name: *const UNICODE_STRING,
    string: WDFSTRING,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfRegistryAssignString";
    let value = get_ptr::<Text, _>(string, FUNCTION).get();
    done(key(handle, FUNCTION).0.set(&text(name), (SZ, registry::text(&text(&raw const value)))))
}

/// WdfRegistryAssignULong: as REG_DWORD.
pub(crate) unsafe extern "win64" fn assign_ulong(
    _globals: Globals,
    handle: WDFKEY,
    name: *const UNICODE_STRING,
    value: u32,
) -> NTSTATUS {
    let value = (DWORD, Vec::from(value.to_le_bytes()));
    done(key(handle, "WdfRegistryAssignULong").0.set(&text(name), value))
}
