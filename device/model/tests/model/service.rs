//! Entering and leaving service, by name; doorbells; the ring's size and wrap.

use std::time::Duration;

use cancelnic_model::Broken;
use cancelnic_registers::{CommandResult, Op, State};
use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use crate::world::{COMPLETE, Fate, Plan, RX_WRITE, RX0, TX0, TX1, WIRE, World};

const MS: Duration = Duration::from_millis(1);

#[test]
fn pause_drops_fetched_chains_and_sends_each_once_afterwards() {
    let mut world = World::new(Plan::default());
    world.gate(TX0, WIRE, false);
    world.step(TX0, WIRE, 3);
    let chains = world.post(TX0, 10);
    assert_eq!(world.snapshot(TX0).inside.fetched, 4);
    assert_eq!(world.leave(TX0), 3);
    assert_eq!(world.snapshot(TX0).inside.fetched, 0);
    world.enter(TX0, 3);
    world.gate(TX0, WIRE, true);
    assert_eq!(world.sent(TX0), chains);
    assert_eq!(world.fates(&chains), [Fate::Sent; 10]);
}

#[test]
fn pause_finishes_the_frame_on_the_wire_before_its_time() {
    let mut world = World::new(Plan { finite: true, ..Plan::default() });
    let chains = world.post(TX0, 3);
    assert_eq!(world.snapshot(TX0).inside.on_wire, 1);
    assert_eq!(world.leave(TX0), 1);
    assert_eq!(world.fates(&chains[..1]), [Fate::Sent]);
    assert_eq!(world.out(TX0), chains[1..]);
    world.enter(TX0, 1);
    world.advance(MS);
    assert_eq!(world.sent(TX0), chains);
}

#[test]
fn pause_completes_what_the_complete_gate_holds() {
    let mut world = World::new(Plan::default());
    world.gate(TX0, COMPLETE, false);
    let chains = world.post(TX0, 3);
    assert_eq!(world.leave(TX0), 3);
    assert_eq!(world.fates(&chains), [Fate::Sent; 3]);
}

#[test]
fn pause_finishes_a_cancel_whole_and_tells() {
    let mut world = World::new(Plan::default());
    world.post(TX0, 1);
    world.gate(TX0, COMPLETE, false);
    world.post(TX0, 1);
    world.gate(TX0, WIRE, false);
    world.post(TX0, 5);
    world.command(TX0, Op::Cancel);
    assert_eq!(world.state(TX0), State::Cancelling);
    assert_eq!(world.leave(TX0), 7);
    assert_eq!(world.state(TX0), State::Stopped);
    assert!(world.trace.last().unwrap().signal);
    assert!(world.out(TX0).is_empty());
    world.enter(TX0, 7);
    assert_eq!((world.state(TX0), world.status(TX0).count()), (State::Stopped, 5));
}

#[test]
fn pause_in_a_cancel_with_a_latched_resume_ends_running() {
    let mut world = World::new(Plan::default());
    world.gate(TX0, COMPLETE, false);
    world.post(TX0, 1);
    world.command(TX0, Op::Cancel);
    world.command(TX0, Op::Resume);
    world.leave(TX0);
    assert_eq!((world.state(TX0), world.status(TX0).result()), (State::Running, Some(CommandResult::Ok)));
    assert!(world.trace.last().unwrap().signal);
}

#[test]
fn pause_in_a_drain_sends_what_was_fetched_afterwards_and_no_more() {
    let mut world = World::new(Plan::default());
    let mut chains = world.post(TX0, 1);
    world.gate(TX0, WIRE, false);
    chains.extend(world.post(TX0, 6));
    world.command(TX0, Op::Drain);
    world.pause(TX0, MS);
    assert_eq!(world.state(TX0), State::Draining);
    world.gate(TX0, WIRE, true);
    assert_eq!(world.state(TX0), State::Stopped);
    assert_eq!(world.sent(TX0), chains[..5]);
    assert_eq!(world.out(TX0), chains[5..]);
}

#[test]
fn pause_completes_a_half_written_receive_frame() {
    let mut world = World::new(Plan::default());
    world.gate(RX0, RX_WRITE, false);
    let chains = world.post(RX0, 2);
    world.inject();
    assert_eq!(world.leave(RX0), 1);
    assert!(matches!(world.fates(&chains[..1])[..], [Fate::Received(_)]));
}

#[test]
fn stopped_queue_stays_stopped_over_a_pause_and_runs_after_a_reset() {
    let mut world = World::new(Plan::default());
    world.post(TX0, 1);
    world.command(TX0, Op::Cancel);
    world.pause(TX0, MS);
    assert_eq!(world.state(TX0), State::Stopped);
    world.reset(TX0);
    assert_eq!(world.state(TX0), State::Running);
    let chains = world.post(TX0, 2);
    assert_eq!(world.fates(&chains), [Fate::Sent; 2]);
}

