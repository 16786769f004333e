//! Worker threads: for work items, and for the agent's commands that may wait. A job that blocks keeps no other one
//! waiting, unless jobs are to run in their order.

use super::irqlock::IrqLock;
use super::{Event, Thread};
use alloc::{boxed::Box, collections::VecDeque, sync::Arc, vec::Vec};
use spin::Once;

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    jobs: VecDeque<Job>,
    /// Workers without a job, each by the event that wakes it.
    idle: Vec<Arc<Event>>,
}

static POOL: IrqLock<Pool> = IrqLock::new(Pool { jobs: VecDeque::new(), idle: Vec::new() });

/// Runs a job on a thread of its own at PASSIVE_LEVEL. Up to DISPATCH_LEVEL.
pub(crate) fn run(job: Job) {
    let worker = POOL.with(|pool| {
        pool.jobs.push_back(job);
        pool.idle.pop()
    });
    match worker {
        Some(event) => event.set(),
        None => {
            let event = Arc::new(Event::auto());
            Thread::spawn("worker", Box::new(move || work(&event)));
        }
    }
}

fn work(event: &Arc<Event>) {
    loop {
        let own = event.clone();
        let job = POOL.with(|pool| {
            let job = pool.jobs.pop_front();
            if job.is_none() {
                pool.idle.push(own);
            }
            job
        });
        match job {
            Some(job) => job(),
            None => event.wait(),
        }
    }
}

/// Jobs that run in their order, all on one thread.
static ORDERED: IrqLock<VecDeque<Job>> = IrqLock::new(VecDeque::new());
static MORE: Event = Event::auto();
static SERVER: Once = Once::new();

/// Runs a job at PASSIVE_LEVEL after those that were given before. Up to DISPATCH_LEVEL.
pub(crate) fn in_order(job: Job) {
    ORDERED.with(|jobs| jobs.push_back(job));
    SERVER.call_once(|| Thread::spawn("in order", Box::new(serve)));
    MORE.set();
}

fn serve() {
    loop {
        MORE.wait();
        while let Some(job) = ORDERED.with(VecDeque::pop_front) {
            job();
        }
    }
}
