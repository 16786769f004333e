//! Entering and leaving service: pause, resume, reset, in the middle of everything.

use serde_json::json;

use crate::cancel::captured;
use crate::guest::{CANCEL, Guest, RESUME, RUNNING, RX, STOPPED, TAKEN_BACK, TX};
use crate::process::{Daemon, until};

#[test]
fn pause_with_fetched_frames_gives_the_oldest_uncompleted_chain_and_sends_each_once() {
    let daemon = Daemon::start(&["--fifo-depth", "4"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.gate("tx0", "wire", false);
    control.step("tx0", "wire", 3);
    guest.transmit(1, 10);
    control.until("tx0", "completed", 3);
    control.until("tx0", "fetched", 4);
    assert_eq!(guest.leave(TX), 3);
    assert_eq!(control.queue("tx0")["in_service"], false);
    control.gate("tx0", "wire", true);
    guest.enter(TX, 3);
    control.until("tx0", "completed", 10);
    assert_eq!(guest.lens(TX), [0; 10]);
    assert_eq!(captured(&daemon, 2), (1..=10).collect::<Vec<_>>());
}

#[test]
fn pause_in_the_middle_of_a_cancel_finishes_it_whole_before_the_reply() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.gate("tx0", "complete", false);
    control.gate("tx0", "wire", false);
    control.step("tx0", "wire", 1);
    guest.transmit(1, 6);
    control.until("tx0", "off_wire", 1);
    guest.command(TX, CANCEL);
    assert_eq!(guest.leave(TX), 6);
    assert_eq!(guest.lens(TX), [0, TAKEN_BACK, TAKEN_BACK, TAKEN_BACK, TAKEN_BACK, TAKEN_BACK]);
    assert!(guest.interrupted(TX));
    guest.enter(TX, 6);
    assert_eq!((guest.stat(TX).state, guest.stat(TX).count), (STOPPED, 5));
    guest.transmit(7, 1);
    guest.command(TX, RESUME);
    control.gate("tx0", "complete", true);
    control.gate("tx0", "wire", true);
    control.until("tx0", "sent", 2);
    assert_eq!(captured(&daemon, 2), [1, 7]);
}

#[test]
fn pause_finishes_the_frame_on_the_wire_without_waiting_for_the_clock() {
    let daemon = Daemon::start(&["--speed", "10M", "--clock", "manual"]);
    let mut guest = Guest::start(&daemon.socket());
    guest.transmit(1, 3);
    daemon.control().until("tx0", "on_wire", 1);
    assert_eq!(guest.leave(TX), 1);
    assert_eq!(guest.lens(TX), [0]);
    assert_eq!(captured(&daemon, 2), [1]);
}

#[test]
fn pause_completes_a_half_written_receive_frame() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.gate("rx0", "rx-write", false);
    guest.post(4);
    control.until("rx0", "posted", 4);
    control.call("rx.inject", json!({ "queue": "rx0", "first": 5, "count": 1, "len": 60 }));
    control.until("rx0", "writing", 1);
    assert_eq!(guest.leave(RX), 1);
    assert_eq!(guest.lens(RX), [72]);
}

#[test]
fn stopped_queue_stays_stopped_over_a_pause_and_runs_after_a_reset() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    guest.transmit(1, 1);
    daemon.control().until("tx0", "completed", 1);
    guest.command(TX, CANCEL);
    assert_eq!(guest.pause_and_resume(TX), 1);
    assert_eq!(guest.stat(TX).state, STOPPED);
    guest.reset(TX);
    assert_eq!(guest.stat(TX).state, RUNNING, "QEMU's old words must not act again");
    guest.transmit(2, 1);
    daemon.control().until("tx0", "completed", 2);
    assert_eq!(guest.lens(TX), [0]);
}

#[test]
fn command_on_a_queue_out_of_service_is_taken_and_refused() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::connect(&daemon.socket());
    let seq = guest.command(TX, CANCEL);
    let stat = guest.stat(TX);
    assert_eq!((stat.seq, stat.result, stat.state), (seq, 4, RUNNING));
}

#[test]
fn nothing_is_written_after_the_reply() {
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.gate("tx0", "wire", false);
    guest.transmit(1, 10);
    guest.post(8);
    control.until("tx0", "fetched", 10);
    guest.leave(TX);
    guest.leave(RX);
    guest.reap(TX);
    control.gate("tx0", "wire", true);
    control.call("rx.inject", json!({ "queue": "rx0", "first": 5, "count": 4, "len": 60 }));
    control.call("stats", json!({}));
    assert_eq!((guest.lens(TX), guest.lens(RX)), (vec![], vec![]));
    assert!(captured(&daemon, 1).is_empty());
}

#[test]
fn disabled_queue_fetches_nothing_and_still_completes_what_it_owes() {
    use vhost::vhost_user::VhostUserFrontend;
    let daemon = Daemon::start(&[]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    control.gate("tx0", "wire", false);
    guest.transmit(1, 2);
    control.until("tx0", "fetched", 2);
    guest.frontend.set_vring_enable(TX, false).unwrap();
    guest.transmit(3, 2);
    control.gate("tx0", "wire", true);
    control.until("tx0", "completed", 2);
    assert_eq!(control.queue("tx0")["available"], 2);
    guest.frontend.set_vring_enable(TX, true).unwrap();
    control.until("tx0", "completed", 4);
}

#[test]
fn queues_live_many_lives() {
    let daemon = Daemon::start(&["--wire", "loopback"]);
    let mut guest = Guest::start(&daemon.socket());
    let mut control = daemon.control();
    for life in 1..=20 {
        guest.post(8);
        control.until("rx0", "posted", 8);
        guest.transmit(10 * life, 4);
        control.until("tx0", "completed", 4 * life);
        control.until("rx0", "received", 4 * life);
        guest.command(TX, CANCEL);
        guest.command(RX, CANCEL);
        let stopped = until("both stopped", || Some(guest.stat(RX)).filter(|stat| stat.state == STOPPED));
        assert_eq!((stopped.count, guest.stat(TX).state), (4, STOPPED));
        guest.reset(TX);
        guest.reset(RX);
    }
}
