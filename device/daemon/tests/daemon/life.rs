//! The process: command line, sockets, signals, exit codes, control socket, capture, sandbox.

use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::Signal;
use serde_json::{Value, json};

use vhost::VhostBackend;
use vhost::vhost_user::VhostUserFrontend;

use crate::guest::{Guest, TX};
use crate::process::{BOUND, Control, Daemon, command, until};

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let output = command().args(args).output().unwrap();
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

#[test]
fn bad_command_line_gives_one_line_and_exit_code_2() {
    for args in [&["--queue-size", "5", "--socket-path", "s"][..], &["--socket-path"], &["--bogus"], &[]] {
        let (code, out, err) = run(args);
        assert_eq!(code, Some(2), "{args:?}: {err}");
        assert_eq!((out.as_str(), err.lines().count()), ("", 1), "{args:?}: {err}");
    }
}

#[test]
fn print_capabilities_is_json_and_exit_code_0() {
    let (code, out, err) = run(&["--print-capabilities"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(serde_json::from_str::<Value>(&out).unwrap()["type"], "net");
}

#[test]
fn greeting_names_the_socket_once_both_accept() {
    let daemon = Daemon::start(&[]);
    assert_eq!(daemon.greeting, format!("listening {}", daemon.socket().display()));
    UnixStream::connect(daemon.path("control")).unwrap();
}

#[test]
fn sockets_are_private_to_the_user() {
    let daemon = Daemon::start(&[]);
    for name in ["vhost", "control"] {
        let found = fs::metadata(daemon.path(name)).unwrap();
        assert!(found.file_type().is_socket());
        assert_eq!(found.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn busy_socket_is_one_line_and_exit_code_3_and_the_owner_goes_on() {
    let mut daemon = Daemon::start(&[]);
    let (vhost, control) = (daemon.socket(), daemon.path("control"));
    let other = daemon.path("other");
    for args in [
        &["--socket-path", vhost.to_str().unwrap()][..],
        &["--socket-path", other.to_str().unwrap(), "--control", control.to_str().unwrap()],
    ] {
        let (code, out, err) = run(args);
        assert_eq!((code, out.as_str(), err.lines().count()), (Some(3), "", 1), "{err}");
        assert!(err.contains("another process"), "{err}");
    }
    assert!(daemon.alive() && !other.exists());
    Guest::connect(&vhost);
}

#[test]
fn stale_socket_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vhost");
    drop(UnixListener::bind(&path).unwrap());
    let mut command = command();
    command.arg("--socket-path").arg(&path);
    let daemon = Daemon::spawn(command, dir);
    Guest::connect(&daemon.socket());
}

#[test]
fn capture_that_cannot_be_made_is_exit_code_3() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    rustix::fs::mknodat(rustix::fs::CWD, path("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let _living = UnixListener::bind(path("living")).unwrap();
    for capture in
        ["/nonexistent/folder/c.pcapng", "/dev/full", "/dev/null", &path(""), &path("fifo"), &path("living")]
    {
        let (code, _, err) = run(&["--socket-path", &path("s"), "--capture", capture]);
        assert_eq!((code, err.lines().count()), (Some(3), 1), "{err}");
        assert!(err.contains(capture) && !dir.path().join("s").exists(), "{err}");
    }
}

#[test]
fn capture_that_may_not_grow_loses_frames_and_keeps_whole_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command();
    command.arg("--socket-path").arg(dir.path().join("vhost"));
    command.arg("--control").arg(dir.path().join("control"));
    command.arg("--capture").arg(dir.path().join("wire.pcapng"));
    let limit = rustix::process::Rlimit { current: Some(1000), maximum: Some(1000) };
    // SAFETY: setrlimit is async-signal-safe.
    unsafe {
        command.pre_exec(move || Ok(rustix::process::setrlimit(rustix::process::Resource::Fsize, limit)?))
    };
    let daemon = Daemon::spawn(command, dir);
    let mut guest = Guest::start(&daemon.socket());
    guest.transmit(1, 20);
    daemon.control().until("tx0", "sent", 20);
    let lost = daemon.control().call("stats", json!({}))["counters"]["capture_lost"].as_u64().unwrap();
    assert!((1..20).contains(&lost), "{lost}");
    assert_eq!(crate::cancel::captured(&daemon, 2), (1..=20 - lost).collect::<Vec<_>>());
}

#[test]
fn path_that_two_options_name_is_a_usage_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s").to_str().unwrap().to_owned();
    for option in ["--control", "--capture"] {
        let (code, _, err) = run(&["--socket-path", &path, option, &path]);
        assert_eq!((code, err.lines().count()), (Some(2), 1), "{err}");
    }
}

#[test]
fn socket_in_a_folder_that_is_closed_to_us_is_exit_code_3() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("program");
    fs::copy(command().get_program(), &program).unwrap();
    let closed = dir.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    command.arg("--socket-path").arg(closed.join("s"));
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let output = until("the program can be run", || command.output().ok());
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), err.lines().count()), (Some(3), 1), "{err}");
    assert!(err.contains("Permission denied"), "{err}");
}

