//! Every call into the driver goes through here: it is timed for the report, and IRQL and locks are compared after it.

use super::output;
use crate::ke::irqlock::IrqLock;
use crate::wdf::HELD_LOCKS;
use agent_protocol::{Message, QueueView, Violation};
use alloc::{format, string::String};

/// One call into the driver that has not returned.
#[derive(Clone, Copy)]
struct Frame {
    thread: u64,
    queue: &'static str,
    what: &'static str,
}

/// Nested and pre-empted calls; deeper ones are not recorded.
struct Active {
    frames: [Option<Frame>; 16],
    depth: usize,
}

static ACTIVE: IrqLock<Active> = IrqLock::new(Active { frames: [None; 16], depth: 0 });
/// Why the last operation failed, where a status alone would not say it.
static REASON: IrqLock<Option<String>> = IrqLock::new(None);

/// Notes why the driver is about to get a failure.
pub fn set_reason(reason: &str) {
    let reason = String::from(reason);
    let old = REASON.with(|slot| slot.replace(reason));
    drop(old);
}

/// Takes the reason.
pub fn take_reason() -> Option<String> {
    REASON.with(Option::take)
}

fn enter(queue: &'static str, what: &'static str) {
    let frame = Frame { thread: crate::ke::current_thread(), queue, what };
    ACTIVE.with(|active| {
        let at = active.frames.iter().position(Option::is_none);
        if let Some(at) = at {
            active.frames[at] = Some(frame);
            active.depth = active.depth.max(at + 1);
        }
    });
}

fn leave(queue: &'static str, what: &'static str) {
    let thread = crate::ke::current_thread();
    ACTIVE.with(|active| {
        let mine = |frame: &Option<Frame>| {
            frame.is_some_and(|frame| frame.thread == thread && frame.queue == queue && frame.what == what)
        };
        if let Some(at) = active.frames.iter().rposition(mine) {
            active.frames[at] = None;
        }
    });
}

/// The innermost callback on this thread: `tx0 EvtCancel`.
pub fn current() -> String {
    let thread = crate::ke::current_thread();
    let frame = ACTIVE.with(|active| {
        let frames = active.frames.iter().rev().flatten();
        frames.copied().find(|frame| frame.thread == thread)
    });
    frame.map_or_else(|| String::from("none"), |frame| format!("{} {}", frame.queue, frame.what))
}

/// Whether another thread is inside a callback of a driver.
pub fn active_elsewhere() -> bool {
    let thread = crate::ke::current_thread();
    ACTIVE.with(|active| active.frames.iter().flatten().any(|frame| frame.thread != thread))
}

fn checked<R>(queue: &'static str, what: &'static str, run: impl FnOnce() -> R) -> R {
    let before = (crate::ke::irql(), HELD_LOCKS.with(|count| *count));
    enter(queue, what);
    let result = run();
    let after = (crate::ke::irql(), HELD_LOCKS.with(|count| *count));
    if after.0 != before.0 {
        stop(
            0xC4,
            [0x121, after.0.into(), before.0.into(), 0],
            "IrqlNotRestored",
            format!("{} -> {}", before.0, after.0),
        );
    }
    if after.1 != before.1 {
        stop(
            0xC4,
            [0x8e, after.1.into(), before.1.into(), 0],
            "SpinLockHeldAfterCallback",
            format!("{} held", after.1),
        );
    }
    leave(queue, what);
    result
}

/// A callback that belongs on the time line.
pub fn callback<R>(queue: &'static str, what: &'static str, run: impl FnOnce() -> R) -> R {
    datapath_callback(queue, what, run, || true)
}

/// A frequent callback that does not.
pub fn quick_callback<R>(queue: &'static str, what: &'static str, run: impl FnOnce() -> R) -> R {
    checked(queue, what, run)
}

/// EvtAdvance is on the time line only where it moved something; every other callback always.
pub fn datapath_callback<R>(
    queue: &'static str,
    what: &'static str,
    run: impl FnOnce() -> R,
    progress: impl FnOnce() -> bool,
) -> R {
    let (began, irql) = (crate::ke::now_us(), crate::ke::irql());
    let result = checked(queue, what, run);
    if what != "EvtAdvance" || progress() {
        let took_us = crate::ke::now_us().saturating_sub(began);
        output::push(Message::Event { us: began, took_us, queue: queue.into(), what: what.into(), irql });
    }
    result
}

/// A step of the framework or a report of the driver, without duration.
pub fn note(queue: &'static str, what: &str) {
    let (us, irql) = (crate::ke::now_us(), crate::ke::irql());
    output::push(Message::Event { us, took_us: 0, queue: queue.into(), what: what.into(), irql });
}

/// Stops the machine for a broken rule, in the name of the current callback.
pub fn stop(code: u32, parameters: [u64; 4], rule: &str, place: String) -> ! {
    stop_in(current(), code, parameters, rule, place)
}

/// Stops the machine for a rule that was broken in a callback which has returned.
pub fn stop_in(callback: String, code: u32, parameters: [u64; 4], rule: &str, place: String) -> ! {
    let violation = Violation { rule: rule.into(), callback, place };
    output::flush();
    crate::bugcheck::stop(code, parameters, violation, None)
}

/// Stops the machine for a queue that is not given back.
pub fn stop_hung(callback: String, code: u32, rule: &str, place: String, view: QueueView) -> ! {
    let violation = Violation { rule: rule.into(), callback, place };
    output::flush();
    crate::bugcheck::stop(code, [0; 4], violation, Some(view))
}

/// Stops because the driver uses something that understudy refuses to fake.
pub fn not_offered(what: &str) -> ! {
    stop(crate::wdf::object::WDF_VIOLATION, [0; 4], "NotOffered", format!("understudy does not offer {what}"))
}
