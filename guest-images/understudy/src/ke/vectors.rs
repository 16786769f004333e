//! The vectors of interrupts, each in the class that is its IRQL, and the request for the one that ke sends itself.

use super::irqlock::IrqLock;
use crate::hal::apic;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Software interrupt of DISPATCH_LEVEL.
pub(crate) const DISPATCH_VECTOR: u8 = 0x2f;
/// COM2, class 4.
pub(crate) const SERIAL_VECTOR: u8 = 0x43;
/// Of devices' messages, class 7 to 11: DIRQL 7 first.
const MESSAGES: core::ops::Range<u8> = 0x71..0xc0;
/// Of the I/O APIC's line 0; those of its lines for PCI, 16 to 23, are class 12.
const FIRST_LINE: u8 = 0xb0;
/// The clock, class 13.
pub(crate) const CLOCK_VECTOR: u8 = 0xd1;

/// Which vectors of messages are in use.
static TAKEN: IrqLock<[bool; 256]> = IrqLock::new([false; 256]);

/// A vector for a message of a device, which nobody else has until [`give_back`].
pub(crate) fn take() -> Option<u8> {
    TAKEN.with(|taken| {
        let free = MESSAGES.into_iter().find(|&vector| !taken[usize::from(vector)])?;
        taken[usize::from(free)] = true;
        Some(free)
    })
}

/// The vector is free again.
pub(crate) fn give_back(vector: u8) {
    TAKEN.with(|taken| taken[usize::from(vector)] = false);
}

/// The vector of an I/O APIC's line, which its devices share.
pub(crate) fn of_line(line: u8) -> u8 {
    FIRST_LINE + line
}

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
