//! The books of net buffer lists: who made each, who may touch it, and what it looked like when it changed hands.
//! Pure: a list is its address, and nothing here follows it.
//!
//! A list travels away from its maker (a send goes down, a receive up) and comes back the same way. Each hand-over
//! leaves a [`Level`]: the giver and the list's [`Shape`]. Coming back takes the level off again and compares.
//!
//! Rules: NF16, NF19, NF20 (`driver/docs/ndis-filter.md`).

use super::shape::Shape;
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
pub use ndis_sys::{NDIS_STATUS_PAUSED as PAUSED, NDIS_STATUS_SEND_ABORTED as SEND_ABORTED};

/// Address of a NET_BUFFER_LIST.
pub type List = usize;

/// Who deals with lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// The overlying driver.
    Protocol,
    /// A filter module, by its number.
    Module(u32),
    /// A driver, by the number of its image: it made a list for none of its modules in particular.
    Driver(u32),
    /// What stands for the miniport: the translator above the packet queues.
    Miniport,
}

/// Which way a list travels away from its maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Down.
    Send,
    /// Up.
    Receive,
}

/// A broken rule: its name and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The rule's name.
    pub rule: &'static str,
    /// Where.
    pub place: String,
}

impl Broken {
    /// A broken rule.
    #[must_use]
    pub fn new(rule: &'static str, place: String) -> Self {
        Self { rule, place }
    }
}

/// How a list is handed on, away from its maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passage {
    /// Which way.
    pub way: Way,
    /// Who gives it, and its handle.
    pub from: (Party, u64),
    /// Who gets it.
    pub to: Party,
    /// The thread on which this happens.
    pub thread: u64,
}

/// One hand-over that has not come back.
#[derive(Debug, Clone)]
struct Level {
    by: Party,
    shape: Shape,
    /// Place in the order of all hand-overs.
    order: u64,
    /// The thread on which it was handed over.
    thread: u64,
}

#[derive(Debug, Clone)]
struct Entry {
    origin: Party,
    /// NdisPoolHandle of the pool that it came from.
    pool: u64,
    holder: Party,
    way: Way,
    levels: Vec<Level>,
    /// The status with which it is on its way back.
    status: Option<i32>,
    /// Its cancellation ID was cancelled while it was under way.
    cancelled: bool,
    /// It came back with NDIS_STATUS_SEND_ABORTED and that ID, which its maker has to clear.
    aborted_with: u64,
    /// Who gave it back last, for the words of a second completion.
    last_completer: Option<Party>,
}

/// What NET_BUFFER_LIST.Status holds when a list is handed over: whoever completes it has to write it.
pub const STATUS_POISON: i32 = 0x5d5d_5d5d;

/// What is to be told of a list that is coming back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Back {
    /// Who gets it.
    pub to: Party,
    /// Whether its last holder was the first to complete it, that is, it had not come from further on.
    pub first: bool,
}

/// The books.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: BTreeMap<List, Entry>,
    orders: u64,
    /// Order of the last foreign send that a module passed on, by module and thread it had come on.
    passed: BTreeMap<(Party, u64), u64>,
}

impl Ledger {
    /// Empty books.
    #[must_use]
    pub const fn new() -> Self {
        Self { entries: BTreeMap::new(), orders: 0, passed: BTreeMap::new() }
    }

    /// A list has been made from a pool.
    pub fn made(&mut self, list: List, origin: Party, pool: u64) {
        let entry = Entry {
            origin,
            pool,
            holder: origin,
            way: Way::Send,
            levels: Vec::new(),
            status: None,
            cancelled: false,
            aborted_with: 0,
            last_completer: None,
        };
        self.entries.insert(list, entry);
    }

    fn entry(&self, list: List) -> Result<&Entry, Broken> {
        self.entries.get(&list).ok_or_else(|| unknown(list))
    }

    fn entry_mut(&mut self, list: List) -> Result<&mut Entry, Broken> {
        self.entries.get_mut(&list).ok_or_else(|| unknown(list))
    }

    /// Whether the list lives.
    #[must_use]
    pub fn knows(&self, list: List) -> bool {
        self.entries.contains_key(&list)
    }

    /// How many lists live.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no list lives.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The list is freed by `by`; `cancel_id` is what it holds now. Returns its pool.
    ///
    /// # Errors
    /// It is another's, it is under way, or the ID of an aborted send still stands in it.
    pub fn freed(&mut self, list: List, by: Party, cancel_id: u64) -> Result<u64, Broken> {
        let entry = self.entry(list)?;
        if entry.origin != by {
            let place = format!("{by:?} frees list {list:#x} of {:?}", entry.origin);
            return Err(Broken::new("ForeignListFreed", place));
        }
        if !entry.levels.is_empty() {
            let place = format!("list {list:#x} of {by:?} is with {:?}", entry.holder);
            return Err(Broken::new("ListFreedWhileSent", place));
        }
        stale_id(list, entry, cancel_id)?;
        let pool = entry.pool;
        self.entries.remove(&list);
        Ok(pool)
    }

