//! How a queue stands, for people and tests.

use cancelnic_registers::StatusWord;

/// One gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GateSnapshot {
    /// Lets everything through.
    pub open: bool,
    /// Pieces that it still lets through although it is closed.
    pub steps: u64,
}

/// The counts of a transmit queue that cost nothing to read. Totals count since the queue was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxCounts {
    /// Frames fetched and not yet on the wire, now.
    pub fetched: u64,
    /// Frames sent, total.
    pub sent: u64,
    /// Chains taken back, total.
    pub taken_back: u64,
}

/// The counts of a receive queue that cost nothing to read. Totals count since the queue was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RxCounts {
    /// Frames delivered, total.
    pub received: u64,
    /// Buffers that CANCEL gave back without a frame, total.
    pub returned: u64,
}

/// A transmit queue. Totals count since the queue was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxSnapshot {
    /// Between entering and leaving service.
    pub in_service: bool,
    /// Allowed to fetch.
    pub enabled: bool,
    /// In service, but unusable until it leaves.
    pub broken: bool,
    /// The status register.
    pub status: StatusWord,
    /// Chains published and not yet fetched, now; 0 out of service and on a broken queue.
    pub available: u64,
    /// Frames fetched and not yet on the wire, now.
    pub fetched: u64,
    /// Frames on the wire, now: 0 or 1.
    pub on_wire: u64,
    /// Frames off the wire whose used element is missing, now.
    pub off_wire: u64,
    /// Used elements written, total.
    pub completed: u64,
    /// Of them, frames sent.
    pub sent: u64,
    /// Of them, chains taken back.
    pub taken_back: u64,
    /// Malformed chains, total (those whose head was unknown got no used element).
    pub refused: u64,
    /// CANCELs carried out, total.
    pub cancels: u64,
    /// The gate between ring and FIFO.
    pub fetch: GateSnapshot,
    /// The gate before the wire.
    pub wire: GateSnapshot,
    /// The gate between wire and used ring.
    pub complete: GateSnapshot,
}

/// A receive queue. Totals count since the queue was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RxSnapshot {
    /// Between entering and leaving service.
    pub in_service: bool,
    /// Allowed to receive.
    pub enabled: bool,
    /// In service, but unusable until it leaves.
    pub broken: bool,
    /// The status register.
    pub status: StatusWord,
    /// Buffers published and not yet taken up, now; 0 out of service and on a broken queue.
    pub posted: u64,
    /// Frames waiting at the device, now.
    pub pending: u64,
    /// A frame is half written into its buffer, now.
    pub writing: bool,
    /// Used elements written, total.
    pub completed: u64,
    /// Of them, frames received.
    pub received: u64,
    /// Of them, buffers returned empty by CANCEL.
    pub returned: u64,
    /// Malformed chains, total (those whose head was unknown got no used element).
    pub refused: u64,
    /// Frames lost: no room to wait, too long for the buffer, or a device reset came first.
    pub dropped: u64,
    /// CANCELs carried out, total.
    pub cancels: u64,
    /// The gate in the middle of writing a frame into its buffer.
    pub rx_write: GateSnapshot,
}
