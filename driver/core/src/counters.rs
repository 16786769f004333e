//! What became of each packet, counted per queue since its creation, and the line that tells it.

use core::fmt;

use crate::trace::Progress;

/// Transmit packets by fate. `posted == sent + taken_back + refused + lost` once nothing is outstanding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TxCounters {
    /// Given to the device.
    pub posted: u64,
    /// Completed as sent.
    pub sent: u64,
    /// Completed as taken back: never on the wire.
    pub taken_back: u64,
    /// Returned without having been given to the device.
    pub never_posted: u64,
    /// Completed as refused: the device found the chain malformed.
    pub refused: u64,
    /// Never completed: the device was reset or is gone.
    pub lost: u64,
}

impl TxCounters {
    /// Given to the device, and given back to the framework.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        let returned = self.sent + self.taken_back + self.never_posted + self.refused + self.lost;
        Progress { posted: self.posted, returned }
    }
}

/// Receive packets by fate. Once nothing is outstanding, `received + returned_empty` packets were
/// returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RxCounters {
    /// Given to the device.
    pub posted: u64,
    /// Indicated with a frame.
    pub received: u64,
    /// Returned without a frame.
    pub returned_empty: u64,
    /// Of those, completed by the device with an impossible length while the queue ran.
    pub malformed: u64,
}

impl RxCounters {
    /// Given to the device, and given back to the framework.
    #[must_use]
    pub const fn progress(&self) -> Progress {
        Progress { posted: self.posted, returned: self.received + self.returned_empty }
    }
}

/// One queue's counters under its name. At stop it reads like
/// `cancelnic: tx0 stop: posted=128 sent=1 taken_back=127 never_posted=72`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopLine {
    /// Of a transmit queue.
    Tx {
        /// Number of the queue pair.
        index: u8,
        /// Since the queue's creation.
        counters: TxCounters,
    },
    /// Of a receive queue.
    Rx {
        /// Number of the queue pair.
        index: u8,
        /// Since the queue's creation.
        counters: RxCounters,
    },
}

/// ` name=count`, or nothing for 0.
struct IfAny(&'static str, u64);

impl fmt::Display for IfAny {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == 0 { Ok(()) } else { write!(f, " {}={}", self.0, self.1) }
    }
}

impl fmt::Display for StopLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tx { index, counters: c } => write!(
                f,
                "cancelnic: tx{index} stop: posted={} sent={} taken_back={} never_posted={}{}{}",
                c.posted,
                c.sent,
                c.taken_back,
                c.never_posted,
                IfAny("refused", c.refused),
                IfAny("lost", c.lost),
            ),
            Self::Rx { index, counters: c } => write!(
                f,
                "cancelnic: rx{index} stop: received={} returned_empty={}{}",
                c.received,
                c.returned_empty,
                IfAny("malformed", c.malformed),
            ),
        }
    }
}
