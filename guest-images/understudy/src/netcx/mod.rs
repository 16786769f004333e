//! The stand-in for NetAdapterCx 2.1: adapters, packet queues with real rings, execution contexts, and the checks.

pub mod arms;
pub mod element;
pub mod frame;
pub mod hang;
pub mod ledger;
pub mod receive_filter;
pub mod unseen;
pub mod verifier;

#[cfg(target_os = "none")]
pub(crate) mod adapter;
#[cfg(target_os = "none")]
pub(crate) mod buffers;
#[cfg(target_os = "none")]
pub(crate) mod config;
#[cfg(target_os = "none")]
pub(crate) mod datapath;
#[cfg(target_os = "none")]
pub(crate) mod ec;
#[cfg(target_os = "none")]
pub(crate) mod functions;
#[cfg(target_os = "none")]
pub(crate) mod queue;
#[cfg(target_os = "none")]
pub(crate) mod ring;
#[cfg(target_os = "none")]
pub(crate) mod rx;
#[cfg(target_os = "none")]
pub(crate) mod tx;
#[cfg(target_os = "none")]
pub(crate) mod watch;