    /// The list is handed on.
    ///
    /// # Errors
    /// It is not `from`'s to give, its marks are not what they must be, or it overtook another.
    pub fn pass(&mut self, list: List, passage: Passage, shape: Shape) -> Result<(), Broken> {
        let Passage { way, from: (from, handle), to, thread } = passage;
        let entry = self.entry(list)?;
        require_holder(list, entry, from)?;
        if entry.origin == from && entry.levels.is_empty() {
            if shape.source != handle {
                let place = format!(
                    "list {list:#x} of {from:?}: SourceHandle is {:#x}, its handle {handle:#x}",
                    shape.source
                );
                return Err(Broken::new("SourceHandleNotOwn", place));
            }
            if entry.aborted_with != 0 && shape.cancel_id == entry.aborted_with {
                return Err(stale(list, shape.cancel_id));
            }
        } else if entry.way != way {
            let place = format!("list {list:#x} came as a {:?} and goes on as a {way:?}", entry.way);
            return Err(Broken::new("ListNotHeld", place));
        } else if entry.status.is_some() && way == Way::Send {
            let place = format!("list {list:#x} had been completed, {from:?} sends it again");
            return Err(Broken::new("ListSentAfterCompletion", place));
        } else if let Some(level) = entry.levels.last() {
            marks_kept(list, &level.shape, &shape)?;
            if way == Way::Send {
                let key = (from, level.thread);
                let order = level.order;
                let last = self.passed.get(&key).copied().unwrap_or_default();
                if order < last {
                    let place = format!("{from:?} passes list {list:#x} on after one that had come later");
                    return Err(Broken::new("ListsReordered", place));
                }
                self.passed.insert(key, order);
            }
        }
        self.orders += 1;
        let order = self.orders;
        let entry = self.entry_mut(list)?;
        entry.way = way;
        entry.holder = to;
        entry.levels.push(Level { by: from, shape, order, thread });
        if from == entry.origin {
            entry.status = None;
            entry.cancelled = false;
            entry.aborted_with = 0;
        }
        Ok(())
    }

    /// `from` gives the list back; `status` is what NET_BUFFER_LIST.Status holds (sends only).
    ///
    /// # Errors
    /// It is not `from`'s to give back, it is not as it was, or its status is missing or wrong.
    pub fn back(&mut self, list: List, from: Party, status: i32, shape: &Shape) -> Result<Back, Broken> {
        let entry = self.entry(list)?;
        if entry.origin == from && entry.holder == from && entry.levels.is_empty() {
            let place = format!("list {list:#x} is {from:?}'s own");
            return Err(Broken::new("OwnListCompleted", place));
        }
        require_holder(list, entry, from)?;
        let Some(level) = entry.levels.last() else {
            return Err(Broken::new("ListNotHeld", format!("list {list:#x} has nowhere to go back to")));
        };
        marks_kept(list, &level.shape, shape)?;
        if let Some(field) = level.shape.difference(shape) {
            let rule = if from == Party::Miniport { "ListTouchedAfterSend" } else { "ListNotRestored" };
            return Err(Broken::new(rule, format!("list {list:#x} from {from:?}: {field}")));
        }
        let first = entry.status.is_none();
        if entry.way == Way::Send {
            self.status_is_right(list, entry, status, shape.cancel_id)?;
        }
        let to = level.by;
        let entry = self.entry_mut(list)?;
        entry.levels.pop();
        entry.holder = to;
        entry.last_completer = Some(from);
        entry.status = Some(status);
        if entry.levels.is_empty() && status == SEND_ABORTED && entry.way == Way::Send {
            entry.aborted_with = shape.cancel_id;
        }
        Ok(Back { to, first })
    }

    fn status_is_right(&self, list: List, entry: &Entry, status: i32, id: u64) -> Result<(), Broken> {
        if status == STATUS_POISON {
            let place = format!("list {list:#x}: Status was not written before the completion");
            return Err(Broken::new("StatusNotSet", place));
        }
        if let Some(before) = entry.status.filter(|&before| before != status) {
            let place = format!("list {list:#x}: {:#010x} became {:#010x}", before as u32, status as u32);
            return Err(Broken::new("StatusChanged", place));
        }
        if entry.status.is_none() && status == SEND_ABORTED && !entry.cancelled {
            let place = format!("list {list:#x} with ID {id:#x} is NDIS_STATUS_SEND_ABORTED");
            return Err(Broken::new("AbortedWithoutCancel", place));
        }
        Ok(())
    }

    /// Whether nobody has completed the list yet.
    #[must_use]
    pub fn is_undecided(&self, list: List) -> bool {
        self.entries.get(&list).is_some_and(|entry| entry.status.is_none())
    }

