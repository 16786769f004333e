//! A callback of a driver that does not return, named from the clock interrupt.
//!
//! The clock's class (13) stands above every IRQL that a driver comes to, DISPATCH_LEVEL and the device's own: so it
//! sees a loop at any of them. It counts the time that it saw pass itself, so that a machine which stands still, or
//! whose host is busy elsewhere, has no callback that takes long. Code with interrupts off it does not see: there the
//! rig sends an NMI.

use super::{BugCheck, owners, stack, trace};
use crate::ke::{self, Irql, Registers, now_us, thread};
use alloc::format;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// When the clock ticked last.
static LAST: AtomicU64 = AtomicU64::new(0);
/// Most that may pass between two ticks of a machine that runs.
const LONGEST_TICK_US: u64 = 20_000;

/// The clock ticks; it has interrupted code with these registers at `irql`. Interrupts are off.
pub(super) fn tick(registers: &dyn Fn() -> Registers, irql: Irql) {
    stack::driver_goes_on(registers);
    let now = now_us();
    let passed = now.saturating_sub(LAST.swap(now, Relaxed)).min(LONGEST_TICK_US);
    let Some(bound) = crate::settings::callback_bound_us() else { return };
    let Some(stuck) = trace::spend(passed, bound, irql >= Irql::DISPATCH) else { return };
    let running = stuck.thread == ke::current_thread();
    let sleeping = if running { None } else { thread::waiting(stuck.thread) };
    let (registers, how) = match sleeping {
        Some(registers) => (registers, "it sleeps"),
        None if running => (registers(), "it goes on"),
        // ready, and pre-empted at this very moment: it is seen when it runs
        None => return,
    };
    stop(&registers, stuck.name, &format!("has not returned in {} ms: {how}", stuck.spent_us / 1000))
}

/// The rig has sent an NMI, because the guest is silent: names the callback that is open on the running thread, if one is.
pub(super) fn interrupted(registers: &Registers) {
    if let Some(callback) = trace::try_current() {
        stop(registers, callback, "has not returned, and the guest does not answer: it goes on")
    }
}

fn stop(registers: &Registers, callback: alloc::string::String, what: &str) -> ! {
    let irql = registers.irql;
    let code = if irql >= Irql::DISPATCH {
        BugCheck::DPC_WATCHDOG_VIOLATION
    } else {
        BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION
    };
    let place = format!("{what} at IRQL {irql}");
    let place = match owners::in_driver(registers.rip) {
        true => format!("{place}, at {}", owners::describe(registers.rip)),
        false => place,
    };
    let parameters = [0, registers.rip, irql.into(), 0];
    trace::stop_at(registers, callback, code, parameters, "CallbackDoesNotReturn", place)
}
