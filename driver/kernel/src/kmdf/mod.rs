//! What a KMDF driver needs around its callbacks: entry and unload, typed contexts, locks.

pub mod context;
pub mod loader;
pub mod lock;
