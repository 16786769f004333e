//! The watchdog over the packet queues' cancels: one timer, and the deadlines that cancelnic-core keeps. What happens when
//! the time is over is in [`crate::failure`].

use core::sync::atomic::{AtomicBool, Ordering};

use cancelnic_core::{
    outcome::Waiting,
    watchdog::{Expiry, Watchdog as Deadlines},
};
use cancelnic_kernel::{
    clock,
    kmdf::{device::Device, timer::Timer},
};
use cancelnic_registers::QueueId;
use wdk_sys::{NTSTATUS, PFN_WDF_TIMER};

/// Value of the INF keyword `WatchdogMs` unless the registry has another.
pub(crate) const DEFAULT_MILLISECONDS: u32 = 2000;

/// The timer and what it watches.
pub(crate) struct Watchdog {
    timer: Timer,
    deadlines: Deadlines,
    /// Somebody gave the device up already.
    given_up: AtomicBool,
}

impl Watchdog {
    /// Makes the timer, which calls `expired` once [`Self::note`] or [`Self::start`] has started it. PASSIVE_LEVEL.
    pub(crate) fn new(device: Device, milliseconds: u32, expired: PFN_WDF_TIMER) -> Result<Self, NTSTATUS> {
        Ok(Self {
            timer: Timer::new(device, expired)?,
            deadlines: Deadlines::new(milliseconds),
            given_up: AtomicBool::new(false),
        })
    }

    /// A queue's callback reports whether the queue waits for the device. At most DISPATCH_LEVEL.
    pub(crate) fn note(&self, queue: QueueId, waiting: Waiting) {
        if waiting != Waiting::Unchanged
            && let Some(milliseconds) = self.deadlines.note(queue, waiting, clock::milliseconds())
        {
            self.start(milliseconds);
        }
    }

    /// Starts the timer, or starts it again. At most DISPATCH_LEVEL.
    pub(crate) fn start(&self, milliseconds: u64) {
        self.timer.start(milliseconds);
    }

    /// What it means that the timer has expired. At most DISPATCH_LEVEL.
    pub(crate) fn expired(&self) -> Expiry {
        self.deadlines.expired(clock::milliseconds())
    }

    /// How long a queue may owe packets, in milliseconds; 0: for ever.
    pub(crate) const fn period(&self) -> u64 {
        self.deadlines.period()
    }

    /// Stops the timer; its callback is over when this returns. PASSIVE_LEVEL.
    pub(crate) fn stop(&self) {
        self.deadlines.clear();
        self.timer.stop();
    }

    /// The device is given up: nobody waits any more. `false` if it was already. At most DISPATCH_LEVEL.
    pub(crate) fn begin_giving_up(&self) -> bool {
        let first = !self.given_up.swap(true, Ordering::AcqRel);
        if first {
            self.deadlines.clear();
        }
        first
    }

    /// Whether the device is given up.
    pub(crate) fn has_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// D0Entry brought the device up (again).
    pub(crate) fn recovered(&self) {
        self.given_up.store(false, Ordering::Release);
    }
}
