//! The stand-in NT kernel: boots in QEMU, loads the very `.sys` file that Windows loads, and checks every rule it knows.
//!
//! Any function that it does not implement stops the run with that function's name. The rooms from the ground up; none
//! knows one above it (`tests/floors.rs`):
//!
//! - `hal`, `ke`, `mm`, `pe`: the machine, IRQL, threads, DPCs, timers, memory, a driver's image. `settings`: what the
//!   machine was started with.
//! - `verifier`: what watches drivers, whichever framework they call.
//! - `io`: device objects, files, IRPs and their cancellation.
//! - `wdf` and `netcx` over it, KMDF and NetAdapterCx; beside them `ndis`, filter modules and the protocol above.
//! - `translator`: the one room that knows NDIS and NetAdapterCx.
//! - `nt`: what a driver imports from ntoskrnl. `pnp`: what PnP makes of driver and device.
//! - `agent`: the rig's orders and everything that is reported. `boot`: from the entry point to the agent.
//! - `twin`: on the host, drivers written in Rust in the place of `.sys` files, and the tests that they make.
#![cfg_attr(target_os = "none", no_std)]
#![cfg_attr(not(target_os = "none"), expect(dead_code, reason = "what only boot and the agent reach"))]
extern crate alloc;

mod hal;
mod io;
mod ke;
mod mm;
mod ndis;
mod netcx;
mod nt;
mod pe;
mod pnp;
mod settings;
mod translator;
mod verifier;
mod wdf;

#[cfg(target_os = "none")]
mod agent;
#[cfg(target_os = "none")]
mod boot;
#[cfg(all(test, not(target_os = "none")))]
mod twin;
