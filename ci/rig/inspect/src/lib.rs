//! What a driver's image asks of its kernel, read from its file: nothing is loaded or run.
//!
//! - `image`: headers, sections, imports.
//! - `binding`: the frameworks and versions that it binds, from its bind structures.
//! - `calls`: the functions that its code takes from the frameworks' tables.
//! - `offers`: what understudy offers, from its `OFFERS.md`.
//! - `compare`: what is missing.
//!
//! A file is hostile: whatever its bytes are, reading it ends, with facts or with one line.
#![forbid(unsafe_code)]

mod binding;
mod calls;
mod compare;
mod image;
mod offers;

pub use binding::{Binding, Framework, bindings};
pub use compare::{Asked, Comparison, compare};
pub use image::{Image, ImageFault, Import, Section};
pub use offers::{Offers, OffersFault};