#[test]
fn queue_left_before_its_first_completion_begins_anew() {
    let mut world = World::new(Plan::default());
    world.command(TX0, Op::Cancel);
    assert_eq!(world.leave(TX0), 0);
    world.enter(TX0, 0);
    assert_eq!(world.state(TX0), State::Running);
}

#[test]
fn frames_that_waited_outlive_a_pause_but_no_reset() {
    let mut world = World::new(Plan::default());
    world.post(RX0, 1);
    world.inject();
    world.inject();
    world.pause(RX0, MS);
    assert_eq!(world.snapshot(RX0).inside.pending, 1);
    world.reset(RX0);
    assert_eq!((world.snapshot(RX0).inside.pending, world.snapshot(RX0).totals.dropped), (0, 1));
}

#[test]
fn disabled_queue_fetches_nothing_and_completes_what_it_owes() {
    let mut world = World::new(Plan::default());
    world.gate(TX0, WIRE, false);
    let chains = world.post(TX0, 2);
    world.enable(TX0, false);
    let later = world.post(TX0, 2);
    world.gate(TX0, WIRE, true);
    assert_eq!(world.fates(&chains), [Fate::Sent; 2]);
    assert_eq!(world.out(TX0), later);
    let posted = world.post(RX0, 1);
    world.enable(RX0, false);
    world.inject();
    assert_eq!(world.out(RX0), posted);
}

#[test]
fn leaving_twice_gives_the_same_base() {
    let mut world = World::new(Plan::default());
    world.post(TX0, 5);
    assert_eq!(world.leave(TX0), 5);
    assert_eq!(world.leave(TX0), 5);
}

#[test]
fn rings_that_cannot_be_used_break_the_queue_and_nothing_else() {
    let mut world = World::new(Plan::default());
    let good = world.lanes[TX0].vq.rings(7);
    let memory = world.memory.inner.clone();
    for (rings, why) in [
        (cancelnic_model::Rings { size: 12, ..good }, Broken::Size(12)),
        (cancelnic_model::Rings { size: 0, ..good }, Broken::Size(0)),
        (cancelnic_model::Rings { desc: good.desc + 8, ..good }, Broken::Alignment),
        (cancelnic_model::Rings { avail: good.avail + 1, ..good }, Broken::Alignment),
        (cancelnic_model::Rings { used: good.used + 2, ..good }, Broken::Alignment),
        (cancelnic_model::Rings { used: 0x4000_0000, ..good }, Broken::Memory),
        (cancelnic_model::Rings { desc: !0xf, ..good }, Broken::Memory),
        (cancelnic_model::Rings { avail: 0, ..good }, Broken::Memory),
    ] {
        world.leave(TX0);
        let now = world.now;
        let turn = world.queue(TX0).enter(&memory, now, &rings);
        assert_eq!(turn.broke, Some(why));
        world.run(TX0);
        let snapshot = world.snapshot(TX0);
        assert!(snapshot.in_service && snapshot.broken);
        assert_eq!(world.command(TX0, Op::Cancel).result(), Some(CommandResult::Broken));
        assert_eq!(world.leave(TX0), 7);
    }
    world.lanes[TX0].vq.reset(&memory);
    world.enter(TX0, 0);
    let chains = world.post(TX0, 2);
    assert_eq!(world.fates(&chains), [Fate::Sent; 2]);
}

#[test]
fn available_index_that_runs_ahead_breaks_the_queue_until_it_leaves() {
    let mut world = World::new(Plan::default());
    world.gate(TX0, WIRE, false);
    let chains = world.post(TX0, 2);
    let at = GuestAddress(world.lanes[TX0].vq.avail() + 2);
    world.memory.inner.write_obj(40u16.to_le(), at).unwrap();
    world.run(TX0);
    assert!(world.snapshot(TX0).broken);
    let before = world.status(TX0);
    let after = world.command(TX0, Op::Cancel);
    assert_eq!((after.result(), after.state()), (Some(CommandResult::Broken), before.state()));
    // What was fetched before is not lost.
    world.gate(TX0, WIRE, true);
    assert_eq!(world.fates(&chains), [Fate::Sent; 2]);
    world.reset(TX0);
    assert!(!world.snapshot(TX0).broken);
    assert_eq!(world.post(TX0, 1).len(), 1);
    assert!(world.out(TX0).is_empty());
}

