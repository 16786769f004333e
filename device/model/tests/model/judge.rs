//! The judge: every finding provoked by a driver that is wrong on purpose, none by one that is not.

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
        let out = Virtqueue::new(0x1000, RING, event_idx);
        let back = Virtqueue::new((out.end() + 0xfff) & !0xfff, RING, event_idx);
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
fn chain_published_twice_while_in_flight_is_found() {
    both(|mut bench| {
        bench.hold(Gate::Wire);
        let head = bench.transmit(1);
        bench.out.publish(&bench.memory, head);
        bench.ring();
        assert_eq!(bench.found(), [(Rule::DescriptorReused, Some(head))]);
        assert_eq!(bench.tx.judge().findings()[0].at, bench.now);
    });
}

#[test]
fn chain_that_borrows_a_descriptor_in_flight_is_found() {
    both(|mut bench| {
        bench.hold(Gate::Wire);
        let head = bench.transmit(1);
        // 9 leads to the head in flight
        bench.out.put_descriptor(&bench.memory, 9, (0x1000, 12, 1, head));
        bench.out.publish(&bench.memory, 9);
        bench.ring();
        assert_eq!(bench.found(), [(Rule::DescriptorReused, Some(head))]);
    });
}

#[test]
fn descriptor_rewritten_in_flight_is_found() {
    both(|mut bench| {
        bench.hold(Gate::Complete);
        let head = bench.transmit(1);
        bench.out.put_descriptor(&bench.memory, head, (0x1000, 13, 1, head));
        bench.open();
        assert_eq!(bench.found(), [(Rule::DescriptorReused, Some(head))]);
    });
}

#[test]
fn descriptors_may_be_reused_once_they_are_back() {
    let mut bench = Bench::new(false);
    for number in 0..50 {
        bench.transmit(number);
        bench.reap();
    }
    assert_eq!(bench.found(), []);
}

#[test]
fn transmit_buffer_changed_in_flight_is_found() {
    both(|mut bench| {
        bench.hold(Gate::Complete);
        let head = bench.transmit(1);
        bench.transmit(2);
        bench.scribble(bench.out.buffer(head) + 4, 0x5555);
        bench.open();
        assert_eq!(bench.found(), [(Rule::BufferChanged, Some(head))], "the other is as it was");
    });
}

#[test]
fn indirect_buffers_and_tables_are_watched() {
    for spoilt in [0, 1] {
        let mut bench = Bench::new(false);
        bench.hold(Gate::Complete);
        let (table, data) = (bench.out.buffer(8), bench.out.buffer(9));
        bench.memory.write_obj(data, GuestAddress(table)).unwrap();
        bench.memory.write_obj(100u32, GuestAddress(table + 8)).unwrap();
        bench.memory.write_obj([0u16; 2], GuestAddress(table + 12)).unwrap();
        bench.out.put_descriptor(&bench.memory, 3, (table, 16, 4, 0));
        bench.out.publish(&bench.memory, 3);
        bench.ring();
        if spoilt == 1 {
            bench.scribble(data + 50, 0x5555);
        }
        bench.open();
        assert_eq!(bench.tx.snapshot(&bench.memory).totals.sent, 1);
        let expected = [(Rule::BufferChanged, Some(3))];
        assert_eq!(bench.found(), expected[..spoilt]);
    }
}

#[test]
fn posted_receive_buffer_that_changes_is_found() {
    both(|mut bench| {
        let heads = bench.post(2);
        bench.scribble(bench.back.buffer(heads[0] - 1), 0x5555);
        bench.scribble(bench.back.buffer(heads[0]), 0x5555);
        bench.rx.inject(frame(1, 60));
        bench.run();
        // The header's buffer, which comes first, is not looked at: drivers may share it.
        assert_eq!(bench.found(), [(Rule::BufferChanged, Some(heads[0]))]);
    });
}

#[test]
fn half_written_receive_buffer_that_changes_is_found() {
    both(|mut bench| {
        bench.rx.set_gate(Gate::RxWrite, false, bench.now);
        let heads = bench.post(1);
        bench.rx.inject(frame(1, 60));
        bench.run();
        bench.scribble(bench.back.buffer(heads[0] - 1) + 8, 0x5555);
        bench.open();
        assert_eq!(bench.found(), [(Rule::BufferChanged, Some(heads[0]))]);
    });
}

