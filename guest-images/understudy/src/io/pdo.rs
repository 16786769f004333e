//! The bus driver's device at the bottom of each stack. Nobody serves it: its driver has no dispatch routines, so that
//! the I/O manager completes what comes down to it, control requests and all, with STATUS_INVALID_DEVICE_REQUEST.

use super::device::{self, Dispatch, New};
use crate::mm::Owner;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use spin::Once;
use wdk_offline::{DEVICE_OBJECT, DRIVER_OBJECT, NTSTATUS};

/// FILE_DEVICE_UNKNOWN.
const UNKNOWN: u32 = 0x22;

/// A physical device object.
pub(crate) struct Pdo(AtomicPtr<DEVICE_OBJECT>);

/// The bus driver's DRIVER_OBJECT, one for every bus there is here; never given back.
fn bus_driver() -> *mut DRIVER_OBJECT {
    static BUS: Once<AtomicPtr<DRIVER_OBJECT>> = Once::new();
    BUS.call_once(|| {
        AtomicPtr::new(Box::into_raw(Box::new(DRIVER_OBJECT {
            Type: 4,
            Size: size_of::<DRIVER_OBJECT>() as i16,
            DriverName: crate::mm::leak_unicode("\\Driver\\understudy-bus"),
            ..DRIVER_OBJECT::default()
        })))
    })
    .load(Relaxed)
}

impl Pdo {
    /// The device for a new stack. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// As [`device::create`].
    pub(crate) fn new() -> Result<Self, NTSTATUS> {
        let made = device::create(&New {
            driver: bus_driver(),
            owner: Owner::UNDERSTUDY,
            name: None,
            extension: 0,
            stack: 1,
            kind: UNKNOWN,
            characteristics: 0,
            dispatch: Dispatch::Driver,
        })?;
        Ok(Self(AtomicPtr::new(made)))
    }

    /// Its device object.
    pub(crate) fn object(&self) -> *mut DEVICE_OBJECT {
        self.0.load(Relaxed)
    }

    /// IoAttachDeviceToDeviceStack: `above` is the next device of the stack from now on. Stack locations that an IRP for
    /// that one needs.
    pub(crate) fn attach(&self, above: *mut DEVICE_OBJECT) {
        // SAFETY: both live, and nobody sends anything to either yet.
        unsafe {
            (*self.object()).AttachedDevice = above;
            (*above).StackSize = (*self.object()).StackSize + 1;
        }
    }
}

impl Drop for Pdo {
    fn drop(&mut self) {
        device::delete(self.object());
    }
}