#[test]
fn chains_published_over_outstanding_ones_break_the_queue() {
    let mut world = World::new(Plan::default());
    world.gate(TX0, COMPLETE, false);
    world.post(TX0, 10);
    let at = GuestAddress(world.lanes[TX0].vq.avail() + 2);
    world.memory.inner.write_obj(17u16.to_le(), at).unwrap();
    let after = world.command(TX0, Op::Cancel);
    assert_eq!((after.result(), after.state()), (Some(CommandResult::Broken), Some(State::Running)));
    assert_eq!(world.snapshot(TX0).inside.off_wire, 10);
}

#[test]
fn cancel_that_finds_the_index_ahead_is_refused_and_changes_no_state() {
    let mut world = World::new(Plan::default());
    let at = GuestAddress(world.lanes[RX0].vq.avail() + 2);
    world.memory.inner.write_obj(17u16.to_le(), at).unwrap();
    let after = world.command(RX0, Op::Cancel);
    assert_eq!((after.result(), after.state()), (Some(CommandResult::Broken), Some(State::Running)));
    assert!(world.snapshot(RX0).broken);
}

#[test]
fn whole_virtqueue_of_the_largest_size_is_taken_back() {
    let mut world = World::new(Plan { ring: 32768, fifo_depth: 64, ..Plan::default() });
    world.gate(TX0, WIRE, false);
    let rings = world.lanes[TX0].vq.room();
    let mut chains = Vec::new();
    // All descriptors but those that the test's driver keeps back.
    while let Some(chain) = world.publish(TX0, 1) {
        chains.push(chain);
    }
    assert!(chains.len() > rings - 3);
    world.run(TX0);
    let status = world.command(TX0, Op::Cancel);
    assert_eq!((status.state(), usize::from(status.count())), (Some(State::Stopped), chains.len()));
    assert_eq!(world.fates(&chains), vec![Fate::TakenBack; chains.len()]);
    assert!(world.sent(TX0).is_empty());
}

#[test]
fn indices_wrap_with_sends_cancels_and_pauses() {
    let mut world = World::new(Plan { ring: 256, fifo_depth: 64, event_idx: true, ..Plan::default() });
    let (mut sent, mut back) = (0usize, 0usize);
    for round in 0..600 {
        world.gate(TX0, WIRE, round % 3 != 0);
        let chains = world.post(TX0, 250);
        if round % 3 == 0 {
            assert_eq!(world.command(TX0, Op::Cancel).count(), 250);
            world.command(TX0, Op::Resume);
            back += chains.len();
        } else {
            sent += chains.len();
        }
        if round % 50 == 7 {
            world.pause(TX0, MS);
        }
        assert!(world.out(TX0).is_empty());
        world.trace.clear();
    }
    assert!(sent + back > 2 * 65536);
    let snapshot = world.snapshot(TX0);
    assert_eq!((snapshot.totals.sent, snapshot.totals.taken_back), (sent as u64, back as u64));
    assert_eq!(snapshot.totals.completed, (sent + back) as u64);
}

#[test]
fn link_is_shared_fairly_and_back_to_back() {
    let mut world = World::new(Plan { finite: true, ..Plan::default() });
    let zero = world.post(TX0, 8);
    let one = world.post(TX1, 8);
    // One leap over everything gives the same times as many small ones.
    world.advance(Duration::from_millis(10));
    let mut left: Vec<_> = world.trace.iter().flat_map(|call| call.left.iter().copied()).collect();
    left.sort_by_key(|left| left.1);
    let expected: Vec<u64> = zero.iter().zip(&one).flat_map(|(zero, one)| [*zero, *one]).collect();
    assert_eq!(left.iter().map(|left| left.0).collect::<Vec<_>>(), expected);
    let mut time = Duration::ZERO;
    for (number, at) in left {
        time += Duration::from_micros(60 + number % 7 + 24);
        assert_eq!(at, time, "frame {number}");
    }
}

/// A queue that left service once freed the wire before its time; a queue that waited for that time then kept
/// its turn, and every other from the wire.
#[test]
fn queue_that_leaves_service_does_not_upset_the_turns_on_a_shared_wire() {
    let mut world = World::new(Plan { finite: true, ..Plan::default() });
    world.post(TX1, 1);
    let zero = world.post(TX0, 1);
    world.reset(TX1);
    let one = world.post(TX1, 1);
    world.advance(Duration::ZERO);
    assert_eq!((world.out(TX0), world.out(TX1)), (zero.clone(), one.clone()));
    world.advance(MS);
    assert_eq!(world.fates(&[zero, one].concat()), [Fate::Sent; 2]);
}

