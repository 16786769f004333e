//! Execution contexts: one worker thread and one DPC per queue, of which one at a time polls.
//!
//! The loop: poll; nothing done: arm, poll once more; still nothing done: sleep. That is the source's; by the documents
//! an enabled notification ends the polling, so that the loop sleeps as soon as it has armed. A task (start, cancel,
//! stop) comes before the next poll and always runs on the worker. Whoever notifies while the loop is awake makes it go
//! round once more; whoever notifies while it sleeps wakes it, by DPC or by worker.
//!
//! Rules: CX1, CX2, CX6 (`driver/docs/netadaptercx.md`).

use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Dpc, Event, Thread};
use alloc::{boxed::Box, format, sync::Arc, sync::Weak};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use spin::Once;

/// What a poll is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// No poll is registered.
    None,
    /// Frames flow.
    Running,
    /// After EvtCancel: until the rings are empty.
    Stopping,
}

/// What runs on the worker between polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    /// EvtStart.
    Start,
    /// EvtCancel.
    Cancel,
    /// EvtStop.
    Stop,
}

/// The queue above an execution context.
pub(crate) trait Client: Send + Sync {
    /// One round: returns whether anything moved. PASSIVE_LEVEL or DISPATCH_LEVEL.
    fn poll(&self, mode: Mode) -> bool;
    /// Asks the driver to notify. Same IRQL as the poll.
    fn arm(&self, mode: Mode);
    /// Carries a task out. PASSIVE_LEVEL, worker thread.
    fn task(&self, task: Task);
    /// The loop goes to sleep in this mode.
    fn asleep(&self, mode: Mode);
    /// Whether polls have to run on the worker, at PASSIVE_LEVEL, because one of them is to be held.
    fn is_to_be_held(&self) -> bool;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    Asleep,
    Scheduled,
    Running,
}

struct Inner {
    owner: Owner,
    /// Who runs it, once scheduled.
    on_worker: bool,
    mode: Mode,
    /// Somebody notified since the mark was last taken off.
    woken: bool,
    /// The driver has been asked to notify and the loop has seen no work since.
    armed: bool,
    task: Option<Task>,
    exit: bool,
    /// Wakes so far: picks DPC or worker.
    wakes: u64,
}

/// One execution context.
pub(crate) struct Ec {
    inner: IrqLock<Inner>,
    client: Once<Weak<dyn Client>>,
    worker: Event,
    task_done: Event,
    exited: Event,
    dpc: Once<Dpc>,
    /// Decides DPC or worker, budget, and the worker's IRQL.
    seed: u64,
    polls: AtomicU64,
}

/// A poll loop in a DPC hands over to the worker after so many rounds.
const BUDGET: u32 = 8;
/// A driver whose callback has not returned after this long hangs, in microseconds.
const CALLBACK_BOUND_US: u64 = 20_000_000;

impl Ec {
    /// An execution context with its worker thread; `attach` gives it a client.
    #[must_use]
    pub(crate) fn new(name: &'static str, seed: u64) -> Arc<Self> {
        let inner = Inner {
            owner: Owner::Asleep,
            on_worker: false,
            mode: Mode::None,
            woken: false,
            armed: false,
            task: None,
            exit: false,
            wakes: 0,
        };
        let ec = Arc::new(Self {
            inner: IrqLock::new(inner),
            client: Once::new(),
            worker: Event::auto(),
            task_done: Event::auto(),
            exited: Event::auto(),
            dpc: Once::new(),
            seed,
            polls: AtomicU64::new(0),
        });
        let weak = Arc::downgrade(&ec);
        ec.dpc.call_once(|| {
            Dpc::new(Box::new(move || {
                if let Some(ec) = weak.upgrade() {
                    ec.run(false);
                }
            }))
        });
        let thread = ec.clone();
        Thread::spawn(name, Box::new(move || thread.worker_loop()));
        ec
    }

    /// The queue that this context polls.
    pub(crate) fn attach(&self, client: Weak<dyn Client>) {
        self.client.call_once(|| client);
    }

    /// Polls so far.
    pub(crate) fn polls(&self) -> u64 {
        self.polls.load(Relaxed)
    }

    /// What polls do from now on.
    pub(crate) fn set_mode(&self, mode: Mode) {
        self.inner.with(|inner| {
            inner.mode = mode;
            inner.armed = false;
        });
    }

    /// There may be work. Any IRQL.
    pub(crate) fn wake(&self) {
        let irql = crate::ke::irql();
        let schedule = self.inner.with(|inner| {
            inner.woken = true;
            if inner.owner != Owner::Asleep || inner.mode == Mode::None {
                return None;
            }
            inner.owner = Owner::Scheduled;
            if crate::settings::documented() {
                // being woken is what ends an enabled notification
                inner.armed = false;
            }
            inner.wakes += 1;
            inner.on_worker = irql <= Irql::DISPATCH && self.seed.rotate_right(inner.wakes as u32) & 1 != 0;
            Some(inner.on_worker)
        });
        self.schedule(schedule);
    }

