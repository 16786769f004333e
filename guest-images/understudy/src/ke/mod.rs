//! The dispatcher: IRQL in CR8, threads, events, DPCs, timers, and the interrupts that drive them. One processor.

pub mod dispatch;
pub mod hooks;
pub mod interrupt;
mod irql;
pub mod irqlock;
mod registers;
pub mod thread;
pub mod time;
pub mod worker;

pub use dispatch::{Dpc, Timer};
pub use irql::Irql;
pub use registers::Registers;
pub use thread::{Event, Thread, current_thread};
pub use time::{delay_us, now_us, stall_us};

use core::arch::asm;
use hooks::Misuse;

/// The current IRQL.
pub fn irql() -> Irql {
    let value: u64;
    // SAFETY: reads a control register.
    unsafe { asm!("mov {}, cr8", out(reg) value, options(nomem, nostack, preserves_flags)) };
    Irql::new(value as u8)
}

fn set_irql(irql: Irql) {
    // SAFETY: the task priority only decides which interrupts wait. A compiler barrier as well: no `nomem`.
    unsafe { asm!("mov cr8, {}", in(reg) u64::from(irql), options(nostack, preserves_flags)) };
}

/// Raises IRQL and returns what it was. Raising to a lower one is a violation.
pub fn raise(to: Irql) -> Irql {
    let now = irql();
    if to < now {
        hooks::misuse(Misuse::RaisedToLower { from: now, to });
    }
    set_irql(to);
    now
}

/// Lowers IRQL again; what waited below runs before this returns.
pub fn lower(to: Irql) {
    set_irql(to);
}
