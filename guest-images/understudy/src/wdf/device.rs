//! WDFDEVICE and the init structure before it.

use super::object::{self, Attributes, Payload, get_ptr, require_irql, violation};
use crate::agent::trace;
use crate::ke::irqlock::IrqLock;
use crate::pnp::Node;
use alloc::{boxed::Box, format, sync::Arc};
use core::ffi::c_void;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use wdk_offline::{
    BUS_INTERFACE_STANDARD, DEVICE_OBJECT, GUID, GUID_BUS_INTERFACE_STANDARD, INTERFACE, NTSTATUS,
    PCI_WHICHSPACE_CONFIG, PHYSICAL_ADDRESS, PWDFDEVICE_INIT, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED,
    STATUS_SUCCESS, WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES, WDF_PNPPOWER_EVENT_CALLBACKS, WDFDEVICE,
};

/// What the driver sets up before it creates the device.
pub struct DeviceInit {
    /// The stack that the device is for.
    node: Arc<Node>,
    callbacks: IrqLock<Option<WDF_PNPPOWER_EVENT_CALLBACKS>>,
    /// NetDeviceInitConfig has been called.
    pub net: AtomicBool,
}

impl DeviceInit {
    /// What EvtDriverDeviceAdd gets for a device of this stack.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, callbacks: IrqLock::new(None), net: AtomicBool::new(false) }
    }
}

/// The device's framework side.
pub struct Device {
    /// Its stack.
    pub node: Arc<Node>,
    /// Its PnP and power callbacks.
    pub callbacks: WDF_PNPPOWER_EVENT_CALLBACKS,
    /// Set up with NetDeviceInitConfig.
    pub net: bool,
    /// Alignment of common buffers, as FILE_xxx_ALIGNMENT: alignment minus one.
    pub alignment: AtomicU32,
    /// WdfDeviceSetFailed has been called.
    pub failed: AtomicBool,
    wdm: *mut DEVICE_OBJECT,
}

// SAFETY: the WDM device object is this device's own box; the driver only passes its address on.
unsafe impl Send for Device {}
// SAFETY: as above.
unsafe impl Sync for Device {}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: made by Box::into_raw in `device_create`, freed only here.
        drop(unsafe { Box::from_raw(self.wdm) });
    }
}

/// WdfDeviceInitSetPnpPowerEventCallbacks: PASSIVE_LEVEL, before WdfDeviceCreate.
pub unsafe extern "win64" fn set_pnp_power_event_callbacks(
    _globals: *mut WDF_DRIVER_GLOBALS,
    init: PWDFDEVICE_INIT,
    callbacks: *mut WDF_PNPPOWER_EVENT_CALLBACKS,
) {
    const FUNCTION: &str = "WdfDeviceInitSetPnpPowerEventCallbacks";
    require_irql(FUNCTION, 0);
    let init = get_ptr::<DeviceInit, _>(init, FUNCTION);
    // SAFETY: the driver passes its own structure.
    let callbacks = unsafe { *callbacks };
    if callbacks.Size as usize != size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() {
        violation(
            "StructureSize",
            0,
            u64::from(callbacks.Size),
            format!("{FUNCTION}: WDF_PNPPOWER_EVENT_CALLBACKS"),
        );
    }
    init.callbacks.with(|slot| *slot = Some(callbacks));
}

/// WdfDeviceCreate: PASSIVE_LEVEL, in EvtDriverDeviceAdd. Takes the init structure away from the driver.
pub unsafe extern "win64" fn device_create(
    globals: *mut WDF_DRIVER_GLOBALS,
    init_pointer: *mut PWDFDEVICE_INIT,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    device: *mut WDFDEVICE,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfDeviceCreate";
    require_irql(FUNCTION, 0);
    // SAFETY: the driver passes the address of the pointer that EvtDriverDeviceAdd got.
    let init = get_ptr::<DeviceInit, _>(unsafe { *init_pointer }, FUNCTION);
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if attributes.parent().is_some() || init.node.device().is_some() {
        return STATUS_INVALID_PARAMETER;
    }
    let wdm = Box::new(DEVICE_OBJECT {
        Type: 3,
        Size: size_of::<DEVICE_OBJECT>() as u16,
        StackSize: 1,
        ..DEVICE_OBJECT::default()
    });
    let made = Device {
        node: init.node.clone(),
        callbacks: init.callbacks.with(|slot| *slot).unwrap_or_default(),
        net: init.net.load(Relaxed),
        alignment: AtomicU32::new(0),
        failed: AtomicBool::new(false),
        wdm: Box::into_raw(wdm),
    };
    let driver = super::driver::of(globals, FUNCTION);
    let handle = object::create(FUNCTION, Payload::Device(Arc::new(made)), Some(driver), attributes);
    init.node.set_device(handle);
    // SAFETY: both are places of the driver; the init pointer is cleared as the framework does.
    unsafe {
        *init_pointer = core::ptr::null_mut();
        *device = handle.raw() as WDFDEVICE;
    }
    STATUS_SUCCESS
}

/// WdfDeviceSetAlignmentRequirement: PASSIVE_LEVEL.
pub unsafe extern "win64" fn set_alignment_requirement(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
    requirement: u32,
) {
    const FUNCTION: &str = "WdfDeviceSetAlignmentRequirement";
    require_irql(FUNCTION, 0);
    get_ptr::<Device, _>(device, FUNCTION).alignment.store(requirement, Relaxed);
}

