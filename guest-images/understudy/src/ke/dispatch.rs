//! DPCs, timers, and the software interrupt at DISPATCH_LEVEL that runs them and switches threads.

use super::irqlock::IrqLock;
use super::vectors::{request_dispatch, take_reschedule};
use super::{now_us, thread};
use alloc::{boxed::Box, collections::VecDeque, sync::Arc, vec::Vec};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

struct DpcInner {
    routine: UnsafeCell<Box<dyn FnMut() + Send>>,
    queued: AtomicBool,
}

// SAFETY: the routine is called only from the dispatch interrupt, one at a time on the only processor.
unsafe impl Sync for DpcInner {}

/// A deferred procedure: runs at DISPATCH_LEVEL soon after it was queued.
pub(crate) struct Dpc(Arc<DpcInner>);

static QUEUE: IrqLock<VecDeque<Arc<DpcInner>>> = IrqLock::new(VecDeque::new());
/// A dispatch interrupt is being served: a further one only notes its wish.
static SERVING: AtomicBool = AtomicBool::new(false);

impl Dpc {
    /// A procedure, not queued.
    #[must_use]
    pub(crate) fn new(routine: Box<dyn FnMut() + Send>) -> Self {
        Self(Arc::new(DpcInner { routine: UnsafeCell::new(routine), queued: AtomicBool::new(false) }))
    }

    /// Queues it; `false` if it was queued already. Any IRQL.
    pub(crate) fn queue(&self) -> bool {
        queue(&self.0)
    }

    /// Takes it out of the queue; `false` if it was not in it. Any IRQL.
    pub(crate) fn remove(&self) -> bool {
        QUEUE.with(|waiting| {
            waiting.retain(|queued| !Arc::ptr_eq(queued, &self.0));
            self.0.queued.swap(false, Relaxed)
        })
    }

    /// Whether it is in the queue.
    pub(crate) fn is_queued(&self) -> bool {
        self.0.queued.load(Relaxed)
    }
}

fn queue(dpc: &Arc<DpcInner>) -> bool {
    if dpc.queued.swap(true, Relaxed) {
        return false;
    }
    QUEUE.with(|waiting| waiting.push_back(dpc.clone()));
    request_dispatch(false);
    true
}

/// The dispatch interrupt, at DISPATCH_LEVEL with interrupts on.
pub(crate) fn serve() {
    if SERVING.swap(true, Relaxed) {
        return;
    }
    while let Some(dpc) = QUEUE.with(|waiting| {
        let dpc = waiting.pop_front()?;
        dpc.queued.store(false, Relaxed);
        Some(dpc)
    }) {
        // SAFETY: only this loop calls routines, and it does not nest: the interrupt's own class is masked.
        unsafe { (*dpc.routine.get())() };
    }
    SERVING.store(false, Relaxed);
    if take_reschedule() {
        thread::reschedule();
    }
}

struct TimerInner {
    dpc: Arc<DpcInner>,
    /// When it fires, in microseconds; 0 while stopped.
    due: AtomicU64,
    /// How long after that it fires again, in microseconds; 0: it does not.
    period: AtomicU64,
}

/// A timer, for one shot or many: its procedure runs as a DPC.
pub(crate) struct Timer(Arc<TimerInner>);

static TIMERS: IrqLock<Vec<Arc<TimerInner>>> = IrqLock::new(Vec::new());

impl Timer {
    /// A stopped timer.
    #[must_use]
    pub(crate) fn new(routine: Box<dyn FnMut() + Send>) -> Self {
        let timer = Arc::new(TimerInner {
            dpc: Dpc::new(routine).0,
            due: AtomicU64::new(0),
            period: AtomicU64::new(0),
        });
        let listed = timer.clone();
        TIMERS.with(|timers| timers.push(listed));
        Self(timer)
    }

    /// Fires in `us` microseconds, replacing an earlier time. Up to DISPATCH_LEVEL.
    pub(crate) fn start(&self, us: u64) {
        self.start_periodic(us, 0);
    }

    /// As [`Self::start`], and again every `period` microseconds, if that is not 0.
    pub(crate) fn start_periodic(&self, us: u64, period: u64) {
        // the clock may come between any two of these
        self.0.due.store(0, Relaxed);
        self.0.period.store(period, Relaxed);
        self.0.due.store(now_us().saturating_add(us.max(1)), Relaxed);
    }

    /// Does not fire. A procedure that is queued already still runs. Returns whether it would have fired.
    pub(crate) fn stop(&self) -> bool {
        self.0.due.swap(0, Relaxed) != 0
    }

    /// Whether it will fire.
    pub(crate) fn is_started(&self) -> bool {
        self.0.due.load(Relaxed) != 0
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.stop();
        TIMERS.remove(&self.0);
    }
}

/// The clock interrupt: timers, waits, the end of the thread's turn.
pub(crate) fn clock() {
    let now = now_us();
    TIMERS.with(|timers| {
        for timer in timers.iter() {
            let due = timer.due.load(Relaxed);
            if due != 0 && due <= now {
                let period = timer.period.load(Relaxed);
                // what the clock has come too late for is not caught up with
                let next = if period == 0 { 0 } else { due.saturating_add(period).max(now + 1) };
                timer.due.store(next, Relaxed);
                if !timer.dpc.queued.swap(true, Relaxed) {
                    QUEUE.with(|waiting| waiting.push_back(timer.dpc.clone()));
                }
            }
        }
    });
    thread::expire(now);
    request_dispatch(true);
}

/// When the first timer fires, in microseconds.
#[cfg(not(target_os = "none"))]
pub(crate) fn next_timer() -> Option<u64> {
    TIMERS.with(|timers| {
        let due = timers.iter().map(|timer| timer.due.load(Relaxed));
        due.filter(|&due| due != 0).min()
    })
}
