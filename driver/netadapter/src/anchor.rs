//! What a debugger starts from: the devices and the last events, at a place that the PDB names.
//!
//! `ci/windbg/cancelnic.js` reads [`ANCHOR`] and whatever it leads to; the driver itself only writes it.

use core::{
    ptr::null_mut,
    sync::atomic::{AtomicPtr, Ordering},
};

use cancelnic_core::trace::{Event, Progress, Trace};
use cancelnic_kernel::clock;
use cancelnic_registers::QueueId;

use crate::context::DeviceContext;

/// Devices that are listed; further ones work like any other, unseen by the debugger.
const DEVICES: usize = 8;

/// Of the whole driver.
pub(crate) struct Anchor {
    devices: [AtomicPtr<DeviceContext>; DEVICES],
    trace: Trace,
}

/// The one anchor. Kept, though nobody reads it.
#[used]
pub(crate) static ANCHOR: Anchor =
    Anchor { devices: [const { AtomicPtr::new(null_mut()) }; DEVICES], trace: Trace::new() };

impl Anchor {
    /// A device's context is filled in. Any IRQL.
    pub(crate) fn add(&self, device: &DeviceContext) {
        let address = (&raw const *device).cast_mut();
        for place in &self.devices {
            let taken = place.compare_exchange(null_mut(), address, Ordering::Release, Ordering::Relaxed);
            if taken.is_ok() {
                break;
            }
        }
        self.record(Event::DeviceAdded, address);
    }

    /// A device's context goes; the address may be that of one that was never added. Any IRQL.
    pub(crate) fn remove(&self, device: *mut DeviceContext) {
        let mut known = false;
        for place in &self.devices {
            known |= place.compare_exchange(device, null_mut(), Ordering::AcqRel, Ordering::Relaxed).is_ok();
        }
        if known {
            self.record(Event::DeviceRemoved, device);
        }
    }

    /// Records an event of a device. Any IRQL.
    pub(crate) fn record(&self, event: Event, device: *const DeviceContext) {
        self.trace.record(event, device.addr(), clock::microseconds(), None);
    }

    /// Records an event of one of a device's queues. Any IRQL.
    pub(crate) fn record_queue(
        &self,
        event: Event,
        device: *const DeviceContext,
        queue: QueueId,
        progress: Progress,
    ) {
        self.trace.record(event, device.addr(), clock::microseconds(), Some((queue, progress)));
    }
}
