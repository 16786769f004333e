//! Receive and its cancel.

use serde_json::json;
use vm_memory::{Bytes, GuestAddress};

use crate::cancel::captured;
use crate::guest::{CANCEL, CANCELLING, Guest, HEADER, RESUME, RX, STOPPED, TX, number_of, numbered};
use crate::process::{Daemon, until};

#[test]
fn loopback_brings_every_frame_back() {
    let daemon = Daemon::start(&["--wire", "loopback"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    guest.post(16);
    control.until("rx0", "posted", 16);
    guest.transmit(1, 10);
    control.until("rx0", "received", 10);
    guest.interrupt(RX);
    assert_eq!(guest.lens(RX), [HEADER + 100; 10]);
    let mut frame = [0; 100];
    guest.memory.read_slice(&mut frame, GuestAddress(0x80100)).unwrap();
    assert_eq!(number_of(&frame), 1);
    assert_eq!(captured(&daemon, 1), (1..=10).collect::<Vec<_>>());
    assert_eq!(captured(&daemon, 2), (1..=10).collect::<Vec<_>>());
}

#[test]
fn injected_frames_wait_for_buffers_and_carry_their_numbers() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.call("rx.inject", json!({ "queue": "rx0", "first": 40, "count": 3, "len": 1514 }));
    assert_eq!(control.queue("rx0")["pending"], 3);
    guest.post(2);
    control.until("rx0", "received", 2);
    assert_eq!(control.queue("rx0")["pending"], 1);
    guest.post(1);
    control.until("rx0", "received", 3);
    assert_eq!(guest.lens(RX), [HEADER + 1514; 3]);
    let mut header = [0xff; 12];
    guest.memory.read_slice(&mut header, GuestAddress(0x80000)).unwrap();
    assert_eq!(header, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0], "num_buffers is 1");
    assert_eq!(captured(&daemon, 1), [40, 41, 42]);
}

/// An MTU of 2000, an Ethernet header of 14 bytes and an 802.1Q tag of 4.
#[test]
fn injected_frames_are_as_long_as_a_tagged_frame_of_the_mtu() {
    const LONGEST: usize = 2000 + 18;
    let daemon = Daemon::start(&["--mtu", "2000"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    for slot in 0..3 {
        let buffer = 0x80000 + 0x1000 * slot;
        guest.publish(RX, &[(buffer, HEADER, true), (buffer + 0x100, LONGEST as u32, true)]);
    }
    guest.kick(RX);
    control.call("rx.inject", json!({ "queue": "rx0", "first": 1, "count": 1, "len": LONGEST }));
    for len in [14, LONGEST] {
        control.call("rx.inject_frame", json!({ "queue": "rx0", "frame": "5a".repeat(len) }));
    }
    control.until("rx0", "received", 3);
    assert_eq!(guest.lens(RX), [HEADER + LONGEST as u32, HEADER + 14, HEADER + LONGEST as u32]);
    for (method, params, part) in [
        (
            "rx.inject",
            json!({ "queue": "rx0", "first": 1, "count": 1, "len": LONGEST + 1 }),
            "`len` must be a whole number from 60 to 2018",
        ),
        (
            "rx.inject_frame",
            json!({ "queue": "rx0", "frame": "5a".repeat(LONGEST + 1) }),
            "`frame` must be 14 to 2018 bytes (MTU + 18)",
        ),
        (
            "rx.inject_frame",
            json!({ "queue": "rx0", "frame": "5a".repeat(13) }),
            "`frame` must be 14 to 2018 bytes (MTU + 18)",
        ),
    ] {
        let answer = control.try_call(method, params);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(part), "{answer}");
    }
}

#[test]
fn injected_bytes_arrive_as_they_are() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    let frame = numbered(77, 64);
    let hex: String = frame.iter().map(|byte| format!("{byte:02x}")).collect();
    guest.post(1);
    control.call("rx.inject_frame", json!({ "queue": "rx0", "frame": hex }));
    control.until("rx0", "received", 1);
    let mut got = [0; 64];
    guest.memory.read_slice(&mut got, GuestAddress(0x80100)).unwrap();
    assert_eq!(got[..], frame);
}

#[test]
fn receive_cancel_gives_every_posted_buffer_back_empty() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.post(20);
    daemon.control().until("rx0", "posted", 20);
    guest.command(RX, CANCEL);
    let stat = guest.stat(RX);
    assert_eq!((stat.state, stat.result, stat.count), (STOPPED, 0, 20));
    assert_eq!(guest.lens(RX), [0; 20]);
    guest.interrupt(RX);
}

#[test]
fn receive_cancel_waits_for_the_half_written_frame() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.gate("rx0", "rx-write", false);
    guest.post(4);
    control.until("rx0", "posted", 4);
    control.call("rx.inject", json!({ "queue": "rx0", "first": 9, "count": 2, "len": 200 }));
    control.until("rx0", "writing", 1);
    guest.command(RX, CANCEL);
    assert_eq!(guest.stat(RX).state, CANCELLING);
    assert!(guest.lens(RX).is_empty());
    control.gate("rx0", "rx-write", true);
    let stat = until("STOPPED", || Some(guest.stat(RX)).filter(|stat| stat.state == STOPPED));
    assert_eq!(stat.count, 3);
    assert_eq!(guest.lens(RX), [HEADER + 200, 0, 0, 0]);
    assert_eq!(captured(&daemon, 1), [9]);
}

#[test]
fn receive_goes_on_after_resume() {
    let daemon = Daemon::start(&["--wire", "loopback"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    guest.command(RX, CANCEL);
    guest.post(4);
    guest.command(RX, RESUME);
    control.until("rx0", "posted", 4);
    guest.transmit(1, 4);
    control.until("rx0", "received", 4);
    control.until("tx0", "completed", 4);
    assert_eq!((guest.lens(RX).len(), guest.lens(TX).len()), (4, 4));
}
