//! The text of an INF file, for every program here that reads one, so that all of them read it alike.
//!
//! 1. [`decode`] turns bytes into text: UTF-16 with a byte order mark, UTF-8, or Windows-1252.
//! 2. [`Inf::parse`] splits the text into sections and their entries.
//!
//! It knows no section by name but `[Strings]`, and does not judge what the entries mean.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod encoding;
mod syntax;

pub use encoding::{EncodingFault, decode};
pub use syntax::{Inf, Line, Outside};