    fn schedule(&self, on_worker: Option<bool>) {
        match on_worker {
            Some(true) => self.worker.set(),
            Some(false) => {
                if let Some(dpc) = self.dpc.get() {
                    dpc.queue();
                }
            }
            None => {}
        }
    }

    /// Whether it sleeps until somebody wakes it: it polls no more by itself.
    pub(crate) fn sleeps(&self) -> bool {
        self.inner.with(|inner| {
            inner.owner == Owner::Asleep && inner.mode != Mode::None && inner.task.is_none() && !inner.exit
        })
    }

    /// Runs a task on the worker and waits for its end. PASSIVE_LEVEL.
    pub(crate) fn run_task(&self, task: Task) {
        let schedule = self.inner.with(|inner| {
            inner.task = Some(task);
            if inner.owner != Owner::Asleep {
                return None;
            }
            inner.owner = Owner::Scheduled;
            inner.on_worker = true;
            Some(true)
        });
        self.schedule(schedule);
        if !self.task_done.wait_timeout(CALLBACK_BOUND_US) {
            crate::verifier::violation(
                "CallbackDoesNotReturn",
                0,
                0,
                format!("the {task:?} task has not ended after {} s", CALLBACK_BOUND_US / 1_000_000),
            );
        }
    }

    /// Ends the worker thread. PASSIVE_LEVEL; no mode is set any more.
    pub(crate) fn end(&self) {
        self.inner.with(|inner| inner.exit = true);
        self.worker.set();
        self.exited.wait();
    }

    fn worker_loop(&self) {
        loop {
            self.worker.wait();
            let (exit, run) =
                self.inner.with(|inner| (inner.exit, inner.owner == Owner::Scheduled && inner.on_worker));
            if run {
                self.run(true);
            } else if exit {
                self.exited.set();
                return;
            }
        }
    }

    /// The loop, on the worker or in the DPC.
    fn run(&self, on_worker: bool) {
        let Some(client) = self.client.get().and_then(Weak::upgrade) else {
            self.inner.with(|inner| inner.owner = Owner::Asleep);
            return;
        };
        self.inner.with(|inner| inner.owner = Owner::Running);
        let documented = crate::settings::documented();
        let mut rounds = 0;
        loop {
            let task = self.inner.with(|inner| if on_worker { inner.task.take() } else { None });
            if let Some(task) = task {
                client.task(task);
                self.inner.with(|inner| inner.armed = false);
                self.task_done.set();
                continue;
            }
            let held = client.is_to_be_held();
            if !on_worker && (held || rounds == BUDGET || self.inner.with(|inner| inner.task.is_some())) {
                self.hand_over();
                return;
            }
            rounds += 1;
            let (mode, armed) = self.inner.with(|inner| {
                if !inner.armed {
                    inner.woken = false;
                }
                (inner.mode, inner.armed)
            });
            if mode != Mode::None {
                // the worker may poll at DISPATCH_LEVEL just as well; the verifier alternates by itself
                let raise =
                    on_worker && !held && !crate::settings::verifier() && self.seed >> (rounds % 61) & 2 != 0;
                let mut old = raise.then(|| crate::ke::raise(Irql::DISPATCH));
                self.polls.fetch_add(1, Relaxed);
                let work = client.poll(mode);
                if documented && !work && !armed {
                    // As documented EvtSetNotificationEnabled comes at PASSIVE_LEVEL: a DPC leaves it to the worker.
                    if !on_worker {
                        self.hand_over();
                        return;
                    }
                    if let Some(old) = old.take() {
                        crate::ke::lower(old);
                    }
                }
                if !work && !armed {
                    client.arm(mode);
                    self.inner.with(|inner| inner.armed = inner.mode == mode);
                } else if work {
                    self.inner.with(|inner| inner.armed = false);
                }
                if let Some(old) = old {
                    crate::ke::lower(old);
                }
                if work || !(armed || documented) {
                    continue;
                }
                client.asleep(mode);
            }
            if self.sleep(mode) {
                return;
            }
        }
    }

    /// The DPC leaves the rest to the worker.
    fn hand_over(&self) {
        self.inner.with(|inner| {
            inner.owner = Owner::Scheduled;
            inner.on_worker = true;
        });
        self.worker.set();
    }

    /// Falls asleep unless there is a reason to go on.
    fn sleep(&self, mode: Mode) -> bool {
        self.inner.with(|inner| {
            let reason = inner.task.is_some() || inner.mode != mode || inner.woken && mode != Mode::None;
            if reason {
                // whoever notified has used up what was armed
                inner.armed = false;
            } else {
                inner.owner = Owner::Asleep;
            }
            !reason
        })
    }
}
