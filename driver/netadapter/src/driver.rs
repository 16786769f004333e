//! The image's entry point, and the framework's driver object.

use core::mem::size_of;

use cancelnic_kernel::kmdf::loader;
use wdk_sys::{
    NTSTATUS, PCUNICODE_STRING, PDRIVER_OBJECT, ULONG, WDF_DRIVER_CONFIG, WDF_NO_HANDLE,
    WDF_NO_OBJECT_ATTRIBUTES, call_unsafe_wdf_function_binding,
};

use crate::{class::CLASSES, device::evt_device_add, report::POOL_TAG};

/// Entry point of the image. PASSIVE_LEVEL.
///
/// # Safety
/// Called by the system, once per load, with a valid driver object and registry path.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn FxDriverEntry(
    driver: PDRIVER_OBJECT,
    registry_path: PCUNICODE_STRING,
) -> NTSTATUS {
    // SAFETY: the arguments are the system's; the class's request is complete and ours alone.
    unsafe { loader::enter(driver, registry_path, &CLASSES, driver_entry) }
}

/// Creates the framework's driver object. PASSIVE_LEVEL.
///
/// # Safety
/// Called once by the entry point, with the system's own arguments, after the bindings are made.
unsafe fn driver_entry(driver: PDRIVER_OBJECT, registry_path: PCUNICODE_STRING) -> NTSTATUS {
    let mut config = WDF_DRIVER_CONFIG {
        Size: size_of::<WDF_DRIVER_CONFIG>() as ULONG,
        EvtDriverDeviceAdd: Some(evt_device_add),
        DriverPoolTag: POOL_TAG,
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
