//! Which queue: a direction and a pair.

use core::fmt;
use core::str::FromStr;

use crate::MAX_PAIRS;

/// Which way a queue's frames go, seen from the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Guest to wire.
    Tx,
    /// Wire to guest.
    Rx,
}

impl Direction {
    /// Both.
    pub const ALL: [Direction; 2] = [Direction::Tx, Direction::Rx];

    /// `tx` or `rx`.
    pub const fn name(self) -> &'static str {
        match self {
            Direction::Tx => "tx",
            Direction::Rx => "rx",
        }
    }
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One queue of the device: one of the 2 * [`MAX_PAIRS`] that the cancel block has registers for. Whether a device
/// offers it is another question: see [`Queues`](crate::Queues).
///
/// Its text is its name, `tx0` to `rx7`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct QueueId {
    /// Below [`MAX_PAIRS`]. Before the direction, so that queues sort as their virtqueues do, but for the two of a pair.
    pair: u8,
    direction: Direction,
}

const TX_COMMANDS: usize = 0x80;
const RX_COMMANDS: usize = 0xc0;
/// Bytes from one queue's registers to the next queue's.
const STRIDE: usize = 8;
/// Bytes from a command register to the status register of the same queue.
const STATUS: usize = 4;

/// The names of the queues of one direction, by pair.
const NAMES: [[&str; MAX_PAIRS]; 2] = [
    ["tx0", "tx1", "tx2", "tx3", "tx4", "tx5", "tx6", "tx7"],
    ["rx0", "rx1", "rx2", "rx3", "rx4", "rx5", "rx6", "rx7"],
];

impl QueueId {
    /// How many there are.
    pub const COUNT: usize = 2 * MAX_PAIRS;
    /// The first transmit queue.
    pub const TX0: QueueId = QueueId { pair: 0, direction: Direction::Tx };
    /// The first receive queue.
    pub const RX0: QueueId = QueueId { pair: 0, direction: Direction::Rx };

    /// The queue of `pair` (0..[`MAX_PAIRS`]) in `direction`; `None` if the block has no registers for it.
    pub const fn new(direction: Direction, pair: u8) -> Option<QueueId> {
        if (pair as usize) < MAX_PAIRS { Some(QueueId { pair, direction }) } else { None }
    }

    /// All queues of the first `pairs` pairs (at most [`MAX_PAIRS`]), in the order of their virtqueues.
    pub fn all(pairs: u8) -> impl DoubleEndedIterator<Item = QueueId> + Clone {
        (0..u16::from(pairs) * 2).filter_map(QueueId::from_virtqueue)
    }

    /// Which way its frames go.
    pub const fn direction(self) -> Direction {
        self.direction
    }

    /// Its pair: its number among the queues of its direction.
    pub const fn pair(self) -> u8 {
        self.pair
    }

    /// The other queue of the pair.
    #[must_use]
    pub const fn opposite(self) -> QueueId {
        let direction = match self.direction {
            Direction::Tx => Direction::Rx,
            Direction::Rx => Direction::Tx,
        };
        QueueId { direction, ..self }
    }

    /// `tx0` to `rx7`.
    pub const fn name(self) -> &'static str {
        NAMES[self.direction as usize][self.pair as usize]
    }

    /// The index of its virtqueue (virtio 1.3 section 5.1.2): receiveq(N) is 2(N-1) and transmitq(N) 2(N-1)+1, where N
    /// counts from 1; the pair counts from 0.
    pub const fn virtqueue(self) -> u16 {
        let receive = 2 * self.pair as u16;
        match self.direction {
            Direction::Rx => receive,
            Direction::Tx => receive + 1,
        }
    }

    /// The queue whose virtqueue has that index; `None` if the block has no registers for it.
    pub const fn from_virtqueue(index: u16) -> Option<QueueId> {
        let direction = if index.is_multiple_of(2) { Direction::Rx } else { Direction::Tx };
        if index / 2 < MAX_PAIRS as u16 { QueueId::new(direction, (index / 2) as u8) } else { None }
    }

    /// Offset of its command register in the configuration space, in bytes.
    pub const fn command_offset(self) -> usize {
        let first = match self.direction {
            Direction::Tx => TX_COMMANDS,
            Direction::Rx => RX_COMMANDS,
        };
        first + STRIDE * self.pair as usize
    }

    /// Offset of its status register in the configuration space, in bytes.
    pub const fn status_offset(self) -> usize {
        self.command_offset() + STATUS
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that is not the name of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAQueue;

impl fmt::Display for NotAQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not the name of a queue, which is tx0 to tx{last} or rx0 to rx{last}",
            last = MAX_PAIRS - 1
        )
    }
}

