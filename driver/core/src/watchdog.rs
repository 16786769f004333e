//! When waiting for the device has lasted too long. One timer serves all queues; time comes from
//! outside, in milliseconds of any steady clock.
//!
//! Rules: CP20 (`driver/docs/cancel-path.md`).

use core::sync::atomic::{AtomicU64, Ordering};

use cancelnic_registers::QueueId;

use crate::{
    outcome::Waiting,
    queue::{self, PerQueue},
};

/// What an expired timer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nobody waits any more: nothing to do.
    Idle,
    /// A queue still has time: start the timer again with this many milliseconds.
    Rearm(u64),
    /// The device owes this queue's packets past the deadline, and no other's longer: reset it and mark all queues lost.
    Reset(QueueId),
}

/// Nobody waits.
const IDLE: u64 = u64::MAX;

/// Deadlines of all queues. Its methods may be called from every processor at once.
///
/// The timer is only ever started, never stopped, but for the end of the device's power: a timer that
/// nobody needs any more expires as [`Expiry::Idle`], so that no stop can meet another queue's start.
#[derive(Debug)]
pub struct Watchdog {
    period: u64,
    deadlines: PerQueue<AtomicU64>,
}

impl Watchdog {
    /// A queue may owe packets for `period_ms` after its cancel without any progress; 0: for ever.
    #[must_use]
    pub fn new(period_ms: u32) -> Self {
        Self { period: period_ms.into(), deadlines: PerQueue::new(|_| AtomicU64::new(IDLE)) }
    }

    /// How long a queue may owe packets, in milliseconds; 0: for ever.
    #[must_use]
    pub const fn period(&self) -> u64 {
        self.period
    }

    /// Takes note of a callback's outcome at time `now_ms`. `Some(ms)`: start the one timer with this
    /// due time (if it runs already, that puts it off; [`Self::expired`] sorts it out).
    #[must_use]
    pub fn note(&self, queue: QueueId, waiting: Waiting, now_ms: u64) -> Option<u64> {
        let deadline = &self.deadlines[queue];
        match waiting {
            Waiting::Unchanged => None,
            Waiting::Ended => {
                deadline.store(IDLE, Ordering::Release);
                None
            }
            Waiting::Began if self.period == 0 => None,
            Waiting::Began => {
                // Whoever waits already has a timer running; it rearms itself.
                let before = deadline.swap(now_ms.saturating_add(self.period), Ordering::AcqRel);
                (before == IDLE).then_some(self.period)
            }
        }
    }

    /// The timer expired at time `now_ms`.
    #[must_use]
    pub fn expired(&self, now_ms: u64) -> Expiry {
        let deadlines = queue::all().map(|queue| (self.deadlines[queue].load(Ordering::Acquire), queue));
        match deadlines.min_by_key(|(deadline, _)| *deadline) {
            None | Some((IDLE, _)) => Expiry::Idle,
            Some((deadline, queue)) if deadline <= now_ms => Expiry::Reset(queue),
            Some((deadline, _)) => Expiry::Rearm(deadline - now_ms),
        }
    }

    /// All queues were marked lost or the device loses power: nobody waits.
    pub fn clear(&self) {
        self.deadlines.values().for_each(|deadline| deadline.store(IDLE, Ordering::Release));
    }
}
