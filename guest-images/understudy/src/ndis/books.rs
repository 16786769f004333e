//! The one set of books, and the steps in which lists change hands.

use super::nbl::{self, Nbl};
use super::violation::checked;
use crate::ke::irqlock::IrqLock;
use alloc::{format, string::String, vec::Vec};
use ndis_sys::NET_BUFFER_LIST;
use understudy_rules::ndis::ledger::{Back, Ledger, List, Party, Passage, Way};

static LEDGER: IrqLock<Ledger> = IrqLock::new(Ledger::new());

/// Reads or changes the books. Any IRQL; nothing in here follows a list's pointers.
pub(crate) fn with<R>(section: impl FnOnce(&mut Ledger) -> R) -> R {
    LEDGER.with(section)
}

/// A list that the books know.
pub(crate) fn live(list: List) -> Nbl {
    // SAFETY: the books know it: NDIS made it and it has not been freed; who holds it is the caller's concern.
    unsafe { Nbl::new(list) }
}

/// The lists of a chain that a driver passes.
pub(crate) fn chain(first: *mut NET_BUFFER_LIST) -> Vec<List> {
    checked(nbl::walk(first, |list| with(|ledger| ledger.knows(list))))
}

/// Chains lists for a driver. They are on the way to it and nobody else touches them.
pub(crate) fn linked(lists: &[List]) -> *mut NET_BUFFER_LIST {
    // SAFETY: the books know them, and the caller has just moved them to whom they are for.
    unsafe { nbl::link(lists) }
}

/// Moves lists on, away from their maker.
pub(crate) fn pass(lists: &[List], way: Way, from: (Party, u64), to: Party) {
    let passage = Passage { way, from, to, thread: crate::ke::current_thread() };
    for &list in lists {
        let shape = checked(live(list).shape(way));
        checked(with(|ledger| ledger.pass(list, passage, shape)));
        if way == Way::Send {
            live(list).set_status(understudy_rules::ndis::ledger::STATUS_POISON);
        }
    }
}

/// Moves lists back; returns what became of each.
pub(crate) fn back(lists: &[List], way: Way, from: Party) -> Vec<(List, Back)> {
    let each = lists.iter().map(|&list| {
        let shape = checked(live(list).shape(way));
        let status = live(list).status();
        (list, checked(with(|ledger| ledger.back(list, from, status, &shape))))
    });
    each.collect()
}

/// What a party holds and has under way, in words.
pub(crate) fn describe(party: Party) -> String {
    let (held, out) = with(|ledger| (ledger.foreign_held(party), ledger.own_out(party)));
    format!("{held} lists of others held, {out} own ones under way")
}

/// The numbers of the frames in a list, `None` for another's frame.
pub(crate) fn numbers(list: List) -> Vec<Option<u64>> {
    let buffers = checked(live(list).buffers());
    let number = |buffer: nbl::Buffer| understudy_rules::frame::number(&checked(buffer.copy()));
    buffers.into_iter().map(number).collect()
}
