//! The device's life in the framework: EvtDriverDeviceAdd and the PnP and power callbacks.

use core::{
    cell::UnsafeCell,
    mem::size_of,
    ptr::{self, null_mut},
    sync::atomic::{AtomicU32, Ordering},
};

use cancelnic_core::{CancelForm, trace::Event, watchdog::Side};
use cancelnic_kernel::{
    check,
    kmdf::context::{self, Context, ContextType},
    print::Level,
};
use cancelnic_mutants::Shown;
use cancelnic_registers::Caps;
use netadaptercx_sys::NETADAPTER;
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
    hardware::{Failure, Hardware},
    io::{self, Interface},
    misbehave,
    queue::PacketQueues,
    report,
    virtqueues::Virtqueues,
    wake::Wakes,
    watchdog::{self, Watchdog},
};

/// Longest DMA transfer: a frame with room to spare.
const MAXIMUM_TRANSFER: usize = 0x1_0000;

/// What the driver keeps for one device.
pub struct DeviceContext {
    device: WDFDEVICE,
    dma: WDFDMAENABLER,
    wakes: Wakes,
    watchdog: Watchdog,
    adapter: NETADAPTER,
    /// In which form EvtCancel gives elements back.
    cancel_form: CancelForm,
    interface: Interface,
    /// Which fault a test build shows.
    mutant: Shown,
    /// What the cancel block can do, as it said in PrepareHardware.
    caps: AtomicU32,
    queues: PacketQueues,
    /// Set from PrepareHardware to ReleaseHardware.
    hardware: UnsafeCell<Option<Hardware>>,
    /// Set from D0Entry to D0Exit, or to ReleaseHardware.
    virtqueues: UnsafeCell<Option<Virtqueues>>,
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
    /// The framework's device object.
    pub const fn device(&self) -> WDFDEVICE {
        self.device
    }

    /// The DMA enabler.
    pub const fn dma(&self) -> WDFDMAENABLER {
        self.dma
    }

    /// Who waits for an interrupt.
    pub const fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    /// The watchdog.
    pub const fn watchdog(&self) -> &Watchdog {
        &self.watchdog
    }

    /// The network adapter.
    pub const fn adapter(&self) -> NETADAPTER {
        self.adapter
    }

    /// In which form EvtCancel gives elements back.
    pub const fn cancel_form(&self) -> CancelForm {
        self.cancel_form
    }

    /// What programs and other drivers ask of the device.
    pub const fn interface(&self) -> &Interface {
        &self.interface
    }

    /// Which fault a test build shows; the shipped driver's is the empty type.
    pub const fn mutant(&self) -> &Shown {
        &self.mutant
    }

    /// What the cancel block can do. From PrepareHardware on.
    pub fn caps(&self) -> Caps {
        Caps::from_bits(self.caps.load(Ordering::Relaxed))
    }

    /// Remembers what the cancel block can do.
    pub fn set_caps(&self, caps: Caps) {
        self.caps.store(caps.into_bits(), Ordering::Relaxed);
    }

    /// The device's registers, between PrepareHardware and ReleaseHardware.
    pub fn hardware(&self) -> Option<&Hardware> {
        // SAFETY: written only by PrepareHardware and ReleaseHardware, while no queue, interrupt or
        // timer of the device is active.
        unsafe { (*self.hardware.get()).as_ref() }
    }

    /// The virtqueues, from D0Entry on, as long as a packet queue may have one.
    pub fn virtqueues(&self) -> Option<&Virtqueues> {
        // SAFETY: written only by D0Entry, D0Exit and ReleaseHardware, while no queue, interrupt or timer of the device
        // is active.
        unsafe { (*self.virtqueues.get()).as_ref() }
    }

    /// The packet queues' contexts, for the debugger.
    pub const fn queues(&self) -> &PacketQueues {
        &self.queues
    }

    /// A side's packet queue is gone, or did not come to be: its virtqueue is free for another.
    pub fn give_back(&self, side: Side) {
        if let Some(virtqueues) = self.virtqueues() {
            virtqueues.give_back(side);
        }
    }
}

