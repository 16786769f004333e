//! The stand-in for NetAdapterCx 2.1: adapters, packet queues with real rings, execution contexts, and the checks.

pub mod adapter;
pub mod config;
pub mod ec;
pub mod functions;
pub mod overlying;
pub mod queue;
mod require;
pub mod ring;
pub mod watch;

/// Makes the class extension known to KMDF. At boot.
pub fn start() {
    crate::wdf::class::register(&functions::NetAdapterCx);
}
