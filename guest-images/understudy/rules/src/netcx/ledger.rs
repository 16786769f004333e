//! The books above the rings: every frame that the sender was given and every buffer that the driver was given is in
//! exactly one place. Pure: no ring, no driver.
//!
//! Rules: CX12, CX19, CX20, CX23 (`driver/docs/netadaptercx.md`).

use agent_protocol::{Ids, QueueReport};
use alloc::{collections::VecDeque, format, string::String, vec::Vec};

/// How the driver marked a packet that it returned (see the driver's documentation of its Scratch bits).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// NET_PACKET.Scratch clear.
    Sent,
    /// NET_PACKET.Scratch and its first fragment's Scratch set.
    TakenBack,
    /// NET_PACKET.Scratch set, the fragment's clear.
    NeverPosted,
}

impl Outcome {
    /// Reads the two private bits.
    #[must_use]
    pub fn from_scratch(packet: bool, first_fragment: bool) -> Self {
        match (packet, first_fragment) {
            (false, _) => Self::Sent,
            (true, true) => Self::TakenBack,
            (true, false) => Self::NeverPosted,
        }
    }
}

/// The sender's books. A frame without one of our numbers is counted on its way, and in no set.
#[derive(Debug, Default)]
pub struct TxLedger {
    posted: Ids,
    sent: Ids,
    taken_back: Ids,
    never_posted: Ids,
    paused: Ids,
    skipped: Ids,
    queued: VecDeque<Option<u64>>,
    outstanding: VecDeque<Out>,
}

/// A packet in the ring.
#[derive(Debug, Clone, Copy)]
struct Out {
    number: Option<u64>,
    /// The driver is to skip it.
    ignored: bool,
}

impl TxLedger {
    /// Takes a frame from above: it waits in front of the packet ring.
    pub fn give(&mut self, number: Option<u64>) {
        self.queued.push_back(number);
    }

    /// A frame was completed NDIS_STATUS_PAUSED without ever having waited here.
    pub fn refuse(&mut self, number: u64) {
        self.paused.push(number);
    }

    /// The front frame has gone into the packet ring; `ignored` as a packet that the driver is to skip.
    pub fn post(&mut self, ignored: bool) {
        if let Some(number) = self.queued.pop_front() {
            number.into_iter().filter(|_| !ignored).for_each(|number| self.posted.push(number));
            self.outstanding.push_back(Out { number, ignored });
        }
    }

    /// The packet at the ring's begin came back.
    ///
    /// # Errors
    /// No packet was outstanding: the framework itself would have lost count. One that was to be skipped came back
    /// marked.
    pub fn returned(&mut self, outcome: Outcome) -> Result<(), String> {
        let Out { number, ignored } = self
            .outstanding
            .pop_front()
            .ok_or_else(|| String::from("a packet came back that was not out"))?;
        let set = match outcome {
            Outcome::Sent if ignored => &mut self.skipped,
            _ if ignored => return Err(format!("a packet with Ignore came back as {outcome:?}")),
            Outcome::Sent => &mut self.sent,
            Outcome::TakenBack => &mut self.taken_back,
            Outcome::NeverPosted => &mut self.never_posted,
        };
        number.into_iter().for_each(|number| set.push(number));
        Ok(())
    }

    /// The ring is empty at a pause: what still waits completes with NDIS_STATUS_PAUSED.
    pub fn pause(&mut self) {
        self.queued.drain(..).flatten().for_each(|number| self.paused.push(number));
    }

    /// Number of the frame that has been out longest.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.outstanding.iter().find_map(|out| out.number)
    }

    /// Checks that each posted frame is in exactly one of the sets.
    ///
    /// # Errors
    /// Names the first number that is in none or in two.
    pub fn balance(&self) -> Result<(), String> {
        let mut given: Vec<u64> = self.posted.iter().collect();
        let ends = [&self.sent, &self.taken_back, &self.never_posted];
        let out = self.outstanding.iter().filter(|out| !out.ignored).filter_map(|out| out.number);
        let mut found: Vec<u64> = ends.into_iter().flat_map(Ids::iter).chain(out).collect();
        given.sort_unstable();
        found.sort_unstable();
        if given == found {
            return Ok(());
        }
        let at = given.iter().zip(&found).position(|(a, b)| a != b).unwrap_or(given.len().min(found.len()));
        Err(format!("posted {:?} against accounted {:?} at {at}", given.get(at), found.get(at)))
    }

    /// The state for a report.
    #[must_use]
    pub fn report(&self, queue: &str) -> QueueReport {
        QueueReport {
            queue: queue.into(),
            posted: self.posted.clone(),
            sent: self.sent.clone(),
            taken_back: self.taken_back.clone(),
            never_posted: self.never_posted.clone(),
            skipped: self.skipped.clone(),
            outstanding: self.outstanding.iter().filter_map(|out| out.number).collect(),
            queued: self.queued.iter().copied().flatten().collect(),
            paused: self.paused.clone(),
            ..QueueReport::default()
        }
    }
}

