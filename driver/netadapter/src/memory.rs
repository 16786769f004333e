//! Memory that driver and device share: framework common buffers.

use core::ptr::{NonNull, null_mut};

use cancelnic_kernel::kmdf::object::{self, Reference};
use wdk_sys::{
    NT_SUCCESS, NTSTATUS, WDF_NO_OBJECT_ATTRIBUTES, WDFCOMMONBUFFER, WDFDMAENABLER,
    call_unsafe_wdf_function_binding,
};

/// A common buffer, zeroed when it is made.
pub(crate) struct CommonBuffer {
    handle: WDFCOMMONBUFFER,
    address: NonNull<u8>,
    /// Address for the device.
    logical: u64,
    length: usize,
}

// SAFETY: it owns its memory, and a framework handle may be used in any thread.
unsafe impl Send for CommonBuffer {}

impl CommonBuffer {
    /// Allocates `length` bytes, aligned as the device demands. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// `enabler` is alive and outlives the buffer.
    pub(crate) unsafe fn new(enabler: WDFDMAENABLER, length: usize) -> Result<Self, NTSTATUS> {
        let mut handle = null_mut();
        // SAFETY: the enabler is alive; the handle is written on success only.
        let status = unsafe {
            call_unsafe_wdf_function_binding!(
                WdfCommonBufferCreate,
                enabler,
                length,
                WDF_NO_OBJECT_ATTRIBUTES,
                &raw mut handle
            )
        };
        if !NT_SUCCESS(status) {
            return Err(status);
        }
        // SAFETY: the buffer was just made.
        let address =
            unsafe { call_unsafe_wdf_function_binding!(WdfCommonBufferGetAlignedVirtualAddress, handle) };
        // SAFETY: the buffer was just made.
        let logical =
            unsafe { call_unsafe_wdf_function_binding!(WdfCommonBufferGetAlignedLogicalAddress, handle) };
        // SAFETY: a number in whichever form.
        let logical = unsafe { logical.QuadPart } as u64;
        let address = NonNull::new(address.cast::<u8>()).ok_or(wdk_sys::STATUS_INSUFFICIENT_RESOURCES)?;
        // SAFETY: the buffer has `length` bytes and nobody else knows it yet.
        unsafe { address.write_bytes(0, length) };
        Ok(Self { handle, address, logical, length })
    }

    /// First byte, for the processor.
    pub(crate) const fn address(&self) -> NonNull<u8> {
        self.address
    }

    /// First byte, for the device.
    pub(crate) const fn logical(&self) -> u64 {
        self.logical
    }

    /// Length in bytes.
    pub(crate) const fn length(&self) -> usize {
        self.length
    }

    /// Keeps the memory for ever, also when the device object goes.
    pub(crate) fn leak(self) {
        // SAFETY: the buffer is alive.
        unsafe { Reference::new(self.handle.cast()) }.leave();
    }

    /// Frees the buffer. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// The device accesses it no more, and no pointer into it is used again.
    pub(crate) unsafe fn free(self) {
        // SAFETY: made by `new`, freed once since `self` is taken; the caller vouches for the device and for pointers.
        unsafe { object::delete(self.handle.cast()) };
    }
}
