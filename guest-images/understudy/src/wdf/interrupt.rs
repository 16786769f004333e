//! WDFINTERRUPT: a message, or a line, with its ISR at DIRQL and its DPC. A device has one for each of its signals.

use super::bus::Stage;
use super::lock::SpinLockObject;
use super::object::{self, Attributes, Typed, get_ptr, parent};
use super::resources::{interrupt_of, translated_interrupt};
use crate::ke::{Dpc, Irql};
use crate::verifier::{fault, require_irql, trace, violation};
use alloc::{boxed::Box, format, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    CM_RESOURCE_INTERRUPT_LATCHED, CM_RESOURCE_INTERRUPT_MESSAGE, NTSTATUS, PFN_WDF_INTERRUPT_DISABLE,
    PFN_WDF_INTERRUPT_ENABLE, PFN_WDF_INTERRUPT_ISR, PFN_WDF_INTERRUPT_SYNCHRONIZE,
    STATUS_INFO_LENGTH_MISMATCH, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_SUCCESS,
    WDF_DRIVER_GLOBALS, WDF_INTERRUPT_CONFIG, WDF_INTERRUPT_INFO, WDF_OBJECT_ATTRIBUTES, WDFCONTEXT,
    WDFDEVICE, WDFINTERRUPT, WDFOBJECT,
};

/// Bytes of WDF_INTERRUPT_INFO before it had a Group.
const FIRST_INFO: u32 = 56;

/// An interrupt of the driver.
pub(crate) struct Interrupt {
    isr: PFN_WDF_INTERRUPT_ISR,
    enable: PFN_WDF_INTERRUPT_ENABLE,
    disable: PFN_WDF_INTERRUPT_DISABLE,
    lock: SpinLockObject,
    dpc: Dpc,
    /// Its own and the device's handle, as the callbacks get them.
    handle: Arc<AtomicU64>,
    device: u64,
    /// What stands on the time line before its callbacks.
    label: &'static str,
    /// Which of the device's interrupts it is: the number of its message.
    pub message: u32,
    /// DIRQL while connected, else 0.
    irql: AtomicU8,
    connected: AtomicBool,
}

impl Typed for Interrupt {
    const KIND: &'static str = "WDFINTERRUPT";

    fn require_deletable(&self, _raw: u64, function: &str) {
        crate::verifier::require_irql(function, Irql::PASSIVE);
    }

    fn dispose(self: Arc<Self>) {
        if self.connected.load(Relaxed) {
            violation("InterruptConnectedAtDelete", 0, 0, "WDFINTERRUPT".into());
        }
    }
}

impl Interrupt {
    /// Runs the ISR as an interrupt at DIRQL does. Called by the interrupt dispatcher.
    pub(crate) fn service(&self) -> bool {
        let Some(isr) = self.isr.filter(|_| self.connected.load(Relaxed)) else { return false };
        let handle = self.handle.load(Relaxed) as WDFINTERRUPT;
        // SAFETY: the driver's ISR with its own handle, at DIRQL, on one processor: the interrupt lock is held in effect.
        trace::quick_callback(self.label, "EvtInterruptIsr", || unsafe { isr(handle, self.message) }) != 0
    }

    /// Connects: EvtInterruptEnable at DIRQL, then interrupts may come.
    ///
    /// # Errors
    /// The driver's status.
    pub(crate) fn connect(&self, irql: Irql) -> Result<(), NTSTATUS> {
        self.irql.store(irql.number(), Relaxed);
        self.connected.store(true, Relaxed);
        self.at_dirql("EvtInterruptEnable", self.enable)
    }

    /// Whether interrupts may come.
    pub(crate) fn is_connected(&self) -> bool {
        self.connected.load(Relaxed)
    }

    /// Disconnects: EvtInterruptDisable at DIRQL; afterwards neither ISR nor DPC runs any more. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The driver's status.
    pub(crate) fn disconnect(&self) -> Result<(), NTSTATUS> {
        let result = self.at_dirql("EvtInterruptDisable", self.disable);
        self.connected.store(false, Relaxed);
        self.irql.store(0, Relaxed);
        // IRQL is PASSIVE again: a queued DPC has run on the way down
        result
    }

    fn at_dirql(&self, what: &'static str, callback: PFN_WDF_INTERRUPT_ENABLE) -> Result<(), NTSTATUS> {
        let Some(callback) = callback else { return Ok(()) };
        let old = crate::ke::raise(Irql::new(self.irql.load(Relaxed)));
        let handle = self.handle.load(Relaxed) as WDFINTERRUPT;
        // SAFETY: the driver's callback with its own handles, at DIRQL as documented.
        let status =
            trace::callback(self.label, what, || unsafe { callback(handle, self.device as WDFDEVICE) });
        crate::ke::lower(old);
        if status >= 0 { Ok(()) } else { Err(status) }
    }
}

