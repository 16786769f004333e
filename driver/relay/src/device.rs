//! The device: its objects, and its PnP and power callbacks.

use core::{mem::size_of, ptr::null_mut};

use cancelnic_ioctl::{Guid, RELAY_INTERFACE, log::event, relay::SLOTS};
use cancelnic_kernel::{
    check,
    kmdf::{
        context::{self, Context, ContextType},
        journal::Journal,
        lock::Locked,
    },
    print::{self, Level},
};
use cancelnic_mutants::Shown;
use wdk_sys::{
    _WDF_EXECUTION_LEVEL, _WDF_FILEOBJECT_CLASS, _WDF_IO_QUEUE_DISPATCH_TYPE, _WDF_TRI_STATE, BOOLEAN,
    FILE_DEVICE_SECURE_OPEN, GUID, NTSTATUS, PWDFDEVICE_INIT, STATUS_SUCCESS, TRUE, ULONG,
    WDF_FILEOBJECT_CONFIG, WDF_IO_QUEUE_CONFIG, WDF_NO_OBJECT_ATTRIBUTES, WDF_PNPPOWER_EVENT_CALLBACKS,
    WDF_POWER_DEVICE_STATE, WDFDEVICE, WDFDRIVER, WDFFILEOBJECT, WDFIOTARGET, WDFOBJECT, WDFQUEUE,
    WDFREQUEST, call_unsafe_wdf_function_binding,
};

use crate::{
    control,
    driver::POOL_TAG,
    pass::{self, Passing},
    slots::Slots,
};

/// A request's handle in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handle(pub WDFREQUEST);

// SAFETY: a framework handle may be used in any thread.
unsafe impl Send for Handle {}

/// The slots.
pub type Table = Slots<Handle, { SLOTS as usize }>;

/// What the driver keeps for its device.
pub struct Relay {
    /// The framework's device object.
    pub device: WDFDEVICE,
    /// The way to cancelnic.sys.
    pub target: WDFIOTARGET,
    /// The way to the next lower device of the relay's own stack.
    pub below: WDFIOTARGET,
    /// Presents programs' requests that are to be passed on: parallel, power-managed.
    pub passing: WDFQUEUE,
    /// The requests.
    pub slots: Locked<Table>,
    /// How programs' requests are passed on.
    pub pass: Locked<Passing>,
    /// What happened.
    pub journal: Journal,
    /// Which fault a test build shows.
    pub mutant: Shown,
}

static RELAY: ContextType = ContextType::new::<Relay>(c"Relay", &raw const RELAY);

// SAFETY: one static, made for this type.
unsafe impl Context for Relay {
    fn context_type() -> &'static ContextType {
        &RELAY
    }
}

impl Relay {
    /// The context of a device.
    ///
    /// # Safety
    /// `device` was made by [`evt_device_add`] and is alive.
    pub unsafe fn of<'a>(device: WDFDEVICE) -> &'a Self {
        // SAFETY: the device has this context.
        unsafe { context::get(device.cast()) }
    }

    /// The context of a queue's device.
    ///
    /// # Safety
    /// `queue` is one of this driver's, and alive.
    pub unsafe fn of_queue<'a>(queue: WDFQUEUE) -> &'a Self {
        // SAFETY: the queue's device outlives it.
        unsafe { Self::of(call_unsafe_wdf_function_binding!(WdfIoQueueGetDevice, queue)) }
    }
}

/// The interface's class as the framework takes it.
static CLASS: GUID = {
    let Guid(first, second, third, rest) = RELAY_INTERFACE;
    GUID { Data1: first, Data2: second, Data3: third, Data4: rest }
};

/// Most devices in the stack of cancelnic.sys's device, filters included.
const TARGET_STACK: i8 = 8;

/// The root device was found: makes its objects. PASSIVE_LEVEL.
pub unsafe extern "C" fn evt_device_add(_driver: WDFDRIVER, init: PWDFDEVICE_INIT) -> NTSTATUS {
    // SAFETY: the arguments are the framework's.
    match unsafe { add(init) } {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => {
            print::line(
                Level::Error,
                format_args!("cancelnic-relay: cannot add the device (status {status:#010x})"),
            );
            status
        }
    }
}

