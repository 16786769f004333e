//! Where frames go once the model is done with them: into the capture, and to the far end of the wire.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cancelnic_model::Wire;
use cancelnic_registers::{Direction, MAX_PAIRS, QueueId, State, StatusWord};

use crate::capture::{Capture, Way};
use crate::cli::WireKind;

/// What is between the queues. Called under a queue's lock; takes only locks of its own.
pub(crate) struct Ether {
    kind: WireKind,
    capture: Option<Mutex<Writing>>,
    /// What is known of each pair, whether the device offers it or not.
    pairs: [Pair; MAX_PAIRS],
}

/// What is between the two queues of a pair.
#[derive(Default)]
struct Pair {
    /// The CANCEL that takes frames back.
    cancel: Mutex<Cancel>,
    /// Frames that came back and wait to be handed to the receive queue.
    back: Mutex<Back>,
}

/// Frames on their way back, in order.
#[derive(Default)]
struct Back {
    frames: VecDeque<Vec<u8>>,
    /// Bytes in them.
    bytes: usize,
    /// Frames that found no place here.
    lost: u64,
}

/// Bytes on their way back to a queue, at most: several threads may run a transmit queue before one of them hands over
/// what came back.
const MOST_BACK: usize = 8 << 20;

/// A CANCEL of a transmit queue.
#[derive(Debug, Default)]
struct Cancel {
    seq: u8,
    /// What COUNT is once the frames that were taken back up to now are in it.
    count: u16,
}

struct Writing {
    capture: Capture,
    /// Frames that could not be written.
    lost: u64,
}

impl Ether {
    /// A wire of that kind, recorded in `capture`.
    pub(crate) fn new(kind: WireKind, capture: Option<Capture>) -> Ether {
        Ether {
            kind,
            capture: capture.map(|capture| Mutex::new(Writing { capture, lost: 0 })),
            pairs: Default::default(),
        }
    }

    fn pair(&self, queue: QueueId) -> &Pair {
        &self.pairs[usize::from(queue.pair())]
    }

    /// What `queue` takes back from now on goes on account of the CANCEL number `seq`, given in the state `status`. A CANCEL
    /// during CANCELLING joins the one before it.
    pub(crate) fn cancel_begins(&self, queue: QueueId, seq: u8, status: StatusWord) {
        let joins = status.state() == Some(State::Cancelling);
        *lock(&self.pair(queue).cancel) = Cancel { seq, count: if joins { status.count() } else { 0 } };
    }

    /// One more frame is taken back; what the capture is to say of it.
    fn comment(&self, queue: QueueId) -> String {
        let mut cancel = lock(&self.pair(queue).cancel);
        cancel.count = cancel.count.saturating_add(1);
        format!("taken back by CANCEL (SEQ {}), COUNT {}", cancel.seq, cancel.count)
    }

    fn record(&self, way: Way, frame: &[u8], comment: Option<&str>) {
        let Some(writing) = &self.capture else { return };
        let mut writing = lock(writing);
        if let Err(error) = writing.capture.frame(way, frame, comment) {
            writing.lost = writing.lost.saturating_add(1);
            tracing::error!(%error, lost = writing.lost, "the capture is incomplete");
        }
    }

    /// A frame that was taken back was not read: its chain is malformed, or one cancel took more than an honest ring holds.
    fn record_unread(&self) {
        let Some(writing) = &self.capture else { return };
        let mut writing = lock(writing);
        writing.lost = writing.lost.saturating_add(1);
        tracing::warn!(lost = writing.lost, "a frame taken back is not in the capture: it cannot be read");
    }

    /// Frames that the capture lacks because the file could not be written, or a frame taken back not be read.
    pub(crate) fn capture_lost(&self) -> u64 {
        self.capture.as_ref().map_or(0, |writing| lock(writing).lost)
    }

    /// Frames that did not come back, because too many were on their way.
    pub(crate) fn loopback_lost(&self) -> u64 {
        self.pairs.iter().map(|pair| lock(&pair.back).lost).sum()
    }

    /// Takes the frames that came back for `queue`; none come for a transmit queue. To be called under the queue's lock,
    /// which keeps their order.
    pub(crate) fn take_back(&self, queue: QueueId) -> VecDeque<Vec<u8>> {
        match queue.direction() {
            Direction::Tx => VecDeque::new(),
            Direction::Rx => {
                let mut back = lock(&self.pair(queue).back);
                back.bytes = 0;
                std::mem::take(&mut back.frames)
            }
        }
    }
}

/// The model's view of the wire; a value for each call, the state is behind it.
impl Wire for &Ether {
    fn transmit(&mut self, queue: QueueId, frame: Vec<u8>, _: Duration) {
        self.record(Way::Outbound, &frame, None);
        match self.kind {
            WireKind::Null => {}
            WireKind::Loopback => lock(&self.pair(queue).back).add(frame),
        }
    }

    fn wants_taken_back(&self) -> bool {
        self.capture.is_some()
    }

    fn taken_back(&mut self, queue: QueueId, frame: Option<Vec<u8>>, _: Duration) {
        let comment = self.comment(queue);
        match frame {
            Some(frame) => self.record(Way::TakenBack, &frame, Some(&comment)),
            None => self.record_unread(),
        }
    }

    fn delivered(&mut self, _: QueueId, frame: Vec<u8>, _: Duration) {
        self.record(Way::Inbound, &frame, None);
    }
}

impl Back {
    fn add(&mut self, frame: Vec<u8>) {
        match self.bytes.checked_add(frame.len()) {
            Some(bytes) if bytes <= MOST_BACK => {
                self.bytes = bytes;
                self.frames.push_back(frame);
            }
            _ => self.lost = self.lost.saturating_add(1),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_gives_frames_back_in_order_once() {
        let ether = Ether::new(WireKind::Loopback, None);
        (&ether).transmit(QueueId::TX0, vec![1; 60], Duration::ZERO);
        (&ether).transmit(QueueId::TX0, vec![2; 60], Duration::ZERO);
        assert_eq!(ether.take_back(QueueId::RX0), [vec![1; 60], vec![2; 60]]);
        assert!(ether.take_back(QueueId::RX0).is_empty());
    }

    #[test]
    fn loopback_gives_frames_back_to_the_queue_of_the_same_pair() {
        let ether = Ether::new(WireKind::Loopback, None);
        let second = |direction| QueueId::new(direction, 1).unwrap();
        (&ether).transmit(second(Direction::Tx), vec![1; 60], Duration::ZERO);
        assert!(ether.take_back(QueueId::RX0).is_empty());
        assert_eq!(ether.take_back(second(Direction::Rx)), [vec![1; 60]]);
    }

    #[test]
    fn loopback_keeps_a_bounded_number_of_bytes_and_counts_what_is_lost() {
        let ether = Ether::new(WireKind::Loopback, None);
        let frame = vec![0; 65_538];
        for _ in 0..200 {
            (&ether).transmit(QueueId::TX0, frame.clone(), Duration::ZERO);
        }
        let kept = MOST_BACK / frame.len();
        assert_eq!((ether.take_back(QueueId::RX0).len(), ether.loopback_lost()), (kept, 200 - kept as u64));
        (&ether).transmit(QueueId::TX0, frame, Duration::ZERO);
        assert_eq!(ether.take_back(QueueId::RX0).len(), 1);
    }

    #[test]
    fn null_wire_gives_nothing_back() {
        let ether = Ether::new(WireKind::Null, None);
        (&ether).transmit(QueueId::TX0, vec![1; 60], Duration::ZERO);
        assert!(ether.take_back(QueueId::RX0).is_empty());
    }
}
