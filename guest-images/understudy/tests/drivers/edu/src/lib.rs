//! `test-driver-edu.sys`: a driver of QEMU's `edu`, the PCI device that QEMU's documentation has for people who learn to write
//! drivers (docs/specs/edu.rst). A model of its kind, in KMDF alone: registers, one interrupt, power.
//!
//! 1. EvtDevicePrepareHardware maps the first memory resource, which is BAR 0, and looks whether the device is there.
//! 2. EvtDeviceD0EntryPostInterruptsEnabled lets the device compute 10!, and waits for the interrupt that announces it: a device
//!    whose interrupts do not arrive does not start.
//! 3. EvtInterruptIsr asks the device whether the interrupt is its, acknowledges it, and queues the DPC, which reads the result.
//! 4. EvtDeviceReleaseHardware gives the mapping back.
//!
//! The features are its mutants. Elsewhere than on Windows the crate is empty.
#![cfg(target_os = "windows")]
#![no_std]

mod device;
mod registers;

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
