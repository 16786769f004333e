//! Entry and unload of the driver.

use core::{
    ptr::null_mut,
    sync::atomic::{AtomicPtr, Ordering},
};

use cancelnic_kernel::{check, print::Level};
use ndis_sys::{NDIS_HANDLE, NdisFDeregisterFilterDriver, NdisFRegisterFilterDriver};
use wdk_sys::{NTSTATUS, PDRIVER_OBJECT, PUNICODE_STRING, STATUS_SUCCESS};

use crate::{control, handlers, ids, report::line};

/// The registered filter driver.
static HANDLE: AtomicPtr<core::ffi::c_void> = AtomicPtr::new(null_mut());

/// Entry point of the image. PASSIVE_LEVEL.
///
/// # Safety
/// Called by the system, once per load, with a valid driver object.
#[unsafe(export_name = "DriverEntry")]
pub(crate) unsafe extern "C" fn driver_entry(
    driver: PDRIVER_OBJECT,
    _registry_path: PUNICODE_STRING,
) -> NTSTATUS {
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
    let partial = ids::begin();
    let mut characteristics = handlers::characteristics();
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
