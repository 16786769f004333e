//! The processor: one host thread at a time runs, the others wait until they are given the baton.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::SeqCst};
use std::sync::{Condvar, Mutex, OnceLock};

/// Who serves an interrupt, with interrupts off.
pub(crate) type Serve = fn(vector: u8);
/// What is asked wherever an interrupt could come to a thread that may be pre-empted.
pub(crate) type Point = fn();

static PRIORITY: AtomicU8 = AtomicU8::new(0);
static ON: AtomicBool = AtomicBool::new(false);
static PENDING: [AtomicBool; 256] = [const { AtomicBool::new(false) }; 256];
/// Microseconds that have passed.
static NOW_US: AtomicU64 = AtomicU64::new(0);
static SERVE: OnceLock<Serve> = OnceLock::new();
static POINT: OnceLock<Point> = OnceLock::new();

/// Says who serves interrupts, and what is asked where a thread may be pre-empted. Once.
pub(crate) fn install(serve: Serve, point: Point) {
    let first = SERVE.set(serve).is_ok() && POINT.set(point).is_ok();
    assert!(first, "one machine to a process");
}

/// The task priority, 0 to 15.
pub(crate) fn priority() -> u8 {
    PRIORITY.load(SeqCst)
}

/// Sets the task priority; what waited below it comes.
pub(crate) fn set_priority(priority: u8) {
    PRIORITY.store(priority, SeqCst);
    deliver();
}

/// Lets interrupts come.
pub(crate) fn interrupts_on() {
    ON.store(true, SeqCst);
    deliver();
}

/// Keeps interrupts away.
pub(crate) fn interrupts_off() {
    ON.store(false, SeqCst);
}

/// Runs `section` with interrupts off.
pub(crate) fn without_interrupts<R>(section: impl FnOnce() -> R) -> R {
    let were_on = ON.swap(false, SeqCst);
    let result = section();
    if were_on {
        interrupts_on();
        if let Some(point) = POINT.get().filter(|_| priority() < 2) {
            point();
        }
    }
    result
}

/// As [`without_interrupts`], but no place at which a thread may be pre-empted: memory that comes and goes is no subject
/// of the tests that try every order.
pub(crate) fn undisturbed<R>(section: impl FnOnce() -> R) -> R {
    let were_on = ON.swap(false, SeqCst);
    let result = section();
    if were_on {
        interrupts_on();
    }
    result
}

/// An interrupt is wanted.
pub(super) fn request(vector: u8) {
    PENDING[usize::from(vector)].store(true, SeqCst);
    deliver();
}

/// Serves what waits, the highest first, as far as priority and the flag let it.
fn deliver() {
    while ON.load(SeqCst) {
        let lowest = (usize::from(priority()) + 1) * 16;
        let waits = |vector: &usize| PENDING[*vector].load(SeqCst);
        let Some(vector) = (lowest.min(256)..256).rev().find(waits) else { return };
        let Some(serve) = SERVE.get() else { return };
        PENDING[vector].store(false, SeqCst);
        ON.store(false, SeqCst);
        serve(vector as u8);
        // as the interrupted code had it
        ON.store(true, SeqCst);
    }
}

/// One round of a loop that waits for time to pass: it does.
pub(crate) fn spin() {
    pass(1);
}

/// Time passes.
pub(crate) fn pass(us: u64) {
    NOW_US.fetch_add(us, SeqCst);
}

/// The processor's counter: a thousand steps in a microsecond.
pub(crate) fn counter() -> u64 {
    NOW_US.load(SeqCst) * 1000
}

/// Nobody looks at a host thread's stack.
pub(crate) fn stack_pointer() -> usize {
    0
}

/// What a thread waits at while it has not the baton.
#[derive(Default)]
struct Gate {
    open: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn open(&self) {
        *self.open.lock().expect("nobody panics with it") = true;
        self.changed.notify_one();
    }

    fn pass(&self) {
        let mut open = self.open.lock().expect("nobody panics with it");
        while !core::mem::replace(&mut *open, false) {
            open = self.changed.wait(open).expect("nobody panics with it");
        }
    }
}

/// Where a thread stands that does not run.
pub(crate) struct Context(Arc<Gate>);

unsafe extern "C" {
    fn thread_entry(id: u64) -> !;
}

impl Context {
    /// That of the flow that runs now.
    pub(crate) fn running() -> Self {
        Self(Arc::default())
    }

    /// That of a thread which begins in `thread_entry(id)`, with interrupts off at DISPATCH_LEVEL.
    pub(crate) fn new(id: u64) -> Self {
        let gate: Arc<Gate> = Arc::default();
        let own = gate.clone();
        let begin = move || {
            own.pass();
            // SAFETY: ke's first code of a thread, which has just been given the baton.
            unsafe { thread_entry(id) }
        };
        let spawned = std::thread::Builder::new().name(alloc::format!("ke {id}")).spawn(begin);
        spawned.expect("the host has a thread");
        Self(gate)
    }

    /// A host thread's stack is the host's.
    pub(crate) fn stack_end(&self) -> Option<usize> {
        None
    }

    /// A host thread's registers are not looked at.
    pub(crate) fn stack_pointer(&self) -> Option<u64> {
        None
    }
}

/// Goes on in another thread; returns when somebody comes back to this one.
///
/// # Safety
/// `from` is the running thread's, `to` another's; both live.
pub(crate) unsafe fn switch(from: *mut Context, to: *const Context) {
    // SAFETY: by contract; cloned, as the records may move once another thread runs.
    let (from, to) = unsafe { ((*from).0.clone(), (*to).0.clone()) };
    to.open();
    from.pass();
}