#[test]
fn complaint_is_one_line_whatever_the_path_holds() {
    let (code, _, err) = run(&["--socket-path", "/nonexistent/a\nb\x1b[2J"]);
    assert_eq!((code, err.lines().count()), (Some(3), 1), "{err}");
    assert!(!err.contains('\x1b') && err.matches("No such file").count() == 1, "{err}");
}

#[test]
fn complaint_that_cannot_be_written_leaves_the_exit_code() {
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    for (args, code) in [(&["--bogus"][..], 2), (&["--socket-path", "/nonexistent/s"], 3)] {
        assert_eq!(command().args(args).stderr(full()).status().unwrap().code(), Some(code));
    }
}

#[test]
fn log_that_cannot_be_written_does_not_stop_the_device() {
    let dir = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = command();
    command
        .arg("--socket-path")
        .arg(dir.path().join("vhost"))
        .stderr(writer)
        .stdout(std::process::Stdio::null());
    let mut child = command.spawn().unwrap();
    until("the socket is there", || UnixStream::connect(dir.path().join("vhost")).ok().map(drop));
    assert_eq!(until("it ends", || child.try_wait().unwrap()).code(), Some(0));
}

#[test]
fn control_before_the_front_end_does_not_spoil_its_memory() {
    let daemon = Daemon::start(&[]);
    let mut control = daemon.control();
    control.call("stats", json!({}));
    control.gate("tx0", "fetch", true);
    let mut guest = Guest::start(&daemon.socket());
    guest.transmit(1, 2);
    control.until("tx0", "sent", 2);
    assert_eq!(guest.lens(TX), [0; 2]);
}

#[test]
fn inherited_descriptor_that_is_no_listener_is_exit_code_3() {
    let (code, _, err) = run(&["--fd", "77"]);
    assert_eq!((code, err.lines().count()), (Some(3), 1), "{err}");
    assert!(err.contains("--fd 77"), "{err}");
}

#[test]
fn inherited_listening_socket_is_served() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("vhost")).unwrap();
    let inherited = rustix::io::fcntl_dupfd_cloexec(&listener, 100).unwrap();
    rustix::io::fcntl_setfd(&inherited, rustix::io::FdFlags::empty()).unwrap();
    let mut command = command();
    command.arg("--fd").arg(std::os::fd::AsRawFd::as_raw_fd(&inherited).to_string());
    let daemon = Daemon::spawn(command, dir);
    Guest::connect(&daemon.socket());
}

#[test]
fn signals_end_cleanly_and_remove_the_sockets() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Daemon::start(&[]);
        let _guest = Guest::start(&daemon.socket());
        daemon.signal(signal);
        let (status, log) = daemon.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!daemon.socket().exists() && !daemon.path("control").exists());
    }
}

#[test]
fn signal_before_any_front_end_ends_cleanly() {
    let mut daemon = Daemon::start(&[]);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait().0.code(), Some(0));
    assert!(!daemon.socket().exists());
}

#[test]
fn quit_is_answered_and_ends_the_process() {
    let mut daemon = Daemon::start(&[]);
    daemon.control().call("quit", json!({}));
    assert_eq!(daemon.wait().0.code(), Some(0));
    assert!(!daemon.socket().exists() && !daemon.path("control").exists());
}

