//! The device interface: what programs and other drivers ask of the device beside its packets.
//!
//! Four queues (cancelnic-ioctl's `nic` documents the codes): one takes the control codes and answers at once, also
//! while the device has no power; the power-managed wait queue presents requests that wait for a packet queue's
//! cancel; two manual queues hold such requests back. [`waiters`] keeps who waits, [`control`] answers the codes,
//! [`view`] holds what the packet queues' callbacks last saw.

mod control;
mod view;
mod waiters;

use core::{mem::size_of, ptr::null_mut};

use cancelnic_ioctl::{Guid, NIC_INTERFACE, log::event, nic::queue};
use cancelnic_kernel::{
    check,
    kmdf::{context, journal::Journal, lock::Locked},
};
use cancelnic_mutants::{Mutant, Shown};
use wdk_sys::{
    _WDF_FILEOBJECT_CLASS, _WDF_IO_QUEUE_DISPATCH_TYPE, _WDF_REQUEST_TYPE, _WDF_TRI_STATE, BOOLEAN,
    FILE_DEVICE_SECURE_OPEN, GUID, NTSTATUS, PWDFDEVICE_INIT, TRUE, ULONG, WDF_FILEOBJECT_CONFIG,
    WDF_IO_QUEUE_CONFIG, WDF_NO_OBJECT_ATTRIBUTES, WDFDEVICE, WDFFILEOBJECT, WDFQUEUE, WDFREQUEST,
    call_unsafe_wdf_function_binding,
};

use crate::{device::DeviceContext, report::POOL_TAG};

pub use view::Observed;
use view::View;
use waiters::Waiting;

/// The interface's half of the device.
pub struct Interface {
    /// By [`queue`]'s numbers.
    queues: [WDFQUEUE; 4],
    journal: Journal,
    waiting: Waiting,
    view: Locked<View>,
    mutant: Shown,
}

/// What has to be said before the device object is made. PASSIVE_LEVEL.
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
    // SAFETY: the init structure is the caller's; the configuration lives over the call.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDeviceInitSetFileObjectConfig,
            init,
            &raw mut config,
            WDF_NO_OBJECT_ATTRIBUTES
        );
        // names below the device's are as closed as the device
        call_unsafe_wdf_function_binding!(
            WdfDeviceInitSetCharacteristics,
            init,
            FILE_DEVICE_SECURE_OPEN,
            TRUE as BOOLEAN
        );
    }
}

impl Interface {
    /// Makes queues and interface; programs can open it once the device has started. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// `device` is alive and outlives the value, which becomes part of its context before the device starts.
    pub unsafe fn new(device: WDFDEVICE, mutant: Shown) -> Result<Self, NTSTATUS> {
        // SAFETY: as the caller vouches; the class is a static.
        unsafe {
            let queues = [
                create_queue(device, &control_queue())?,
                create_queue(device, &wait_queue())?,
                create_queue(device, &manual_queue())?,
                create_queue(
                    device,
                    &WDF_IO_QUEUE_CONFIG {
                        EvtIoCanceledOnQueue: Some(waiters::evt_io_canceled_on_queue),
                        ..manual_queue()
                    },
                )?,
            ];
            check(call_unsafe_wdf_function_binding!(
                WdfDeviceConfigureRequestDispatching,
                device,
                queues[queue::WAIT as usize],
                _WDF_REQUEST_TYPE::WdfRequestTypeDeviceControlInternal
            ))?;
            check(call_unsafe_wdf_function_binding!(
                WdfDeviceCreateDeviceInterface,
                device,
                &raw const CLASS,
                null_mut()
            ))?;
            Ok(Self {
                queues,
                journal: Journal::new(device.cast(), POOL_TAG)?,
                waiting: Waiting::new(device)?,
                view: Locked::new(device.cast(), View::default())?,
                mutant,
            })
        }
    }

    /// The interface that a queue belongs to.
    ///
    /// # Safety
    /// `queue` is alive, and one of this driver's.
    unsafe fn of_queue<'a>(queue: WDFQUEUE) -> &'a Self {
        // SAFETY: the queue's device outlives it, and has its context.
        unsafe {
            let device = call_unsafe_wdf_function_binding!(WdfIoQueueGetDevice, queue);
            context::get::<DeviceContext>(device.cast()).interface()
        }
    }

    /// The interface that a request came to.
    ///
    /// # Safety
    /// The driver owns `request`, or the framework lends it for a callback.
    unsafe fn of_request<'a>(request: WDFREQUEST) -> &'a Self {
        // SAFETY: as the caller vouches; the request's queue outlives it.
        unsafe { Self::of_queue(call_unsafe_wdf_function_binding!(WdfRequestGetIoQueue, request)) }
    }

    /// The number of one of the four queues.
    fn number(&self, queue: WDFQUEUE) -> u32 {
        self.queues.iter().position(|known| *known == queue).map_or(u32::MAX, |at| at as u32)
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
        ..queue_config()
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

/// Requests that the driver takes out itself.
fn manual_queue() -> WDF_IO_QUEUE_CONFIG {
    WDF_IO_QUEUE_CONFIG {
        DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchManual,
        ..managed_queue()
    }
}

fn managed_queue() -> WDF_IO_QUEUE_CONFIG {
    WDF_IO_QUEUE_CONFIG {
        PowerManaged: _WDF_TRI_STATE::WdfTrue,
        EvtIoStop: Some(waiters::evt_io_stop),
        EvtIoResume: Some(waiters::evt_io_resume),
        ..queue_config()
    }
}

fn queue_config() -> WDF_IO_QUEUE_CONFIG {
    let mut config = WDF_IO_QUEUE_CONFIG {
        Size: size_of::<WDF_IO_QUEUE_CONFIG>() as ULONG,
        ..WDF_IO_QUEUE_CONFIG::default()
    };
    // as many at a time as come
    config.Settings.Parallel.NumberOfPresentedRequests = ULONG::MAX;
    config
}

unsafe fn create_queue(device: WDFDEVICE, config: &WDF_IO_QUEUE_CONFIG) -> Result<WDFQUEUE, NTSTATUS> {
    let mut config = *config;
    if config.DispatchType == _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchManual {
        config.Settings.Parallel.NumberOfPresentedRequests = 0;
    }
    let mut queue = null_mut();
    // SAFETY: the device is alive; the rest lives over the call.
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfIoQueueCreate,
            device,
            &raw mut config,
            WDF_NO_OBJECT_ATTRIBUTES,
            &raw mut queue
        )
    })?;
    Ok(queue)
}

/// The last handle of a file is closed: its requests that the driver has will not be fetched any more.
/// PASSIVE_LEVEL.
unsafe extern "C" fn evt_file_cleanup(file: WDFFILEOBJECT) {
    // SAFETY: the framework's own argument; the file's device outlives it, and has its context.
    let interface = unsafe {
        let device = call_unsafe_wdf_function_binding!(WdfFileObjectGetDevice, file);
        context::get::<DeviceContext>(device.cast()).interface()
    };
    interface.journal.note(event::CLEANUP, u32::MAX, 0, 0);
    if !interface.mutant.is(Mutant::ForgetsCleanup) {
        interface.cancel_file(file);
    }
}
