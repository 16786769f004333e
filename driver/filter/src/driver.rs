//! Entry and unload of the driver; what belongs to no module.

use core::{
    fmt,
    ptr::{null_mut, with_exposed_provenance_mut},
    sync::atomic::{AtomicPtr, AtomicU64, Ordering},
};

use cancelnic_kernel::{
    check,
    print::{self, Level},
    text::{counted, utf16},
};
use ndis_sys::{
    NDIS_FILTER_CHARACTERISTICS_REVISION_3, NDIS_FILTER_DRIVER_CHARACTERISTICS, NDIS_HANDLE,
    NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_FILTER_DRIVER_CHARACTERISTICS,
    NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_3, NdisFDeregisterFilterDriver,
    NdisFRegisterFilterDriver, NdisGeneratePartialCancelId,
};
use wdk_sys::{NTSTATUS, PDRIVER_OBJECT, PUNICODE_STRING, STATUS_SUCCESS};

use crate::{control, datapath, events, module, requests};

/// Tag of this driver's allocations: `cnlf` as it reads in memory.
pub const POOL_TAG: u32 = u32::from_le_bytes(*b"cnlf");

/// NDIS version of the characteristics: that of Windows 10 2004, on which the NIC's driver begins too.
const NDIS_VERSION: (u8, u8) = (6, 84);
/// Version of this driver, as NDIS keeps it.
const VERSION: (u8, u8) = (0, 1);

static FRIENDLY_NAME: [u16; 32] = utf16(b"cancelnic cancel-by-ID filter");
const FRIENDLY_NAME_LENGTH: usize = b"cancelnic cancel-by-ID filter".len();
/// NetCfgInstanceId of the INF.
static UNIQUE_NAME: [u16; 38] = utf16(b"{d1a5c0f2-7b64-4b0e-9a57-3c1f8e6b2d40}");
static SERVICE_NAME: [u16; 13] = utf16(b"cancelnic-lwf");

/// The registered filter driver.
static HANDLE: AtomicPtr<core::ffi::c_void> = AtomicPtr::new(null_mut());
/// High-order byte of this driver's cancellation IDs.
static PARTIAL_ID: AtomicU64 = AtomicU64::new(0);
/// The other bytes of the last one.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// Bits of a cancellation ID below the partial one.
const LOW_BITS: u32 = 56;

/// A cancellation ID that this driver has not used before: the partial ID in bits 63..56, a number below it that is
/// not 0, so that no ID is NULL. Any IRQL.
pub fn new_cancel_id() -> u64 {
    loop {
        let low = (LAST_ID.fetch_add(1, Ordering::Relaxed) + 1) & (u64::MAX >> (u64::BITS - LOW_BITS));
        if low != 0 {
            return PARTIAL_ID.load(Ordering::Relaxed) << LOW_BITS | low;
        }
    }
}

/// Whether the ID is one of this driver's.
pub fn is_own_id(id: u64) -> bool {
    id >> LOW_BITS == PARTIAL_ID.load(Ordering::Relaxed)
}

/// A cancellation ID as NDIS's functions take it.
pub fn id_pointer(id: u64) -> *mut core::ffi::c_void {
    with_exposed_provenance_mut(id as usize)
}

/// Prints one line that begins with the driver's name. Any IRQL up to DISPATCH_LEVEL.
pub fn line(level: Level, arguments: fmt::Arguments<'_>) {
    print::line(level, format_args!("cancelnic-lwf: {arguments}"));
}

/// Entry point of the image. PASSIVE_LEVEL.
///
/// # Safety
/// Called by the system, once per load, with a valid driver object.
#[unsafe(export_name = "DriverEntry")]
pub unsafe extern "C" fn driver_entry(driver: PDRIVER_OBJECT, _registry_path: PUNICODE_STRING) -> NTSTATUS {
    // SAFETY: the driver object is the system's, and this driver's to fill in here.
    unsafe { (*driver).DriverUnload = Some(unload) };
    match start(driver) {
        Ok(()) => STATUS_SUCCESS,
        Err(status) => {
            line(Level::Error, format_args!("does not start (status {status:#010x})"));
            status
        }
    }
}

