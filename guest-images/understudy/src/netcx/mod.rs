//! The stand-in for NetAdapterCx 2.1: adapters, packet queues with real rings, execution contexts, and the checks.

pub(crate) mod adapter;
pub(crate) mod config;
pub(crate) mod ec;
pub(crate) mod functions;
pub(crate) mod overlying;
pub(crate) mod queue;
mod require;
pub(crate) mod ring;
pub(crate) mod watch;

/// Makes the class extension known to KMDF. At boot.
pub(crate) fn start() {
    crate::wdf::class::register(&functions::NetAdapterCx);
}
