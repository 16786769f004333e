//! The books above the rings: every frame that the sender was given and every buffer that the driver was given is in
//! exactly one place. Pure: no ring, no driver.

use agent_protocol::{Ids, QueueReport};
use alloc::{collections::VecDeque, format, string::String, vec::Vec};

/// A frame that waits in front of the packet ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pending {
    /// Its number.
    pub number: u64,
    /// Bytes.
    pub len: u16,
    /// Fragments.
    pub fragments: u8,
}

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

/// The sender's books.
#[derive(Debug, Default)]
pub struct TxLedger {
    posted: Ids,
    sent: Ids,
    taken_back: Ids,
    never_posted: Ids,
    paused: Ids,
    queued: VecDeque<Pending>,
    outstanding: VecDeque<u64>,
}

impl TxLedger {
    /// Takes frames from the agent. With the gate closed they complete PAUSED at once.
    pub fn give(&mut self, frames: impl Iterator<Item = Pending>, open: bool) {
        if open {
            self.queued.extend(frames);
        } else {
            frames.for_each(|frame| self.paused.push(frame.number));
        }
    }

    /// The next frame for the ring, if any; it stays queued until [`Self::post`].
    #[must_use]
    pub fn next(&self) -> Option<Pending> {
        self.queued.front().copied()
    }

    /// The front frame has gone into the packet ring.
    pub fn post(&mut self) {
        if let Some(frame) = self.queued.pop_front() {
            self.posted.push(frame.number);
            self.outstanding.push_back(frame.number);
        }
    }

    /// The packet at the ring's begin came back.
    ///
    /// # Errors
    /// No packet was outstanding: the framework itself would have lost count.
    pub fn returned(&mut self, outcome: Outcome) -> Result<u64, String> {
        let number = self
            .outstanding
            .pop_front()
            .ok_or_else(|| String::from("a packet came back that was not out"))?;
        match outcome {
            Outcome::Sent => self.sent.push(number),
            Outcome::TakenBack => self.taken_back.push(number),
            Outcome::NeverPosted => self.never_posted.push(number),
        }
        Ok(number)
    }

    /// The ring is empty at a pause: what still waits completes with NDIS_STATUS_PAUSED.
    pub fn pause(&mut self) {
        self.queued.drain(..).for_each(|frame| self.paused.push(frame.number));
    }

    /// Number of the frame that has been out longest.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.outstanding.front().copied()
    }

    /// How many wait in front of the ring.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queued.len()
    }

    /// How many packets the driver holds.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding.len()
    }

    /// Checks that each posted frame is in exactly one of the sets.
    ///
    /// # Errors
    /// Names the first number that is in none or in two.
    pub fn balance(&self) -> Result<(), String> {
        let mut given: Vec<u64> = self.posted.iter().collect();
        let ends = [&self.sent, &self.taken_back, &self.never_posted];
        let mut found: Vec<u64> =
            ends.into_iter().flat_map(Ids::iter).chain(self.outstanding.iter().copied()).collect();
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
            outstanding: self.outstanding.iter().copied().collect(),
            queued: self.queued.iter().map(|frame| frame.number).collect(),
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

    fn frames(numbers: core::ops::Range<u64>) -> impl Iterator<Item = Pending> {
        numbers.map(|number| Pending { number, len: 60, fragments: 1 })
    }

    #[test]
    fn every_frame_ends_in_exactly_one_set() {
        let mut ledger = TxLedger::default();
        ledger.give(frames(0..6), true);
        (0..4).for_each(|_| ledger.post());
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
        let mut ledger = TxLedger::default();
        ledger.give(frames(0..2), true);
        ledger.post();
        ledger.post();
        ledger.outstanding.pop_back();
        assert!(ledger.balance().unwrap_err().contains("Some(1)"));
    }

    #[test]
    fn frames_given_to_a_closed_gate_are_paused_at_once() {
        let mut ledger = TxLedger::default();
        ledger.give(frames(3..5), false);
        assert_eq!(ledger.report("tx0").paused, [3, 4].into_iter().collect());
        assert_eq!(ledger.next(), None);
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