/// The device's interrupt objects, by the number of their messages.
pub(crate) fn of_device(device: u64) -> Vec<Arc<Interrupt>> {
    let below = object::children(device, "PnP").into_iter().filter(|(_, kind)| *kind == "WDFINTERRUPT");
    let mut found: Vec<Arc<Interrupt>> = below.map(|(handle, _)| object::get(handle.raw(), "PnP")).collect();
    found.sort_by_key(|interrupt| interrupt.message);
    found
}

/// WdfInterruptCreate: PASSIVE_LEVEL, in EvtDriverDeviceAdd or EvtDevicePrepareHardware (there with the descriptors).
pub(crate) unsafe extern "win64" fn create(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
    config: *mut WDF_INTERRUPT_CONFIG,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    interrupt: *mut WDFINTERRUPT,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfInterruptCreate";
    require_irql(FUNCTION, Irql::PASSIVE);
    let bus = get_ptr::<super::device::Device, _>(device, FUNCTION).bus.clone();
    // SAFETY: the driver passes its configuration.
    let config = unsafe { &*config };
    if config.Size as usize != size_of::<WDF_INTERRUPT_CONFIG>() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    if config.EvtInterruptIsr.is_none()
        || config.EvtInterruptDpc.is_some() && config.EvtInterruptWorkItem.is_some()
    {
        return STATUS_INVALID_PARAMETER;
    }
    if config.PassiveHandling != 0 || config.EvtInterruptWorkItem.is_some() || !config.SpinLock.is_null() {
        trace::not_offered("WdfInterruptCreate with passive handling, a work item or a lock of the driver's");
    }
    let preparing = bus.stage() == Stage::Preparing;
    if preparing && (config.InterruptRaw.is_null() || config.InterruptTranslated.is_null()) {
        crate::log!("{FUNCTION}: in EvtDevicePrepareHardware without InterruptRaw and InterruptTranslated");
        return STATUS_INVALID_PARAMETER;
    }
    let before = of_device(device as u64);
    let assigned = |lists| interrupt_of(lists, config.InterruptRaw, config.InterruptTranslated);
    let message = if preparing {
        bus.lists().and_then(assigned)
    } else {
        // in their order
        Some(before.len() as u32)
    };
    let Some(message) = message else {
        violation(
            "InterruptDescriptor",
            0,
            config.InterruptTranslated as u64,
            format!("{FUNCTION}: not the assigned descriptors"),
        );
    };
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if attributes.parent().is_some() || before.iter().any(|known| known.message == message) {
        return STATUS_INVALID_PARAMETER;
    }
    if fault::strikes(bus.service().owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let raw_handle = Arc::new(AtomicU64::new(0));
    let dpc_handle = raw_handle.clone();
    let routine = config.EvtInterruptDpc;
    let associated = device as WDFOBJECT as u64;
    let label = bus.service().label;
    let dpc = Dpc::new(Box::new(move || {
        if let Some(routine) = routine {
            let handle = dpc_handle.load(Relaxed) as WDFINTERRUPT;
            // SAFETY: the driver's DPC with its own handles, at DISPATCH_LEVEL.
            trace::quick_callback(label, "EvtInterruptDpc", || unsafe {
                routine(handle, associated as WDFOBJECT)
            });
        }
    }));
    let made = Interrupt {
        isr: config.EvtInterruptIsr,
        enable: config.EvtInterruptEnable,
        disable: config.EvtInterruptDisable,
        lock: SpinLockObject::default(),
        dpc,
        handle: raw_handle.clone(),
        device: device as u64,
        label,
        message,
        irql: AtomicU8::new(0),
        connected: AtomicBool::new(false),
    };
    let handle = object::create(FUNCTION, Arc::new(made), Some(Handle::from_raw(device as u64)), attributes);
    raw_handle.store(handle.raw(), Relaxed);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *interrupt = handle.raw() as WDFINTERRUPT };
    STATUS_SUCCESS
}

/// WdfInterruptQueueDpcForIsr: any IRQL up to DIRQL. FALSE if it was queued already.
pub(crate) unsafe extern "win64" fn queue_dpc_for_isr(
    _globals: *mut WDF_DRIVER_GLOBALS,
    interrupt: WDFINTERRUPT,
) -> u8 {
    u8::from(get_ptr::<Interrupt, _>(interrupt, "WdfInterruptQueueDpcForIsr").dpc.queue())
}

