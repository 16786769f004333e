//! `cancelnic-lwf.sys`: an NDIS modifying filter that holds sends back, sends on its own, and cancels by ID.
//!
//! The driver is thin: which list goes where is decided in cancelnic-filter-core, which knows no NDIS; the modules
//! here give it lists, a lock, and the drivers above and below.
//!
//! Life:
//! 1. [`driver`]: DriverEntry gets the high-order byte of its cancellation IDs, registers the filter ([`handlers`]) and makes the
//!    control device.
//! 2. [`module`]: for each adapter NDIS attaches a module, and pauses, restarts and detaches it.
//! 3. [`datapath`]: sends, completions, cancels and receives of a running module. [`requests`] and [`events`] pass
//!    through what belongs to the control path.
//! 4. [`control`]: programs hold, release, send and cancel through the control device. [`own`]: the filter's frames.
//! 5. Unload: the device goes, then the filter is deregistered, which detaches what is left.
//!
//! [`list`] and [`lock`] are what cancelnic-filter-core works on.
#![warn(clippy::multiple_unsafe_ops_per_block)]
#![no_std]
#![cfg(target_os = "windows")]

mod control;
mod datapath;
mod driver;
mod events;
mod handlers;
mod ids;
mod list;
mod lock;
mod module;
mod own;
mod report;
mod requests;
