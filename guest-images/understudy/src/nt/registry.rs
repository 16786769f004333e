//! The registry's functions as drivers import them: keys by handle, values by name.
//!
//! The pages of ZwOpenKey, ZwCreateKey, ZwQueryValueKey, ZwSetValueKey, ZwDeleteKey, ZwDeleteValueKey and
//! IoOpenDeviceRegistryKey; OBJECT_ATTRIBUTES and KEY_VALUE_..._INFORMATION: wdm.h.

use super::caller::{caller_is_eighth, caller_is_fourth};
use super::thread::{self, Object};
use crate::io::api::text;
use crate::io::registry::Key;
use crate::ke::Irql;
use crate::verifier::owners::{self, owner_of};
use crate::verifier::{require_irql, trace};
use alloc::{format, vec::Vec};
use wdk_offline::{
    DEVICE_OBJECT, NTSTATUS, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
    UNICODE_STRING,
};

const STATUS_BUFFER_OVERFLOW: NTSTATUS = 0x8000_0005_u32 as i32;
const STATUS_INVALID_HANDLE: NTSTATUS = 0xC000_0008_u32 as i32;
/// REG_CREATED_NEW_KEY, REG_OPENED_EXISTING_KEY.
const CREATED: u32 = 1;
const OPENED: u32 = 2;
/// PLUGPLAY_REGKEY_DEVICE, -DRIVER.
const OF_DEVICE: u32 = 1;
const OF_DRIVER: u32 = 2;

/// OBJECT_ATTRIBUTES.
#[repr(C)]
pub(super) struct Attributes {
    length: u32,
    root: u64,
    name: *const UNICODE_STRING,
    _attributes: u32,
    _security: [u64; 2],
}
const _: () = assert!(size_of::<Attributes>() == 48);

caller_is_fourth! {
    open_key => open_key_for,
}
caller_is_eighth! {
    create_key => create_key_for,
    open_device_key => open_device_key_for,
}

fn key(handle: u64) -> Result<Key, NTSTATUS> {
    match thread::object(handle) {
        Some(Object::Key(key)) => Ok(key),
        _ => Err(STATUS_INVALID_HANDLE),
    }
}

/// The key below which a name is looked up, and the name.
unsafe fn named(attributes: *const Attributes) -> Result<(Option<Key>, alloc::string::String), NTSTATUS> {
    // SAFETY: the driver passes its attributes with a name.
    unsafe {
        if (*attributes).length as usize != size_of::<Attributes>() {
            return Err(STATUS_INVALID_PARAMETER);
        }
        let root = (*attributes).root;
        Ok((if root == 0 { None } else { Some(key(root)?) }, text((*attributes).name)))
    }
}

fn done(result: Result<(), NTSTATUS>) -> NTSTATUS {
    result.map_or_else(|status| status, |()| STATUS_SUCCESS)
}

/// ZwOpenKey: PASSIVE_LEVEL.
unsafe extern "win64" fn open_key_for(
    out: *mut u64,
    _access: u32,
    attributes: *const Attributes,
    caller: u64,
) -> NTSTATUS {
    require_irql("ZwOpenKey", Irql::PASSIVE);
    // SAFETY: the driver passes its attributes, and the place for its handle.
    unsafe {
        done(named(attributes).and_then(|(below, path)| {
            let key = Key::open(below.as_ref(), &path)?;
            *out = thread::handle(owner_of(caller), Object::Key(key));
            Ok(())
        }))
    }
}

/// ZwCreateKey: PASSIVE_LEVEL.
unsafe extern "win64" fn create_key_for(
    out: *mut u64,
    _access: u32,
    attributes: *const Attributes,
    _title: u32,
    _class: *const UNICODE_STRING,
    _options: u32,
    disposition: *mut u32,
    caller: u64,
) -> NTSTATUS {
    require_irql("ZwCreateKey", Irql::PASSIVE);
    // SAFETY: the driver passes its attributes, and the places for its handle and, if it wants it, the disposition.
    unsafe {
        done(named(attributes).and_then(|(below, path)| {
            let (key, made) = Key::create(below.as_ref(), &path)?;
            if !disposition.is_null() {
                *disposition = if made { CREATED } else { OPENED };
            }
            *out = thread::handle(owner_of(caller), Object::Key(key));
            Ok(())
        }))
    }
}

