//! Where frames go once the model is done with them: into the capture, and to the far end of the wire.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cancelnic_model::{Frame, Pool, Wire};
use cancelnic_registers::{Direction, MAX_PAIRS, QueueId, State, StatusWord};

use crate::capture::{Capture, Way};
use crate::wires::{Far, Outside};

/// What is between the queues. Called under a queue's lock; takes only locks of its own.
pub(crate) struct Ether {
    far: Far,
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
    frames: VecDeque<Frame>,
    /// Bytes of memory that they take up.
    bytes: usize,
    /// Memory of frames that were delivered, for the next to be sent.
    spare: Pool,
    /// Frames that found no place here.
    lost: u64,
}

/// Bytes of memory that frames on their way back to a queue take up, at most: several threads may run a transmit queue
/// before one of them hands over what came back.
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
    /// A wire to there, recorded in `capture`.
    pub(crate) fn new(far: Far, capture: Option<Capture>) -> Ether {
        Ether {
            far,
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

    /// Frames that were lost: too many were on their way, or the far end took none.
    pub(crate) fn lost(&self) -> u64 {
        let back: u64 = self.pairs.iter().map(|pair| lock(&pair.back).lost).sum();
        back.saturating_add(self.outside().map_or(0, Outside::lost))
    }

    /// The wire, if it leads out of this process.
    pub(crate) fn outside(&self) -> Option<&Outside> {
        match &self.far {
            Far::Outside(outside) => Some(outside),
            Far::Null | Far::Loopback => None,
        }
    }

    /// A frame came from outside for `queue`, which is to run.
    pub(crate) fn arrives(&self, queue: QueueId, frame: &[u8]) {
        lock(&self.pair(queue).back).add(Frame::from(frame.to_vec()));
    }

    /// What the guest did with its frames meets the wire: frames that `hand` sent go on their way, those that came back for
    /// `queue` come into `hand`. Called under the queue's lock, which keeps their order.
    pub(crate) fn exchange(&self, queue: QueueId, hand: &mut Hand) {
        if matches!(self.far, Far::Null) || (queue.direction() == Direction::Tx && hand.sent.is_empty()) {
            return;
        }
        let mut back = lock(&self.pair(queue).back);
        hand.sent.drain(..).for_each(|frame| back.add(frame));
        if queue.direction() == Direction::Rx {
            back.bytes = 0;
            std::mem::swap(&mut back.frames, &mut hand.arrived);
            while let Some(memory) = hand.done.take() {
                back.spare.give(memory);
            }
        }
    }

    /// The wire, as the model's queue that `hand` belongs to sees it.
    pub(crate) fn line<'a>(&'a self, hand: &'a mut Hand) -> Line<'a> {
        Line { ether: self, hand }
    }
}

/// A queue's frames between two exchanges with the wire. Guarded by the queue's lock, so that no frame costs another one.
#[derive(Default)]
pub(crate) struct Hand {
    /// Sent, and to come back.
    sent: VecDeque<Frame>,
    /// Came back, and to be received.
    pub(crate) arrived: VecDeque<Frame>,
    /// Memory of frames that were received.
    done: Pool,
}

/// See [`Ether::line`].
pub(crate) struct Line<'a> {
    ether: &'a Ether,
    hand: &'a mut Hand,
}

