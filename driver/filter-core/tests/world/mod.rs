//! The drivers above and below a module, with a ledger: every list is in one place, and goes only where it may.

use std::sync::{Arc, Mutex, MutexGuard};

use cancelnic_filter_core::{Books, Chain, List, Lock, Module, Outcome, Refused, Stack, Way};

/// Where a list is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// With whoever made it; not sent, or over.
    Home,
    /// With the module.
    Module,
    /// With the driver below.
    Below,
}

#[derive(Debug)]
struct Record {
    next: Option<Nbl>,
    id: u64,
    outcome: Option<Outcome>,
    way: Way,
    place: Place,
}

/// A list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nbl {
    pub number: u64,
    pub own: bool,
    record: &'static Mutex<Record>,
}

impl Nbl {
    fn new(number: u64, id: u64, own: bool) -> Self {
        let record = Record { next: None, id, outcome: None, way: Way::default(), place: Place::Home };
        Self { number, own, record: Box::leak(Box::new(Mutex::new(record))) }
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no list was misused before")
    }

    fn goes(self, from: Place, to: Place) {
        let mut record = self.record();
        assert_eq!(record.place, from, "list {} on its way to {to:?}", self.number);
        record.place = to;
    }

    /// What became of it.
    pub(crate) fn ended(self) -> Option<Outcome> {
        let record = self.record();
        record.outcome.filter(|_| record.place == Place::Home)
    }
}

impl PartialEq for Nbl {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.record, other.record)
    }
}

impl Eq for Nbl {}

impl List for Nbl {
    fn next(self) -> Option<Self> {
        self.record().next
    }
    fn set_next(self, next: Option<Self>) {
        self.record().next = next;
    }
    fn cancel_id(self) -> u64 {
        self.record().id
    }
    fn clear_cancel_id(self) {
        assert!(self.own, "the ID of another driver's list {}", self.number);
        self.record().id = 0;
    }
    fn outcome(self) -> Outcome {
        self.record().outcome.expect("completed with a status")
    }
    fn set_outcome(self, outcome: Outcome) {
        self.record().outcome = Some(outcome);
    }
    fn way(self) -> Way {
        self.record().way
    }
    fn set_way(self, way: Way) {
        self.record().way = way;
    }
}

/// What has happened around the module.
#[derive(Debug, Default)]
pub(crate) struct Around {
    /// Lists with the driver below, in the order in which they came.
    pub below: Vec<Nbl>,
    /// Numbers in the order in which they went down.
    pub sent: Vec<u64>,
    /// Overlying drivers' lists that came back.
    pub completed: Vec<(u64, Outcome)>,
    /// Own lists that are over.
    pub recycled: Vec<u64>,
    /// IDs that reached the driver below.
    pub cancels: Vec<u64>,
    /// How often a pause was over.
    pub pauses: u32,
    /// A pause is over: the module may be gone.
    pub gone: bool,
}

/// A module and what is around it.
pub(crate) struct World<K> {
    pub module: Module<K>,
    pub around: Mutex<Around>,
    /// Whether the driver below completes inside the call that sends.
    pub inline: bool,
    /// Called when a pause is over.
    pub on_paused: Box<dyn Fn() + Send + Sync>,
}

impl<K: Lock<Books<Nbl>>> World<K> {
    pub(crate) fn new(books: K, inline: bool, on_paused: Box<dyn Fn() + Send + Sync>) -> Arc<Self> {
        Arc::new(Self { module: Module::new(books), around: Mutex::default(), inline, on_paused })
    }

