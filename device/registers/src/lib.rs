//! The programming interface of the cancelnic NIC, revision 1.0, as words and offsets: what device,
//! driver and rig must agree on. No logic beyond packing and unpacking.
//!
//! The device is a virtio 1.x network device whose 256-byte configuration space carries, behind
//! `virtio_net_config` (virtio 1.3 section 5.1.4), the *cancel block*: per queue a command register and a
//! status register, through which work already given to the hardware is taken back.
//!
//! A queue is a [`QueueId`]: a [`Direction`] and a pair.
//!
//! 1. The driver checks [`ID`] and [`Revision`], and reads [`Caps`].
//! 2. It writes a [`CommandWord`] to the command register of a queue, with the SEQ that follows
//!    ([`next_seq`]) the one in the queue's status register.
//! 3. It reads the [`StatusWord`]: the command was taken once SEQ matches; [`CommandResult`] tells how it
//!    ended, [`State`] where the queue is, COUNT how much was taken back.
//! 4. The used elements of cancelled chains carry a [`TxOutcome`] (transmit) or [`RX_RETURNED`] (receive)
//!    in `len`.
//!
//! README.md beside this crate is the interface, rule by rule; `include/cancelnic_registers.h` is this crate for C and C++.
//!
//! All words are 32 bits, little-endian. Reading never changes anything.

#![no_std]
#![forbid(unsafe_code)]

mod block;
mod command;
mod queue;
mod status;
mod used;

pub use block::{
    CAPS_OFFSET, Caps, ID, ID_OFFSET, MAX_PAIRS, NET_CONFIG_SIZE, QUEUES_OFFSET, Queues, REVISION_OFFSET,
    Revision, SPACE_SIZE,
};
pub use command::{CommandWord, Op, next_seq};
pub use queue::{Direction, NotAQueue, QueueId};
pub use status::{CommandResult, State, StatusWord};
pub use used::{NET_HEADER_SIZE, RX_RETURNED, TxOutcome};
