//! Bug checks by Microsoft's names and numbers (bugcodes.h; "Bug Check Code Reference").

use core::fmt;

/// The code of a bug check.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct BugCheck(u32);

impl BugCheck {
    /// IRQL_NOT_LESS_OR_EQUAL.
    pub(crate) const IRQL_NOT_LESS_OR_EQUAL: Self = Self(0x0A);
    /// SPIN_LOCK_ALREADY_OWNED.
    pub(crate) const SPIN_LOCK_ALREADY_OWNED: Self = Self(0x0F);
    /// SPIN_LOCK_NOT_OWNED.
    pub(crate) const SPIN_LOCK_NOT_OWNED: Self = Self(0x10);
    /// NO_MORE_IRP_STACK_LOCATIONS.
    pub(crate) const NO_MORE_IRP_STACK_LOCATIONS: Self = Self(0x35);
    /// MULTIPLE_IRP_COMPLETE_REQUESTS.
    pub(crate) const MULTIPLE_IRP_COMPLETE_REQUESTS: Self = Self(0x44);
    /// BUGCODE_NDIS_DRIVER.
    pub(crate) const BUGCODE_NDIS_DRIVER: Self = Self(0x7C);
    /// UNEXPECTED_KERNEL_MODE_TRAP.
    pub(crate) const UNEXPECTED_KERNEL_MODE_TRAP: Self = Self(0x7F);
    /// SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION.
    pub(crate) const SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION: Self = Self(0xC1);
    /// BAD_POOL_CALLER.
    pub(crate) const BAD_POOL_CALLER: Self = Self(0xC2);
    /// DRIVER_VERIFIER_DETECTED_VIOLATION.
    pub(crate) const DRIVER_VERIFIER_DETECTED_VIOLATION: Self = Self(0xC4);
    /// DRIVER_VERIFIER_IOMANAGER_VIOLATION.
    pub(crate) const DRIVER_VERIFIER_IOMANAGER_VIOLATION: Self = Self(0xC9);
    /// PAGE_FAULT_IN_FREED_SPECIAL_POOL.
    pub(crate) const PAGE_FAULT_IN_FREED_SPECIAL_POOL: Self = Self(0xCC);
    /// PAGE_FAULT_BEYOND_END_OF_ALLOCATION.
    pub(crate) const PAGE_FAULT_BEYOND_END_OF_ALLOCATION: Self = Self(0xCD);
    /// WDF_VIOLATION.
    pub(crate) const WDF_VIOLATION: Self = Self(0x10D);
    /// DPC_WATCHDOG_VIOLATION.
    pub(crate) const DPC_WATCHDOG_VIOLATION: Self = Self(0x133);
    /// BUGCODE_NETADAPTER_DRIVER.
    pub(crate) const BUGCODE_NETADAPTER_DRIVER: Self = Self(0x19E);

    /// What a driver passes to KeBugCheckEx, or what a rule has found.
    #[must_use]
    pub(crate) const fn given(code: u32) -> Self {
        Self(code)
    }

    /// Its number.
    #[must_use]
    pub(crate) const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::LowerHex for BugCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
