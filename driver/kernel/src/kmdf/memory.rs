//! Memory that lives as long as a framework object.

use core::{
    ptr::{NonNull, null_mut},
    slice,
};

use wdk_sys::{
    _POOL_TYPE, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, WDFMEMORY, WDFOBJECT,
    call_unsafe_wdf_function_binding,
};

use super::{context, device::Device};
use crate::check;

/// Non-paged memory, aligned to 16 bytes, that is freed with its parent. Nobody but its holder knows of it.
#[derive(Debug)]
pub struct Memory {
    /// The framework's object, for the framework's functions.
    pub handle: WDFMEMORY,
    /// The first byte.
    pub start: NonNull<u8>,
}

impl Memory {
    /// Allocates `length` bytes under `tag`. At most DISPATCH_LEVEL.
    ///
    /// # Safety
    /// `parent` is alive.
    ///
    /// # Errors
    /// The framework's status, for want of memory.
    pub unsafe fn new(parent: WDFOBJECT, tag: u32, length: usize) -> Result<Self, NTSTATUS> {
        let mut attributes = context::plain_attributes();
        attributes.ParentObject = parent;
        let (mut handle, mut buffer) = (null_mut(), null_mut());
        // SAFETY: the caller vouches for the parent; handle and address are written on success.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfMemoryCreate,
                &raw mut attributes,
                _POOL_TYPE::NonPagedPoolNx,
                tag,
                length,
                &raw mut handle,
                &raw mut buffer
            )
        })?;
        let start = NonNull::new(buffer.cast()).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        Ok(Self { handle, start })
    }
}

/// `count` values in memory under `tag` that lives as long as `device`: they are part of its context. At most DISPATCH_LEVEL.
///
/// # Errors
/// The framework's status, for want of memory.
pub fn values<T>(
    device: Device,
    tag: u32,
    count: usize,
    value: impl Fn() -> T,
) -> Result<&'static mut [T], NTSTATUS> {
    const { assert!(align_of::<T>() <= 16 && size_of::<T>() > 0, "pool is aligned to 16 bytes") };
    // SAFETY: the device is alive.
    let memory = unsafe { Memory::new(device.object(), tag, count * size_of::<T>()) }?;
    let first = memory.start.cast::<T>();
    for at in 0..count {
        // SAFETY: the memory has room for `count` values.
        let place = unsafe { first.add(at) };
        // SAFETY: inside the memory, aligned, and nobody else knows it.
        unsafe { place.write(value()) };
    }
    // SAFETY: as many values were written, and nobody else knows them; the memory lives as long as the device, hence longer
    // than what is made from that.
    Ok(unsafe { slice::from_raw_parts_mut(first.as_ptr(), count) })
}
