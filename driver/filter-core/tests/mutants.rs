//! Each deliberate fault does what its name says, and the world around the module notices.
#![cfg(feature = "mutants")]

mod world;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use cancelnic_filter_core::{Books, List as _, Lock, Outcome};
use cancelnic_mutants::Mutant;
use world::{Nbl, World};

struct Plain(Mutex<Books<Nbl>>);

impl Lock<Books<Nbl>> for Plain {
    fn with<R>(&self, act: impl FnOnce(&mut Books<Nbl>) -> R) -> R {
        act(&mut self.0.lock().expect("no panic under the lock"))
    }
}

const ID: u64 = 1 << 56 | 7;
const OTHER_DRIVER: u64 = 2 << 56 | 7;

/// A running module with a closed gate.
fn holding(mutant: Mutant) -> Arc<World<Plain>> {
    let world = World::new(Plain(Mutex::new(Books::new())), false, Box::new(|| ()));
    world.module.restart::<Nbl>();
    world.module.hold::<Nbl>(1, 0);
    world.module.show_mutant::<Nbl>(mutant.number());
    world
}

/// What the ledger says of a call.
fn complaint(act: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).expect_err("the ledger must notice");
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).into()))
        .expect("a text")
}

fn held(world: &World<Plain>) -> Vec<u64> {
    let mut held = Vec::new();
    world.module.look_at_held(usize::MAX, |list: Nbl| held.push(list.number));
    held
}

#[test]
fn a_second_completion_is_noticed() {
    let world = holding(Mutant::CompletesListTwice);
    world.send(1..=1, ID);
    assert!(complaint(|| world.module.cancel(ID, &*world)).contains("list 1"));
}

#[test]
fn a_forgotten_cancel_does_not_arrive_below() {
    let world = holding(Mutant::ForgetsToPassOn);
    world.module.cancel(ID, &*world);
    assert!(world.around().cancels.is_empty());
}

#[test]
fn a_stale_id_is_noticed() {
    let world = holding(Mutant::KeepsStaleId);
    world.originate(1..=1, ID);
    assert!(complaint(|| world.module.cancel(ID, &*world)).contains("keeps its ID"));
}

#[test]
fn null_hits_unmarked_lists() {
    let world = holding(Mutant::MatchesNull);
    let lists = world.send(1..=1, 0);
    world.module.cancel(0, &*world);
    assert_eq!(lists[0].ended(), Some(Outcome::Aborted));
}

#[test]
fn another_drivers_id_hits() {
    let world = holding(Mutant::IgnoresHighByte);
    let lists = world.send(1..=1, OTHER_DRIVER);
    world.module.cancel(ID, &*world);
    assert_eq!(lists[0].ended(), Some(Outcome::Aborted));
}

#[test]
fn the_rest_is_turned_round() {
    let world = holding(Mutant::ReordersTheRest);
    world.send(1..=3, OTHER_DRIVER);
    world.module.cancel(ID, &*world);
    assert_eq!(held(&world), [3, 2, 1]);
}

#[test]
fn held_lists_are_lost_in_a_pause() {
    let world = holding(Mutant::LosesHeldOnPause);
    let lists = world.send(1..=1, ID);
    world.module.pause(&*world);
    assert_eq!((lists[0].ended(), world.around().pauses), (None, 1));
}

#[test]
fn an_own_list_that_goes_up_is_noticed() {
    let world = holding(Mutant::CompletesOwnUp);
    world.originate(1..=1, ID);
    assert!(complaint(|| world.module.cancel(ID, &*world)).contains("goes up"));
}

#[test]
fn a_missing_status_is_noticed() {
    let world = holding(Mutant::SetsNoStatus);
    world.send(1..=1, ID);
    assert!(complaint(|| world.module.cancel(ID, &*world)).contains("completed with a status"));
}

#[test]
fn a_send_after_a_pause_is_noticed() {
    let world = holding(Mutant::SendsWhilePaused);
    world.module.release(None, &*world);
    world.module.pause(&*world);
    assert!(complaint(|| drop(world.send(1..=1, ID))).contains("after the end of a pause"));
}

#[test]
fn a_pause_that_does_not_wait_is_noticed() {
    let world = holding(Mutant::PausesAtOnce);
    world.module.release(None, &*world);
    let own = world.originate(1..=1, ID);
    world.module.pause(&*world);
    assert_eq!((world.around().pauses, own[0].cancel_id()), (1, ID));
    assert!(complaint(|| world.complete(1, false, Outcome::Success)).contains("after the end of a pause"));
}

#[test]
fn a_forgotten_gate_outlives_its_program() {
    let world = holding(Mutant::ForgetsTheGate);
    world.send(1..=3, ID);
    world.module.gone(1, &*world);
    assert_eq!(held(&world), [1, 2, 3]);
}