#[test]
fn receive_buffers_touched_before_stopped_are_found() {
    both(|mut bench| {
        bench.rx.set_gate(Gate::RxWrite, false, bench.now);
        let heads = bench.post(3);
        bench.rx.inject(frame(1, 60));
        bench.run();
        bench.command(Direction::Rx, Op::Cancel);
        assert_eq!(bench.rx.status().read().state(), Some(State::Cancelling));
        for head in [heads[0], heads[2]] {
            bench.scribble(bench.back.buffer(head - 1) + 8, 0x5555);
        }
        bench.open();
        let touched = |head| (Rule::ReceiveBufferTouched, Some(head));
        assert_eq!(bench.found(), [touched(heads[0]), touched(heads[2])]);
    });
}

#[test]
fn malformed_chain_is_found() {
    let mut bench = Bench::new(false);
    bench.out.put_descriptor(&bench.memory, 5, (0x1000, 0, 0, 0));
    bench.out.publish(&bench.memory, 5);
    bench.ring();
    bench.back.put_descriptor(&bench.memory, 6, (0x1000, 11, 2, 0));
    bench.back.publish(&bench.memory, 6);
    bench.rx.inject(frame(1, 60));
    bench.rx.doorbell(&bench.memory, bench.now);
    bench.run();
    assert_eq!(bench.found(), [(Rule::MalformedChain, Some(5)), (Rule::MalformedChain, Some(6))]);
}

#[test]
fn available_index_that_runs_ahead_is_found() {
    both(|mut bench| {
        bench.scribble(bench.out.avail() + 2, RING + 1);
        bench.ring();
        assert_eq!(bench.found(), [(Rule::AvailableRanAhead, None)]);
    });
}

#[test]
fn used_index_and_flags_written_by_the_driver_are_found() {
    for (offset, times) in [(0, 1), (2, 1)] {
        let mut bench = Bench::new(false);
        bench.transmit(1);
        bench.scribble(bench.out.used() + offset, 0x4444);
        bench.tx.look(&bench.memory, bench.now);
        assert_eq!(bench.found(), vec![(Rule::UsedRingWritten, None); times]);
    }
}

#[test]
fn used_element_written_by_the_driver_is_found_when_it_comes_round_or_at_the_end() {
    let mut bench = Bench::new(false);
    let head = bench.transmit(0);
    bench.reap();
    bench.scribble(bench.out.used() + 4, 0x0444);
    for number in 1..16 {
        bench.transmit(number);
        bench.reap();
    }
    assert_eq!(bench.found(), []);
    bench.transmit(16);
    assert_eq!(bench.found(), [(Rule::UsedRingWritten, Some(head))]);

    let mut bench = Bench::new(false);
    let head = bench.transmit(0);
    bench.scribble(bench.out.used() + 8, 0x0444);
    bench.leave();
    assert_eq!(bench.found(), [(Rule::UsedRingWritten, Some(head))]);
}

#[test]
fn doorbell_that_never_comes_is_found() {
    both(|mut bench| {
        bench.transmit(1);
        let head = bench.publish(2);
        bench.tx.look(&bench.memory, bench.now);
        bench.now += LATE - Duration::from_nanos(1);
        bench.tx.look(&bench.memory, bench.now);
        assert_eq!(bench.found(), []);
        bench.now += Duration::from_nanos(1);
        bench.tx.look(&bench.memory, bench.now);
        assert_eq!(bench.found(), [(Rule::DoorbellMissing, Some(head))]);
    });
}

#[test]
fn doorbells_for_nothing_are_found() {
    both(|mut bench| {
        bench.transmit(1);
        (0..8).for_each(|_| bench.ring());
        assert_eq!(bench.found()[0], (Rule::DoorbellNeedless, None));
    });
}

#[test]
fn doorbells_that_the_device_did_not_ask_for_are_found() {
    let mut bench = Bench::new(true);
    bench.hold(Gate::Fetch);
    for number in 0..8 {
        bench.transmit(number);
    }
    assert_eq!(bench.found()[0], (Rule::DoorbellNeedless, None));
    let mut bench = Bench::new(false);
    bench.hold(Gate::Fetch);
    for number in 0..8 {
        bench.transmit(number);
    }
    assert_eq!(bench.found(), [], "without VIRTIO_F_EVENT_IDX each is asked for");
}

