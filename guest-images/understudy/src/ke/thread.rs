//! Threads and events. Round robin, pre-emptive; a thread that waits gives the processor away.

use super::dispatch::request_dispatch;
use super::hooks::{self, Misuse};
use super::irqlock::IrqLock;
use super::{Irql, irql, lower, raise};
use alloc::{boxed::Box, collections::VecDeque, vec, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

const STACK: usize = 256 * 1024;

unsafe extern "C" {
    fn switch_context(save: *mut u64, load: u64);
    fn thread_trampoline();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Running,
    /// On an event, by its address, until a time (`u64::MAX`: for ever).
    Waiting(usize, u64),
    Ended,
}

struct Record {
    #[expect(dead_code, reason = "read by people in a debugger")]
    name: &'static str,
    state: State,
    stack_pointer: u64,
    /// The wait ended because the event was set.
    granted: bool,
    entry: Option<Box<dyn FnOnce() + Send>>,
    _stack: Vec<u64>,
}

struct Scheduler {
    threads: Vec<Record>,
    ready: VecDeque<usize>,
    current: usize,
}

static SCHEDULER: IrqLock<Scheduler> =
    IrqLock::new(Scheduler { threads: Vec::new(), ready: VecDeque::new(), current: 0 });

/// Namespace for starting threads.
pub struct Thread;

impl Thread {
    /// Starts a thread at PASSIVE_LEVEL. It ends when `entry` returns.
    pub fn spawn(name: &'static str, entry: Box<dyn FnOnce() + Send>) {
        let mut stack = vec![0_u64; STACK / 8];
        let top = (stack.as_mut_ptr() as usize + STACK) & !15;
        let id = SCHEDULER.with(|scheduler| scheduler.threads.len()) as u64;
        // as switch_context left it: FPU image, pointer to the registers r15 r14 r13 r12 rbp rbx, return address
        let registers = top - 16 - 7 * 8;
        let image = (registers & !15) - 528;
        // SAFETY: all within the fresh stack.
        unsafe {
            let words = registers as *mut u64;
            words.add(3).write(id);
            words.add(6).write(thread_trampoline as *const () as u64);
            (image as *mut u16).write(0x37f);
            ((image + 24) as *mut u32).write(0x1f80);
            ((image + 512) as *mut u64).write(registers as u64);
        }
        let record = Record {
            name,
            state: State::Ready,
            stack_pointer: image as u64,
            granted: false,
            entry: Some(entry),
            _stack: stack,
        };
        SCHEDULER.with(|scheduler| {
            let id = scheduler.threads.len();
            scheduler.threads.push(record);
            scheduler.ready.push_back(id);
        });
    }
}

/// Number of the running thread; in an ISR or DPC, of the one it interrupted.
pub fn current_thread() -> u64 {
    SCHEDULER.with(|scheduler| scheduler.current as u64)
}

/// The registers of a thread that waits; `None` of one that runs, or could.
pub fn waiting(thread: u64) -> Option<super::Registers> {
    SCHEDULER.with(|scheduler| {
        let record = scheduler.threads.get(thread as usize)?;
        // SAFETY: a thread that waits stands in `switch_context`, and interrupts are off: it does not run meanwhile.
        matches!(record.state, State::Waiting(..))
            .then(|| unsafe { super::Registers::of_waiting(record.stack_pointer) })
    })
}

/// Whether a thread waits.
pub fn waits(thread: u64) -> bool {
    SCHEDULER.with(|scheduler| {
        let record = scheduler.threads.get(thread as usize);
        record.is_some_and(|record| matches!(record.state, State::Waiting(..)))
    })
}

/// Makes the boot flow thread 0, which becomes the idle thread.
pub fn start() {
    let boot = Record {
        name: "idle",
        state: State::Running,
        stack_pointer: 0,
        granted: false,
        entry: None,
        _stack: Vec::new(),
    };
    SCHEDULER.with(|scheduler| {
        scheduler.ready.reserve(64);
        scheduler.threads.push(boot);
    });
}

/// First Rust code of a thread, with interrupts off at DISPATCH_LEVEL.
#[unsafe(no_mangle)]
extern "C" fn thread_entry(id: u64) -> ! {
    let entry = SCHEDULER.with(|scheduler| scheduler.threads[id as usize].entry.take());
    lower(Irql::PASSIVE);
    x86_64::instructions::interrupts::enable();
    if let Some(entry) = entry {
        entry();
    }
    raise(Irql::DISPATCH);
    SCHEDULER.with(|scheduler| scheduler.threads[id as usize].state = State::Ended);
    switch();
    unreachable!("an ended thread ran again")
}

/// Gives the processor to the next ready thread, if there is one. At DISPATCH_LEVEL.
fn switch() {
    x86_64::instructions::interrupts::without_interrupts(|| {
        let change = SCHEDULER.with(|scheduler| {
            let from = scheduler.current;
            if scheduler.threads[from].state == State::Running {
                scheduler.threads[from].state = State::Ready;
                if from != 0 {
                    scheduler.ready.push_back(from);
                }
            }
            // thread 0 idles: it runs when nobody else can
            let to = scheduler.ready.pop_front().unwrap_or(0);
            scheduler.threads[to].state = State::Running;
            scheduler.current = to;
            (from != to).then(|| (save_slot(scheduler, from), scheduler.threads[to].stack_pointer))
        });
        if let Some((save, load)) = change {
            // SAFETY: both stacks are live; interrupts are off, so the record does not move before it is written.
            unsafe { switch_context(save, load) };
        }
    });
}

/// Where the thread's stack pointer is kept.
fn save_slot(scheduler: &mut Scheduler, thread: usize) -> *mut u64 {
    &raw mut scheduler.threads[thread].stack_pointer
}

/// At the end of a dispatch interrupt: the next thread's turn.
pub fn reschedule() {
    switch();
}

/// Wakes threads whose time is over. Clock interrupt. Returns whether any was woken.
pub fn expire(now: u64) -> bool {
    SCHEDULER.with(|scheduler| {
        let mut any = false;
        for id in 0..scheduler.threads.len() {
            if let State::Waiting(_, until) = scheduler.threads[id].state
                && until <= now
            {
                scheduler.threads[id].state = State::Ready;
                scheduler.threads[id].granted = false;
                scheduler.ready.push_back(id);
                any = true;
            }
        }
        any
    })
}

/// Something to wait for.
#[derive(Debug)]
pub struct Event {
    signaled: AtomicBool,
    auto: bool,
}

impl Event {
    /// One waiter per [`Self::set`].
    #[must_use]
    pub const fn auto() -> Self {
        Self { signaled: AtomicBool::new(false), auto: true }
    }

    /// Stays set until [`Self::reset`].
    #[must_use]
    pub const fn manual() -> Self {
        Self { signaled: AtomicBool::new(false), auto: false }
    }

    fn address(&self) -> usize {
        core::ptr::from_ref(self) as usize
    }

    /// Sets it. Any IRQL.
    pub fn set(&self) {
        let woken = SCHEDULER.with(|scheduler| {
            let mut any = false;
            for id in 0..scheduler.threads.len() {
                if matches!(scheduler.threads[id].state, State::Waiting(on, _) if on == self.address()) {
                    scheduler.threads[id].state = State::Ready;
                    scheduler.threads[id].granted = true;
                    scheduler.ready.push_front(id);
                    any = true;
                    if self.auto {
                        return true;
                    }
                }
            }
            self.signaled.store(true, Relaxed);
            any
        });
        if woken {
            request_dispatch(true);
        }
    }

    /// Clears it. Any IRQL.
    pub fn reset(&self) {
        self.signaled.store(false, Relaxed);
    }

    /// Waits for ever.
    pub fn wait(&self) {
        self.wait_until(u64::MAX);
    }

    /// Waits at most `us` microseconds; 0 only looks. Returns whether it was set.
    pub fn wait_timeout(&self, us: u64) -> bool {
        self.wait_until(if us == 0 { 0 } else { super::now_us().saturating_add(us) })
    }

    fn wait_until(&self, until: u64) -> bool {
        let level = irql();
        if level >= Irql::DISPATCH && until != 0 {
            hooks::misuse(Misuse::WaitAtDispatch(level));
        }
        let old = if level < Irql::DISPATCH { raise(Irql::DISPATCH) } else { level };
        let taken = SCHEDULER.with(|scheduler| {
            if self.signaled.load(Relaxed) {
                self.signaled.store(!self.auto, Relaxed);
                return Some(true);
            }
            if until == 0 {
                return Some(false);
            }
            let id = scheduler.current;
            scheduler.threads[id].state = State::Waiting(self.address(), until);
            scheduler.threads[id].granted = false;
            None
        });
        let granted = taken.unwrap_or_else(|| {
            switch();
            SCHEDULER.with(|scheduler| scheduler.threads[scheduler.current].granted)
        });
        lower(old);
        granted
    }
}
