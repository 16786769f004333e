//! Transmit: what goes out, and what comes back when the queue is cancelled.

use std::time::Duration;

use cancelnic_core::outcome::Waiting;
use cancelnic_registers::Caps;

use crate::{
    machine::{Setup, TxMachine},
    nic::Gate,
    send_side::Fate,
};

/// Numbers from 0 up to `count`.
fn first(count: usize) -> Vec<u64> {
    (0..count as u64).collect()
}

#[test]
fn frames_are_sent_in_order_whatever_their_fragments() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(setup);
        for pieces in [1, 3, 2, 16, 1] {
            assert!(machine.side.give(&machine.guest, pieces).is_some());
        }
        machine.run_woken();
        assert_eq!(machine.nic.sent(), first(5));
        assert_eq!(machine.side.with_fate(Fate::Sent), first(5));
        assert_eq!(machine.stop(), "cancelnic: tx0 stop: posted=5 sent=5 taken_back=0 never_posted=0");
    });
}

#[test]
fn rings_wrap_many_times() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(Setup { packets: 16, fragments: 32, descriptors: 32, ..setup });
        for round in 0..500_u32 {
            for n in 0..1 + round % 7 {
                let _ = machine.side.give(&machine.guest, 1 + n % 4);
            }
            machine.run_woken();
            assert_eq!(machine.side.outstanding(), 0);
        }
        let given = machine.side.returned.len();
        assert!(given > 1500);
        assert_eq!(machine.nic.sent(), first(given));
    });
}

#[test]
fn packet_to_ignore_is_skipped_and_returned_in_its_turn() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(setup);
        machine.nic.close(Gate::Fetch);
        machine.side.give_ignored();
        machine.send(1);
        assert_eq!(machine.side.outstanding(), 1, "nothing older is outstanding");
        machine.side.give_ignored();
        machine.side.give_ignored();
        machine.send(1);
        assert_eq!(machine.side.outstanding(), 4);
        machine.nic.open(Gate::Fetch);
        machine.run();
        assert_eq!((machine.side.outstanding(), machine.nic.sent()), (0, first(2)));
        assert_eq!(machine.queue.counters().posted, 2);
    });
}

#[test]
fn packet_that_needs_more_descriptors_than_are_free_waits() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(Setup { descriptors: 8, ..setup });
        machine.nic.close(Gate::Fetch);
        assert!(machine.side.give(&machine.guest, 3).is_some());
        assert!(machine.side.give(&machine.guest, 7).is_some());
        machine.send(1);
        assert_eq!(machine.queue.counters().posted, 1);
        machine.nic.open(Gate::Fetch);
        machine.run();
        assert_eq!((machine.side.outstanding(), machine.nic.sent()), (0, first(3)));
    });
}

#[test]
fn packet_that_no_virtqueue_of_this_size_can_hold_comes_back_unposted() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(Setup { descriptors: 8, ..setup });
        assert!(machine.side.give(&machine.guest, 8).is_some());
        machine.send(1);
        assert_eq!(machine.side.returned, [(0, Fate::NeverPosted), (1, Fate::Sent)]);
    });
}

/// Cancels with `count` frames outstanding behind `gate`; none may have been sent.
fn cancel_takes_all_back(setup: Setup, gate: Gate, count: usize) {
    let mut machine = TxMachine::new(setup);
    machine.nic.close(gate);
    machine.send(count);
    assert_eq!(machine.side.outstanding(), count);
    let cancelled = machine.cancel();
    assert_eq!((cancelled.fault, cancelled.waiting), (None, Waiting::Ended), "the device is done at once");
    machine.nic.open(gate);
    machine.run();
    assert!(machine.nic.sent().is_empty());
    assert_eq!(machine.side.with_fate(Fate::TakenBack), first(count));
    let line = format!("cancelnic: tx0 stop: posted={count} sent=0 taken_back={count} never_posted=0");
    assert_eq!(machine.stop(), line);
    machine.nic.check_totals(0, count as u64);
}

