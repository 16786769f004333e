//! The dispatcher: IRQL, threads, events, DPCs, timers, and the interrupts that drive them. One processor.

pub mod dispatch;
pub mod frame;
pub mod hooks;
pub mod interrupt;
mod irql;
pub mod irqlock;
mod registers;
pub mod thread;
pub mod time;
pub mod vectors;
pub mod worker;

pub use dispatch::{Dpc, Timer};
pub use irql::Irql;
pub use registers::Registers;
pub use thread::{Event, Thread, current_thread, delay_us};
pub use time::{now_us, stall_us};

use crate::hal::cpu;
use hooks::Misuse;

/// The current IRQL.
pub fn irql() -> Irql {
    Irql::current()
}

fn set_irql(irql: Irql) {
    cpu::set_priority(irql.number());
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
