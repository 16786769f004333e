//! The device interface: what programs and other drivers ask of the device beside its packets.
//!
//! Two queues (cancelnic-ioctl's `nic` documents the codes): one takes the control codes and answers at once, also
//! while the device has no power; the power-managed wait queue presents requests that wait for a packet queue's
//! cancel. [`waiters`] keeps who waits, [`control`] answers the codes, [`view`] holds what the packet queues' callbacks
//! last saw. A test build has `bench` beside them.

#[cfg(feature = "test-build")]
mod bench;
mod control;
mod view;
mod waiters;

use cancelnic_ioctl::{NIC_INTERFACE, log::event};
use cancelnic_kernel::{
    guid,
    kmdf::{context, device::Device, journal::Journal, lock::Locked, queue::Queue},
    text::utf16,
};
use cancelnic_mutants::{Mutant, Shown};
use wdk_sys::{
    _WDF_IO_QUEUE_DISPATCH_TYPE, _WDF_REQUEST_TYPE, _WDF_TRI_STATE, BOOLEAN, GUID, NTSTATUS, TRUE,
    WDF_IO_QUEUE_CONFIG, WDFFILEOBJECT,
};

use crate::{context::DeviceContext, report::POOL_TAG};

pub(crate) use view::Counts;
use view::View;
use waiters::Waiting;

/// The interface's half of the device.
pub(crate) struct Interface {
    /// Presents waiting requests.
    wait: Queue,
    journal: Journal,
    waiting: Waiting,
    view: Locked<View>,
    mutant: Shown,
    #[cfg(feature = "test-build")]
    bench: bench::Bench,
}

impl Interface {
    /// Makes queues and interface; programs can open it once the device has started. PASSIVE_LEVEL. The value becomes part of
    /// the device's context before the device starts.
    pub(crate) fn new(device: Device, mutant: Shown) -> Result<Self, NTSTATUS> {
        Queue::new(device, control_queue())?;
        let wait = Queue::new(device, wait_queue())?;
        wait.receives(_WDF_REQUEST_TYPE::WdfRequestTypeDeviceControlInternal)?;
        let reference: &[u16] = if mutant.is(Mutant::GivesNoReferenceString) { &[] } else { &REFERENCE };
        device.create_interface(&CLASS, reference)?;
        Ok(Self {
            wait,
            journal: Journal::new(device, POOL_TAG)?,
            waiting: Waiting::new(device)?,
            view: Locked::new(device, View::default())?,
            mutant,
            #[cfg(feature = "test-build")]
            bench: bench::Bench::new(device)?,
        })
    }

    /// The interface that a queue belongs to.
    fn of_queue<'a>(queue: Queue) -> &'a Self {
        // SAFETY: requests come to a device that has started, hence with its context filled in, and which outlives them.
        &unsafe { context::get::<DeviceContext>(queue.device().object()) }.interface
    }

    /// The number of a queue, as cancelnic-ioctl has them.
    fn number(&self, queue: Queue) -> u32 {
        #[cfg(feature = "test-build")]
        if let Some(number) = self.bench.number(queue) {
            return number;
        }
        u32::from(queue == self.wait)
    }
}

/// `nic`: the reference string of this device's interfaces, by which NetAdapterCx knows requests that are the driver's. By
/// Microsoft's page NDIS takes those on an interface without one.
pub(super) const REFERENCE: [u16; 3] = utf16(b"nic");

/// The interface's class as the framework takes it.
static CLASS: GUID = guid(NIC_INTERFACE);

/// Control codes; answers also without power.
fn control_queue() -> WDF_IO_QUEUE_CONFIG {
    WDF_IO_QUEUE_CONFIG {
        DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
        PowerManaged: _WDF_TRI_STATE::WdfFalse,
        DefaultQueue: TRUE as BOOLEAN,
        EvtIoDeviceControl: Some(control::evt_io_device_control),
        ..WDF_IO_QUEUE_CONFIG::default()
    }
}

/// Waiting requests, straight from another driver or handed on from the control queue.
fn wait_queue() -> WDF_IO_QUEUE_CONFIG {
    WDF_IO_QUEUE_CONFIG {
        DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
        EvtIoDeviceControl: Some(waiters::evt_io_wait),
        EvtIoInternalDeviceControl: Some(waiters::evt_io_wait),
        ..managed_queue()
    }
}

fn managed_queue() -> WDF_IO_QUEUE_CONFIG {
    WDF_IO_QUEUE_CONFIG {
        PowerManaged: _WDF_TRI_STATE::WdfTrue,
        EvtIoStop: Some(waiters::evt_io_stop),
        EvtIoResume: Some(waiters::evt_io_resume),
        ..WDF_IO_QUEUE_CONFIG::default()
    }
}

/// The last handle of a file is closed: its requests that the driver has will not be fetched any more.
/// PASSIVE_LEVEL.
pub(crate) unsafe extern "C" fn evt_file_cleanup(file: WDFFILEOBJECT) {
    // SAFETY: this callback's own argument.
    let device = unsafe { Device::of_file(file) };
    // SAFETY: the file's device outlives it, and has started, hence has its context filled in.
    let interface = &unsafe { context::get::<DeviceContext>(device.object()) }.interface;
    interface.journal.note(event::CLEANUP, u32::MAX, 0, 0);
    if !interface.mutant.is(Mutant::ForgetsCleanup) {
        interface.cancel_file(file);
    }
}
