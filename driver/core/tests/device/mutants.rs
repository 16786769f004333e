//! Each deliberate misbehaviour is noticed by the checks that the other tests rely on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    machine::{RxMachine, Setup, TxMachine},
    nic::Gate,
};

fn mutant(number: u32) -> Setup {
    Setup { mutant: number, ..Setup::default() }
}

#[test]
fn kept_packet_keeps_the_queue_from_stopping() {
    let mut machine = TxMachine::new(mutant(1));
    machine.nic.close(Gate::Wire);
    machine.send(10);
    machine.cancel();
    machine.run();
    assert_eq!(machine.side.outstanding(), 1);
}

#[test]
fn buffers_returned_before_stopped_are_written_afterwards() {
    let mut machine = RxMachine::new(mutant(2));
    machine.nic.close(Gate::RxWrite);
    assert!(machine.nic.inject(0));
    machine.cancel();
    machine.nic.open(Gate::RxWrite);
    let noticed = catch_unwind(AssertUnwindSafe(|| machine.side.check_buffers(&machine.guest)));
    assert!(noticed.is_err(), "nobody noticed");
}

#[test]
fn forgotten_resume_leaves_frames_unsent() {
    let mut machine = TxMachine::new(mutant(4));
    machine.send(1);
    machine.cancel();
    machine.run();
    let _ = machine.stop();
    machine.start();
    machine.send(1);
    assert_eq!((machine.nic.sent(), machine.side.outstanding()), (vec![0], 1));
}

#[test]
fn buffers_left_to_advance_are_not_returned_in_cancel() {
    let mut machine = RxMachine::new(mutant(5));
    assert_eq!(machine.cancel().back, 0);
    assert_ne!(machine.advance(), 0);
    assert_eq!(machine.side.outstanding(), 0);
}

#[test]
fn forgotten_notification_leaves_a_queue_asleep_before_its_completions() {
    for number in [0, 6, 7] {
        let mut machine = TxMachine::new(mutant(number));
        machine.nic.close(Gate::Complete);
        machine.send(3);
        assert_eq!(machine.arm_after(|machine| machine.nic.open(Gate::Complete)), number != 6);
        let mut machine = RxMachine::new(mutant(number));
        assert_eq!(machine.arm_after(|machine| assert!(machine.nic.inject(0))), number != 7);
    }
}

#[test]
fn waiting_in_cancel_is_asked_for_by_number_three_only() {
    use cancelnic_core::Mutant;
    let waits: Vec<u32> = (0..10).filter(|n| Mutant::from_number(*n).waits_in_cancel()).collect();
    assert_eq!(waits, [3]);
}