#[test]
fn front_end_that_leaves_ends_the_process_with_exit_code_0() {
    let mut daemon = Daemon::start(&[]);
    drop(Guest::start(&daemon.socket()));
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

#[test]
fn killed_device_leaves_a_readable_capture_of_all_that_was_sent() {
    let mut daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.transmit(1, 20);
    daemon.control().until("tx0", "completed", 20);
    daemon.signal(Signal::KILL);
    daemon.wait();
    assert_eq!(crate::cancel::captured(&daemon, 2), (1..=20).collect::<Vec<_>>());
    assert_eq!(guest.lens(TX), [0; 20]);
}

#[test]
fn device_may_have_as_many_descriptors_as_its_user_may_grant() {
    let daemon = Daemon::start(&[]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[0], words[1], "{line}");
}

#[test]
fn running_device_is_sandboxed() {
    let daemon = Daemon::start(&[]);
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        line.split_whitespace().nth(1).map(str::to_owned)
    };
    assert_eq!(field("NoNewPrivs:").as_deref(), Some("1"));
    assert_eq!(field("Seccomp:").as_deref(), Some("2"));
}

#[test]
fn control_answers_nonsense_with_errors_and_goes_on() {
    let daemon = Daemon::start(&[]);
    let mut control = daemon.control();
    control.send(b"\xff\xfe not json\n[]\n{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"no.such\"}\n");
    assert_eq!(control.answer()["error"]["code"], -32700);
    assert_eq!(control.answer()["error"]["code"], -32600);
    let answer = control.answer();
    assert_eq!((&answer["id"], &answer["error"]["code"]), (&json!(7), &json!(-32601)));
    control.send(&vec![b'x'; 1 << 20]);
    control.send(b"\n");
    assert_eq!(control.answer()["error"]["code"], -32600);
    assert_eq!(control.call("stats", json!({}))["connected"], false);
}

/// Many more lines than the pipe holds: the control thread goes on, a queue stops, and the process ends when it is asked to.
#[test]
fn stderr_that_nobody_reads_holds_up_nothing() {
    let mut daemon = Daemon::start(&[]);
    daemon.shrink_stderr();
    let guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    for _ in 0..40 {
        control.call("trace.mark", json!({ "text": "x".repeat(1000) }));
    }
    until("the log hangs", || daemon.thread_writes("log").then_some(()));
    guest.frontend.get_vring_base(TX).unwrap();
    assert_eq!(control.call("stats", json!({}))["connected"], true);
    daemon.signal(rustix::process::Signal::TERM);
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!daemon.socket().exists());
}

#[test]
fn control_errors_name_the_bad_field() {
    let daemon = Daemon::start(&["--clock", "real"]);
    let mut control = daemon.control();
    for (method, params, part) in [
        ("queue.get", json!({}), "`queue`"),
        ("queue.get", json!({"queue": "tx9"}), "`queue`"),
        ("queue.get", json!({"queue": 1}), "`queue`"),
        ("queue.get", json!({"queue": "tx0", "more": 1}), "`more`"),
        ("gate.set", json!({"queue": "tx0", "gate": "rx-write", "open": true}), "`gate`"),
        ("gate.set", json!({"queue": "tx0", "gate": "wire", "open": "yes"}), "`open`"),
        ("gate.step", json!({"queue": "tx0", "gate": "wire", "count": -1}), "`count`"),
        ("rx.inject", json!({"queue": "tx0", "first": 0, "count": 1, "len": 60}), "`queue`"),
        ("rx.inject", json!({"queue": "rx0", "first": 0, "count": 1, "len": 20}), "`len`"),
        ("rx.inject_frame", json!({"queue": "rx0", "frame": "zz"}), "`frame`"),
        ("rx.inject", json!({"queue": "rx0", "first": 0, "count": 1, "len": 60, "to": "0a0b"}), "`to`"),
        ("clock.advance", json!({"us": 5}), "--clock manual"),
        ("link.set", json!({"up": "down"}), "`up`"),
        ("link.get", json!({}), "no such method"),
        ("stats", json!([1]), "`params`"),
    ] {
        let answer = control.try_call(method, params.clone());
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{method} {params}: {answer}");
    }
}