/// The checker's books.
#[derive(Debug, Default)]
pub struct RxLedger {
    received: Ids,
    returned_empty: u64,
    held: u64,
    other: u64,
}

impl RxLedger {
    /// `count` more buffers have gone into the ring.
    pub fn give(&mut self, count: u64) {
        self.held += count;
    }

    /// A buffer came back with Ignore set.
    pub fn empty(&mut self) {
        self.held = self.held.saturating_sub(1);
        self.returned_empty += 1;
    }

    /// A frame came; `None` for another protocol's.
    pub fn frame(&mut self, number: Option<u64>) {
        self.held = self.held.saturating_sub(1);
        match number {
            Some(number) => self.received.push(number),
            None => self.other += 1,
        }
    }

    /// How many buffers the driver holds.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.held
    }

    /// The state for a report.
    #[must_use]
    pub fn report(&self, queue: &str) -> QueueReport {
        QueueReport {
            queue: queue.into(),
            received: self.received.clone(),
            returned_empty: self.returned_empty,
            held: self.held,
            ..QueueReport::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(numbers: core::ops::Range<u64>) -> TxLedger {
        let mut ledger = TxLedger::default();
        numbers.for_each(|number| ledger.give(Some(number)));
        ledger
    }

    #[test]
    fn every_frame_ends_in_exactly_one_set() {
        let mut ledger = given(0..6);
        (0..4).for_each(|_| ledger.post(false));
        for outcome in [Outcome::Sent, Outcome::TakenBack, Outcome::NeverPosted] {
            ledger.returned(outcome).unwrap();
        }
        ledger.pause();

        let report = ledger.report("tx0");
        assert_eq!(report.posted, (0..4).collect());
        assert_eq!(
            (report.sent, report.taken_back, report.never_posted),
            ([0].into_iter().collect(), [1].into_iter().collect(), [2].into_iter().collect())
        );
        assert_eq!(report.outstanding, [3].into_iter().collect());
        assert_eq!(report.paused, [4, 5].into_iter().collect());
        assert_eq!(ledger.balance(), Ok(()));
    }

    #[test]
    fn a_packet_from_nowhere_is_refused() {
        assert!(TxLedger::default().returned(Outcome::Sent).is_err());
    }

    #[test]
    fn a_lost_frame_shows_in_the_balance() {
        let mut ledger = given(0..2);
        ledger.post(false);
        ledger.post(false);
        ledger.outstanding.pop_back();
        assert!(ledger.balance().unwrap_err().contains("Some(1)"));
    }

    #[test]
    fn frames_refused_by_a_closed_gate_are_paused() {
        let mut ledger = TxLedger::default();
        (3..5).for_each(|number| ledger.refuse(number));
        assert_eq!(ledger.report("tx0").paused, [3, 4].into_iter().collect());
    }

    #[test]
    fn frames_without_number_are_in_no_set() {
        let mut ledger = TxLedger::default();
        ledger.give(None);
        ledger.post(false);
        assert_eq!(ledger.outstanding.len(), 1);
        ledger.returned(Outcome::Sent).unwrap();
        assert_eq!(ledger.report("tx0"), TxLedger::default().report("tx0"));
    }

    #[test]
    fn a_packet_to_skip_is_not_posted_and_comes_back_unmarked() {
        let mut ledger = given(0..2);
        ledger.post(true);
        ledger.post(true);
        assert_eq!(ledger.report("tx0").posted, Ids::default());
        assert_eq!(ledger.report("tx0").outstanding, (0..2).collect());
        assert_eq!(ledger.balance(), Ok(()));
        ledger.returned(Outcome::Sent).unwrap();
        assert_eq!(ledger.report("tx0").skipped, [0].into_iter().collect());
        assert!(ledger.returned(Outcome::NeverPosted).unwrap_err().contains("NeverPosted"));
    }

    #[test]
    fn scratch_bits_read_as_the_driver_writes_them() {
        assert_eq!(Outcome::from_scratch(false, false), Outcome::Sent);
        assert_eq!(Outcome::from_scratch(false, true), Outcome::Sent);
        assert_eq!(Outcome::from_scratch(true, true), Outcome::TakenBack);
        assert_eq!(Outcome::from_scratch(true, false), Outcome::NeverPosted);
    }

    #[test]
    fn receive_buffers_are_counted_back() {
        let mut ledger = RxLedger::default();
        ledger.give(4);
        ledger.frame(Some(9));
        ledger.frame(None);
        ledger.empty();
        assert_eq!(ledger.held(), 1);
        assert_eq!(ledger.report("rx0").returned_empty, 1);
    }
}
