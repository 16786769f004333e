//! The stand-in for NetAdapterCx 2.1: adapters, packet queues with real rings, execution contexts, and the checks.

pub mod adapter;
pub mod buffers;
pub mod config;
pub mod datapath;
pub mod ec;
pub mod functions;
pub mod queue;
pub mod ring;
pub mod rx;
pub mod tx;
pub mod watch;
