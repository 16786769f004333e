//! BUS_INTERFACE_STANDARD: what a driver may ask the PCI bus, and how often it has taken the interface and given it back.

use super::device::Device;
use super::object::get_ptr;
use crate::hal::pci::Function;
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use crate::verifier::{fault, require_irql, trace, violation};
use alloc::vec::Vec;
use core::ffi::c_void;
use wdk_offline::{
    BUS_INTERFACE_STANDARD, GUID, GUID_BUS_INTERFACE_STANDARD, INTERFACE, NTSTATUS, PCI_WHICHSPACE_CONFIG,
    PHYSICAL_ADDRESS, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED,
    STATUS_SUCCESS, WDF_DRIVER_GLOBALS, WDFDEVICE,
};

/// The interface's context, with the function's number added: nothing that a driver could look into.
const CONTEXT: usize = 0x5d0b_0000_0001_0000;

/// The interface of a function, lent to a driver.
struct Lent {
    function: Function,
    owner: Owner,
    references: u32,
}

static LENT: IrqLock<Vec<Lent>> = IrqLock::new(Vec::new());

/// WdfFdoQueryForInterface: PASSIVE_LEVEL. Only BUS_INTERFACE_STANDARD is there, of a device on the PCI bus. A query takes a
/// reference.
pub(crate) unsafe extern "win64" fn query_for_interface(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
    kind: *const GUID,
    interface: *mut INTERFACE,
    size: u16,
    version: u16,
    _specific: *mut c_void,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfFdoQueryForInterface";
    require_irql(FUNCTION, Irql::PASSIVE);
    let bus = get_ptr::<Device, _>(device, FUNCTION).bus.clone();
    let Some(function) = bus.function() else { return STATUS_NOT_SUPPORTED };
    // SAFETY: the driver passes the address of a GUID.
    if unsafe { *kind } != GUID_BUS_INTERFACE_STANDARD || version != 1 {
        return STATUS_NOT_SUPPORTED;
    }
    if usize::from(size) < size_of::<BUS_INTERFACE_STANDARD>() {
        return STATUS_INVALID_PARAMETER;
    }
    let owner = bus.service().owner;
    if fault::strikes(owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let filled = BUS_INTERFACE_STANDARD {
        Size: size_of::<BUS_INTERFACE_STANDARD>() as u16,
        Version: 1,
        Context: (CONTEXT + function.number() as usize) as *mut c_void,
        InterfaceReference: Some(interface_reference),
        InterfaceDereference: Some(interface_dereference),
        TranslateBusAddress: Some(translate_bus_address),
        GetDmaAdapter: Some(get_dma_adapter),
        SetBusData: Some(set_bus_data),
        GetBusData: Some(get_bus_data),
    };
    // SAFETY: the driver's buffer has at least that size, as it says.
    unsafe { interface.cast::<BUS_INTERFACE_STANDARD>().write(filled) };
    LENT.with(|lent| match lent.iter_mut().find(|lent| lent.function == function) {
        Some(lent) => lent.references += 1,
        None => lent.push(Lent { function, owner, references: 1 }),
    });
    STATUS_SUCCESS
}

/// References that a driver has left, for the check at its unload.
pub(crate) fn references(owner: Owner) -> u32 {
    LENT.with(|lent| lent.iter().filter(|lent| lent.owner == owner).map(|lent| lent.references).sum())
}

/// The driver has gone.
pub(crate) fn forget(owner: Owner) {
    LENT.with(|lent| lent.retain(|lent| lent.owner != owner));
}

/// The function whose interface's context this is, which has been lent; `act` changes its references.
fn of_context(name: &str, context: *mut c_void, act: impl FnOnce(&mut u32)) -> Function {
    let found = LENT.with(|lent| {
        let mut all = lent.iter_mut();
        let lent = all.find(|lent| CONTEXT + lent.function.number() as usize == context as usize)?;
        act(&mut lent.references);
        Some(lent.function)
    });
    found.unwrap_or_else(|| violation("InvalidInterfaceContext", 0, context as u64, name.into()))
}

unsafe extern "win64" fn interface_reference(context: *mut c_void) {
    of_context("InterfaceReference", context, |references| *references += 1);
}

unsafe extern "win64" fn interface_dereference(context: *mut c_void) {
    let mut twice = false;
    of_context("InterfaceDereference", context, |references| {
        twice = *references == 0;
        *references = references.saturating_sub(1);
    });
    if twice {
        violation("InterfaceDereferencedTwice", 0, 0, "BUS_INTERFACE_STANDARD".into());
    }
}

unsafe extern "win64" fn translate_bus_address(
    context: *mut c_void,
    address: PHYSICAL_ADDRESS,
    _length: u32,
    _space: *mut u32,
    translated: *mut PHYSICAL_ADDRESS,
) -> u8 {
    of_context("TranslateBusAddress", context, |_| ());
    // SAFETY: the driver passes the place for the answer; addresses are the same on both sides here.
    unsafe { *translated = address };
    1
}

unsafe extern "win64" fn get_dma_adapter(
    context: *mut c_void,
    _description: *mut c_void,
    _registers: *mut u32,
) -> *mut c_void {
    of_context("GetDmaAdapter", context, |_| ());
    trace::not_offered("BUS_INTERFACE_STANDARD.GetDmaAdapter")
}

unsafe extern "win64" fn get_bus_data(
    context: *mut c_void,
    kind: u32,
    buffer: *mut c_void,
    offset: u32,
    length: u32,
) -> u32 {
    let function = of_context("GetBusData", context, |_| ());
    require_irql("GetBusData", Irql::DISPATCH);
    if kind != PCI_WHICHSPACE_CONFIG {
        return 0;
    }
    // SAFETY: the driver says that its buffer has `length` bytes.
    let buffer = unsafe { core::slice::from_raw_parts_mut(buffer.cast::<u8>(), length as usize) };
    function.read_config(offset, buffer)
}

unsafe extern "win64" fn set_bus_data(
    context: *mut c_void,
    kind: u32,
    buffer: *mut c_void,
    offset: u32,
    length: u32,
) -> u32 {
    let function = of_context("SetBusData", context, |_| ());
    require_irql("SetBusData", Irql::DISPATCH);
    if kind != PCI_WHICHSPACE_CONFIG {
        return 0;
    }
    // SAFETY: as above, read only.
    let buffer = unsafe { core::slice::from_raw_parts(buffer.cast::<u8>(), length as usize) };
    function.write_config(offset, buffer)
}
