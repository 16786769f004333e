//! WDFDMAENABLER and WDFCOMMONBUFFER: no IOMMU here, so a logical address is the physical one.

use super::device::Device;
use super::object::{self, Attributes, Typed, get_ptr, parent};
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::verifier::{fault, require_irql, violation};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use core::ffi::c_void;
use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    LARGE_INTEGER, NTSTATUS, PHYSICAL_ADDRESS, STATUS_INFO_LENGTH_MISMATCH, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS, WDF_DMA_ENABLER_CONFIG, WDF_DRIVER_GLOBALS,
    WDF_OBJECT_ATTRIBUTES, WDFCOMMONBUFFER, WDFDEVICE, WDFDMAENABLER,
};

const PAGE: usize = 4096;
/// What freed DMA memory is filled with.
const FREED: u8 = 0xdb;

/// WDF_DMA_ENABLER_UNLIMITED_FRAGMENTS.
const UNLIMITED: usize = u32::MAX as usize;

/// A DMA enabler.
pub(crate) struct Enabler {
    /// Version 3 of the DMA operations, which NetAdapterCx needs for mapped buffers.
    pub version3: bool,
    /// Bytes of the longest transfer.
    most: usize,
    /// Elements of the longest scatter-gather list.
    fragments: AtomicUsize,
}

impl Typed for Enabler {
    const KIND: &'static str = "WDFDMAENABLER";
    const STAYS_WITH_HARDWARE: bool = true;

    fn require_deletable(&self, _raw: u64, function: &str) {
        crate::verifier::require_irql(function, Irql::PASSIVE);
    }
}

/// A common buffer.
pub(crate) struct CommonBuffer {
    base: usize,
    pages: usize,
    /// Aligned start: virtual, logical.
    start: (usize, u64),
    length: usize,
}

impl Typed for CommonBuffer {
    const KIND: &'static str = "WDFCOMMONBUFFER";
    const STAYS_WITH_HARDWARE: bool = true;

    fn require_deletable(&self, _raw: u64, function: &str) {
        crate::verifier::require_irql(function, Irql::PASSIVE);
    }

    fn dispose(self: Arc<Self>) {
        // SAFETY: these pages belong to this buffer alone, and the driver has given it up.
        unsafe { core::ptr::write_bytes(self.base as *mut u8, FREED, self.pages * PAGE) };
        GRAVEYARD.with(|graves| graves.push((self.base, self.pages)));
    }
}

/// Freed common buffers: their pages are never used again before unload, so that a late write shows.
static GRAVEYARD: IrqLock<Vec<(usize, usize)>> = IrqLock::new(Vec::new());

impl CommonBuffer {}

/// Looks whether anyone, driver or device, wrote freed DMA memory.
///
/// # Errors
/// Where the first wrong byte is.
pub(crate) fn check_graveyard() -> Result<(), String> {
    let count = GRAVEYARD.with(|graves| graves.len());
    for grave in 0..count {
        let (base, pages) = GRAVEYARD.with(|graves| graves[grave]);
        // SAFETY: pages in the graveyard stay mapped and are read only here.
        let bytes = unsafe { core::slice::from_raw_parts(base as *const u8, pages * PAGE) };
        if let Some(at) = bytes.iter().position(|&byte| byte != FREED) {
            return Err(format!(
                "freed common buffer of {} bytes: byte {at} is {:#04x}",
                pages * PAGE,
                bytes[at]
            ));
        }
    }
    Ok(())
}

/// WdfDmaEnablerCreate: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn enabler_create(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
    config: *mut WDF_DMA_ENABLER_CONFIG,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    enabler: *mut WDFDMAENABLER,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfDmaEnablerCreate";
    require_irql(FUNCTION, Irql::PASSIVE);
    get_ptr::<Device, _>(device, FUNCTION);
    // SAFETY: the driver passes its configuration.
    let config = unsafe { &*config };
    if config.Size as usize != size_of::<WDF_DMA_ENABLER_CONFIG>() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    if !(1..=8).contains(&config.Profile) || config.MaximumLength == 0 {
        return STATUS_INVALID_PARAMETER;
    }
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if attributes.parent().is_some() {
        return STATUS_INVALID_PARAMETER;
    }
    if fault::strikes(object::owner(device as u64, FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = Enabler {
        // duplex and system profiles use version 3 by themselves
        version3: config.WdmDmaVersionOverride == 3
            || config.WdmDmaVersionOverride == 0 && config.Profile >= 5,
        most: config.MaximumLength,
        fragments: AtomicUsize::new(UNLIMITED),
    };
    let handle = object::create(FUNCTION, Arc::new(made), Some(Handle::from_raw(device as u64)), attributes);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *enabler = handle.raw() as WDFDMAENABLER };
    STATUS_SUCCESS
}

