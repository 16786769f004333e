//! The framework's device object.

use core::ptr::null_mut;

use wdk_sys::{
    _WDF_DEVICE_FAILED_ACTION, GUID, NTSTATUS, PDEVICE_OBJECT, WDFDEVICE, WDFOBJECT,
    call_unsafe_wdf_function_binding,
};

use super::target::IoTarget;
use crate::check;

/// A device of this driver.
///
/// It is alive as long as the value is used: the holder is in a callback of the device or of one of its children, or is
/// kept in the context of one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device(WDFDEVICE);

impl Device {
    /// The device with this handle.
    ///
    /// # Safety
    /// It is a device of this driver, alive as long as the value, or what is made from it, is used.
    #[must_use]
    pub const unsafe fn new(handle: WDFDEVICE) -> Self {
        Self(handle)
    }

    /// Its handle.
    #[must_use]
    pub const fn handle(self) -> WDFDEVICE {
        self.0
    }

    /// It, as an object.
    #[must_use]
    pub const fn object(self) -> WDFOBJECT {
        self.0.cast()
    }

    /// Lets programs and drivers find the device by an interface, once it has started. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status.
    pub fn create_interface(self, class: &'static GUID) -> Result<(), NTSTATUS> {
        // SAFETY: the device is alive; the class is a static, no reference string is given.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfDeviceCreateDeviceInterface,
                self.0,
                &raw const *class,
                null_mut()
            )
        })
    }

    /// Reports the device as failed: the system restarts it. At most DISPATCH_LEVEL.
    pub fn set_failed(self) {
        // SAFETY: the device is alive.
        unsafe {
            call_unsafe_wdf_function_binding!(
                WdfDeviceSetFailed,
                self.0,
                _WDF_DEVICE_FAILED_ACTION::WdfDeviceFailedAttemptRestart
            );
        }
    }

    /// The local target: the next lower device of the stack, alive as long as this one.
    #[must_use]
    pub fn lower_target(self) -> IoTarget {
        // SAFETY: the device is alive.
        let target = unsafe { call_unsafe_wdf_function_binding!(WdfDeviceGetIoTarget, self.0) };
        // SAFETY: the target is the device's child.
        unsafe { IoTarget::new(target) }
    }

    /// The system's device object, alive as long as this one.
    #[must_use]
    pub fn wdm(self) -> PDEVICE_OBJECT {
        // SAFETY: the device is alive.
        unsafe { call_unsafe_wdf_function_binding!(WdfDeviceWdmGetDeviceObject, self.0) }
    }
}
