//! The vectors of interrupts, each in the class that is its IRQL, and the request for the one that ke sends itself.

use crate::hal::apic;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Software interrupt of DISPATCH_LEVEL.
pub(crate) const DISPATCH_VECTOR: u8 = 0x2f;
/// COM2, class 4.
pub(crate) const SERIAL_VECTOR: u8 = 0x43;
/// The device's message, class 7: DIRQL 7.
pub(crate) const DEVICE_VECTOR: u8 = 0x71;
/// The clock, class 13.
pub(crate) const CLOCK_VECTOR: u8 = 0xd1;

/// Whether the dispatch interrupt is to look at the threads.
static RESCHEDULE: AtomicBool = AtomicBool::new(false);

/// Asks for a dispatch interrupt, with a look at the threads if `reschedule`.
pub(crate) fn request_dispatch(reschedule: bool) {
    if reschedule {
        RESCHEDULE.store(true, Relaxed);
    }
    apic::request(DISPATCH_VECTOR);
}

/// Takes the wish for a look at the threads.
pub(super) fn take_reschedule() -> bool {
    RESCHEDULE.swap(false, Relaxed)
}
