//! The host has page tables of its own: what would be mapped here is not.

use super::address::Access;

/// There is no device memory and no image to map.
pub(super) fn map(_virt: usize, _phys: u64, _access: Access) {}

/// As above.
pub(super) fn unmap(_virt: usize) {}

/// Nobody is kept from anything here.
pub(super) fn protect(_virt: usize, _access: Access) {}

/// As above.
pub(super) fn restore(_virt: usize) {}

/// Nobody looks them up.
pub(super) fn readable(_virt: usize) -> Option<u64> {
    None
}