    pub(crate) fn around(&self) -> MutexGuard<'_, Around> {
        self.around.lock().expect("nothing was misused before")
    }

    /// Overlying drivers send these numbers, each list with this ID.
    pub(crate) fn send(&self, numbers: impl IntoIterator<Item = u64>, id: u64) -> Vec<Nbl> {
        let lists: Vec<Nbl> = numbers.into_iter().map(|number| Nbl::new(number, id, false)).collect();
        self.module.send(handed_over(&lists), Way { port: 0, flags: 1 }, || 0, self);
        lists
    }

    /// The module sends these numbers; empty if it refuses.
    pub(crate) fn originate(&self, numbers: impl IntoIterator<Item = u64>, id: u64) -> Vec<Nbl> {
        let lists: Vec<Nbl> = numbers.into_iter().map(|number| Nbl::new(number, id, true)).collect();
        match self.module.originate(handed_over(&lists), Way::default(), 64, self) {
            Ok(()) => lists,
            Err(Refused::NotRunning(mut back) | Refused::TooMany(mut back)) => {
                while let Some(list) = back.pop() {
                    list.goes(Place::Module, Place::Home);
                }
                Vec::new()
            }
        }
    }

    /// The driver below completes at most this many of its lists, the newest first if `backwards`.
    pub(crate) fn complete(&self, count: usize, backwards: bool, outcome: Outcome) {
        let mut around = self.around();
        let count = count.min(around.below.len());
        let lists: Vec<Nbl> = if backwards {
            let from = around.below.len() - count;
            around.below.drain(from..).rev().collect()
        } else {
            around.below.drain(..count).collect()
        };
        drop(around);
        self.give_back(&lists, outcome);
    }

    fn give_back(&self, lists: &[Nbl], outcome: Outcome) {
        let mut chain = Chain::new();
        for list in lists {
            list.goes(Place::Below, Place::Module);
            list.set_outcome(outcome);
            chain.push(*list);
        }
        if !chain.is_empty() {
            self.module.complete(chain, 0, self);
        }
    }
}

fn handed_over(lists: &[Nbl]) -> Chain<Nbl> {
    let mut chain = Chain::new();
    for list in lists {
        list.goes(Place::Home, Place::Module);
        chain.push(*list);
    }
    chain
}

impl<K: Lock<Books<Nbl>>> Stack<Nbl> for World<K> {
    fn is_own(&self, list: Nbl) -> bool {
        list.own
    }

    fn send_down(&self, lists: Chain<Nbl>, way: Way) {
        assert!(!lists.is_empty(), "a send without lists");
        let mut around = self.around();
        assert!(!around.gone, "a send after the end of a pause");
        let sent: Vec<Nbl> = lists.iter().collect();
        for list in &sent {
            list.goes(Place::Module, Place::Below);
            assert_eq!(way.port, 0);
            around.sent.push(list.number);
        }
        if self.inline {
            drop(around);
            self.give_back(&sent, Outcome::Success);
        } else {
            around.below.extend(sent);
        }
    }

    fn complete_up(&self, mut lists: Chain<Nbl>, _: u32) {
        assert!(!lists.is_empty(), "a completion without lists");
        let mut around = self.around();
        while let Some(list) = lists.pop() {
            assert!(!list.own, "own list {} goes up", list.number);
            list.goes(Place::Module, Place::Home);
            around.completed.push((list.number, list.outcome()));
        }
    }

    fn cancel_down(&self, id: u64) {
        let mut around = self.around();
        // allowed in every state
        around.cancels.push(id);
        // the driver below aborts what it has
        let (hit, rest) = around.below.drain(..).partition(|list| id != 0 && list.cancel_id() == id);
        around.below = rest;
        drop(around);
        self.give_back(&hit, Outcome::Aborted);
    }

    fn recycle(&self, mut lists: Chain<Nbl>) {
        assert!(!lists.is_empty(), "nothing to recycle");
        let mut around = self.around();
        assert!(!around.gone, "an own list comes back after the end of a pause");
        while let Some(list) = lists.pop() {
            assert!(list.own, "another driver's list {} is recycled", list.number);
            assert_eq!(list.cancel_id(), 0, "list {} keeps its ID", list.number);
            list.goes(Place::Module, Place::Home);
            around.recycled.push(list.number);
        }
    }

    fn paused(&self) {
        let mut around = self.around();
        assert!(!around.gone, "a pause that is over twice");
        around.pauses += 1;
        around.gone = true;
        drop(around);
        (self.on_paused)();
    }
}
