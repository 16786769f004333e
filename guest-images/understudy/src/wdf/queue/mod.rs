//! WDFQUEUE: where requests wait, and how they come to the driver and back.

pub(crate) mod api;
pub(crate) mod dispatch;
pub(crate) mod object;
pub(crate) mod power;

pub(crate) use object::Queue;
