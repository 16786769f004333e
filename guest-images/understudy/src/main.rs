//! The bare-metal image. All of it is the library; on the host there is nothing to run.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
use understudy as _;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("understudy runs in QEMU: cargo rig build makes it, cargo rig demo starts it");
}
