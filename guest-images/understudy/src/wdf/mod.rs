//! The stand-in for KMDF 1.31.

pub mod table;
