//! What has to go when the rig is interrupted: children and temporary folders, in one list that the handler of Ctrl-C works
//! off. A child that is a rig itself has folders to remove and children to end: it is asked to end (SIGTERM), and killed if
//! it has not ended in time.

use super::failure::INTERRUPTED;
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a child that cleans up after itself may take to end once it is asked to.
pub(super) const CLEANING: Duration = Duration::from_secs(10);

/// What has to go when the rig is interrupted.
pub(super) struct Left {
    pub(super) groups: Vec<Group>,
    pub(super) folders: Vec<PathBuf>,
}

/// A child's process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) pid: Pid,
    /// It is asked to end before it is killed.
    pub(super) cleans_up: bool,
}

impl Group {
    pub(super) fn signal(self, signal: Signal) {
        // Fails only if the group is gone, which is the aim.
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }

    /// Asks it to end, or kills it.
    pub(super) fn begin_end(self) {
        self.signal(if self.cleans_up { Signal::TERM } else { Signal::KILL });
    }

    /// Waits for the end of the child that leads it; whether it came.
    pub(super) fn has_ended(self, limit: Duration) -> bool {
        // Without the process there is nothing to open.
        rustix::process::pidfd_open(self.pid, PidfdFlags::empty())
            .map_or(true, |pidfd| wait_by_the_wall(&[pidfd.as_fd()], limit).is_some())
    }
}

static LEFT: Mutex<Left> = Mutex::new(Left { groups: Vec::new(), folders: Vec::new() });

/// Whether Ctrl-C is meant for a child that has the terminal.
static LEFT_ALONE: AtomicBool = AtomicBool::new(false);

/// Set before the first child is killed because of a signal.
static INTERRUPTING: AtomicBool = AtomicBool::new(false);

/// Does not return once a signal ends the rig: what fails from then on fails because of it, and is not to be told.
pub fn stand_aside_if_interrupted() {
    while INTERRUPTING.load(Ordering::SeqCst) {
        // The handler ends the process.
        std::thread::park();
    }
}

/// Until dropped, Ctrl-C does not end the rig: a child has the terminal and takes it.
#[must_use = "dropping it ends what it stands for"]
pub fn leave_interrupts_alone() -> impl Drop {
    struct Alone;
    impl Drop for Alone {
        fn drop(&mut self) {
            LEFT_ALONE.store(false, Ordering::SeqCst);
        }
    }
    LEFT_ALONE.store(true, Ordering::SeqCst);
    Alone
}

pub(super) fn left() -> MutexGuard<'static, Left> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes Ctrl-C, SIGTERM and SIGHUP end every child and remove every folder before the rig exits.
pub fn clean_up_on_signals() -> Result<()> {
    ctrlc::set_handler(|| {
        if !LEFT_ALONE.load(Ordering::SeqCst) {
            leave(INTERRUPTED, Some("interrupted; nothing is left running"));
        }
    })
    .context("cannot install the handler of Ctrl-C")
}

/// Ends every child, removes every folder, prints `line` as the rig's last one and ends the rig.
pub fn leave(code: u8, line: Option<&str>) -> ! {
    INTERRUPTING.store(true, Ordering::SeqCst);
    // Held until the process ends: nothing new can be started meanwhile.
    let left = left();
    left.groups.iter().for_each(|group| group.begin_end());
    let asked = Instant::now();
    for group in &left.groups {
        let limit = if group.cleans_up { CLEANING } else { Duration::from_secs(2) };
        if !group.has_ended(limit.saturating_sub(asked.elapsed())) {
            group.signal(Signal::KILL);
            group.has_ended(Duration::from_secs(2));
        }
    }
    for folder in &left.folders {
        remove(folder);
    }
    if let Some(line) = line {
        eprintln!("rig: {line}");
    }
    std::process::exit(code.into())
}

pub(super) fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        eprintln!("rig: cannot remove {}: {error}", folder.display());
    }
}

/// The children that run.
pub fn children() -> Vec<u32> {
    left().groups.iter().map(|group| group.pid.as_raw_nonzero().get().unsigned_abs()).collect()
}

pub(super) fn wait_by_the_wall(fds: &[BorrowedFd<'_>], limit: Duration) -> Option<usize> {
    let deadline = Instant::now() + limit;
    loop {
        let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut polled, Some(&left)) {
            Ok(0) => return None,
            Ok(_) => return polled.iter().position(|fd| !fd.revents().is_empty()),
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}
