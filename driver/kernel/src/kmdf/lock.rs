//! The framework's spin lock.

use core::ptr::null_mut;

use wdk_sys::{NTSTATUS, WDFOBJECT, WDFSPINLOCK, call_unsafe_wdf_function_binding};

use super::context;
use crate::check;

/// A spin lock that lives as long as its parent object.
pub struct SpinLock(WDFSPINLOCK);

impl SpinLock {
    /// Makes the lock, a child of `parent`. At most DISPATCH_LEVEL.
    ///
    /// # Safety
    /// `parent` is alive and outlives the value.
    ///
    /// # Errors
    /// The framework's status, for want of memory.
    pub unsafe fn new(parent: WDFOBJECT) -> Result<Self, NTSTATUS> {
        let mut attributes = context::plain_attributes();
        attributes.ParentObject = parent;
        let mut lock = null_mut();
        // SAFETY: the attributes live over the call; the handle is written on success.
        check(unsafe {
            call_unsafe_wdf_function_binding!(WdfSpinLockCreate, &raw mut attributes, &raw mut lock)
        })?;
        Ok(Self(lock))
    }

    /// Runs `work` under the lock, at DISPATCH_LEVEL. At most DISPATCH_LEVEL; not from within itself.
    pub fn locked<T>(&self, work: impl FnOnce() -> T) -> T {
        // SAFETY: the lock lives as long as its parent.
        unsafe { call_unsafe_wdf_function_binding!(WdfSpinLockAcquire, self.0) };
        let result = work();
        // SAFETY: taken above.
        unsafe { call_unsafe_wdf_function_binding!(WdfSpinLockRelease, self.0) };
        result
    }
}