/// WdfDeviceSetFailed: up to DISPATCH_LEVEL. PnP would now take the device away; the rig decides when.
pub unsafe extern "win64" fn set_failed(_globals: *mut WDF_DRIVER_GLOBALS, device: WDFDEVICE, action: i32) {
    const FUNCTION: &str = "WdfDeviceSetFailed";
    require_irql(FUNCTION, 2);
    let device = get_ptr::<Device, _>(device, FUNCTION);
    device.failed.store(true, Relaxed);
    trace::note(
        device.node.service.label,
        if action == 1 { "WdfDeviceSetFailed(AttemptRestart)" } else { "WdfDeviceSetFailed(NoRestart)" },
    );
}

/// WdfDeviceWdmGetDeviceObject: up to DISPATCH_LEVEL.
pub unsafe extern "win64" fn wdm_get_device_object(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
) -> *mut DEVICE_OBJECT {
    const FUNCTION: &str = "WdfDeviceWdmGetDeviceObject";
    require_irql(FUNCTION, 2);
    get_ptr::<Device, _>(device, FUNCTION).wdm
}

/// WdfFdoQueryForInterface: PASSIVE_LEVEL. Only BUS_INTERFACE_STANDARD is there.
pub unsafe extern "win64" fn query_for_interface(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
    kind: *const GUID,
    interface: *mut INTERFACE,
    size: u16,
    version: u16,
    _specific: *mut c_void,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfFdoQueryForInterface";
    require_irql(FUNCTION, 0);
    get_ptr::<Device, _>(device, FUNCTION);
    // SAFETY: the driver passes the address of a GUID.
    if unsafe { *kind } != GUID_BUS_INTERFACE_STANDARD || version != 1 {
        return STATUS_NOT_SUPPORTED;
    }
    if usize::from(size) < size_of::<BUS_INTERFACE_STANDARD>() {
        return STATUS_INVALID_PARAMETER;
    }
    let filled = BUS_INTERFACE_STANDARD {
        Size: size_of::<BUS_INTERFACE_STANDARD>() as u16,
        Version: 1,
        Context: crate::pnp::BUS_CONTEXT as *mut c_void,
        InterfaceReference: Some(interface_reference),
        InterfaceDereference: Some(interface_dereference),
        TranslateBusAddress: Some(translate_bus_address),
        GetDmaAdapter: Some(get_dma_adapter),
        SetBusData: Some(set_bus_data),
        GetBusData: Some(get_bus_data),
    };
    // SAFETY: the driver's buffer has at least that size, as it says.
    unsafe { interface.cast::<BUS_INTERFACE_STANDARD>().write(filled) };
    INTERFACE_REFERENCES.fetch_add(1, Relaxed);
    STATUS_SUCCESS
}

/// References to the bus interface that the driver holds; a query takes one.
static INTERFACE_REFERENCES: AtomicU32 = AtomicU32::new(0);

/// References left, for the check at unload.
pub fn interface_references() -> u32 {
    INTERFACE_REFERENCES.load(Relaxed)
}

fn require_bus_context(function: &str, context: *mut c_void) {
    if context as usize != crate::pnp::BUS_CONTEXT {
        violation("InvalidInterfaceContext", 0, context as u64, function.into());
    }
}

unsafe extern "win64" fn interface_reference(context: *mut c_void) {
    require_bus_context("InterfaceReference", context);
    INTERFACE_REFERENCES.fetch_add(1, Relaxed);
}

unsafe extern "win64" fn interface_dereference(context: *mut c_void) {
    require_bus_context("InterfaceDereference", context);
    if INTERFACE_REFERENCES.load(Relaxed) == 0 {
        violation("InterfaceDereferencedTwice", 0, 0, "BUS_INTERFACE_STANDARD".into());
    }
    INTERFACE_REFERENCES.fetch_sub(1, Relaxed);
}

unsafe extern "win64" fn translate_bus_address(
    context: *mut c_void,
    address: PHYSICAL_ADDRESS,
    _length: u32,
    _space: *mut u32,
    translated: *mut PHYSICAL_ADDRESS,
) -> u8 {
    require_bus_context("TranslateBusAddress", context);
    // SAFETY: the driver passes the place for the answer; addresses are the same on both sides here.
    unsafe { *translated = address };
    1
}

unsafe extern "win64" fn get_dma_adapter(
    context: *mut c_void,
    _description: *mut c_void,
    _registers: *mut u32,
) -> *mut c_void {
    require_bus_context("GetDmaAdapter", context);
    trace::not_offered("BUS_INTERFACE_STANDARD.GetDmaAdapter")
}

unsafe extern "win64" fn get_bus_data(
    context: *mut c_void,
    kind: u32,
    buffer: *mut c_void,
    offset: u32,
    length: u32,
) -> u32 {
    require_bus_context("GetBusData", context);
    require_irql("GetBusData", 2);
    if kind != PCI_WHICHSPACE_CONFIG {
        return 0;
    }
    // SAFETY: the driver says that its buffer has `length` bytes.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), length as usize) };
    crate::pnp::read_config(offset, buffer)
}

unsafe extern "win64" fn set_bus_data(
    context: *mut c_void,
    kind: u32,
    buffer: *mut c_void,
    offset: u32,
    length: u32,
) -> u32 {
    require_bus_context("SetBusData", context);
    require_irql("SetBusData", 2);
    if kind != PCI_WHICHSPACE_CONFIG {
        return 0;
    }
    // SAFETY: as above, read only.
    let buffer = unsafe { core::slice::from_raw_parts(buffer.cast::<u8>(), length as usize) };
    crate::pnp::write_config(offset, buffer)
}
