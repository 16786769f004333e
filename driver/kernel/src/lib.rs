//! What this project's kernel drivers share.
//!
//! Linking this crate brings the runtime: memory routines from the kernel and the panic handler. The rest
//! is used by name: [`print`] for lines to a debugger, [`pool`] for memory, [`text`] for the kernel's strings,
//! and with the feature `kmdf` the way into the framework.
//!
//! It knows no device and no protocol.
#![no_std]
#![cfg(target_os = "windows")]

#[cfg(feature = "kmdf")]
pub mod kmdf;
pub mod pool;
pub mod print;
mod runtime;
pub mod text;

use wdk_sys::{NT_SUCCESS, NTSTATUS};

/// A failure status as an error; success and information alike as success.
///
/// # Errors
/// The status, if it is a warning or an error.
pub const fn check(status: NTSTATUS) -> Result<(), NTSTATUS> {
    if NT_SUCCESS(status) { Ok(()) } else { Err(status) }
}
