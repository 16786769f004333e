//! The subset of wdk-sys's generated bindings that this project needs, written by hand, so that
//! `cancelnic.sys` builds without a Windows driver kit and so that the stand-in kernel can play
//! the other side of the same interface.
//!
//! The texts under `bindings/` serve two readers:
//! - [`sources`] gives them as they stand (`extern "C"`), for the folder that Cargo's `links`
//!   override presents to wdk-sys as its `OUT_DIR`;
//! - this crate compiles them itself with the calling convention spelled `win64`, for targets
//!   whose C convention is another one (the host, `x86_64-unknown-none`).
//!
//! Layouts, function indices and function types are compared with published ones in `tests/`.
#![warn(clippy::multiple_unsafe_ops_per_block)]
#![no_std]
#![expect(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "names are those of the Windows headers"
)]

pub mod loader;
pub mod sources;
pub mod values;

#[expect(missing_docs, reason = "documented by the Windows headers they restate")]
mod types {
    include!(concat!(env!("OUT_DIR"), "/types.rs"));
}

#[expect(missing_docs, reason = "documented by the Windows headers they restate")]
mod constants {
    include!(concat!(env!("OUT_DIR"), "/constants.rs"));
}

pub use constants::*;
pub use types::*;
pub use values::*;

include!(concat!(env!("OUT_DIR"), "/function_names.rs"));

/// The name of the KMDF function at `index` of the function table.
#[must_use]
pub fn function_name(index: usize) -> Option<&'static str> {
    FUNCTION_NAMES.get(index).copied()
}