#[test]
fn command_words_that_are_used_again_or_skip_are_found() {
    let net = NetConfig { mac: [2; 6], link_up: true, mtu: 1500, speed: 0, full_duplex: true };
    let bench = Bench::new(false);
    let mut config =
        ConfigSpace::new(&net, Caps::ALL, [&bench.tx, &bench.rx].map(|queue| (queue.id(), queue.status())));
    let mut write = |offset, seq, op| {
        let word = CommandWord::command(seq, op).into_bits().to_le_bytes();
        let misuses = config.write(offset, &word).misuses;
        misuses.iter().map(|misuse| (misuse.queue.direction(), misuse.rule)).collect::<Vec<_>>()
    };
    assert_eq!(write(0x80, 1, Op::Cancel), []);
    assert_eq!(write(0x80, 1, Op::Cancel), [], "the same word again is QEMU's");
    assert_eq!(write(0x80, 1, Op::Resume), [(Direction::Tx, Rule::CommandReused)]);
    assert_eq!(write(0x80, 3, Op::Resume), [(Direction::Tx, Rule::SeqSkipped)]);
    assert_eq!(write(0x80, 4, Op::Cancel), []);
    assert_eq!(write(0xc0, 0, Op::Cancel), [(Direction::Rx, Rule::CommandReused)]);
    assert_eq!(write(0xc0, 1, Op::Cancel), []);
}

#[test]
fn chains_published_between_cancel_and_stopped_are_found() {
    both(|mut bench| {
        bench.hold(Gate::Complete);
        bench.transmit(1);
        bench.command(Direction::Tx, Op::Cancel);
        let head = bench.transmit(2);
        assert_eq!(bench.tx.status().read().state(), Some(State::Cancelling));
        bench.open();
        assert_eq!(bench.found(), [(Rule::PublishedWhileCancelling, Some(head))]);
    });
}

#[test]
fn chains_may_be_published_behind_a_resume_that_waits() {
    both(|mut bench| {
        bench.hold(Gate::Complete);
        bench.transmit(1);
        bench.command(Direction::Tx, Op::Cancel);
        bench.command(Direction::Tx, Op::Resume);
        bench.transmit(2);
        bench.open();
        assert_eq!(bench.tx.snapshot(&bench.memory).totals.sent, 2);
        assert_eq!(bench.found(), []);
    });
}

#[test]
fn reset_with_frames_in_flight_is_found() {
    for gate in Gate::of(Direction::Tx).iter().copied() {
        let mut bench = Bench::new(false);
        bench.transmit(1);
        bench.reap();
        bench.hold(gate);
        let head = bench.transmit(2);
        bench.leave();
        bench.out.reset(&bench.memory);
        bench.back.reset(&bench.memory);
        bench.enter(0);
        assert_eq!(bench.found(), [(Rule::ResetInFlight, Some(head))], "{gate:?}");
    }
}

#[test]
fn reset_before_the_first_completion_is_told_from_a_pause() {
    let mut bench = Bench::new(false);
    bench.hold(Gate::Wire);
    let head = bench.transmit(1);
    assert_eq!(bench.leave(), 0);
    bench.enter(0);
    assert_eq!(bench.found(), [], "the machine was paused");
    bench.leave();
    bench.out.reset(&bench.memory);
    bench.enter(0);
    assert_eq!(bench.found(), [(Rule::ResetInFlight, Some(head))]);
}

#[test]
fn reset_with_buffers_posted_and_no_frame_in_flight_is_good() {
    let mut bench = Bench::new(false);
    bench.post(3);
    bench.transmit(1);
    bench.rx.inject(frame(1, 60));
    bench.run();
    bench.leave();
    bench.out.reset(&bench.memory);
    bench.back.reset(&bench.memory);
    bench.enter(0);
    assert_eq!(bench.found(), []);
}

/// What a bench finds against a sent frame of these bytes, header included, in a descriptor for each part.
fn sent(negotiated: Option<Negotiated>, parts: &[&[u8]]) -> Vec<(Rule, Option<u16>)> {
    let mut bench = Bench::new(false);
    if let Some(negotiated) = negotiated {
        bench.tx.negotiated(negotiated);
    }
    let head = bench.out.post_out(&bench.memory, parts);
    bench.ring();
    assert_eq!(bench.tx.snapshot(&bench.memory).totals.sent, 1);
    assert!(bench.found().iter().all(|(_, at)| *at == Some(head)));
    bench.found()
}

/// The device's driver accepts nothing but an MTU of 100.
const MTU_100: Negotiated = Negotiated { indirect: false, mtu: Some(100) };