/// Makes the device object and everything that lives as long. What was made before a failure is deleted by the
/// framework together with the device.
unsafe fn add(mut init: PWDFDEVICE_INIT) -> Result<(), NTSTATUS> {
    // SAFETY: the init structure is the framework's; everything passed by address lives over the call.
    unsafe {
        let mut callbacks = WDF_PNPPOWER_EVENT_CALLBACKS {
            Size: size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() as ULONG,
            EvtDeviceD0Entry: Some(evt_d0_entry),
            EvtDeviceD0Exit: Some(evt_d0_exit),
            EvtDeviceSelfManagedIoCleanup: Some(evt_self_managed_io_cleanup),
            ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
        };
        call_unsafe_wdf_function_binding!(WdfDeviceInitSetPnpPowerEventCallbacks, init, &raw mut callbacks);
        let mut files = WDF_FILEOBJECT_CONFIG {
            Size: size_of::<WDF_FILEOBJECT_CONFIG>() as ULONG,
            EvtFileCleanup: Some(evt_file_cleanup),
            AutoForwardCleanupClose: _WDF_TRI_STATE::WdfUseDefault,
            FileObjectClass: _WDF_FILEOBJECT_CLASS::WdfFileObjectWdfCannotUseFsContexts,
            ..WDF_FILEOBJECT_CONFIG::default()
        };
        call_unsafe_wdf_function_binding!(
            WdfDeviceInitSetFileObjectConfig,
            init,
            &raw mut files,
            WDF_NO_OBJECT_ATTRIBUTES
        );
        // names below the device's are as closed as the device
        call_unsafe_wdf_function_binding!(
            WdfDeviceInitSetCharacteristics,
            init,
            FILE_DEVICE_SECURE_OPEN,
            TRUE as BOOLEAN
        );

        // synchronous sends and the target's functions wait: callbacks come at PASSIVE_LEVEL
        let mut attributes = context::attributes::<Relay>();
        attributes.ExecutionLevel = _WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive;
        let mut device: WDFDEVICE = null_mut();
        check(call_unsafe_wdf_function_binding!(
            WdfDeviceCreate,
            &raw mut init,
            &raw mut attributes,
            &raw mut device
        ))?;
        // programs' requests go on to another device's stack: they need locations for it
        let object = call_unsafe_wdf_function_binding!(WdfDeviceWdmGetDeviceObject, device);
        (*object).StackSize = (*object).StackSize.saturating_add(TARGET_STACK);
        context::address::<Relay>(device.cast()).write(Relay {
            device,
            target: create_target(device)?,
            below: call_unsafe_wdf_function_binding!(WdfDeviceGetIoTarget, device),
            passing: create_queue(
                device,
                WDF_IO_QUEUE_CONFIG {
                    PowerManaged: _WDF_TRI_STATE::WdfTrue,
                    EvtIoDeviceControl: Some(pass::evt_io_pass),
                    EvtIoStop: Some(pass::evt_io_stop),
                    EvtIoResume: Some(pass::evt_io_resume),
                    ..WDF_IO_QUEUE_CONFIG::default()
                },
            )?,
            slots: Locked::new(device.cast(), Slots::new())?,
            pass: Locked::new(device.cast(), Passing::default())?,
            journal: Journal::new(device.cast(), POOL_TAG)?,
            mutant: Shown::none(),
        });
        create_queue(
            device,
            WDF_IO_QUEUE_CONFIG {
                PowerManaged: _WDF_TRI_STATE::WdfFalse,
                DefaultQueue: TRUE as BOOLEAN,
                EvtIoDeviceControl: Some(control::evt_io_device_control),
                ..WDF_IO_QUEUE_CONFIG::default()
            },
        )?;
        check(call_unsafe_wdf_function_binding!(
            WdfDeviceCreateDeviceInterface,
            device,
            &raw const CLASS,
            null_mut()
        ))
    }
}

/// Makes a parallel queue.
unsafe fn create_queue(device: WDFDEVICE, config: WDF_IO_QUEUE_CONFIG) -> Result<WDFQUEUE, NTSTATUS> {
    let mut config = WDF_IO_QUEUE_CONFIG {
        Size: size_of::<WDF_IO_QUEUE_CONFIG>() as ULONG,
        DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
        ..config
    };
    // as many at a time as come
    config.Settings.Parallel.NumberOfPresentedRequests = ULONG::MAX;
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

/// Makes the target, not open yet.
unsafe fn create_target(device: WDFDEVICE) -> Result<WDFIOTARGET, NTSTATUS> {
    let mut target = null_mut();
    // SAFETY: the device is alive; the handle is written on success.
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfIoTargetCreate,
            device,
            WDF_NO_OBJECT_ATTRIBUTES,
            &raw mut target
        )
    })?;
    Ok(target)
}

/// Power is on: the target goes on if D0Exit stopped it. PASSIVE_LEVEL.
unsafe extern "C" fn evt_d0_entry(device: WDFDEVICE, _previous: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    // SAFETY: this callback's own device.
    unsafe { Relay::of(device) }.resume_target()
}

/// Power goes: nothing more is sent, what is under way stays so. PASSIVE_LEVEL.
unsafe extern "C" fn evt_d0_exit(device: WDFDEVICE, _target: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    // SAFETY: this callback's own device.
    unsafe { Relay::of(device) }.suspend_target();
    STATUS_SUCCESS
}

/// The device goes for good: what is still under way is recalled and waited for. PASSIVE_LEVEL.
unsafe extern "C" fn evt_self_managed_io_cleanup(device: WDFDEVICE) {
    // SAFETY: this callback's own device.
    let relay = unsafe { Relay::of(device) };
    relay.close_target();
    relay.purge_below();
    relay.delete_all();
}

/// The last handle of a file is closed: its requests that were passed on will not be fetched any more.
/// PASSIVE_LEVEL.
unsafe extern "C" fn evt_file_cleanup(file: WDFFILEOBJECT) {
    // SAFETY: the framework's own argument; the file's device outlives it, and has its context.
    let relay = unsafe { Relay::of(call_unsafe_wdf_function_binding!(WdfFileObjectGetDevice, file)) };
    relay.journal.note(event::CLEANUP, u32::MAX, 0, 0);
    relay.cancel_file(file);
}

/// A handle as any object's.
pub const fn object(handle: Handle) -> WDFOBJECT {
    handle.0.cast()
}
