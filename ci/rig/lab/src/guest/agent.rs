//! The guest's agent, over a serial port that QEMU connects to a Unix socket.
//!
//! A background reader keeps everything that the guest says, in order and with the time at which it came; commands
//! are answered out of that record, so that several can be under way at once.

use crate::base::fair::FairClock;
use crate::guest::symbols::{Stack, Symbols};
use agent_protocol::{
    Command, FailureKind, MAX_LINE, Message, QueueView, Reply, Request, VERSION, Violation,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Why a command has no good answer.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The guest broke a rule and has stopped.
    #[error("{} in {} ({}), bug check {code:#x}", violation.rule, violation.callback, violation.place)]
    BugCheck {
        /// Which rule, where.
        violation: Violation,
        /// Bug check code.
        code: u32,
        /// The queue, if the rule is that a queue has to be given back.
        view: Option<Box<QueueView>>,
        /// The calls that had not returned.
        stack: Option<Box<Stack>>,
    },
    /// The guest could not carry the command out, and goes on.
    #[error("{0}")]
    Failed(String),
    /// The guest has refused a driver's files; nothing of the driver has run.
    #[error("the driver cannot be loaded: {0}")]
    NotLoadable(String),
    /// The guest can carry no such command out.
    #[error("this guest cannot run it: {0}")]
    Unsupported(String),
    /// No answer in time.
    #[error("no answer from the guest within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The connection has ended.
    #[error("the guest's agent is gone")]
    Gone,
    /// The guest said something that is not in the protocol.
    #[error("the guest says {0:?}, which is not in the protocol")]
    Nonsense(String),
}

#[derive(Debug, Default)]
struct Heard {
    said: Vec<Message>,
    /// When each of them was read.
    times: Vec<Instant>,
    /// The stack that the bug check came with.
    stack: Option<Box<Stack>>,
    nonsense: Option<String>,
    ended: bool,
}

impl Heard {
    fn take_in(&mut self, message: Option<Message>) {
        if let Some(message) = message {
            self.said.push(message);
            self.times.push(Instant::now());
        }
    }

    fn bug_check(&self) -> Option<AgentError> {
        self.said.iter().find_map(|said| match said {
            Message::BugCheck { violation, code, view, .. } => {
                let (violation, view) = (violation.clone(), view.clone().map(Box::new));
                Some(AgentError::BugCheck { violation, code: *code, view, stack: self.stack.clone() })
            }
            _ => None,
        })
    }

    /// What was said at a place of the record. The bytes of a dump go out of the record: they are many, and for one.
    fn hand_out(&mut self, at: usize) -> Message {
        let said = self.said[at].clone();
        if let Message::Done { reply: Reply { chunk: Some(chunk), .. }, .. } = &mut self.said[at] {
            chunk.data = String::new();
        }
        said
    }
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Heard>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command that has been sent.
#[derive(Debug)]
#[must_use = "a command's answer says whether it worked"]
pub struct Pending {
    id: u32,
}

impl Pending {
    /// The request's number.
    pub fn id(&self) -> u32 {
        self.id
    }
}

/// A connection to a guest's agent.
#[derive(Debug)]
pub struct Agent {
    stream: UnixStream,
    shared: Arc<Shared>,
    next: u32,
    reader: Option<JoinHandle<()>>,
}

impl Agent {
    /// Listens to a guest that has `stream` for itself, and of whose drivers nothing is known.
    #[cfg(test)]
    pub fn new(stream: UnixStream) -> std::io::Result<Self> {
        Self::over(stream, Port::Own, Arc::default())
    }

    /// The same, of whose drivers `symbols` are known: a bug check comes with places in their sources.
    pub fn with_symbols(stream: UnixStream, symbols: Arc<Symbols>) -> std::io::Result<Self> {
        Self::over(stream, Port::Own, symbols)
    }

    /// Listens to a guest whose firmware writes to the same port, whenever the machine starts.
    pub fn behind_firmware(stream: UnixStream, symbols: Arc<Symbols>) -> std::io::Result<Self> {
        Self::over(stream, Port::Shared, symbols)
    }

    fn over(stream: UnixStream, port: Port, symbols: Arc<Symbols>) -> std::io::Result<Self> {
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        let shared = Arc::new(Shared::default());
        let reader = std::thread::Builder::new().name("agent".into()).spawn({
            let (stream, shared) = (stream.try_clone()?, Arc::clone(&shared));
            move || listen(stream, port, &shared, &symbols)
        })?;
        Ok(Self { stream, shared, next: 1, reader: Some(reader) })
    }

