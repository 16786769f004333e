//! The dispatcher: IRQL in CR8, threads, events, DPCs, timers, and the interrupts that drive them. One processor.

pub mod dispatch;
pub mod interrupt;
pub mod irqlock;
mod registers;
pub mod thread;
pub mod time;
mod watchdog;
pub mod worker;

pub use dispatch::{Dpc, Timer};
pub use registers::Registers;
pub use thread::{Event, Thread, current_thread};
pub use time::{delay_us, now_us, stall_us};

use core::arch::asm;

/// The current IRQL: CR8, 0 to 15.
pub fn irql() -> u8 {
    let value: u64;
    // SAFETY: reads a control register.
    unsafe { asm!("mov {}, cr8", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value as u8
}

fn set_irql(irql: u8) {
    // SAFETY: the task priority only decides which interrupts wait. A compiler barrier as well: no `nomem`.
    unsafe { asm!("mov cr8, {}", in(reg) u64::from(irql), options(nostack, preserves_flags)) };
}

/// Raises IRQL and returns what it was. Raising to a lower one is a violation.
pub fn raise(to: u8) -> u8 {
    let now = irql();
    if to < now {
        crate::agent::trace::stop(
            0x0A,
            [0, now.into(), 0, to.into()],
            "IrqlRaisedToLower",
            alloc::format!("from {now} to {to}"),
        );
    }
    set_irql(to);
    now
}

/// Lowers IRQL again; what waited below runs before this returns.
pub fn lower(to: u8) {
    set_irql(to);
}
