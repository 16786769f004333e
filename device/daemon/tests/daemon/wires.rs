//! Wires that lead out of the process: to QEMU, to another device, to nobody.

use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;

use serde_json::json;
use vhost::vhost_user::VhostUserFrontend;
use vm_memory::{Bytes, GuestAddress};

use crate::guest::{CANCEL, DRAIN, Guest, HEADER, RESUME, RX, STOPPED, TAKEN_BACK, TX, number_of, numbered};
use crate::process::{BOUND, Control, Daemon, until};
use crate::qemu::{Qemu, program};

/// A path that is free.
fn free(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

fn until_lost(control: &mut Control, least: u64) {
    until("frames are lost", || {
        let stats = control.call("stats", json!({}));
        (stats["counters"]["wire_lost"].as_u64().unwrap() >= least).then_some(())
    });
}

fn lost(control: &mut Control) -> u64 {
    control.call("stats", json!({}))["counters"]["wire_lost"].as_u64().unwrap()
}

/// A QEMU that passes every frame on between the device's wire and the socket that the test holds.
fn relay(program: &Path, wire: &str, qemus: &str, ours: &str) -> Qemu {
    let arguments = [
        "-M".to_owned(),
        "none".into(),
        "-netdev".into(),
        format!("stream,id=device,server=off,addr.type=unix,addr.path={wire}"),
        "-netdev".into(),
        "hubport,id=one,hubid=0,netdev=device".into(),
        "-netdev".into(),
        format!("dgram,id=test,local.type=unix,local.path={qemus},remote.type=unix,remote.path={ours}"),
        "-netdev".into(),
        "hubport,id=two,hubid=0,netdev=test".into(),
    ];
    Qemu::start(program, &arguments)
}

/// The number of the frame that comes there next.
fn next(socket: &UnixDatagram) -> u64 {
    let mut frame = [0; 2048];
    let len = socket.recv(&mut frame).unwrap();
    assert_eq!(len, 100);
    number_of(&frame[..len])
}

#[test]
fn stream_to_qemu_carries_frames_both_ways_under_cancel_and_drain_and_when_it_comes_back() {
    let Some(program) = program() else { return };
    let folder = tempfile::tempdir().unwrap();
    let [wire, qemus, ours] = ["wire", "qemu", "ours"].map(|name| free(&folder, name));
    let socket = UnixDatagram::bind(&ours).unwrap();
    socket.set_read_timeout(Some(BOUND)).unwrap();
    let daemon = Daemon::start(&["--wire", &format!("stream:{wire}"), "--fifo-depth", "4"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    let mut sent = 0;
    for life in 0..2 {
        let first = 100 * life + 1;
        let qemu = relay(&program, &wire, &qemus, &ours);
        // Whether the peer has come is seen by a frame that gets there.
        until("QEMU passes frames on", || {
            guest.transmit(first, 1);
            sent += 1;
            control.until("tx0", "sent", sent);
            guest.reap(TX);
            socket.set_nonblocking(true).unwrap();
            let came = socket.recv(&mut [0; 2048]).is_ok();
            socket.set_nonblocking(false).unwrap();
            came.then_some(())
        });
        // What is still on its way of these comes before the frames that are counted.
        let after = |expected: &[u64]| {
            let mut number = next(&socket);
            while number == first {
                number = next(&socket);
            }
            assert_eq!(number, expected[0]);
            expected[1..].iter().for_each(|expected| assert_eq!(next(&socket), *expected));
        };
        control.gate("tx0", "wire", false);
        guest.transmit(first + 1, 8);
        control.until("tx0", "fetched", 4);
        control.step("tx0", "wire", 2);
        control.until("tx0", "completed", sent + 6 * life + 2);
        guest.command(TX, CANCEL);
        assert_eq!((guest.stat(TX).state, guest.stat(TX).count), (STOPPED, 6));
        control.gate("tx0", "wire", true);
        guest.command(TX, RESUME);
        guest.transmit(first + 9, 1);
        guest.command(TX, DRAIN);
        until("drained", || (guest.stat(TX).state == STOPPED).then_some(()));
        guest.command(TX, RESUME);
        control.until("tx0", "sent", sent + 3);
        sent += 3;
        let lens = guest.lens(TX);
        assert_eq!(lens.iter().filter(|len| **len == TAKEN_BACK).count(), 6);
        after(&[first + 1, first + 2, first + 9]);

        guest.post(2);
        until("QEMU listens", || socket.send_to(&numbered(first, 60), &qemus).ok());
        control.until("rx0", "received", life + 1);
        assert_eq!(guest.lens(RX), [HEADER + 60]);
        // The next life posts its own.
        guest.command(RX, CANCEL);
        guest.reap(RX);
        guest.command(RX, RESUME);
        drop(qemu);
        let before = lost(&mut control);
        until("QEMU has gone", || {
            guest.transmit(first, 1);
            sent += 1;
            control.until("tx0", "sent", sent);
            guest.reap(TX);
            (lost(&mut control) > before).then_some(())
        });
        std::fs::remove_file(&qemus).unwrap();
    }
}

#[test]
fn two_devices_on_one_stream_are_wired_to_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let wire = format!("stream:{}", free(&folder, "wire"));
    let one = Daemon::start(&["--wire", &wire]);
    let mut other = Daemon::start(&["--wire", &wire]);
    let (mut left, mut right) = (Guest::start(&one.socket()), Guest::start(&other.socket()));
    left.post(16);
    right.post(16);
    left.transmit(1, 10);
    other.control().until("rx0", "received", 10);
    right.transmit(11, 10);
    one.control().until("rx0", "received", 10);
    let mut frame = [0; 100];
    for (guest, first) in [(&left, 11), (&right, 1)] {
        guest.memory.read_slice(&mut frame, GuestAddress(0x80100)).unwrap();
        assert_eq!(number_of(&frame), first);
    }
    // The one that had connected goes: the other loses frames, and nothing else.
    drop(right);
    assert!(other.wait().0.success());
    left.transmit(21, 5);
    one.control().until("tx0", "sent", 15);
    until_lost(&mut one.control(), 5);
    let other = Daemon::start(&["--wire", &wire]);
    let mut right = Guest::start(&other.socket());
    right.post(16);
    right.transmit(31, 2);
    one.control().until("rx0", "received", 12);
    left.transmit(41, 3);
    other.control().until("rx0", "received", 3);
}

#[test]
fn two_devices_on_datagrams_lose_frames_while_one_is_away_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b] = ["a", "b"].map(|name| free(&folder, name));
    let one = Daemon::start(&["--wire", &format!("dgram:{a},{b}")]);
    let mut left = Guest::start(&one.socket());
    let mut control = one.control();
    for life in 1..=2 {
        left.transmit(1, 4);
        until_lost(&mut control, 4 * life);
        let mut other = Daemon::start(&["--wire", &format!("dgram:{b},{a}")]);
        let mut right = Guest::start(&other.socket());
        right.post(16);
        left.transmit(10, 12);
        other.control().until("rx0", "received", 12);
        left.post(4);
        right.transmit(20, 4);
        control.until("rx0", "received", 4 * life);
        assert_eq!(lost(&mut control), 4 * life);
        left.reap(TX);
        left.reap(RX);
        drop(right);
        assert!(other.wait().0.success());
        assert!(!Path::new(&b).exists(), "its place has gone with it");
    }
}

