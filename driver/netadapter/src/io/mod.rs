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

use core::mem::size_of;

use cancelnic_ioctl::{Guid, NIC_INTERFACE, log::event};
use cancelnic_kernel::kmdf::{context, device::Device, journal::Journal, lock::Locked, queue::Queue};
use cancelnic_mutants::{Mutant, Shown};
use wdk_sys::{
    _WDF_FILEOBJECT_CLASS, _WDF_IO_QUEUE_DISPATCH_TYPE, _WDF_REQUEST_TYPE, _WDF_TRI_STATE, BOOLEAN,
    FILE_DEVICE_SECURE_OPEN, GUID, NTSTATUS, PWDFDEVICE_INIT, TRUE, ULONG, WDF_FILEOBJECT_CONFIG,
    WDF_IO_QUEUE_CONFIG, WDF_NO_OBJECT_ATTRIBUTES, WDFFILEOBJECT, call_unsafe_wdf_function_binding,
};

use crate::{context::DeviceContext, report::POOL_TAG};

pub use view::Counts;
use view::View;
use waiters::Waiting;

/// The interface's half of the device.
pub struct Interface {
    /// Presents waiting requests.
    wait: Queue,
    journal: Journal,
    waiting: Waiting,
    view: Locked<View>,
    mutant: Shown,
    #[cfg(feature = "test-build")]
    bench: bench::Bench,
}

/// What has to be set before the device object is made. PASSIVE_LEVEL.
///
/// # Safety
/// `init` is that of EvtDriverDeviceAdd, before the device is created.
pub unsafe fn prepare(init: PWDFDEVICE_INIT) {
    let mut config = WDF_FILEOBJECT_CONFIG {
        Size: size_of::<WDF_FILEOBJECT_CONFIG>() as ULONG,
        EvtFileCleanup: Some(evt_file_cleanup),
        AutoForwardCleanupClose: _WDF_TRI_STATE::WdfUseDefault,
        FileObjectClass: _WDF_FILEOBJECT_CLASS::WdfFileObjectWdfCannotUseFsContexts,
        ..WDF_FILEOBJECT_CONFIG::default()
    };
    // SAFETY: the caller vouches for the init structure; the configuration lives over the call.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDeviceInitSetFileObjectConfig,
            init,
            &raw mut config,
            WDF_NO_OBJECT_ATTRIBUTES
        );
    }
    // Names below the device's are as closed as the device.
    // SAFETY: the caller vouches for the init structure.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDeviceInitSetCharacteristics,
            init,
            FILE_DEVICE_SECURE_OPEN,
            TRUE as BOOLEAN
        );
    }
}

impl Interface {
    /// Makes queues and interface; programs can open it once the device has started. PASSIVE_LEVEL. The value becomes part of
    /// the device's context before the device starts.
    pub fn new(device: Device, mutant: Shown) -> Result<Self, NTSTATUS> {
        Queue::new(device, control_queue())?;
        let wait = Queue::new(device, wait_queue())?;
        wait.receives(_WDF_REQUEST_TYPE::WdfRequestTypeDeviceControlInternal)?;
        device.create_interface(&CLASS)?;
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

/// The interface's class as the framework takes it.
static CLASS: GUID = {
    let Guid(first, second, third, rest) = NIC_INTERFACE;
    GUID { Data1: first, Data2: second, Data3: third, Data4: rest }
};

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
unsafe extern "C" fn evt_file_cleanup(file: WDFFILEOBJECT) {
    // SAFETY: the framework's own argument.
    let device = unsafe { call_unsafe_wdf_function_binding!(WdfFileObjectGetDevice, file) };
    // SAFETY: the file's device outlives it, and has started, hence has its context filled in.
    let interface = &unsafe { context::get::<DeviceContext>(device.cast()) }.interface;
    interface.journal.note(event::CLEANUP, u32::MAX, 0, 0);
    if !interface.mutant.is(Mutant::ForgetsCleanup) {
        interface.cancel_file(file);
    }
}
