//! One filter module's books, and everything that is done with them.
//!
//! Rules: CP24 to CP26 (`driver/docs/cancel-path.md`).

use cancelnic_ioctl::{
    Header,
    filter::{LONGEST_HOLD_MS, MOST_HELD},
};
use cancelnic_mutants::{Mutant, Shown};

use crate::{AT_DISPATCH, Chain, Counters, List, Lock, Outcome, Stack, Way};

/// Whether a module sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is queued, no own list is out, nothing is sent. A module begins so.
    Paused,
    /// Lists flow, or are held back.
    Running,
    /// Nothing more is sent; own lists and calls that began before come to their end.
    Pausing,
}

/// Whether sends are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    /// They pass.
    Open,
    /// They are queued.
    Closed {
        /// Who has closed it: it opens when they go.
        by: usize,
        /// Lists that may pass all the same.
        more: u64,
        /// When it opens by itself, in the caller's milliseconds.
        until: u64,
    },
}

/// What a module's lock guards.
#[derive(Debug)]
pub struct Books<L> {
    state: State,
    gate: Gate,
    held: Chain<L>,
    /// A call empties the queue at this moment.
    draining: bool,
    /// Calls under way for which a pause has to wait.
    under_way: u64,
    counters: Counters,
    mutant: Shown,
}

impl<L: List> Books<L> {
    /// Books of a module that has just been attached.
    #[must_use]
    pub fn new() -> Self {
        Self {
            state: State::Paused,
            gate: Gate::Open,
            held: Chain::new(),
            draining: false,
            under_way: 0,
            counters: Counters::default(),
            mutant: Shown::none(),
        }
    }

    /// Whether lists go straight down: nothing before them waits.
    fn is_clear(&self) -> bool {
        self.gate == Gate::Open && self.held.is_empty() && !self.draining
    }

    /// Opens a gate that has been closed for too long: whether it does. Asks what time it is only if one is closed.
    fn look_at_the_clock(&mut self, now: impl FnOnce() -> u64) -> bool {
        let over = matches!(self.gate, Gate::Closed { until, .. } if until <= now());
        if over {
            self.gate = Gate::Open;
        }
        over
    }

    fn queue(&mut self, lists: Chain<L>, way: Way) {
        lists.iter().for_each(|list| list.set_way(way.later()));
        self.held.append(lists);
        if self.held.len() as u64 > MOST_HELD {
            self.gate = Gate::Open;
        }
    }

    /// What may go down now, from the front, all of one way.
    fn take_permitted(&mut self) -> (Chain<L>, Way) {
        let Some(first) = self.held.first().filter(|_| self.state == State::Running) else {
            return (Chain::new(), Way::default());
        };
        let way = first.way();
        let Self { held, gate, .. } = self;
        let lists = held.take_front(|list| {
            list.way() == way
                && match gate {
                    Gate::Open => true,
                    Gate::Closed { more: 0, .. } => false,
                    Gate::Closed { more, .. } => {
                        *more -= 1;
                        true
                    }
                }
        });
        (lists, way)
    }

    fn take_matching(&mut self, id: u64) -> Chain<L> {
        let mutant = &self.mutant;
        let compared = if mutant.is(Mutant::IgnoresHighByte) { u64::MAX >> 8 } else { u64::MAX };
        // An unmarked list holds NULL as its ID: NULL names no list.
        if id == 0 && !mutant.is(Mutant::MatchesNull) {
            return Chain::new();
        }
        let matching = self.held.take_matching(|list| (list.cancel_id() ^ id) & compared == 0);
        if mutant.is(Mutant::ReordersTheRest) {
            let mut turned = Chain::new();
            while let Some(list) = self.held.pop() {
                let mut first = Chain::new();
                first.push(list);
                first.append(turned);
                turned = first;
            }
            self.held = turned;
        }
        matching
    }

    /// One call or some own lists fewer: whether that ends a pause.
    fn ends_pause(&mut self) -> bool {
        let waits_for_own = self.counters.own_outstanding > 0 && !self.mutant.is(Mutant::PausesAtOnce);
        let over = self.state == State::Pausing && self.under_way == 0 && !waits_for_own;
        if over {
            self.state = State::Paused;
        }
        over
    }
}

impl<L: List> Default for Books<L> {
    fn default() -> Self {
        Self::new()
    }
}

