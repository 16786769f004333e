//! Every cell of the table "state and command", and the commands that are refused.

use std::time::Duration;

use cancelnic_registers::{Caps, CommandResult, CommandWord, Op, State, StatusWord};

use crate::guest::Nowhere;
use crate::world::{COMPLETE, FETCH, Fate, Plan, RX_WRITE, RX0, TX0, WIRE, What, World};

/// Two frames off the wire and not completed, two in the FIFO, two in the ring.
fn running() -> (World, Vec<u64>) {
    let mut world = World::new(Plan::default());
    world.gate(TX0, COMPLETE, false);
    world.gate(TX0, WIRE, false);
    world.step(TX0, WIRE, 2);
    world.gate(TX0, FETCH, false);
    world.step(TX0, FETCH, 4);
    let chains = world.post(TX0, 6);
    let queue = world.snapshot(TX0);
    assert_eq!((queue.available, queue.inside.fetched, queue.inside.off_wire), (2, 2, 2));
    (world, chains)
}

fn cancelling() -> (World, Vec<u64>) {
    let (mut world, chains) = running();
    world.command(TX0, Op::Cancel);
    assert_eq!(world.state(TX0), State::Cancelling);
    (world, chains)
}

fn draining() -> (World, Vec<u64>) {
    let (mut world, chains) = running();
    world.command(TX0, Op::Drain);
    assert_eq!(world.state(TX0), State::Draining);
    (world, chains)
}

/// STOPPED, with one chain made available since.
fn stopped() -> (World, Vec<u64>) {
    let mut world = World::new(Plan::default());
    world.command(TX0, Op::Cancel);
    let chains = world.post(TX0, 1);
    assert_eq!(world.state(TX0), State::Stopped);
    (world, chains)
}

fn shows(word: StatusWord, state: State, result: CommandResult, count: u16) {
    assert_eq!((word.state(), word.result(), word.count()), (Some(state), Some(result), count));
}

fn open_all(world: &mut World) {
    for gate in [FETCH, WIRE, COMPLETE] {
        world.gate(TX0, gate, true);
    }
}

const SENT: Fate = Fate::Sent;
const BACK: Fate = Fate::TakenBack;

#[test]
fn running_cancel_takes_back_and_waits_for_what_is_off_the_wire() {
    let (mut world, chains) = running();
    shows(world.command(TX0, Op::Cancel), State::Cancelling, CommandResult::Ok, 4);
    assert_eq!(world.out(TX0), chains);
    let queue = world.snapshot(TX0);
    assert_eq!((queue.available, queue.inside.fetched, queue.inside.off_wire), (0, 0, 2));
    world.gate(TX0, COMPLETE, true);
    shows(world.status(TX0), State::Stopped, CommandResult::Ok, 4);
    assert_eq!(world.fates(&chains), [SENT, SENT, BACK, BACK, BACK, BACK]);
}

#[test]
fn running_cancel_stops_at_once_if_nothing_holds_it() {
    let mut world = World::new(Plan::default());
    world.gate(TX0, WIRE, false);
    let chains = world.post(TX0, 6);
    shows(world.command(TX0, Op::Cancel), State::Stopped, CommandResult::Ok, 6);
    assert_eq!(world.fates(&chains), [BACK; 6]);
}

#[test]
fn running_resume_stays() {
    let (mut world, _) = running();
    shows(world.command(TX0, Op::Resume), State::Running, CommandResult::Ok, 0);
}

#[test]
fn running_drain_sends_what_is_fetched_and_no_more() {
    let (mut world, chains) = running();
    shows(world.command(TX0, Op::Drain), State::Draining, CommandResult::Ok, 0);
    open_all(&mut world);
    shows(world.status(TX0), State::Stopped, CommandResult::Ok, 0);
    assert_eq!(world.fates(&chains[..4]), [SENT; 4]);
    assert_eq!(world.out(TX0), chains[4..]);
}

#[test]
fn running_drain_stops_at_once_if_nothing_is_fetched() {
    let mut world = World::new(Plan::default());
    shows(world.command(TX0, Op::Drain), State::Stopped, CommandResult::Ok, 0);
}

#[test]
fn cancelling_cancel_joins_and_takes_back_what_came_since() {
    let (mut world, mut chains) = cancelling();
    chains.extend(world.post(TX0, 3));
    shows(world.command(TX0, Op::Cancel), State::Cancelling, CommandResult::Ok, 7);
    world.gate(TX0, COMPLETE, true);
    shows(world.status(TX0), State::Stopped, CommandResult::Ok, 7);
    assert_eq!(world.fates(&chains), [SENT, SENT, BACK, BACK, BACK, BACK, BACK, BACK, BACK]);
}

#[test]
fn cancelling_leaves_alone_what_came_since() {
    let (mut world, _) = cancelling();
    let later = world.post(TX0, 3);
    open_all(&mut world);
    shows(world.status(TX0), State::Stopped, CommandResult::Ok, 4);
    assert_eq!(world.out(TX0), later);
}

