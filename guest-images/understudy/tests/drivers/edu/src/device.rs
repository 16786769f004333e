//! The device: its interrupt, its PnP and power callbacks.

use crate::registers::Registers;
use cancelnic_kernel::{
    check,
    kmdf::{
        context::{self, Context, ContextType},
        device::DeviceInit,
    },
    print::{self, Level},
};
use core::cell::UnsafeCell;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wdk_sys::{
    _WDF_TRI_STATE, BOOLEAN, FALSE, LARGE_INTEGER, NTSTATUS, PWDFDEVICE_INIT,
    STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_IO_TIMEOUT, STATUS_SUCCESS, TRUE, ULONG, WDF_INTERRUPT_CONFIG,
    WDF_NO_OBJECT_ATTRIBUTES, WDF_PNPPOWER_EVENT_CALLBACKS, WDF_POWER_DEVICE_STATE, WDFCMRESLIST, WDFDEVICE,
    WDFDRIVER, WDFINTERRUPT, WDFOBJECT, call_unsafe_wdf_function_binding, ntddk::KeDelayExecutionThread,
};

/// What the device is to compute, and what comes out.
const TEN: u32 = 10;
const TEN_FACTORIAL: u32 = 3_628_800;
/// How often its result is looked for, a millisecond between two looks.
const PATIENCE: u32 = 500;
/// A millisecond for KeDelayExecutionThread: relative, in units of 100 ns.
const MILLISECOND: i64 = -10_000;

/// The device's context.
struct Edu {
    /// From EvtDevicePrepareHardware to EvtDeviceReleaseHardware.
    registers: UnsafeCell<Option<Registers>>,
    /// What the DPC has read last; 0 before.
    result: AtomicU32,
}

static EDU: ContextType = ContextType::new::<Edu>(c"Edu", &raw const EDU);

// SAFETY: one static, for this type alone.
unsafe impl Context for Edu {
    fn context_type() -> &'static ContextType {
        &EDU
    }
}

impl Edu {
    /// That of a device.
    ///
    /// # Safety
    /// In a callback of the device or its interrupt.
    unsafe fn of<'a>(device: WDFOBJECT) -> &'a Self {
        // SAFETY: every device of this driver has this context, which was initialised when it was made.
        unsafe { context::get(device) }
    }

    /// The registers, while they are mapped.
    fn registers(&self) -> Option<&Registers> {
        // SAFETY: changed only by `set`, while no other callback can run.
        unsafe { (*self.registers.get()).as_ref() }
    }

    /// # Safety
    /// In EvtDevicePrepareHardware or EvtDeviceReleaseHardware, when the interrupt is not connected.
    unsafe fn set(&self, registers: Option<Registers>) -> Option<Registers> {
        // SAFETY: the caller vouches for nobody else being here.
        unsafe { self.registers.get().replace(registers) }
    }
}

/// The device was found: makes its object and its interrupt. PASSIVE_LEVEL.
pub(crate) unsafe extern "C" fn evt_device_add(_driver: WDFDRIVER, init: PWDFDEVICE_INIT) -> NTSTATUS {
    // SAFETY: this callback's own argument.
    match add(unsafe { DeviceInit::new(init) }) {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => status,
    }
}

