//! Every call into the driver goes through here: it is timed for the report, and IRQL and locks are compared after it.

use super::{BugCheck, bugcheck, held_locks, output, stack};
use crate::ke::Registers;
use crate::ke::irqlock::IrqLock;
use crate::ke::thread;
use agent_protocol::{Message, QueueView, Violation};
use alloc::{collections::BTreeSet, format, string::String};
use understudy_rules::rule::Level;

/// One call into the driver that has not returned.
#[derive(Clone, Copy)]
struct Frame {
    thread: u64,
    /// The how manyth call it is: of two on one thread the later is the inner one.
    number: u64,
    queue: &'static str,
    what: &'static str,
    /// How long it has gone on, less what its inner calls and other threads took, in microseconds.
    spent_us: u64,
    /// It sleeps because it wants to, not because a framework has something to wait for.
    sleeps: bool,
}

impl Frame {
    fn name(&self) -> String {
        format!("{} {}", self.queue, self.what)
    }
}

/// Nested and pre-empted calls; deeper ones are not recorded.
struct Active {
    frames: [Option<Frame>; 32],
    calls: u64,
}

impl Active {
    /// The innermost call on a thread.
    fn innermost(&mut self, thread: u64) -> Option<&mut Frame> {
        let frames = self.frames.iter_mut().flatten();
        frames.filter(|frame| frame.thread == thread).max_by_key(|frame| frame.number)
    }
}

static ACTIVE: IrqLock<Active> = IrqLock::new(Active { frames: [None; 32], calls: 0 });
/// Why the last operation failed, where a status alone would not say it.
static REASON: IrqLock<Option<String>> = IrqLock::new(None);

/// Notes why the driver is about to get a failure.
pub(crate) fn set_reason(reason: &str) {
    let reason = String::from(reason);
    let old = REASON.with(|slot| slot.replace(reason));
    drop(old);
}

/// Takes the reason.
pub(crate) fn take_reason() -> Option<String> {
    REASON.with(Option::take)
}

fn enter(queue: &'static str, what: &'static str) {
    let thread = crate::ke::current_thread();
    ACTIVE.with(|active| {
        active.calls += 1;
        let number = active.calls;
        if let Some(free) = active.frames.iter_mut().find(|frame| frame.is_none()) {
            *free = Some(Frame { thread, number, queue, what, spent_us: 0, sleeps: false });
        }
    });
}

fn leave(queue: &'static str, what: &'static str) {
    let thread = crate::ke::current_thread();
    ACTIVE.with(|active| {
        let Some(inner) = active.innermost(thread) else { return };
        // a call that was too deep to be recorded leaves nothing
        let number = (inner.queue == queue && inner.what == what).then_some(inner.number);
        let mine = |frame: &Option<Frame>| frame.map(|frame| frame.number) == number;
        if number.is_some()
            && let Some(at) = active.frames.iter().position(mine)
        {
            active.frames[at] = None;
        }
    });
}

/// The innermost callback on this thread: its queue and its name; no words if there is none.
pub(super) fn innermost() -> (&'static str, &'static str) {
    let thread = crate::ke::current_thread();
    ACTIVE.with(|active| {
        active.innermost(thread).map_or(("", "no callback"), |frame| (frame.queue, frame.what))
    })
}

/// The innermost callback on this thread: `tx0 EvtCancel`.
pub(crate) fn current() -> String {
    let thread = crate::ke::current_thread();
    let frame = ACTIVE.with(|active| active.innermost(thread).copied());
    frame.map_or_else(|| String::from("none"), |frame| frame.name())
}

/// The same for an interrupt that no lock keeps out; `None` if there is none, or it cannot be known.
pub(crate) fn try_current() -> Option<String> {
    let thread = crate::ke::current_thread();
    let frame = ACTIVE.try_with(|active| active.innermost(thread).copied())??;
    Some(frame.name())
}

/// A thread of a driver's: it may run, and sleep, for as long as it likes.
pub(crate) const SYSTEM_THREAD: &str = "system thread";