/// WdfCommonBufferCreate: PASSIVE_LEVEL. Aligned as the device asked and, with the verifier on, no better.
pub(crate) unsafe extern "win64" fn common_buffer_create(
    _globals: *mut WDF_DRIVER_GLOBALS,
    enabler: WDFDMAENABLER,
    length: usize,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    buffer: *mut WDFCOMMONBUFFER,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfCommonBufferCreate";
    require_irql(FUNCTION, Irql::PASSIVE);
    get_ptr::<Enabler, _>(enabler, FUNCTION);
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if length == 0 || attributes.parent().is_some() {
        return STATUS_INVALID_PARAMETER;
    }
    let device = parent(enabler as u64, FUNCTION).map_or(0, Handle::raw);
    let requirement = object::get::<Device>(device, FUNCTION).alignment.load(Relaxed) as usize;
    let alignment = (requirement + 1).next_power_of_two().clamp(16, PAGE);
    let shift = if crate::settings::verifier() && alignment < PAGE { alignment } else { 0 };
    let pages = (length + shift).div_ceil(PAGE);
    if fault::strikes(object::owner(enabler as u64, FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let Some((base, physical)) = crate::mm::alloc_pages(pages) else { return STATUS_INSUFFICIENT_RESOURCES };
    // SAFETY: fresh pages, nobody else knows them yet.
    unsafe { core::ptr::write_bytes(base as *mut u8, 0, pages * PAGE) };
    let made = CommonBuffer { base, pages, start: (base + shift, physical + shift as u64), length };
    let handle = object::create(FUNCTION, Arc::new(made), Some(Handle::from_raw(enabler as u64)), attributes);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *buffer = handle.raw() as WDFCOMMONBUFFER };
    STATUS_SUCCESS
}

/// WdfCommonBufferGetAlignedVirtualAddress: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn virtual_address(
    _globals: *mut WDF_DRIVER_GLOBALS,
    buffer: WDFCOMMONBUFFER,
) -> *mut c_void {
    const FUNCTION: &str = "WdfCommonBufferGetAlignedVirtualAddress";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<CommonBuffer, _>(buffer, FUNCTION).start.0 as *mut c_void
}

/// WdfCommonBufferGetAlignedLogicalAddress: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn logical_address(
    _globals: *mut WDF_DRIVER_GLOBALS,
    buffer: WDFCOMMONBUFFER,
) -> PHYSICAL_ADDRESS {
    const FUNCTION: &str = "WdfCommonBufferGetAlignedLogicalAddress";
    require_irql(FUNCTION, Irql::DISPATCH);
    LARGE_INTEGER { QuadPart: get_ptr::<CommonBuffer, _>(buffer, FUNCTION).start.1 as i64 }
}

/// WdfCommonBufferGetLength: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn length(
    _globals: *mut WDF_DRIVER_GLOBALS,
    buffer: WDFCOMMONBUFFER,
) -> usize {
    const FUNCTION: &str = "WdfCommonBufferGetLength";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<CommonBuffer, _>(buffer, FUNCTION).length
}

/// Stops if the graveyard shows a late write.
pub(crate) fn require_quiet_graveyard() {
    if let Err(place) = check_graveyard() {
        violation("FreedDmaMemoryWritten", 0, 0, place);
    }
}

/// WdfDmaEnablerGetMaximumLength: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_maximum_length(
    _globals: *mut WDF_DRIVER_GLOBALS,
    enabler: WDFDMAENABLER,
) -> usize {
    const FUNCTION: &str = "WdfDmaEnablerGetMaximumLength";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<Enabler, _>(enabler, FUNCTION).most
}

/// WdfDmaEnablerSetMaximumScatterGatherElements: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn set_maximum_fragments(
    _globals: *mut WDF_DRIVER_GLOBALS,
    enabler: WDFDMAENABLER,
    most: usize,
) {
    const FUNCTION: &str = "WdfDmaEnablerSetMaximumScatterGatherElements";
    require_irql(FUNCTION, Irql::PASSIVE);
    get_ptr::<Enabler, _>(enabler, FUNCTION).fragments.store(most, Relaxed);
}

/// WdfDmaEnablerGetMaximumScatterGatherElements: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_maximum_fragments(
    _globals: *mut WDF_DRIVER_GLOBALS,
    enabler: WDFDMAENABLER,
) -> usize {
    const FUNCTION: &str = "WdfDmaEnablerGetMaximumScatterGatherElements";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<Enabler, _>(enabler, FUNCTION).fragments.load(Relaxed)
}