#[test]
fn many_control_clients_are_served_at_once() {
    let daemon = Daemon::start(&[]);
    let mut clients: Vec<Control> = (0..20).map(|_| daemon.control()).collect();
    for client in &mut clients {
        client.gate("tx0", "wire", false);
    }
    assert_eq!(clients[19].queue("tx0")["gates"]["wire"]["open"], false);
}

#[test]
fn control_clients_come_and_go_without_leaving_threads() {
    let daemon = Daemon::start(&[]);
    for _ in 0..200 {
        until("a client is admitted", || {
            let mut control = daemon.control();
            control.try_call_unless_full("stats")
        });
    }
}

#[test]
fn device_works_for_an_ordinary_user() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    // Where the build lives may be closed to others.
    let program = dir.path().join("program");
    fs::copy(command().get_program(), &program).unwrap();
    let mut command = Command::new(program);
    command.arg("--socket-path").arg(dir.path().join("vhost"));
    command.arg("--control").arg(dir.path().join("control"));
    command.arg("--capture").arg(dir.path().join("wire.pcapng"));
    if rustix::process::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    let mut daemon = Daemon::spawn(command, dir);
    let mut guest = Guest::start(&daemon.socket());
    guest.transmit(1, 2);
    daemon.control().until("tx0", "completed", 2);
    daemon.control().call("quit", json!({}));
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!daemon.socket().exists() && !daemon.path("control").exists(), "{log}");
    assert_eq!(crate::cancel::captured(&daemon, 2), [1, 2]);
}

/// The message that the front end gets when the configuration has changed, if it gets one: request 2, version 1, no payload.
fn config_change(channel: &mut UnixStream) -> [u8; 12] {
    let mut message = [0; 12];
    channel.set_read_timeout(Some(BOUND)).unwrap();
    channel.read_exact(&mut message).unwrap();
    message
}

#[test]
fn a_link_that_goes_down_shows_in_status_and_interrupts_once() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut others: Vec<_> = (0..4).map(|_| daemon.control()).collect();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    guest.frontend.set_backend_request_fd(&theirs).unwrap();
    drop(theirs);
    let mut control = daemon.control();
    for up in [true, false, false, true] {
        assert_eq!(control.call("link.set", json!({ "up": up })), json!({ "up": up }));
        assert_eq!(guest.read_config()[6..8], [u8::from(up), 0]);
    }
    for _ in 0..2 {
        assert_eq!(config_change(&mut ours), [2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    }
    ours.set_nonblocking(true).unwrap();
    assert_eq!(ours.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "no third change");
    for other in &mut others {
        other.call("stats", json!({}));
    }
}

#[test]
fn the_link_stays_as_it_is_where_the_front_end_would_not_learn_of_it() {
    let daemon = Daemon::start(&[]);
    let mut control = daemon.control();
    control.call("link.set", json!({ "up": false }));
    let mut guest = Guest::start(&daemon.socket());
    assert_eq!(guest.read_config()[6..8], [0, 0], "set before a front end was there");
    let answer = control.try_call("link.set", json!({ "up": true }));
    assert!(answer["error"]["message"].as_str().unwrap().contains("BACKEND_REQ"), "{answer}");
    assert_eq!(guest.read_config()[6..8], [0, 0]);
}

#[test]
fn a_front_end_that_has_closed_its_channel_is_named_and_the_device_goes_on() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let (ours, theirs) = UnixStream::pair().unwrap();
    guest.frontend.set_backend_request_fd(&theirs).unwrap();
    drop((ours, theirs));
    let mut control = daemon.control();
    // the request is handled when the next one, which is answered, is
    guest.read_config();
    let answer = control.try_call("link.set", json!({ "up": false }));
    assert!(answer["error"]["message"].as_str().unwrap().contains("does not read"), "{answer}");
    guest.transmit(1, 1);
    control.until("tx0", "completed", 1);
}
