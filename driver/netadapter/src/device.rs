//! The device's life in the framework: EvtDriverDeviceAdd and the PnP and power callbacks.

use core::{
    cell::UnsafeCell,
    mem::size_of,
    ptr::null_mut,
    sync::atomic::{AtomicU32, Ordering},
};

use cancelnic_core::{features::RING_EVENT_IDX, identity::Identity, queue, trace::Event};
use cancelnic_kernel::{
    check,
    kmdf::{
        context,
        device::{Device, DeviceInit},
    },
    print::Level,
};
use cancelnic_mutants::Mutant;
use wdk_sys::{
    _WDF_DMA_PROFILE, _WDF_TRI_STATE, BOOLEAN, FILE_64_BYTE_ALIGNMENT, NTSTATUS, PWDFDEVICE_INIT,
    STATUS_DEVICE_HARDWARE_ERROR, STATUS_INVALID_DEVICE_STATE, STATUS_SUCCESS, TRUE, ULONG,
    WDF_DMA_ENABLER_CONFIG, WDF_INTERRUPT_CONFIG, WDF_NO_OBJECT_ATTRIBUTES, WDF_PNPPOWER_EVENT_CALLBACKS,
    WDF_POWER_DEVICE_STATE, WDFCMRESLIST, WDFDEVICE, WDFDMAENABLER, WDFDRIVER, WDFINTERRUPT, WDFOBJECT,
    call_unsafe_wdf_function_binding,
};

use crate::{
    adapter,
    anchor::ANCHOR,
    class::net,
    context::DeviceContext,
    failure,
    hardware::{Failure, Hardware},
    io::{self, Interface},
    misbehave,
    queue::PacketQueues,
    report,
    virtqueues::{Shelf, Virtqueues},
    wake::Wakes,
    watchdog::Watchdog,
};

/// Longest DMA transfer: a frame with room to spare.
const MAXIMUM_TRANSFER: usize = 0x1_0000;

/// A device was found: makes its objects. PASSIVE_LEVEL.
pub(crate) unsafe extern "C" fn evt_device_add(_driver: WDFDRIVER, init: PWDFDEVICE_INIT) -> NTSTATUS {
    // SAFETY: this callback's own argument.
    match unsafe { add(init) } {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => {
            report::line(Level::Error, format_args!("cannot add the device (status {status:#010x})"));
            status
        }
    }
}

/// Makes the device object and everything that lives as long. What was made before a failure is
/// deleted by the framework together with the device.
///
/// # Safety
/// `init` is that of EvtDriverDeviceAdd, which still runs.
unsafe fn add(init: PWDFDEVICE_INIT) -> Result<(), NTSTATUS> {
    // SAFETY: the caller vouches for the init structure, which nobody else uses.
    let mut init = unsafe { DeviceInit::new(init) };
    // SAFETY: the structure is EvtDriverDeviceAdd's and not used up.
    check(unsafe { net().NetDeviceInitConfig(init.handle()) })?;
    init.set_power_callbacks(WDF_PNPPOWER_EVENT_CALLBACKS {
        EvtDevicePrepareHardware: Some(evt_prepare_hardware),
        EvtDeviceReleaseHardware: Some(evt_release_hardware),
        EvtDeviceD0Entry: Some(evt_d0_entry),
        EvtDeviceD0Exit: Some(evt_d0_exit),
        ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
    });
    init.set_files(Some(io::evt_file_cleanup));
    let device = create_device(init)?;
    let adapter = adapter::create(device)?;
    let parameters = adapter::read_parameters(adapter)?;
    report::line(Level::Info, format_args!("cancel form: {}", parameters.cancel_form.name()));
    let context = DeviceContext {
        device,
        dma: create_dma_enabler(device)?,
        wakes: Wakes::new(device)?,
        watchdog: Watchdog::new(device, parameters.watchdog_milliseconds, Some(failure::evt_timer))?,
        adapter,
        cancel_form: parameters.cancel_form,
        interface: Interface::new(device, parameters.mutant.clone())?,
        mutant: parameters.mutant,
        caps: AtomicU32::new(0),
        queues: PacketQueues::default(),
        hardware: UnsafeCell::new(None),
        virtqueues: Shelf::new(device)?,
    };
    // SAFETY: the device was made with this context.
    let place = unsafe { context::address::<DeviceContext>(device.object()) };
    // SAFETY: the context's own memory, of which nobody knows yet: no callback comes before the device has started.
    unsafe { place.write(context) };
    // SAFETY: just written; it stays as long as the device.
    ANCHOR.add(unsafe { &*place });
    create_interrupt(device)
}

/// Makes the device object.
fn create_device(init: DeviceInit) -> Result<Device, NTSTATUS> {
    let mut attributes = context::attributes::<DeviceContext>();
    attributes.EvtCleanupCallback = Some(evt_cleanup);
    let device = init.create(attributes)?;
    let handle = device.handle();
    // Common buffers are aligned by this; virtqueues need 16 bytes.
    // SAFETY: the device was just made.
    unsafe {
        call_unsafe_wdf_function_binding!(WdfDeviceSetAlignmentRequirement, handle, FILE_64_BYTE_ALIGNMENT);
    }
    Ok(device)
}

