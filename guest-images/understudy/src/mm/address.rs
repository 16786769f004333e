//! Where RAM and the kernel appear, and the physical address behind a virtual one.

pub(crate) use crate::hal::physical::DIRECT;

/// What link.ld adds to the addresses at which the kernel's image is loaded.
#[cfg(target_os = "none")]
pub(super) const KERNEL: usize = 0xffff_ffff_8000_0000;

/// Bytes of a page.
pub(super) const PAGE: usize = 4096;

/// What code may do with a page. None may be written and executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Nothing. The page keeps its memory, and may get its rights back.
    None,
    /// Read it.
    Read,
    /// Read and write it.
    Write,
    /// Read and execute it.
    Execute,
    /// Read and write device memory, uncached.
    Device,
}

/// The physical address behind an address that the heap gave out, or that lies in the kernel's image.
#[must_use]
pub(crate) fn virt_to_phys(address: usize) -> u64 {
    #[cfg(target_os = "none")]
    if let Some(offset) = address.checked_sub(KERNEL) {
        return offset as u64;
    }
    address.checked_sub(DIRECT).unwrap_or(address) as u64
}