#[test]
fn link_that_is_down_loses_the_frames_of_a_wire_that_leads_out() {
    let folder = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| free(&folder, name));
    let peer = UnixDatagram::bind(&theirs).unwrap();
    peer.set_read_timeout(Some(BOUND)).unwrap();
    let daemon = Daemon::start(&["--wire", &format!("dgram:{ours},{theirs}")]);
    let mut control = daemon.control();
    control.call("link.set", json!({ "up": false }));
    let mut guest = Guest::start(&daemon.socket());
    let (_ours, channel) = UnixStream::pair().unwrap();
    guest.frontend.set_backend_request_fd(&channel).unwrap();
    guest.read_config();
    guest.post(4);
    guest.transmit(1, 3);
    peer.send_to(&numbered(7, 60), &ours).unwrap();
    until_lost(&mut control, 4);
    control.until("tx0", "sent", 3);
    control.call("link.set", json!({ "up": true }));
    guest.transmit(4, 1);
    assert_eq!(next(&peer), 4);
    peer.send_to(&numbered(8, 60), &ours).unwrap();
    control.until("rx0", "received", 1);
    for len in [13, 1519, 9000] {
        peer.send_to(&vec![0; len], &ours).unwrap();
    }
    until_lost(&mut control, 7);
    assert_eq!((control.queue("rx0")["received"].as_u64(), lost(&mut control)), (Some(1), 7));
}