    /// Waits for the guest's greeting.
    pub fn hello(&mut self, limit: Duration) -> Result<Message, AgentError> {
        let hello = self.wait(limit, |said| matches!(said, Message::Hello { .. }))?;
        match hello {
            Message::Hello { version, .. } if version != VERSION => Err(AgentError::Failed(format!(
                "the guest speaks version {version} of the agent protocol, this rig version {VERSION}"
            ))),
            hello => Ok(hello),
        }
    }

    /// Sends a command; [`Agent::finish`] waits for its answer.
    pub fn begin(&mut self, command: Command) -> Result<Pending, AgentError> {
        let id = self.next;
        self.next += 1;
        // A Request is plain data: it always has a JSON form.
        let mut line = serde_json::to_string(&Request { id, command }).map_err(|_| AgentError::Gone)?;
        line.push('\n');
        self.stream.write_all(line.as_bytes()).map_err(|_| AgentError::Gone)?;
        Ok(Pending { id })
    }

    /// Waits for the answer to a command that was begun.
    pub fn finish(&mut self, pending: &Pending, limit: Duration) -> Result<Reply, AgentError> {
        let id = pending.id;
        let answer = self.wait(limit, |said| match said {
            Message::Done { id: answered, .. } | Message::Failed { id: answered, .. } => *answered == id,
            _ => false,
        })?;
        match answer {
            Message::Done { reply, .. } => Ok(reply),
            Message::Failed { error, kind: Some(FailureKind::Unsupported), .. } => {
                Err(AgentError::Unsupported(error))
            }
            Message::Failed { error, kind: Some(FailureKind::NotLoadable), .. } => {
                Err(AgentError::NotLoadable(error))
            }
            Message::Failed { error, .. } => Err(AgentError::Failed(error)),
            _ => Err(AgentError::Gone),
        }
    }

    /// Sends a command and waits for its answer.
    pub fn call(&mut self, command: Command, limit: Duration) -> Result<Reply, AgentError> {
        let pending = self.begin(command)?;
        self.finish(&pending, limit)
    }

    /// Cuts the line, as if somebody had pulled it out.
    pub fn cut(&self) -> std::io::Result<()> {
        self.stream.shutdown(std::net::Shutdown::Both)
    }

    /// Everything that the guest has said up to now.
    pub fn said(&self) -> Vec<Message> {
        self.shared.lock().said.clone()
    }

    /// The same with the time at which each was read.
    pub fn said_when(&self) -> Vec<(Instant, Message)> {
        let heard = self.shared.lock();
        heard.times.iter().copied().zip(heard.said.iter().cloned()).collect()
    }

    /// Whether the guest has closed its end of the line.
    pub fn has_ended(&self) -> bool {
        self.shared.lock().ended
    }

    /// The lines that drivers have printed from place `from` of the record on, which is moved to its end.
    pub fn prints_from(&self, from: &mut usize) -> Vec<String> {
        let heard = self.shared.lock();
        let prints = heard.said.iter().skip(*from).filter_map(|said| match said {
            Message::Debug { text } => Some(text.clone()),
            _ => None,
        });
        let prints = prints.collect();
        *from = heard.said.len();
        prints
    }

    /// How many callbacks and framework steps the guest has reported up to now.
    pub fn events(&self) -> usize {
        self.shared.lock().said.iter().filter(|said| matches!(said, Message::Event { .. })).count()
    }

    /// How many messages the guest has said up to now.
    pub fn heard(&self) -> usize {
        self.shared.lock().said.len()
    }

    /// Forgets everything that the guest has said up to now.
    pub fn forget(&mut self) {
        let mut heard = self.shared.lock();
        heard.said.clear();
        heard.times.clear();
    }

    /// The bug check that the guest has told, if it has.
    pub fn bug_check(&self) -> Option<AgentError> {
        self.shared.lock().bug_check()
    }

