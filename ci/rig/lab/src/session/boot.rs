//! What a session has to know of its guest: how its machine starts, how long it may take, how it ends.

use crate::guest::agent::Agent;
use crate::guest::symbols::Symbols;
use crate::settings::Settings;
use anyhow::Result;
use std::ffi::OsString;
use std::fmt::Debug;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How a guest is started, named and ended.
pub trait Boot: Debug + Send + Sync {
    /// QEMU's command line. The files that it names are made in `folder`.
    ///
    /// # Errors
    /// The machine cannot be had here, or a file cannot be made.
    fn arguments(&self, folder: &Path, settings: &Settings) -> Result<Vec<OsString>>;

    /// Listens to the guest's agent on its line.
    ///
    /// # Errors
    /// The line or the thread that reads it cannot be set up.
    fn agent(&self, line: UnixStream, symbols: Arc<Symbols>) -> io::Result<Agent>;

    /// The guest's name and that of its image, for a guest that calls itself `told`.
    fn name(&self, told: String) -> (String, Option<String>);

    /// How long it takes at most to start, to do what an idle machine does in milliseconds, and to switch itself off.
    fn patience(&self) -> Patience;

    /// With which exit code QEMU ends when the guest ends so.
    fn exit_code(&self, end: End) -> i32;

    /// Whether the machine can go on when the agent's line has ended.
    fn outlives_its_agent(&self) -> bool;
}

/// How a guest ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It powers off.
    PowerOff,
    /// It stops with a bug check.
    BugCheck,
}

/// Bounds in seconds.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the machine's start to the agent's greeting.
    pub start: u64,
    /// For one command.
    pub act: u64,
    /// From the last command to the machine being off.
    pub end: u64,
}

impl Patience {
    /// From the machine's start to the agent's greeting.
    pub fn start(self) -> Duration {
        Duration::from_secs(self.start)
    }

    /// For one command.
    pub fn act(self) -> Duration {
        Duration::from_secs(self.act)
    }

    /// From the last command to the machine being off.
    pub fn end(self) -> Duration {
        Duration::from_secs(self.end)
    }
}
