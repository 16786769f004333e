//! Devices that go away, refuse, or hold work for ever: every packet comes back, and never too early.

use cancelnic_core::{Fault, outcome::Waiting};
use cancelnic_registers::{CommandResult, Direction, State, StatusWord};

use crate::{
    machine::{RxMachine, Setup, TxMachine},
    nic::Gate,
    send_side::Fate,
};

#[test]
fn transmit_cancel_refused_because_out_of_service_returns_all() {
    let mut machine = TxMachine::new(Setup { descriptors: 16, ..Setup::default() });
    machine.nic.close(Gate::Wire);
    machine.send(20);
    machine.nic.reset();
    let cancelled = machine.cancel();
    assert_eq!(cancelled.fault, Some(Fault::Refused(CommandResult::NotInService)));
    machine.run();
    assert_eq!((machine.side.outstanding(), machine.nic.sent()), (0, vec![]));
    assert_eq!(machine.faults.len(), 1);
    assert_eq!(machine.stop(), "cancelnic: tx0 stop: posted=8 sent=0 taken_back=0 never_posted=12 lost=8");
}

#[test]
fn receive_cancel_refused_because_out_of_service_returns_all_after_the_reset() {
    let mut machine = RxMachine::new(Setup::default());
    machine.nic.reset();
    let cancelled = machine.cancel();
    assert_eq!(cancelled.fault, Some(Fault::Refused(CommandResult::NotInService)));
    assert_eq!(cancelled.back, 0, "the device is not proven quiet yet");
    machine.run();
    assert_eq!((machine.side.outstanding(), machine.side.empty), (0, 255));
}

#[test]
fn transmit_cancel_of_a_device_that_is_gone_returns_all() {
    let mut machine = TxMachine::new(Setup::default());
    machine.nic.close(Gate::Wire);
    machine.send(20);
    machine.nic.remove();
    let cancelled = machine.cancel();
    assert_eq!(cancelled.fault, Some(Fault::Gone));
    machine.run();
    assert_eq!(machine.side.outstanding(), 0);
    assert_eq!(machine.queue.counters().lost, 20);
}

#[test]
fn receive_cancel_of_a_device_that_is_gone_returns_all_at_once() {
    let mut machine = RxMachine::new(Setup::default());
    assert!(machine.nic.inject(0));
    machine.nic.remove();
    let cancelled = machine.cancel();
    assert_eq!(
        (cancelled.fault, cancelled.waiting, cancelled.back),
        (Some(Fault::Gone), Waiting::Ended, 255)
    );
    assert_eq!(machine.side.received, [0], "complete before it went");
    machine.run();
}

#[test]
fn device_that_goes_while_receive_waits_for_stopped_gives_all_back() {
    let mut machine = RxMachine::new(Setup::default());
    machine.nic.close(Gate::RxWrite);
    assert!(machine.nic.inject(0));
    machine.cancel();
    machine.run();
    machine.nic.remove();
    machine.arm();
    machine.run();
    assert_eq!(machine.side.outstanding(), 0);
    assert_eq!(machine.faults, [Fault::Gone]);
}

#[test]
fn watchdog_reset_lets_advance_return_all_transmits() {
    let mut machine = TxMachine::new(Setup { speed: 1000, ..Setup::default() });
    machine.send(30);
    let cancelled = machine.cancel();
    assert_eq!((cancelled.waiting, cancelled.back), (Waiting::Began, 0), "ten minutes on the wire");
    machine.run();
    machine.expire();
    assert_eq!(machine.side.outstanding(), 0);
    // The reset completed the frame on the wire, and a cancel in progress is finished whole.
    assert_eq!(machine.nic.sent(), machine.side.with_fate(Fate::Sent));
    assert_eq!(machine.side.with_fate(Fate::TakenBack), (1..30).collect::<Vec<_>>());
}

#[test]
fn watchdog_reset_lets_advance_return_all_receive_buffers() {
    let mut machine = RxMachine::new(Setup::default());
    machine.nic.close(Gate::RxWrite);
    assert!(machine.nic.inject(0));
    machine.cancel();
    machine.run();
    assert_eq!(machine.side.rings.packets.owned().len(), 255);
    machine.expire();
    assert_eq!((machine.side.outstanding(), &machine.side.received[..]), (0, &[0][..]));
}

