//! The daemon as a child process, and a client of its control socket.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use serde_json::{Value, json};

/// No wait in these tests is longer.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

/// The program under test, without arguments.
pub(crate) fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_vhost-device-cancelnic"))
}

/// Asks `condition` again and again until it gives something. Panics with `what` after [`BOUND`].
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + BOUND;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < end, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// A running daemon in a folder of its own. Killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    dir: tempfile::TempDir,
    /// What the child said on stdout first.
    pub greeting: String,
}

impl Daemon {
    /// Starts it with both sockets, a capture and `args`, and waits until it listens.
    pub(crate) fn start(args: &[&str]) -> Daemon {
        let dir = tempfile::tempdir().unwrap();
        let mut command = command();
        command
            .arg("--socket-path")
            .arg(dir.path().join("vhost"))
            .arg("--control")
            .arg(dir.path().join("control"))
            .arg("--capture")
            .arg(dir.path().join("wire.pcapng"))
            .args(args);
        Daemon::spawn(command, dir)
    }

    /// Starts `command`, whose files are in `dir`, and waits until it listens.
    pub(crate) fn spawn(mut command: Command, dir: tempfile::TempDir) -> Daemon {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        // A copy of the program stays busy while a child of another test, just forked, still holds the
        // descriptor that it was written through.
        let mut child = until("the program can be run", || match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => None,
            child => Some(child.unwrap()),
        });
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let readable = PollFd::new(stdout.get_ref(), PollFlags::IN);
        let timeout = BOUND.try_into().unwrap();
        assert_eq!(rustix::event::poll(&mut [readable], Some(&timeout)), Ok(1), "silent");
        let mut greeting = String::new();
        stdout.read_line(&mut greeting).unwrap();
        if greeting.is_empty() {
            let mut log = String::new();
            child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
            panic!("did not start: {log}");
        }
        Daemon { child, dir, greeting: greeting.trim_end().to_owned() }
    }

    /// Makes the pipe that stderr is, which nobody reads before the end, as small as it can be.
    pub(crate) fn shrink_stderr(&self) {
        rustix::pipe::fcntl_setpipe_size(self.child.stderr.as_ref().unwrap(), 4096).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.path("vhost")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the thread of that name waits in a write.
    pub(crate) fn thread_writes(&self, name: &str) -> bool {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.pid())).unwrap();
        let read = |task: &Path, file: &str| std::fs::read_to_string(task.join(file)).unwrap_or_default();
        let write = format!("{} ", libc::SYS_write);
        tasks
            .map(|task| task.unwrap().path())
            .any(|task| read(&task, "comm").trim() == name && read(&task, "syscall").starts_with(&write))
    }

    pub(crate) fn control(&self) -> Control {
        Control::connect(&self.path("control"))
    }

    /// The process can have no more descriptors than that from now on.
    pub(crate) fn limit_descriptors(&self, soft: u64) {
        let limit = rustix::process::Rlimit { current: Some(soft), maximum: Some(soft) };
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Nofile, limit).unwrap();
    }

    /// Whether the process still runs.
    pub(crate) fn alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the end and gives status and log.
    pub(crate) fn wait(&mut self) -> (ExitStatus, String) {
        let status = until("the daemon ends", || self.child.try_wait().unwrap());
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut log).unwrap();
        }
        (status, log)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking()
            && let Some(mut stderr) = self.child.stderr.take()
        {
            let mut log = String::new();
            let _ = stderr.read_to_string(&mut log);
            eprintln!("--- the daemon's log\n{log}---");
        }
    }
}

/// A client of the control socket.
pub(crate) struct Control {
    stream: BufReader<UnixStream>,
    next: u64,
}

impl Control {
    pub(crate) fn connect(path: &Path) -> Control {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        Control { stream: BufReader::new(stream), next: 1 }
    }

    /// Sends raw bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Sends `bytes` again and again until the socket takes no more.
    pub(crate) fn send_until_full(&mut self, bytes: &[u8]) {
        let stream = self.stream.get_mut();
        stream.set_nonblocking(true).unwrap();
        // Full twice: the other side has read as much as it will.
        for _ in 0..2 {
            until("the socket is full", || stream.write_all(bytes).err().map(drop));
        }
    }

    /// Reads the next answer.
    pub(crate) fn answer(&mut self) -> Value {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Calls a method whose answer may never come.
    pub(crate) fn ask(&mut self, method: &str, params: Value) {
        let request = json!({ "jsonrpc": "2.0", "id": 0, "method": method, "params": params });
        self.send(format!("{request}\n").as_bytes());
    }

    /// Calls a method; the answer whole.
    pub(crate) fn try_call(&mut self, method: &str, params: Value) -> Value {
        let id = self.next;
        self.next += 1;
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
        self.send(format!("{request}\n").as_bytes());
        let answer = self.answer();
        assert_eq!(answer["id"], id);
        answer
    }

    /// Calls a method that must succeed; its result.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let answer = self.try_call(method, params.clone());
        assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
        answer["result"].clone()
    }

    /// Calls a method without parameters; `None` if there are too many clients already.
    pub(crate) fn try_call_unless_full(&mut self, method: &str) -> Option<Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 0, "method": method });
        // A client that is one too many may find the connection closed already.
        self.stream.get_mut().write_all(format!("{request}\n").as_bytes()).ok()?;
        let answer = self.answer();
        answer.get("result").cloned()
    }

    pub(crate) fn gate(&mut self, queue: &str, gate: &str, open: bool) {
        self.call("gate.set", json!({ "queue": queue, "gate": gate, "open": open }));
    }

    pub(crate) fn step(&mut self, queue: &str, gate: &str, count: u64) {
        self.call("gate.step", json!({ "queue": queue, "gate": gate, "count": count }));
    }

    pub(crate) fn queue(&mut self, queue: &str) -> Value {
        self.call("queue.get", json!({ "queue": queue }))
    }

    /// Waits until the number `field` of `queue` is `value`.
    pub(crate) fn until(&mut self, queue: &str, field: &str, value: u64) {
        let mut last = Value::Null;
        let end = Instant::now() + BOUND;
        while last != value {
            assert!(Instant::now() < end, "{queue}.{field} stays {last}, not {value}: {}", self.queue(queue));
            last = self.queue(queue)[field].clone();
        }
    }
}
