//! Requests and their answers.
//!
//! Each request is answered once. What may wait for a driver (opening, closing, control requests) has a thread of its
//! own; what changes the machine or takes long is done in order by one thread, the worker; the rest, in order too, by
//! another, the clerk, who hands out the work. Leaving the machine waits for none of them: whoever reads a line is
//! never kept waiting.

use std::{
    sync::{
        Arc,
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
    outbox::Outbox,
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

/// A request, and where its answer goes.
type Asked = (Request, Arc<Outbox>);

struct Parts {
    guest: Arc<dyn Guest>,
    files: Files,
    sends: Sends,
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
            files: Files::default(),
            sends: Sends::default(),
            configured: AtomicBool::new(false),
            patience,
        });
        let (worker, work) = mpsc::channel::<Asked>();
        thread::spawn({
            let parts = Arc::clone(&parts);
            move || work.iter().for_each(|(request, outbox)| parts.carry_out(request, &outbox))
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
        let (parts, outbox) = (Arc::clone(&self.parts), Arc::clone(outbox));
        if matches!(request.command, Command::Quit | Command::Reboot) {
            thread::spawn(move || parts.carry_out(request, &outbox));
        } else {
            // the clerk ends with the agent
            let _ = self.clerk.send((request, outbox));
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

    /// Has a request carried out by the thread that it is for; this is the clerk's.
    fn hand_out(self: &Arc<Self>, (request, outbox): Asked, worker: &mpsc::Sender<Asked>) {
        match Lane::of(&request.command) {
            Lane::Clerk => self.carry_out(request, &outbox),
            Lane::Own => {
                let parts = Arc::clone(self);
                thread::spawn(move || parts.carry_out(request, &outbox));
            }
            Lane::Worker => {
                // the worker ends with the clerk
                let _ = worker.send((request, outbox));
            }
        }
    }

    /// Carries a request out and answers it.
    fn carry_out(&self, Request { id, command }: Request, outbox: &Outbox) {
        if command == Command::Greet {
            self.files.close_all();
            outbox.say(self.hello());
        }
        let and_come_back = match command {
            Command::Quit => Some(false),
            Command::Reboot => Some(true),
            _ => None,
        };
        let result = self.result(id, command);
        let leave = and_come_back.filter(|_| result.is_ok());
        outbox.answer(id, result);
        if let Some(and_come_back) = leave {
            self.leave(and_come_back, outbox);
        }
    }

    /// Leaves the machine once the answer to that has gone, or cannot go.
    fn leave(&self, and_come_back: bool, outbox: &Outbox) {
        outbox.await_written(LAST_WORD);
        if let Err(error) = self.guest.leave(and_come_back) {
            // the request has its answer
            outbox.say(Message::failed(0, error));
        }
    }

    fn result(&self, id: u32, command: Command) -> Result<Reply, Fault> {
        let (guest, patience) = (&*self.guest, self.patience);
        match command {
            Command::Greet => Ok(Reply::default()),
            Command::Send { first, count, len, fragments, cancel_id } => {
                self.sends.send(guest, (first, count), len, fragments, cancel_id).map(done)
            }
            Command::CancelSend { cancel_id } => self.sends.cancel(guest, cancel_id).map(done),
            Command::Open { file, device } => self.files.open(guest, file, &device),
            Command::Close { file } => self.files.close(file),
            Command::Control { file, code, input, output_len } => {
                self.files.control(id, file, code, &input, output_len)
            }
            Command::CancelControl { request } => Ok(self.files.cancel(request)),
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
mod tests {
    use super::*;
    use crate::{
        guest::Change,
        pretend::{LIMIT, PENDS, Pretend, STATUS_CANCELLED},
    };
    use agent_protocol::{FailureKind, IoResult};

    struct Conversation {
        guest: Arc<Pretend>,
        agent: Agent,
        outbox: Arc<Outbox>,
    }

    impl Conversation {
        fn with(guest: Pretend) -> Self {
            let guest = Arc::new(guest);
            let agent = Agent::new(Arc::clone(&guest) as Arc<dyn Guest>, Duration::ZERO);
            Self { guest, agent, outbox: Arc::default() }
        }

        fn begin(&self, request: &str) {
            self.agent.take(Line::Text(request.into()), &self.outbox);
        }

        fn answer(&self) -> Message {
            let message = self.outbox.next_within(LIMIT).expect("an answer");
            self.outbox.written();
            message
        }

        /// What was done to the machine, in order.
        fn changes(&self) -> Vec<String> {
            let mut done = self.guest.done();
            done.retain(|done| !done.starts_with("loaded?"));
            done
        }

        fn call(&self, command: &str) -> Message {
            self.begin(&format!(r#"{{"id":9,"command":{command}}}"#));
            self.answer()
        }
    }

    fn io(message: &Message) -> (u32, &IoResult) {
        match message {
            Message::Done { id, reply: Reply { io: Some(io), .. } } => (*id, io),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_no_request_is_answered_with_number_0() {
        let talk = Conversation::with(Pretend::default());
        for line in ["{", "hello", "[]", r#"{"id":1}"#, r#"{"id":1,"command":{"do":"dance"}}"#, "\u{1}\u{2}"]
        {
            talk.begin(line);
            let answer = talk.answer();
            assert!(
                matches!(&answer, Message::Failed { id: 0, error, .. } if error.starts_with("not a request")),
                "{answer:?}"
            );
        }
        talk.agent.take(Line::Overlong, &talk.outbox);
        assert_eq!(talk.answer(), Message::failed(0, "a line of more than 1048576 bytes".into()));
    }

    #[test]
    fn a_greeting_comes_before_its_answer_and_closes_files() {
        let talk = Conversation::with(Pretend::default());
        talk.call(r#"{"do":"open","file":1,"device":"cancelnic-lwf"}"#);
        let Message::Hello { guest, version: VERSION, machine: Some(machine), boot_us: 5, .. } =
            talk.call(r#"{"do":"greet"}"#)
        else {
            panic!("no greeting");
        };
        assert_eq!(
            (guest.as_str(), machine.agent.as_str(), machine.processors),
            ("windows", AGENT_VERSION, 2)
        );
        assert_eq!(talk.answer(), Message::Done { id: 9, reply: Reply::default() });
        assert_eq!(talk.guest.closed(), 1);
    }

    #[test]
    fn every_command_that_windows_has_not_is_refused_by_name() {
        let talk = Conversation::with(Pretend::default());
        for name in ["pause", "restart", "hold", "release", "fail_allocation", "inspect", "bind", "unbind"] {
            let fields = r#""window":"any","service":"cancelnic","after":0"#;
            let answer = talk.call(&format!(r#"{{"do":"{name}",{fields}}}"#));
            let Message::Failed { id: 9, error, kind: Some(FailureKind::Unsupported) } = answer else {
                panic!("{answer:?}");
            };
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
        }
        assert!(talk.guest.done().is_empty());
    }

    #[test]
    fn a_pending_request_keeps_no_other_command_waiting() {
        let talk = Conversation::with(Pretend::default());
        talk.call(r#"{"do":"open","file":1,"device":"cancelnic-lwf"}"#);
        talk.begin(&format!(r#"{{"id":5,"command":{{"do":"control","file":1,"code":{PENDS}}}}}"#));
        talk.guest.await_pending(1);
        assert!(matches!(talk.call(r#"{"do":"report"}"#), Message::Done { .. }));
        assert!(matches!(talk.call(r#"{"do":"dumps"}"#), Message::Done { .. }));
        talk.begin(r#"{"id":6,"command":{"do":"cancel_control","request":5}}"#);
        let (one, other) = (talk.answer(), talk.answer());
        let mut answers = [io(&one), io(&other)];
        answers.sort_by_key(|(id, _)| *id);
        assert_eq!((answers[0].0, answers[0].1.status), (5, STATUS_CANCELLED));
        assert_eq!((answers[1].0, answers[1].1.information), (6, 1));
    }

    #[test]
    fn the_machine_is_changed_in_order() {
        let talk = Conversation::with(Pretend::default());
        for (id, name) in [(1, "load"), (2, "power_down"), (3, "power_up"), (4, "unload")] {
            talk.begin(&format!(r#"{{"id":{id},"command":{{"do":"{name}"}}}}"#));
        }
        for id in 1..=4 {
            assert_eq!(talk.answer(), Message::Done { id, reply: Reply::default() });
        }
        let expected = [
            "Start cancelnic-relay",
            "Start cancelnic",
            "Stop cancelnic",
            "Start cancelnic",
            "Stop cancelnic-relay",
            "Stop cancelnic",
        ];
        assert_eq!(talk.changes(), expected);
    }

    #[test]
    fn a_nic_that_runs_is_loaded_anew_once_its_parameters_are_set() {
        let talk = Conversation::with(Pretend::default());
        talk.guest.put_into_driver_key(r"Ndi\params\WatchdogMs", "type", "int");
        // as Windows does by itself
        talk.guest.change(NIC, Change::Start).unwrap();
        let done = Message::Done { id: 9, reply: Reply::default() };
        assert_eq!(talk.call(r#"{"do":"configure","parameters":{"WatchdogMs":0}}"#), done);
        assert_eq!(talk.guest.driver_key_texts(), [("WatchdogMs".to_owned(), "0".to_owned())]);
        assert_eq!(talk.changes(), ["Start cancelnic"]);
        assert_eq!(talk.call(r#"{"do":"load"}"#), done);
        assert_eq!(talk.changes()[1..], ["Stop cancelnic", "Start cancelnic-relay", "Start cancelnic"]);
        assert_eq!(talk.call(r#"{"do":"load"}"#), done);
        assert_eq!(talk.changes()[4..], ["Start cancelnic-relay", "Start cancelnic"]);
    }

    #[test]
    fn parameters_are_set_for_a_nic_that_does_not_run() {
        let talk = Conversation::with(Pretend::default());
        talk.guest.put_into_driver_key(r"Ndi\params\CancelForm", "type", "enum");
        talk.guest.put_into_driver_key(r"Ndi\params\CancelForm\enum", "1", "older");
        talk.call(r#"{"do":"configure","parameters":{"CancelForm":1}}"#);
        talk.call(r#"{"do":"load"}"#);
        assert_eq!(talk.guest.driver_key_texts(), [("CancelForm".to_owned(), "1".to_owned())]);
        assert_eq!(talk.guest.done(), ["loaded? cancelnic", "Start cancelnic-relay", "Start cancelnic"]);
    }

    #[test]
    fn refused_parameters_leave_a_running_nic_alone() {
        let talk = Conversation::with(Pretend::default());
        talk.guest.change(NIC, Change::Start).unwrap();
        let why = "the NIC's INF has no keyword \"Mutant\"".to_owned();
        let refused = talk.call(r#"{"do":"configure","parameters":{"Mutant":3}}"#);
        assert_eq!(refused, Message::failed(9, why));
        talk.call(r#"{"do":"load"}"#);
        assert_eq!(talk.changes()[1..], ["Start cancelnic-relay", "Start cancelnic"]);
    }

    #[test]
    fn the_machine_is_left_whatever_hangs() {
        for (hangs, command) in [
            ("verifier.exe", r#"{"do":"verifier","on":false}"#),
            ("Start cancelnic", r#"{"do":"load"}"#),
            ("open", r#"{"do":"report"}"#),
            ("open", r#"{"do":"send","first":1,"count":1,"len":60,"fragments":1}"#),
        ] {
            for (leave, left) in [("quit", "power off"), ("reboot", "reboot")] {
                let talk = Conversation::with(Pretend { hangs: Some(hangs), ..Pretend::default() });
                talk.begin(&format!(r#"{{"id":1,"command":{command}}}"#));
                talk.guest.await_hanging();
                talk.begin(&format!(r#"{{"id":2,"command":{{"do":"{leave}"}}}}"#));
                assert_eq!(talk.answer(), Message::Done { id: 2, reply: Reply::default() });
                talk.guest.await_done(left);
                talk.guest.let_go();
                let answer = talk.answer();
                assert!(
                    matches!(answer, Message::Done { id: 1, .. } | Message::Failed { id: 1, .. }),
                    "{answer:?}"
                );
            }
        }
    }

    #[test]
    fn the_machine_is_left_after_the_answer() {
        let talk = Conversation::with(Pretend::default());
        talk.begin(r#"{"id":1,"command":{"do":"quit"}}"#);
        assert_eq!(talk.outbox.next_within(LIMIT), Some(Message::Done { id: 1, reply: Reply::default() }));
        assert_eq!(talk.guest.done(), [""; 0], "the answer is on its way");
        talk.outbox.written();
        talk.guest.await_done("power off");
    }

    #[test]
    fn a_windows_that_lets_nobody_leave_goes_on() {
        let talk = Conversation::with(Pretend { refusal: Some("no privilege".into()), ..Pretend::default() });
        assert_eq!(talk.call(r#"{"do":"quit"}"#), Message::failed(9, "no privilege".into()));
        assert!(talk.guest.done().is_empty());
    }

    #[test]
    fn a_windows_that_stays_all_the_same_is_told() {
        let talk = Conversation::with(Pretend { stays: true, ..Pretend::default() });
        assert_eq!(talk.call(r#"{"do":"reboot"}"#), Message::Done { id: 9, reply: Reply::default() });
        assert_eq!(talk.answer(), Message::failed(0, "it stays".into()));
    }
}
