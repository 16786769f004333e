//! The judge: every finding provoked by a driver that is wrong on purpose, none by one that is not.

mod chain;
mod frame;
mod ring;

use std::collections::HashSet;
use std::time::Duration;

use cancelnic_model::{ConfigSpace, Gate, KEPT, LATE, Negotiated, NetConfig, Queue, Rule, Settings};
use cancelnic_registers::{Caps, CommandWord, Direction, Op, QueueId, State};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::guest::{Nowhere, Virtqueue, frame, settings};
use crate::schedule::{plan, play, steps};
use crate::world::{RX_BUFFERS, RX0, TX0, TX1};

const RING: u16 = 16;

/// A transmit and a receive queue with a driver each, under the eyes of their judges.
struct Bench {
    memory: GuestMemoryMmap<()>,
    tx: Queue,
    rx: Queue,
    out: Virtqueue,
    back: Virtqueue,
    now: Duration,
    seq: u8,
}

impl Bench {
    fn new(event_idx: bool) -> Bench {
        Bench::with(&settings(4), event_idx)
    }

    fn with(settings: &Settings, event_idx: bool) -> Bench {
        Bench::of_size(RING, settings, event_idx)
    }

    fn of_size(ring: u16, settings: &Settings, event_idx: bool) -> Bench {
        let out = Virtqueue::new(0x1000, ring, event_idx);
        let back = Virtqueue::new((out.end() + 0xfff) & !0xfff, ring, event_idx);
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), back.end() as usize)]).unwrap();
        let (tx, rx) = (Queue::new(QueueId::TX0, settings), Queue::new(QueueId::RX0, settings));
        let mut bench = Bench { memory, tx, rx, out, back, now: Duration::from_micros(5), seq: 0 };
        bench.tx.set_enabled(true);
        bench.rx.set_enabled(true);
        bench.enter(0);
        bench
    }

    fn enter(&mut self, base: u16) {
        let _ = self.tx.enter(&self.memory, self.now, &self.out.rings(base));
        let _ = self.rx.enter(&self.memory, self.now, &self.back.rings(base));
        self.run();
    }

    fn leave(&mut self) -> u16 {
        let _ = self.rx.leave(&self.memory, self.now, &mut Nowhere);
        self.tx.leave(&self.memory, self.now, &mut Nowhere).base
    }

    fn run(&mut self) {
        while self.tx.run(&self.memory, self.now, &mut Nowhere).again {}
        while self.rx.run(&self.memory, self.now, &mut Nowhere).again {}
    }

    fn ring(&mut self) {
        self.tx.doorbell(&self.memory, self.now);
        self.run();
    }

    fn publish(&mut self, number: u64) -> u16 {
        let mut bytes = vec![0; 12];
        bytes.extend(frame(number, 100));
        let (header, frame) = bytes.split_at(12);
        self.out.post_out(&self.memory, &[header, frame])
    }

    fn transmit(&mut self, number: u64) -> u16 {
        let head = self.publish(number);
        self.ring();
        head
    }

    fn reap(&mut self) {
        for (head, _) in self.out.reap(&self.memory) {
            self.out.release(head);
        }
        for (head, _) in self.back.reap(&self.memory) {
            self.back.release(head);
        }
    }

    fn post(&mut self, count: usize) -> Vec<u16> {
        let before = self.back.avail_idx;
        let heads = (0..count).map(|_| self.back.post_in(&self.memory, &RX_BUFFERS)).collect();
        if self.back.doorbell_wanted(&self.memory, before) {
            self.rx.doorbell(&self.memory, self.now);
        }
        self.run();
        heads
    }

    fn command(&mut self, direction: Direction, op: Op) {
        self.seq += 1;
        let word = CommandWord::command(self.seq, op);
        let queue = match direction {
            Direction::Tx => &mut self.tx,
            Direction::Rx => &mut self.rx,
        };
        let _ = queue.command(&self.memory, self.now, word, &mut Nowhere);
        self.run();
    }

    fn hold(&mut self, gate: Gate) {
        self.tx.set_gate(gate, false, self.now);
    }

    fn open(&mut self) {
        for gate in Gate::of(Direction::Tx).iter().copied() {
            self.tx.set_gate(gate, true, self.now);
        }
        self.rx.set_gate(Gate::RxWrite, true, self.now);
        self.run();
    }

    fn scribble(&self, at: u64, value: u16) {
        self.memory.write_obj(value.to_le(), GuestAddress(at)).unwrap();
    }

    fn found(&self) -> Vec<(Rule, Option<u16>)> {
        let all = self.tx.judge().findings().iter().chain(self.rx.judge().findings());
        all.map(|finding| (finding.rule, finding.descriptor)).collect()
    }
}

fn both(mut provoke: impl FnMut(Bench)) {
    provoke(Bench::new(false));
    provoke(Bench::new(true));
}

#[test]
fn honest_driver_is_found_nothing_against() {
    both(|mut bench| {
        for round in 0..100 {
            bench.post(1);
            for number in 0..3 {
                let before = bench.out.avail_idx;
                bench.publish(3 * round + number);
                if bench.out.doorbell_wanted(&bench.memory, before) {
                    bench.ring();
                }
            }
            bench.rx.inject(frame(round, 60));
            bench.run();
            bench.reap();
            bench.now += Duration::from_secs(1);
            if round % 10 == 9 {
                bench.hold(Gate::Wire);
                bench.rx.set_gate(Gate::RxWrite, false, bench.now);
                let before = bench.out.avail_idx;
                bench.publish(1000 + round);
                if bench.out.doorbell_wanted(&bench.memory, before) {
                    bench.ring();
                }
                bench.rx.inject(frame(2000 + round, 60));
                bench.post(1);
                bench.command(Direction::Tx, Op::Cancel);
                bench.seq -= 1;
                bench.command(Direction::Rx, Op::Cancel);
                bench.open();
                bench.reap();
                bench.command(Direction::Tx, Op::Resume);
                bench.seq -= 1;
                bench.command(Direction::Rx, Op::Resume);
            }
        }
        assert_eq!(bench.found(), []);
    });
}

#[test]
fn judge_that_is_off_finds_nothing_and_one_that_is_on_keeps_the_first() {
    let mut bench = Bench::new(false);
    bench.transmit(1);
    bench.scribble(bench.out.used() + 2, 0x4444);
    for _ in 0..100 {
        bench.tx.look(&bench.memory, bench.now);
    }
    assert_eq!((bench.tx.judge().findings().len(), bench.tx.judge().total()), (KEPT, 100));

    let mut bench = Bench::with(&Settings { judged: false, ..settings(4) }, false);
    bench.transmit(1);
    bench.scribble(bench.out.used() + 2, 0x4444);
    bench.tx.look(&bench.memory, bench.now);
    assert_eq!((bench.found(), bench.tx.judge().is_on()), (vec![], false));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the order of things, a driver that keeps to its rings is found nothing against. (These
    /// schedules publish while a cancel is under way, reset at any time, and ring no doorbell: those rules
    /// have tests of their own.)
    #[test]
    fn honest_rings_are_found_nothing_against(plan in plan(), steps in steps()) {
        let mut world = play(plan, &steps);
        let allowed = HashSet::from([Rule::PublishedWhileCancelling, Rule::ResetInFlight, Rule::DoorbellMissing]);
        let mut found: Vec<_> =
            [TX0, TX1, RX0].iter().flat_map(|lane| world.queue(*lane).judge().findings().to_vec()).collect();
        found.retain(|finding| !allowed.contains(&finding.rule));
        prop_assert!(found.is_empty(), "{:?}", found);
    }
}