#[test]
fn cancelling_resume_is_latched() {
    let (mut world, chains) = cancelling();
    shows(world.command(TX0, Op::Resume), State::Cancelling, CommandResult::Pending, 4);
    let later = world.post(TX0, 1);
    open_all(&mut world);
    shows(world.status(TX0), State::Running, CommandResult::Ok, 4);
    assert_eq!(world.fates(&chains), [SENT, SENT, BACK, BACK, BACK, BACK]);
    assert_eq!(world.fates(&later), [SENT]);
}

#[test]
fn cancelling_drain_lets_the_cancel_stand() {
    let (mut world, chains) = cancelling();
    shows(world.command(TX0, Op::Drain), State::Cancelling, CommandResult::Ok, 4);
    open_all(&mut world);
    shows(world.status(TX0), State::Stopped, CommandResult::Ok, 4);
    assert_eq!(world.fates(&chains), [SENT, SENT, BACK, BACK, BACK, BACK]);
}

#[test]
fn draining_cancel_overrides_the_drain() {
    let (mut world, chains) = draining();
    shows(world.command(TX0, Op::Cancel), State::Cancelling, CommandResult::Ok, 4);
    open_all(&mut world);
    shows(world.status(TX0), State::Stopped, CommandResult::Ok, 4);
    assert_eq!(world.fates(&chains), [SENT, SENT, BACK, BACK, BACK, BACK]);
}

#[test]
fn draining_resume_is_latched() {
    let (mut world, chains) = draining();
    shows(world.command(TX0, Op::Resume), State::Draining, CommandResult::Pending, 0);
    open_all(&mut world);
    shows(world.status(TX0), State::Running, CommandResult::Ok, 0);
    assert_eq!(world.fates(&chains), [SENT; 6]);
}

#[test]
fn draining_drain_joins() {
    let (mut world, chains) = draining();
    shows(world.command(TX0, Op::Drain), State::Draining, CommandResult::Ok, 0);
    open_all(&mut world);
    shows(world.status(TX0), State::Stopped, CommandResult::Ok, 0);
    assert_eq!(world.out(TX0), chains[4..]);
}

#[test]
fn stopped_cancel_takes_back_what_is_available() {
    let (mut world, chains) = stopped();
    shows(world.command(TX0, Op::Cancel), State::Stopped, CommandResult::Ok, 1);
    assert_eq!(world.fates(&chains), [BACK]);
    shows(world.command(TX0, Op::Cancel), State::Stopped, CommandResult::Ok, 0);
}

#[test]
fn stopped_resume_runs() {
    let (mut world, chains) = stopped();
    shows(world.command(TX0, Op::Resume), State::Running, CommandResult::Ok, 0);
    world.run(TX0);
    assert_eq!(world.fates(&chains), [SENT]);
}

#[test]
fn stopped_drain_stays() {
    let (mut world, chains) = stopped();
    shows(world.command(TX0, Op::Drain), State::Stopped, CommandResult::Ok, 0);
    world.run(TX0);
    assert_eq!(world.out(TX0), chains);
}

#[test]
fn latched_resume_is_dropped_by_a_later_cancel() {
    let (mut world, _) = cancelling();
    world.command(TX0, Op::Resume);
    shows(world.command(TX0, Op::Cancel), State::Cancelling, CommandResult::Ok, 4);
    open_all(&mut world);
    shows(world.status(TX0), State::Stopped, CommandResult::Ok, 4);
}

#[test]
fn latched_resume_is_dropped_by_a_later_drain() {
    let (mut world, _) = draining();
    world.command(TX0, Op::Resume);
    shows(world.command(TX0, Op::Drain), State::Draining, CommandResult::Ok, 0);
    open_all(&mut world);
    shows(world.status(TX0), State::Stopped, CommandResult::Ok, 0);
}

#[test]
fn count_starts_anew_with_a_cancel_that_joins_none() {
    let (mut world, _) = stopped();
    world.command(TX0, Op::Resume);
    world.run(TX0);
    world.gate(TX0, WIRE, false);
    world.post(TX0, 3);
    shows(world.command(TX0, Op::Cancel), State::Stopped, CommandResult::Ok, 3);
}

// Receive. There is no DRAIN; the frame that is being written plays the part of the frame on the wire.

/// One frame half written, three more buffers posted.
fn receiving() -> (World, Vec<u64>) {
    let mut world = World::new(Plan::default());
    world.gate(RX0, RX_WRITE, false);
    let chains = world.post(RX0, 4);
    world.inject();
    let queue = world.snapshot(RX0);
    assert_eq!((queue.available, queue.inside.writing, queue.inside.pending), (3, 1, 0));
    (world, chains)
}

