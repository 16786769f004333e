//! I/O targets: the way to another device.

use core::ptr::null_mut;

use wdk_sys::{
    _WDF_IO_TARGET_OPEN_TYPE, _WDF_IO_TARGET_PURGE_IO_ACTION, _WDF_IO_TARGET_SENT_IO_ACTION,
    _WDF_IO_TARGET_STATE, FILE_OPEN, FILE_SHARE_READ, FILE_SHARE_WRITE, GENERIC_READ, GENERIC_WRITE,
    NTSTATUS, PDEVICE_OBJECT, ULONG, WDF_IO_TARGET_OPEN_PARAMS, WDF_NO_OBJECT_ATTRIBUTES, WDFIOTARGET,
    call_unsafe_wdf_function_binding,
};

use super::device::Device;
use crate::{check, text::counted};

/// A target of this driver's device. It lives as long as the device; the value is used in one of its callbacks, or kept in
/// its context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoTarget(WDFIOTARGET);

impl IoTarget {
    /// The local target: the next lower device of `device`'s stack.
    #[must_use]
    pub fn below(device: Device) -> Self {
        // SAFETY: the device is alive; the target is its child.
        Self(unsafe { call_unsafe_wdf_function_binding!(WdfDeviceGetIoTarget, device.handle()) })
    }

    /// Makes a remote target, not open yet. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status.
    pub fn create(device: Device) -> Result<Self, NTSTATUS> {
        let mut target = null_mut();
        // SAFETY: the device is alive; the handle is written on success.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfIoTargetCreate,
                device.handle(),
                WDF_NO_OBJECT_ATTRIBUTES,
                &raw mut target
            )
        })?;
        Ok(Self(target))
    }

    /// Its handle.
    #[must_use]
    pub const fn handle(self) -> WDFIOTARGET {
        self.0
    }

    /// Opens the device with this name, for reading and writing, shared. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status.
    pub fn open(self, name: &[u16]) -> Result<(), NTSTATUS> {
        let mut parameters = WDF_IO_TARGET_OPEN_PARAMS {
            Size: size_of::<WDF_IO_TARGET_OPEN_PARAMS>() as ULONG,
            Type: _WDF_IO_TARGET_OPEN_TYPE::WdfIoTargetOpenByName,
            TargetDeviceName: counted(name),
            DesiredAccess: GENERIC_READ | GENERIC_WRITE,
            ShareAccess: FILE_SHARE_READ | FILE_SHARE_WRITE,
            CreateDisposition: FILE_OPEN,
            ..WDF_IO_TARGET_OPEN_PARAMS::default()
        };
        // SAFETY: the target is alive; name and parameters live over the call.
        check(unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetOpen, self.0, &raw mut parameters) })
    }

    /// Closes a remote target: what is under way is recalled and waited for. PASSIVE_LEVEL.
    pub fn close(self) {
        // SAFETY: the target is alive.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetClose, self.0) };
    }

    /// WdfIoTargetStart. At most DISPATCH_LEVEL.
    #[must_use]
    pub fn start(self) -> NTSTATUS {
        // SAFETY: the target is alive.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetStart, self.0) }
    }

    /// WdfIoTargetStop. PASSIVE_LEVEL, if it waits for what is under way.
    pub fn stop(self, action: _WDF_IO_TARGET_SENT_IO_ACTION::Type) {
        // SAFETY: the target is alive.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetStop, self.0, action) };
    }

    /// WdfIoTargetPurge. PASSIVE_LEVEL, if it waits for what is under way.
    pub fn purge(self, action: _WDF_IO_TARGET_PURGE_IO_ACTION::Type) {
        // SAFETY: the target is alive.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetPurge, self.0, action) };
    }

    /// Its state, as the framework numbers them. At most DISPATCH_LEVEL.
    #[must_use]
    pub fn state(self) -> _WDF_IO_TARGET_STATE::Type {
        // SAFETY: the target is alive.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetGetState, self.0) }
    }

    /// The system's device object behind it, while it is open.
    #[must_use]
    pub fn wdm(self) -> PDEVICE_OBJECT {
        // SAFETY: the target is alive.
        unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetWdmGetTargetDeviceObject, self.0) }
    }
}
