//! References to framework objects.

use core::{ffi::CStr, ptr::null_mut};

use wdk_sys::{WDFOBJECT, call_unsafe_wdf_function_binding};

/// Where the framework's records say that a reference was taken.
const FILE: &CStr = c"object.rs";

/// Takes a reference: the object's memory stays until [`dereference`], whatever happens to it. At most
/// DISPATCH_LEVEL.
///
/// # Safety
/// `object` is alive.
pub unsafe fn reference(object: WDFOBJECT) {
    // SAFETY: as the caller vouches.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfObjectReferenceActual,
            object,
            null_mut(),
            line!() as i32,
            FILE.as_ptr()
        );
    }
}

/// Gives a reference back. At most DISPATCH_LEVEL.
///
/// # Safety
/// [`reference`] was called for it, and the caller does not use `object` afterwards.
pub unsafe fn dereference(object: WDFOBJECT) {
    // SAFETY: as the caller vouches.
    unsafe {
        call_unsafe_wdf_function_binding!(
            WdfObjectDereferenceActual,
            object,
            null_mut(),
            line!() as i32,
            FILE.as_ptr()
        );
    }
}