/// The running thread ends: what calls of it are open return no more, and its stack is nobody's.
pub(super) fn end_thread() {
    let thread = crate::ke::current_thread();
    ACTIVE.with(|active| {
        let frames =
            active.frames.iter_mut().filter(|frame| frame.is_some_and(|frame| frame.thread == thread));
        frames.for_each(|frame| *frame = None);
    });
    stack::end_thread();
}

/// The driver sleeps, as it asked to.
pub(crate) fn sleep<R>(wait: impl FnOnce() -> R) -> R {
    let thread = crate::ke::current_thread();
    let mark = |sleeps| {
        ACTIVE.with(|active| {
            if let Some(frame) = active.innermost(thread).filter(|frame| frame.what != SYSTEM_THREAD) {
                frame.sleeps = sleeps;
            }
        });
    };
    mark(true);
    let result = wait();
    mark(false);
    result
}

/// A callback that has gone on for too long.
pub(crate) struct Stuck {
    /// `tx0 EvtCancel`
    pub name: String,
    /// Its thread.
    pub thread: u64,
    /// For how long, in microseconds.
    pub spent_us: u64,
}

/// NDIS gives a module time for these, and says so itself.
const WATCHED_BY_NDIS: [&str; 3] = ["FilterPause", "FilterRestart", "FilterDetach"];

/// `us` microseconds have passed, at DISPATCH_LEVEL or above for the running thread alone: the callback that has had
/// more than `bound_us` by now, if there is one. A callback that waits for a framework is not asked for that time.
pub(crate) fn spend(us: u64, bound_us: u64, raised: bool) -> Option<Stuck> {
    let running = crate::ke::current_thread();
    let found = ACTIVE.with(|active| {
        for at in 0..active.frames.len() {
            let Some(frame) = active.frames[at] else { continue };
            let inner = active.innermost(frame.thread).is_some_and(|inner| inner.number != frame.number);
            let asleep = thread::waits(frame.thread);
            let excused = asleep && (!frame.sleeps || WATCHED_BY_NDIS.contains(&frame.what));
            // below DISPATCH_LEVEL a thread of the driver's keeps nobody waiting, and what it had above it has left
            let free = frame.what == SYSTEM_THREAD && !(raised && frame.thread == running);
            if free && !inner {
                active.frames[at] = Some(Frame { spent_us: 0, ..frame });
            }
            if inner || excused || free || raised && frame.thread != running {
                continue;
            }
            let spent_us = frame.spent_us + us;
            active.frames[at] = Some(Frame { spent_us, ..frame });
            if spent_us > bound_us {
                return active.frames[at];
            }
        }
        None
    });
    found.map(|frame| Stuck { name: frame.name(), thread: frame.thread, spent_us: frame.spent_us })
}

/// Whether another thread is inside a callback of a driver.
pub(crate) fn active_elsewhere() -> bool {
    let thread = crate::ke::current_thread();
    ACTIVE.with(|active| {
        let mut frames = active.frames.iter().flatten();
        frames.any(|frame| frame.thread != thread && frame.what != SYSTEM_THREAD)
    })
}

fn checked<R>(queue: &'static str, what: &'static str, run: impl FnOnce() -> R) -> R {
    let before = (crate::ke::irql(), held_locks());
    enter(queue, what);
    let result = stack::guarded(run);
    let after = (crate::ke::irql(), held_locks());
    if after.0 != before.0 {
        stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0x121, after.0.into(), before.0.into(), 0],
            "IrqlNotRestored",
            format!("{} -> {}", before.0, after.0),
        );
    }
    if after.1 != before.1 {
        stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0x8e, after.1.into(), before.1.into(), 0],
            "SpinLockHeldAfterCallback",
            format!("{} held", after.1),
        );
    }
    leave(queue, what);
    result
}

/// A callback that belongs on the time line.
pub(crate) fn callback<R>(queue: &'static str, what: &'static str, run: impl FnOnce() -> R) -> R {
    datapath_callback(queue, what, run, || true)
}

