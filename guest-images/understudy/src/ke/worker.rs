//! Worker threads: work items, and the agent's commands that may wait. A job that blocks keeps no other one waiting.

use super::irqlock::IrqLock;
use super::{Event, Thread};
use alloc::{boxed::Box, collections::VecDeque, sync::Arc, vec::Vec};

type Job = Box<dyn FnOnce() + Send>;

struct Pool {
    jobs: VecDeque<Job>,
    /// Workers without a job, each by the event that wakes it.
    idle: Vec<Arc<Event>>,
}

static POOL: IrqLock<Pool> = IrqLock::new(Pool { jobs: VecDeque::new(), idle: Vec::new() });

/// Runs a job on a thread of its own at PASSIVE_LEVEL. Up to DISPATCH_LEVEL.
pub fn run(job: Job) {
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
