use super::*;
use alloc::format;
use alloc::vec;

#[test]
fn ids_that_follow_on_join_one_run() {
    let ids: Ids = [1, 2, 3, 7, 8, 2].into_iter().collect();
    assert_eq!(ids, Ids(vec![(1, 3), (7, 8), (2, 2)]));
    assert_eq!(ids.len(), 6);
    assert!(ids.iter().eq([1, 2, 3, 7, 8, 2]));
}

#[test]
fn a_request_reads_as_one_short_line() {
    let request = Request {
        id: 7,
        command: Command::Send { first: 1, count: 64, len: 60, fragments: 1, cancel_id: 0 },
    };
    let line = serde_json::to_string(&request).unwrap();
    assert_eq!(line, r#"{"id":7,"command":{"do":"send","first":1,"count":64,"len":60,"fragments":1}}"#);
    assert_eq!(serde_json::from_str::<Request>(&line).unwrap(), request);
}

#[test]
fn pause_cancels_once_unless_told_otherwise() {
    let command: Command = serde_json::from_str(r#"{"do":"pause"}"#).unwrap();
    assert_eq!(command, Command::Pause { cancels: 1 });
}

#[test]
fn what_a_guest_like_windows_adds_is_left_out_where_it_is_not_said() {
    let line = r#"{"say":"hello","version":1,"guest":"understudy","drivers":[],"boot_us":5}"#;
    let hello: Message = serde_json::from_str(line).unwrap();
    assert_eq!(serde_json::to_string(&hello).unwrap(), line);
    let done = Message::Done { id: 3, reply: Reply::default() };
    assert_eq!(serde_json::to_string(&done).unwrap(), r#"{"say":"done","id":3,"queues":[]}"#);
    let failed = Message::failed(3, "no".into());
    assert_eq!(serde_json::to_string(&failed).unwrap(), r#"{"say":"failed","id":3,"error":"no"}"#);
}

#[test]
fn a_window_is_named_alone_or_for_one_service() {
    for window in ["wdf.mark.entered", "wdf.mark.entered@cancelnic"] {
        let line = format!(r#"{{"id":7,"command":{{"do":"hold","window":"{window}"}}}}"#);
        let request: Request = serde_json::from_str(&line).unwrap();
        assert_eq!(request.command, Command::Hold { window: window.into() });
    }
}

#[test]
fn a_refusal_is_told_from_a_failure() {
    let line = serde_json::to_string(&Message::unsupported(4, "no windows here".into())).unwrap();
    assert_eq!(line, r#"{"say":"failed","id":4,"error":"no windows here","kind":"unsupported"}"#);
    let line = serde_json::to_string(&Message::not_loadable(4, "no such import".into())).unwrap();
    assert_eq!(line, r#"{"say":"failed","id":4,"error":"no such import","kind":"not_loadable"}"#);
    assert_eq!(
        serde_json::from_str::<Message>(&line).unwrap(),
        Message::not_loadable(4, "no such import".into())
    );
}

#[test]
fn a_greeting_may_tell_of_the_machine() {
    let machine = Machine {
        agent: "0.1.0".into(),
        system: "10.0.26100.1742".into(),
        processors: 2,
        memory_mb: 4096,
        started_unix: 1_795_262_400,
    };
    let hello = Message::Hello {
        version: VERSION,
        guest: "windows".into(),
        drivers: vec![],
        boot_us: 1,
        machine: Some(machine),
    };
    let line = serde_json::to_string(&hello).unwrap();
    assert!(line.ends_with(r#""machine":{"agent":"0.1.0","system":"10.0.26100.1742","processors":2,"memory_mb":4096,"started_unix":1795262400}}"#), "{line}");
    assert_eq!(serde_json::from_str::<Message>(&line).unwrap(), hello);
}

#[test]
fn what_can_be_left_out_of_a_command_is() {
    let short = |line: &str, command: Command| {
        assert_eq!(serde_json::to_string(&command).unwrap(), line);
        assert_eq!(serde_json::from_str::<Command>(line).unwrap(), command);
    };
    short(r#"{"do":"verifier","on":false}"#, Command::Verifier { on: false, drivers: vec![], flags: None });
    short(r#"{"do":"greet"}"#, Command::Greet);
    short(r#"{"do":"reboot"}"#, Command::Reboot);
    short(r#"{"do":"dumps"}"#, Command::Dumps);
    short(r#"{"do":"logs","log":"System","most":9}"#, Command::Logs { log: "System".into(), most: 9 });
    short(
        r#"{"do":"copy_dump","file":"MEMORY.DMP","offset":1048576,"len":4096}"#,
        Command::CopyDump { file: "MEMORY.DMP".into(), offset: 1 << 20, len: 4096 },
    );
}

#[test]
fn the_largest_chunk_fits_into_a_line() {
    let chunk = Chunk {
        data: "A".repeat((MOST_CHUNK as usize).div_ceil(3) * 4),
        total: u64::MAX,
        sha256: Some("0".repeat(64)),
    };
    let reply = Reply { chunk: Some(chunk), ..Reply::default() };
    let line = serde_json::to_string(&Message::Done { id: u32::MAX, reply }).unwrap();
    assert!(line.len() < MAX_LINE, "{} bytes", line.len());
}
