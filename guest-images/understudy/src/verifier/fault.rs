//! Allocations of a driver's that fail because the rig wants it: every other one has memory. Whatever a driver calls that
//! takes memory, and may report that there is none, asks here first: the pool, and what makes objects, mappings and names.

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
static FAULT: IrqLock<Fault> = IrqLock::new(Fault { service: String::new(), after: 0 });

/// Lets the allocation of `service`, which need not be loaded yet, fail that follows `after` others: once.
pub(crate) fn arm(service: String, after: u32) {
    let old = FAULT.with(|fault| core::mem::replace(fault, Fault { service, after }));
    drop(old);
    ARMED.store(true, Relaxed);
}

/// Whether an allocation for `owner`, of which `what` tells, has to fail now. Any IRQL.
pub(crate) fn strikes(owner: Owner, what: &str) -> bool {
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
        trace::note("memory", &format!("{service} gets none: {what}"));
    }
    struck
}
