//! The rig's ends of the lines to guest and monitor: QEMU connects to them.

use crate::base::process::{Process, wait_any};
use crate::base::wait::LIMIT;
use anyhow::{Context, Result, bail};
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Waits for connections to `path`.
pub fn listen(path: &Path) -> Result<UnixListener> {
    UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))
}

/// Takes the connection that `process` makes, unless it ends first.
pub fn accept(listener: &UnixListener, process: &mut Process) -> Result<UnixStream> {
    match wait_any(&[listener.as_fd(), process.ended()], LIMIT) {
        Some(0) => Ok(listener.accept()?.0),
        Some(_) => bail!("{}", process.epitaph()),
        None => bail!("{} runs, and has not connected within {} s", process.name(), LIMIT.as_secs()),
    }
}