#[test]
fn cancel_with_frames_still_in_the_ring_takes_all_back() {
    Setup::each(|setup| {
        [0, 1, 64, 255].into_iter().for_each(|n| cancel_takes_all_back(setup, Gate::Fetch, n))
    });
}

#[test]
fn cancel_with_frames_in_the_fifo_takes_all_back() {
    Setup::each(|setup| {
        [0, 1, 64, 255].into_iter().for_each(|n| cancel_takes_all_back(setup, Gate::Wire, n))
    });
}

#[test]
fn cancel_with_the_whole_virtqueue_outstanding_takes_all_back() {
    Setup::each(|setup| {
        cancel_takes_all_back(Setup { packets: 1024, fragments: 1024, ..setup }, Gate::Wire, 512)
    });
}

#[test]
fn cancel_returns_frames_that_were_never_posted() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(Setup { descriptors: 16, ..setup });
        machine.nic.close(Gate::Wire);
        machine.send(200);
        let cancelled = machine.cancel();
        assert_eq!(cancelled.back, 200);
        assert_eq!(machine.side.with_fate(Fate::TakenBack), first(8));
        assert_eq!(machine.side.with_fate(Fate::NeverPosted), (8..200).collect::<Vec<_>>());
        machine.run();
        assert_eq!(machine.stop(), "cancelnic: tx0 stop: posted=8 sent=0 taken_back=8 never_posted=192");
    });
}

#[test]
fn cancel_lets_the_frame_on_the_wire_finish_and_no_other() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(Setup { speed: 10_000_000, ..setup });
        machine.send(100);
        let cancelled = machine.cancel();
        assert_eq!(
            (cancelled.waiting, cancelled.back),
            (Waiting::Began, 0),
            "the one on the wire is the oldest"
        );
        machine.run();
        assert_eq!(machine.side.outstanding(), 100, "in order: the others wait for it");
        machine.nic.pass(Duration::from_millis(2));
        machine.run();
        assert_eq!(machine.nic.sent(), [0]);
        assert_eq!(machine.side.with_fate(Fate::Sent), [0]);
        assert_eq!(machine.side.with_fate(Fate::TakenBack), (1..100).collect::<Vec<_>>());
        assert_eq!(machine.stop(), "cancelnic: tx0 stop: posted=100 sent=1 taken_back=99 never_posted=0");
    });
}

#[test]
fn cancel_reports_frames_off_the_wire_as_sent() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(setup);
        machine.nic.close(Gate::Complete);
        machine.send(3);
        assert_eq!(machine.nic.sent(), first(3));
        machine.nic.close(Gate::Wire);
        machine.send(5);
        machine.cancel();
        machine.run();
        machine.nic.open(Gate::Complete);
        machine.run();
        assert_eq!(machine.side.with_fate(Fate::Sent), first(3));
        assert_eq!(machine.side.with_fate(Fate::TakenBack), [3, 4, 5, 6, 7]);
    });
}

#[test]
fn second_cancel_changes_nothing() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(setup);
        machine.nic.close(Gate::Wire);
        machine.send(10);
        machine.cancel();
        let cancelled = machine.cancel();
        assert_eq!((cancelled.fault, cancelled.waiting, cancelled.back), (None, Waiting::Ended, 0));
        machine.run();
        assert_eq!(machine.side.with_fate(Fate::TakenBack), first(10));
        machine.nic.check_totals(0, 10);
    });
}

#[test]
fn second_cancel_while_the_first_still_works_joins_it() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(Setup { speed: 10_000_000, ..setup });
        machine.send(10);
        machine.cancel();
        let cancelled = machine.cancel();
        assert_eq!(cancelled.fault, None);
        machine.nic.pass(Duration::from_millis(2));
        machine.run();
        assert_eq!(machine.side.with_fate(Fate::Sent), [0]);
        assert_eq!(machine.side.outstanding(), 0);
    });
}

