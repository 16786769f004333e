//! Any sequence of calls: every list ends once, as it should, and lists go down in the order in which they came.

mod world;

use std::{collections::BTreeMap, sync::Mutex};

use cancelnic_filter_core::{Books, List as _, Lock, Outcome};
use cancelnic_ioctl::filter::{LONGEST_HOLD_MS, MOST_HELD};
use proptest::{collection::vec, prelude::*};
use world::{Nbl, World};

struct Plain(Mutex<Books<Nbl>>);

impl Lock<Books<Nbl>> for Plain {
    fn with<R>(&self, act: impl FnOnce(&mut Books<Nbl>) -> R) -> R {
        act(&mut self.0.try_lock().expect("the lock is not held over a call out"))
    }
}

/// IDs that differ in the high-order byte, in the rest, in both; and NULL.
const IDS: [u64; 5] = [0, 1 << 56 | 1, 1 << 56 | 2, 2 << 56 | 1, 2 << 56 | 2];

#[derive(Clone, Debug)]
enum Step {
    Send { count: u64, id: usize },
    Originate { count: u64, id: usize },
    Complete { count: usize, backwards: bool },
    Cancel { id: usize },
    Hold,
    Release(Option<u64>),
    Pause,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..4u64, 0..IDS.len()).prop_map(|(count, id)| Step::Send { count, id }),
        2 => (1..4u64, 0..IDS.len()).prop_map(|(count, id)| Step::Originate { count, id }),
        3 => (1..5usize, any::<bool>()).prop_map(|(count, backwards)| Step::Complete { count, backwards }),
        3 => (0..IDS.len()).prop_map(|id| Step::Cancel { id }),
        2 => Just(Step::Hold),
        2 => proptest::option::of(1..4u64).prop_map(Step::Release),
        1 => Just(Step::Pause),
        2 => Just(Step::Restart),
    ]
}

/// A module with what the test knows of it.
struct Play {
    world: std::sync::Arc<World<Plain>>,
    lists: BTreeMap<u64, (Nbl, u64)>,
    running: bool,
    pausing: bool,
    pauses: u32,
    next: u64,
}

impl Play {
    fn new(inline: bool) -> Self {
        let world = World::new(Plain(Mutex::new(Books::new())), inline, Box::new(|| ()));
        Self { world, lists: BTreeMap::new(), running: false, pausing: false, pauses: 0, next: 1 }
    }

    fn numbers(&mut self, count: u64) -> std::ops::Range<u64> {
        self.next += count;
        self.next - count..self.next
    }

    fn note(&mut self, lists: Vec<Nbl>, id: u64) {
        self.lists.extend(lists.into_iter().map(|list| (list.number, (list, id))));
    }

    fn held(&self) -> Vec<u64> {
        let mut held = Vec::new();
        self.world.module.look_at_held(usize::MAX, |list: Nbl| held.push(list.number));
        held
    }

    fn own_outstanding(&self) -> u64 {
        self.lists.values().filter(|(list, _)| list.own && list.ended().is_none()).count() as u64
    }

    /// After every step: the books agree with what is around, and a pause is over as soon as it may be.
    fn check(&mut self) {
        let counters = self.world.module.counters::<Nbl>();
        assert_eq!(counters.own_outstanding, self.own_outstanding());
        assert_eq!(counters.held_now as usize, self.held().len());
        assert_eq!(counters.running == 1, self.running);
        if self.pausing && counters.own_outstanding == 0 {
            self.pausing = false;
            self.pauses += 1;
        }
        assert_eq!(self.world.around().pauses, self.pauses);
        if !self.running {
            assert!(self.held().is_empty(), "lists held by a module that does not run");
        }
    }

    fn act(&mut self, step: &Step) {
        let world = std::sync::Arc::clone(&self.world);
        match *step {
            Step::Send { count, id } => {
                let lists = world.send(self.numbers(count), IDS[id]);
                if !self.running {
                    assert!(lists.iter().all(|list| list.ended() == Some(Outcome::Paused)));
                }
                self.note(lists, IDS[id]);
            }
            Step::Originate { count, id } => {
                let lists = world.originate(self.numbers(count), IDS[id]);
                assert!(self.running || lists.is_empty());
                self.note(lists, IDS[id]);
            }
            Step::Complete { count, backwards } => world.complete(count, backwards, Outcome::Success),
            Step::Cancel { id } => self.cancel(IDS[id]),
            Step::Hold => world.module.hold::<Nbl>(1, 0),
            Step::Release(count) => {
                let before = self.held();
                world.module.release(count, &*world);
                let gone = count.map_or(before.len(), |count| before.len().min(count as usize));
                assert!(before[gone..].ends_with(&self.held()), "the rest stays in order");
            }
            Step::Pause if self.running => {
                world.around().gone = false;
                (self.running, self.pausing) = (false, true);
                world.module.pause(&*world);
            }
            Step::Restart if !self.running && !self.pausing => {
                world.around().gone = false;
                self.running = true;
                world.module.restart::<Nbl>();
            }
            Step::Pause | Step::Restart => {}
        }
        self.check();
    }