/// The device goes, or did not come to be. PASSIVE_LEVEL.
unsafe extern "C" fn evt_cleanup(device: WDFOBJECT) {
    // SAFETY: the device has this context till after this callback; it is not looked into.
    ANCHOR.remove(unsafe { context::address(device) });
}

/// DMA by the device itself, 64-bit addresses, both directions at a time, version 3 as NetAdapterCx demands.
fn create_dma_enabler(device: Device) -> Result<WDFDMAENABLER, NTSTATUS> {
    let mut config = WDF_DMA_ENABLER_CONFIG {
        Size: size_of::<WDF_DMA_ENABLER_CONFIG>() as ULONG,
        Profile: _WDF_DMA_PROFILE::WdfDmaProfileScatterGather64Duplex,
        MaximumLength: MAXIMUM_TRANSFER,
        WdmDmaVersionOverride: 3,
        ..WDF_DMA_ENABLER_CONFIG::default()
    };
    let mut enabler = null_mut();
    // SAFETY: the device is alive; the rest lives over the call.
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDmaEnablerCreate,
            device.handle(),
            &raw mut config,
            WDF_NO_OBJECT_ATTRIBUTES,
            &raw mut enabler
        )
    })?;
    Ok(enabler)
}

/// The one MSI-X message, for configuration and all queues.
fn create_interrupt(device: Device) -> Result<(), NTSTATUS> {
    let mut config = WDF_INTERRUPT_CONFIG {
        Size: size_of::<WDF_INTERRUPT_CONFIG>() as ULONG,
        ShareVector: _WDF_TRI_STATE::WdfUseDefault,
        ReportInactiveOnPowerDown: _WDF_TRI_STATE::WdfUseDefault,
        EvtInterruptIsr: Some(evt_interrupt_isr),
        EvtInterruptDpc: Some(evt_interrupt_dpc),
        ..WDF_INTERRUPT_CONFIG::default()
    };
    let mut interrupt: WDFINTERRUPT = null_mut();
    // SAFETY: the device is alive; the rest lives over the call.
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfInterruptCreate,
            device.handle(),
            &raw mut config,
            WDF_NO_OBJECT_ATTRIBUTES,
            &raw mut interrupt
        )
    })
}

/// The message arrived. A message needs no acknowledgement and is ours alone: the DPC does the rest. DIRQL.
unsafe extern "C" fn evt_interrupt_isr(interrupt: WDFINTERRUPT, _message: ULONG) -> BOOLEAN {
    #[cfg(feature = "test-build")]
    {
        // SAFETY: the interrupt object is the one that this callback belongs to.
        let device = unsafe { call_unsafe_wdf_function_binding!(WdfInterruptGetDevice, interrupt) };
        // SAFETY: the interrupt's device, which has this context.
        let context: &DeviceContext = unsafe { context::get(device.cast()) };
        misbehave::in_interrupt(&context.mutant);
    }
    // SAFETY: the interrupt object is the one that this callback belongs to.
    // FALSE means that the DPC is queued already and has yet to run, which is fine.
    let _ = unsafe { call_unsafe_wdf_function_binding!(WdfInterruptQueueDpcForIsr, interrupt) };
    TRUE as BOOLEAN
}

/// Wakes the queues that wait, and passes a change of the link on. One message is for both, so the configuration's
/// generation is read each time: a register that the virtual machine keeps itself. DISPATCH_LEVEL.
unsafe extern "C" fn evt_interrupt_dpc(_interrupt: WDFINTERRUPT, device: WDFOBJECT) {
    // SAFETY: the interrupt's parent is the device, which has this context.
    let context: &DeviceContext = unsafe { context::get(device) };
    context.wakes.notify_armed();
    if context.mutant.is(Mutant::ForgetsLinkChange) {
        return;
    }
    if let Some(link) = context.hardware().and_then(Hardware::changed_link) {
        adapter::set_link(context, &link);
    }
}

/// Resources were assigned: maps them, looks at the device, starts the adapter. PASSIVE_LEVEL.
unsafe extern "C" fn evt_prepare_hardware(
    device: WDFDEVICE,
    raw: WDFCMRESLIST,
    translated: WDFCMRESLIST,
) -> NTSTATUS {
    // SAFETY: this callback's own device, which has this context.
    let context: &DeviceContext = unsafe { context::get(device.cast()) };
    misbehave::in_prepare_hardware(&context.mutant);
    // SAFETY: this callback's own arguments.
    let result = unsafe { Hardware::map(context.device, raw, translated) }.and_then(|hardware| {
        let (_, identity) = hardware.begin()?;
        // SAFETY: nothing else of the device is active yet.
        unsafe { context.set_hardware(Some(hardware)) };
        context.caps.store(identity.caps.into_bits(), Ordering::Relaxed);
        Ok(adapter::start(context, &identity)?)
    });
    match result {
        Ok(()) => STATUS_SUCCESS,
        Err(failure) => refuse(context, &failure),
    }
}