#[test]
fn queue_works_again_after_each_of_many_cancels() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(Setup { packets: 64, descriptors: 64, ..setup });
        for round in 0..1000 {
            machine.send(round % 5);
            machine.nic.close(Gate::Wire);
            machine.send(round % 41);
            machine.cancel();
            machine.run();
            machine.nic.open(Gate::Wire);
            let _ = machine.stop();
            machine.start();
            machine.run();
        }
        assert_eq!(machine.faults, []);
        assert_eq!(machine.nic.sent(), machine.side.with_fate(Fate::Sent));
        let all: Vec<u64> = machine.side.returned.iter().map(|frame| frame.0).collect();
        assert_eq!(all, first(all.len()));
        assert!(machine.queue.counters().sent == 2000 && machine.queue.counters().taken_back > 10_000);
    });
}

#[test]
fn without_tx_cancel_everything_drains_as_sent() {
    Setup::each(|setup| {
        let caps = Caps::ALL.with_tx_cancel(false);
        let mut machine = TxMachine::new(Setup { descriptors: 16, caps, ..setup });
        machine.nic.close(Gate::Wire);
        machine.send(100);
        let cancelled = machine.cancel();
        assert_eq!((cancelled.fault, cancelled.waiting, cancelled.back), (None, Waiting::Began, 0));
        machine.run();
        machine.nic.open(Gate::Wire);
        machine.run();
        assert_eq!(machine.nic.sent(), first(100));
        assert_eq!(machine.stop(), "cancelnic: tx0 stop: posted=100 sent=100 taken_back=0 never_posted=0");
        machine.start();
        machine.send(1);
        assert_eq!((machine.nic.sent().len(), machine.faults.len()), (101, 0));
    });
}

/// Three frames off the wire, whose completions are held.
fn completions_held(setup: Setup) -> TxMachine {
    let mut machine = TxMachine::new(setup);
    machine.nic.close(Gate::Complete);
    machine.send(3);
    machine
}

#[test]
fn completion_between_the_last_look_and_arming_wakes_the_queue() {
    Setup::each(|setup| {
        let mut machine = completions_held(setup);
        assert!(machine.arm_after(|machine| machine.nic.open(Gate::Complete)), "the wake-up was lost");
        machine.run();
        assert_eq!(machine.side.outstanding(), 0);
    });
}

#[test]
fn stopped_between_the_last_look_and_arming_wakes_the_queue() {
    Setup::each(|setup| {
        let mut machine = TxMachine::new(Setup { speed: 10_000_000, ..setup });
        machine.send(4);
        machine.cancel();
        assert!(
            machine.arm_after(|machine| machine.nic.pass(Duration::from_millis(2))),
            "the wake-up was lost"
        );
        machine.run();
        assert_eq!(machine.side.outstanding(), 0);
    });
}

#[test]
fn loss_of_the_device_between_the_last_look_and_arming_wakes_the_queue() {
    Setup::each(|setup| {
        let mut machine = completions_held(setup);
        let woken = machine.arm_after(|machine| {
            machine.nic.reset();
            machine.signals.mark_lost();
        });
        assert!(woken, "the wake-up was lost");
        machine.run();
        assert_eq!(machine.side.outstanding(), 0);
    });
}

#[test]
fn arming_alone_does_not_wake_the_queue() {
    Setup::each(|setup| {
        let mut machine = completions_held(setup);
        assert!(!machine.arm_after(|_| ()));
        assert!(machine.signals.take_armed(), "the queue sleeps armed");
        machine.cancel();
        assert!(!machine.arm_after(|_| ()), "CANCELLING");
    });
}

#[test]
fn one_interrupt_wakes_an_armed_queue_once() {
    let mut machine = TxMachine::new(Setup::default());
    machine.nic.close(Gate::Complete);
    machine.send(2);
    assert!(machine.signals.take_armed(), "the queue sleeps armed");
    assert!(!machine.signals.take_armed());
}
