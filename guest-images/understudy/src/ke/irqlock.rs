//! A lock for short critical sections that every IRQL may enter: interrupts stay off inside. One processor.

use crate::hal::cpu::without_interrupts;
use alloc::{sync::Arc, vec::Vec};
use core::cell::UnsafeCell;

/// Data that is only touched with interrupts off. Not recursive.
#[derive(Debug)]
pub(crate) struct IrqLock<T> {
    busy: core::sync::atomic::AtomicBool,
    data: UnsafeCell<T>,
}

// SAFETY: `with` gives out one exclusive reference at a time: there is one processor, interrupts are off, and `busy`
// refuses a nested entry.
unsafe impl<T: Send> Sync for IrqLock<T> {}

impl<T> IrqLock<T> {
    /// A lock around `data`.
    pub(crate) const fn new(data: T) -> Self {
        Self { busy: core::sync::atomic::AtomicBool::new(false), data: UnsafeCell::new(data) }
    }

    /// Runs `section` with interrupts off. `section` must be short and must call no driver.
    pub(crate) fn with<R>(&self, section: impl FnOnce(&mut T) -> R) -> R {
        use core::sync::atomic::Ordering::Relaxed;
        without_interrupts(|| {
            assert!(!self.busy.swap(true, Relaxed), "an interrupt-off section was entered twice");
            // SAFETY: interrupts are off on the only processor and `busy` was clear, so no other reference lives.
            let result = section(unsafe { &mut *self.data.get() });
            self.busy.store(false, Relaxed);
            result
        })
    }

    /// The same from an interrupt that comes even inside such a section; `None` if it has come inside one of this lock.
    pub(crate) fn try_with<R>(&self, section: impl FnOnce(&mut T) -> R) -> Option<R> {
        let busy = self.busy.load(core::sync::atomic::Ordering::Relaxed);
        (!busy).then(|| self.with(section))
    }
}

impl<T> IrqLock<Vec<Arc<T>>> {
    /// Takes `gone` out of the list, if it is there; it may end here, with interrupts on.
    pub(crate) fn remove(&self, gone: &Arc<T>) {
        let found = self.with(|list| {
            let at = list.iter().position(|known| Arc::ptr_eq(known, gone))?;
            Some(list.remove(at))
        });
        drop(found);
    }
}
