//! What the dispatcher reports to the floor above it, which judges: installed once, at boot.

use super::frame::Exception;
use super::{Irql, Registers};
use spin::Once;

/// A use of the dispatcher that no driver may make of it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Misuse {
    /// IRQL was to be raised to a lower one.
    RaisedToLower {
        /// IRQL as it is.
        from: Irql,
        /// What was asked for.
        to: Irql,
    },
    /// A wait where no thread can run instead.
    WaitAtDispatch(Irql),
}

/// Who is told.
pub(crate) struct Hooks {
    /// The clock ticks; it has interrupted code with these registers at this IRQL. Interrupts are off.
    pub tick: fn(&dyn Fn() -> Registers, Irql),
    /// An exception, an NMI, or an `int` instruction. Interrupts are off. It returns where the code may go on.
    #[cfg_attr(not(target_os = "none"), expect(dead_code, reason = "the host's exceptions are the host's"))]
    pub exception: fn(&Exception),
    /// An interrupt of a device that nobody has ever connected; it has interrupted code with these registers.
    pub unserved: fn(u8, &Registers) -> !,
    /// IRQL has risen to DISPATCH_LEVEL or above, and [`super::PAGED_IN`] was set.
    pub page_out: fn(),
    /// The running thread is about to end: its stack becomes memory like any other.
    pub thread_ends: fn(),
    /// Whoever runs now has misused the dispatcher.
    pub misuse: fn(Misuse) -> !,
}

static HOOKS: Once<Hooks> = Once::new();

/// Installs them. Before interrupts are on.
pub(crate) fn install(hooks: Hooks) {
    HOOKS.call_once(|| hooks);
}

/// Those that are installed.
pub(super) fn get() -> Option<&'static Hooks> {
    HOOKS.get()
}

/// Reports a misuse.
pub(super) fn misuse(misuse: Misuse) -> ! {
    match get() {
        Some(hooks) => (hooks.misuse)(misuse),
        None => crate::hal::power::fatal(&alloc::format!("{misuse:?}")),
    }
}