impl core::error::Error for NotAQueue {}

impl FromStr for QueueId {
    type Err = NotAQueue;

    fn from_str(name: &str) -> Result<QueueId, NotAQueue> {
        QueueId::all(MAX_PAIRS as u8).find(|queue| queue.name() == name).ok_or(NotAQueue)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::string::ToString;
    use std::vec::Vec;

    use super::*;

    fn everyone() -> Vec<QueueId> {
        QueueId::all(MAX_PAIRS as u8).collect()
    }

    #[test]
    fn registers_of_every_queue_are_where_the_interface_says() {
        let queue = |direction, pair| QueueId::new(direction, pair).unwrap();
        assert_eq!(QueueId::TX0.command_offset(), 0x80);
        assert_eq!(QueueId::TX0.status_offset(), 0x84);
        assert_eq!(queue(Direction::Tx, 7).command_offset(), 0xb8);
        assert_eq!(QueueId::RX0.command_offset(), 0xc0);
        assert_eq!(queue(Direction::Rx, 7).status_offset(), 0xfc);
        assert_eq!(QueueId::new(Direction::Rx, 8), None);
        assert_eq!(QueueId::new(Direction::Tx, u8::MAX), None);
    }

    #[test]
    fn registers_of_no_two_queues_overlap_and_all_are_in_the_space() {
        let mut offsets: Vec<usize> =
            everyone().iter().flat_map(|queue| [queue.command_offset(), queue.status_offset()]).collect();
        offsets.sort_unstable();
        assert!(offsets.is_sorted_by(|one, next| one + 4 <= *next), "{offsets:?}");
        assert!(offsets[0] >= crate::NET_CONFIG_SIZE && *offsets.last().unwrap() <= crate::SPACE_SIZE - 4);
    }

    #[test]
    fn virtqueues_alternate_and_begin_with_receive() {
        let names: Vec<_> = QueueId::all(2).map(QueueId::name).collect();
        assert_eq!(names, ["rx0", "tx0", "rx1", "tx1"]);
        assert_eq!((QueueId::RX0.virtqueue(), QueueId::TX0.virtqueue()), (0, 1));
        assert!(everyone().iter().map(|queue| queue.virtqueue()).eq(0..16));
        assert_eq!(QueueId::from_virtqueue(16), None);
        assert_eq!(QueueId::from_virtqueue(u16::MAX), None);
        assert_eq!(QueueId::all(u8::MAX).count(), 16);
    }

    #[test]
    fn every_name_is_read_back_and_no_other() {
        for queue in everyone() {
            assert_eq!(queue.to_string().parse(), Ok(queue));
            let spelled = std::format!("{}{}", queue.direction(), queue.pair());
            assert_eq!(queue.name(), spelled);
        }
        for other in ["", "tx", "0", "tx8", "TX0", "tx00", "rx-1", "rx0 "] {
            assert_eq!(other.parse::<QueueId>(), Err(NotAQueue), "{other}");
        }
    }

    #[test]
    fn the_opposite_is_the_other_queue_of_the_pair() {
        assert_eq!(QueueId::TX0.opposite(), QueueId::RX0);
        assert!(everyone().iter().all(|queue| queue.opposite().opposite() == *queue
            && queue.opposite().pair() == queue.pair()
            && queue.opposite() != *queue));
    }
}
