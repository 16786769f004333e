//! The drivers that have bound to the framework, each by its globals.

use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use crate::verifier::violation;
use alloc::{format, vec::Vec};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{DRIVER_OBJECT, WDF_DRIVER_GLOBALS};

/// A driver that has bound: its globals, its class binding, its WDFDRIVER.
pub(super) struct Client {
    pub(super) owner: Owner,
    pub(super) driver: *mut DRIVER_OBJECT,
    pub(super) globals: *mut WDF_DRIVER_GLOBALS,
    /// What the class binding gives out.
    pub(super) net: *mut u32,
    pub(super) class_bound: bool,
    /// 0 before WdfDriverCreate and after removal.
    pub(super) handle: u64,
}

// SAFETY: the pointers are leaked boxes that only bind and unbind touch, and the driver object as an address.
unsafe impl Send for Client {}

pub(super) static CLIENTS: IrqLock<Vec<Client>> = IrqLock::new(Vec::new());

/// Looks at the client whose globals these are; none is a violation.
pub(super) fn with_client<R>(
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
pub(crate) fn handle(owner: Owner) -> Option<Handle> {
    let raw = CLIENTS.with(|clients| {
        clients.iter().find(|client| client.owner == owner).map_or(0, |client| client.handle)
    });
    (raw != 0).then(|| Handle::from_raw(raw))
}

/// The WDFDRIVER of the client that calls; none yet is a violation.
pub(crate) fn of(globals: *mut WDF_DRIVER_GLOBALS, function: &str) -> Handle {
    match with_client(globals, function, |client| client.handle) {
        0 => violation("DriverNotCreated", 0, 0, format!("{function} before WdfDriverCreate")),
        raw => Handle::from_raw(raw),
    }
}

/// What of the bindings is left, for the check at unload.
pub(crate) fn still_bound(owner: Owner) -> Option<&'static str> {
    CLIENTS.with(|clients| {
        let client = clients.iter().find(|client| client.owner == owner)?;
        Some(if client.class_bound {
            "NetAdapterCx (WdfVersionUnbindClass)"
        } else {
            "KMDF (WdfVersionUnbind)"
        })
    })
}

/// Whether `globals` is the pointer that the class binding gave out.
pub(crate) fn is_net_globals(globals: u64) -> bool {
    CLIENTS.with(|clients| clients.iter().any(|client| client.class_bound && client.net as u64 == globals))
}
