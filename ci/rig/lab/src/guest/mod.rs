//! What is known of a guest from outside: its agent's line, its drivers' symbols and lines, how it fails.

pub mod agent;
pub mod crash;
pub mod driver_log;
pub mod greeting;
pub mod need;
pub mod symbols;
