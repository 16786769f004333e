//! The loader as firmware starts it, from the disk that it lies on.
#![cfg_attr(target_os = "uefi", no_std, no_main)]

#[cfg(target_os = "uefi")]
mod load;

#[cfg(not(target_os = "uefi"))]
fn main() {
    eprintln!("this is a UEFI program: cargo rig image stand-in puts it on a disk");
}
