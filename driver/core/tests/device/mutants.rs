//! Each deliberate misbehaviour is noticed by the checks that the other tests rely on.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cancelnic_model::Rule;
use cancelnic_mutants::Mutant;

use crate::{
    machine::{RxMachine, Setup, TxMachine},
    nic::Gate,
};

fn mutant(mutant: Mutant) -> Setup {
    Setup { mutant: Some(mutant), ..Setup::default() }
}

#[test]
fn kept_packet_keeps_the_queue_from_stopping() {
    let mut machine = TxMachine::new(mutant(Mutant::KeepsAPacket));
    machine.nic.close(Gate::Wire);
    machine.send(10);
    machine.cancel();
    machine.run();
    assert_eq!(machine.side.outstanding(), 1);
}

#[test]
fn buffers_returned_before_stopped_are_written_afterwards() {
    let mut machine = RxMachine::new(mutant(Mutant::ReturnsBeforeStopped));
    machine.nic.close(Gate::RxWrite);
    assert!(machine.nic.inject(0));
    machine.cancel();
    machine.nic.open(Gate::RxWrite);
    let noticed = catch_unwind(AssertUnwindSafe(|| machine.side.check_buffers(&machine.guest)));
    assert!(noticed.is_err(), "nobody noticed");
}

#[test]
fn forgotten_resume_leaves_frames_unsent() {
    let mut machine = TxMachine::new(mutant(Mutant::ForgetsResume));
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
    let mut machine = RxMachine::new(mutant(Mutant::LeavesTheRestToAdvance));
    assert_eq!(machine.cancel().back, 0);
    assert_ne!(machine.advance(), 0);
    assert_eq!(machine.side.outstanding(), 0);
}

#[test]
fn forgotten_notification_leaves_a_queue_asleep_before_its_completions() {
    for mutant in [None, Some(Mutant::ForgetsToNotifyTx), Some(Mutant::ForgetsToNotifyRx)] {
        let setup = Setup { mutant, ..Setup::default() };
        let mut machine = TxMachine::new(setup);
        machine.nic.close(Gate::Complete);
        machine.send(3);
        assert_eq!(
            machine.arm_after(|machine| machine.nic.open(Gate::Complete)),
            mutant != Some(Mutant::ForgetsToNotifyTx)
        );
        let mut machine = RxMachine::new(setup);
        assert_eq!(
            machine.arm_after(|machine| assert!(machine.nic.inject(0))),
            mutant != Some(Mutant::ForgetsToNotifyRx)
        );
    }
}

#[test]
fn checksum_that_was_not_negotiated_is_the_judges_finding() {
    let mut machine = TxMachine::new(mutant(Mutant::AsksForChecksums));
    machine.send(1);
    assert_eq!(machine.nic.findings(), [Rule::HeaderInvalid]);
}
