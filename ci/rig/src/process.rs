//! Child processes and temporary folders that are gone when the rig is, however it ends.
//!
//! Every child runs in a process group of its own, is killed by the kernel if the rig dies, and is noted in one list that
//! the handler of Ctrl-C works off. A child that is a rig itself has folders to remove and children to end: it is asked to
//! end (SIGTERM), and killed if it has not ended in time.

use crate::archive::Evidence;
use crate::built;
use crate::failure::{INTERRUPTED, Machine};
use crate::fair::FairClock;
use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// How long a child that cleans up after itself may take to end once it is asked to.
const CLEANING: Duration = Duration::from_secs(10);

/// What has to go when the rig is interrupted.
struct Left {
    groups: Vec<Group>,
    folders: Vec<PathBuf>,
}

/// A child's process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    pid: Pid,
    /// It is asked to end before it is killed.
    cleans_up: bool,
}

impl Group {
    fn signal(self, signal: Signal) {
        // Fails only if the group is gone, which is the aim.
        let _ = rustix::process::kill_process_group(self.pid, signal);
    }

    /// Asks it to end, or kills it.
    fn begin_end(self) {
        self.signal(if self.cleans_up { Signal::TERM } else { Signal::KILL });
    }

    /// Waits for the end of the child that leads it; whether it came.
    fn has_ended(self, limit: Duration) -> bool {
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

fn left() -> MutexGuard<'static, Left> {
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

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        eprintln!("rig: cannot remove {}: {error}", folder.display());
    }
}

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

/// The children that run.
pub fn children() -> Vec<u32> {
    left().groups.iter().map(|group| group.pid.as_raw_nonzero().get().unsigned_abs()).collect()
}

fn wait_by_the_wall(fds: &[BorrowedFd<'_>], limit: Duration) -> Option<usize> {
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

/// A temporary folder that goes with this value.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Where its logs are kept when it goes.
    kept_for: Option<Evidence>,
}

impl Folder {
    /// A new, empty folder that only this user can enter, with a path short enough for the sockets in it.
    ///
    /// # Errors
    /// [`Machine`]: there is no place for it.
    pub fn new() -> Result<Self> {
        let mut left = left();
        let folder = tempfile::Builder::new()
            .prefix("cancelnic-")
            .tempdir()
            .map_err(|error| {
                Machine(format!(
                    "cannot make a temporary folder: {error}; set TMPDIR to a folder that can be written"
                ))
            })?
            .keep();
        if folder.as_os_str().len() > 80 {
            remove(&folder);
            let folder = folder.display();
            let error = format!("{folder} is too long for the path of a socket: set TMPDIR to a shorter one");
            return Err(Machine(error).into());
        }
        left.folders.push(folder.clone());
        Ok(Self { path: folder, kept_for: None })
    }

    /// A new folder at this place, which may not be there yet.
    pub fn at(path: &Path) -> Result<Self> {
        let mut left = left();
        std::fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
        left.folders.push(path.to_path_buf());
        Ok(Self { path: path.to_path_buf(), kept_for: None })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When it goes, its logs are kept for this evidence, or for none.
    pub fn keep_for(&mut self, evidence: Option<Evidence>) {
        self.kept_for = evidence;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(evidence) = &self.kept_for {
            evidence.files(&self.path);
        }
        remove(&self.path);
        left().folders.retain(|folder| *folder != self.path);
    }
}

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

    /// The same for a rig, which cleans up when it is asked to end, and builds nothing that this one has built. Its standard input is the caller's to choose.
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
