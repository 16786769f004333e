//! Non-paged pool.

use core::{mem, ops, ptr::NonNull, slice};

use wdk_sys::{
    NTSTATUS, POOL_FLAG_NON_PAGED, SIZE_T, STATUS_INSUFFICIENT_RESOURCES,
    ntddk::{ExAllocatePool2, ExFreePoolWithTag},
};

/// A fixed number of values in non-paged pool, freed when it is dropped.
pub struct Array<T> {
    first: NonNull<T>,
    count: usize,
    tag: u32,
}

// SAFETY: it owns its values, as a box of a slice does.
unsafe impl<T: Send> Send for Array<T> {}
// SAFETY: it owns its values, as a box of a slice does.
unsafe impl<T: Sync> Sync for Array<T> {}

impl<T> Array<T> {
    /// Allocates `count` values under `tag`, each made by `value` from its index. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// STATUS_INSUFFICIENT_RESOURCES without memory.
    pub fn new(count: usize, tag: u32, mut value: impl FnMut(usize) -> T) -> Result<Self, NTSTATUS> {
        const { assert!(align_of::<T>() <= 16 && size_of::<T>() > 0, "pool is aligned to 16 bytes") };
        let bytes = count.checked_mul(size_of::<T>()).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        // SAFETY: a plain allocation; null is handled.
        let memory = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, bytes as SIZE_T, tag) };
        let first = NonNull::new(memory.cast::<T>()).ok_or(STATUS_INSUFFICIENT_RESOURCES)?;
        for at in 0..count {
            // SAFETY: the allocation has room for `count` values.
            let place = unsafe { first.add(at) };
            // SAFETY: inside the allocation, aligned, and nobody else knows it.
            unsafe { place.write(value(at)) };
        }
        Ok(Self { first, count, tag })
    }
}

impl<T> ops::Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `new` filled in `count` values; they are this value's own.
        unsafe { slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

impl<T> ops::DerefMut for Array<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: `new` filled in `count` values; they are this value's own, borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.first.as_ptr(), self.count) }
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        if mem::needs_drop::<T>() {
            for at in 0..self.count {
                // SAFETY: `new` filled in `count` values.
                let value = unsafe { self.first.add(at) };
                // SAFETY: each value is dropped once, and not used again.
                unsafe { value.drop_in_place() };
            }
        }
        // SAFETY: allocated by `new` under this tag, freed once.
        unsafe { ExFreePoolWithTag(self.first.as_ptr().cast(), self.tag) };
    }
}
