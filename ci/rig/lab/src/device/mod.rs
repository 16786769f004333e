//! The device process as the rig sees it: its control socket, its capture, its trace.

pub mod capture;
pub mod control;
pub mod trace;
pub mod wire;

use cancelnic_registers::QueueId;

/// The transmit queue of the NIC's one pair.
pub const TX: QueueId = QueueId::TX0;
/// Its receive queue.
pub const RX: QueueId = QueueId::RX0;
