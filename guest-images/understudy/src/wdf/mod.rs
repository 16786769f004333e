//! The stand-in for KMDF 1.31: handles, objects, and the functions that the driver calls.
//!
//! `device`, `driver`, `interrupt`, `dma`, `timer`, `resources`: the hardware half. `queue`, `request`, `io_target`, `file`,
//! `memory`: the request half, with the orders and results of `driver/docs/requests.md`. [`recall`], [`method`] and
//! [`queue::state`] are its decisions alone.

pub mod method;
pub mod queue;
pub mod recall;
pub mod table;

#[cfg(target_os = "none")]
pub(crate) mod attributes;
#[cfg(target_os = "none")]
pub(crate) mod device;
#[cfg(target_os = "none")]
pub(crate) mod dma;
#[cfg(target_os = "none")]
pub(crate) mod driver;
#[cfg(target_os = "none")]
pub(crate) mod file;
#[cfg(target_os = "none")]
pub(crate) mod functions;
#[cfg(target_os = "none")]
pub(crate) mod interrupt;
#[cfg(target_os = "none")]
pub(crate) mod io_target;
#[cfg(target_os = "none")]
pub(crate) mod lock;
#[cfg(target_os = "none")]
pub(crate) mod memory;
#[cfg(target_os = "none")]
pub(crate) mod object;
#[cfg(target_os = "none")]
pub(crate) mod request;
#[cfg(target_os = "none")]
pub(crate) mod resources;
#[cfg(target_os = "none")]
pub(crate) mod timer;
