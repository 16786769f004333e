//! The link: how long a frame takes, who is on the wire, and where frames go.

use std::collections::VecDeque;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cancelnic_registers::QueueId;

use crate::frame::{Frame, Pool};

/// Shortest frame on the wire without its check sequence (IEEE 802.3), in bytes.
const SHORTEST: u64 = 60;
/// Check sequence, preamble and the gap between frames, in bytes.
const OVERHEAD: u64 = 24;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Where frames go and come from. Called under the queue's lock, before the used element is written, so
/// that whatever the guest knows of is already here.
pub trait Wire {
    /// `frame` of transmit queue `queue` has left: its last byte was on the wire at time `at`. Gives the frame back if only
    /// its memory is of use any more.
    fn transmit(&mut self, queue: QueueId, frame: Frame, at: Duration) -> Option<Frame>;

    /// Memory for the next frame of transmit queue `queue`, whose pool is empty: it may fill the pool as well.
    fn memory(&mut self, queue: QueueId, pool: &mut Pool) -> Frame {
        let _ = (queue, pool);
        Frame::default()
    }

    /// Whether [`Wire::taken_back`] is of interest: frames still in the available ring are read for it only.
    fn wants_taken_back(&self) -> bool {
        false
    }

    /// A chain of transmit queue `queue` was taken back at time `at`. Its frame is `None` if the chain is malformed, or
    /// if one cancel has more to read than an honest ring holds.
    fn taken_back(&mut self, queue: QueueId, frame: Option<&[u8]>, at: Duration) {
        let _ = (queue, frame, at);
    }

    /// `frame` was written whole into a buffer of receive queue `queue` at time `at`.
    fn delivered(&mut self, queue: QueueId, frame: Frame, at: Duration) {
        let _ = (queue, frame, at);
    }
}

/// Speed of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// A frame takes no time, and each queue has its own wire.
    Unlimited,
    /// Bits per second. All transmit queues share one wire, one frame at a time.
    BitsPerSecond(NonZeroU64),
}

impl Speed {
    /// How long a frame of `len` bytes, check sequence not included, is on the wire.
    pub fn wire_time(self, len: usize) -> Duration {
        let Speed::BitsPerSecond(speed) = self else { return Duration::ZERO };
        let bytes = u64::try_from(len).unwrap_or(u64::MAX).max(SHORTEST).saturating_add(OVERHEAD);
        let nanos = u128::from(bytes).saturating_mul(8).saturating_mul(NANOS_PER_SECOND.into());
        let nanos = nanos.checked_div(speed.get().into()).unwrap_or(u128::MAX);
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// The wire that transmit queues share. Clones are the same link. Queues that wait for it get it in turn.
#[derive(Debug, Clone)]
pub struct Link {
    speed: Speed,
    wire: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// When the last byte of the last frame that was granted the wire has left.
    free_at: Duration,
    waiting: VecDeque<QueueId>,
}

/// Whether a frame got on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    /// It is being serialised from `start` to `end`.
    OnWire { start: Duration, end: Duration },
    /// Not before `free_at`. If that is past, it is another queue's turn.
    Wait { free_at: Duration },
}

impl Link {
    /// A link of that speed, nothing on its wire.
    pub fn new(speed: Speed) -> Link {
        Link { speed, wire: Arc::default() }
    }

    /// Its speed.
    pub fn speed(&self) -> Speed {
        self.speed
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.wire.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for the wire for a frame of `queue` with `len` bytes that has been ready since `ready`.
    pub(crate) fn acquire(&self, queue: QueueId, len: usize, ready: Duration, now: Duration) -> Grant {
        if self.speed == Speed::Unlimited {
            return Grant::OnWire { start: now, end: now };
        }
        let mut shared = self.shared();
        let free_at = shared.free_at;
        if !shared.waiting.contains(&queue) {
            shared.waiting.push_back(queue);
        }
        if free_at > now || shared.waiting.front() != Some(&queue) {
            return Grant::Wait { free_at };
        }
        shared.waiting.pop_front();
        let start = free_at.max(ready);
        let end = start.saturating_add(self.speed.wire_time(len));
        shared.free_at = end;
        Grant::OnWire { start, end }
    }

    /// `queue` has nothing to send at present: others need not wait for its turn.
    pub(crate) fn withdraw(&self, queue: QueueId) {
        if self.speed != Speed::Unlimited {
            self.shared().waiting.retain(|waiting| *waiting != queue);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cancelnic_registers::Direction;

    fn megabit(n: u64) -> Speed {
        Speed::BitsPerSecond(NonZeroU64::new(n * 1_000_000).unwrap())
    }

    fn queue(pair: u8) -> QueueId {
        QueueId::new(Direction::Tx, pair).unwrap()
    }

    fn us(n: u64) -> Duration {
        Duration::from_micros(n)
    }

    #[test]
    fn wire_time_counts_padding_and_overhead() {
        assert_eq!(megabit(10).wire_time(1514), Duration::from_nanos(1_230_400));
        assert_eq!(megabit(10).wire_time(14), Duration::from_nanos(67_200));
        assert_eq!(Speed::Unlimited.wire_time(1514), Duration::ZERO);
        assert!(Speed::BitsPerSecond(NonZeroU64::MIN).wire_time(usize::MAX) > us(1));
    }

    #[test]
    fn queues_get_the_wire_in_turn_and_back_to_back() {
        let link = Link::new(megabit(8)); // a byte takes a microsecond
        let grant = |pair, now| link.acquire(queue(pair), 76, Duration::ZERO, us(now));
        assert_eq!(grant(0, 0), Grant::OnWire { start: us(0), end: us(100) });
        assert_eq!(grant(1, 10), Grant::Wait { free_at: us(100) });
        assert_eq!(grant(0, 150), Grant::Wait { free_at: us(100) });
        assert_eq!(grant(1, 150), Grant::OnWire { start: us(100), end: us(200) });
        assert_eq!(grant(0, 250), Grant::OnWire { start: us(200), end: us(300) });
    }

    #[test]
    fn queue_that_withdraws_holds_nobody_up() {
        let link = Link::new(megabit(8));
        let grant = |pair, now| link.acquire(queue(pair), 76, Duration::ZERO, us(now));
        let _ = grant(0, 0);
        let _ = grant(1, 10);
        let _ = grant(2, 20);
        link.withdraw(queue(1));
        assert_eq!(grant(2, 100), Grant::OnWire { start: us(100), end: us(200) });
    }
}
