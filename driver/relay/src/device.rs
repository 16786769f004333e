//! The device: its objects, and its PnP and power callbacks.

use core::{mem::size_of, ptr::null_mut};

use cancelnic_ioctl::{Guid, RELAY_INTERFACE, log::event};
use cancelnic_kernel::{
    check,
    kmdf::{context, device::Device, journal::Journal, lock::Locked, queue::Queue, target::IoTarget},
    print::{self, Level},
};
use cancelnic_mutants::Shown;
use wdk_sys::{
    _WDF_EXECUTION_LEVEL, _WDF_FILEOBJECT_CLASS, _WDF_IO_QUEUE_DISPATCH_TYPE, _WDF_TRI_STATE, BOOLEAN,
    FILE_DEVICE_SECURE_OPEN, GUID, NTSTATUS, PWDFDEVICE_INIT, STATUS_SUCCESS, TRUE, ULONG,
    WDF_FILEOBJECT_CONFIG, WDF_IO_QUEUE_CONFIG, WDF_NO_OBJECT_ATTRIBUTES, WDF_PNPPOWER_EVENT_CALLBACKS,
    WDF_POWER_DEVICE_STATE, WDFDEVICE, WDFDRIVER, WDFFILEOBJECT, call_unsafe_wdf_function_binding,
};

use crate::{
    control, pass,
    relay::{POOL_TAG, Passing, Relay},
    slots::Slots,
};

/// The interface's class as the framework takes it.
static CLASS: GUID = {
    let Guid(first, second, third, rest) = RELAY_INTERFACE;
    GUID { Data1: first, Data2: second, Data3: third, Data4: rest }
};

/// Most devices in the stack of cancelnic.sys's device, filters included.
const TARGET_STACK: i8 = 8;

/// The root device was found: makes its objects. PASSIVE_LEVEL.
pub unsafe extern "C" fn evt_device_add(_driver: WDFDRIVER, init: PWDFDEVICE_INIT) -> NTSTATUS {
    // SAFETY: this callback's own argument.
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
///
/// # Safety
/// `init` is that of EvtDriverDeviceAdd, which still runs.
unsafe fn add(init: PWDFDEVICE_INIT) -> Result<(), NTSTATUS> {
    // SAFETY: the caller vouches for the init structure.
    unsafe { prepare(init) };
    // SAFETY: the caller vouches for the init structure, which is used up here.
    let device = unsafe { create_device(init) }?;
    let passing = WDF_IO_QUEUE_CONFIG {
        DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
        PowerManaged: _WDF_TRI_STATE::WdfTrue,
        EvtIoDeviceControl: Some(pass::evt_io_pass),
        EvtIoStop: Some(pass::evt_io_stop),
        EvtIoResume: Some(pass::evt_io_resume),
        ..WDF_IO_QUEUE_CONFIG::default()
    };
    let relay = Relay {
        device,
        target: IoTarget::create(device)?,
        below: device.lower_target(),
        passing: Queue::new(device, passing)?,
        slots: Locked::new(device, Slots::new())?,
        pass: Locked::new(device, Passing::default())?,
        journal: Journal::new(device, POOL_TAG)?,
        mutant: Shown::none(),
    };
    // SAFETY: the device was made with this context.
    let place = unsafe { context::address::<Relay>(device.object()) };
    // SAFETY: the context's own memory, of which nobody knows yet: no callback comes before the device has started.
    unsafe { place.write(relay) };
    let control = WDF_IO_QUEUE_CONFIG {
        DispatchType: _WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchParallel,
        PowerManaged: _WDF_TRI_STATE::WdfFalse,
        DefaultQueue: TRUE as BOOLEAN,
        EvtIoDeviceControl: Some(control::evt_io_device_control),
        ..WDF_IO_QUEUE_CONFIG::default()
    };
    Queue::new(device, control)?;
    device.create_interface(&CLASS)
}

/// What has to be set before the device object is made.
///
/// # Safety
/// `init` is that of EvtDriverDeviceAdd, before the device is created.
unsafe fn prepare(init: PWDFDEVICE_INIT) {
    let mut callbacks = WDF_PNPPOWER_EVENT_CALLBACKS {
        Size: size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() as ULONG,
        EvtDeviceD0Entry: Some(evt_d0_entry),
        EvtDeviceD0Exit: Some(evt_d0_exit),
        EvtDeviceSelfManagedIoCleanup: Some(evt_self_managed_io_cleanup),
        ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
    };
    // SAFETY: the caller vouches for the init structure; the callbacks live over the call.
    unsafe {
        call_unsafe_wdf_function_binding!(WdfDeviceInitSetPnpPowerEventCallbacks, init, &raw mut callbacks);
    }
    let mut files = WDF_FILEOBJECT_CONFIG {
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
            &raw mut files,
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

/// Makes the device object.
///
/// # Safety
/// `init` is that of EvtDriverDeviceAdd, and is not used any more.
unsafe fn create_device(mut init: PWDFDEVICE_INIT) -> Result<Device, NTSTATUS> {
    // synchronous sends and the target's functions wait: callbacks come at PASSIVE_LEVEL
    let mut attributes = context::attributes::<Relay>();
    attributes.ExecutionLevel = _WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive;
    let mut device: WDFDEVICE = null_mut();
    // SAFETY: the caller vouches for the init structure; everything passed by address lives over the call.
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDeviceCreate,
            &raw mut init,
            &raw mut attributes,
            &raw mut device
        )
    })?;
    // SAFETY: what is made from it becomes part of its context, or is its child.
    let device = unsafe { Device::new(device) };
    // Programs' requests go on to another device's stack: they need locations for it.
    // SAFETY: the device's own object.
    let stack = unsafe { &raw mut (*device.wdm()).StackSize };
    // SAFETY: a field of the device's own object, of which nobody else knows yet.
    let own = unsafe { stack.read() };
    // SAFETY: the same field.
    unsafe { stack.write(own.saturating_add(TARGET_STACK)) };
    Ok(device)
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
    // SAFETY: this callback's own argument.
    let device = unsafe { call_unsafe_wdf_function_binding!(WdfFileObjectGetDevice, file) };
    // SAFETY: the file's device outlives it, and has started.
    let relay = unsafe { Relay::of(device) };
    relay.journal.note(event::CLEANUP, u32::MAX, 0, 0);
    relay.cancel_file(file);
}