/// Why own lists are not sent. They are the caller's again.
#[derive(Debug)]
pub enum Refused<L> {
    /// The module is not running.
    NotRunning(Chain<L>),
    /// Too many own lists are outstanding.
    TooMany(Chain<L>),
}

/// What happens to lists that have just been taken.
enum Next<L> {
    Down(Chain<L>),
    Queued,
    Refused(Chain<L>),
}

/// One filter module.
#[derive(Debug)]
pub struct Module<K> {
    books: K,
}

impl<K> Module<K> {
    /// A module that has just been attached: paused, its gate open.
    pub const fn new(books: K) -> Self {
        Self { books }
    }

    /// Overlying drivers send. They go down, are queued, or, unless the module runs, come back as paused. `now` tells the
    /// time in milliseconds, which may open the gate. At most DISPATCH_LEVEL.
    pub fn send<L: List>(&self, lists: Chain<L>, way: Way, now: impl FnOnce() -> u64, stack: &impl Stack<L>)
    where
        K: Lock<Books<L>>,
    {
        let count = lists.len() as u64;
        let next = self.books.with(|books| {
            books.look_at_the_clock(now);
            if books.state != State::Running && !books.mutant.is(Mutant::SendsWhilePaused) {
                books.counters.refused += count;
                Next::Refused(lists)
            } else if books.is_clear() {
                books.counters.passed_down += count;
                books.under_way += 1;
                Next::Down(lists)
            } else {
                books.counters.queued += count;
                books.queue(lists, way);
                Next::Queued
            }
        });
        match next {
            Next::Down(lists) => {
                stack.send_down(lists, way);
                self.leave(stack);
            }
            Next::Queued => self.drain(stack),
            Next::Refused(lists) => {
                complete_as(lists, Outcome::Paused, way.completion_flags(), stack);
            }
        }
    }

    /// Sends own lists, at most `most` of which may be outstanding. At most DISPATCH_LEVEL.
    ///
    /// # Errors
    /// Gives the lists back.
    pub fn originate<L: List>(
        &self,
        lists: Chain<L>,
        way: Way,
        most: u64,
        stack: &impl Stack<L>,
    ) -> Result<(), Refused<L>>
    where
        K: Lock<Books<L>>,
    {
        let count = lists.len() as u64;
        let next = self.books.with(|books| {
            if books.state != State::Running {
                return Err(Refused::NotRunning(lists));
            }
            if books.counters.own_outstanding + count > most {
                return Err(Refused::TooMany(lists));
            }
            books.counters.own_outstanding += count;
            books.counters.own_originated += count;
            if books.is_clear() {
                books.under_way += 1;
                Ok(Next::Down(lists))
            } else {
                books.queue(lists, way);
                Ok(Next::Queued)
            }
        })?;
        if let Next::Down(lists) = next {
            stack.send_down(lists, way);
            self.leave(stack);
        } else {
            self.drain(stack);
        }
        Ok(())
    }

    /// Lists come back from below. At most DISPATCH_LEVEL.
    pub fn complete<L: List>(&self, mut lists: Chain<L>, flags: u32, stack: &impl Stack<L>)
    where
        K: Lock<Books<L>>,
    {
        let own = lists.take_matching(|list| stack.is_own(list));
        if !lists.is_empty() {
            self.books.with(|books| books.counters.passed_up += lists.len() as u64);
            stack.complete_up(lists, flags);
        }
        self.end_own(own, stack);
    }

    /// Cancels sends by ID: those queued here end as aborted, and the ID goes on to the driver below. At most
    /// DISPATCH_LEVEL.
    pub fn cancel<L: List>(&self, id: u64, stack: &impl Stack<L>)
    where
        K: Lock<Books<L>>,
    {
        let (mut matching, mutant) = self.books.with(|books| {
            books.under_way += 1;
            books.counters.cancel_calls += 1;
            (books.take_matching(id), books.mutant.clone())
        });
        let own = matching.take_matching(|list| stack.is_own(list) && !mutant.is(Mutant::CompletesOwnUp));
        let cancelled = matching.len() as u64;
        self.books.with(|books| books.counters.cancelled += cancelled);
        let first = matching.first();
        if mutant.is(Mutant::SetsNoStatus) {
            if !matching.is_empty() {
                stack.complete_up(matching, 0);
            }
        } else {
            complete_as(matching, Outcome::Aborted, 0, stack);
        }
        if let Some(again) = first.filter(|_| mutant.is(Mutant::CompletesListTwice)) {
            let mut once_more = Chain::new();
            once_more.push(again);
            complete_as(once_more, Outcome::Aborted, 0, stack);
        }
        own.iter().for_each(|list| list.set_outcome(Outcome::Aborted));
        self.end_own(own, stack);
        if !mutant.is(Mutant::ForgetsToPassOn) {
            self.books.with(|books| books.counters.cancels_passed_on += 1);
            stack.cancel_down(id);
        }
        self.leave(stack);
    }

