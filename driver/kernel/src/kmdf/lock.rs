//! The framework's spin lock.

use core::{cell::UnsafeCell, ptr::null_mut};

use wdk_sys::{NTSTATUS, WDFSPINLOCK, call_unsafe_wdf_function_binding};

use super::{context, device::Device};
use crate::check;

/// A spin lock. It lives as long as its device, as whose part the value is kept.
pub struct SpinLock(WDFSPINLOCK);

impl SpinLock {
    /// Makes the lock, a child of `device`. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// The framework's status, for want of memory.
    pub fn new(device: Device) -> Result<Self, NTSTATUS> {
        let mut attributes = context::plain_attributes();
        attributes.ParentObject = device.object();
        let mut lock = null_mut();
        // SAFETY: the attributes live over the call; the handle is written on success.
        check(unsafe {
            call_unsafe_wdf_function_binding!(WdfSpinLockCreate, &raw mut attributes, &raw mut lock)
        })?;
        Ok(Self(lock))
    }

    /// Runs `work` under the lock, at DISPATCH_LEVEL. At most DISPATCH_LEVEL; not from within itself.
    pub fn locked<T>(&self, work: impl FnOnce() -> T) -> T {
        // SAFETY: the lock lives as long as this value.
        unsafe { call_unsafe_wdf_function_binding!(WdfSpinLockAcquire, self.0) };
        let result = work();
        // SAFETY: taken above.
        unsafe { call_unsafe_wdf_function_binding!(WdfSpinLockRelease, self.0) };
        result
    }
}

/// A value that only the holder of its spin lock reaches.
pub struct Locked<T> {
    lock: SpinLock,
    value: UnsafeCell<T>,
}

// SAFETY: a framework lock may be used in any thread, and so may the value.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: the value is reached under the lock only, by one processor at a time.
unsafe impl<T: Send> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// Makes the lock, a child of `device`, around `value`. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// The framework's status, for want of memory.
    pub fn new(device: Device, value: T) -> Result<Self, NTSTATUS> {
        Ok(Self { lock: SpinLock::new(device)?, value: UnsafeCell::new(value) })
    }

    /// Runs `work` on the value, at DISPATCH_LEVEL. At most DISPATCH_LEVEL; not from within itself.
    pub fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the lock is held, and not taken twice.
        self.lock.locked(|| work(unsafe { &mut *self.value.get() }))
    }
}
