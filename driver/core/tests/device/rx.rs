//! Receive: what comes in, and what goes back when the queue is cancelled.

use cancelnic_core::outcome::Waiting;
use cancelnic_registers::{Direction, State};

use crate::{
    frame,
    machine::{RxMachine, Setup},
    nic::Gate,
};

fn inject(machine: &RxMachine, numbers: std::ops::Range<u64>) {
    for number in numbers {
        assert!(machine.nic.inject(number));
    }
}

#[test]
fn frames_are_received_in_order() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(setup);
        inject(&machine, 0..100);
        machine.run();
        inject(&machine, 100..101);
        machine.run();
        assert_eq!(machine.side.received, (0..101).collect::<Vec<_>>());
        assert_eq!(machine.side.empty, 0);
    });
}

#[test]
fn rings_wrap_many_times() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(Setup { packets: 16, fragments: 32, descriptors: 32, ..setup });
        for round in 0..1000 {
            inject(&machine, round * 9..round * 9 + 9);
            machine.run();
        }
        assert_eq!(machine.side.received, (0..9000).collect::<Vec<_>>());
    });
}

/// Cancels a queue on which nothing is being written: all comes back in the call itself.
fn cancel_returns_all(setup: Setup) {
    let mut machine = RxMachine::new(setup);
    assert_eq!(machine.side.rings.packets.owned().len() as u32, setup.packets - 1);
    let cancelled = machine.cancel();
    assert_eq!((cancelled.fault, cancelled.waiting), (None, Waiting::Ended));
    assert_eq!(cancelled.back as u32, setup.packets - 1);
    machine.run();
    // Frames that arrive now wait at the device: no buffer may be written.
    inject(&machine, 0..10);
    machine.run();
    assert!(machine.side.received.is_empty());
    let line = format!("cancelnic: rx0 stop: received=0 returned_empty={}", setup.packets - 1);
    assert_eq!(machine.stop(), line);
    machine.start();
    machine.run();
    assert_eq!(machine.side.received, (0..10).collect::<Vec<_>>(), "what waited is delivered after RESUME");
    assert_eq!(machine.faults, []);
}

#[test]
fn cancel_of_an_idle_queue_returns_everything_at_once() {
    Setup::each(cancel_returns_all);
}

#[test]
fn cancel_returns_packets_that_were_never_posted() {
    Setup::each(|setup| cancel_returns_all(Setup { descriptors: 16, ..setup }));
}

#[test]
fn cancel_returns_fragments_beyond_the_packets_and_packets_beyond_the_fragments() {
    Setup::each(|setup| {
        cancel_returns_all(Setup { packets: 64, fragments: 256, ..setup });
        cancel_returns_all(Setup { packets: 256, fragments: 64, ..setup });
    });
}

#[test]
fn cancel_returns_the_other_fragments_though_every_packet_holds_a_frame() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(Setup { packets: 16, fragments: 32, ..setup });
        inject(&machine, 0..15);
        let cancelled = machine.cancel();
        assert_eq!((cancelled.waiting, cancelled.back), (Waiting::Ended, 15));
        assert_eq!(machine.side.outstanding(), 0);
    });
}

#[test]
fn cancel_indicates_frames_that_the_device_has_completed() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(setup);
        inject(&machine, 0..7);
        // The interrupt is still on its way.
        let cancelled = machine.cancel();
        assert_eq!((cancelled.waiting, cancelled.back), (Waiting::Ended, 255));
        assert_eq!(machine.side.received, (0..7).collect::<Vec<_>>());
        machine.run();
        assert_eq!(machine.stop(), "cancelnic: rx0 stop: received=7 returned_empty=248");
    });
}

#[test]
fn cancel_of_a_queue_with_frames_waiting_for_buffers_takes_none() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(Setup { packets: 8, fragments: 8, ..setup });
        // All seven buffers are used up before the driver looks.
        inject(&machine, 0..20);
        let cancelled = machine.cancel();
        assert_eq!((cancelled.back, &machine.side.received[..]), (7, &[0, 1, 2, 3, 4, 5, 6][..]));
        machine.run();
        let _ = machine.stop();
        machine.start();
        machine.run();
        assert_eq!(machine.side.received, (0..20).collect::<Vec<_>>());
    });
}