    /// Closes the gate at `now`, in milliseconds: from now on sends are queued, until it is opened, `by` goes, more than
    /// [`MOST_HELD`] are queued, or [`LONGEST_HOLD_MS`] have passed.
    pub fn hold<L: List>(&self, by: usize, now: u64)
    where
        K: Lock<Books<L>>,
    {
        let until = now.saturating_add(LONGEST_HOLD_MS);
        self.books.with(|books| books.gate = Gate::Closed { by, more: 0, until });
    }

    /// Opens a gate that has been closed for too long, as a send does. At most DISPATCH_LEVEL.
    pub fn look_at_the_clock<L: List>(&self, now: impl FnOnce() -> u64, stack: &impl Stack<L>)
    where
        K: Lock<Books<L>>,
    {
        if self.books.with(|books| books.look_at_the_clock(now)) {
            self.drain(stack);
        }
    }

    /// Whoever is called `by` has gone: the gate opens if they have closed it. At most DISPATCH_LEVEL.
    pub fn gone<L: List>(&self, by: usize, stack: &impl Stack<L>)
    where
        K: Lock<Books<L>>,
    {
        self.books.with(|books| {
            let theirs = matches!(books.gate, Gate::Closed { by: holder, .. } if holder == by);
            if theirs && !books.mutant.is(Mutant::ForgetsTheGate) {
                books.gate = Gate::Open;
            }
        });
        self.drain(stack);
    }

    /// Opens the gate (`None`), or lets this many lists, now or later, pass the closed one. At most DISPATCH_LEVEL.
    pub fn release<L: List>(&self, count: Option<u64>, stack: &impl Stack<L>)
    where
        K: Lock<Books<L>>,
    {
        self.books.with(|books| {
            books.gate = match (books.gate, count) {
                (Gate::Open, _) | (_, None) => Gate::Open,
                (Gate::Closed { by, more, until }, Some(count)) => {
                    Gate::Closed { by, more: more.saturating_add(count), until }
                }
            };
        });
        self.drain(stack);
    }

    /// Begins a pause: what is queued ends as paused. [`Stack::paused`] is called, once, when the pause is over; that
    /// may be inside this call. The gate stays as it is. PASSIVE_LEVEL.
    pub fn pause<L: List>(&self, stack: &impl Stack<L>)
    where
        K: Lock<Books<L>>,
    {
        let mut held = self.books.with(|books| {
            books.state = State::Pausing;
            books.under_way += 1;
            if let Gate::Closed { more, .. } = &mut books.gate {
                *more = 0;
            }
            let held = books.held.take();
            if books.mutant.is(Mutant::LosesHeldOnPause) { Chain::new() } else { held }
        });
        let own = held.take_matching(|list| stack.is_own(list));
        self.books.with(|books| books.counters.refused += held.len() as u64);
        complete_as(held, Outcome::Paused, 0, stack);
        own.iter().for_each(|list| list.set_outcome(Outcome::Paused));
        self.end_own(own, stack);
        self.leave(stack);
    }

    /// Lists flow again. PASSIVE_LEVEL.
    pub fn restart<L: List>(&self)
    where
        K: Lock<Books<L>>,
    {
        self.books.with(|books| books.state = State::Running);
    }

    /// Counts received lists that the caller passes up; `false` if they must go back instead, as the module does not
    /// run.
    #[must_use]
    pub fn receive<L: List>(&self, count: u64) -> bool
    where
        K: Lock<Books<L>>,
    {
        self.books.with(|books| {
            let runs = books.state == State::Running;
            books.counters.received += if runs { count } else { 0 };
            runs
        })
    }

