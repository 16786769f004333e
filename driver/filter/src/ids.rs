//! Cancellation IDs of this driver: the high-order byte that NDIS has given it, and a number below that.

use core::{
    ffi::c_void,
    ptr::with_exposed_provenance_mut,
    sync::atomic::{AtomicU64, Ordering},
};

use ndis_sys::NdisGeneratePartialCancelId;

/// High-order byte of this driver's cancellation IDs.
static PARTIAL_ID: AtomicU64 = AtomicU64::new(0);
/// The other bytes of the last one.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// Bits of a cancellation ID below the partial one.
const LOW_BITS: u32 = 56;

/// Gets the high-order byte from NDIS, which it returns. At most DISPATCH_LEVEL, before the first ID is made.
pub(crate) fn begin() -> u8 {
    // SAFETY: may be called at any IRQL up to DISPATCH_LEVEL.
    let partial = unsafe { NdisGeneratePartialCancelId() };
    PARTIAL_ID.store(u64::from(partial), Ordering::Relaxed);
    partial
}

/// A cancellation ID that this driver has not used before: the partial ID in bits 63..56, a number below it that is
/// not 0, so that no ID is NULL. Any IRQL.
pub(crate) fn new() -> u64 {
    loop {
        let low = (LAST_ID.fetch_add(1, Ordering::Relaxed) + 1) & (u64::MAX >> (u64::BITS - LOW_BITS));
        if low != 0 {
            return PARTIAL_ID.load(Ordering::Relaxed) << LOW_BITS | low;
        }
    }
}

/// Whether the ID is one of this driver's.
pub(crate) fn is_own(id: u64) -> bool {
    id >> LOW_BITS == PARTIAL_ID.load(Ordering::Relaxed)
}

/// A cancellation ID as NDIS's functions take it.
pub(crate) fn pointer(id: u64) -> *mut c_void {
    with_exposed_provenance_mut(id as usize)
}