#[test]
fn cancel_with_a_frame_half_written_returns_no_buffer_before_stopped() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(setup);
        machine.nic.close(Gate::RxWrite);
        inject(&machine, 0..3);
        assert!(machine.nic.is_writing());
        let reads = machine.nic.reads();
        let cancelled = machine.cancel();
        assert_eq!((cancelled.fault, cancelled.waiting, cancelled.back), (None, Waiting::Began, 0));
        assert!(machine.nic.reads() - reads <= 6, "STATE is looked at a few times only");
        machine.run();
        assert_eq!(machine.side.rings.packets.owned().len(), 255);
        machine.nic.open(Gate::RxWrite);
        assert_eq!(machine.nic.status(Direction::Rx).state(), Some(State::Stopped));
        machine.run();
        assert_eq!((machine.side.outstanding(), &machine.side.received[..]), (0, &[0][..]));
        assert_eq!(machine.stop(), "cancelnic: rx0 stop: received=1 returned_empty=254");
        machine.start();
        machine.run();
        assert_eq!(machine.side.received, [0, 1, 2]);
    });
}

#[test]
fn frames_before_the_half_written_one_are_indicated_in_cancel() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(setup);
        machine.nic.close(Gate::RxWrite);
        machine.nic.step(Gate::RxWrite, 2);
        inject(&machine, 0..3);
        let cancelled = machine.cancel();
        assert_eq!((cancelled.waiting, cancelled.back), (Waiting::Began, 2));
        assert_eq!(machine.side.received, [0, 1]);
        machine.nic.open(Gate::RxWrite);
        machine.run();
        assert_eq!((machine.side.outstanding(), &machine.side.received[..]), (0, &[0, 1, 2][..]));
    });
}

#[test]
fn frame_between_the_last_look_and_arming_wakes_the_queue() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(setup);
        assert!(machine.arm_after(|machine| inject(machine, 0..3)), "the wake-up was lost");
        machine.run();
        assert_eq!(machine.side.received, [0, 1, 2]);
    });
}

/// A queue whose cancel waits for a frame that is half written.
fn cancelling(setup: Setup) -> RxMachine {
    let mut machine = RxMachine::new(setup);
    machine.nic.close(Gate::RxWrite);
    inject(&machine, 0..1);
    machine.cancel();
    machine
}

#[test]
fn stopped_between_the_last_look_and_arming_wakes_the_queue() {
    Setup::each(|setup| {
        let mut machine = cancelling(setup);
        assert!(machine.arm_after(|machine| machine.nic.open(Gate::RxWrite)), "the wake-up was lost");
        machine.run();
        assert_eq!(machine.side.outstanding(), 0);
    });
}

#[test]
fn loss_of_the_device_between_the_last_look_and_arming_wakes_a_cancelled_queue() {
    Setup::each(|setup| {
        let mut machine = cancelling(setup);
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
        let mut machine = RxMachine::new(setup);
        assert!(!machine.arm_after(|_| ()));
        assert!(machine.signals.take_armed(), "the queue sleeps armed");
        assert!(!cancelling(setup).arm_after(|_| ()), "CANCELLING");
    });
}

/// As documented, the framework calls nothing any more after an unfinished cancel: the interrupt must do.
#[test]
fn unfinished_cancel_is_woken_by_the_device_though_nobody_armed_it() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(setup);
        machine.nic.close(Gate::RxWrite);
        inject(&machine, 0..1);
        assert!(machine.signals.take_armed(), "an interrupt has used up what was armed");
        machine.cancel();
        machine.nic.open(Gate::RxWrite);
        assert!(machine.nic.take_interrupt(), "C7");
        assert!(machine.signals.take_armed(), "nobody would wake the queue");
        machine.advance();
        assert_eq!(machine.side.outstanding(), 0);
    });
}

#[test]
fn second_cancel_changes_nothing() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(setup);
        machine.cancel();
        let cancelled = machine.cancel();
        assert_eq!((cancelled.fault, cancelled.waiting, cancelled.back), (None, Waiting::Ended, 0));
        machine.run();
        assert_eq!(machine.side.empty, 255);
    });
}

#[test]
fn queue_works_again_after_each_of_many_cancels() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(Setup { packets: 32, fragments: 32, descriptors: 64, ..setup });
        let mut number = 0;
        for round in 0..1000 {
            inject(&machine, number..number + round % 40);
            number += round % 40;
            if round % 3 != 0 {
                machine.run();
            }
            machine.cancel();
            machine.run();
            let _ = machine.stop();
            machine.start();
            machine.run();
        }
        assert_eq!(machine.side.received, (0..number).collect::<Vec<_>>());
        assert_eq!(machine.faults, []);
    });
}

#[test]
fn buffer_completed_with_less_than_a_frame_is_returned_empty() {
    Setup::each(|setup| {
        let mut machine = RxMachine::new(setup);
        machine.nic.inject_bytes(vec![1; 13]);
        machine.nic.inject_bytes(frame::numbered(5, 60));
        machine.run();
        assert_eq!((machine.side.empty, &machine.side.received[..]), (1, &[5][..]));
        assert_eq!(machine.queue.counters().malformed, 1);
    });
}
