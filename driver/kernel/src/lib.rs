//! What this project's kernel drivers share.
//!
//! Linking this crate brings the runtime: memory routines from the kernel and the panic handler. The rest
//! is used by name: [`print`] for lines to a debugger, [`pool`] for memory, [`text`] for the kernel's strings, [`clock`] for time,
//! [`log`] for records that programs read, and with the feature `kmdf` what a KMDF driver needs around its callbacks.
//!
//! It knows no device and no protocol. On other systems there is only what calls no kernel, for tests.
#![warn(clippy::multiple_unsafe_ops_per_block)]
#![no_std]

#[cfg(target_os = "windows")]
pub mod clock;
#[cfg(all(target_os = "windows", feature = "kmdf"))]
pub mod kmdf;
pub mod log;
#[cfg(target_os = "windows")]
pub mod pool;
#[cfg(target_os = "windows")]
pub mod print;
#[cfg(target_os = "windows")]
mod runtime;
#[cfg(target_os = "windows")]
pub mod text;

/// A device interface's class as the system takes it.
#[cfg(target_os = "windows")]
#[must_use]
pub const fn guid(class: cancelnic_ioctl::Guid) -> wdk_sys::GUID {
    let cancelnic_ioctl::Guid(first, second, third, rest) = class;
    wdk_sys::GUID { Data1: first, Data2: second, Data3: third, Data4: rest }
}

/// A warning or an error as an error; success and information both as success.
///
/// # Errors
/// The status itself.
#[cfg(target_os = "windows")]
pub const fn check(status: wdk_sys::NTSTATUS) -> Result<(), wdk_sys::NTSTATUS> {
    if wdk_sys::NT_SUCCESS(status) { Ok(()) } else { Err(status) }
}
