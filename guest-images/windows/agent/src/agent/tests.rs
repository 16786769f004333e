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
    for line in ["{", "hello", "[]", r#"{"id":1}"#, r#"{"id":1,"command":{"do":"dance"}}"#, "\u{1}\u{2}"] {
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
    assert_eq!((guest.as_str(), machine.agent.as_str(), machine.processors), ("windows", AGENT_VERSION, 2));
    assert_eq!(talk.answer(), Message::Done { id: 9, reply: Reply::default() });
    assert_eq!(talk.guest.closed(), 1);
}

#[test]
fn a_rig_that_takes_over_has_all_numbers_for_itself() {
    let talk = Conversation::with(Pretend::default());
    let pends = format!(r#"{{"id":5,"command":{{"do":"control","file":1,"code":{PENDS}}}}}"#);
    let open = r#"{"do":"open","file":1,"device":"cancelnic-lwf"}"#;
    talk.call(open);
    talk.begin(&pends);
    talk.guest.await_done("pends on 1");
    assert!(matches!(talk.call(r#"{"do":"greet"}"#), Message::Hello { .. }));
    assert!(matches!(talk.answer(), Message::Done { id: 9, .. }));
    assert!(matches!(talk.call(open), Message::Done { id: 9, .. }));
    talk.begin(&pends);
    talk.guest.await_done("pends on 2");
    let answers = [talk.call(r#"{"do":"close","file":1}"#), talk.answer()];
    let mut ids = answers.map(|answer| io(&answer).0);
    ids.sort_unstable();
    assert_eq!(ids, [5, 9]);
    assert_eq!(talk.outbox.next_within(Duration::ZERO), None);
}

#[test]
fn a_rig_that_takes_over_has_sent_nothing_yet() {
    let talk = Conversation::with(Pretend::default());
    talk.call(r#"{"do":"send","first":1,"count":1,"len":60,"fragments":1,"cancel_id":7}"#);
    let cancel = r#"{"do":"cancel_send","cancel_id":7}"#;
    assert!(matches!(talk.call(cancel), Message::Done { .. }));
    talk.call(r#"{"do":"greet"}"#);
    talk.answer();
    assert!(matches!(talk.call(cancel), Message::Failed { kind: Some(FailureKind::Unsupported), .. }));
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
    talk.guest.await_done("pends on 1");
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
