//! Random schedules: whatever the order of events, no frame is lost, none is told of twice, and the
//! sets that driver, device and wire report are the same.

use std::time::Duration;

use cancelnic_core::CancelForm;
use cancelnic_registers::Caps;
use proptest::prelude::*;

use crate::{
    machine::{RxMachine, Setup, TxMachine},
    nic::Gate,
    send_side::Fate,
};

/// Long enough for anything to leave the wire.
const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Debug)]
enum TxEvent {
    /// Give up to this many frames of so many fragments.
    Give(usize, u32),
    GiveIgnored,
    Advance,
    Arm,
    Interrupt,
    Run,
    Set(Gate, bool),
    Step(Gate, u64),
    Pass(u64),
    Cancel,
    /// Open everything, cancel, empty, stop, start.
    Restart,
}

fn tx_event() -> impl Strategy<Value = TxEvent> {
    let gate = prop_oneof![Just(Gate::Fetch), Just(Gate::Wire), Just(Gate::Complete)];
    prop_oneof![
        6 => (1..40_usize, 1..6_u32).prop_map(|(frames, pieces)| TxEvent::Give(frames, pieces)),
        1 => Just(TxEvent::GiveIgnored),
        4 => Just(TxEvent::Advance),
        2 => Just(TxEvent::Arm),
        2 => Just(TxEvent::Interrupt),
        3 => Just(TxEvent::Run),
        3 => (gate.clone(), any::<bool>()).prop_map(|(gate, open)| TxEvent::Set(gate, open)),
        3 => (gate, 1..20_u64).prop_map(|(gate, count)| TxEvent::Step(gate, count)),
        2 => (1..5_000_u64).prop_map(TxEvent::Pass),
        1 => Just(TxEvent::Cancel),
        2 => Just(TxEvent::Restart),
    ]
}

fn setup() -> impl Strategy<Value = Setup> {
    let sizes = (4..9_u32, 4..9_u32, 2..9_u32);
    let form = prop_oneof![Just(CancelForm::Iterator), Just(CancelForm::Older)];
    let speed = prop_oneof![Just(0), Just(10_000_000_u64)];
    (sizes, any::<[bool; 3]>(), speed, form).prop_map(
        |((packets, fragments, descriptors), [event_idx, tx_cancel, documented], speed, form)| Setup {
            packets: 1 << packets,
            fragments: 1 << fragments,
            descriptors: 1 << descriptors,
            event_idx,
            caps: Caps::ALL.with_tx_cancel(tx_cancel),
            speed,
            form,
            documented,
            mutant: None,
        },
    )
}

