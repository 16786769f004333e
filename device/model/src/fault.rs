//! Hardware that goes wrong, on request: what a driver has to survive. A queue without an armed fault keeps every promise.

use std::collections::{BTreeMap, VecDeque};

/// A way in which a queue goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// A CANCEL that could finish does not: STATE stays CANCELLING until [`Queue::clear_faults`](crate::Queue::clear_faults)
    /// or a new life.
    StuckInCancelling,
    /// A used element is never written.
    CompletionWithheld,
    /// A used element is written twice.
    CompletionDoubled,
    /// A used element is written once STATE has read STOPPED, not before (against C4 and C5).
    CompletionAfterStopped,
    /// A used element names a descriptor that the table does not have.
    CompletionOfAnother,
}

impl Fault {
    /// What can be wrong with a used element.
    const OF_COMPLETIONS: [Fault; 4] = [
        Fault::CompletionWithheld,
        Fault::CompletionDoubled,
        Fault::CompletionAfterStopped,
        Fault::CompletionOfAnother,
    ];
}

/// How often a fault is still to happen, and how often it has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Armed {
    /// Times that are left.
    pub left: u64,
    /// Times that it happened.
    pub happened: u64,
}

impl Armed {
    /// It is to happen `count` times more.
    pub fn arm(&mut self, count: u64) {
        self.left = self.left.saturating_add(count);
    }

    /// Whether it happens now; if it does, it is counted.
    pub fn strikes(&mut self) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        self.happened = self.happened.saturating_add(1);
        true
    }
}

/// The faults of one queue.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Those that were ever armed.
    armed: BTreeMap<Fault, Armed>,
    /// The CANCEL that has not finished by now does not.
    is_stuck: bool,
    /// Head and length of used elements that wait for STOPPED.
    late: VecDeque<(u16, u32)>,
}

impl Faults {
    pub(crate) fn arm(&mut self, fault: Fault, count: u64) {
        self.armed.entry(fault).or_default().arm(count);
    }

    /// Nothing goes wrong from now on; what was counted stays.
    pub(crate) fn clear(&mut self) {
        self.armed.values_mut().for_each(|armed| armed.left = 0);
        self.is_stuck = false;
    }

    /// A new life begins: what was held for the last one is of no use.
    pub(crate) fn forget(&mut self) {
        self.is_stuck = false;
        self.late.clear();
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (Fault, Armed)> {
        self.armed.iter().map(|(fault, armed)| (*fault, *armed))
    }

    fn strikes(&mut self, fault: Fault) -> bool {
        self.armed.get_mut(&fault).is_some_and(Armed::strikes)
    }

    /// Whether a CANCEL that could finish now does not.
    pub(crate) fn keep_cancelling(&mut self) -> bool {
        self.is_stuck = self.is_stuck || self.strikes(Fault::StuckInCancelling);
        self.is_stuck
    }

    /// What goes wrong with the used element that is to be written now, if anything does.
    pub(crate) fn of_completion(&mut self) -> Option<Fault> {
        if self.armed.is_empty() {
            return None;
        }
        Fault::OF_COMPLETIONS.into_iter().find(|fault| self.strikes(*fault))
    }

    /// That used element waits for STOPPED.
    pub(crate) fn hold(&mut self, head: u16, len: u32) {
        self.late.push_back((head, len));
    }

    /// The next used element that has waited, now that STATE reads STOPPED.
    pub(crate) fn next_late(&mut self) -> Option<(u16, u32)> {
        self.late.pop_front()
    }
}