/// IoOpenDeviceRegistryKey: PASSIVE_LEVEL, of a device of the driver that calls.
unsafe extern "win64" fn open_device_key_for(
    _device: *mut DEVICE_OBJECT,
    kind: u32,
    _access: u32,
    out: *mut u64,
    _fifth: u64,
    _sixth: u64,
    _seventh: u64,
    caller: u64,
) -> NTSTATUS {
    require_irql("IoOpenDeviceRegistryKey", Irql::PASSIVE);
    let owner = owner_of(caller);
    let services = owners::all();
    let service = services.iter().find(|service| service.owner == owner);
    let key = match (kind, service) {
        (OF_DEVICE, Some(service)) => Key::of_device(service),
        (OF_DRIVER, Some(service)) => Key::of_driver(service),
        _ => return STATUS_INVALID_PARAMETER,
    };
    // SAFETY: the driver passes the place for its handle.
    unsafe { *out = thread::handle(owner, Object::Key(key)) };
    STATUS_SUCCESS
}

/// ZwQueryValueKey: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn query_value(
    handle: u64,
    name: *const UNICODE_STRING,
    class: i32,
    information: *mut u8,
    len: u32,
    needed: *mut u32,
) -> NTSTATUS {
    const FUNCTION: &str = "ZwQueryValueKey";
    require_irql(FUNCTION, Irql::PASSIVE);
    let name = text(name);
    let found = key(handle).and_then(|key| key.value(&name));
    let (kind, data) = match found {
        Ok(value) => value,
        Err(status) => return status,
    };
    let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let word = |value: usize| (value as u32).to_le_bytes();
    // the fixed part of each class, and what follows it
    let (fixed, rest): (Vec<u8>, Vec<u8>) = match class {
        0 => ([word(0), word(kind as usize), word(wide.len())].concat(), wide),
        1 => {
            let offset = (20 + wide.len()).next_multiple_of(8);
            let gap = alloc::vec![0; offset - 20 - wide.len()];
            let fixed =
                [word(0), word(kind as usize), word(offset), word(data.len()), word(wide.len())].concat();
            (fixed, [wide, gap, data].concat())
        }
        2 => ([word(0), word(kind as usize), word(data.len())].concat(), data),
        _ => trace::not_offered(&format!("{FUNCTION} with KEY_VALUE_INFORMATION_CLASS {class}")),
    };
    let whole = [fixed.as_slice(), &rest].concat();
    let given = whole.len().min(len as usize);
    // SAFETY: the driver passes the place for the length, and a buffer of `len` bytes.
    unsafe {
        *needed = whole.len() as u32;
        if given < fixed.len() {
            return STATUS_BUFFER_TOO_SMALL;
        }
        core::ptr::copy_nonoverlapping(whole.as_ptr(), information, given);
    }
    if given < whole.len() { STATUS_BUFFER_OVERFLOW } else { STATUS_SUCCESS }
}

/// ZwSetValueKey: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn set_value(
    handle: u64,
    name: *const UNICODE_STRING,
    _title: u32,
    kind: u32,
    data: *const u8,
    len: u32,
) -> NTSTATUS {
    require_irql("ZwSetValueKey", Irql::PASSIVE);
    let bytes = match len {
        0 => Vec::new(),
        // SAFETY: the driver passes that many bytes.
        len => Vec::from(unsafe { core::slice::from_raw_parts(data, len as usize) }),
    };
    done(key(handle).and_then(|key| key.set(&text(name), (kind, bytes))))
}

/// ZwDeleteValueKey: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn delete_value(handle: u64, name: *const UNICODE_STRING) -> NTSTATUS {
    require_irql("ZwDeleteValueKey", Irql::PASSIVE);
    done(key(handle).and_then(|key| key.remove(&text(name))))
}

/// ZwDeleteKey: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn delete_key(handle: u64) -> NTSTATUS {
    require_irql("ZwDeleteKey", Irql::PASSIVE);
    done(key(handle).and_then(|key| key.delete()))
}

/// ZwFlushKey: PASSIVE_LEVEL. There is no disk.
pub(super) unsafe extern "win64" fn flush_key(handle: u64) -> NTSTATUS {
    require_irql("ZwFlushKey", Irql::PASSIVE);
    key(handle).map_or_else(|status| status, |_| STATUS_SUCCESS)
}
