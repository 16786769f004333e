//! The framework's device object.

use core::ptr::{null, null_mut};

use wdk_sys::{
    _WDF_DEVICE_FAILED_ACTION, _WDF_FILEOBJECT_CLASS, _WDF_TRI_STATE, BOOLEAN, FILE_DEVICE_SECURE_OPEN, GUID,
    NTSTATUS, PDEVICE_OBJECT, PFN_WDF_FILE_CLEANUP, PWDFDEVICE_INIT, TRUE, ULONG, WDF_FILEOBJECT_CONFIG,
    WDF_NO_OBJECT_ATTRIBUTES, WDF_OBJECT_ATTRIBUTES, WDF_PNPPOWER_EVENT_CALLBACKS, WDFDEVICE, WDFFILEOBJECT,
    WDFOBJECT, call_unsafe_wdf_function_binding,
};

use crate::{check, text::counted};

/// What a device is made from.
///
/// The holder is in EvtDriverDeviceAdd. Making the device takes the value, as it uses the framework's structure up.
pub struct DeviceInit(PWDFDEVICE_INIT);

impl DeviceInit {
    /// The init structure that EvtDriverDeviceAdd is called with.
    ///
    /// # Safety
    /// `init` is that callback's argument, the value is used in it only, and there is no other for the structure.
    #[must_use]
    pub const unsafe fn new(init: PWDFDEVICE_INIT) -> Self {
        Self(init)
    }

    /// The framework's structure, for a class extension.
    #[must_use]
    pub const fn handle(&self) -> PWDFDEVICE_INIT {
        self.0
    }

    /// Which PnP and power callbacks the device has.
    pub fn set_power_callbacks(&mut self, callbacks: WDF_PNPPOWER_EVENT_CALLBACKS) {
        let size = size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() as ULONG;
        let mut callbacks = WDF_PNPPOWER_EVENT_CALLBACKS { Size: size, ..callbacks };
        // SAFETY: the structure is EvtDriverDeviceAdd's and not used up; the callbacks live over the call.
        unsafe {
            call_unsafe_wdf_function_binding!(
                WdfDeviceInitSetPnpPowerEventCallbacks,
                self.0,
                &raw mut callbacks
            );
        }
    }

    /// Programs open the device: `cleanup` comes when a file's last handle is closed.
    pub fn set_files(&mut self, cleanup: PFN_WDF_FILE_CLEANUP) {
        let mut files = WDF_FILEOBJECT_CONFIG {
            Size: size_of::<WDF_FILEOBJECT_CONFIG>() as ULONG,
            EvtFileCleanup: cleanup,
            AutoForwardCleanupClose: _WDF_TRI_STATE::WdfUseDefault,
            FileObjectClass: _WDF_FILEOBJECT_CLASS::WdfFileObjectWdfCannotUseFsContexts,
            ..WDF_FILEOBJECT_CONFIG::default()
        };
        // SAFETY: the structure is EvtDriverDeviceAdd's and not used up; the configuration lives over the call.
        unsafe {
            call_unsafe_wdf_function_binding!(
                WdfDeviceInitSetFileObjectConfig,
                self.0,
                &raw mut files,
                WDF_NO_OBJECT_ATTRIBUTES
            );
        }
    }

    /// Names below the device's are as closed as the device. Not for a network device: NetDeviceInitConfig does it, and
    /// characteristics after it are undefined.
    pub fn secure_names(&mut self) {
        // SAFETY: the structure is EvtDriverDeviceAdd's and not used up.
        unsafe {
            call_unsafe_wdf_function_binding!(
                WdfDeviceInitSetCharacteristics,
                self.0,
                FILE_DEVICE_SECURE_OPEN,
                TRUE as BOOLEAN
            );
        }
    }

    /// Makes the device. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status; the framework frees the structure.
    pub fn create(mut self, mut attributes: WDF_OBJECT_ATTRIBUTES) -> Result<Device, NTSTATUS> {
        let mut device = null_mut();
        // SAFETY: the structure is EvtDriverDeviceAdd's and used up here; everything passed by address lives over the call.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfDeviceCreate,
                &raw mut self.0,
                &raw mut attributes,
                &raw mut device
            )
        })?;
        Ok(Device(device))
    }
}

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

    /// The device that a file is open on.
    ///
    /// # Safety
    /// `file` is the argument of one of its callbacks.
    #[must_use]
    pub unsafe fn of_file(file: WDFFILEOBJECT) -> Self {
        // SAFETY: the caller vouches for the file, whose device outlives it.
        Self(unsafe { call_unsafe_wdf_function_binding!(WdfFileObjectGetDevice, file) })
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

    /// Lets programs and drivers find the device by an interface, once it has started; files that are opened by it have
    /// the name `reference` below the device, none if it is empty. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// The framework's status.
    pub fn create_interface(self, class: &'static GUID, reference: &[u16]) -> Result<(), NTSTATUS> {
        let name = counted(reference);
        let name = if reference.is_empty() { null() } else { &raw const name };
        // SAFETY: the device is alive; the class is a static, the name lives over the call and is only read.
        check(unsafe {
            call_unsafe_wdf_function_binding!(WdfDeviceCreateDeviceInterface, self.0, &raw const *class, name)
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

    /// The system's device object, alive as long as this one.
    #[must_use]
    pub fn wdm(self) -> PDEVICE_OBJECT {
        // SAFETY: the device is alive.
        unsafe { call_unsafe_wdf_function_binding!(WdfDeviceWdmGetDeviceObject, self.0) }
    }
}
