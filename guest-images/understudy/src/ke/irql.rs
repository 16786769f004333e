//! IRQL as a type: what a processor lets interrupt it.

use crate::hal::cpu;
use core::fmt;

/// An interrupt request level, 0 to 15: what CR8 holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Irql(u8);

impl Irql {
    /// PASSIVE_LEVEL: threads run, may wait, and may touch paged memory.
    pub const PASSIVE: Self = Self(0);
    /// APC_LEVEL.
    pub const APC: Self = Self(1);
    /// DISPATCH_LEVEL: DPCs, spin locks; nobody waits, no other thread runs.
    pub const DISPATCH: Self = Self(2);
    /// HIGH_LEVEL: every IRQL that there is.
    pub const HIGH: Self = Self(15);

    /// The one that the processor is at.
    #[must_use]
    pub fn current() -> Self {
        Self(cpu::priority())
    }

    /// The level with this number: from CR8, or from a driver that gives one back.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The level of an interrupt vector: its class.
    #[must_use]
    pub const fn of_vector(vector: u8) -> Self {
        Self(vector >> 4)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

impl From<Irql> for u64 {
    fn from(irql: Irql) -> Self {
        irql.0.into()
    }
}

impl fmt::Display for Irql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Irql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