impl Wire for Line<'_> {
    fn transmit(&mut self, _: QueueId, frame: Frame, _: Duration) -> Option<Frame> {
        self.ether.record(Way::Outbound, &frame, None);
        match &self.ether.far {
            Far::Null => Some(frame),
            Far::Outside(outside) => outside.send(frame),
            Far::Loopback => {
                self.hand.sent.push_back(frame);
                None
            }
        }
    }

    fn memory(&mut self, queue: QueueId, pool: &mut Pool) -> Frame {
        std::mem::swap(pool, &mut lock(&self.ether.pair(queue).back).spare);
        pool.take().unwrap_or_default()
    }

    fn wants_taken_back(&self) -> bool {
        self.ether.capture.is_some()
    }

    fn taken_back(&mut self, queue: QueueId, frame: Option<&[u8]>, _: Duration) {
        if !self.wants_taken_back() {
            return;
        }
        let comment = self.ether.comment(queue);
        match frame {
            Some(frame) => self.ether.record(Way::TakenBack, frame, Some(&comment)),
            None => self.ether.record_unread(),
        }
    }

    fn delivered(&mut self, _: QueueId, frame: Frame, _: Duration) {
        self.ether.record(Way::Inbound, &frame, None);
        self.hand.done.give(frame);
    }
}

impl Back {
    fn add(&mut self, frame: Frame) {
        match self.bytes.checked_add(frame.footprint()) {
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

    fn transmit(ether: &Ether, queue: QueueId, bytes: &[u8]) -> Option<Frame> {
        let mut hand = Hand::default();
        let memory = ether.line(&mut hand).transmit(queue, Frame::from(bytes.to_vec()), Duration::ZERO);
        ether.exchange(queue, &mut hand);
        memory
    }

    fn back(ether: &Ether, queue: QueueId) -> Vec<Vec<u8>> {
        let mut hand = Hand::default();
        ether.exchange(queue, &mut hand);
        hand.arrived.iter().map(|frame| frame.to_vec()).collect()
    }

    #[test]
    fn loopback_gives_frames_back_in_order_once() {
        let ether = Ether::new(Far::Loopback, None);
        transmit(&ether, QueueId::TX0, &[1; 60]);
        transmit(&ether, QueueId::TX0, &[2; 60]);
        assert_eq!(back(&ether, QueueId::RX0), [vec![1; 60], vec![2; 60]]);
        assert!(back(&ether, QueueId::RX0).is_empty());
    }

    #[test]
    fn loopback_gives_frames_back_to_the_queue_of_the_same_pair() {
        let ether = Ether::new(Far::Loopback, None);
        let second = |direction| QueueId::new(direction, 1).unwrap();
        transmit(&ether, second(Direction::Tx), &[1; 60]);
        assert!(back(&ether, QueueId::RX0).is_empty());
        assert_eq!(back(&ether, second(Direction::Rx)), [vec![1; 60]]);
    }

    #[test]
    fn loopback_keeps_a_bounded_amount_of_memory_and_counts_what_is_lost() {
        for len in [1, 65_538] {
            let ether = Ether::new(Far::Loopback, None);
            let kept = MOST_BACK / Frame::from(vec![0; len]).footprint();
            for _ in 0..kept + 70 {
                transmit(&ether, QueueId::TX0, &vec![0; len]);
            }
            assert_eq!((back(&ether, QueueId::RX0).len(), ether.lost()), (kept, 70));
            transmit(&ether, QueueId::TX0, &[1]);
            assert_eq!(back(&ether, QueueId::RX0).len(), 1);
        }
    }

    #[test]
    fn memory_of_a_frame_that_was_delivered_is_used_for_the_next_that_is_sent() {
        let ether = Ether::new(Far::Loopback, None);
        let (frame, mut pool, mut hand) = (Frame::from(vec![1; 60]), Pool::default(), Hand::default());
        let at = frame.as_ptr();
        ether.line(&mut hand).delivered(QueueId::RX0, frame, Duration::ZERO);
        ether.exchange(QueueId::RX0, &mut hand);
        assert_eq!(ether.line(&mut hand).memory(QueueId::TX0, &mut pool).as_ptr(), at);
    }

    #[test]
    fn null_wire_gives_the_memory_back_at_once_and_nothing_else() {
        let ether = Ether::new(Far::Null, None);
        assert!(transmit(&ether, QueueId::TX0, &[1; 60]).is_some());
        assert!(back(&ether, QueueId::RX0).is_empty());
    }
}