/// Everything that holds work lets go; the queue empties by its own means alone.
fn let_go(machine: &mut TxMachine) {
    for gate in [Gate::Fetch, Gate::Wire, Gate::Complete] {
        machine.nic.open(gate);
    }
    machine.run_woken();
    for _ in 0..1000 {
        if machine.side.outstanding() == 0 {
            return;
        }
        machine.nic.pass(LONG);
        machine.run();
    }
    panic!("{} packets never came back", machine.side.outstanding());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn transmitted_sets_agree(setup in setup(), events in prop::collection::vec(tx_event(), 1..120)) {
        let mut machine = TxMachine::new(setup);
        let mut ended = false;
        for event in events {
            match event {
                // After EvtCancel the framework gives no more.
                TxEvent::Give(..) | TxEvent::GiveIgnored if ended => {}
                TxEvent::Give(frames, pieces) => {
                    for _ in 0..frames {
                        let _ = machine.side.give(&machine.guest, pieces);
                    }
                }
                TxEvent::GiveIgnored if machine.side.rings.packets.room() == 0 => {}
                TxEvent::GiveIgnored => machine.side.give_ignored(),
                TxEvent::Advance => _ = machine.advance(),
                TxEvent::Arm => machine.arm(),
                TxEvent::Interrupt => machine.interrupt(),
                TxEvent::Run => machine.run_woken(),
                TxEvent::Set(gate, open) if open => machine.nic.open(gate),
                TxEvent::Set(gate, _) => machine.nic.close(gate),
                TxEvent::Step(gate, count) => machine.nic.step(gate, count),
                TxEvent::Pass(us) => machine.nic.pass(Duration::from_micros(us)),
                TxEvent::Cancel => {
                    machine.cancel();
                    ended = true;
                }
                TxEvent::Restart => {
                    machine.cancel();
                    let_go(&mut machine);
                    let _ = machine.stop();
                    machine.start();
                    ended = false;
                }
            }
        }
        machine.cancel();
        let_go(&mut machine);

        let sent = machine.side.with_fate(Fate::Sent);
        let taken_back = machine.side.with_fate(Fate::TakenBack);
        let never_posted = machine.side.with_fate(Fate::NeverPosted);
        prop_assert_eq!(&sent, &machine.nic.sent(), "sent is what was on the wire, in order");
        // Every frame given came back exactly once, in order: hence the three sets are disjoint and whole.
        let all: Vec<u64> = machine.side.returned.iter().map(|frame| frame.0).collect();
        prop_assert!(all.iter().copied().eq(0..all.len() as u64));
        let counters = machine.queue.counters();
        prop_assert_eq!(counters.sent, sent.len() as u64);
        prop_assert_eq!(counters.taken_back, taken_back.len() as u64);
        prop_assert_eq!(counters.never_posted, never_posted.len() as u64);
        prop_assert_eq!(counters.posted, counters.sent + counters.taken_back);
        prop_assert_eq!(&machine.faults, &[]);
        machine.nic.check_totals(counters.sent, counters.taken_back);
        if !setup.caps.tx_cancel() {
            prop_assert_eq!(taken_back.len(), 0);
        }
    }

    #[test]
    fn received_frames_are_each_told_once(
        setup in setup(),
        events in prop::collection::vec(rx_event(), 1..120),
    ) {
        let mut machine = RxMachine::new(setup);
        let mut next = 0;
        let mut ended = false;
        for event in events {
            match event {
                RxEvent::Inject(count) => {
                    for _ in 0..count {
                        next += u64::from(machine.nic.inject(next));
                    }
                }
                RxEvent::Advance => _ = machine.advance(),
                RxEvent::Arm => machine.arm(),
                RxEvent::Run => machine.run_woken(),
                RxEvent::Set(true) => machine.nic.open(Gate::RxWrite),
                RxEvent::Set(false) => machine.nic.close(Gate::RxWrite),
                RxEvent::Step(count) => machine.nic.step(Gate::RxWrite, count),
                RxEvent::Cancel => {
                    machine.cancel();
                    ended = true;
                }
                RxEvent::Restart => {
                    if !ended {
                        machine.cancel();
                    }
                    machine.nic.open(Gate::RxWrite);
                    machine.run_woken();
                    let _ = machine.stop();
                    machine.start();
                    ended = false;
                }
            }
            machine.side.check_buffers(&machine.guest);
        }
        machine.cancel();
        machine.nic.open(Gate::RxWrite);
        machine.run_woken();
        let _ = machine.stop();
        machine.start();
        machine.run();
        prop_assert!(machine.side.received.iter().copied().eq(0..next), "{:?}", machine.side.received);
        let counters = machine.queue.counters();
        prop_assert_eq!((counters.received, counters.malformed), (next, 0));
        prop_assert_eq!(counters.returned_empty, machine.side.empty);
        prop_assert_eq!(&machine.faults, &[]);
    }
}

#[derive(Clone, Debug)]
enum RxEvent {
    Inject(u64),
    Advance,
    Arm,
    Run,
    Set(bool),
    Step(u64),
    Cancel,
    /// Open the gate, cancel, empty, stop, start.
    Restart,
}

fn rx_event() -> impl Strategy<Value = RxEvent> {
    prop_oneof![
        6 => (1..40_u64).prop_map(RxEvent::Inject),
        4 => Just(RxEvent::Advance),
        2 => Just(RxEvent::Arm),
        3 => Just(RxEvent::Run),
        2 => any::<bool>().prop_map(RxEvent::Set),
        3 => (1..20_u64).prop_map(RxEvent::Step),
        1 => Just(RxEvent::Cancel),
        2 => Just(RxEvent::Restart),
    ]
}
