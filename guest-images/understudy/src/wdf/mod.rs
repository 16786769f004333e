//! The stand-in for KMDF 1.31: handles, objects, and the functions that the driver calls.
//!
//! `device`, `driver`, `binding`, `interrupt`, `dma`, `timer`, `resources`: the hardware half. `queue`, `request`, `io_target`,
//! `file`, `memory`: the request half, with the orders and results of `driver/docs/requests.md`. Its decisions alone are
//! `understudy_rules::wdf`.

pub mod queue;

pub mod attributes;
pub mod binding;
pub mod bus;
pub mod class;
pub mod client;
pub mod device;
pub mod dma;
pub mod driver;
pub mod file;
pub mod functions;
pub mod interrupt;
pub mod io_target;
pub mod lock;
pub mod memory;
pub mod object;
pub mod request;
pub mod resources;
pub mod timer;
