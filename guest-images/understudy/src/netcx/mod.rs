//! The stand-in for NetAdapterCx 2.0: adapters, packet queues with real rings, execution contexts, and the checks.

pub mod element;
pub mod frame;
pub mod ledger;
pub mod verifier;

#[cfg(target_os = "none")]
pub mod adapter;
#[cfg(target_os = "none")]
pub mod buffers;
#[cfg(target_os = "none")]
pub mod config;
#[cfg(target_os = "none")]
pub mod datapath;
#[cfg(target_os = "none")]
pub mod ec;
#[cfg(target_os = "none")]
pub mod functions;
#[cfg(target_os = "none")]
pub mod queue;
#[cfg(target_os = "none")]
pub mod ring;
#[cfg(target_os = "none")]
pub mod rx;
#[cfg(target_os = "none")]
pub mod tx;
#[cfg(target_os = "none")]
pub mod watch;
