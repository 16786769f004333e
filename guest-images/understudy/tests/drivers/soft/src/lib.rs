//! `test-driver-soft.sys`: a driver of a root-enumerated device, which has neither registers nor interrupts. A model of its kind,
//! in KMDF alone: what it needs while it is in D0 it allocates in EvtDeviceD0Entry, all of it or nothing, and frees in
//! EvtDeviceD0Exit.
//!
//! The features are its mutants. Elsewhere than on Windows the crate is empty.
#![cfg(target_os = "windows")]
#![no_std]

mod device;

use cancelnic_kernel::kmdf::loader;
use wdk_sys::{
    NTSTATUS, PCUNICODE_STRING, PDRIVER_OBJECT, ULONG, WDF_DRIVER_CONFIG, WDF_NO_HANDLE,
    WDF_NO_OBJECT_ATTRIBUTES, call_unsafe_wdf_function_binding,
};

/// Entry point of the image. PASSIVE_LEVEL.
///
/// # Safety
/// Called by the system, once per load, with a valid driver object and registry path.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn FxDriverEntry(driver: PDRIVER_OBJECT, registry_path: PCUNICODE_STRING) -> NTSTATUS {
    // SAFETY: the arguments are the system's.
    unsafe { loader::enter(driver, registry_path, &[], driver_entry) }
}

/// Creates the framework's driver object. PASSIVE_LEVEL.
unsafe fn driver_entry(driver: PDRIVER_OBJECT, registry_path: PCUNICODE_STRING) -> NTSTATUS {
    let mut config = WDF_DRIVER_CONFIG {
        Size: size_of::<WDF_DRIVER_CONFIG>() as ULONG,
        EvtDriverDeviceAdd: Some(device::evt_device_add),
        ..WDF_DRIVER_CONFIG::default()
    };
    // SAFETY: the arguments are the system's; the configuration lives over the call.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfDriverCreate,
            driver,
            registry_path,
            WDF_NO_OBJECT_ATTRIBUTES,
            &raw mut config,
            WDF_NO_HANDLE.cast()
        )
    }
}
