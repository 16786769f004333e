//! The host has page tables of its own: what would be mapped here is not.

/// Writable.
pub(super) const WRITE: u64 = 2;
/// Not executable.
pub(super) const NO_EXECUTE: u64 = 1 << 63;
/// Uncached device memory.
pub(super) const DEVICE: u64 = WRITE | 0x18 | NO_EXECUTE;

/// There is no device memory and no image to map.
pub(super) fn map(_virt: usize, _phys: u64, _rights: u64) {}

/// As above.
pub(super) fn unmap(_virt: usize) {}
