//! KSPIN_LOCK. One processor: acquiring raises IRQL to DISPATCH_LEVEL; what can go wrong is found all the same.

use crate::agent::trace;
use crate::ke;
use crate::wdf::HELD_LOCKS;
use crate::wdf::object::require_irql;
use alloc::format;

/// KeAcquireSpinLockRaiseToDpc: up to DISPATCH_LEVEL; gives the IRQL to return to.
pub unsafe extern "win64" fn acquire(lock: *mut u64) -> u8 {
    const FUNCTION: &str = "KeAcquireSpinLockRaiseToDpc";
    require_irql(FUNCTION, 2);
    let old = ke::raise(2);
    // SAFETY: the driver passes its lock; nothing preempts at DISPATCH_LEVEL.
    let taken = unsafe { lock.replace(1) };
    if taken != 0 {
        let parameters = [lock as u64, old.into(), 0, 0];
        trace::stop(
            0x0F,
            parameters,
            "SpinLockAcquiredTwice",
            format!("{FUNCTION}: {lock:p} holds {taken:#x}"),
        );
    }
    HELD_LOCKS.with(|count| *count += 1);
    old
}

/// KeReleaseSpinLock: at DISPATCH_LEVEL; returns to the IRQL that acquiring gave.
pub unsafe extern "win64" fn release(lock: *mut u64, irql: u8) {
    const FUNCTION: &str = "KeReleaseSpinLock";
    // SAFETY: as above.
    let held = unsafe { lock.replace(0) };
    if held != 1 || ke::irql() != 2 {
        let parameters = [lock as u64, ke::irql().into(), 0, 0];
        trace::stop(0x10, parameters, "SpinLockNotHeld", format!("{FUNCTION}: {lock:p} holds {held:#x}"));
    }
    HELD_LOCKS.with(|count| *count -= 1);
    ke::lower(irql);
}