    /// Counts received lists that have come back.
    pub fn returned<L: List>(&self, count: u64)
    where
        K: Lock<Books<L>>,
    {
        self.books.with(|books| books.counters.returned += count);
    }

    /// The numbers as they are now, as programs get them. Whether the module is bypassed is the caller's to add.
    #[must_use]
    pub fn counters<L: List>(&self) -> Counters
    where
        K: Lock<Books<L>>,
    {
        self.books.with(|books| Counters {
            header: Header::of::<Counters>(),
            gate_closed: u32::from(books.gate != Gate::Open),
            running: u32::from(books.state == State::Running),
            held_now: books.held.len() as u64,
            ..books.counters
        })
    }

    /// Shows the queued lists, at most `most` from the front, to `look`, which runs under the lock; gives the count of
    /// all.
    pub fn look_at_held<L: List>(&self, most: usize, look: impl FnMut(L)) -> usize
    where
        K: Lock<Books<L>>,
    {
        self.books.with(|books| {
            books.held.iter().take(most).for_each(look);
            books.held.len()
        })
    }

    /// Shows the mutant with this number from now on; 0 for none.
    #[cfg(feature = "mutants")]
    pub fn show_mutant<L: List>(&self, number: u32)
    where
        K: Lock<Books<L>>,
    {
        self.books.with(|books| books.mutant.choose(number));
    }

    /// Sends what the gate lets pass, unless another call is doing so: that one goes on with what has come meanwhile.
    fn drain<L: List>(&self, stack: &impl Stack<L>)
    where
        K: Lock<Books<L>>,
    {
        let mut ours = false;
        loop {
            let (lists, way) = self.books.with(|books| {
                if books.draining && !ours {
                    return (Chain::new(), Way::default());
                }
                let (lists, way) = books.take_permitted();
                let others = lists.iter().filter(|list| !stack.is_own(*list)).count() as u64;
                books.counters.passed_down += others;
                books.under_way += u64::from(!ours && !lists.is_empty());
                books.draining = !lists.is_empty();
                (lists, way)
            });
            if lists.is_empty() {
                break;
            }
            ours = true;
            stack.send_down(lists, way);
        }
        if ours {
            self.leave(stack);
        }
    }

    /// Own lists are over: counts, unmarks and recycles them. Nothing of the module may be used after it, unless the
    /// call counts as under way.
    fn end_own<L: List>(&self, own: Chain<L>, stack: &impl Stack<L>)
    where
        K: Lock<Books<L>>,
    {
        if own.is_empty() {
            return;
        }
        let keeps_id = self.books.with(|books| books.mutant.is(Mutant::KeepsStaleId));
        let mut ended = Counters::default();
        for list in own.iter() {
            let count = match list.outcome() {
                Outcome::Success => &mut ended.own_success,
                Outcome::Aborted => &mut ended.own_aborted,
                Outcome::Paused => &mut ended.own_paused,
                Outcome::Failed => &mut ended.own_failed,
            };
            *count += 1;
            if !keeps_id {
                list.clear_cancel_id();
            }
        }
        let count = own.len() as u64;
        stack.recycle(own);
        let over = self.books.with(|books| {
            let counters = &mut books.counters;
            counters.own_success += ended.own_success;
            counters.own_aborted += ended.own_aborted;
            counters.own_paused += ended.own_paused;
            counters.own_failed += ended.own_failed;
            // a misbehaving build can lose count
            counters.own_outstanding = counters.own_outstanding.saturating_sub(count);
            books.ends_pause()
        });
        if over {
            stack.paused();
        }
    }

    /// A call that counted as under way ends. Nothing of the module may be used after it.
    fn leave<L: List>(&self, stack: &impl Stack<L>)
    where
        K: Lock<Books<L>>,
    {
        let over = self.books.with(|books| {
            books.under_way -= 1;
            books.ends_pause()
        });
        if over {
            stack.paused();
        }
    }
}

/// Completes overlying drivers' lists with this outcome.
fn complete_as<L: List>(lists: Chain<L>, outcome: Outcome, flags: u32, stack: &impl Stack<L>) {
    lists.iter().for_each(|list| list.set_outcome(outcome));
    if !lists.is_empty() {
        stack.complete_up(lists, flags & AT_DISPATCH);
    }
}