/// A device was found: makes its objects. PASSIVE_LEVEL.
pub unsafe extern "C" fn evt_device_add(_driver: WDFDRIVER, init: PWDFDEVICE_INIT) -> NTSTATUS {
    // SAFETY: the arguments are the framework's.
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
unsafe fn add(mut init: PWDFDEVICE_INIT) -> Result<(), NTSTATUS> {
    // SAFETY: the init structure is the framework's; everything passed by address lives over the call.
    unsafe {
        check(net().NetDeviceInitConfig(init))?;
        let mut callbacks = WDF_PNPPOWER_EVENT_CALLBACKS {
            Size: size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() as ULONG,
            EvtDevicePrepareHardware: Some(evt_prepare_hardware),
            EvtDeviceReleaseHardware: Some(evt_release_hardware),
            EvtDeviceD0Entry: Some(evt_d0_entry),
            EvtDeviceD0Exit: Some(evt_d0_exit),
            ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
        };
        call_unsafe_wdf_function_binding!(WdfDeviceInitSetPnpPowerEventCallbacks, init, &raw mut callbacks);

        io::prepare(init);
        let mut attributes = context::attributes::<DeviceContext>();
        attributes.EvtCleanupCallback = Some(evt_cleanup);
        let mut device: WDFDEVICE = null_mut();
        check(call_unsafe_wdf_function_binding!(
            WdfDeviceCreate,
            &raw mut init,
            &raw mut attributes,
            &raw mut device
        ))?;

        // common buffers are aligned by this; virtqueues need 16 bytes
        call_unsafe_wdf_function_binding!(WdfDeviceSetAlignmentRequirement, device, FILE_64_BYTE_ALIGNMENT);
        let adapter = adapter::create(device)?;
        let parameters = adapter::read_parameters(adapter)?;
        report::line(Level::Info, format_args!("cancel form: {}", parameters.cancel_form.name()));
        context::address::<DeviceContext>(device.cast()).write(DeviceContext {
            device,
            dma: create_dma_enabler(device)?,
            wakes: Wakes::new(device)?,
            watchdog: Watchdog::new(device, parameters.watchdog_milliseconds)?,
            adapter,
            cancel_form: parameters.cancel_form,
            interface: Interface::new(device, parameters.mutant.clone())?,
            mutant: parameters.mutant,
            caps: AtomicU32::new(0),
            queues: PacketQueues::default(),
            hardware: UnsafeCell::new(None),
            virtqueues: UnsafeCell::new(None),
        });
        ANCHOR.add(context::get(device.cast()));
        create_interrupt(device)
    }
}

/// The device goes, or did not come to be. PASSIVE_LEVEL.
unsafe extern "C" fn evt_cleanup(device: WDFOBJECT) {
    // SAFETY: the device has this context till after this callback; it is not looked into.
    ANCHOR.remove(unsafe { context::address(device) });
}

/// DMA by the device itself, 64-bit addresses, both directions at a time, version 3 as NetAdapterCx demands.
unsafe fn create_dma_enabler(device: WDFDEVICE) -> Result<WDFDMAENABLER, NTSTATUS> {
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
            device,
            &raw mut config,
            WDF_NO_OBJECT_ATTRIBUTES,
            &raw mut enabler
        )
    })?;
    Ok(enabler)
}

/// The one MSI-X message, for configuration and both queues.
unsafe fn create_interrupt(device: WDFDEVICE) -> Result<(), NTSTATUS> {
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
            device,
            &raw mut config,
            WDF_NO_OBJECT_ATTRIBUTES,
            &raw mut interrupt
        )
    })
}

/// The message arrived. A message needs no acknowledgement and is ours alone: the DPC does the rest. DIRQL.
unsafe extern "C" fn evt_interrupt_isr(interrupt: WDFINTERRUPT, _message: ULONG) -> BOOLEAN {
    // SAFETY: the interrupt object is the one that this callback belongs to.
    // FALSE says that the DPC is queued already, and has yet to run: as good.
    let _ = unsafe { call_unsafe_wdf_function_binding!(WdfInterruptQueueDpcForIsr, interrupt) };
    TRUE as BOOLEAN
}

/// Wakes the queues that wait; with none waiting there is nothing to do. DISPATCH_LEVEL.
unsafe extern "C" fn evt_interrupt_dpc(_interrupt: WDFINTERRUPT, device: WDFOBJECT) {
    // SAFETY: the interrupt's parent is the device, which has this context.
    let context: &DeviceContext = unsafe { context::get(device) };
    context.wakes().notify_armed();
}