/// WdfInterruptAcquireLock: up to DIRQL; raises to it.
pub(crate) unsafe extern "win64" fn acquire_lock(_globals: *mut WDF_DRIVER_GLOBALS, interrupt: WDFINTERRUPT) {
    const FUNCTION: &str = "WdfInterruptAcquireLock";
    let interrupt = get_ptr::<Interrupt, _>(interrupt, FUNCTION);
    let irql = Irql::new(interrupt.irql.load(Relaxed));
    if irql == Irql::PASSIVE {
        violation(
            "InterruptNotConnected",
            0,
            0,
            format!("{FUNCTION}: the interrupt is not connected, it has no DIRQL"),
        );
    }
    require_irql(FUNCTION, irql);
    interrupt.lock.acquire(FUNCTION, irql);
}

/// WdfInterruptReleaseLock: at DIRQL.
pub(crate) unsafe extern "win64" fn release_lock(_globals: *mut WDF_DRIVER_GLOBALS, interrupt: WDFINTERRUPT) {
    const FUNCTION: &str = "WdfInterruptReleaseLock";
    get_ptr::<Interrupt, _>(interrupt, FUNCTION).lock.release(FUNCTION);
}

/// WdfInterruptGetDevice: any IRQL.
pub(crate) unsafe extern "win64" fn get_device(
    _globals: *mut WDF_DRIVER_GLOBALS,
    interrupt: WDFINTERRUPT,
) -> WDFDEVICE {
    const FUNCTION: &str = "WdfInterruptGetDevice";
    get_ptr::<Interrupt, _>(interrupt, FUNCTION);
    parent(interrupt as u64, FUNCTION).map_or(core::ptr::null_mut(), |handle| handle.raw() as WDFDEVICE)
}

/// WdfInterruptSynchronize: up to DIRQL; runs the callback there, where no ISR of it runs.
pub(crate) unsafe extern "win64" fn synchronize(
    _globals: *mut WDF_DRIVER_GLOBALS,
    handle: WDFINTERRUPT,
    callback: PFN_WDF_INTERRUPT_SYNCHRONIZE,
    context: WDFCONTEXT,
) -> u8 {
    const FUNCTION: &str = "WdfInterruptSynchronize";
    let interrupt = get_ptr::<Interrupt, _>(handle, FUNCTION);
    let irql = Irql::new(interrupt.irql.load(Relaxed));
    if irql == Irql::PASSIVE {
        let place = format!("{FUNCTION}: the interrupt is not connected, it has no DIRQL");
        violation("InterruptNotConnected", 0, 0, place);
    }
    require_irql(FUNCTION, irql);
    let Some(callback) = callback else { return 0 };
    let old = crate::ke::raise(irql);
    // SAFETY: the driver's callback with its own interrupt and context, at DIRQL.
    let result = trace::quick_callback(interrupt.label, "EvtInterruptSynchronize", || unsafe {
        callback(handle, context)
    });
    crate::ke::lower(old);
    result
}

/// WdfInterruptGetInfo: up to DISPATCH_LEVEL. What PnP has assigned; all zero while there is none.
pub(crate) unsafe extern "win64" fn get_info(
    _globals: *mut WDF_DRIVER_GLOBALS,
    handle: WDFINTERRUPT,
    info: *mut WDF_INTERRUPT_INFO,
) {
    const FUNCTION: &str = "WdfInterruptGetInfo";
    require_irql(FUNCTION, Irql::DISPATCH);
    let interrupt = get_ptr::<Interrupt, _>(handle, FUNCTION);
    let bus = object::get::<super::device::Device>(interrupt.device, FUNCTION).bus.clone();
    let size = size_of::<WDF_INTERRUPT_INFO>() as u32;
    // SAFETY: the driver passes its structure, whose size stands first.
    let given = unsafe { (*info).Size };
    if given != size && given != FIRST_INFO {
        violation("StructureSize", 0, given.into(), format!("{FUNCTION}: WDF_INTERRUPT_INFO"));
    }
    let assigned = bus.lists().and_then(|lists| translated_interrupt(lists, interrupt.message));
    // SAFETY: numbers, for which zero is one.
    let mut filled = WDF_INTERRUPT_INFO { Size: given, ..unsafe { core::mem::zeroed() } };
    if let Some(assigned) = assigned {
        // SAFETY: an interrupt's descriptor, translated.
        let vector = unsafe { assigned.u.Interrupt };
        filled.TargetProcessorSet = vector.Affinity;
        filled.MessageNumber = interrupt.message;
        filled.Vector = vector.Vector;
        filled.Irql = vector.Level as u8;
        filled.Mode = (u32::from(assigned.Flags) & CM_RESOURCE_INTERRUPT_LATCHED) as i32;
        filled.MessageSignaled = u8::from(u32::from(assigned.Flags) & CM_RESOURCE_INTERRUPT_MESSAGE != 0);
        filled.ShareDisposition = assigned.ShareDisposition;
    }
    // SAFETY: the driver's structure, of the size that it says.
    unsafe {
        core::ptr::copy_nonoverlapping((&raw const filled).cast::<u8>(), info.cast(), given as usize);
    }
}