/// It reads nothing, then sends what no frame is, and a second one waits in the meantime.
#[test]
fn peer_that_keeps_no_rule_costs_frames_and_gives_way_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let wire = free(&folder, "wire");
    let daemon = Daemon::start(&["--wire", &format!("stream:{wire}")]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    let mut deaf = UnixStream::connect(&wire).unwrap();
    let (mut sent, mut rounds) = (0, 0);
    until("the wire is full", || {
        for _ in 0..32 {
            guest.publish(TX, &[(0x10000, HEADER + 1500, false)]);
        }
        guest.kick(TX);
        sent += 32;
        rounds += 1;
        control.until("tx0", "sent", sent);
        guest.reap(TX);
        (lost(&mut control) > 0 && rounds > 10).then_some(())
    });
    let mut second = UnixStream::connect(&wire).unwrap();
    second.set_read_timeout(Some(BOUND)).unwrap();
    deaf.write_all(&u32::MAX.to_be_bytes()).unwrap();
    guest.post(1);
    second.write_all(&[&60u32.to_be_bytes()[..], &numbered(5, 60)].concat()).unwrap();
    control.until("rx0", "received", 1);
    // What waited for the first one may have been lost before the second one was there.
    guest.publish(TX, &[(0x10000, HEADER + 1500, false)]);
    guest.kick(TX);
    let mut len = [0; 4];
    second.read_exact(&mut len).unwrap();
    assert_eq!(u32::from_be_bytes(len), 1500);
}

#[test]
fn recording_is_replayed_once_there_is_a_driver() {
    let first = Daemon::start(&[]);
    let mut guest = Guest::start(&first.socket());
    let mut control = first.control();
    guest.transmit(1, 5);
    control.until("tx0", "sent", 5);
    control.gate("tx0", "wire", false);
    guest.transmit(6, 3);
    control.until("tx0", "fetched", 3);
    guest.command(TX, CANCEL);
    let recording = first.path("wire.pcapng");
    let daemon = Daemon::start(&["--wire", &format!("replay:{}", recording.display())]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    guest.post(16);
    // Those that were taken back were never on the wire.
    control.until("rx0", "received", 5);
    assert_eq!(crate::cancel::captured(&daemon, 1), [1, 2, 3, 4, 5]);
    guest.transmit(1, 1);
    control.until("tx0", "sent", 1);
    assert_eq!(lost(&mut control), 0);
}

#[test]
fn wire_that_cannot_be_had_is_exit_code_3() {
    let folder = tempfile::tempdir().unwrap();
    let busy = free(&folder, "busy");
    let _datagrams = UnixDatagram::bind(&busy).unwrap();
    let text = free(&folder, "text");
    std::fs::write(&text, "no recording").unwrap();
    for (wire, part) in [
        (format!("dgram:{busy},there"), "another process is using this socket"),
        ("stream:/nonexistent/s".to_owned(), "cannot listen here"),
        (format!("replay:{text}"), "cannot be replayed"),
        ("replay:/nonexistent/f".to_owned(), "cannot be replayed"),
    ] {
        let mut command = crate::process::command();
        let output = command.arg("--socket-path").arg(free(&folder, "s")).args(["--wire", &wire]).output();
        let output = output.unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), err.lines().count()), (Some(3), 1), "{wire}: {err}");
        assert!(err.contains(part), "{wire}: {err}");
    }
}

/// Whether this user may make network interfaces (CAP_NET_ADMIN).
fn may_make_interfaces() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let caps = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let may = u64::from_str_radix(caps.trim(), 16).unwrap() & 1 << 12 != 0;
    may && Path::new("/dev/net/tun").exists()
}

#[test]
fn tap_carries_frames_to_the_host() {
    if !may_make_interfaces() {
        return eprintln!("not looked at: no interface can be made here");
    }
    let name = format!("cnic{}", std::process::id() % 100_000);
    let daemon = Daemon::start(&["--wire", &format!("tap:{name}")]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    guest.transmit(1, 3);
    // An interface that is down takes nothing.
    until_lost(&mut control, 3);
    let up = std::process::Command::new("ip").args(["link", "set", &name, "up"]).status();
    if up.is_ok_and(|up| up.success()) {
        guest.transmit(4, 3);
        let counted = format!("/sys/class/net/{name}/statistics/rx_packets");
        until("the host has them", || {
            std::fs::read_to_string(&counted).unwrap().trim().parse().ok().filter(|count: &u64| *count >= 3)
        });
    }
}
