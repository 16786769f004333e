//! What a module counts: net buffer lists since it was attached, but for the first four.

/// A module's numbers at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Whether the gate is closed.
    pub gate_closed: bool,
    /// Whether the module is running.
    pub running: bool,
    /// Queued now, own ones included.
    pub held_now: u64,
    /// Own lists queued or below now.
    pub own_outstanding: u64,
    /// Own lists taken on.
    pub own_originated: u64,
    /// Own lists that ended with success.
    pub own_success: u64,
    /// Own lists that ended as cancelled by ID.
    pub own_aborted: u64,
    /// Own lists that ended as paused.
    pub own_paused: u64,
    /// Own lists that ended otherwise.
    pub own_failed: u64,
    /// Overlying drivers' lists passed down.
    pub passed_down: u64,
    /// Of those, back from below.
    pub passed_up: u64,
    /// Overlying drivers' lists queued.
    pub queued: u64,
    /// Overlying drivers' lists that a cancel took out of the queue.
    pub cancelled: u64,
    /// Overlying drivers' lists that this module completed as paused.
    pub refused: u64,
    /// Cancels by ID.
    pub cancel_calls: u64,
    /// Of those, passed on.
    pub cancels_passed_on: u64,
    /// Received lists passed up.
    pub received: u64,
    /// Received lists that came back.
    pub returned: u64,
}
