//! Threads and events. Round robin, pre-emptive; a thread that waits gives the processor away.

use super::hooks::{self, Misuse};
use super::irqlock::IrqLock;
use super::vectors::request_dispatch;
use super::{Irql, irql, lower, raise};
use crate::hal::cpu::{self, Context};
use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Ready,
    Running,
    /// On an event, by its address, until a time (`u64::MAX`: for ever).
    Waiting(usize, u64),
    Ended,
}

struct Record {
    #[cfg_attr(target_os = "none", expect(dead_code, reason = "read by people in a debugger"))]
    name: &'static str,
    state: State,
    context: Context,
    /// The wait ended because the event was set.
    granted: bool,
    entry: Option<Box<dyn FnOnce() + Send>>,
}

struct Scheduler {
    threads: Vec<Record>,
    ready: VecDeque<usize>,
    current: usize,
}

static SCHEDULER: IrqLock<Scheduler> =
    IrqLock::new(Scheduler { threads: Vec::new(), ready: VecDeque::new(), current: 0 });

/// Namespace for starting and ending threads.
pub(crate) struct Thread;

impl Thread {
    /// Starts a thread at PASSIVE_LEVEL. It ends when `entry` returns, or with [`Self::end`]. Its number may be one of a
    /// thread that has ended. Up to DISPATCH_LEVEL.
    pub(crate) fn spawn(name: &'static str, entry: Box<dyn FnOnce() + Send>) {
        // no other thread may take the number between the look at it and its use
        let old = raise(irql().max(Irql::DISPATCH));
        let id = SCHEDULER.with(|scheduler| {
            let ended = scheduler.threads.iter().position(|record| record.state == State::Ended);
            ended.unwrap_or(scheduler.threads.len())
        });
        let record = Record {
            name,
            state: State::Ready,
            context: Context::new(id as u64),
            granted: false,
            entry: Some(entry),
        };
        let ended = SCHEDULER.with(|scheduler| {
            scheduler.ready.push_back(id);
            if let Some(ended) = scheduler.threads.get_mut(id) {
                return Some(core::mem::replace(ended, record));
            }
            scheduler.threads.push(record);
            None
        });
        // with its stack, on which nobody stands any more
        drop(ended);
        lower(old);
    }

    /// Ends the running thread here: what is on its stack is dropped by nobody. PASSIVE_LEVEL.
    pub(crate) fn end() -> ! {
        if let Some(hooks) = hooks::get() {
            (hooks.thread_ends)();
        }
        raise(Irql::DISPATCH);
        SCHEDULER.with(|scheduler| scheduler.threads[scheduler.current].state = State::Ended);
        switch();
        unreachable!("an ended thread ran again")
    }
}

/// Number of the running thread; in an ISR or DPC, of the one it interrupted.
pub(crate) fn current_thread() -> u64 {
    SCHEDULER.with(|scheduler| scheduler.current as u64)
}

/// The registers of a thread that waits; `None` of one that runs, or could.
pub(crate) fn waiting(thread: u64) -> Option<super::Registers> {
    SCHEDULER.with(|scheduler| {
        let record = scheduler.threads.get(thread as usize)?;
        let stack_pointer =
            record.context.stack_pointer().filter(|_| matches!(record.state, State::Waiting(..)))?;
        // SAFETY: a thread that waits stands in `switch_context`, which has stored this stack pointer; interrupts are
        // off, so it does not run meanwhile.
        Some(unsafe { super::Registers::of_waiting(stack_pointer) })
    })
}

/// The first byte of the running thread's stack, where it ends.
pub(crate) fn stack_end() -> Option<usize> {
    SCHEDULER.with(|scheduler| scheduler.threads[scheduler.current].context.stack_end())
}

/// Whether a thread waits.
pub(crate) fn waits(thread: u64) -> bool {
    SCHEDULER.with(|scheduler| {
        let record = scheduler.threads.get(thread as usize);
        record.is_some_and(|record| matches!(record.state, State::Waiting(..)))
    })
}

/// Makes the boot flow thread 0, which becomes the idle thread.
pub(crate) fn start() {
    let boot = Record {
        name: "idle",
        state: State::Running,
        context: Context::running(),
        granted: false,
        entry: None,
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
    cpu::interrupts_on();
    if let Some(entry) = entry {
        entry();
    }
    Thread::end()
}

/// Gives the processor to the next ready thread, if there is one. At DISPATCH_LEVEL.
fn switch() {
    cpu::without_interrupts(|| {
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
            (from != to).then(|| (context(scheduler, from), context(scheduler, to).cast_const()))
        });
        if let Some((from, to)) = change {
            // SAFETY: both records are live; interrupts are off, so they do not move before this thread's is written.
            unsafe { cpu::switch(from, to) };
        }
    });
}

/// Where it is kept what the thread has left.
fn context(scheduler: &mut Scheduler, thread: usize) -> *mut Context {
    &raw mut scheduler.threads[thread].context
}

/// At the end of a dispatch interrupt: the next thread's turn.
pub(crate) fn reschedule() {
    switch();
}

/// Wakes threads whose time is over. Clock interrupt. Returns whether any was woken.
pub(crate) fn expire(now: u64) -> bool {
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
pub(crate) struct Event {
    signaled: AtomicBool,
    auto: bool,
}

impl Event {
    /// One waiter per [`Self::set`].
    #[must_use]
    pub(crate) const fn auto() -> Self {
        Self { signaled: AtomicBool::new(false), auto: true }
    }

    /// Stays set until [`Self::reset`].
    #[must_use]
    pub(crate) const fn manual() -> Self {
        Self { signaled: AtomicBool::new(false), auto: false }
    }

    fn address(&self) -> usize {
        core::ptr::from_ref(self) as usize
    }

    /// Sets it. Any IRQL.
    pub(crate) fn set(&self) {
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
    pub(crate) fn reset(&self) {
        self.signaled.store(false, Relaxed);
    }

    /// Waits for ever.
    pub(crate) fn wait(&self) {
        self.wait_until(u64::MAX);
    }

    /// Waits at most `us` microseconds; 0 only looks. Returns whether it was set.
    pub(crate) fn wait_timeout(&self, us: u64) -> bool {
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

/// Sleeps. PASSIVE_LEVEL.
pub(crate) fn delay_us(us: u64) {
    Event::manual().wait_timeout(us.max(1));
}

/// What an idle machine can go by.
#[cfg(not(target_os = "none"))]
pub(crate) mod idle {
    use super::{SCHEDULER, State};
    use alloc::{format, string::String, vec::Vec};

    /// How many threads could run if the running one did not.
    pub(crate) fn ready() -> usize {
        SCHEDULER.with(|scheduler| scheduler.ready.len())
    }

    /// When the first wait with a limit ends, in microseconds.
    pub(crate) fn deadline() -> Option<u64> {
        SCHEDULER.with(|scheduler| {
            let until = scheduler.threads.iter().filter_map(|record| match record.state {
                State::Waiting(_, until) if until != u64::MAX => Some(until),
                _ => None,
            });
            until.min()
        })
    }

    /// The threads that wait without a limit, by name.
    pub(crate) fn waiting() -> String {
        let names: Vec<&str> = SCHEDULER.with(|scheduler| {
            let waiting =
                scheduler.threads.iter().filter(|record| matches!(record.state, State::Waiting(..)));
            waiting.map(|record| record.name).collect()
        });
        format!("{names:?}")
    }
}
