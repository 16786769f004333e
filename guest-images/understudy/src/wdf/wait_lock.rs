//! WDFWAITLOCK (src/framework/shared/support/fxwaitlockapi.cpp): a lock for PASSIVE_LEVEL, which one may wait for.

use super::object::{self, Attributes, Typed, get_ptr};
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Irql, current_thread, now_us};
use crate::verifier::{fault, require_irql, trace, violation};
use alloc::{format, sync::Arc};
use wdk_offline::{
    NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS, WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES,
    WDFWAITLOCK,
};

const STATUS_TIMEOUT: NTSTATUS = 0x102;
/// WDF_RECURSIVE_LOCK, the first parameter of 0x10D.
const RECURSIVE_LOCK: u64 = 2;

/// A wait lock of the driver.
pub(crate) struct WaitLock {
    owner: IrqLock<Option<u64>>,
    free: Event,
}

impl Typed for WaitLock {
    const KIND: &'static str = "WDFWAITLOCK";

    fn require_deletable(&self, _raw: u64, function: &str) {
        require_irql(function, Irql::DISPATCH);
    }

    fn dispose(self: Arc<Self>) {
        if self.owner.with(|owner| owner.is_some()) {
            violation("SpinLockHeldAtDelete", 0, 0, "WDFWAITLOCK".into());
        }
    }
}

impl WaitLock {
    /// Takes the lock in at most so many microseconds, or without limit. Whether it has it.
    fn acquire(&self, function: &str, limit: Option<u64>) -> bool {
        let thread = current_thread();
        let until = limit.map(|us| now_us().saturating_add(us));
        loop {
            let before = self.owner.with(|owner| {
                let before = *owner;
                owner.get_or_insert(thread);
                before
            });
            match before {
                None => return true,
                Some(owner) if owner == thread && limit.is_none() => violation(
                    "WaitLockAcquiredTwice",
                    RECURSIVE_LOCK,
                    0,
                    format!("{function}: this thread has the lock already, and waits for itself"),
                ),
                Some(_) => {}
            }
            let Some(until) = until else {
                trace::sleep(|| self.free.wait());
                continue;
            };
            let left = until.saturating_sub(now_us());
            if left == 0 {
                return false;
            }
            trace::sleep(|| self.free.wait_timeout(left));
        }
    }
}

/// WdfWaitLockCreate: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn create(
    globals: *mut WDF_DRIVER_GLOBALS,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    lock: *mut WDFWAITLOCK,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfWaitLockCreate";
    require_irql(FUNCTION, Irql::PASSIVE);
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let parent = attributes.parent().unwrap_or_else(|| super::client::of(globals, FUNCTION));
    if fault::strikes(object::owner(parent.raw(), FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = WaitLock { owner: IrqLock::new(None), free: Event::auto() };
    let handle = object::create(FUNCTION, Arc::new(made), Some(parent), attributes);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *lock = handle.raw() as WDFWAITLOCK };
    STATUS_SUCCESS
}

/// WdfWaitLockAcquire: PASSIVE_LEVEL; with a timeout of 0 up to DISPATCH_LEVEL. In units of 100 ns, negative from now on.
pub(crate) unsafe extern "win64" fn acquire(
    _globals: *mut WDF_DRIVER_GLOBALS,
    lock: WDFWAITLOCK,
    timeout: *mut i64,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfWaitLockAcquire";
    // SAFETY: the driver passes NULL or its timeout.
    let timeout = unsafe { timeout.as_ref().copied() };
    require_irql(FUNCTION, if timeout == Some(0) { Irql::DISPATCH } else { Irql::PASSIVE });
    if timeout.is_some_and(|units| units > 0) {
        trace::not_offered("WdfWaitLockAcquire until a time of day");
    }
    let limit = timeout.map(|units| units.unsigned_abs().div_ceil(10));
    if get_ptr::<WaitLock, _>(lock, FUNCTION).acquire(FUNCTION, limit) {
        STATUS_SUCCESS
    } else {
        STATUS_TIMEOUT
    }
}

/// WdfWaitLockRelease: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn release(_globals: *mut WDF_DRIVER_GLOBALS, lock: WDFWAITLOCK) {
    const FUNCTION: &str = "WdfWaitLockRelease";
    require_irql(FUNCTION, Irql::DISPATCH);
    let lock = get_ptr::<WaitLock, _>(lock, FUNCTION);
    if lock.owner.with(Option::take).is_none() {
        violation("WaitLockNotHeld", 0, 0, format!("{FUNCTION}: nobody has the lock"));
    }
    lock.free.set();
}
