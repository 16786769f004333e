//! Bindings of NDIS 6 for lightweight filter drivers, x64, in the form of NDIS 6.84 (Windows 10 2004).
//!
//! windows-drivers-rs has none. Names, layouts and values are those of the published headers; each
//! layout is asserted at compile time and compared with a separate table of numbers in `tests/`.
//!
//! - [`object`]: the header that every NDIS structure begins with, object types, revisions.
//! - [`status`]: NDIS_STATUS values.
//! - [`nbl`]: net buffer lists, net buffers, memory descriptor lists, pools.
//! - [`filter`]: a filter driver's characteristics, its callbacks, what they are given.
//! - [`oid`]: OID requests.
//! - [`event`]: status indications, Plug and Play events.
//! - [`device`]: control devices, events to wait on.
//! - [`imports`]: the functions of NDIS.SYS, on the Windows target only.
//!
//! Types of the kernel itself come from wdk-sys in a driver, and from wdk-offline on other targets.
//! Functions are `extern "win64"`, which on Windows is the C convention itself.
#![warn(clippy::multiple_unsafe_ops_per_block)]
#![no_std]
#![expect(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "names of the Windows headers"
)]

pub mod device;
pub mod event;
pub mod filter;
#[cfg(target_os = "windows")]
pub mod imports;
pub mod nbl;
pub mod object;
pub mod oid;
pub mod status;

#[cfg(not(target_os = "windows"))]
use wdk_offline as nt;
#[cfg(target_os = "windows")]
use wdk_sys as nt;

pub use device::*;
pub use event::*;
pub use filter::*;
#[cfg(target_os = "windows")]
pub use imports::*;
pub use nbl::*;
pub use object::*;
pub use oid::*;
pub use status::*;

/// Asserts size, alignment and field offsets (all in bytes) at compile time.
macro_rules! assert_layout {
    ($type:ty: $size:literal align $align:literal { $($($field:ident).+ @ $offset:literal),* $(,)? }) => {
        const _: () = {
            assert!(size_of::<$type>() == $size, concat!("size of ", stringify!($type)));
            assert!(align_of::<$type>() == $align, concat!("alignment of ", stringify!($type)));
            $(assert!(
                core::mem::offset_of!($type, $($field).+) == $offset,
                concat!("offset of ", stringify!($type), ".", $(stringify!($field), " "),+)
            );)*
        };
    };
}
use assert_layout;
