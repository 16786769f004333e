//! Requests that wait for a cancel event: who may end which, so that each ends once.
//!
//! A request that the framework may cancel has two parties that can end it: EvtRequestCancel, and whoever has
//! something to tell it. The rule of the framework: who wants to end a cancelable request unmarks it first, and if
//! that fails leaves it to EvtRequestCancel. This table says at each moment whose turn it is. Pure: the caller holds a
//! lock over each call, and none while it calls the framework.

use core::ops::DerefMut;

/// Where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The driver has it, and the framework cannot cancel it.
    Kept,
    /// The driver is in the call that makes it cancelable: EvtRequestCancel may come, nobody else may end it.
    Marking,
    /// EvtRequestCancel may come; who ends it otherwise unmarks it first.
    Cancelable,
    /// Somebody is in the call that unmarks it: EvtRequestCancel may come, nobody else may begin to end it.
    Unmarking,
}

/// One request. `W` says how to end it.
#[derive(Clone, Copy, Debug)]
pub struct Entry<H, W> {
    handle: H,
    tag: u32,
    file: usize,
    serial: u64,
    state: State,
    /// Asked to end while it was [`State::Marking`] or [`State::Unmarking`].
    wanted: Option<W>,
}

/// Which requests are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<H> {
    /// This one.
    Handle(H),
    /// The oldest with this tag.
    Tag(u32),
    /// The oldest of this file.
    File(usize),
    /// The oldest that came no later than this serial number.
    UpTo(u64),
}

/// How to end a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End<H> {
    /// It is out of the table: complete it.
    Complete(H),
    /// Unmark it (a reference is needed: EvtRequestCancel may end it first), then call [`Waiters::unmarked`].
    Unmark(H),
}

/// A marking that has begun: the request's handle, and which entry of the table is its own. When the call that marks it has
/// returned, EvtRequestCancel may have ended it, and its handle be another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marking<H> {
    /// The request's handle.
    pub handle: H,
    serial: u64,
}

/// What came of making a request cancelable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked<W> {
    /// It waits on.
    Waits,
    /// It shall end, like this: unmark it, then call [`Waiters::unmarked`].
    Wanted(W),
    /// EvtRequestCancel had it meanwhile: it may be gone.
    Gone,
}

/// The requests, in places that the caller gives: as many as may wait at a time.
#[derive(Debug)]
pub struct Waiters<S> {
    places: S,
    serial: u64,
}

