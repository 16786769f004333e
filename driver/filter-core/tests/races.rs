//! Every order of the steps of two or three calls (loom): no list is lost, completed twice, or sent after a pause.

mod world;

use std::sync::Arc;

use cancelnic_filter_core::{Books, Lock, Outcome};
use loom::{
    sync::{Mutex, Notify},
    thread,
};
use world::{Nbl, World};

struct Loom(Mutex<Books<Nbl>>);

impl Lock<Books<Nbl>> for Loom {
    fn with<R>(&self, act: impl FnOnce(&mut Books<Nbl>) -> R) -> R {
        act(&mut self.0.lock().expect("no panic under the lock"))
    }
}

type Loomed = World<Loom>;

const ID: u64 = 7 << 56 | 1;
const OTHER: u64 = 8 << 56 | 1;

/// A running module; what it notifies when a pause is over.
fn running(inline: bool) -> (Arc<Loomed>, Arc<Notify>) {
    let over = Arc::new(Notify::new());
    let told = Arc::clone(&over);
    let books = Loom(Mutex::new(Books::new()));
    let world = World::new(books, inline, Box::new(move || told.notify()));
    world.module.restart::<Nbl>();
    (world, over)
}

fn spawn(world: &Arc<Loomed>, act: impl FnOnce(&Loomed) + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || act(&world))
}

fn join(threads: impl IntoIterator<Item = thread::JoinHandle<()>>) {
    for thread in threads {
        thread.join().expect("a thread without a panic");
    }
}

fn ended(lists: &[Nbl]) -> Vec<Option<Outcome>> {
    lists.iter().map(|list| list.ended()).collect()
}

fn pause(world: &Loomed, over: &Notify) {
    world.module.pause(world);
    over.wait();
}

#[test]
fn a_list_that_is_cancelled_and_released_ends_once() {
    loom::model(|| {
        let (world, _) = running(false);
        world.module.hold::<Nbl>(1, 0);
        let lists = world.send(1..=2, ID);
        let threads = [
            spawn(&world, |world| world.module.cancel(ID, world)),
            spawn(&world, |world| world.module.release(None, world)),
        ];
        join(threads);
        world.complete(2, false, Outcome::Success);
        assert!(ended(&lists).iter().all(Option::is_some));
        assert_eq!(world.around().cancels, [ID]);
    });
}

#[test]
fn a_list_that_is_cancelled_and_completed_below_ends_once() {
    loom::model(|| {
        let (world, _) = running(false);
        let lists = world.send(1..=2, ID);
        let own = world.originate(3..=3, OTHER);
        let threads = [
            spawn(&world, |world| world.module.cancel(ID, world)),
            spawn(&world, |world| world.complete(2, true, Outcome::Success)),
        ];
        join(threads);
        world.complete(9, false, Outcome::Success);
        assert!(ended(&lists).iter().chain(&ended(&own)).all(Option::is_some));
    });
}

#[test]
fn a_list_that_is_cancelled_while_the_module_pauses_ends_once() {
    loom::model(|| {
        let (world, over) = running(false);
        world.module.hold::<Nbl>(1, 0);
        let lists = world.send(1..=1, ID);
        let own = world.originate(2..=2, ID);
        let cancel = spawn(&world, |world| world.module.cancel(ID, world));
        pause(&world, &over);
        join([cancel]);
        assert!(ended(&lists).iter().chain(&ended(&own)).all(Option::is_some));
        assert_eq!(world.around().pauses, 1);
    });
}

#[test]
fn a_pause_waits_for_own_lists_and_is_over_once() {
    loom::model(|| {
        let (world, over) = running(false);
        let own = world.originate(1..=2, ID);
        let complete = spawn(&world, |world| {
            world.complete(1, false, Outcome::Success);
            world.complete(1, false, Outcome::Success);
        });
        pause(&world, &over);
        assert!(ended(&own).iter().all(Option::is_some), "all own lists are back when a pause is over");
        join([complete]);
        assert_eq!(world.around().pauses, 1);
    });
}

#[test]
fn nothing_is_sent_after_a_pause() {
    for inline in [false, true] {
        loom::model(move || {
            let (world, over) = running(inline);
            let sender = spawn(&world, |world| {
                world.originate(1..=1, ID);
                world.send(2..=2, OTHER);
            });
            let device = spawn(&world, |world| world.complete(2, false, Outcome::Success));
            world.module.pause(&*world);
            join([sender, device]);
            world.complete(2, false, Outcome::Success);
            over.wait();
            // `World` refuses a send or an own list's return after the end of the pause
            let counters = world.module.counters::<Nbl>();
            assert_eq!((counters.own_outstanding, counters.held_now), (0, 0));
        });
    }
}

#[test]
fn lists_go_down_in_order_while_the_queue_is_emptied() {
    loom::model(|| {
        let (world, _) = running(false);
        world.module.hold::<Nbl>(1, 0);
        world.send(1..=2, ID);
        let release = spawn(&world, |world| world.module.release(None, world));
        world.send(3..=3, ID);
        world.send(4..=4, ID);
        join([release]);
        assert_eq!(world.around().sent, [1, 2, 3, 4]);
    });
}

#[test]
fn two_releases_do_not_send_a_list_twice_and_keep_the_order() {
    loom::model(|| {
        let (world, _) = running(true);
        world.module.hold::<Nbl>(1, 0);
        world.send(1..=3, ID);
        let release = spawn(&world, |world| world.module.release(Some(2), world));
        world.module.release(Some(1), &*world);
        join([release]);
        assert_eq!(world.around().sent, [1, 2, 3]);
    });
}

#[test]
fn a_release_that_races_a_pause_loses_nothing() {
    loom::model(|| {
        let (world, over) = running(false);
        world.module.hold::<Nbl>(1, 0);
        let lists = world.send(1..=1, ID);
        let own = world.originate(2..=2, OTHER);
        let release = spawn(&world, |world| {
            world.module.release(None, world);
            world.complete(2, false, Outcome::Success);
        });
        world.module.pause(&*world);
        join([release]);
        over.wait();
        assert!(ended(&lists).iter().chain(&ended(&own)).all(Option::is_some));
    });
}

#[test]
fn two_cancels_of_one_id_complete_a_list_once() {
    loom::model(|| {
        let (world, _) = running(false);
        world.module.hold::<Nbl>(1, 0);
        let lists = world.send(1..=2, ID);
        let kept = world.send(3..=3, OTHER);
        let cancel = spawn(&world, |world| world.module.cancel(ID, world));
        world.module.cancel(ID, &*world);
        join([cancel]);
        assert_eq!(ended(&lists), [Some(Outcome::Aborted); 2]);
        assert_eq!(ended(&kept), [None]);
        assert_eq!(world.around().cancels, [ID, ID]);
    });
}
