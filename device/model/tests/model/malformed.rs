//! Chains and rings that no honest driver makes.

use cancelnic_model::Frame;
use cancelnic_registers::{CommandWord, Op, QueueId};
use vm_memory::{Bytes, GuestAddress};

use crate::guest::{Virtqueue, frame};
use crate::world::{FETCH, Plan, RX0, TX0, WIRE, World};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
const REFUSED: u32 = 0x8000_0001;

type Raw = (u64, u32, u16, u16);

/// Descriptors 0.. of `lane`'s table, then head 0 published, between two good chains; the used lens.
fn around(lane: usize, descriptors: &[Raw]) -> (World, Vec<(u16, u32)>) {
    let mut world = World::new(Plan::default());
    let memory = world.memory.inner.clone();
    let mut vq = Virtqueue::new(world.lanes[lane].vq.start(), 16, false);
    let good = if lane == RX0 { WRITE } else { 0 };
    let mut bytes = vec![0; 12];
    bytes.extend(frame(1, 60));
    for index in [14, 15] {
        memory.write_slice(&bytes, GuestAddress(vq.buffer(index))).unwrap();
        vq.put_descriptor(&memory, index, (vq.buffer(index), 72, good, 0));
    }
    for (index, raw) in descriptors.iter().enumerate() {
        vq.put_descriptor(&memory, index as u16, *raw);
    }
    for head in [14, 0, 15] {
        vq.publish(&memory, head);
    }
    let mut wire = Sink::default();
    let (now, memory) = (world.now, &memory);
    if lane == RX0 {
        for number in [7, 8] {
            world.queue(RX0).inject(frame(number, 60));
        }
        while world.queue(RX0).run(memory, now, &mut wire).again {}
        assert_eq!(wire.0, [7, 8]);
    } else {
        while world.queue(lane).run(memory, now, &mut wire).again {}
        assert_eq!(wire.0, [1, 1]);
    }
    let used = vq.reap(memory);
    (world, used)
}

#[derive(Default)]
struct Sink(Vec<u64>);

impl cancelnic_model::Wire for Sink {
    fn transmit(&mut self, _: QueueId, frame: Frame, _: std::time::Duration) -> Option<Frame> {
        self.0.push(crate::guest::number(&frame));
        Some(frame)
    }
    fn delivered(&mut self, _: QueueId, frame: Frame, _: std::time::Duration) {
        self.0.push(crate::guest::number(&frame));
    }
}

fn refused_on_transmit(descriptors: &[Raw]) {
    let (mut world, used) = around(TX0, descriptors);
    assert_eq!(used, [(14, 0), (0, REFUSED), (15, 0)]);
    assert_eq!(world.snapshot(TX0).totals.refused, 1);
    assert!(!world.snapshot(TX0).broken);
}

fn refused_on_receive(descriptors: &[Raw]) {
    let (mut world, used) = around(RX0, descriptors);
    assert_eq!(used, [(14, 72), (0, 0), (15, 72)]);
    assert_eq!(world.snapshot(RX0).totals.refused, 1);
    assert!(!world.snapshot(RX0).broken);
}

const IN: u64 = 0x2000;
const OUTSIDE: u64 = 0x4000_0000;

#[test]
fn transmit_loop_is_refused() {
    refused_on_transmit(&[(IN, 40, NEXT, 1), (IN, 40, NEXT, 0)]);
}

#[test]
fn transmit_next_outside_the_table_is_refused() {
    refused_on_transmit(&[(IN, 40, NEXT, 16)]);
}

#[test]
fn transmit_buffer_outside_memory_is_refused() {
    refused_on_transmit(&[(IN, 40, NEXT, 1), (OUTSIDE, 40, 0, 0)]);
}

#[test]
fn transmit_buffer_around_the_end_of_the_address_space_is_refused() {
    refused_on_transmit(&[(u64::MAX - 20, 40, 0, 0)]);
}

#[test]
fn transmit_buffer_of_no_byte_is_refused() {
    refused_on_transmit(&[(IN, 40, NEXT, 1), (IN, 0, 0, 0)]);
}

#[test]
fn transmit_header_without_a_frame_is_refused() {
    refused_on_transmit(&[(IN, 12, 0, 0)]);
}