    /// Waits at most `limit` for the end of the connection, so that everything that the guest said has been read.
    pub fn hear_out(&self, limit: Duration) {
        let mut clock = FairClock::start();
        let mut heard = self.shared.lock();
        loop {
            let left = clock.left(limit);
            if heard.ended || left.is_zero() {
                return;
            }
            heard = self.shared.changed.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wait(&self, limit: Duration, is_it: impl Fn(&Message) -> bool) -> Result<Message, AgentError> {
        let mut clock = FairClock::start();
        let mut heard = self.shared.lock();
        let mut looked_at = 0;
        loop {
            if let Some(at) = heard.said.iter().skip(looked_at).position(&is_it) {
                return Ok(heard.hand_out(looked_at + at));
            }
            looked_at = heard.said.len();
            if let Some(bug_check) = heard.bug_check() {
                return Err(bug_check);
            }
            if let Some(nonsense) = &heard.nonsense {
                return Err(AgentError::Nonsense(nonsense.clone()));
            }
            if heard.ended {
                return Err(AgentError::Gone);
            }
            let left = clock.left(limit);
            if left.is_zero() {
                return Err(AgentError::TimedOut(limit));
            }
            heard = self.shared.changed.wait_timeout(heard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Ends the reader's read.
        let _ = self.cut();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Who writes to the agent's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    /// The agent.
    Own,
    /// The agent, and firmware, whose console it is: what does not begin as a message does is of no meaning.
    Shared,
}

/// How every message begins.
const BEGINNING: &[u8] = b"{\"say\":";

impl Port {
    fn read(self, line: &[u8]) -> Result<Option<Message>, String> {
        let mut line = line.trim_ascii();
        if self == Self::Shared {
            // The firmware may have left its own line without an end.
            let begins = line.windows(BEGINNING.len()).position(|piece| piece == BEGINNING);
            line = begins.map_or(&[], |at| &line[at..]);
        }
        // What a driver has ruined may be no text any more: the rest of the message is.
        match serde_json::from_str(&String::from_utf8_lossy(line)) {
            Ok(message) => Ok(Some(message)),
            Err(_) if line.is_empty() => Ok(None),
            Err(_) => Err(String::from_utf8_lossy(line).chars().take(120).collect()),
        }
    }
}

fn listen(stream: UnixStream, port: Port, shared: &Shared, symbols: &Symbols) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line);
        // Symbols are read before the lock is taken: they may be large.
        let message = port.read(&line).map(|message| message.map(|message| in_places(message, symbols)));
        let mut heard = shared.lock();
        match read {
            Ok(read) if read > 0 && line.ends_with(b"\n") => match message {
                Ok(Some((message, stack))) => {
                    heard.take_in(Some(message));
                    heard.stack = stack.or(heard.stack.take());
                }
                Ok(None) => {}
                Err(text) => _ = heard.nonsense.get_or_insert(text),
            },
            _ => {
                heard.ended = true;
                shared.changed.notify_all();
                return;
            }
        }
        shared.changed.notify_all();
    }
}

/// A bug check with the places of its addresses, and its stack; any other message as it is.
fn in_places(mut message: Message, symbols: &Symbols) -> (Message, Option<Box<Stack>>) {
    let Message::BugCheck { violation, processor, .. } = &mut message else { return (message, None) };
    let of = format!("{} in {}", violation.rule, violation.callback);
    // What it takes place from is many bytes, and nobody looks at them again.
    let stack = processor.take().map(|processor| Box::new(symbols.walk(of, &processor)));
    symbols.explain_violation(violation, stack.as_deref());
    (message, stack)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn guest() -> (Agent, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Agent::new(ours).unwrap(), theirs)
    }

    #[test]
    fn answers_may_come_out_of_order() {
        let (mut agent, mut guest) = guest();
        let pause = agent.begin(Command::Pause { cancels: 1 }).unwrap();
        let report = agent.begin(Command::Report).unwrap();
        writeln!(guest, r#"{{"say":"done","id":2,"queues":[{{"queue":"tx0","posted":[[1,9]],"sent":[],"taken_back":[],"never_posted":[],"outstanding":[],"queued":[],"paused":[],"received":[],"returned_empty":0,"held":0}}]}}"#).unwrap();
        writeln!(guest, r#"{{"say":"done","id":1}}"#).unwrap();
        assert_eq!(agent.finish(&report, SOON).unwrap().queues[0].posted.len(), 9);
        assert_eq!(agent.finish(&pause, SOON).unwrap(), Reply::default());
    }

    #[test]
    fn a_bug_check_whose_callback_is_no_text_any_more_is_one() {
        let (mut agent, mut guest) = guest();
        let pause = agent.begin(Command::Pause { cancels: 1 }).unwrap();
        guest.write_all(b"{\"say\":\"bug_check\",\"violation\":{\"rule\":\"PageFault\",\"callback\":\"\xff\\u0000 EvtCancel\",\"where\":\"\"},\"code\":10,\"parameters\":[0,0,0,0]}\n").unwrap();
        let error = agent.finish(&pause, SOON).unwrap_err();
        assert!(
            matches!(&error, AgentError::BugCheck { violation, .. } if violation.callback == "\u{fffd}\0 EvtCancel"),
            "{error:?}"
        );
    }

    #[test]
    fn a_bug_check_answers_every_wait() {
        let (mut agent, mut guest) = guest();
        let pause = agent.begin(Command::Pause { cancels: 1 }).unwrap();
        writeln!(guest, r#"{{"say":"bug_check","violation":{{"rule":"WaitAtDispatch","callback":"EvtCancel","where":"tx0"}},"code":10,"parameters":[0,0,0,0]}}"#).unwrap();
        let error = agent.finish(&pause, SOON).unwrap_err();
        assert!(
            matches!(&error, AgentError::BugCheck { violation, .. } if violation.rule == "WaitAtDispatch"),
            "{error}"
        );
    }

    #[test]
    fn an_answer_that_came_before_the_end_counts() {
        let (mut agent, mut guest) = guest();
        let quit = agent.begin(Command::Quit).unwrap();
        writeln!(guest, r#"{{"say":"done","id":1}}"#).unwrap();
        drop(guest);
        agent.finish(&quit, SOON).unwrap();
        assert!(matches!(agent.call(Command::Report, SOON), Err(AgentError::Gone)));
    }

    #[test]
    fn a_dump_does_not_fill_the_record() {
        let (mut agent, mut guest) = guest();
        writeln!(guest, r#"{{"say":"done","id":1,"chunk":{{"data":"UEFHRQ==","total":4,"sha256":"00"}}}}"#)
            .unwrap();
        let part = Command::CopyDump { file: "MEMORY.DMP".into(), offset: 0, len: 4 };
        let chunk = agent.call(part, SOON).unwrap().chunk.unwrap();
        assert_eq!(chunk.data, "UEFHRQ==");
        let [Message::Done { reply, .. }] = &agent.said()[..] else { panic!("{:?}", agent.said()) };
        assert_eq!(reply.chunk.as_ref().unwrap().data, "");
    }

    #[test]
    fn what_a_guest_cannot_do_is_no_failure_of_it() {
        let (mut agent, mut guest) = guest();
        let hold = agent.begin(Command::Hold { window: "any".into() }).unwrap();
        writeln!(guest, r#"{{"say":"failed","id":1,"error":"no windows here","kind":"unsupported"}}"#)
            .unwrap();
        let error = agent.finish(&hold, SOON).unwrap_err();
        assert!(matches!(error, AgentError::Unsupported(_)), "{error}");
        assert_eq!(error.to_string(), "this guest cannot run it: no windows here");
    }

    #[test]
    fn silence_is_bounded() {
        let (mut agent, _guest) = guest();
        let limit = Duration::from_millis(1);
        assert!(matches!(agent.hello(limit), Err(AgentError::TimedOut(_))));
    }

    #[test]
    fn another_version_is_refused() {
        let (mut agent, mut guest) = guest();
        writeln!(guest, r#"{{"say":"hello","version":99,"guest":"understudy","drivers":[],"boot_us":1}}"#)
            .unwrap();
        assert!(agent.hello(SOON).unwrap_err().to_string().contains("version 99"));
    }

    #[test]
    fn firmware_may_talk_before_the_guest_and_after_a_restart() {
        let (ours, mut guest) = UnixStream::pair().unwrap();
        let mut agent = Agent::behind_firmware(ours, Arc::default()).unwrap();
        let hello = r#"{"say":"hello","version":1,"guest":"understudy","drivers":[],"boot_us":1}"#;
        write!(guest, "\x1b[2J\x1b[01;01HBdsDxe: starting Boot0001\r\nno end of line {hello}\n\x1b[2J\n")
            .unwrap();
        assert!(matches!(agent.hello(SOON), Ok(Message::Hello { .. })));
        writeln!(guest, "{{\"say\":\"hel").unwrap();
        assert!(matches!(agent.call(Command::Report, SOON), Err(AgentError::Nonsense(_))));
    }

    #[test]
    fn a_line_outside_the_protocol_is_quoted() {
        let (mut agent, mut guest) = guest();
        writeln!(guest, "SeaBIOS (version 1.16)").unwrap();
        assert!(agent.hello(SOON).unwrap_err().to_string().contains("SeaBIOS"));
    }
}
