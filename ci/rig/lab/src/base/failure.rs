//! The errors that people and CI jobs have to tell apart, and the exit codes that stand for them.

use std::io;
use std::path::PathBuf;

/// The run found a fault.
pub const FAULT: u8 = 1;
/// The command line was wrong.
pub const USAGE: u8 = 2;
/// The run could not take place: something is missing, or the machine refused it.
pub const SETUP: u8 = 3;
/// A driver that was inspected needs what understudy does not offer.
pub const NOT_OFFERED: u8 = 4;
/// The run was interrupted (128 + SIGINT, as shells report it).
pub const INTERRUPTED: u8 = 130;
/// Nobody reads the output any more (128 + SIGPIPE, as shells report it). Not 0: the run was not brought to its end.
pub const PIPE_CLOSED: u8 = 141;

/// Something that the set-up should have brought is not there; the message names the command that gets it.
#[derive(Debug, thiserror::Error)]
pub enum SetupMissing {
    /// A program or a file.
    #[error("missing: {what}; get it with: {get}")]
    Thing {
        /// What is missing.
        what: String,
        /// The command or action that gets it.
        get: String,
    },
    /// The toolchain has no standard library for a target.
    #[error("the Rust target {target} is not installed: run `rustup target add {target}` (./ci/setup does)")]
    Target {
        /// Target triple.
        target: &'static str,
    },
    /// The libraries for a program of Windows are not there.
    #[error(
        "mingw-w64 is not there, to link a program for Windows with: run ./ci/setup \
        (on Debian: apt-get install gcc-mingw-w64-x86-64-win32)"
    )]
    Mingw,
    /// A program cannot be started.
    #[error("cannot start `{program}`: {source}; it comes with the Rust toolchain (https://rustup.rs)")]
    Program {
        /// What was to be started.
        program: String,
        /// Why it did not start.
        source: io::Error,
    },
    /// The build has nowhere to write to.
    #[error(
        "cannot write to {}: {source}; make it writable, or name another target folder with CARGO_TARGET_DIR",
        folder.display()
    )]
    Unwritable {
        /// Where the finished artefacts go.
        folder: PathBuf,
        /// Why nothing can be written there.
        source: io::Error,
    },
}

impl SetupMissing {
    /// `what` is missing, and `get` gets it.
    pub fn new(what: impl Into<String>, get: impl Into<String>) -> Self {
        Self::Thing { what: what.into(), get: get.into() }
    }
}

/// A program that every run stands on has given up before there was anything to judge.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}", .todo.as_ref().map_or_else(String::new, |todo| format!("; {todo}")))]
pub struct GaveUp {
    /// Which program, and its own last words.
    pub what: String,
    /// What may help, where that is known.
    pub todo: Option<String>,
}

/// An argument that clap could not judge.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A run could not take place, and no driver is to blame for it. An [`std::io::Error`] anywhere in a chain of causes
/// has the same class.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Machine(pub String);

/// The whole chain of an error in one line.
pub fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}