#[test]
fn lost_queue_keeps_its_buffers_until_cancel_and_does_not_spin() {
    let mut machine = RxMachine::new(Setup::default());
    machine.expire();
    assert_eq!(machine.side.rings.packets.owned().len(), 255);
    let cancelled = machine.cancel();
    assert_eq!((cancelled.fault, cancelled.waiting, cancelled.back), (None, Waiting::Ended, 255));
}

#[test]
fn lost_transmit_queue_returns_new_packets_unposted() {
    let mut machine = TxMachine::new(Setup::default());
    machine.expire();
    machine.send(3);
    assert_eq!(machine.side.with_fate(Fate::NeverPosted), [0, 1, 2]);
    let reads = machine.nic.reads();
    let cancelled = machine.cancel();
    assert_eq!((cancelled.fault, cancelled.waiting), (None, Waiting::Ended));
    assert_eq!(machine.nic.reads(), reads, "a lost device's registers are left alone");
    let _ = machine.stop();
    machine.start();
    assert_eq!(machine.faults, []);
}

#[test]
fn used_ring_scribbled_over_ends_in_a_fault_not_in_a_wild_access() {
    let mut machine = TxMachine::new(Setup::default());
    machine.nic.close(Gate::Wire);
    machine.send(3);
    machine.scribble_used_index(200);
    machine.run_woken();
    assert!(matches!(machine.faults[..], [Fault::Virtqueue(_)]), "{:?}", machine.faults);
    assert_eq!(machine.side.outstanding(), 0);

    let mut machine = RxMachine::new(Setup::default());
    machine.scribble_used_index(0x8000);
    machine.run_woken();
    assert!(matches!(machine.faults[..], [Fault::Virtqueue(_)]), "{:?}", machine.faults);
    let cancelled = machine.cancel();
    assert_eq!((cancelled.back, machine.side.outstanding()), (255, 0));
}

#[test]
fn transmit_queue_that_reads_stopped_and_owes_frames_is_given_up() {
    let mut machine = TxMachine::new(Setup::default());
    machine.nic.close(Gate::Complete);
    machine.send(5);
    machine.cancel();
    machine.run();
    machine.nic.lie(Some(machine.nic.status(Direction::Tx).with_state(State::Stopped)));
    machine.arm();
    machine.run();
    assert_eq!(machine.faults, [Fault::Incomplete(5)]);
    assert_eq!(machine.side.with_fate(Fate::Sent), [0, 1, 2, 3, 4], "the reset completed them");
}

#[test]
fn status_word_that_means_nothing_is_a_fault() {
    let mut machine = RxMachine::new(Setup::default());
    machine.nic.close(Gate::RxWrite);
    assert!(machine.nic.inject(0));
    machine.cancel();
    let nonsense = StatusWord::from_bits(machine.nic.status(Direction::Rx).into_bits() | 0x00e0_0000);
    machine.nic.lie(Some(nonsense));
    assert_eq!(machine.advance(), 0, "nothing goes back on nonsense");
    assert_eq!(machine.faults, [Fault::Nonsense(nonsense)]);
    machine.run();
    assert_eq!(machine.side.outstanding(), 0);
}

#[test]
fn old_stopped_is_not_taken_for_the_answer_to_a_cancel_on_its_way() {
    let mut machine = RxMachine::new(Setup::default());
    machine.nic.hold_commands();
    // The register still shows an earlier command's SEQ, and a queue that stopped long ago.
    let old = machine.nic.status(Direction::Rx).with_state(State::Stopped);
    machine.nic.lie(Some(old));
    let cancelled = machine.cancel();
    assert_eq!((cancelled.fault, cancelled.waiting, cancelled.back), (None, Waiting::Began, 0));
    machine.run();
    assert!(machine.nic.inject(0), "the device still writes buffers");
    machine.run();
    machine.nic.lie(None);
    machine.nic.deliver_commands();
    machine.run();
    assert_eq!((machine.side.outstanding(), &machine.side.received[..]), (0, &[0][..]));
    assert_eq!(machine.faults, []);
}

#[test]
fn transmit_cancel_on_its_way_is_waited_for() {
    let mut machine = TxMachine::new(Setup::default());
    machine.nic.close(Gate::Wire);
    machine.send(5);
    machine.nic.hold_commands();
    let cancelled = machine.cancel();
    assert_eq!((cancelled.fault, cancelled.waiting, cancelled.back), (None, Waiting::Began, 0));
    machine.run();
    machine.nic.deliver_commands();
    machine.run();
    assert_eq!(machine.side.with_fate(Fate::TakenBack), [0, 1, 2, 3, 4]);
}