/// A frequent callback that does not.
pub(crate) fn quick_callback<R>(queue: &'static str, what: &'static str, run: impl FnOnce() -> R) -> R {
    checked(queue, what, run)
}

/// EvtAdvance is on the time line only where it moved something; every other callback always.
pub(crate) fn datapath_callback<R>(
    queue: &'static str,
    what: &'static str,
    run: impl FnOnce() -> R,
    progress: impl FnOnce() -> bool,
) -> R {
    let (began, irql) = (crate::ke::now_us(), crate::ke::irql());
    let result = checked(queue, what, run);
    if what != "EvtAdvance" || progress() {
        let took_us = crate::ke::now_us().saturating_sub(began);
        output::push(Message::Event {
            us: began,
            took_us,
            queue: queue.into(),
            what: what.into(),
            irql: irql.number(),
        });
    }
    result
}

/// A step of the framework or a report of the driver, without duration.
pub(crate) fn note(queue: &'static str, what: &str) {
    let (us, irql) = (crate::ke::now_us(), crate::ke::irql());
    output::push(Message::Event {
        us,
        took_us: 0,
        queue: queue.into(),
        what: what.into(),
        irql: irql.number(),
    });
}

/// Warnings that the rig has: rule and callback.
static WARNED: IrqLock<BTreeSet<(String, String)>> = IrqLock::new(BTreeSet::new());

/// A rule is broken that a run can go on after, in the name of the current callback: stops, or warns, or neither, as its
/// level is.
pub(crate) fn judge(code: BugCheck, parameters: [u64; 4], rule: &str, place: String) {
    judge_in(current(), code, parameters, rule, place);
}

/// The same, in a callback which has returned.
pub(crate) fn judge_in(callback: String, code: BugCheck, parameters: [u64; 4], rule: &str, place: String) {
    match crate::settings::level(rule) {
        Level::Stop => stop_in(callback, code, parameters, rule, place),
        Level::Warn => warn(callback, rule, place),
        Level::Off => {}
    }
}

fn warn(callback: String, rule: &str, place: String) {
    let key = (String::from(rule), callback.clone());
    if WARNED.with(|warned| warned.insert(key)) {
        crate::log!("warning: {rule} in {callback}, {place}");
        let violation = Violation { rule: rule.into(), callback, place };
        output::push(Message::Warning { us: crate::ke::now_us(), violation });
    }
}

/// Stops the machine for a broken rule, in the name of the current callback.
pub(crate) fn stop(code: BugCheck, parameters: [u64; 4], rule: &str, place: String) -> ! {
    stop_in(current(), code, parameters, rule, place)
}

/// Stops the machine for a rule that was broken in a callback which has returned.
pub(crate) fn stop_in(
    callback: String,
    code: BugCheck,
    parameters: [u64; 4],
    rule: &str,
    place: String,
) -> ! {
    stop_at(&Registers::here(), callback, code, parameters, rule, place)
}

/// Stops the machine for what code with these registers does.
pub(crate) fn stop_at(
    registers: &Registers,
    callback: String,
    code: BugCheck,
    parameters: [u64; 4],
    rule: &str,
    place: String,
) -> ! {
    let violation = Violation { rule: rule.into(), callback, place };
    output::flush();
    bugcheck::stop(registers, code, parameters, violation, None)
}

/// Stops the machine for a queue that is not given back.
pub(crate) fn stop_hung(callback: String, code: BugCheck, rule: &str, place: String, view: QueueView) -> ! {
    let violation = Violation { rule: rule.into(), callback, place };
    output::flush();
    bugcheck::stop(&Registers::here(), code, [0; 4], violation, Some(view))
}

/// Stops because the driver uses something that understudy refuses to fake.
pub(crate) fn not_offered(what: &str) -> ! {
    stop(BugCheck::WDF_VIOLATION, [0; 4], "NotOffered", format!("understudy does not offer {what}"))
}
