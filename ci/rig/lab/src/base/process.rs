//! Child processes that are gone when the rig is, however it ends.
//!
//! Every child runs in a separate process group, is killed by the kernel if the rig dies, and is on the list of
//! [`left`](super::left).

use super::built;
use super::fair::FairClock;
use super::left::{CLEANING, Group, left, wait_by_the_wall};
use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{LazyLock, mpsc};
use std::time::Duration;

/// Waits until `fd` is readable (a pidfd: until its process has ended); false when `limit` has passed.
pub fn readable(fd: BorrowedFd<'_>, limit: Duration) -> bool {
    wait_any(&[fd], limit).is_some()
}

/// Waits until one of `fds` is readable; its index, or `None` when `limit` has passed, without the time in which somebody
/// stood in line for a processor.
pub fn wait_any(fds: &[BorrowedFd<'_>], limit: Duration) -> Option<usize> {
    if limit >= BY_THE_WALL {
        return wait_by_the_wall(fds, limit);
    }
    let mut clock = FairClock::start();
    loop {
        let left = clock.left(limit);
        if let Some(found) = wait_by_the_wall(fds, left) {
            return Some(found);
        }
        if left.is_zero() {
            return None;
        }
    }
}

/// From here on a limit is a person's patience.
const BY_THE_WALL: Duration = Duration::from_secs(3600);

/// Starts `command` on a thread that lasts as long as the rig: the kernel takes a child's parent for dead when the thread
/// that started it is.
fn spawn(command: Command) -> std::io::Result<Child> {
    type Order = (Command, mpsc::Sender<std::io::Result<Child>>);
    static STARTER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (orders, taken) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, started) in taken {
                // Whoever ordered it waits for the answer.
                let _ = started.send(command.spawn());
            }
        });
        orders
    });
    let (answer, started) = mpsc::channel();
    let gone = || std::io::Error::other("the thread that starts children has ended");
    STARTER.send((command, answer)).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    pidfd: OwnedFd,
    group: Group,
    errors: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` as `name`; what it writes to its error output goes to the file `errors`.
    pub fn start(name: &'static str, mut command: Command, errors: PathBuf) -> Result<Self> {
        command.stdin(Stdio::null());
        Self::launch(name, command, errors, false)
    }

    /// The same for a rig, which cleans up when it is asked to end, and builds nothing that this one has built. Its standard
    /// input is the caller's to choose.
    pub fn start_rig(mut command: Command, errors: PathBuf) -> Result<Self> {
        command.env(built::VARIABLE, built::handed_on());
        Self::launch("cargo rig", command, errors, true)
    }

    fn launch(name: &'static str, mut command: Command, errors: PathBuf, cleans_up: bool) -> Result<Self> {
        let log = File::create(&errors).with_context(|| format!("cannot create {}", errors.display()))?;
        command.stderr(log).process_group(0);
        let parent = rustix::process::getpid();
        let orphaned = if cleans_up { Signal::TERM } else { Signal::KILL };
        // SAFETY: between fork and exec the closure only makes two system calls; it allocates nothing and takes no
        // lock, so it cannot meet state that another thread of the parent held at the fork.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(orphaned))?;
                if rustix::process::getppid() == Some(parent) {
                    Ok(())
                } else {
                    // The parent died before the line above: nobody would end this child.
                    Err(rustix::io::Errno::SRCH.into())
                }
            });
        }
        let mut left = left();
        let program = command.get_program().to_owned();
        let mut child = spawn(command).with_context(|| format!("cannot start {name} ({program:?})"))?;
        let group = Group { pid: Pid::from_child(&child), cleans_up };
        let pidfd = match rustix::process::pidfd_open(group.pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            Err(error) => {
                group.signal(Signal::KILL);
                child.wait()?;
                return Err(error).context("pidfd_open");
            }
        };
        left.groups.push(group);
        Ok(Self { name, child, pidfd, group, errors, status: None })
    }

    /// Its name, for people.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Becomes readable when the process ends.
    pub fn ended(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Its number.
    pub fn pid(&self) -> Pid {
        self.group.pid
    }

    /// The child's standard input, if it was piped and not taken yet.
    pub fn take_stdin(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// The child's standard output, if it was piped and not taken yet.
    pub fn take_stdout(&mut self) -> Option<std::process::ChildStdout> {
        self.child.stdout.take()
    }

    /// How it ended, if it has.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().ok().flatten();
        }
        self.status
    }

    /// Waits at most `limit` for its end.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        readable(self.ended(), limit);
        self.status()
    }

    /// Waits for its end, however long it takes.
    pub fn wait_for_end(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.status() {
            return Ok(status);
        }
        let status = self.child.wait().with_context(|| format!("cannot wait for {}", self.name))?;
        self.status = Some(status);
        Ok(status)
    }

    /// Ends it and its group: asks first if it cleans up, kills it otherwise. Waits for the end.
    pub fn kill(&mut self) {
        if self.status().is_none() {
            self.group.begin_end();
            if self.group.cleans_up && self.wait(CLEANING).is_some() {
                return;
            }
            self.group.signal(Signal::KILL);
            self.status = self.child.wait().ok();
        }
    }

    /// One line that says how it ended, with the last thing it complained of.
    pub fn epitaph(&mut self) -> String {
        let how = match self.status() {
            None => "is still running".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with exit code {code}"),
                (None, Some(signal)) => format!("was killed by signal {signal}"),
                (None, None) => "ended".to_owned(),
            },
        };
        // A process that was killed had no time to say why.
        let spoke = self.status.is_some_and(|status| status.code().is_some_and(|code| code != 0));
        match self.last_words().filter(|_| spoke) {
            Some(words) => format!("{} {how}: {words}", self.name),
            None => format!("{} {how}", self.name),
        }
    }

    /// The last line of its error output.
    pub fn last_words(&self) -> Option<String> {
        let text = std::fs::read(&self.errors).ok()?;
        let text = String::from_utf8_lossy(&text);
        text.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        left().groups.retain(|group| *group != self.group);
    }
}
