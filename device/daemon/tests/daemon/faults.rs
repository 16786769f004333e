//! Hardware that goes wrong because it was asked to: each fault shows as the document says, is told, and ends.

use std::io::{ErrorKind, Read};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};
use vhost::vhost_user::VhostUserFrontend;

use crate::guest::{CANCEL, CANCELLING, Guest, RESUME, RUNNING, RX, SIZE, STOPPED, TAKEN_BACK, TX, TX_CMD};
use crate::process::{BOUND, Control, Daemon, until};

fn arm(control: &mut Control, fault: &str, queue: &str, count: u64) {
    let armed = control.call("fault.arm", json!({ "fault": fault, "queue": queue, "count": count }));
    let expected = json!({ "fault": fault, "queue": queue, "left": count, "happened": 0 });
    assert_eq!(armed["faults"], json!([expected]));
}

/// How often the one fault that was armed is still to happen, and has happened.
fn told(control: &mut Control) -> (u64, u64) {
    let stats = control.call("stats", json!({}));
    let [fault] = &stats["faults"].as_array().unwrap()[..] else { panic!("{stats}") };
    (fault["left"].as_u64().unwrap(), fault["happened"].as_u64().unwrap())
}

#[test]
fn cancel_that_is_stuck_stays_cancelling_until_the_fault_is_cleared_or_the_device_reset() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    arm(&mut control, "stuck-in-cancelling", "tx0", 2);
    control.gate("tx0", "wire", false);
    for round in 1..=2 {
        guest.transmit(1, 3);
        control.until("tx0", "fetched", 3);
        guest.command(TX, CANCEL);
        assert_eq!(guest.lens(TX), [TAKEN_BACK; 3]);
        control.queue("tx0");
        assert_eq!((guest.stat(TX).state, told(&mut control)), (CANCELLING, (2 - round, round)));
        if round == 1 {
            control.call("fault.clear", json!({}));
            assert_eq!((guest.stat(TX).state, told(&mut control)), (STOPPED, (0, 1)));
            guest.interrupt(TX);
            control.call("fault.arm", json!({ "fault": "stuck-in-cancelling", "queue": "tx0", "count": 1 }));
            guest.command(TX, RESUME);
        } else {
            guest.reset(TX);
            assert_eq!(guest.stat(TX).state, RUNNING);
        }
    }
    // Receive has none of it.
    guest.post(2);
    control.until("rx0", "posted", 2);
    guest.command(RX, CANCEL);
    assert_eq!(guest.stat(RX).state, STOPPED);
}

#[test]
fn used_elements_are_withheld_doubled_and_of_another_as_often_as_was_asked() {
    let nobodys = u32::from(SIZE);
    for (fault, heads) in [
        ("completion-withheld", &[4, 6][..]),
        ("completion-doubled", &[0, 0, 2, 2, 4, 6]),
        ("completion-of-another", &[nobodys, nobodys + 2, 4, 6]),
    ] {
        let daemon = Daemon::start(&[]);
        let mut guest = Guest::start(&daemon.socket());
        let mut control = daemon.control();
        arm(&mut control, fault, "tx0", 2);
        guest.transmit(1, 4);
        control.until("tx0", "completed", heads.len() as u64);
        let expected: Vec<_> = heads.iter().map(|head| (*head, 0)).collect();
        assert_eq!((guest.reap(TX), told(&mut control)), (expected, (0, 2)), "{fault}");
        assert_eq!(crate::cancel::captured(&daemon, 2), [1, 2, 3, 4]);
    }
}

#[test]
fn receive_buffer_is_withheld_and_the_next_one_not() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    arm(&mut control, "completion-withheld", "rx0", 1);
    guest.post(2);
    control.call("rx.inject", json!({ "queue": "rx0", "first": 1, "count": 2, "len": 60 }));
    control.until("rx0", "received", 1);
    assert_eq!(guest.reap(RX), [(2, 72)]);
}