#[test]
fn cancel_on_one_queue_delays_no_frame_of_another_on_a_shared_wire() {
    let times = |cancel: bool| {
        let mut world = World::new(Plan { finite: true, ..Plan::default() });
        world.post(TX0, 8);
        world.post(TX1, 8);
        world.advance(Duration::from_micros(300));
        if cancel {
            world.command(TX0, Op::Cancel);
            world.run(TX0);
        }
        world.advance(Duration::from_millis(10));
        let times: Vec<Duration> = world
            .trace
            .iter()
            .filter(|call| call.lane == TX1)
            .flat_map(|call| call.left.iter().map(|left| left.1))
            .collect();
        times
    };
    let (calm, busy) = (times(false), times(true));
    assert_eq!(busy.len(), 8);
    assert!(busy.iter().zip(&calm).all(|(busy, calm)| busy <= calm));
    assert!(busy.last() < calm.last());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// A driver that rings only when the device asks for it (virtio 1.3 section 2.7.10) is served, and one
    /// that sleeps until an interrupt is woken.
    #[test]
    fn doorbells_and_interrupts_are_never_lost(
        event_idx in any::<bool>(),
        batches in prop::collection::vec((1usize..6, any::<bool>()), 1..40),
    ) {
        let mut world = World::new(Plan { event_idx, ..Plan::default() });
        for (count, rx) in batches {
            let lane = if rx { RX0 } else { TX0 };
            world.lanes[lane].vq.want_interrupts(&world.memory.inner, true);
            if rx {
                world.inject();
            }
            let old = world.lanes[lane].vq.avail_idx;
            let chains: Vec<u64> = (0..count).map_while(|_| world.publish(lane, 1)).collect();
            let trace = world.trace.len();
            if world.lanes[lane].vq.doorbell_wanted(&world.memory.inner, old) {
                world.run(lane);
            }
            if rx {
                prop_assert_eq!(world.snapshot(RX0).inside.pending, 0);
            } else {
                prop_assert_eq!(world.fates(&chains), vec![Fate::Sent; chains.len()]);
            }
            let used = world.trace[trace..].iter().filter(|call| !call.used.is_empty());
            prop_assert!(used.clone().all(|call| call.signal) || world.trace[trace..].iter().any(|call| call.signal));
            if rx {
                world.command(RX0, Op::Cancel);
                world.command(RX0, Op::Resume);
                world.run(RX0);
            }
        }
    }
}

#[test]
fn driver_that_wants_no_interrupts_gets_none() {
    for event_idx in [false, true] {
        let mut world = World::new(Plan { event_idx, ..Plan::default() });
        world.lanes[TX0].vq.want_interrupts(&world.memory.inner, false);
        let chains = world.post(TX0, 5);
        assert_eq!(world.fates(&chains), [Fate::Sent; 5]);
        assert!(world.trace.iter().all(|call| !call.signal));
        world.lanes[TX0].vq.want_interrupts(&world.memory.inner, true);
        world.post(TX0, 1);
        assert!(world.trace.iter().any(|call| call.signal));
    }
}

#[test]
fn queue_that_is_polled_asks_for_no_doorbell_until_it_is_not_or_a_command_comes() {
    let mut world = World::new(Plan::default());
    let wanted = |world: &World| world.lanes[TX0].vq.doorbell_wanted(&world.memory.inner, 0);
    assert!(wanted(&world));
    world.queue(TX0).set_polled(true);
    world.run(TX0);
    assert!(!wanted(&world));
    let chains = world.post(TX0, 3);
    assert_eq!(world.fates(&chains), [Fate::Sent; 3]);
    world.queue(TX0).set_polled(false);
    world.run(TX0);
    assert!(wanted(&world));
    world.queue(TX0).set_polled(true);
    world.run(TX0);
    world.command(TX0, Op::Cancel);
    assert_eq!(world.state(TX0), State::Stopped);
    assert!(wanted(&world), "before STATE read STOPPED");
    world.queue(TX0).set_polled(true);
    world.run(TX0);
    assert!(wanted(&world), "the used ring is left alone while it is stopped");
    assert_eq!(world.queue(TX0).judge().findings(), []);
}

#[test]
fn receive_queue_that_is_polled_asks_for_no_doorbell_though_no_frame_waits() {
    let mut world = World::new(Plan::default());
    world.queue(RX0).set_polled(true);
    world.run(RX0);
    assert!(!world.lanes[RX0].vq.doorbell_wanted(&world.memory.inner, 0));
    let base = world.leave(RX0);
    assert!(world.lanes[RX0].vq.doorbell_wanted(&world.memory.inner, 0));
    world.enter(RX0, base);
    assert_eq!(world.queue(RX0).judge().findings(), []);
}

#[test]
fn ring_that_is_shorter_than_a_run_is_not_left() {
    let mut world = World::new(Plan { ring: 2, fifo_depth: 64, ..Plan::default() });
    for _ in 0..40 {
        let chains = (0..2).map_while(|_| world.publish(TX0, 1)).collect::<Vec<_>>();
        world.run(TX0);
        assert_eq!(world.fates(&chains), vec![Fate::Sent; chains.len()]);
    }
}
