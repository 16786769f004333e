//! WDFQUEUE: where requests wait, and how they come to the driver and back.

pub mod state;

#[cfg(target_os = "none")]
pub(crate) mod api;
#[cfg(target_os = "none")]
pub(crate) mod dispatch;
#[cfg(target_os = "none")]
pub(crate) mod object;
#[cfg(target_os = "none")]
pub(crate) mod power;

#[cfg(target_os = "none")]
pub(crate) use object::Queue;
