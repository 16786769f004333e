//! The virtqueues of the adapter's queues, from D0Entry to D0Exit, or to ReleaseHardware while packet queues have them.

use core::slice;

use cancelnic_core::{
    queue::{self, PerQueue},
    virtqueue::{DmaMemory, Layout, Slot, Virtqueue},
};
use cancelnic_kernel::{
    kmdf::{device::Device, lock::Locked},
    pool::Array,
};
use cancelnic_registers::QueueId;
use wdk_sys::{NTSTATUS, STATUS_DEVICE_CONFIGURATION_ERROR, WDFDMAENABLER};

use crate::{memory::CommonBuffer, report::POOL_TAG};

/// One virtqueue and what it is made of.
struct Made {
    /// `None` while a packet queue has it. Dropping it does nothing.
    virtqueue: Option<Virtqueue<'static>>,
    /// Bookkeeping, in pool that no device reaches.
    slots: Array<Slot>,
    buffer: CommonBuffer,
}

impl Made {
    /// Makes a virtqueue of `size` descriptors.
    ///
    /// # Safety
    /// `enabler` outlives the value.
    unsafe fn new(
        enabler: WDFDMAENABLER,
        queue: QueueId,
        size: u16,
        event_idx: bool,
    ) -> Result<Self, NTSTATUS> {
        let direction = queue.direction();
        let layout = Layout::new(size, direction).ok_or(STATUS_DEVICE_CONFIGURATION_ERROR)?;
        let mut slots = Array::new(usize::from(size), POOL_TAG, |_| Slot::default())?;
        // SAFETY: the caller vouches for the enabler.
        let buffer = unsafe { CommonBuffer::new(enabler, layout.bytes()) }?;
        // SAFETY: the buffer lives as long as this value, which outlives the virtqueue: `free` and `leak` ask for that.
        // Nobody else uses it.
        let memory = unsafe { DmaMemory::new(buffer.address(), buffer.logical(), buffer.length()) };
        // SAFETY: the slots live as long as this value, at a place of their own, and nobody else uses them.
        let kept = unsafe { slice::from_raw_parts_mut(slots.as_mut_ptr(), slots.len()) };
        // SAFETY: the device does not know of the memory yet, and nobody else accesses it later.
        let virtqueue = unsafe { Virtqueue::new(memory, layout, kept, direction, event_idx) };
        if virtqueue.is_none() {
            // SAFETY: no device and no virtqueue ever knew of it.
            unsafe { buffer.free() };
            return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
        }
        Ok(Self { virtqueue, slots, buffer })
    }
}

/// A virtqueue for each of the driver's queues, or for the first of them while they are made.
pub(crate) struct Virtqueues(PerQueue<Option<Made>>);

impl Virtqueues {
    /// Makes them, with as many descriptors as `size` returns for each queue. PASSIVE_LEVEL, between feature negotiation
    /// and DRIVER_OK.
    ///
    /// # Safety
    /// `enabler` outlives the value.
    pub(crate) unsafe fn new<E: From<NTSTATUS>>(
        size: impl Fn(QueueId) -> Result<u16, E>,
        enabler: WDFDMAENABLER,
        event_idx: bool,
    ) -> Result<Self, E> {
        let mut virtqueues = Self(PerQueue::new(|_| None));
        for queue in queue::all() {
            let made = size(queue).and_then(|size| {
                // SAFETY: the caller vouches for the enabler.
                Ok(unsafe { Made::new(enabler, queue, size, event_idx) }?)
            });
            match made {
                Ok(made) => virtqueues.0[queue] = Some(made),
                Err(error) => {
                    // SAFETY: the device was not told of them, and no packet queue has one.
                    unsafe { virtqueues.free() };
                    return Err(error);
                }
            }
        }
        Ok(virtqueues)
    }

    /// Where a virtqueue's descriptor table, available ring and used ring are for the device, and its size. `None` while a
    /// packet queue has it.
    pub(crate) fn addresses(&self, queue: QueueId) -> Option<([u64; 3], u16)> {
        let virtqueue = self.0[queue].as_ref()?.virtqueue.as_ref()?;
        Some((virtqueue.addresses(), virtqueue.size()))
    }

    fn are_taken(&self) -> bool {
        self.0.values().flatten().any(|made| made.virtqueue.is_none())
    }

    /// Frees them. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// The device is reset or gone, and no packet queue has one.
    pub(crate) unsafe fn free(self) {
        for Made { slots, buffer, .. } in self.0.into_values().flatten() {
            drop(slots);
            // SAFETY: the caller vouches for device and packet queues.
            unsafe { buffer.free() };
        }
    }

    /// Keeps the shared memory for ever, as the device may still write it; no packet queue has a virtqueue. PASSIVE_LEVEL.
    pub(crate) fn leak(self) {
        for Made { slots, buffer, .. } in self.0.into_values().flatten() {
            drop(slots);
            buffer.leak();
        }
    }
}

/// The place of a device's virtqueues: here they are while no packet queue has them.
pub(crate) struct Shelf(Locked<Option<Virtqueues>>);

impl Shelf {
    /// An empty place. PASSIVE_LEVEL.
    pub(crate) fn new(device: Device) -> Result<Self, NTSTATUS> {
        Ok(Self(Locked::new(device, None)?))
    }

    /// D0Entry: these are the device's from now on.
    pub(crate) fn fill(&self, virtqueues: Virtqueues) {
        self.0.with(|place| *place = Some(virtqueues));
    }

    /// Gives a packet queue its virtqueue; `None` if another has it, or there is none.
    pub(crate) fn take(&self, queue: QueueId) -> Option<Virtqueue<'static>> {
        self.0.with(|place| place.as_mut()?.0[queue].as_mut()?.virtqueue.take())
    }

    /// The packet queue is gone.
    pub(crate) fn give_back(&self, queue: QueueId, virtqueue: Virtqueue<'static>) {
        self.0.with(|place| {
            if let Some(made) = place.as_mut().and_then(|virtqueues| virtqueues.0[queue].as_mut()) {
                made.virtqueue = Some(virtqueue);
            }
        });
    }

    /// Whether a packet queue has one of them.
    pub(crate) fn are_taken(&self) -> bool {
        self.0.with(|place| place.as_ref().is_some_and(Virtqueues::are_taken))
    }

    /// Takes all of them away; `None` if there are none.
    pub(crate) fn clear(&self) -> Option<Virtqueues> {
        self.0.with(Option::take)
    }
}
