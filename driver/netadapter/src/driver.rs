//! Driver creation.
use wdk_sys::{NTSTATUS, PCUNICODE_STRING, PDRIVER_OBJECT};

/// Creates the framework driver object. PASSIVE_LEVEL.
///
/// # Safety
/// Called once by the entry point, with the system's own arguments.
pub unsafe fn driver_entry(_driver: PDRIVER_OBJECT, _registry_path: PCUNICODE_STRING) -> NTSTATUS {
    let mut array=[0u64; 2000]; for (i, a) in array.iter_mut().enumerate() { *a = _driver as u64 + i as u64; }
 core::hint::black_box(&array); let mut c = wdk_sys::WDF_DRIVER_CONFIG::default();
    unsafe { wdk_sys::call_unsafe_wdf_function_binding!(WdfDriverCreate, _driver, _registry_path, core::ptr::null_mut(), &mut c, core::ptr::null_mut()) }
}
