//! The dispatcher: IRQL, threads, events, DPCs, timers, and the interrupts that drive them. One processor.

pub(crate) mod dispatch;
pub(crate) mod frame;
pub(crate) mod hooks;
pub(crate) mod interrupt;
mod irql;
pub(crate) mod irqlock;
mod registers;
pub(crate) mod thread;
pub(crate) mod time;
pub(crate) mod vectors;
pub(crate) mod worker;

pub(crate) use dispatch::{Dpc, Timer};
pub(crate) use irql::Irql;
pub(crate) use registers::Registers;
pub(crate) use thread::{Event, Thread, current_thread, delay_us};
pub(crate) use time::{now_us, stall_us};

use crate::hal::cpu;
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};
use hooks::Misuse;

/// Memory is there that may be used below DISPATCH_LEVEL alone.
pub(crate) static PAGED_IN: AtomicBool = AtomicBool::new(false);

/// The current IRQL.
pub(crate) fn irql() -> Irql {
    Irql::current()
}

fn set_irql(irql: Irql) {
    cpu::set_priority(irql.number());
    if irql >= Irql::DISPATCH
        && PAGED_IN.swap(false, Relaxed)
        && let Some(hooks) = hooks::get()
    {
        (hooks.page_out)();
    }
}

/// Raises IRQL and returns what it was. Raising to a lower one is a violation.
pub(crate) fn raise(to: Irql) -> Irql {
    let now = irql();
    if to < now {
        hooks::misuse(Misuse::RaisedToLower { from: now, to });
    }
    set_irql(to);
    now
}

/// Lowers IRQL again; what waited below runs before this returns.
pub(crate) fn lower(to: Irql) {
    set_irql(to);
}
