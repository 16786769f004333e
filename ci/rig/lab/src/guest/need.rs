//! What a scenario can need of its guest.

use agent_protocol::Command;
use std::fmt;

/// What a scenario can need of its guest, beyond loading the drivers, opening their devices and sending requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// The data path is paused by itself, in ways of the rig's choice: not on the way to a disabled device.
    Pause,
    /// A device loses power and gets it back, and the files open on it stay.
    Sleep,
    /// The framework is held at named places, so that races stay open.
    HoldPoints,
    /// A queue is shown down to its indices.
    Views,
    /// It tells of each frame what became of it, also of those above the hardware.
    Fates,
    /// The drivers' callbacks and what they print are seen as they come.
    Callbacks,
    /// A protocol driver of ours sends over the NIC, with IDs and fragments of its choice, binds and unbinds.
    Protocol,
    /// The device goes without a warning.
    Surprise,
    /// A chosen allocation of a driver fails.
    NoMemory,
    /// The drivers run with other parameters than those of their INFs.
    Parameters,
    /// A driver's test build, which has deliberate faults and the test bench of requests.
    TestBuild,
    /// The framework's choices are set: ring size, as documented or as in the source.
    Framework,
    /// Understudy started by QEMU itself: a use of the command, of gdb, of its symbols.
    OwnKernel,
}

impl Need {
    /// What a command needs.
    pub fn of(command: &Command) -> Option<Self> {
        match command {
            Command::Pause { cancels } => (*cancels > 1).then_some(Self::Pause),
            Command::Hold { .. } | Command::Release { .. } => Some(Self::HoldPoints),
            Command::FailAllocation { .. } => Some(Self::NoMemory),
            Command::Inspect => Some(Self::Views),
            Command::Power { .. } => Some(Self::Sleep),
            // Plain frames may come from whatever the agent can send with.
            Command::Send { fragments: 1, cancel_id: 0, .. } => None,
            Command::Send { .. } | Command::CancelSend { .. } | Command::Bind | Command::Unbind => {
                Some(Self::Protocol)
            }
            Command::Remove { surprise: true, .. } => Some(Self::Surprise),
            _ => None,
        }
    }
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pause => "a pause by itself",
            Self::Sleep => "a device that sleeps",
            Self::Callbacks => "callbacks that are seen",
            Self::HoldPoints => "a framework that can be held",
            Self::Views => "queues down to their indices",
            Self::Fates => "the fate of each frame",
            Self::Protocol => "a protocol driver of ours",
            Self::Surprise => "surprise removal",
            Self::NoMemory => "allocations that fail",
            Self::Parameters => "driver parameters",
            Self::TestBuild => "a driver's test build",
            Self::Framework => "settings of the framework",
            Self::OwnKernel => "understudy's own kernel",
        })
    }
}
