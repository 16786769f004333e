//! A kernel spin lock around a value.

use core::cell::UnsafeCell;

use cancelnic_filter_core::Lock;
use wdk_sys::ntddk::{KeAcquireSpinLockRaiseToDpc, KeReleaseSpinLock};

/// A value that one processor at a time gets at, at DISPATCH_LEVEL.
#[derive(Debug)]
pub(crate) struct SpinLock<T> {
    word: UnsafeCell<u64>,
    value: UnsafeCell<T>,
}

// SAFETY: `with` gives the value to one caller at a time.
unsafe impl<T: Send> Sync for SpinLock<T> {}

impl<T> SpinLock<T> {
    /// A free lock.
    pub(crate) const fn new(value: T) -> Self {
        Self { word: UnsafeCell::new(0), value: UnsafeCell::new(value) }
    }
}

impl<T> Lock<T> for SpinLock<T> {
    /// At most DISPATCH_LEVEL.
    fn with<R>(&self, act: impl FnOnce(&mut T) -> R) -> R {
        // SAFETY: the word is a lock in nonpaged memory, used for nothing else.
        let irql = unsafe { KeAcquireSpinLockRaiseToDpc(self.word.get()) };
        // SAFETY: the lock is held, so no other reference to the value exists.
        let result = act(unsafe { &mut *self.value.get() });
        // SAFETY: taken above, given back once, to the IRQL from before.
        unsafe { KeReleaseSpinLock(self.word.get(), irql) };
        result
    }
}
