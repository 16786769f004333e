//! What a queue asks of whoever drives it.

use std::time::Duration;

use crate::Broken;

/// What is to be done after a call on a queue.
#[must_use]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turn {
    /// Write the queue's call eventfd: used elements that the driver wants to hear of, or C7, whatever
    /// interrupt suppression says. To be done after the call returned: by then STOPPED is readable.
    pub signal: bool,
    /// Something was done.
    pub moved: bool,
    /// There is more to do at once: call `run` again. One call does a bounded amount of work, so that a
    /// lock around it can be released in between.
    pub again: bool,
    /// Call `run` at this time at the latest, of this and of every other transmit queue. If it is not
    /// later than now, another queue goes first: run them all until none says so.
    pub deadline: Option<Duration>,
    /// Malformed chains refused in this call.
    pub refused: u64,
    /// The queue broke in this call, and why. It fetches nothing until it leaves service.
    pub broke: Option<Broken>,
}

/// How a queue left service.
#[must_use]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Left {
    /// Index of the oldest chain without a used element: the answer to GET_VRING_BASE.
    pub base: u16,
    /// Write the queue's call eventfd before that answer.
    pub signal: bool,
}