fn start(driver: PDRIVER_OBJECT) -> Result<(), NTSTATUS> {
    // Modules may be attached before the registration returns: what they need comes first.
    // SAFETY: may be called at any IRQL up to DISPATCH_LEVEL.
    let partial = unsafe { NdisGeneratePartialCancelId() };
    PARTIAL_ID.store(u64::from(partial), Ordering::Relaxed);
    let mut characteristics = characteristics();
    let mut handle: NDIS_HANDLE = null_mut();
    // SAFETY: the driver object is the system's; NDIS copies the characteristics and writes the handle.
    check(unsafe {
        NdisFRegisterFilterDriver(driver, null_mut(), &raw mut characteristics, &raw mut handle)
    })?;
    HANDLE.store(handle, Ordering::Relaxed);
    // SAFETY: the filter driver has just been registered.
    if let Err(status) = unsafe { control::make_device(handle) } {
        // SAFETY: registered above, deregistered once.
        unsafe { NdisFDeregisterFilterDriver(handle) };
        return Err(status);
    }
    line(Level::Info, format_args!("loaded, cancellation IDs begin with {partial:#04x}"));
    Ok(())
}

/// Unload routine. PASSIVE_LEVEL.
unsafe extern "C" fn unload(_driver: PDRIVER_OBJECT) {
    // SAFETY: made in `start`; no file is open on the device any more, else the system would not unload.
    unsafe { control::remove_device() };
    // SAFETY: registered in `start`; modules that are left are detached inside.
    unsafe { NdisFDeregisterFilterDriver(HANDLE.load(Ordering::Relaxed)) };
}

fn characteristics() -> NDIS_FILTER_DRIVER_CHARACTERISTICS {
    NDIS_FILTER_DRIVER_CHARACTERISTICS {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_FILTER_DRIVER_CHARACTERISTICS,
            NDIS_FILTER_CHARACTERISTICS_REVISION_3,
            NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_3,
        ),
        MajorNdisVersion: NDIS_VERSION.0,
        MinorNdisVersion: NDIS_VERSION.1,
        MajorDriverVersion: VERSION.0,
        MinorDriverVersion: VERSION.1,
        Flags: 0,
        FriendlyName: counted(&FRIENDLY_NAME[..FRIENDLY_NAME_LENGTH]),
        UniqueName: counted(&UNIQUE_NAME),
        ServiceName: counted(&SERVICE_NAME),
        SetOptionsHandler: None,
        SetFilterModuleOptionsHandler: Some(module::set_options),
        AttachHandler: Some(module::attach),
        DetachHandler: Some(module::detach),
        RestartHandler: Some(module::restart),
        PauseHandler: Some(module::pause),
        SendNetBufferListsHandler: Some(datapath::send),
        SendNetBufferListsCompleteHandler: Some(datapath::send_complete),
        CancelSendNetBufferListsHandler: Some(datapath::cancel_send),
        ReceiveNetBufferListsHandler: Some(datapath::receive),
        ReturnNetBufferListsHandler: Some(datapath::give_back),
        OidRequestHandler: Some(requests::request),
        OidRequestCompleteHandler: Some(requests::complete),
        CancelOidRequestHandler: Some(requests::cancel),
        DevicePnPEventNotifyHandler: Some(events::device),
        NetPnPEventHandler: Some(events::network),
        StatusHandler: Some(events::status),
        // NDIS takes these past the filter
        DirectOidRequestHandler: None,
        DirectOidRequestCompleteHandler: None,
        CancelDirectOidRequestHandler: None,
        SynchronousOidRequestHandler: None,
        SynchronousOidRequestCompleteHandler: None,
    }
}
