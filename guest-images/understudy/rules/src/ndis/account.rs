//! The overlying driver's account of its frames. Pure.
//!
//! Rules: NF27, NF30 (`driver/docs/ndis-filter.md`).

use super::ledger::{PAUSED, SEND_ABORTED};
use agent_protocol::{Ids, ListReport};
use alloc::{collections::BTreeSet, format};

use super::ledger::Broken;

/// What became of the protocol's frames, since the driver was loaded.
#[derive(Debug, Default)]
pub struct Account {
    success: Ids,
    aborted: Ids,
    paused: Ids,
    failed: Ids,
    received: Ids,
    filtered: Ids,
    outstanding: BTreeSet<u64>,
}

impl Account {
    /// An empty account.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            success: Ids(alloc::vec::Vec::new()),
            aborted: Ids(alloc::vec::Vec::new()),
            paused: Ids(alloc::vec::Vec::new()),
            failed: Ids(alloc::vec::Vec::new()),
            received: Ids(alloc::vec::Vec::new()),
            filtered: Ids(alloc::vec::Vec::new()),
            outstanding: BTreeSet::new(),
        }
    }

    /// A frame is about to be sent.
    pub fn sent(&mut self, number: u64) {
        self.outstanding.insert(number);
    }

    /// A frame's list came back.
    ///
    /// # Errors
    /// The frame was not out.
    pub fn completed(&mut self, number: u64, status: i32) -> Result<(), Broken> {
        if !self.outstanding.remove(&number) {
            return Err(Broken::new("ListCompletedTwice", format!("frame {number} was not out")));
        }
        let place = match status {
            0 => &mut self.success,
            SEND_ABORTED => &mut self.aborted,
            PAUSED => &mut self.paused,
            _ => &mut self.failed,
        };
        place.push(number);
        Ok(())
    }

    /// A frame came in.
    pub fn received(&mut self, number: u64) {
        self.received.push(number);
    }

    /// A frame came in that the packet filter does not let through.
    pub fn filtered(&mut self, number: u64) {
        self.filtered.push(number);
    }

    /// How many frames are out.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// The account as a report has it.
    #[must_use]
    pub fn report(&self) -> ListReport {
        ListReport {
            success: self.success.clone(),
            aborted: self.aborted.clone(),
            paused: self.paused.clone(),
            failed: self.failed.clone(),
            outstanding: self.outstanding.iter().copied().collect(),
            received: self.received.clone(),
            filtered: self.filtered.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_status_has_its_place() {
        let mut account = Account::new();
        (0..5).for_each(|number| account.sent(number));
        for (number, status) in [(0, 0), (1, SEND_ABORTED), (2, PAUSED), (3, -1)] {
            account.completed(number, status).unwrap();
        }
        account.received(9);
        account.filtered(10);

        let report = account.report();
        let one = |number| [number].into_iter().collect::<Ids>();
        assert_eq!((report.success, report.aborted), (one(0), one(1)));
        assert_eq!((report.paused, report.failed), (one(2), one(3)));
        assert_eq!((report.outstanding, report.received, report.filtered), (one(4), one(9), one(10)));
    }

    #[test]
    fn a_frame_that_is_not_out_cannot_come_back() {
        let mut account = Account::new();
        account.sent(1);
        account.completed(1, 0).unwrap();
        assert_eq!(account.completed(1, 0).unwrap_err().rule, "ListCompletedTwice");
    }
}
