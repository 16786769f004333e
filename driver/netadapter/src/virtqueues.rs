//! The two virtqueues of the adapter's queue pair, from D0Entry to D0Exit, or to ReleaseHardware while packet queues have
//! them.

use core::{
    cell::UnsafeCell,
    slice,
    sync::atomic::{AtomicBool, Ordering},
};

use cancelnic_core::{
    virtqueue::{Direction, DmaMemory, Layout, Slot, Virtqueue},
    watchdog::Side,
};
use cancelnic_kernel::pool::Array;
use wdk_sys::{NTSTATUS, STATUS_DEVICE_CONFIGURATION_ERROR, WDFDMAENABLER};

use crate::{
    hardware::{Failure, Hardware},
    memory::CommonBuffer,
    report::POOL_TAG,
};

/// One virtqueue and what it is made of. Dropping the virtqueue itself does nothing.
struct Queue {
    virtqueue: UnsafeCell<Virtqueue<'static>>,
    /// A packet queue has it.
    taken: AtomicBool,
    /// Bookkeeping, in pool that no device reaches.
    slots: Array<Slot>,
    buffer: CommonBuffer,
}

impl Queue {
    /// Makes a virtqueue of as many descriptors as the device has.
    ///
    /// # Safety
    /// `enabler` outlives the value.
    unsafe fn new(enabler: WDFDMAENABLER, size: u16, side: Side, event_idx: bool) -> Result<Self, NTSTATUS> {
        let direction = match side {
            Side::Tx => Direction::Transmit,
            Side::Rx => Direction::Receive,
        };
        let layout = Layout::new(size, direction).ok_or(STATUS_DEVICE_CONFIGURATION_ERROR)?;
        let mut slots = Array::new(usize::from(size), POOL_TAG, |_| Slot::default())?;
        // SAFETY: the enabler outlives the value.
        let buffer = unsafe { CommonBuffer::new(enabler, layout.bytes()) }?;
        // SAFETY: buffer and slots live as long as the virtqueue, in one value, and nobody else uses
        // them; the device does not know of the buffer yet.
        let virtqueue = unsafe {
            let memory = DmaMemory::new(buffer.address(), buffer.logical(), buffer.length());
            let slots: &'static mut [Slot] = slice::from_raw_parts_mut(slots.as_mut_ptr(), slots.len());
            Virtqueue::new(memory, layout, slots, direction, event_idx)
        };
        match virtqueue {
            Some(virtqueue) => Ok(Self {
                virtqueue: UnsafeCell::new(virtqueue),
                taken: AtomicBool::new(false),
                slots,
                buffer,
            }),
            None => {
                // SAFETY: no device and no virtqueue ever knew of it.
                unsafe { buffer.free() };
                Err(STATUS_DEVICE_CONFIGURATION_ERROR)
            }
        }
    }

    /// Frees slots and shared memory.
    ///
    /// # Safety
    /// The device accesses the memory no more, and no packet queue has the virtqueue.
    unsafe fn free(self) {
        let Self { slots, buffer, .. } = self;
        drop(slots);
        // SAFETY: as above.
        unsafe { buffer.free() };
    }
}

/// Both virtqueues of a device that works.
pub struct Virtqueues {
    tx: Queue,
    rx: Queue,
}

impl Virtqueues {
    /// Makes both, and tells the device. PASSIVE_LEVEL, between feature negotiation and DRIVER_OK.
    ///
    /// # Safety
    /// `enabler` outlives the value.
    pub unsafe fn new(hardware: &Hardware, enabler: WDFDMAENABLER, event_idx: bool) -> Result<Self, Failure> {
        let make = |side| -> Result<Queue, Failure> {
            let size = hardware.queue_size(side)?;
            // SAFETY: the caller vouches for the enabler.
            Ok(unsafe { Queue::new(enabler, size, side, event_idx) }?)
        };
        let rx = make(Side::Rx)?;
        let tx = match make(Side::Tx) {
            Ok(tx) => tx,
            Err(status) => {
                // SAFETY: the device was not told of it.
                unsafe { rx.free() };
                return Err(status);
            }
        };
        Ok(Self { tx, rx })
    }

    const fn queue(&self, side: Side) -> &Queue {
        match side {
            Side::Tx => &self.tx,
            Side::Rx => &self.rx,
        }
    }

    /// Where a virtqueue's descriptor table, available ring and used ring lie for the device, and its size.
    pub fn addresses(&self, side: Side) -> ([u64; 3], u16) {
        // SAFETY: called before any packet queue has the virtqueue.
        let virtqueue = unsafe { &*self.queue(side).virtqueue.get() };
        (virtqueue.addresses(), virtqueue.size())
    }

    /// Gives the virtqueue to a packet queue; `None` if another has it.
    ///
    /// # Safety
    /// The reference is not used after [`Self::give_back`].
    pub unsafe fn take(&self, side: Side) -> Option<&'static mut Virtqueue<'static>> {
        let queue = self.queue(side);
        if queue.taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: `taken` was not set: nobody else has it.
        Some(unsafe { &mut *queue.virtqueue.get() })
    }

    /// Whether a packet queue has one of them.
    pub fn are_taken(&self) -> bool {
        [&self.tx, &self.rx].iter().any(|queue| queue.taken.load(Ordering::Acquire))
    }

    /// The packet queue is gone.
    pub fn give_back(&self, side: Side) {
        self.queue(side).taken.store(false, Ordering::Release);
    }

    /// Frees both. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// The device is reset or gone, and no packet queue is left.
    pub unsafe fn free(self) {
        // SAFETY: as the caller vouches.
        unsafe {
            self.tx.free();
            self.rx.free();
        }
    }

    /// Keeps the shared memory for ever: the device may still write it. PASSIVE_LEVEL.
    pub fn leak(self) {
        for Queue { slots, buffer, .. } in [self.tx, self.rx] {
            drop(slots);
            buffer.leak();
        }
    }
}
