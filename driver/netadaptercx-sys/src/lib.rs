//! Bindings of the network adapter class extension (NetAdapterCx) for clients of version 2.1, x64.
//!
//! windows-drivers-rs has none. Names, layouts and values are those of the published headers; each
//! layout is asserted at compile time and compared with published numbers in `tests/`.
//!
//! - [`ring`]: packet and fragment rings. Knows nothing of the frameworks, so that code without any
//!   Windows call can work on them.
//! - [`extension`]: what a ring's elements carry beyond their base structure.
//! - [`queue`], [`adapter`]: structures and callbacks of packet queues and adapters.
//! - [`table`]: the function table through which a client calls the class extension.
//!
//! Types of the Windows driver framework come from wdk-sys in a driver, and from wdk-offline on
//! other targets. Functions are `extern "win64"`, which on Windows is the C convention itself.
#![warn(clippy::multiple_unsafe_ops_per_block)]
#![no_std]
#![expect(
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    reason = "names of the Windows headers"
)]

pub mod adapter;
pub mod extension;
pub mod queue;
pub mod ring;
pub mod table;

#[cfg(not(target_os = "windows"))]
use wdk_offline as wdf;
#[cfg(target_os = "windows")]
use wdk_sys as wdf;

pub use adapter::*;
pub use extension::*;
pub use queue::*;
pub use ring::*;
pub use table::*;

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

/// Declares an opaque structure and the pointer type that serves as its handle.
macro_rules! handle {
    ($(#[$doc:meta])* $handle:ident, $opaque:ident) => {
        #[doc = concat!("What a `", stringify!($handle), "` points to; opaque.")]
        #[repr(C)]
        pub struct $opaque {
            _opaque: [u8; 0],
        }
        $(#[$doc])*
        pub type $handle = *mut $opaque;
    };
}
use handle;
