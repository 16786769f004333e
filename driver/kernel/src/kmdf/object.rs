//! References to framework objects, and their end.

use core::{ffi::CStr, ptr::null_mut};

use wdk_sys::{WDFOBJECT, call_unsafe_wdf_function_binding};

/// Where the framework's records say that a reference was taken.
const FILE: &CStr = c"object.rs";

/// A reference on an object: its memory stays until the value is dropped, whatever happens to the object.
#[derive(Debug)]
pub struct Reference(WDFOBJECT);

impl Reference {
    /// Takes the reference. At most DISPATCH_LEVEL.
    ///
    /// # Safety
    /// `object` is alive, or kept by another reference.
    #[must_use]
    pub unsafe fn new(object: WDFOBJECT) -> Self {
        // SAFETY: the caller vouches for the object; the file name is a static.
        unsafe {
            call_unsafe_wdf_function_binding!(
                WdfObjectReferenceActual,
                object,
                null_mut(),
                line!() as i32,
                FILE.as_ptr()
            );
        }
        Self(object)
    }

    /// The reference stays when the value goes; [`Self::again`] brings it back.
    pub fn leave(self) {
        core::mem::forget(self);
    }

    /// A reference that was left.
    ///
    /// # Safety
    /// It was left by [`Self::leave`] for this object, and is brought back once.
    #[must_use]
    pub const unsafe fn again(object: WDFOBJECT) -> Self {
        Self(object)
    }
}

impl Drop for Reference {
    /// At most DISPATCH_LEVEL.
    fn drop(&mut self) {
        // SAFETY: this value's own reference, given back once; the file name is a static.
        unsafe {
            call_unsafe_wdf_function_binding!(
                WdfObjectDereferenceActual,
                self.0,
                null_mut(),
                line!() as i32,
                FILE.as_ptr()
            );
        }
    }
}

/// Deletes an object. At most DISPATCH_LEVEL, unless the object's kind asks for PASSIVE_LEVEL.
///
/// # Safety
/// The driver made the object, which may be deleted now, and does not use it afterwards but through a [`Reference`].
pub unsafe fn delete(object: WDFOBJECT) {
    // SAFETY: the caller vouches for the object.
    unsafe { call_unsafe_wdf_function_binding!(WdfObjectDelete, object) };
}
