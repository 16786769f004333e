//! Requests and their answers.
//!
//! Each request is answered once. What may wait for a driver (opening, closing, control requests) has a thread of its
//! own; what changes the machine or takes long is done in order by one thread, the worker; the rest, in order too, by
//! another, the clerk, who hands out the work. Leaving the machine waits for none of them: whoever reads a line is
//! never kept waiting.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use agent_protocol::{Command, MAX_LINE, Message, Reply, Request, VERSION};

use crate::{
    device, drivers, dumps,
    files::Files,
    filter::{self, Sends},
    guest::{Fault, Guest, NIC},
    line::Line,
    outbox::{Asker, Outbox},
    parameters, tools,
};

/// Version of the agent, `major.minor.patch`.
pub const AGENT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// How long the answer that the machine is left may take to be written, before it is left all the same.
const LAST_WORD: Duration = Duration::from_secs(5);

/// The agent.
pub struct Agent {
    parts: Arc<Parts>,
    clerk: mpsc::Sender<Asked>,
}

/// What belongs to one rig, by the rig's own numbers.
#[derive(Default)]
struct Session {
    files: Files,
    sends: Sends,
}

/// A request, and who gets its answer.
type Asked = (Request, Asker);

struct Parts {
    guest: Arc<dyn Guest>,
    session: Mutex<Arc<Session>>,
    /// Parameters have been set, which a NIC that runs does not know.
    configured: AtomicBool,
    /// How long a device may take to come or go.
    patience: Duration,
}

impl Agent {
    /// An agent of `guest`, in which a device may take `patience` to come or go.
    #[must_use]
    pub fn new(guest: Arc<dyn Guest>, patience: Duration) -> Self {
        let parts = Arc::new(Parts {
            guest,
            session: Mutex::default(),
            configured: AtomicBool::new(false),
            patience,
        });
        let (worker, work) = mpsc::channel::<Asked>();
        thread::spawn({
            let parts = Arc::clone(&parts);
            move || work.iter().for_each(|(request, asker)| parts.carry_out(request, &asker))
        });
        let (clerk, asked) = mpsc::channel::<Asked>();
        thread::spawn({
            let parts = Arc::clone(&parts);
            move || asked.iter().for_each(|asked| parts.hand_out(asked, &worker))
        });
        Self { parts, clerk }
    }

    /// The greeting.
    #[must_use]
    pub fn hello(&self) -> Message {
        self.parts.hello()
    }

    /// Takes a line; its answer goes into `outbox`, now or later.
    pub fn take(&self, line: Line, outbox: &Arc<Outbox>) {
        let text = match line {
            Line::Text(text) => text,
            Line::Overlong => {
                outbox.say(Message::failed(0, format!("a line of more than {MAX_LINE} bytes")));
                return;
            }
        };
        match serde_json::from_slice(&text) {
            Ok(request) => self.obey(request, outbox),
            Err(error) => outbox.say(Message::failed(0, format!("not a request: {error}"))),
        }
    }

    fn obey(&self, request: Request, outbox: &Arc<Outbox>) {
        let parts = Arc::clone(&self.parts);
        match request.command {
            Command::Quit | Command::Reboot => {
                let asker = outbox.rig();
                thread::spawn(move || parts.carry_out(request, &asker));
            }
            // the clerk ends with the agent
            Command::Greet => drop(self.clerk.send((request, outbox.next_rig()))),
            _ => drop(self.clerk.send((request, outbox.rig()))),
        }
    }
}

/// The thread that carries a command out.
enum Lane {
    /// The clerk: in the order in which they came.
    Clerk,
    /// One for this command alone, which a driver may keep waiting.
    Own,
    /// The worker: what changes the machine or takes long, in the order in which it came.
    Worker,
}

impl Lane {
    fn of(command: &Command) -> Self {
        match command {
            Command::CancelSend { .. }
            | Command::Open { .. }
            | Command::Close { .. }
            | Command::Control { .. } => Self::Own,
            Command::Greet | Command::Send { .. } | Command::CancelControl { .. } | Command::Report => {
                Self::Clerk
            }
            _ => Self::Worker,
        }
    }
}

fn done(_: ()) -> Reply {
    Reply::default()
}

/// Why Windows has neither `pause` nor `restart`.
const PAUSE: &str =
    "Windows pauses a data path only as a part of something else: detach_filter, power_down, unload";
/// Why it has neither `hold` nor `release`.
const WINDOW: &str =
    "the framework is Windows' own and has no windows to hold it at; the device's gates can be held";
/// Why it has neither `bind` nor `unbind`.
const PROTOCOL: &str = "the protocols over the NIC are Windows' own; frames come from the filter";