impl<H, W, S> Waiters<S>
where
    H: Copy + PartialEq,
    W: Copy,
    S: DerefMut<Target = [Option<Entry<H, W>>]>,
{
    /// A table of empty places.
    #[must_use]
    pub const fn new(places: S) -> Self {
        Self { places, serial: 0 }
    }

    /// How many wait.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// Serial number of the request that came last: bounds a walk with [`Which::UpTo`].
    #[must_use]
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// Takes a request in, not cancelable. `false` without room: the caller completes it.
    #[must_use]
    pub fn insert(&mut self, handle: H, tag: u32, file: usize) -> bool {
        let Some(room) = self.places.iter_mut().find(|entry| entry.is_none()) else { return false };
        self.serial += 1;
        *room = Some(Entry { handle, tag, file, serial: self.serial, state: State::Kept, wanted: None });
        true
    }

    /// The tag of a request.
    #[must_use]
    pub fn tag(&self, handle: H) -> Option<u32> {
        self.places.iter().flatten().find(|entry| entry.handle == handle).map(|entry| entry.tag)
    }

    /// The oldest request that is meant and in a state that `allowed` names.
    fn find(&mut self, which: Which<H>, allowed: &[State]) -> Option<&mut Option<Entry<H, W>>> {
        let meant = |entry: &Entry<H, W>| match which {
            Which::Handle(handle) => entry.handle == handle,
            Which::Tag(tag) => entry.tag == tag,
            Which::File(file) => entry.file == file,
            Which::UpTo(serial) => entry.serial <= serial,
        };
        self.places
            .iter_mut()
            .filter(|slot| {
                slot.as_ref().is_some_and(|entry| {
                    meant(entry) && allowed.contains(&entry.state) && entry.wanted.is_none()
                })
            })
            .min_by_key(|slot| slot.as_ref().map(|entry| entry.serial))
    }

    /// The driver is about to make a kept request cancelable.
    #[must_use]
    pub fn begin_mark(&mut self, which: Which<H>) -> Option<Marking<H>> {
        let entry = self.find(which, &[State::Kept])?.as_mut()?;
        entry.state = State::Marking;
        Some(Marking { handle: entry.handle, serial: entry.serial })
    }

    /// The call that makes it cancelable has succeeded.
    #[must_use]
    pub fn marked(&mut self, marking: Marking<H>) -> Marked<W> {
        let found = self.places.iter_mut().flatten().find(|entry| entry.serial == marking.serial);
        match found {
            Some(entry) if entry.state == State::Marking => match entry.wanted.take() {
                Some(wanted) => {
                    entry.state = State::Unmarking;
                    Marked::Wanted(wanted)
                }
                None => {
                    entry.state = State::Cancelable;
                    Marked::Waits
                }
            },
            _ => Marked::Gone,
        }
    }

    /// It could not be made cancelable: it is the driver's to complete, and out of the table.
    pub fn refused(&mut self, handle: H) {
        self.remove(handle);
    }

    /// Somebody wants a request that is meant to end as `wanted` says: how, and its tag. `None` if there is none; one that is just
    /// being marked ends as soon as it is.
    #[must_use]
    pub fn end(&mut self, which: Which<H>, wanted: W) -> Option<(End<H>, u32)> {
        loop {
            let slot = self.find(which, &[State::Kept, State::Cancelable, State::Marking])?;
            let entry = slot.as_mut()?;
            let (handle, tag) = (entry.handle, entry.tag);
            match entry.state {
                State::Kept => {
                    *slot = None;
                    return Some((End::Complete(handle), tag));
                }
                State::Cancelable => {
                    entry.state = State::Unmarking;
                    return Some((End::Unmark(handle), tag));
                }
                State::Marking | State::Unmarking => entry.wanted = Some(wanted),
            }
        }
    }

    /// The call that unmarks a request has succeeded: it is the caller's to complete, and out of the table.
    pub fn unmarked(&mut self, handle: H) {
        self.remove(handle);
    }

    /// Takes a kept request out without ending it: it goes to another queue. Its handle and tag.
    #[must_use]
    pub fn leave(&mut self, which: Which<H>) -> Option<(H, u32)> {
        let slot = self.find(which, &[State::Kept])?;
        slot.take().map(|entry| (entry.handle, entry.tag))
    }

    /// EvtRequestCancel has come: the request is its to complete, and out of the table. Its tag; `None` if it is not
    /// there, which the framework's rules exclude.
    #[must_use]
    pub fn cancelled(&mut self, handle: H) -> Option<u32> {
        let tag = self.tag(handle);
        self.remove(handle);
        tag
    }

    fn remove(&mut self, handle: H) {
        for slot in self.places.iter_mut() {
            if slot.as_ref().is_some_and(|entry| entry.handle == handle) {
                *slot = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::{vec, vec::Vec};

    use super::*;

    type Table = Waiters<Vec<Option<Entry<u32, i32>>>>;

    fn table() -> Table {
        Waiters::new(vec![None; 4])
    }

    fn begin(table: &mut Table, handle: u32) -> Marking<u32> {
        let marking = table.begin_mark(Which::Handle(handle)).unwrap();
        assert_eq!(marking.handle, handle);
        marking
    }

    fn marked(table: &mut Table, handle: u32) {
        let marking = begin(table, handle);
        assert_eq!(table.marked(marking), Marked::Waits);
    }

    #[test]
    fn a_kept_request_is_completed_at_once_and_only_once() {
        let mut table = table();
        assert!(table.insert(1, 7, 0));
        assert_eq!(table.end(Which::Tag(7), 0), Some((End::Complete(1), 7)));
        assert_eq!(table.end(Which::Tag(7), 0), None);
        assert_eq!(table.count(), 0);
    }

    #[test]
    fn a_cancelable_request_is_unmarked_by_one_party_only() {
        let mut table = table();
        assert!(table.insert(1, 7, 0));
        marked(&mut table, 1);
        assert_eq!(table.end(Which::Tag(7), 0), Some((End::Unmark(1), 7)));
        assert_eq!(table.end(Which::Tag(7), 0), None);
        table.unmarked(1);
        assert_eq!(table.count(), 0);
    }

    #[test]
    fn a_cancel_that_wins_over_an_unmark_leaves_nothing_to_complete() {
        let mut table = table();
        assert!(table.insert(1, 7, 0));
        marked(&mut table, 1);
        assert_eq!(table.end(Which::Handle(1), 0), Some((End::Unmark(1), 7)));
        assert_eq!(table.cancelled(1), Some(7));
        assert_eq!(table.end(Which::Handle(1), 0), None);
    }

    #[test]
    fn what_shall_end_while_it_is_marked_ends_when_it_is() {
        let mut table = table();
        assert!(table.insert(1, 7, 0));
        let marking = begin(&mut table, 1);
        assert_eq!(table.end(Which::Tag(7), 5), None);
        assert_eq!(table.marked(marking), Marked::Wanted(5));
        table.unmarked(1);
        assert_eq!(table.count(), 0);
    }

    #[test]
    fn a_cancel_during_the_mark_takes_the_request() {
        let mut table = table();
        assert!(table.insert(1, 7, 0));
        let marking = begin(&mut table, 1);
        assert_eq!(table.cancelled(1), Some(7));
        assert_eq!(table.marked(marking), Marked::Gone);
    }

    /// The mark of the first would end the marking of the second: who wants to end that one then would unmark it before it
    /// is marked.
    #[test]
    fn a_handle_that_is_used_again_during_the_mark_is_another_request() {
        let mut table = table();
        assert!(table.insert(1, 7, 0));
        let first = begin(&mut table, 1);
        assert_eq!(table.cancelled(1), Some(7));
        assert!(table.insert(1, 8, 0));
        let second = begin(&mut table, 1);
        assert_eq!(table.marked(first), Marked::Gone);
        assert_eq!(table.end(Which::Tag(8), 5), None);
        assert_eq!(table.marked(second), Marked::Wanted(5));
    }

    #[test]
    fn an_event_ends_those_that_came_before_it_the_oldest_first() {
        let mut table = table();
        for handle in 1..=3 {
            assert!(table.insert(handle, handle, 0));
        }
        marked(&mut table, 2);
        let upto = Which::UpTo(table.serial());
        assert!(table.insert(4, 4, 0));
        assert_eq!(table.end(upto, 0), Some((End::Complete(1), 1)));
        assert_eq!(table.end(upto, 0), Some((End::Unmark(2), 2)));
        assert_eq!(table.end(upto, 0), Some((End::Complete(3), 3)));
        assert_eq!(table.end(upto, 0), None);
    }

    #[test]
    fn only_the_closed_files_requests_end() {
        let mut table = table();
        assert!(table.insert(1, 1, 10));
        assert!(table.insert(2, 2, 20));
        assert_eq!(table.end(Which::File(20), 0), Some((End::Complete(2), 2)));
        assert_eq!(table.end(Which::File(20), 0), None);
        assert_eq!(table.count(), 1);
    }

    #[test]
    fn without_room_nothing_is_taken_in() {
        let mut table = table();
        for handle in 0..4 {
            assert!(table.insert(handle, 0, 0));
        }
        assert!(!table.insert(9, 0, 0));
        assert_eq!(table.leave(Which::Handle(2)), Some((2, 0)));
        assert!(table.insert(9, 0, 0));
    }

    #[test]
    fn a_cancelable_request_does_not_leave() {
        let mut table = table();
        assert!(table.insert(1, 7, 0));
        marked(&mut table, 1);
        assert_eq!(table.leave(Which::Tag(7)), None);
    }
}
