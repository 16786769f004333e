//! What became of each packet, counted per queue since its creation, and the line that tells it.

use core::fmt;

use cancelnic_registers::QueueId;

use crate::trace::Progress;

/// What became of a queue's packets since it was made. Its text is what follows `stop: ` in a [`StopLine`].
pub trait Counters: Copy + Default + fmt::Display {
    /// Given to the device, and given back to the framework.
    fn progress(&self) -> Progress;
}

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

impl Counters for TxCounters {
    fn progress(&self) -> Progress {
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

impl Counters for RxCounters {
    fn progress(&self) -> Progress {
        Progress { posted: self.posted, returned: self.received + self.returned_empty }
    }
}

/// One queue's counters under its name. At stop it reads like
/// `cancelnic: tx0 stop: posted=128 sent=1 taken_back=127 never_posted=72`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopLine<C> {
    /// The queue.
    pub queue: QueueId,
    /// Since the queue's creation.
    pub counters: C,
}

impl<C: Counters> fmt::Display for StopLine<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cancelnic: {} stop: {}", self.queue, self.counters)
    }
}

/// ` name=count`, or nothing for 0.
struct IfAny(&'static str, u64);

impl fmt::Display for IfAny {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1 == 0 { Ok(()) } else { write!(f, " {}={}", self.0, self.1) }
    }
}

impl fmt::Display for TxCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { posted, sent, taken_back, never_posted, refused, lost } = *self;
        write!(f, "posted={posted} sent={sent} taken_back={taken_back} never_posted={never_posted}")?;
        write!(f, "{}{}", IfAny("refused", refused), IfAny("lost", lost))
    }
}

impl fmt::Display for RxCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { received, returned_empty, malformed, .. } = *self;
        write!(f, "received={received} returned_empty={returned_empty}{}", IfAny("malformed", malformed))
    }
}
