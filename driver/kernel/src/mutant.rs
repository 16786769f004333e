//! A deliberate fault, chosen at run time by a control code of a test build, by which the rig proves that it would
//! notice it. Without the feature `mutants` the type is empty and every question is answered with a constant no: the
//! shipped drivers hold none of it.

#[cfg(feature = "mutants")]
use core::sync::atomic::{AtomicU32, Ordering};

/// The fault that a driver shows, by the numbers of its interface in cancelnic-ioctl. Any IRQL.
#[derive(Debug, Default)]
pub struct Mutant {
    #[cfg(feature = "mutants")]
    number: AtomicU32,
}

impl Mutant {
    /// Behaves.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            #[cfg(feature = "mutants")]
            number: AtomicU32::new(0),
        }
    }

    /// Shows fault `number` from now on; 0 behaves.
    #[cfg(feature = "mutants")]
    pub fn choose(&self, number: u32) {
        self.number.store(number, Ordering::Relaxed);
    }

    /// Whether fault `number` is to be shown.
    #[inline]
    #[must_use]
    #[cfg_attr(not(feature = "mutants"), expect(unused_variables, reason = "there is nothing to choose"))]
    pub fn is(&self, number: u32) -> bool {
        #[cfg(feature = "mutants")]
        return self.number.load(Ordering::Relaxed) == number;
        #[cfg(not(feature = "mutants"))]
        return false;
    }
}
