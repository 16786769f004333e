//! The cancelnic NIC itself: rings, transmit pipeline, receive, cancel state machine, wire. Pure logic:
//! no thread, no socket, no clock of its own. It knows guest memory (vm-memory) and split rings
//! (virtio-queue), and nothing of vhost-user, of QEMU, or of any driver.
//!
//! # Objects
//! - [`ConfigSpace`]: the 256 bytes that the guest sees; finds the commands in what is written there.
//! - [`Queue`], one for each [`QueueId`](cancelnic_registers::QueueId), transmit or receive. They share nothing but the
//!   [`Link`] (transmit queues, at a finite speed), so each may have its own lock: a command on one queue touches no
//!   other queue.
//! - [`StatusRegister`]: a queue's status word, shared between queue and configuration space. Reading it
//!   takes no lock.
//! - [`Judge`], one in each queue: names what the driver does with it that it must not.
//! - [`Fault`]: what a queue does wrong because it was asked to; no queue does by itself.
//! - [`Wire`]: gets every frame when its last byte has left, every frame delivered to the guest, and if it wants to
//!   every frame taken back.
//!
//! # Life of a queue
//! 1. [`Queue::enter`]: the queue enters service with the front end's [`Rings`]; base 0 is a new life.
//! 2. [`Queue::set_enabled`]: a queue that is not enabled fetches and receives nothing. Enabled is kept
//!    when the queue leaves service; it is false at first.
//! 3. [`Queue::run`] whenever something may have changed: doorbell, a gate, time, a command whose
//!    [`Turn`] says [`again`](Turn::again), enabling, entering.
//! 4. [`Queue::command`] for each [`Command`] that [`ConfigSpace::write`] finds.
//! 5. [`Queue::leave`]: everything owed is done before it returns; nothing of the queue's memory is
//!    touched afterwards.
//!
//! Every call that can do work answers with a [`Turn`]: whether to write the call eventfd, whether to call
//! `run` again, and when. Time is a [`Duration`](std::time::Duration) since any fixed moment and never goes
//! back; it is passed in, never read. Guest memory is passed in, too, and held only during the call.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::arithmetic_side_effects))]

mod base;
mod chain;
mod config;
mod control;
mod fault;
mod frame;
mod gate;
mod judge;
mod link;
mod queue;
mod reader;
mod ring;
mod rx;
mod service;
mod snapshot;
mod status;
mod turn;
mod tx;

pub use config::{Command, ConfigSpace, Misuse, NetConfig, Written};
pub use fault::{Armed, Fault};
pub use frame::{Frame, Pool};
pub use gate::{Gate, GateState};
pub use judge::{Finding, Judge, KEPT, LATE, Negotiated, Rule};
pub use link::{Link, Speed, Wire};
pub use queue::{Queue, Settings};
pub use ring::{Broken, Rings};
pub use snapshot::{Inside, Snapshot, Totals};
pub use status::StatusRegister;
pub use turn::{Left, Turn};
