//! The driver's queues against the device's model, in one process, on real `NET_RING` memory.
//!
//! `machine` plays the execution context, `send_side` and `receive_side` the class extension with its
//! verifier's rules, `nic` joins the model's queues to registers, doorbells and one interrupt.

mod faults;
mod forms;
mod frame;
mod machine;
mod memory;
#[cfg(feature = "mutants")]
mod mutants;
mod nic;
mod receive_side;
mod rings;
mod rx;
mod schedule;
mod send_side;
mod tx;
