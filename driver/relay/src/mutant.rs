//! Deliberate faults, chosen by a control code in a test build. The shipped driver's type is empty, and every question
//! is answered with a constant no.

#[cfg(feature = "mutants")]
use core::sync::atomic::{AtomicU32, Ordering};

#[cfg(feature = "mutants")]
use cancelnic_ioctl::relay::mutant;

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
        cancels_without_reference = CANCELS_WITHOUT_REFERENCE,
        forgets_acknowledge = FORGETS_ACKNOWLEDGE,
        acknowledges_outside = ACKNOWLEDGES_OUTSIDE,
        resends_without_reuse = RESENDS_WITHOUT_REUSE,
        sends_twice = SENDS_TWICE,
        wrong_handle = WRONG_HANDLE,
        ignores_purge = IGNORES_PURGE,
        completes_after_cancel = COMPLETES_AFTER_CANCEL,
        deletes_sent = DELETES_SENT,
        leaves_target = LEAVES_TARGET,
    }
}
