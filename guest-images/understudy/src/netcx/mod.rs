//! The stand-in for NetAdapterCx 2.0: adapters, packet queues with real rings, execution contexts, and the checks.

pub mod element;
pub mod frame;
pub mod ledger;
pub mod verifier;
