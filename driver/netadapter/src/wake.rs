//! Wakes waiting packet queues when the device interrupts.
//!
//! A queue that found nothing to do is *armed* ([`Signals`]); the next interrupt notifies it once
//! and disarms it. A queue's handle is known from EvtStart to EvtStop and changes only under a spin
//! lock that the DPC holds while it tests the flag and notifies, so that no notification uses a
//! handle after EvtStop has returned.

use core::{
    ptr::null_mut,
    sync::atomic::{AtomicPtr, Ordering},
};

use cancelnic_core::{signals::Signals, watchdog::Side};
use cancelnic_kernel::kmdf::lock::SpinLock;
use netadaptercx_sys::{NETPACKETQUEUE, NETPACKETQUEUE__};
use wdk_sys::{NTSTATUS, WDFDEVICE};

use crate::class::net;

/// One side's flags and queue.
struct Waiter {
    signals: Signals,
    /// Null unless the queue is started. Written under the lock.
    queue: AtomicPtr<NETPACKETQUEUE__>,
}

impl Waiter {
    const fn new() -> Self {
        Self { signals: Signals::new(), queue: AtomicPtr::new(null_mut()) }
    }
}

/// Both sides and their lock.
pub struct Wakes {
    lock: SpinLock,
    tx: Waiter,
    rx: Waiter,
}

impl Wakes {
    /// Makes the lock, a child of `device`. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// `device` is alive and outlives the value.
    pub unsafe fn new(device: WDFDEVICE) -> Result<Self, NTSTATUS> {
        // SAFETY: as the caller vouches.
        let lock = unsafe { SpinLock::new(device.cast()) }?;
        Ok(Self { lock, tx: Waiter::new(), rx: Waiter::new() })
    }

    const fn waiter(&self, side: Side) -> &Waiter {
        match side {
            Side::Tx => &self.tx,
            Side::Rx => &self.rx,
        }
    }

    /// A side's flags.
    pub const fn signals(&self, side: Side) -> &Signals {
        &self.waiter(side).signals
    }

    /// A side's queue starts: its handle may be used from now on.
    pub fn start(&self, side: Side, queue: NETPACKETQUEUE) {
        let waiter = self.waiter(side);
        self.lock.locked(|| waiter.queue.store(queue, Ordering::Relaxed));
    }

    /// A side's queue stops: once this returns, its handle is not used.
    pub fn stop(&self, side: Side) {
        let waiter = self.waiter(side);
        self.lock.locked(|| {
            waiter.signals.disarm();
            waiter.queue.store(null_mut(), Ordering::Relaxed);
        });
    }

    /// Notifies the queues that are armed and disarms them. At most DISPATCH_LEVEL.
    pub fn notify_armed(&self) {
        self.lock.locked(|| {
            for side in [Side::Tx, Side::Rx] {
                let waiter = self.waiter(side);
                let queue = waiter.queue.load(Ordering::Relaxed);
                if waiter.signals.take_armed() && !queue.is_null() {
                    notify(side, queue);
                }
            }
        });
    }
}

/// Wakes a packet queue. Any IRQL; the queue is started.
pub fn notify(side: Side, queue: NETPACKETQUEUE) {
    // SAFETY: the callers hold a handle between EvtStart and EvtStop.
    unsafe {
        match side {
            Side::Tx => net().NetTxQueueNotifyMoreCompletedPacketsAvailable(queue),
            Side::Rx => net().NetRxQueueNotifyMoreReceivedPacketsAvailable(queue),
        }
    }
}
