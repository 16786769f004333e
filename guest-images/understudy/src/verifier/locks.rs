//! How many spin locks drivers hold, whichever framework they had them from.

use crate::ke::irqlock::IrqLock;

/// Spin locks of the driver that are held now.
static HELD_LOCKS: IrqLock<u32> = IrqLock::new(0);

/// How many spin locks of drivers are held. A callback must leave as many as it found.
pub(crate) fn held_locks() -> u32 {
    HELD_LOCKS.with(|count| *count)
}

/// A driver has acquired a spin lock.
pub(crate) fn lock_acquired() {
    HELD_LOCKS.with(|count| *count += 1);
}

/// A driver has released a spin lock.
pub(crate) fn lock_released() {
    HELD_LOCKS.with(|count| *count -= 1);
}