#[test]
fn used_element_after_stopped_comes_when_stopped_could_be_read() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    arm(&mut control, "completion-after-stopped", "tx0", 2);
    guest.transmit(1, 3);
    control.until("tx0", "completed", 1);
    assert_eq!(guest.reap(TX), [(4, 0)]);
    guest.command(TX, CANCEL);
    assert_eq!(guest.stat(TX).state, STOPPED);
    let mut late = Vec::new();
    until("they come", || {
        late.extend(guest.reap(TX));
        (late.len() == 2).then_some(())
    });
    assert_eq!((late, told(&mut control)), (vec![(0, 0), (2, 0)], (0, 2)));
}

#[test]
fn interrupts_are_lost_and_come_without_a_cause() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    arm(&mut control, "interrupt-lost", "tx0", 1);
    guest.transmit(1, 1);
    until("it is lost", || (told(&mut control) == (0, 1)).then_some(()));
    assert!(!guest.interrupted(TX));
    guest.transmit(2, 1);
    guest.interrupt(TX);
    let other = json!({ "fault": "interrupt-spurious", "queue": "rx0", "count": 3 });
    let armed = control.call("fault.arm", other);
    assert_eq!((guest.interrupt(RX), &armed["faults"][0]["happened"]), (3, &json!(3)));
}

#[test]
fn registers_read_all_ones_and_take_nothing_as_often_as_was_asked() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    guest.read_config();
    control.call("fault.arm", json!({ "fault": "registers-all-ones", "count": 2 }));
    guest.command(TX, CANCEL);
    assert_eq!(control.queue("tx0")["state"], "RUNNING");
    for left in [1, 0] {
        assert_eq!(guest.read_config(), [0xff; 256]);
        assert_eq!(told(&mut control), (left, 2 - left));
    }
    assert_eq!((guest.stat(TX).state, guest.stat(TX).seq), (RUNNING, 0));
    guest.write32(TX_CMD, 1 << 24 | u32::from(CANCEL) << 16);
    assert_eq!(guest.stat(TX).state, STOPPED);
    control.call("fault.arm", json!({ "fault": "registers-all-ones", "count": 1000 }));
    assert_eq!(guest.read_config()[0], 0xff);
    control.call("fault.clear", json!({}));
    assert_eq!(guest.read32(0x40), u32::from_le_bytes(*b"CINC"));
}

#[test]
fn link_flaps_as_often_as_was_asked_and_is_up_again() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    let arm = json!({ "fault": "link-flap", "count": 3 });
    let refused = control.try_call("fault.arm", arm.clone());
    assert!(refused["error"]["message"].as_str().unwrap().contains("BACKEND_REQ"), "{refused}");
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    ours.set_read_timeout(Some(BOUND)).unwrap();
    guest.frontend.set_backend_request_fd(&theirs).unwrap();
    guest.read_config();
    let before = told(&mut control);
    control.call("fault.arm", arm);
    assert_eq!(told(&mut control), (0, before.1 + 3));
    ours.read_exact(&mut [0; 6 * 12]).unwrap();
    ours.set_nonblocking(true).unwrap();
    assert_eq!(ours.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "no seventh change");
    assert_eq!(guest.read_config()[6], 1);
}

#[test]
fn fault_for_nobody_and_for_the_wrong_one_is_refused() {
    let daemon = Daemon::start(&[]);
    let mut control = daemon.control();
    for (params, part) in [
        (json!({ "fault": "completion-doubled", "count": 1 }), "`queue` is needed"),
        (json!({ "fault": "link-flap", "queue": "tx0", "count": 1 }), "`queue` must be left out"),
        (json!({ "fault": "completion-doubled", "queue": "tx3", "count": 1 }), "`queue` must be one of"),
        (json!({ "fault": "completion-doubled", "queue": "tx0", "count": 0 }), "`count`"),
        (json!({ "fault": "fire", "count": 1 }), "`fault`"),
    ] {
        let answer: Value = control.try_call("fault.arm", params);
        assert!(answer["error"]["message"].as_str().unwrap().contains(part), "{answer}");
    }
    assert_eq!(control.call("stats", json!({}))["faults"], json!([]));
}
