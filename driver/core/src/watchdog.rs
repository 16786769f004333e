//! When waiting for the device has lasted too long. One timer serves both queues; time comes from
//! outside, in milliseconds of any steady clock.
//!
//! Rules: CP20 (`driver/docs/cancel-path.md`).

use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::outcome::Waiting;

/// Which of the two queues speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Transmit.
    Tx,
    /// Receive.
    Rx,
}

impl fmt::Display for Side {
    /// The queue's name: there is one of each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tx => "tx0",
            Self::Rx => "rx0",
        })
    }
}

/// What an expired timer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// Nobody waits any more: nothing to do.
    Idle,
    /// A queue still has time: start the timer again with this many milliseconds.
    Rearm(u64),
    /// The device owes this queue's packets past the deadline, and no other's longer: reset it and mark both queues lost.
    Reset(Side),
}

/// Nobody waits.
const IDLE: u64 = u64::MAX;

/// Deadlines of both queues. Its methods may be called from every processor at once.
///
/// The timer is only ever started, never stopped, but for the end of the device's power: a timer that
/// nobody needs any more expires as [`Expiry::Idle`], so that no stop can meet another queue's start.
#[derive(Debug)]
pub struct Watchdog {
    period: u64,
    deadlines: [AtomicU64; 2],
}

impl Watchdog {
    /// A queue may owe packets for `period_ms` after its cancel without any progress; 0: for ever.
    #[must_use]
    pub const fn new(period_ms: u32) -> Self {
        Self { period: period_ms as u64, deadlines: [AtomicU64::new(IDLE), AtomicU64::new(IDLE)] }
    }

    /// How long a queue may owe packets, in milliseconds; 0: for ever.
    #[must_use]
    pub const fn period(&self) -> u64 {
        self.period
    }

    /// Takes note of a callback's outcome at time `now_ms`. `Some(ms)`: start the one timer with this
    /// due time (if it runs already, that puts it off; [`Self::expired`] sorts it out).
    #[must_use]
    pub fn note(&self, side: Side, waiting: Waiting, now_ms: u64) -> Option<u64> {
        let deadline = &self.deadlines[side as usize];
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
        let [tx, rx] =
            [Side::Tx, Side::Rx].map(|side| (self.deadlines[side as usize].load(Ordering::Acquire), side));
        match if rx.0 < tx.0 { rx } else { tx } {
            (IDLE, _) => Expiry::Idle,
            (deadline, side) if deadline <= now_ms => Expiry::Reset(side),
            (deadline, _) => Expiry::Rearm(deadline - now_ms),
        }
    }

    /// Both queues were marked lost or the device loses power: nobody waits.
    pub fn clear(&self) {
        self.deadlines.iter().for_each(|deadline| deadline.store(IDLE, Ordering::Release));
    }
}
