//! Allocations of a driver's that fail because the rig wants it: every other one has memory.

use super::{owners, trace};
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use alloc::{format, string::String};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A failure to come.
struct Fault {
    /// Whose allocation fails.
    service: String,
    /// How many of its allocations succeed before that one.
    after: u32,
}

/// Looked at by every allocation.
static ARMED: AtomicBool = AtomicBool::new(false);
/// An allocation has failed so, since the last was armed.
static STRUCK: AtomicBool = AtomicBool::new(false);
static FAULT: IrqLock<Fault> = IrqLock::new(Fault { service: String::new(), after: 0 });

/// Lets the allocation of `service` fail that follows `after` others: once. Where no driver is loaded, those of the next load
/// count.
///
/// # Errors
/// Drivers are loaded, and none of that service.
pub(crate) fn arm(service: String, after: u32) -> Result<(), String> {
    if !owners::all().is_empty() && !owners::is_service(&service) {
        return Err(format!("no service {service:?}"));
    }
    let old = FAULT.with(|fault| core::mem::replace(fault, Fault { service, after }));
    drop(old);
    STRUCK.store(false, Relaxed);
    ARMED.store(true, Relaxed);
    Ok(())
}

/// Whether a driver has lacked memory, as was wanted: what it answers may come from that.
pub(crate) fn has_struck() -> bool {
    STRUCK.load(Relaxed)
}

/// Whether an allocation for `owner` has to fail now. Any IRQL.
pub(crate) fn strikes(owner: Owner) -> bool {
    if !ARMED.load(Relaxed) || owner == Owner::UNDERSTUDY {
        return false;
    }
    let service = owners::service_name(owner);
    let now = FAULT.with(|fault| {
        if !fault.service.eq_ignore_ascii_case(service) {
            return false;
        }
        let now = fault.after == 0;
        fault.after = fault.after.saturating_sub(1);
        now
    });
    // Another thread may have been faster.
    let struck = now && ARMED.swap(false, Relaxed);
    if struck {
        STRUCK.store(true, Relaxed);
        trace::note("memory", &format!("an allocation of {service} fails"));
    }
    struck
}
