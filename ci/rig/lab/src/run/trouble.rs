//! Signs of the guest's end on the agent's line.

use crate::guest::agent::AgentError;

/// Why the agent did not do what it was told, where that is a sign of the guest's end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    Silent,
    Gone,
}

impl Trouble {
    /// What an error of a step says of the guest.
    pub(crate) fn of(error: &anyhow::Error) -> Option<Self> {
        match error.downcast_ref() {
            Some(AgentError::TimedOut(_)) => Some(Self::Silent),
            Some(AgentError::Gone) => Some(Self::Gone),
            _ => None,
        }
    }
}
