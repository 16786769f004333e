//! What a KMDF driver needs around its callbacks: entry and unload, typed contexts, and the framework's objects as types
//! whose methods are safe: each states what its holder guarantees.

pub mod context;
pub mod device;
pub mod journal;
pub mod loader;
pub mod lock;
pub mod memory;
pub mod object;
pub mod queue;
pub mod request;
pub mod target;
pub mod timer;