/// Tells people why the device cannot be used, and the system by a status.
fn refuse(context: &DeviceContext, failure: &Failure) -> NTSTATUS {
    let event = match failure {
        Failure::System(_) | Failure::Transport(_) => report::Event::HardwareFailure,
        Failure::Pci(_) | Failure::NoMessage | Failure::Refused(_) => report::Event::Unsupported,
    };
    report::event(context.device, event, failure.status(), format_args!("{failure}"));
    failure.status()
}

/// Resources are taken away: unmaps them, and frees what D0Exit had to leave. Also after a failed PrepareHardware.
/// PASSIVE_LEVEL.
unsafe extern "C" fn evt_release_hardware(device: WDFDEVICE, _translated: WDFCMRESLIST) -> NTSTATUS {
    // SAFETY: this callback's own device, which has this context.
    let context: &DeviceContext = unsafe { context::get(device.cast()) };
    // NetAdapterCx has waited for the packet queues and the interrupt is disconnected; the timer, which a queue's last
    // callbacks may have started again, stops here.
    context.watchdog.stop();
    // Only a device that is quiet is marked lost.
    let quiet = queue::all().all(|queue| context.wakes.signals(queue).is_lost());
    // SAFETY: no packet queue is left, and a device whose queues are lost is quiet.
    unsafe { free_virtqueues(context, quiet) };
    // SAFETY: no queue, interrupt or timer is left.
    unsafe { context.set_hardware(None) };
    STATUS_SUCCESS
}

/// Power is on: sets the virtqueues up and lets the device work. PASSIVE_LEVEL.
unsafe extern "C" fn evt_d0_entry(device: WDFDEVICE, _previous: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    // SAFETY: this callback's own device, which has this context.
    let context: &DeviceContext = unsafe { context::get(device.cast()) };
    let Some(hardware) = context.hardware() else { return STATUS_INVALID_DEVICE_STATE };
    match bring_up(hardware, context.dma) {
        Ok((virtqueues, identity)) => {
            context.virtqueues.fill(virtqueues);
            // It may have changed while the power was off.
            adapter::set_link(context, &identity.link);
            for queue in queue::all() {
                context.wakes.signals(queue).found();
            }
            context.watchdog.recovered();
            ANCHOR.record(Event::PowerUp, context);
            STATUS_SUCCESS
        }
        Err(failure) => refuse(context, &failure),
    }
}

/// Brings the device up with new virtqueues. PASSIVE_LEVEL.
fn bring_up(hardware: &Hardware, enabler: WDFDMAENABLER) -> Result<(Virtqueues, Identity), Failure> {
    let (features, identity) = hardware.begin()?;
    let size = |queue| hardware.queue_size(queue);
    // SAFETY: the enabler lives as long as the device, hence longer than the virtqueues.
    let virtqueues = unsafe { Virtqueues::new(size, enabler, features.has(RING_EVENT_IDX)) }?;
    match hardware.announce(&virtqueues) {
        Ok(()) => Ok((virtqueues, identity)),
        Err(failure) => {
            if hardware.reset().is_quiet() {
                // SAFETY: the device forgot the addresses; no packet queue has one of them.
                unsafe { virtqueues.free() };
            } else {
                virtqueues.leak();
            }
            Err(failure)
        }
    }
}

/// Power goes off: the device is reset, the virtqueues are freed. After a surprise removal NetAdapterCx may still be taking
/// the packet queues down, and waits for that before ReleaseHardware only: they are lost, and keep their virtqueues till
/// then. PASSIVE_LEVEL.
unsafe extern "C" fn evt_d0_exit(device: WDFDEVICE, _target: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    // SAFETY: this callback's own device, which has this context.
    let context: &DeviceContext = unsafe { context::get(device.cast()) };
    ANCHOR.record(Event::PowerDown, context);
    context.watchdog.stop();
    if context.virtqueues.are_taken() {
        failure::abandon(context);
    } else {
        let quiet = context.hardware().is_none_or(|hardware| hardware.reset().is_quiet());
        // SAFETY: no packet queue has a virtqueue, and none comes while the power goes.
        unsafe { free_virtqueues(context, quiet) };
    }
    STATUS_SUCCESS
}

/// Frees the virtqueues that there are; unless the device is `quiet`, it keeps their memory for ever. PASSIVE_LEVEL.
///
/// # Safety
/// No packet queue has a virtqueue. A device that is said to be quiet accesses no memory.
unsafe fn free_virtqueues(context: &DeviceContext, quiet: bool) {
    let Some(virtqueues) = context.virtqueues.clear() else { return };
    if quiet {
        // SAFETY: the caller vouches for device and packet queues.
        unsafe { virtqueues.free() };
    } else {
        let reason = format_args!("the device ignores its reset; the memory it knows of is kept");
        report::event(context.device, report::Event::HardwareFailure, STATUS_DEVICE_HARDWARE_ERROR, reason);
        virtqueues.leak();
    }
}
