//! WDFSTRING (src/framework/shared/support/fxstringapi.cpp): a counted string of the framework's.

use super::object::{self, Attributes, Typed, get_ptr};
use crate::io::api::text;
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::verifier::pool::Lent;
use crate::verifier::{fault, require_irql};
use alloc::sync::Arc;
use wdk_offline::{
    NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS, UNICODE_STRING, WDF_DRIVER_GLOBALS,
    WDF_OBJECT_ATTRIBUTES, WDFSTRING,
};

/// A string.
pub(crate) struct Text(IrqLock<Lent>);

impl Typed for Text {
    const KIND: &'static str = "WDFSTRING";

    fn require_deletable(&self, _raw: u64, function: &str) {
        require_irql(function, Irql::PASSIVE);
    }
}

/// The text with a zero behind it, in memory that is lent to the driver.
fn lent(text: &str) -> Lent {
    let bytes = crate::io::registry::text(text);
    let mut memory = Lent::new(b"KMst", bytes.len(), false);
    memory.copy_from_slice(&bytes);
    memory
}

impl Text {
    /// Replaces what it holds.
    pub(super) fn set(&self, text: &str) {
        let memory = lent(text);
        let old = self.0.with(|held| core::mem::replace(held, memory));
        drop(old);
    }

    /// What it holds, as drivers see it.
    pub(super) fn get(&self) -> UNICODE_STRING {
        self.0.with(|held| {
            let maximum = held.len() as u16;
            UNICODE_STRING { Length: maximum - 2, MaximumLength: maximum, Buffer: held.start().cast() }
        })
    }
}

/// WdfStringCreate: PASSIVE_LEVEL. NULL makes an empty one.
pub(crate) unsafe extern "win64" fn create(
    globals: *mut WDF_DRIVER_GLOBALS,
    given: *const UNICODE_STRING,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    string: *mut WDFSTRING,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfStringCreate";
    require_irql(FUNCTION, Irql::PASSIVE);
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let parent = attributes.parent().unwrap_or_else(|| super::client::of(globals, FUNCTION));
    if fault::strikes(object::owner(parent.raw(), FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = Arc::new(Text(IrqLock::new(lent(&text(given)))));
    let handle = object::create(FUNCTION, made, Some(parent), attributes);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *string = handle.raw() as WDFSTRING };
    STATUS_SUCCESS
}

/// WdfStringGetUnicodeString: PASSIVE_LEVEL. The buffer is the framework's, and lives as long as the string.
pub(crate) unsafe extern "win64" fn get_unicode_string(
    _globals: *mut WDF_DRIVER_GLOBALS,
    string: WDFSTRING,
    out: *mut UNICODE_STRING,
) {
    const FUNCTION: &str = "WdfStringGetUnicodeString";
    require_irql(FUNCTION, Irql::PASSIVE);
    let text = get_ptr::<Text, _>(string, FUNCTION).get();
    // SAFETY: the driver passes the place for the string.
    unsafe { out.write(text) };
}
