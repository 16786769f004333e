//! Both forms of the cancel, side by side: the same packets in the same calls, in the same order, with
//! the same marks.

use cancelnic_core::CancelForm;
use cancelnic_registers::Caps;
use proptest::prelude::*;

use crate::{
    machine::{RxMachine, Setup, TxMachine},
    nic::Gate,
};

/// What a queue's user can see of a cancel.
#[derive(Debug, PartialEq, Eq)]
struct Seen<F> {
    /// Packets back in EvtCancel, then in each EvtAdvance that brought some.
    back: Vec<usize>,
    /// Frames in the order of their return.
    frames: Vec<F>,
    /// BeginIndex of both rings at the end.
    begins: [u32; 2],
    stop_line: String,
}

fn send(setup: Setup, before: usize, frames: &[(u32, bool)], through: u64, gate: Gate) -> Seen<String> {
    let mut machine = TxMachine::new(setup);
    machine.send(before);
    machine.nic.close(gate);
    machine.nic.step(gate, through);
    for &(pieces, ignored) in frames {
        if ignored && machine.side.rings.packets.room() != 0 {
            machine.side.give_ignored();
        }
        let _ = machine.side.give(&machine.guest, pieces);
    }
    machine.run_woken();
    let mut back = vec![machine.cancel().back];
    machine.nic.open(gate);
    while machine.side.outstanding() != 0 {
        let more = machine.advance();
        assert_ne!(more, 0, "nothing holds the device");
        back.push(more);
    }
    let frames = machine.side.returned.iter().map(|frame| format!("{frame:?}")).collect();
    let begins = [machine.side.rings.packets.begin(), machine.side.rings.fragments.begin()];
    Seen { back, frames, begins, stop_line: machine.stop() }
}

fn receive(setup: Setup, before: u64, frames: u64, half_written: bool) -> Seen<u64> {
    let mut machine = RxMachine::new(setup);
    for number in 0..before {
        machine.nic.inject(number);
        machine.run();
    }
    if half_written {
        machine.nic.close(Gate::RxWrite);
    }
    for number in before..before + frames {
        machine.nic.inject(number);
    }
    let mut back = vec![machine.cancel().back];
    if half_written {
        machine.nic.open(Gate::RxWrite);
        back.push(machine.advance());
    }
    let begins = [machine.side.rings.packets.begin(), machine.side.rings.fragments.begin()];
    Seen { back, frames: machine.side.received.clone(), begins, stop_line: machine.stop() }
}

fn both<F>(setup: Setup, run: impl Fn(Setup) -> Seen<F>) -> [Seen<F>; 2] {
    [CancelForm::Iterator, CancelForm::Older].map(|form| run(Setup { form, ..setup }))
}

#[test]
fn older_form_is_chosen_by_one_and_by_nothing_else() {
    let older = (0..10).filter(|number| CancelForm::from_number(*number) == CancelForm::Older);
    assert_eq!(older.collect::<Vec<_>>(), [1]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn transmit_packets_come_back_alike(
        before in 0..31_usize,
        frames in prop::collection::vec((1..5_u32, any::<bool>()), 0..60),
        through in 0..20_u64,
        gate in prop_oneof![Just(Gate::Fetch), Just(Gate::Wire), Just(Gate::Complete)],
        descriptors in 3..8_u32,
        tx_cancel in any::<bool>(),
    ) {
        let caps = Caps::ALL.with_tx_cancel(tx_cancel);
        let setup = Setup { packets: 32, fragments: 64, descriptors: 1 << descriptors, caps, ..Setup::default() };
        let [iterator, older] = both(setup, |setup| send(setup, before, &frames, through, gate));
        prop_assert_eq!(iterator, older);
    }

    #[test]
    fn receive_buffers_come_back_alike(
        before in 0..40_u64,
        frames in 0..50_u64,
        half_written in any::<bool>(),
        (packets, fragments, descriptors) in (3..7_u32, 3..7_u32, 2..8_u32),
    ) {
        let (packets, fragments, descriptors) = (1 << packets, 1 << fragments, 1 << descriptors);
        let setup = Setup { packets, fragments, descriptors, ..Setup::default() };
        let [iterator, older] = both(setup, |setup| receive(setup, before, frames, half_written));
        prop_assert_eq!(iterator, older);
    }
}
