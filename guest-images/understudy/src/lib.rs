//! The stand-in NT kernel: boots in QEMU, loads the very `.sys` file that Windows loads, and checks every rule it knows.
//!
//! It is no Windows: what it does not know it refuses by name. On the host only the pure modules exist, so that their
//! rules are tested by plain `cargo test`.
//!
//! - `boot`, `hal`, `mm`, `ke`: the machine, memory, IRQL, threads, DPCs, timers.
//! - `pe`, `nt`: the driver's image and what it imports from ntoskrnl.
//! - [`inf`], `pnp`: what PnP makes of driver and device.
//! - `io`: device objects, files, IRPs and their cancellation; `window`: where the frameworks can be held.
//! - [`wdf`], [`netcx`]: KMDF and NetAdapterCx, with their verifiers.
//! - [`ndis`]: filter modules and the protocol above NetAdapterCx.
//! - `agent`: the rig's orders and everything that is told back.
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod inf;
pub mod ndis;
pub mod netcx;
pub mod ram;
pub mod settings;
pub mod wdf;

#[cfg(target_os = "none")]
mod agent;
#[cfg(target_os = "none")]
mod boot;
#[cfg(target_os = "none")]
mod hal;
#[cfg(target_os = "none")]
mod io;
#[cfg(target_os = "none")]
mod ke;
#[cfg(target_os = "none")]
mod mm;
#[cfg(target_os = "none")]
mod nt;
#[cfg(target_os = "none")]
mod pe;
#[cfg(target_os = "none")]
mod pnp;
#[cfg(target_os = "none")]
mod verifier;
