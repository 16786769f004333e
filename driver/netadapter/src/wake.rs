//! Wakes waiting packet queues when the device interrupts.
//!
//! A queue that found nothing to do is *armed* ([`Signals`]); the next interrupt notifies it once
//! and disarms it. A queue's handle is known from EvtStart to EvtStop and changes only under a spin
//! lock that the DPC holds while it tests the flag and notifies, so that no notification uses a
//! handle after EvtStop has returned.

use cancelnic_core::{
    queue::{self, PerQueue},
    signals::Signals,
};
use cancelnic_kernel::kmdf::{device::Device, lock::Locked};
use cancelnic_registers::QueueId;
use wdk_sys::NTSTATUS;

use crate::packet_queue::PacketQueue;

/// Every queue's flags, and the queues that are started.
pub(crate) struct Wakes {
    signals: PerQueue<Signals>,
    started: Locked<PerQueue<Option<PacketQueue>>>,
}

impl Wakes {
    /// Makes the lock. PASSIVE_LEVEL.
    pub(crate) fn new(device: Device) -> Result<Self, NTSTATUS> {
        Ok(Self { signals: PerQueue::default(), started: Locked::new(device, PerQueue::default())? })
    }

    /// A queue's flags.
    pub(crate) fn signals(&self, queue: QueueId) -> &Signals {
        &self.signals[queue]
    }

    /// A queue starts: its handle may be used from now on.
    pub(crate) fn start(&self, queue: QueueId, handle: PacketQueue) {
        self.started.with(|started| started[queue] = Some(handle));
    }

    /// A queue stops: once this returns, its handle is not used.
    pub(crate) fn stop(&self, queue: QueueId) {
        self.started.with(|started| {
            self.signals[queue].disarm();
            started[queue] = None;
        });
    }

    /// Notifies the queues that are armed and disarms them. At most DISPATCH_LEVEL.
    pub(crate) fn notify_armed(&self) {
        self.started.with(|started| {
            for queue in queue::all() {
                if self.signals[queue].take_armed()
                    && let Some(handle) = started[queue]
                {
                    handle.notify();
                }
            }
        });
    }
}
