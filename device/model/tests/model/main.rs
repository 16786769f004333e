//! The model against a driver that keeps its own view of the rings.

mod config;
mod contracts;
mod extremes;
mod guest;
mod hostile;
mod judge;
mod malformed;
mod memory;
mod schedule;
mod service;
mod table;
mod world;
