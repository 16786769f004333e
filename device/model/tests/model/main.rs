//! The model against a driver that keeps its own view of the rings.

mod contracts;
mod guest;
mod memory;
mod schedule;
mod world;
