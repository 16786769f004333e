//! The agent's hands in Windows: thin, so that what can be decided elsewhere is decided in the library.

mod device;
mod file;
mod log;
mod machine;
pub(crate) mod program;
mod registry;
mod serial;
mod service;
mod sys;
mod text;