#[test]
fn header_with_flags_or_a_segmentation_type_is_found() {
    let (frame, good) = (frame(1, 60), [0; 12]);
    for (at, value) in [(0, 1), (0, 2), (0, 0x80), (1, 1), (1, 0x83)] {
        let mut header = good;
        header[at] = value;
        let rules: Vec<_> = sent(None, &[&header, &frame]).iter().map(|(rule, _)| *rule).collect();
        assert_eq!(rules, [Rule::HeaderInvalid], "{at} {value}");
        let (first, second) = header.split_at(1);
        assert_eq!(sent(None, &[first, second, &frame]).len(), 1, "in pieces");
    }
    assert_eq!(sent(Some(MTU_100), &[&good, &frame]), []);
    let lengths = [0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 0, 0];
    assert_eq!(sent(None, &[&lengths, &frame]), [], "they mean nothing without flags and type");
}

#[test]
fn frame_that_is_shorter_than_its_ethernet_header_is_found() {
    let header = [0; 12];
    for (len, found) in [(1, 1), (13, 1), (14, 0)] {
        let rules = sent(Some(MTU_100), &[&header, &frame(1, 60)[..len]]);
        assert_eq!(rules.iter().filter(|(rule, _)| *rule == Rule::FrameTooShort).count(), found, "{len}");
    }
}

#[test]
fn frame_that_is_longer_than_the_negotiated_mtu_is_found() {
    let header = [0; 12];
    for (len, kind, found) in
        [(114, 0x0800_u16, 0), (115, 0x0800, 1), (118, 0x8100, 0), (119, 0x8100, 1), (118, 0x88a8, 0)]
    {
        let mut bytes = frame(1, len);
        bytes[12..14].copy_from_slice(&kind.to_be_bytes());
        let rules = sent(Some(MTU_100), &[&header, &bytes]);
        assert_eq!(
            rules.iter().filter(|(rule, _)| *rule == Rule::FrameTooLong).count(),
            found,
            "{len} {kind:x}"
        );
        assert_eq!(
            sent(Some(Negotiated { mtu: None, ..MTU_100 }), &[&header, &bytes]),
            [],
            "no MTU negotiated"
        );
    }
}

#[test]
fn indirect_descriptor_that_was_not_negotiated_is_found() {
    for indirect in [false, true] {
        let mut bench = Bench::new(false);
        bench.tx.negotiated(Negotiated { indirect, mtu: None });
        let (table, data) = (bench.out.buffer(8), bench.out.buffer(9));
        bench.memory.write_obj(data, GuestAddress(table)).unwrap();
        bench.memory.write_obj(100u32, GuestAddress(table + 8)).unwrap();
        bench.memory.write_obj([0u16; 2], GuestAddress(table + 12)).unwrap();
        bench.out.put_descriptor(&bench.memory, 3, (table, 16, 4, 0));
        bench.out.publish(&bench.memory, 3);
        bench.ring();
        let expected = [(Rule::FeatureNotNegotiated, Some(3))];
        assert_eq!(bench.found(), expected[..usize::from(!indirect)]);
    }
}

#[test]
fn frame_in_an_indirect_table_is_looked_at() {
    let mut bench = Bench::new(false);
    bench.tx.negotiated(Negotiated { indirect: true, mtu: Some(100) });
    let (table, data) = (bench.out.buffer(8), bench.out.buffer(9));
    // The chain goes from entry 0 to entry 2; entry 1 is in no chain.
    for (entry, (at, len, flags, next)) in
        [(data, 12u32, 1u16, 2u16), (data, 999, 0, 0), (data + 100, 115, 0, 0)].into_iter().enumerate()
    {
        let entry = table + 16 * entry as u64;
        bench.memory.write_obj(at, GuestAddress(entry)).unwrap();
        bench.memory.write_obj(len, GuestAddress(entry + 8)).unwrap();
        bench.memory.write_obj([flags, next], GuestAddress(entry + 12)).unwrap();
    }
    bench.scribble(data, 0x0101);
    bench.out.put_descriptor(&bench.memory, 3, (table, 48, 4, 0));
    bench.out.publish(&bench.memory, 3);
    bench.ring();
    assert_eq!(bench.found(), [(Rule::HeaderInvalid, Some(3)), (Rule::FrameTooLong, Some(3))]);
}

#[test]
fn flags_of_the_available_ring_that_were_not_negotiated_are_found_once() {
    for (event_idx, flags, found) in [(false, 1, 0), (true, 1, 1), (false, 2, 1), (false, 3, 1)] {
        let mut bench = Bench::new(event_idx);
        bench.scribble(bench.out.avail(), flags);
        for _ in 0..3 {
            bench.tx.look(&bench.memory, bench.now);
        }
        let expected = [(Rule::FeatureNotNegotiated, None)];
        assert_eq!(bench.found(), expected[..found], "{event_idx} {flags}");
    }
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
