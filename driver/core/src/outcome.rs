//! What a callback asks of the glue after it has done its own work.

use core::fmt;

use cancelnic_registers::{CommandResult, StatusWord};

use crate::virtqueue::Violation;

/// Why the device must be given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Registers read all ones: surprise removal.
    Gone,
    /// A command was answered with this RESULT, neither ok nor pending.
    Refused(CommandResult),
    /// A status word that revision 1.0 does not know.
    Nonsense(StatusWord),
    /// The device broke the virtqueue's rules.
    Virtqueue(Violation),
    /// STATE read STOPPED while this many chains had no used element yet, against C1 and C5.
    Incomplete(u16),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the device is gone: its registers read all ones"),
            Self::Refused(result) => {
                write!(f, "the device refused a command: {result:?} (RESULT {})", *result as u8)
            }
            Self::Nonsense(word) => {
                write!(f, "the device's status word {:#010x} means nothing", word.into_bits())
            }
            Self::Virtqueue(violation) => violation.fmt(f),
            Self::Incomplete(chains) => {
                write!(f, "the queue reads STOPPED but {chains} chains were not given back")
            }
        }
    }
}

/// How the queue stands to the watchdog after a callback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Waiting {
    /// As before.
    #[default]
    Unchanged,
    /// Packets are owed from now on: begin the waiting time, or begin it anew.
    Began,
    /// Nothing is owed any more.
    Ended,
}

/// What the glue must do once a callback's own work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[must_use = "a fault that nobody sees hangs the guest"]
pub struct Outcome {
    /// Reset the device, then mark all queues lost, report the adapter failed, notify all queues.
    /// Comes again at every callback until the queue is marked lost.
    pub fault: Option<Fault>,
    /// For [`crate::watchdog::Watchdog::note`].
    pub waiting: Waiting,
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Self {
        Self::Virtqueue(violation)
    }
}