/// Resources were assigned: maps them, looks at the device, starts the adapter. PASSIVE_LEVEL.
unsafe extern "C" fn evt_prepare_hardware(
    device: WDFDEVICE,
    raw: WDFCMRESLIST,
    translated: WDFCMRESLIST,
) -> NTSTATUS {
    // SAFETY: the device has this context.
    let context: &DeviceContext = unsafe { context::get(device.cast()) };
    misbehave::in_prepare_hardware(context.mutant());
    // SAFETY: the arguments are this callback's.
    let result = unsafe { Hardware::map(device, raw, translated) }.and_then(|hardware| {
        let (_, identity) = hardware.begin()?;
        // SAFETY: nothing else of the device is active yet.
        unsafe { *context.hardware.get() = Some(hardware) };
        context.set_caps(identity.caps);
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
        Failure::Pci(_) | Failure::Refused(_) => report::Event::Unsupported,
    };
    // SAFETY: the device is alive.
    unsafe { report::event(context.device(), event, failure.status(), format_args!("{failure}")) };
    failure.status()
}

/// Resources are taken away: unmaps them, and frees what D0Exit had to leave. Also after a failed PrepareHardware.
/// PASSIVE_LEVEL.
unsafe extern "C" fn evt_release_hardware(device: WDFDEVICE, _translated: WDFCMRESLIST) -> NTSTATUS {
    // SAFETY: the device has this context; NetAdapterCx has waited for the packet queues, the interrupt is disconnected,
    // and the timer, which a queue's last callbacks may have started again, stops here.
    unsafe {
        let context: &DeviceContext = context::get(device.cast());
        context.watchdog().stop();
        // only what is quiet is lost
        free_virtqueues(context, context.wakes().signals(Side::Tx).is_lost());
        drop(ptr::replace(context.hardware.get(), None));
    }
    STATUS_SUCCESS
}

/// Power is on: sets the virtqueues up and lets the device work. PASSIVE_LEVEL.
unsafe extern "C" fn evt_d0_entry(device: WDFDEVICE, _previous: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    // SAFETY: the device has this context.
    let context: &DeviceContext = unsafe { context::get(device.cast()) };
    let Some(hardware) = context.hardware() else { return STATUS_INVALID_DEVICE_STATE };
    // SAFETY: the enabler lives as long as the device.
    match unsafe { hardware.start(context.dma) } {
        Ok(virtqueues) => {
            // SAFETY: no queue or interrupt of the device is active yet.
            unsafe { *context.virtqueues.get() = Some(virtqueues) };
            for side in [Side::Tx, Side::Rx] {
                context.wakes().signals(side).found();
            }
            context.watchdog().recovered();
            ANCHOR.record(Event::PowerUp, context);
            STATUS_SUCCESS
        }
        Err(failure) => refuse(context, &failure),
    }
}

/// Power goes off: the device is reset, the virtqueues are freed. After a surprise removal NetAdapterCx may still be taking
/// the packet queues down, and waits for that before ReleaseHardware only: they are lost, and keep their virtqueues till
/// then. PASSIVE_LEVEL.
unsafe extern "C" fn evt_d0_exit(device: WDFDEVICE, _target: WDF_POWER_DEVICE_STATE) -> NTSTATUS {
    // SAFETY: the device has this context.
    let context: &DeviceContext = unsafe { context::get(device.cast()) };
    ANCHOR.record(Event::PowerDown, context);
    context.watchdog().stop();
    if context.virtqueues().is_some_and(Virtqueues::are_taken) {
        watchdog::abandon(context);
    } else {
        let quiet = context.hardware().is_none_or(|hardware| hardware.reset().is_quiet());
        // SAFETY: the packet queues are destroyed, the interrupt is disconnected, the timer has stopped.
        unsafe { free_virtqueues(context, quiet) };
    }
    STATUS_SUCCESS
}

/// Frees the virtqueues that there are; unless the device is `quiet`, it keeps their memory for ever. PASSIVE_LEVEL.
///
/// # Safety
/// No packet queue, interrupt or timer of the device is active. A device that is said to be quiet accesses no memory.
unsafe fn free_virtqueues(context: &DeviceContext, quiet: bool) {
    // SAFETY: as the caller vouches.
    let Some(virtqueues) = (unsafe { ptr::replace(context.virtqueues.get(), None) }) else { return };
    if quiet {
        // SAFETY: as the caller vouches.
        unsafe { virtqueues.free() };
    } else {
        let reason = format_args!("the device ignores its reset; the memory it knows of is kept");
        let event = report::Event::HardwareFailure;
        // SAFETY: the device object is alive.
        unsafe { report::event(context.device(), event, STATUS_DEVICE_HARDWARE_ERROR, reason) };
        virtqueues.leak();
    }
}
