//! KSPIN_LOCK, and IRQL. One processor: acquiring raises IRQL to DISPATCH_LEVEL; what can go wrong is found all the same.

use crate::ke;
use crate::ke::Irql;
use crate::verifier::{BugCheck, require_irql, trace};
use alloc::format;

/// KLOCK_QUEUE_HANDLE.
#[repr(C)]
pub(super) struct Queued {
    _next: usize,
    lock: *mut u64,
    old: u8,
}
const _: () = assert!(size_of::<Queued>() == 24);

/// Takes the lock, at DISPATCH_LEVEL or above; `old` is the IRQL of before.
unsafe fn take(function: &str, lock: *mut u64, old: Irql) {
    // SAFETY: the driver passes its lock; nothing preempts at DISPATCH_LEVEL.
    let taken = unsafe { lock.replace(1) };
    if taken != 0 {
        let parameters = [lock as u64, old.into(), 0, 0];
        trace::stop(
            BugCheck::SPIN_LOCK_ALREADY_OWNED,
            parameters,
            "SpinLockAcquiredTwice",
            format!("{function}: {lock:p} holds {taken:#x}"),
        );
    }
    crate::verifier::lock_acquired();
}

/// Gives the lock back; IRQL stays.
unsafe fn give(function: &str, lock: *mut u64) {
    // SAFETY: the driver passes its lock.
    let held = unsafe { lock.replace(0) };
    if held != 1 || ke::irql() < Irql::DISPATCH {
        let parameters = [lock as u64, ke::irql().into(), 0, 0];
        trace::stop(
            BugCheck::SPIN_LOCK_NOT_OWNED,
            parameters,
            "SpinLockNotHeld",
            format!("{function}: {lock:p} holds {held:#x}"),
        );
    }
    crate::verifier::lock_released();
}

/// Stops below DISPATCH_LEVEL.
fn require_dispatch(function: &str) {
    let now = ke::irql();
    if now < Irql::DISPATCH {
        let place = format!("{function} at IRQL {now}: it does not raise IRQL itself");
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0x40, now.into(), 0, 0],
            "IrqlTooLow",
            place,
        );
    }
}

/// KeInitializeSpinLock: any IRQL.
pub(super) unsafe extern "win64" fn initialize(lock: *mut u64) {
    // SAFETY: the driver passes memory for a lock.
    unsafe { lock.write(0) };
}

/// KeAcquireSpinLockRaiseToDpc: up to DISPATCH_LEVEL; gives the IRQL to return to.
pub(super) unsafe extern "win64" fn acquire(lock: *mut u64) -> u8 {
    const FUNCTION: &str = "KeAcquireSpinLockRaiseToDpc";
    require_irql(FUNCTION, Irql::DISPATCH);
    let old = ke::raise(Irql::DISPATCH);
    // SAFETY: the driver passes its lock.
    unsafe { take(FUNCTION, lock, old) };
    old.number()
}

/// KeReleaseSpinLock: at DISPATCH_LEVEL; returns to the IRQL that acquiring gave.
pub(super) unsafe extern "win64" fn release(lock: *mut u64, irql: u8) {
    // SAFETY: as above.
    unsafe { give("KeReleaseSpinLock", lock) };
    ke::lower(Irql::new(irql));
}

/// KeAcquireSpinLockAtDpcLevel: at DISPATCH_LEVEL or above, where it stays.
pub(super) unsafe extern "win64" fn acquire_at_dpc_level(lock: *mut u64) {
    const FUNCTION: &str = "KeAcquireSpinLockAtDpcLevel";
    require_dispatch(FUNCTION);
    // SAFETY: as above.
    unsafe { take(FUNCTION, lock, ke::irql()) };
}

/// KeTryToAcquireSpinLockAtDpcLevel: as above. Nobody else can have it while this code runs.
pub(super) unsafe extern "win64" fn try_at_dpc_level(lock: *mut u64) -> u8 {
    const FUNCTION: &str = "KeTryToAcquireSpinLockAtDpcLevel";
    require_dispatch(FUNCTION);
    // SAFETY: as above.
    unsafe {
        if *lock != 0 {
            return 0;
        }
        take(FUNCTION, lock, ke::irql());
    }
    1
}

/// KeReleaseSpinLockFromDpcLevel: at DISPATCH_LEVEL or above, where it stays.
pub(super) unsafe extern "win64" fn release_from_dpc_level(lock: *mut u64) {
    // SAFETY: as above.
    unsafe { give("KeReleaseSpinLockFromDpcLevel", lock) };
}

/// KeAcquireInStackQueuedSpinLock: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn acquire_queued(lock: *mut u64, handle: *mut Queued) {
    const FUNCTION: &str = "KeAcquireInStackQueuedSpinLock";
    require_irql(FUNCTION, Irql::DISPATCH);
    let old = ke::raise(Irql::DISPATCH);
    // SAFETY: the driver passes its lock, and its handle's memory.
    unsafe {
        take(FUNCTION, lock, old);
        handle.write(Queued { _next: 0, lock, old: old.number() });
    }
}

/// KeAcquireInStackQueuedSpinLockAtDpcLevel: at DISPATCH_LEVEL or above, where it stays.
pub(super) unsafe extern "win64" fn acquire_queued_at_dpc_level(lock: *mut u64, handle: *mut Queued) {
    const FUNCTION: &str = "KeAcquireInStackQueuedSpinLockAtDpcLevel";
    require_dispatch(FUNCTION);
    // SAFETY: as above.
    unsafe {
        take(FUNCTION, lock, ke::irql());
        handle.write(Queued { _next: 0, lock, old: ke::irql().number() });
    }
}

/// KeReleaseInStackQueuedSpinLock: at DISPATCH_LEVEL; returns to the IRQL of before.
pub(super) unsafe extern "win64" fn release_queued(handle: *mut Queued) {
    // SAFETY: the driver passes the handle that it has acquired the lock with.
    let old = unsafe {
        give("KeReleaseInStackQueuedSpinLock", (*handle).lock);
        (*handle).old
    };
    ke::lower(Irql::new(old));
}

/// KeReleaseInStackQueuedSpinLockFromDpcLevel: at DISPATCH_LEVEL or above, where it stays.
pub(super) unsafe extern "win64" fn release_queued_from_dpc_level(handle: *mut Queued) {
    // SAFETY: as above.
    unsafe { give("KeReleaseInStackQueuedSpinLockFromDpcLevel", (*handle).lock) };
}

/// KeGetCurrentIrql: any IRQL.
pub(super) unsafe extern "win64" fn current_irql() -> u8 {
    ke::irql().number()
}

/// KfRaiseIrql: any IRQL, to none below it. What it was.
pub(super) unsafe extern "win64" fn raise_irql(to: u8) -> u8 {
    ke::raise(Irql::new(to)).number()
}

/// KeRaiseIrqlToDpcLevel: up to DISPATCH_LEVEL. What it was.
pub(super) unsafe extern "win64" fn raise_to_dpc_level() -> u8 {
    ke::raise(Irql::DISPATCH).number()
}

/// KeLowerIrql: any IRQL, to none above it.
pub(super) unsafe extern "win64" fn lower_irql(to: u8) {
    require_irql_at_least("KeLowerIrql", Irql::new(to));
    ke::lower(Irql::new(to));
}

fn require_irql_at_least(function: &str, least: Irql) {
    let now = ke::irql();
    if now < least {
        let place = format!("{function} from {now} to {least}");
        trace::stop(
            BugCheck::IRQL_NOT_LESS_OR_EQUAL,
            [0, now.into(), 1, least.into()],
            "IrqlLoweredToHigher",
            place,
        );
    }
}