#[test]
fn transmit_writable_buffer_is_refused() {
    refused_on_transmit(&[(IN, 40, NEXT, 1), (IN, 40, WRITE, 0)]);
}

#[test]
fn transmit_of_more_than_65550_bytes_is_refused() {
    refused_on_transmit(&[(0, 65550, NEXT, 1), (0, 1, 0, 0)]);
}

#[test]
fn transmit_of_more_than_32_bits_is_refused() {
    refused_on_transmit(&[(0, 60, NEXT, 1), (0, u32::MAX, 0, 0)]);
}

#[test]
fn transmit_indirect_table_inside_an_indirect_table_is_refused() {
    // The table is the ring's own: its first entry is indirect again.
    refused_on_transmit(&[(0x1000, 32, INDIRECT, 0)]);
}

#[test]
fn transmit_indirect_table_of_odd_size_is_refused() {
    refused_on_transmit(&[(IN, 20, INDIRECT, 0)]);
}

#[test]
fn receive_loop_is_refused() {
    refused_on_receive(&[(IN, 40, NEXT | WRITE, 1), (IN, 40, NEXT | WRITE, 0)]);
}

#[test]
fn receive_readable_buffer_is_refused() {
    refused_on_receive(&[(IN, 40, NEXT | WRITE, 1), (IN, 40, 0, 0)]);
}

#[test]
fn receive_buffer_without_room_for_the_header_is_refused() {
    refused_on_receive(&[(IN, 11, WRITE, 0)]);
}

#[test]
fn receive_buffer_of_no_byte_is_refused() {
    refused_on_receive(&[(IN, 40, NEXT | WRITE, 1), (IN, 0, WRITE, 0)]);
}

#[test]
fn receive_buffer_outside_memory_is_refused() {
    refused_on_receive(&[(OUTSIDE, 2000, WRITE, 0)]);
}

#[test]
fn frame_longer_than_the_buffer_is_dropped_and_the_buffer_kept() {
    let mut world = World::new(Plan::default());
    let chains = world.post(RX0, 1);
    world.queue(RX0).inject(frame(1, 1601));
    world.run(RX0);
    let queue = world.snapshot(RX0);
    assert_eq!((queue.totals.dropped, queue.available, queue.inside.pending), (1, 1, 0));
    world.inject();
    assert_eq!(world.snapshot(RX0).totals.received, 1);
    assert!(world.out(RX0).is_empty());
    assert_eq!(chains.len(), 1);
}

#[test]
fn frames_beyond_the_limit_are_dropped_and_counted() {
    let mut world = World::new(Plan::default());
    for _ in 0..64 {
        world.inject();
    }
    assert_eq!((world.snapshot(RX0).inside.pending, world.snapshot(RX0).totals.dropped), (64, 0));
    assert_eq!(world.queue(RX0).room().0, 0);
    assert!(!world.queue(RX0).inject(frame(1, 60)));
    assert_eq!((world.snapshot(RX0).inside.pending, world.snapshot(RX0).totals.dropped), (64, 1));
}

#[test]
fn frames_that_wait_have_a_bounded_number_of_bytes() {
    let mut world = World::new(Plan::default());
    let frame = vec![7; 65_536];
    let fit = (0..20).take_while(|_| world.queue(RX0).inject(frame.clone())).count();
    assert_eq!((fit, world.queue(RX0).room()), (16, (48, 0)));
    assert_eq!(world.snapshot(RX0).totals.dropped, 1);
    world.reset(RX0);
    assert_eq!(world.queue(RX0).room(), (64, 16 * 65_536));
    assert!(world.queue(RX0).inject(frame));
}

#[test]
fn head_outside_the_table_is_skipped_and_the_queue_goes_on() {
    for (lane, cancel) in [(TX0, false), (TX0, true), (RX0, false), (RX0, true)] {
        let mut world = World::new(Plan::default());
        let memory = world.memory.inner.clone();
        world.gate(lane, WIRE.min(if lane == RX0 { 0 } else { WIRE }), !cancel);
        world.lanes[lane].vq.publish(&memory, 16);
        if lane == RX0 && !cancel {
            world.inject();
        }
        let chains = world.post(lane, 1);
        if cancel {
            assert_eq!(world.command(lane, Op::Cancel).count(), 1);
        }
        assert_eq!(world.fates(&chains).len(), 1);
        let refused = world.snapshot(lane).totals.refused;
        assert_eq!(refused, 1);
        // Two chains were taken, one used element was written: the base speaks of the former.
        assert_eq!(world.leave(lane), 2);
    }
}

