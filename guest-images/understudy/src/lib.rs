//! The stand-in NT kernel: boots in QEMU, loads the very `.sys` file that Windows loads, and checks every rule it knows.
//!
//! On the host only the pure modules exist, so that their rules are tested by plain `cargo test`.
#![cfg_attr(target_os = "none", no_std)]
extern crate alloc;

pub mod inf;
pub mod netcx;
pub mod wdf;