    /// A list from a pool that no module owns becomes the module's that sends it first.
    pub fn adopt(&mut self, list: List, driver: Party, module: Party) {
        if let Some(entry) = self.entries.get_mut(&list)
            && entry.origin == driver
            && entry.levels.is_empty()
        {
            entry.origin = module;
            entry.holder = module;
        }
    }

    /// Who made the list.
    #[must_use]
    pub fn origin(&self, list: List) -> Option<Party> {
        self.entries.get(&list).map(|entry| entry.origin)
    }

    /// Whether the list's maker has it and nobody else has a share in it.
    #[must_use]
    pub fn is_home(&self, list: List) -> bool {
        self.entries.get(&list).is_some_and(|entry| entry.levels.is_empty())
    }

    /// The cancellation ID that the list carries, under way.
    fn id(entry: &Entry) -> u64 {
        entry.levels.last().map_or(0, |level| level.shape.cancel_id)
    }

    /// A cancel with this ID begins: lists under way with it may end aborted from now on. NULL matches none.
    pub fn cancel(&mut self, id: u64) {
        if id != 0 {
            for entry in self.entries.values_mut() {
                if entry.way == Way::Send && Self::id(entry) == id {
                    entry.cancelled = true;
                }
            }
        }
    }

    /// Foreign sends with this ID that `holder` holds; NULL matches none.
    #[must_use]
    pub fn holds_with_id(&self, holder: Party, id: u64) -> Vec<List> {
        let matches = |entry: &Entry| {
            id != 0
                && entry.holder == holder
                && entry.way == Way::Send
                && !entry.levels.is_empty()
                && entry.status.is_none()
                && Self::id(entry) == id
        };
        self.entries.iter().filter(|(_, entry)| matches(entry)).map(|(&list, _)| list).collect()
    }

    /// How many lists of others `holder` keeps from going on. Those on their way back are not its to keep.
    #[must_use]
    pub fn foreign_held(&self, holder: Party) -> usize {
        let keeps = |entry: &&Entry| {
            entry.holder == holder
                && entry.origin != holder
                && !entry.levels.is_empty()
                && entry.status.is_none()
        };
        self.entries.values().filter(keeps).count()
    }

    /// How many lists are with `party`, or have to come back through it.
    #[must_use]
    pub fn involved(&self, party: Party) -> usize {
        let involves = |entry: &&Entry| {
            !entry.levels.is_empty()
                && (entry.holder == party || entry.levels.iter().any(|level| level.by == party))
        };
        self.entries.values().filter(involves).count()
    }

    /// How many lists of `origin` are under way.
    #[must_use]
    pub fn own_out(&self, origin: Party) -> usize {
        self.entries.values().filter(|entry| entry.origin == origin && !entry.levels.is_empty()).count()
    }

    /// How many lists came from a pool and live.
    #[must_use]
    pub fn from_pool(&self, pool: u64) -> usize {
        self.entries.values().filter(|entry| entry.pool == pool).count()
    }

    /// Forgets the order of what a module passed on: its stack has been paused.
    pub fn forget_order(&mut self) {
        self.passed.clear();
    }
}

fn unknown(list: List) -> Broken {
    let place = format!("{list:#x} is no net buffer list that lives (freed already?)");
    Broken::new("NotANetBufferList", place)
}

fn stale(list: List, id: u64) -> Broken {
    Broken::new("StaleCancelId", format!("list {list:#x} was aborted and still carries ID {id:#x}"))
}

fn stale_id(list: List, entry: &Entry, cancel_id: u64) -> Result<(), Broken> {
    let left = entry.aborted_with != 0 && entry.aborted_with == cancel_id;
    if left { Err(stale(list, cancel_id)) } else { Ok(()) }
}

/// What nobody but its maker may change in a list.
fn marks_kept(list: List, before: &Shape, after: &Shape) -> Result<(), Broken> {
    let marks = [
        (before.source, after.source, "SourceHandleChanged"),
        (before.cancel_id, after.cancel_id, "CancelIdChanged"),
    ];
    match marks.into_iter().find(|(before, after, _)| before != after) {
        None => Ok(()),
        Some((before, after, rule)) => {
            Err(Broken::new(rule, format!("list {list:#x}: {before:#x} became {after:#x}")))
        }
    }
}

fn require_holder(list: List, entry: &Entry, by: Party) -> Result<(), Broken> {
    if entry.holder == by {
        return Ok(());
    }
    let holder = entry.holder;
    let place = format!("list {list:#x} of {:?} is with {holder:?}, {by:?} gives it away", entry.origin);
    let rule = if entry.levels.iter().any(|level| level.by == by) {
        "ListPassedTwice"
    } else if entry.last_completer == Some(by) {
        "ListCompletedTwice"
    } else {
        "ListNotHeld"
    };
    Err(Broken::new(rule, place))
}

#[cfg(test)]
mod tests;