impl Parts {
    fn hello(&self) -> Message {
        let mut machine = self.guest.machine();
        machine.agent = AGENT_VERSION.into();
        Message::Hello {
            version: VERSION,
            guest: "windows".into(),
            drivers: drivers::installed(&*self.guest),
            boot_us: self.guest.up_us(),
            machine: Some(machine),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Session>> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has a request carried out by the thread that it is for; this is the clerk's.
    fn hand_out(self: &Arc<Self>, (request, asker): Asked, worker: &mpsc::Sender<Asked>) {
        match Lane::of(&request.command) {
            Lane::Clerk => self.carry_out(request, &asker),
            Lane::Own => {
                let parts = Arc::clone(self);
                thread::spawn(move || parts.carry_out(request, &asker));
            }
            Lane::Worker => {
                // the worker ends with the clerk
                let _ = worker.send((request, asker));
            }
        }
    }

    /// Carries a request out and answers it.
    fn carry_out(&self, Request { id, command }: Request, asker: &Asker) {
        if command == Command::Greet {
            mem::take(&mut *self.lock()).files.close_all();
            asker.say(self.hello());
        }
        let and_come_back = match command {
            Command::Quit => Some(false),
            Command::Reboot => Some(true),
            _ => None,
        };
        let result = self.result(id, command);
        let leave = and_come_back.filter(|_| result.is_ok());
        asker.answer(id, result);
        if let Some(and_come_back) = leave {
            self.leave(and_come_back, asker);
        }
    }

    /// Leaves the machine once the answer to that has gone, or cannot go.
    fn leave(&self, and_come_back: bool, asker: &Asker) {
        asker.await_written(LAST_WORD);
        if let Err(error) = self.guest.leave(and_come_back) {
            // the request has its answer
            asker.say(Message::failed(0, error));
        }
    }

    fn result(&self, id: u32, command: Command) -> Result<Reply, Fault> {
        let (guest, patience) = (&*self.guest, self.patience);
        let session = Arc::clone(&self.lock());
        match command {
            Command::Greet => Ok(Reply::default()),
            Command::Send { first, count, len, fragments, cancel_id } => {
                session.sends.send(guest, (first, count), len, fragments, cancel_id).map(done)
            }
            Command::CancelSend { cancel_id } => session.sends.cancel(guest, cancel_id).map(done),
            Command::Open { file, device } => session.files.open(guest, file, &device),
            Command::Close { file } => session.files.close(file),
            Command::Control { file, code, input, output_len } => {
                session.files.control(id, file, code, &input, output_len)
            }
            Command::CancelControl { request } => Ok(session.files.cancel(request)),
            Command::Report => filter::report(guest),
            Command::Load => self.load().map(done),
            Command::Unload => device::unload(guest, patience).map(done),
            Command::PowerDown => device::power(guest, NIC.service, false).map(done),
            Command::PowerUp => device::start_nic(guest, patience).map(done),
            Command::Power { service, on } => device::power(guest, &service, on).map(done),
            Command::Remove { service, surprise } => {
                device::remove(guest, &service, surprise, patience).map(done)
            }
            Command::AttachFilter => device::bind_filter(guest, true, patience).map(done),
            Command::DetachFilter => device::bind_filter(guest, false, patience).map(done),
            Command::Configure { parameters } => {
                parameters::set(guest, &parameters)?;
                self.configured.store(true, Ordering::Relaxed);
                Ok(Reply::default())
            }
            Command::Verifier { on, drivers, flags } => tools::verifier(guest, on, &drivers, flags),
            Command::Logs { log, most } => tools::logs(guest, &log, most),
            Command::Dumps => Ok(Reply { dumps: dumps::list(&guest.system_root()), ..Reply::default() }),
            Command::CopyDump { file, offset, len } => dumps::copy(&guest.system_root(), &file, offset, len),
            // which follows on the answer
            Command::Quit | Command::Reboot => Ok(guest.may_leave().map(done)?),
            // what no Windows offers a program
            Command::Pause { .. } => Err(Fault::unsupported("pause", PAUSE)),
            Command::Restart => Err(Fault::unsupported("restart", PAUSE)),
            Command::Hold { .. } => Err(Fault::unsupported("hold", WINDOW)),
            Command::Release { .. } => Err(Fault::unsupported("release", WINDOW)),
            Command::Bind => Err(Fault::unsupported("bind", PROTOCOL)),
            Command::Unbind => Err(Fault::unsupported("unbind", PROTOCOL)),
            Command::FailAllocation { .. } => Err(Fault::unsupported(
                "fail_allocation",
                "which allocation fails cannot be chosen; Driver Verifier lets some fail at random",
            )),
            Command::Inspect => Err(Fault::unsupported(
                "inspect",
                "the rings are seen from outside only: report has their indices",
            )),
        }
    }

    /// Starts the devices. A NIC that has run since before its parameters were set, as Windows starts it by itself, is
    /// loaded anew.
    fn load(&self) -> Result<(), Fault> {
        if self.configured.load(Ordering::Relaxed) {
            if self.guest.is_loaded(NIC.service)? {
                device::stop(&*self.guest, NIC, self.patience)?;
            }
            self.configured.store(false, Ordering::Relaxed);
        }
        device::load(&*self.guest, self.patience)
    }
}

#[cfg(test)]
mod tests;
