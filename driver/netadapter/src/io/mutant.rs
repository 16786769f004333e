//! Deliberate faults of the interface, chosen by its control code in a test build. The shipped driver's type is empty,
//! and every question is answered with a constant no.

#[cfg(feature = "mutants")]
use core::sync::atomic::{AtomicU32, Ordering};

#[cfg(feature = "mutants")]
use cancelnic_ioctl::nic::mutant;

/// The fault that is shown.
pub struct Mutant {
    #[cfg(feature = "mutants")]
    number: AtomicU32,
}

macro_rules! faults {
    ($($question:ident = $fault:ident),* $(,)?) => {$(
        pub fn $question(&self) -> bool {
            #[cfg(feature = "mutants")]
            return self.number.load(Ordering::Relaxed) == mutant::$fault;
            #[cfg(not(feature = "mutants"))]
            return false;
        }
    )*};
}

impl Mutant {
    pub const fn new() -> Self {
        Self {
            #[cfg(feature = "mutants")]
            number: AtomicU32::new(0),
        }
    }

    /// Shows fault `number` from now on.
    #[cfg(feature = "mutants")]
    pub fn set(&self, number: u32) {
        self.number.store(number, Ordering::Relaxed);
    }

    faults! {
        completes_while_cancelable = COMPLETES_WHILE_CANCELABLE,
        completes_twice = COMPLETES_TWICE,
        loses_cancelled = LOSES_CANCELLED,
        marks_twice = MARKS_TWICE,
        forgets_event = FORGETS_EVENT,
        information_too_large = INFORMATION_TOO_LARGE,
        forgets_cleanup = FORGETS_CLEANUP,
        uses_completed = USES_COMPLETED,
    }
}
