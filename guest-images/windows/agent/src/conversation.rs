//! The serial port, its loss and its return.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use crate::{agent::Agent, line::Lines, outbox::Outbox};

/// How long to wait before a port that cannot be opened is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// An open port, read by one thread and written by another.
pub trait Port: Send + Sync {
    /// Waits for bytes; 0 when none came for a while.
    ///
    /// # Errors
    /// The port is lost, or was closed.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The port is lost, or was closed.
    fn write(&self, bytes: &[u8]) -> io::Result<()>;
    /// Ends a read and a write that are under way, and all later ones, with an error.
    fn close(&self);
}

/// Where a port comes from.
pub trait Link: Send + Sync {
    /// Opens it.
    ///
    /// # Errors
    /// It cannot be opened now.
    fn open(&self) -> io::Result<Arc<dyn Port>>;
}

/// What is between the agent and whoever is at the port's other end.
pub struct Conversation {
    agent: Agent,
    link: Box<dyn Link>,
    state: Mutex<State>,
    stopped: Condvar,
}

#[derive(Default)]
struct State {
    stop: bool,
    port: Option<Arc<dyn Port>>,
}

impl Conversation {
    /// A conversation of `agent` over what `link` opens.
    pub fn new(agent: Agent, link: Box<dyn Link>) -> Self {
        Self { agent, link, state: Mutex::default(), stopped: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Talks until [`Conversation::stop`] is called; `log` is told when the port comes and goes.
    pub fn run(&self, log: impl Fn(&str)) {
        let mut last = String::new();
        let mut tell = |what: String| {
            // a port that is not there is told once
            if what != last {
                log(&what);
                last = what;
            }
        };
        loop {
            match self.link.open() {
                Ok(port) => {
                    tell("the port is open".into());
                    let mut state = self.lock();
                    if state.stop {
                        return;
                    }
                    state.port = Some(Arc::clone(&port));
                    drop(state);
                    let error = self.talk(&*port);
                    self.lock().port = None;
                    tell(format!("the port is lost: {error}"));
                }
                Err(error) => tell(format!("the port cannot be opened: {error}")),
            }
            let state = self.lock();
            let wait = self.stopped.wait_timeout_while(state, AGAIN, |state| !state.stop);
            if wait.unwrap_or_else(PoisonError::into_inner).0.stop {
                return;
            }
        }
    }

    /// Ends [`Conversation::run`] soon.
    pub fn stop(&self) {
        let mut state = self.lock();
        state.stop = true;
        if let Some(port) = &state.port {
            port.close();
        }
        self.stopped.notify_all();
    }

    /// Greets and answers until the port fails.
    fn talk(&self, port: &dyn Port) -> io::Error {
        let outbox = Arc::new(Outbox::default());
        outbox.say(self.agent.hello());
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let error = write_all(port, &outbox);
                // the reader need not wait for what cannot be answered
                port.close();
                error
            });
            let error = self.read_all(port, &outbox);
            outbox.close();
            port.close();
            match writer.join() {
                Ok(Some(error)) => error,
                _ => error,
            }
        })
    }

    fn read_all(&self, port: &dyn Port, outbox: &Arc<Outbox>) -> io::Error {
        let mut lines = Lines::default();
        let mut buffer = [0; 4096];
        loop {
            match port.read(&mut buffer) {
                Ok(read) => {
                    for line in lines.take(&buffer[..read]) {
                        self.agent.take(line, outbox);
                    }
                }
                Err(error) => return error,
            }
        }
    }
}

