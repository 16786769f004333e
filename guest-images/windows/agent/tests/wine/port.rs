//! The other end of COM2: a pseudo terminal, and what the agent says through it.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{Read as _, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::symlink},
    path::{Path, PathBuf},
};

use agent_protocol::Message;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pty::{OpenptFlags, openpt, ptsname, unlockpt},
    termios::{OptionalActions, tcgetattr, tcsetattr},
};

/// How long anything may take.
const LIMIT: Timespec = Timespec { tv_sec: 20, tv_nsec: 0 };

/// A terminal that the link leads to.
pub(crate) struct Port {
    line: File,
    /// Of a message that is not whole yet.
    heard: Vec<u8>,
    /// Kept open: else a read here would fail while nobody has the port open.
    _other_end: File,
}

impl Port {
    /// A new terminal; `link` leads to it from now on.
    pub(crate) fn new(link: &Path) -> Self {
        // no program that is started here may keep it
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let main = openpt(flags).expect("a terminal");
        unlockpt(&main).expect("it");
        let name = ptsname(&main, Vec::new()).expect("its name");
        let name = PathBuf::from(OsStr::from_bytes(name.as_bytes()));
        let other_end = OpenOptions::new().read(true).write(true).open(&name).expect("its other end");
        let mut attributes = tcgetattr(&other_end).expect("its attributes");
        attributes.make_raw();
        tcsetattr(&other_end, OptionalActions::Now, &attributes).expect("raw bytes");
        // replaced at once: somebody may be opening it
        let new = link.with_extension("new");
        symlink(name, &new).and_then(|()| fs::rename(&new, link)).expect("a link");
        Self { line: main.into(), heard: Vec::new(), _other_end: other_end }
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.line.write_all(bytes).expect("somebody reads");
    }

    /// What the agent says next.
    pub(crate) fn hear(&mut self) -> Message {
        serde_json::from_slice(&self.line()).expect("a message")
    }

    /// How the agent begins when it has opened the port: an empty line, so that whatever firmware has left half said
    /// there ends, and the greeting.
    pub(crate) fn hear_opening(&mut self) -> Message {
        assert_eq!(self.line(), b"\n");
        self.hear()
    }

    fn line(&mut self) -> Vec<u8> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                return self.heard.drain(..=end).collect();
            }
            let mut waited_for = [PollFd::new(&self.line, PollFlags::IN)];
            let ready = poll(&mut waited_for, Some(&LIMIT)).expect("a terminal");
            assert_eq!(ready, 1, "the agent says nothing");
            let mut part = [0; 4096];
            let read = self.line.read(&mut part).expect("somebody writes");
            self.heard.extend_from_slice(&part[..read]);
        }
    }

    /// Sends a command, in JSON, as request 9; its answer.
    pub(crate) fn call(&mut self, command: &str) -> Message {
        self.write(format!("{{\"id\":9,\"command\":{command}}}\n").as_bytes());
        self.hear()
    }
}