    fn cancel(&mut self, id: u64) {
        let before = self.held();
        let hit: Vec<u64> =
            before.iter().copied().filter(|number| id != 0 && self.lists[number].1 == id).collect();
        let cancels = self.world.around().cancels.len();
        self.world.module.cancel(id, &*self.world);
        for number in &hit {
            assert_eq!(self.lists[number].0.ended(), Some(Outcome::Aborted));
        }
        let rest: Vec<u64> = before.into_iter().filter(|number| !hit.contains(number)).collect();
        assert_eq!(self.held(), rest, "all other lists are kept in order");
        assert_eq!(self.world.around().cancels[cancels..], [id], "passed on once");
    }

    /// Ends everything: no list is lost, and each ended once (the ledger in `World` refuses a second time).
    fn end(mut self) {
        self.act(&Step::Pause);
        self.act(&Step::Complete { count: usize::MAX, backwards: false });
        assert!(self.lists.values().all(|(list, _)| list.ended().is_some()));
        let counters = self.world.module.counters::<Nbl>();
        let own = self.lists.values().filter(|(list, _)| list.own).count() as u64;
        let ended = counters.own_success + counters.own_aborted + counters.own_paused + counters.own_failed;
        assert_eq!((counters.own_originated, ended), (own, own));
        assert_eq!(counters.passed_up, counters.passed_down);
        let foreign = self.lists.len() as u64 - own;
        assert_eq!(counters.passed_up + counters.cancelled + counters.refused, foreign);
        let around = self.world.around();
        assert!(around.sent.is_sorted(), "lists went down in another order: {:?}", around.sent);
        assert_eq!(around.completed.len() as u64, foreign);
        assert_eq!(around.recycled.len() as u64, own);
        assert_eq!(counters.cancel_calls, counters.cancels_passed_on);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_list_ends_once(steps in vec(step(), 0..60), inline in any::<bool>()) {
        let mut play = Play::new(inline);
        play.act(&Step::Restart);
        for step in &steps {
            play.act(step);
        }
        play.end();
    }
}

#[test]
fn the_gate_opens_when_whoever_closed_it_last_goes() {
    let mut play = Play::new(false);
    play.act(&Step::Restart);
    play.act(&Step::Hold);
    play.act(&Step::Send { count: 3, id: 0 });
    play.world.module.gone(2, &*play.world);
    assert_eq!(play.held(), [1, 2, 3], "somebody else went");
    play.world.module.hold::<Nbl>(2, 0);
    play.world.module.gone(1, &*play.world);
    assert_eq!(play.held(), [1, 2, 3], "the gate is another's by now");
    play.world.module.gone(2, &*play.world);
    assert_eq!(play.held(), []);
    assert_eq!(play.world.around().sent, [1, 2, 3]);
    play.act(&Step::Send { count: 1, id: 0 });
    assert_eq!(play.held(), [], "it is open");
    play.end();
}

#[test]
fn the_gate_opens_when_it_has_been_closed_for_too_long() {
    let mut play = Play::new(false);
    play.act(&Step::Restart);
    play.world.module.hold::<Nbl>(1, 5);
    play.act(&Step::Send { count: 3, id: 0 });
    play.world.module.look_at_the_clock(|| LONGEST_HOLD_MS + 4, &*play.world);
    assert_eq!(play.held(), [1, 2, 3]);
    play.act(&Step::Release(Some(1)));
    play.world.module.look_at_the_clock(|| LONGEST_HOLD_MS + 5, &*play.world);
    assert_eq!(play.held(), []);
    assert_eq!(play.world.around().sent, [1, 2, 3]);
    play.world.module.look_at_the_clock(|| panic!("nobody asks for the time of an open gate"), &*play.world);
    play.end();
}

#[test]
fn the_gate_opens_when_it_holds_too_many() {
    let mut play = Play::new(false);
    play.act(&Step::Restart);
    play.act(&Step::Hold);
    play.act(&Step::Send { count: MOST_HELD, id: 0 });
    assert_eq!(play.held().len() as u64, MOST_HELD);
    play.act(&Step::Send { count: 1, id: 0 });
    assert_eq!(play.held(), []);
    assert_eq!(play.world.around().sent.len() as u64, MOST_HELD + 1);
    play.end();
}

#[test]
fn null_hits_no_list() {
    let mut play = Play::new(false);
    play.act(&Step::Restart);
    play.act(&Step::Hold);
    play.act(&Step::Send { count: 3, id: 0 });
    play.act(&Step::Cancel { id: 0 });
    assert_eq!(play.held(), [1, 2, 3]);
    play.end();
}

#[test]
fn two_interleaved_subgroups_are_told_apart() {
    let mut play = Play::new(false);
    play.act(&Step::Restart);
    play.act(&Step::Hold);
    for number in 0..6 {
        play.act(&Step::Originate { count: 1, id: 1 + number % 2 });
    }
    play.act(&Step::Cancel { id: 2 });
    assert_eq!(play.held(), [1, 3, 5]);
    assert!(play.lists[&2].0.cancel_id() == 0, "the ID is cleared");
    play.end();
}

#[test]
fn a_counted_release_also_lets_later_lists_pass() {
    let mut play = Play::new(false);
    play.act(&Step::Restart);
    play.act(&Step::Hold);
    play.act(&Step::Send { count: 1, id: 1 });
    play.act(&Step::Release(Some(2)));
    play.act(&Step::Send { count: 2, id: 1 });
    assert_eq!(play.held(), [3]);
    assert_eq!(play.world.around().sent, [1, 2]);
    play.end();
}
