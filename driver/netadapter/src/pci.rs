//! The device's PCI configuration space and the memory resources that the PnP manager assigned.

use core::{mem::size_of, ptr::NonNull};

use cancelnic_core::pci::CONFIG_LEN;
use wdk_sys::{
    BUS_INTERFACE_STANDARD, CM_PARTIAL_RESOURCE_DESCRIPTOR, CM_RESOURCE_INTERRUPT_MESSAGE,
    CM_RESOURCE_MEMORY_LARGE_40, CM_RESOURCE_MEMORY_LARGE_48, CM_RESOURCE_MEMORY_LARGE_64,
    CmResourceTypeInterrupt, CmResourceTypeMemory, CmResourceTypeMemoryLarge, GUID, NTSTATUS,
    PCI_WHICHSPACE_CONFIG, STATUS_NOT_SUPPORTED, WDFCMRESLIST, call_unsafe_wdf_function_binding,
};

use cancelnic_kernel::{check, kmdf::device::Device};

/// The interface through which a function driver reads its device's configuration space.
static GUID_BUS_INTERFACE_STANDARD: GUID = GUID {
    Data1: 0x496B_8280,
    Data2: 0x6F25,
    Data3: 0x11D0,
    Data4: [0xBE, 0xAF, 0x08, 0x00, 0x2B, 0xE2, 0x09, 0x2F],
};

/// Reads the first 256 bytes of configuration space; what cannot be read is all ones. PASSIVE_LEVEL.
pub(crate) fn read_config(device: Device) -> Result<[u8; CONFIG_LEN], NTSTATUS> {
    let mut interface = BUS_INTERFACE_STANDARD::default();
    // SAFETY: the device is alive; the interface's memory has the size given; version 1 is the only one.
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfFdoQueryForInterface,
            device.handle(),
            &raw const GUID_BUS_INTERFACE_STANDARD,
            (&raw mut interface).cast(),
            size_of::<BUS_INTERFACE_STANDARD>() as u16,
            1,
            core::ptr::null_mut()
        )
    })?;
    let mut config = [u8::MAX; CONFIG_LEN];
    let result = match interface.GetBusData {
        Some(read) => {
            // SAFETY: as many bytes as there is room for are asked for.
            unsafe {
                read(
                    interface.Context,
                    PCI_WHICHSPACE_CONFIG,
                    config.as_mut_ptr().cast(),
                    0,
                    CONFIG_LEN as u32,
                );
            }
            Ok(config)
        }
        None => Err(STATUS_NOT_SUPPORTED),
    };
    if let Some(dereference) = interface.InterfaceDereference {
        // SAFETY: the query took the one reference that is given back here.
        unsafe { dereference(interface.Context) };
    }
    result
}

/// Count of resources in a list.
///
/// # Safety
/// The list is one that PrepareHardware got, and PrepareHardware still runs.
pub(crate) unsafe fn count(list: WDFCMRESLIST) -> u32 {
    // SAFETY: the caller vouches for the list.
    unsafe { call_unsafe_wdf_function_binding!(WdfCmResourceListGetCount, list) }
}

/// One descriptor of a list.
///
/// # Safety
/// As for [`count`].
unsafe fn descriptor(list: WDFCMRESLIST, index: u32) -> Option<CM_PARTIAL_RESOURCE_DESCRIPTOR> {
    // SAFETY: the caller vouches for the list; the framework returns null for an index outside it.
    let descriptor =
        unsafe { call_unsafe_wdf_function_binding!(WdfCmResourceListGetDescriptor, list, index) };
    // SAFETY: a descriptor of the list, valid while PrepareHardware runs, of any alignment.
    NonNull::new(descriptor).map(|descriptor| unsafe { descriptor.as_ptr().read_unaligned() })
}

/// Whether an interrupt is message signalled; nothing if the descriptor is of another kind.
///
/// # Safety
/// As for [`count`].
pub(crate) unsafe fn message_signalled(list: WDFCMRESLIST, index: u32) -> Option<bool> {
    // SAFETY: the caller vouches for the list.
    let descriptor = unsafe { descriptor(list, index) }?;
    let flags = u32::from(descriptor.Flags);
    (u32::from(descriptor.Type) == CmResourceTypeInterrupt)
        .then_some(flags & CM_RESOURCE_INTERRUPT_MESSAGE != 0)
}

/// A memory resource: start and length in bytes, or nothing if the descriptor is of another kind.
///
/// # Safety
/// As for [`count`].
pub(crate) unsafe fn memory(list: WDFCMRESLIST, index: u32) -> Option<(u64, u64)> {
    // SAFETY: the caller vouches for the list.
    let descriptor = unsafe { descriptor(list, index) }?;
    // SAFETY: plain numbers; whether they mean something is told by the type below.
    let range = unsafe { descriptor.u.Memory };
    let start = range.Start;
    // SAFETY: a number in whichever form.
    let start = unsafe { start.QuadPart } as u64;
    let length = u64::from(range.Length);
    let flags = u32::from(descriptor.Flags);
    let kind = u32::from(descriptor.Type);
    if kind == CmResourceTypeMemory {
        Some((start, length))
    } else if kind != CmResourceTypeMemoryLarge {
        None
    } else if flags & CM_RESOURCE_MEMORY_LARGE_40 != 0 {
        Some((start, length << 8))
    } else if flags & CM_RESOURCE_MEMORY_LARGE_48 != 0 {
        Some((start, length << 16))
    } else if flags & CM_RESOURCE_MEMORY_LARGE_64 != 0 {
        Some((start, length << 32))
    } else {
        None
    }
}
