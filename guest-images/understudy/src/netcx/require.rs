//! The parameter checks by NetAdapterCx's codes.
//!
//! Rules: CX30, CX31 (`driver/docs/netadaptercx.md`).

use crate::ke::Irql;
use crate::verifier::{BugCheck, trace};
use alloc::{format, string::String};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use netadaptercx_sys::NET_DRIVER_GLOBALS;

/// The client's version is 2 and this. There is one adapter, hence one client.
static CLIENT_MINOR: AtomicU32 = AtomicU32::new(0);

/// A client of version 2 and this minor one is bound.
pub(super) fn client_is(minor: u32) {
    CLIENT_MINOR.store(minor, Relaxed);
}

/// From 2.2 on structures of queues are longer, and NetAdapterStop keeps the capabilities.
pub(super) fn client_is_2_2() -> bool {
    CLIENT_MINOR.load(Relaxed) >= 2
}

/// Stops for a parameter rule: `code` is the first parameter, `p2` and `p3` as the rule has them.
pub(super) fn violation(code: u64, rule: &str, p2: u64, p3: u64, place: String) -> ! {
    trace::stop(BugCheck::BUGCODE_NETADAPTER_DRIVER, [code, p2, p3, 0], rule, place)
}

/// The checks that every function makes first: code 0 for wrong globals, 1 and 2 for the IRQL.
pub(super) fn enter(function: &str, globals: *mut NET_DRIVER_GLOBALS, most: Irql) {
    if !crate::wdf::client::is_net_globals(globals as u64) {
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

/// Code 8: the structure's Size must be exactly that of the client's version.
pub(super) fn require_size(function: &str, given: u32, expected: usize) {
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
pub(super) fn require_not_null<T>(function: &str, pointer: *const T) {
    if pointer.is_null() {
        violation(15, "NotNull", 0, 0, format!("{function}: a required pointer is NULL"));
    }
}
