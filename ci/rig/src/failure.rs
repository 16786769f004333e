//! Errors that carry an exit code of their own.

use std::process::ExitCode;

/// The run found a fault.
pub const FAULT: u8 = 1;
/// The command line was wrong.
pub const USAGE: u8 = 2;
/// Something that a run needs is not there.
pub const SETUP: u8 = 3;
/// The run was interrupted (128 + SIGINT, as shells report it).
pub const INTERRUPTED: u8 = 130;

/// Something that the set-up should have brought is not there.
#[derive(Debug, thiserror::Error)]
#[error("missing: {what}; get it with: {get}")]
pub struct SetupMissing {
    /// What is missing.
    pub what: String,
    /// The command or action that gets it.
    pub get: String,
}

impl SetupMissing {
    /// `what` is missing, and `get` gets it.
    pub fn new(what: impl Into<String>, get: impl Into<String>) -> Self {
        Self { what: what.into(), get: get.into() }
    }
}

/// An argument that clap could not judge.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// The exit code for an error: the most particular cause in its chain decides.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    if error.chain().any(|cause| cause.is::<SetupMissing>() || cause.is::<crate::build::SetupMissing>()) {
        ExitCode::from(SETUP)
    } else if error.chain().any(|cause| cause.is::<Usage>()) {
        ExitCode::from(USAGE)
    } else {
        ExitCode::from(FAULT)
    }
}

/// The whole chain of an error in one line.
pub fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}
