//! What watches drivers, whichever framework they call: the time line of calls into them, whose an address is, the rules
//! that hold everywhere, the windows at which a thread can be held, and the end of a run that broke a rule.

pub(crate) mod bugcheck;
mod codes;
mod exception;
pub(crate) mod fault;
mod locks;
pub(crate) mod output;
pub(crate) mod owners;
pub(crate) mod pool;
mod require;
pub(crate) mod stack;
pub(crate) mod trace;
mod watchdog;
pub(crate) mod window;

pub(crate) use codes::BugCheck;
pub(crate) use locks::{held_locks, lock_acquired, lock_released};
pub(crate) use require::{judge, require_irql, violation};

use crate::ke::hooks::{self, Hooks, Misuse};
use alloc::format;

/// Has the dispatcher report here. Before interrupts are on.
pub(crate) fn start() {
    hooks::install(Hooks {
        tick: watchdog::tick,
        exception: exception::judge,
        unserved: exception::unserved,
        page_out: crate::mm::paged::page_out,
        thread_ends: trace::end_thread,
        misuse,
    });
}

fn misuse(misuse: Misuse) -> ! {
    let (parameters, rule, place) = match misuse {
        Misuse::RaisedToLower { from, to } => {
            ([0, from.into(), 0, to.into()], "IrqlRaisedToLower", format!("from {from} to {to}"))
        }
        Misuse::WaitAtDispatch(irql) => {
            ([0, irql.into(), 0, 0], "WaitAtDispatch", format!("a wait at IRQL {irql}"))
        }
    };
    trace::stop(BugCheck::IRQL_NOT_LESS_OR_EQUAL, parameters, rule, place)
}
