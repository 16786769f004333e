//! What the driver keeps for one device: its parts, and the way to each of them. [`crate::io`] and [`crate::queue`] come
//! back here, as their callbacks start from a handle; the other parts do not know this file.

use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicU32, Ordering},
};

use cancelnic_core::CancelForm;
use cancelnic_kernel::kmdf::{
    context::{Context, ContextType},
    device::Device,
};
use cancelnic_mutants::Shown;
use cancelnic_registers::Caps;
use netadaptercx_sys::NETADAPTER;
use wdk_sys::WDFDMAENABLER;

use crate::{
    hardware::Hardware, io::Interface, queue::PacketQueues, virtqueues::Shelf, wake::Wakes,
    watchdog::Watchdog,
};

/// The context of a device object.
pub(crate) struct DeviceContext {
    pub device: Device,
    pub dma: WDFDMAENABLER,
    pub wakes: Wakes,
    pub watchdog: Watchdog,
    pub adapter: NETADAPTER,
    /// In which form EvtCancel gives elements back.
    pub cancel_form: CancelForm,
    pub interface: Interface,
    /// Which mutant a test build shows.
    pub mutant: Shown,
    /// What the cancel block can do, as it reported in PrepareHardware.
    pub caps: AtomicU32,
    pub queues: PacketQueues,
    /// Set from PrepareHardware to ReleaseHardware.
    pub hardware: UnsafeCell<Option<Hardware>>,
    /// Filled from D0Entry to D0Exit, or to ReleaseHardware.
    pub virtqueues: Shelf,
}

static DEVICE_CONTEXT: ContextType =
    ContextType::new::<DeviceContext>(c"DeviceContext", &raw const DEVICE_CONTEXT);

// SAFETY: one static, made for this type.
unsafe impl Context for DeviceContext {
    fn context_type() -> &'static ContextType {
        &DEVICE_CONTEXT
    }
}

impl DeviceContext {
    /// What the cancel block can do. From PrepareHardware on.
    pub(crate) fn caps(&self) -> Caps {
        Caps::from_bits(self.caps.load(Ordering::Relaxed))
    }

    /// The device's registers, between PrepareHardware and ReleaseHardware.
    pub(crate) fn hardware(&self) -> Option<&Hardware> {
        // SAFETY: written only by PrepareHardware and ReleaseHardware (`set_hardware`), while no queue, interrupt or
        // timer of the device is active.
        unsafe { &*self.hardware.get() }.as_ref()
    }

    /// Sets or removes the registers, which are unmapped then.
    ///
    /// # Safety
    /// No queue, interrupt or timer of the device is active, and nobody has a reference from [`Self::hardware`].
    pub(crate) unsafe fn set_hardware(&self, hardware: Option<Hardware>) {
        // SAFETY: the caller vouches that nobody else has a reference.
        drop(unsafe { self.hardware.get().replace(hardware) });
    }
}