#[test]
fn layouts_of_every_shape_carry_the_same_frame() {
    for cuts in 1..=3 {
        let mut world = World::new(Plan::default());
        let chains: Vec<u64> = (0..5).map_while(|_| world.publish(TX0, cuts)).collect();
        world.run(TX0);
        // The wire checks every byte.
        assert_eq!(world.sent(TX0), chains);
    }
}

#[test]
fn indirect_chain_is_sent() {
    let mut world = World::new(Plan::default());
    let memory = world.memory.inner.clone();
    let vq = &mut world.lanes[TX0].vq;
    let mut bytes = vec![0; 12];
    bytes.extend(frame(5, 60));
    memory.write_slice(&bytes, GuestAddress(vq.buffer(3))).unwrap();
    let table = Virtqueue::new(vq.buffer(4), 2, false);
    table.put_descriptor(&memory, 0, (vq.buffer(3), 12, NEXT, 1));
    table.put_descriptor(&memory, 1, (vq.buffer(3) + 12, 60, 0, 0));
    vq.put_descriptor(&memory, 0, (table.desc(), 32, INDIRECT, 0));
    vq.publish(&memory, 0);
    let mut wire = Sink::default();
    let now = world.now;
    while world.queue(TX0).run(&memory, now, &mut wire).again {}
    assert_eq!(wire.0, [5]);
}

/// Hears of frames taken back, by length; `None` is one that is not read.
#[derive(Default)]
struct TakenBack(Vec<Option<usize>>);

impl cancelnic_model::Wire for TakenBack {
    fn transmit(&mut self, _: QueueId, frame: Frame, _: std::time::Duration) -> Option<Frame> {
        Some(frame)
    }
    fn wants_taken_back(&self) -> bool {
        true
    }
    fn taken_back(&mut self, _: QueueId, bytes: Option<&[u8]>, _: std::time::Duration) {
        self.0.push(bytes.map(<[u8]>::len));
    }
}

/// Writes these descriptors behind a closed fetch gate, publishes the heads and cancels.
fn taken_back(descriptors: &[Raw], heads: &[u16]) -> Vec<Option<usize>> {
    let mut world = World::new(Plan::default());
    world.gate(TX0, FETCH, false);
    let memory = world.memory.inner.clone();
    let vq = &mut world.lanes[TX0].vq;
    let mut bytes = vec![0; 12];
    bytes.extend(frame(6, 60));
    memory.write_slice(&bytes, GuestAddress(vq.buffer(15))).unwrap();
    vq.put_descriptor(&memory, 15, (vq.buffer(15), 72, 0, 0));
    for (index, raw) in descriptors.iter().enumerate() {
        vq.put_descriptor(&memory, index as u16, *raw);
    }
    heads.iter().for_each(|head| vq.publish(&memory, *head));
    let mut wire = TakenBack::default();
    let (now, word) = (world.now, CommandWord::command(1, Op::Cancel));
    let _ = world.queue(TX0).command(&memory, now, word, &mut wire);
    assert_eq!(world.snapshot(TX0).totals.taken_back, heads.len() as u64);
    wire.0
}

#[test]
fn malformed_chain_is_taken_back_unread() {
    assert_eq!(taken_back(&[(OUTSIDE, 40, 0, 0)], &[15, 0]), [Some(60), None]);
}

#[test]
fn one_cancel_reads_about_as_many_descriptors_as_an_honest_table_has() {
    // Chains of 14, 13 and 12 descriptors share their ends; the ring has 16.
    let mut chain: Vec<Raw> = (1..=14).map(|next| (IN, 40, NEXT, next)).collect();
    chain[13] = (IN, 40, 0, 0);
    let told = taken_back(&chain, &[15, 0, 1, 2, 15]);
    assert_eq!(told, [Some(60), Some(14 * 40 - 12), Some(13 * 40 - 12), None, None]);
}
