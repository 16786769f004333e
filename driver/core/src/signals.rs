//! The little that a queue's callbacks share with the interrupt's DPC and the watchdog's timer.
//!
//! Rules: CP7, CP19 (`driver/docs/cancel-path.md`).

use core::sync::atomic::{AtomicBool, Ordering};

/// Flags of one packet queue, readable and writable from every processor.
#[derive(Debug, Default)]
pub struct Signals {
    armed: AtomicBool,
    lost: AtomicBool,
}

impl Signals {
    /// Not armed, not lost.
    #[must_use]
    pub const fn new() -> Self {
        Self { armed: AtomicBool::new(false), lost: AtomicBool::new(false) }
    }

    /// Whether the queue wants a wake-up; asking takes the wish away, so that one interrupt wakes it
    /// once. The DPC calls this, and the notify function if it says true, under the lock that the
    /// glue's Stop holds around [`Self::disarm`]: no handle is used after Stop.
    #[must_use]
    pub fn take_armed(&self) -> bool {
        self.armed.swap(false, Ordering::AcqRel)
    }

    /// The queue wants a wake-up. The caller looks for work once more afterwards.
    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::Release);
    }

    /// Stop: no wake-up any more. Called under the lock that the DPC holds.
    pub fn disarm(&self) {
        self.armed.store(false, Ordering::Release);
    }

    /// The device will never complete anything of this queue again, **nor write any of its memory**:
    /// to be called only after [`crate::transport::reset`] said so. Notify the queue afterwards.
    pub fn mark_lost(&self) {
        self.lost.store(true, Ordering::Release);
    }

    /// Whether the device is lost to this queue.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    /// D0 entry: a device that was reset and configured anew is found again.
    pub fn found(&self) {
        self.lost.store(false, Ordering::Release);
        self.disarm();
    }
}
