//! The I/O manager's decisions.

pub mod method;
