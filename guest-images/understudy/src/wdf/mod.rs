//! The stand-in for KMDF 1.31: handles, objects, and the functions that the driver calls.
//!
//! `device`, `driver`, `binding`, `interrupt`, `dma`, `timer`, `resources`: the hardware half. `queue`, `request`, `io_target`,
//! `file`, `memory`: the request half, with the orders and results of `driver/docs/requests.md`. Its decisions alone are
//! `understudy_rules::wdf`.

pub(crate) mod queue;

pub(crate) mod attributes;
pub(crate) mod binding;
pub(crate) mod bus;
pub(crate) mod bus_interface;
pub(crate) mod class;
pub(crate) mod client;
pub(crate) mod collection;
pub(crate) mod control;
pub(crate) mod device;
pub(crate) mod device_api;
pub(crate) mod device_init;
pub(crate) mod dma;
pub(crate) mod driver;
pub(crate) mod file;
pub(crate) mod functions;
pub(crate) mod interrupt;
pub(crate) mod io_target;
pub(crate) mod lock;
pub(crate) mod memory;
pub(crate) mod more;
pub(crate) mod object;
pub(crate) mod registry;
pub(crate) mod request;
pub(crate) mod resources;
pub(crate) mod serial;
pub(crate) mod string;
pub(crate) mod timer;
mod typed;
pub(crate) mod wait_lock;
pub(crate) mod work_item;
