//! What a KMDF driver needs around its callbacks: entry and unload, typed contexts, locks, requests, a log.

pub mod context;
pub mod journal;
pub mod loader;
pub mod lock;
pub mod object;
pub mod request;
