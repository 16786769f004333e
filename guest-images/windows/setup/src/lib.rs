//! Installing Windows unattended from the user's own ISO.
//!
//! 1. [`Udf::open`] reads the ISO's file system, in which installation media keep files of more than 4 GiB.
//! 2. [`Wim::read`] lists the images of its `sources/install.wim`.
//!
//! This crate starts no machine and writes to nobody's disk; nothing of the ISO is kept.

mod udf;
mod wim;

pub use udf::{Udf, UdfFault, UdfFile};
pub use wim::{Architecture, Image, Wim, WimFault};