#[test]
fn receive_running_cancel_returns_all_but_the_buffer_being_written() {
    let (mut world, chains) = receiving();
    shows(world.command(RX0, Op::Cancel), State::Cancelling, CommandResult::Ok, 3);
    assert_eq!(world.out(RX0), chains);
    world.gate(RX0, RX_WRITE, true);
    shows(world.status(RX0), State::Stopped, CommandResult::Ok, 3);
    let fates = world.fates(&chains);
    assert!(matches!(fates[0], Fate::Received(_)));
    assert_eq!(fates[1..], [BACK; 3]);
}

#[test]
fn receive_running_cancel_stops_at_once_if_nothing_is_being_written() {
    let mut world = World::new(Plan::default());
    let chains = world.post(RX0, 4);
    shows(world.command(RX0, Op::Cancel), State::Stopped, CommandResult::Ok, 4);
    assert_eq!(world.fates(&chains), [BACK; 4]);
    world.inject();
    assert_eq!(world.snapshot(RX0).inside.pending, 1);
}

#[test]
fn receive_cancelling_cancel_joins() {
    let (mut world, mut chains) = receiving();
    world.command(RX0, Op::Cancel);
    chains.extend(world.post(RX0, 2));
    shows(world.command(RX0, Op::Cancel), State::Cancelling, CommandResult::Ok, 5);
    world.step(RX0, RX_WRITE, 1);
    shows(world.status(RX0), State::Stopped, CommandResult::Ok, 5);
    assert_eq!(world.fates(&chains)[1..], [BACK; 5]);
}

#[test]
fn receive_cancelling_resume_is_latched() {
    let (mut world, _) = receiving();
    world.command(RX0, Op::Cancel);
    shows(world.command(RX0, Op::Resume), State::Cancelling, CommandResult::Pending, 3);
    let later = world.post(RX0, 1);
    world.inject();
    world.gate(RX0, RX_WRITE, true);
    shows(world.status(RX0), State::Running, CommandResult::Ok, 3);
    assert!(matches!(world.fates(&later)[..], [Fate::Received(_)]));
}

#[test]
fn receive_drain_is_not_supported_and_keeps_a_latched_resume() {
    let (mut world, _) = receiving();
    world.command(RX0, Op::Cancel);
    world.command(RX0, Op::Resume);
    shows(world.command(RX0, Op::Drain), State::Cancelling, CommandResult::NotSupported, 3);
    world.gate(RX0, RX_WRITE, true);
    shows(world.status(RX0), State::Running, CommandResult::NotSupported, 3);
}

#[test]
fn receive_stopped_resume_serves_the_frames_that_waited() {
    let mut world = World::new(Plan::default());
    world.command(RX0, Op::Cancel);
    world.inject();
    let chains = world.post(RX0, 2);
    assert_eq!(world.out(RX0), chains);
    world.command(RX0, Op::Resume);
    world.run(RX0);
    assert!(matches!(world.fates(&chains[..1])[..], [Fate::Received(_)]));
}

// Refusals

#[test]
fn commands_that_the_caps_do_not_have_are_refused() {
    let plan = Plan { caps: Caps::new(), ..Plan::default() };
    let mut world = World::new(plan);
    for lane in [TX0, RX0] {
        shows(world.command(lane, Op::Cancel), State::Running, CommandResult::NotSupported, 0);
        shows(world.command(lane, Op::Drain), State::Running, CommandResult::NotSupported, 0);
        shows(world.command(lane, Op::Resume), State::Running, CommandResult::Ok, 0);
    }
    let chains = world.post(TX0, 3);
    assert_eq!(world.fates(&chains), [SENT; 3]);
}

#[test]
fn unknown_operation_is_taken_and_refused() {
    let mut world = World::new(Plan::default());
    let memory = world.memory.inner.clone();
    let word = CommandWord::new().with_seq(9).with_op_bits(4);
    let now = world.now;
    let turn = world.queue(RX0).command(&memory, now, word, &mut Nowhere);
    assert!(!turn.signal);
    let status = world.status(RX0);
    assert_eq!(status.seq(), 9);
    shows(status, State::Running, CommandResult::UnknownOp, 0);
}

#[test]
fn command_out_of_service_is_taken_and_refused_and_changes_no_state() {
    let (mut world, _) = stopped();
    world.leave(TX0);
    let seq = world.status(TX0).seq();
    let status = world.command(TX0, Op::Resume);
    shows(status, State::Stopped, CommandResult::NotInService, 0);
    assert_eq!(status.seq(), seq + 1);
}

#[test]
fn taken_back_frame_leaves_the_wire_free_for_others() {
    let mut world = World::new(Plan { finite: true, ..Plan::default() });
    let first = world.post(TX0, 2);
    let other = world.post(crate::world::TX1, 1);
    world.command(TX0, Op::Cancel);
    world.advance(Duration::from_micros(200));
    assert_eq!(world.fates(&first), [SENT, BACK]);
    assert_eq!(world.fates(&other), [SENT]);
    let command = world.trace.iter().filter(|call| call.what == What::Command(Op::Cancel)).count();
    assert_eq!(command, 1);
}
