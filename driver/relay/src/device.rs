//! The device: its objects, and its PnP and power callbacks.

use cancelnic_ioctl::{RELAY_INTERFACE, log::event};
use cancelnic_kernel::{
    guid,
    kmdf::{
        context,
        device::{Device, DeviceInit},
        journal::Journal,
        lock::Locked,
        queue::Queue,
        target::IoTarget,
    },
    print::{self, Level},
};
use cancelnic_mutants::Shown;
use wdk_sys::{
    _WDF_EXECUTION_LEVEL, _WDF_IO_QUEUE_DISPATCH_TYPE, _WDF_TRI_STATE, BOOLEAN, GUID, NTSTATUS,
    PWDFDEVICE_INIT, STATUS_SUCCESS, TRUE, WDF_IO_QUEUE_CONFIG, WDF_PNPPOWER_EVENT_CALLBACKS,
    WDF_POWER_DEVICE_STATE, WDFDEVICE, WDFDRIVER, WDFFILEOBJECT,
};

use crate::{
    control, pass,
    relay::{POOL_TAG, Passing, Relay},
    slots::Slots,
};

/// The interface's class as the framework takes it.
static CLASS: GUID = guid(RELAY_INTERFACE);

/// Most devices in the stack of cancelnic.sys's device, filters included.
const TARGET_STACK: i8 = 8;

/// The root device was found: makes its objects. PASSIVE_LEVEL.
pub(crate) unsafe extern "C" fn evt_device_add(_driver: WDFDRIVER, init: PWDFDEVICE_INIT) -> NTSTATUS {
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
    // SAFETY: the caller vouches for the init structure, which nobody else uses.
    let mut init = unsafe { DeviceInit::new(init) };
    init.set_power_callbacks(WDF_PNPPOWER_EVENT_CALLBACKS {
        EvtDeviceD0Entry: Some(evt_d0_entry),
        EvtDeviceD0Exit: Some(evt_d0_exit),
        EvtDeviceSelfManagedIoCleanup: Some(evt_self_managed_io_cleanup),
        ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
    });
    init.set_files(Some(evt_file_cleanup));
    init.secure_names();
    let device = create_device(init)?;
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
        below: IoTarget::below(device),
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
    device.create_interface(&CLASS, &[])
}

/// Makes the device object.
fn create_device(init: DeviceInit) -> Result<Device, NTSTATUS> {
    // synchronous sends and the target's functions wait: callbacks come at PASSIVE_LEVEL
    let mut attributes = context::attributes::<Relay>();
    attributes.ExecutionLevel = _WDF_EXECUTION_LEVEL::WdfExecutionLevelPassive;
    let device = init.create(attributes)?;
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
    let device = unsafe { Device::of_file(file) };
    // SAFETY: the file's device outlives it, and has started.
    let relay = unsafe { Relay::of(device.handle()) };
    relay.journal.note(event::CLEANUP, u32::MAX, 0, 0);
    relay.cancel_file(file);
}
