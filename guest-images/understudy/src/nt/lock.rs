//! KSPIN_LOCK. One processor: acquiring raises IRQL to DISPATCH_LEVEL; what can go wrong is found all the same.

use crate::ke;
use crate::ke::Irql;
use crate::verifier::{BugCheck, require_irql, trace};
use alloc::format;

/// KeAcquireSpinLockRaiseToDpc: up to DISPATCH_LEVEL; gives the IRQL to return to.
pub(super) unsafe extern "win64" fn acquire(lock: *mut u64) -> u8 {
    const FUNCTION: &str = "KeAcquireSpinLockRaiseToDpc";
    require_irql(FUNCTION, Irql::DISPATCH);
    let old = ke::raise(Irql::DISPATCH);
    // SAFETY: the driver passes its lock; nothing preempts at DISPATCH_LEVEL.
    let taken = unsafe { lock.replace(1) };
    if taken != 0 {
        let parameters = [lock as u64, old.into(), 0, 0];
        trace::stop(
            BugCheck::SPIN_LOCK_ALREADY_OWNED,
            parameters,
            "SpinLockAcquiredTwice",
            format!("{FUNCTION}: {lock:p} holds {taken:#x}"),
        );
    }
    crate::verifier::lock_acquired();
    old.number()
}

/// KeReleaseSpinLock: at DISPATCH_LEVEL; returns to the IRQL that acquiring gave.
pub(super) unsafe extern "win64" fn release(lock: *mut u64, irql: u8) {
    const FUNCTION: &str = "KeReleaseSpinLock";
    // SAFETY: as above.
    let held = unsafe { lock.replace(0) };
    if held != 1 || ke::irql() != Irql::DISPATCH {
        let parameters = [lock as u64, ke::irql().into(), 0, 0];
        trace::stop(
            BugCheck::SPIN_LOCK_NOT_OWNED,
            parameters,
            "SpinLockNotHeld",
            format!("{FUNCTION}: {lock:p} holds {held:#x}"),
        );
    }
    crate::verifier::lock_released();
    ke::lower(Irql::new(irql));
}
