//! WDFQUEUE: where requests wait, and how they come to the driver and back.

pub mod api;
pub mod dispatch;
pub mod object;
pub mod power;

pub use object::Queue;
