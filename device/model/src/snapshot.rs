//! How a queue stands, for people and tests.

use cancelnic_registers::StatusWord;

/// What a queue counts, since it was made. Counts that do not apply to its direction are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Used elements written.
    pub completed: u64,
    /// Transmit: of them, frames sent.
    pub sent: u64,
    /// Transmit: of them, chains taken back.
    pub taken_back: u64,
    /// Receive: of them, frames received.
    pub received: u64,
    /// Receive: of them, buffers returned empty by CANCEL.
    pub returned: u64,
    /// Malformed chains (those whose head was unknown got no used element).
    pub refused: u64,
    /// Receive: frames lost: no room to wait, too long for the buffer, or a device reset came first.
    pub dropped: u64,
}

/// A queue at one moment. Counts that do not apply to its direction are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot {
    /// Between entering and leaving service.
    pub in_service: bool,
    /// Allowed to fetch and to receive.
    pub enabled: bool,
    /// In service, but unusable until it leaves.
    pub broken: bool,
    /// The status register.
    pub status: StatusWord,
    /// Chains published and not yet taken up, frames or buffers; 0 out of service and on a broken queue.
    pub available: u64,
    /// Where frames are in the pipeline.
    pub inside: Inside,
    /// What it has counted.
    pub totals: Totals,
    /// CANCELs carried out since it was made.
    pub cancels: u64,
}

/// Frames in a queue's pipeline. Those of the other direction are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Inside {
    /// Transmit: fetched and not yet on the wire.
    pub fetched: u64,
    /// Transmit: on the wire, 0 or 1.
    pub on_wire: u64,
    /// Transmit: off the wire, without a used element.
    pub off_wire: u64,
    /// Receive: waiting at the device.
    pub pending: u64,
    /// Receive: half written into a buffer, 0 or 1.
    pub writing: u64,
}