/// Writes what is said until the outbox is closed; the error that ended it before.
fn write_all(port: &dyn Port, outbox: &Outbox) -> Option<io::Error> {
    // ends what firmware, which has the same port for its console, has left half said
    if let Err(error) = port.write(b"\n") {
        return Some(error);
    }
    while let Some(message) = outbox.next() {
        let mut line = match serde_json::to_vec(&message) {
            Ok(line) => line,
            Err(error) => return Some(error.into()),
        };
        line.push(b'\n');
        if let Err(error) = port.write(&line) {
            return Some(error);
        }
        outbox.written();
    }
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use crate::pretend::{LIMIT, Pretend};
    use agent_protocol::Message;
    use std::{
        io::{BufRead as _, BufReader, Read as _, Write as _},
        net::Shutdown,
        os::unix::net::UnixStream,
        panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
        sync::mpsc,
    };

    struct Socket(UnixStream);

    impl Port for Socket {
        fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
            match (&self.0).read(buffer)? {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                read => Ok(read),
            }
        }

        fn write(&self, bytes: &[u8]) -> io::Result<()> {
            (&self.0).write_all(bytes)
        }

        fn close(&self) {
            let _ = self.0.shutdown(Shutdown::Both);
        }
    }

    /// Opens what a test hands over, in turn.
    struct HandedOver(Mutex<mpsc::Receiver<UnixStream>>);

    impl Link for HandedOver {
        fn open(&self) -> io::Result<Arc<dyn Port>> {
            let next = self.0.lock().unwrap().recv().map_err(io::Error::other)?;
            Ok(Arc::new(Socket(next)))
        }
    }

    struct Rig {
        to: UnixStream,
        from: BufReader<UnixStream>,
    }

    impl Rig {
        fn connect(ports: &mpsc::Sender<UnixStream>) -> Self {
            let (ours, theirs) = UnixStream::pair().unwrap();
            ours.set_read_timeout(Some(LIMIT)).unwrap();
            ports.send(theirs).unwrap();
            Self { to: ours.try_clone().unwrap(), from: BufReader::new(ours) }
        }

        fn line(&mut self) -> String {
            let mut line = String::new();
            self.from.read_line(&mut line).unwrap();
            line
        }

        fn hear(&mut self) -> Message {
            serde_json::from_str(&self.line()).unwrap()
        }

        /// An opening: an empty line and the greeting.
        fn hear_hello(&mut self) {
            assert_eq!(self.line(), "\n");
            let hello = self.hear();
            assert!(matches!(hello, Message::Hello { .. }), "{hello:?}");
        }
    }

    fn with_agent(test: impl FnOnce(&mpsc::Sender<UnixStream>, &Conversation)) {
        let (ports, handed_over) = mpsc::channel();
        let agent = Agent::new(Arc::new(Pretend::default()), Duration::ZERO);
        let conversation = Conversation::new(agent, Box::new(HandedOver(Mutex::new(handed_over))));
        thread::scope(|scope| {
            let running = scope.spawn(|| conversation.run(|_| {}));
            let tested = catch_unwind(AssertUnwindSafe(|| test(&ports, &conversation)));
            conversation.stop();
            // nothing more to open
            drop(ports);
            running.join().unwrap();
            tested.unwrap_or_else(|panic| resume_unwind(panic));
        });
    }

    #[test]
    fn each_connection_is_greeted_and_half_a_line_is_forgotten_with_its_port() {
        with_agent(|ports, _| {
            for _ in 0..3 {
                let mut rig = Rig::connect(ports);
                rig.hear_hello();
                writeln!(rig.to, r#"{{"id":1,"command":{{"do":"dumps"}}}}"#).unwrap();
                assert!(matches!(rig.hear(), Message::Done { id: 1, .. }));
                write!(rig.to, r#"{{"id":2,"comm"#).unwrap();
            }
        });
    }

    #[test]
    fn nonsense_ends_no_connection() {
        with_agent(|ports, _| {
            let mut rig = Rig::connect(ports);
            rig.hear_hello();
            rig.to.write_all(b"\x00\xff\xfe garbage\n\r\n{\"id\":\n").unwrap();
            assert!(matches!(rig.hear(), Message::Failed { id: 0, .. }));
            assert!(matches!(rig.hear(), Message::Failed { id: 0, .. }));
            writeln!(rig.to, r#"{{"id":3,"command":{{"do":"dumps"}}}}"#).unwrap();
            assert!(matches!(rig.hear(), Message::Done { id: 3, .. }));
        });
    }

    #[test]
    fn a_stop_ends_a_conversation_with_a_silent_rig() {
        with_agent(|ports, conversation| {
            let mut rig = Rig::connect(ports);
            rig.hear_hello();
            conversation.stop();
            assert_eq!(rig.line(), "");
        });
    }
}