fn add(mut init: DeviceInit) -> Result<(), NTSTATUS> {
    init.set_power_callbacks(WDF_PNPPOWER_EVENT_CALLBACKS {
        EvtDevicePrepareHardware: Some(evt_prepare_hardware),
        EvtDeviceReleaseHardware: Some(evt_release_hardware),
        EvtDeviceD0EntryPostInterruptsEnabled: Some(evt_post_interrupts_enabled),
        EvtDeviceD0ExitPreInterruptsDisabled: Some(evt_pre_interrupts_disabled),
        ..WDF_PNPPOWER_EVENT_CALLBACKS::default()
    });
    let device = init.create(context::attributes::<Edu>())?;
    // SAFETY: the device was made with this context.
    let place = unsafe { context::address::<Edu>(device.object()) };
    // SAFETY: the context's own memory, of which nobody knows yet.
    unsafe { place.write(Edu { registers: UnsafeCell::new(None), result: AtomicU32::new(0) }) };
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

/// Resources were assigned. PASSIVE_LEVEL.
unsafe extern "C" fn evt_prepare_hardware(
    device: WDFDEVICE,
    _raw: WDFCMRESLIST,
    translated: WDFCMRESLIST,
) -> NTSTATUS {
    // SAFETY: this callback's own argument.
    let registers = match unsafe { Registers::map(translated) } {
        Ok(registers) => registers,
        Err(status) => return status,
    };
    if !registers.is_alive() {
        return STATUS_DEVICE_CONFIGURATION_ERROR;
    }
    // SAFETY: this callback's own device.
    let edu = unsafe { Edu::of(device.cast()) };
    // SAFETY: in this callback; nothing was mapped before.
    drop(unsafe { edu.set(Some(registers)) });
    STATUS_SUCCESS
}

/// Resources go. PASSIVE_LEVEL.
unsafe extern "C" fn evt_release_hardware(device: WDFDEVICE, _translated: WDFCMRESLIST) -> NTSTATUS {
    // SAFETY: this callback's own device.
    let edu = unsafe { Edu::of(device.cast()) };
    // SAFETY: in this callback.
    let registers = unsafe { edu.set(None) };
    if cfg!(feature = "keeps-mapping") {
        core::mem::forget(registers);
    } else {
        drop(registers);
    }
    STATUS_SUCCESS
}

/// Interrupts may come: the device shows that they do. PASSIVE_LEVEL.
unsafe extern "C" fn evt_post_interrupts_enabled(
    device: WDFDEVICE,
    _previous: WDF_POWER_DEVICE_STATE,
) -> NTSTATUS {
    // SAFETY: this callback's own device.
    let edu = unsafe { Edu::of(device.cast()) };
    let Some(registers) = edu.registers() else { return STATUS_DEVICE_CONFIGURATION_ERROR };
    edu.result.store(0, Relaxed);
    registers.compute(TEN);
    for _ in 0..PATIENCE {
        match edu.result.load(Relaxed) {
            0 => {
                let mut time = LARGE_INTEGER { QuadPart: MILLISECOND };
                // SAFETY: a time on this stack; PASSIVE_LEVEL.
                let _ = unsafe { KeDelayExecutionThread(0, FALSE as BOOLEAN, &raw mut time) };
            }
            TEN_FACTORIAL => return STATUS_SUCCESS,
            _ => return STATUS_DEVICE_CONFIGURATION_ERROR,
        }
    }
    print::line(Level::Error, format_args!("test-driver-edu: the device's interrupt does not arrive"));
    STATUS_IO_TIMEOUT
}

/// Power goes: the device falls silent. PASSIVE_LEVEL.
unsafe extern "C" fn evt_pre_interrupts_disabled(
    device: WDFDEVICE,
    _target: WDF_POWER_DEVICE_STATE,
) -> NTSTATUS {
    // SAFETY: this callback's own device.
    if let Some(registers) = unsafe { Edu::of(device.cast()) }.registers() {
        registers.quiet();
    }
    STATUS_SUCCESS
}

/// An interrupt, of this device or of one on its line. DIRQL.
unsafe extern "C" fn evt_interrupt_isr(interrupt: WDFINTERRUPT, _message: ULONG) -> BOOLEAN {
    // SAFETY: the interrupt object is the one that this callback belongs to.
    let device = unsafe { call_unsafe_wdf_function_binding!(WdfInterruptGetDevice, interrupt) };
    // SAFETY: the interrupt's device.
    let edu = unsafe { Edu::of(device.cast()) };
    if cfg!(feature = "claims-no-interrupt") || !edu.registers().is_some_and(Registers::acknowledge) {
        return FALSE as BOOLEAN;
    }
    // SAFETY: the interrupt object is the one that this callback belongs to.
    // FALSE means that the DPC is queued already and has yet to run, which is fine.
    let _ = unsafe { call_unsafe_wdf_function_binding!(WdfInterruptQueueDpcForIsr, interrupt) };
    TRUE as BOOLEAN
}

/// Reads the result. DISPATCH_LEVEL.
unsafe extern "C" fn evt_interrupt_dpc(_interrupt: WDFINTERRUPT, device: WDFOBJECT) {
    // SAFETY: the interrupt's device.
    let edu = unsafe { Edu::of(device) };
    if let Some(result) = edu.registers().and_then(Registers::result) {
        edu.result.store(result, Relaxed);
    }
}
