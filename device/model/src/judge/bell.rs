//! Doorbells: the one that did not come, and those that nobody asked for.
//!
//! A doorbell comes some time after its chains were published, so the device may have fetched them by then,
//! and the next ones, too. One thread of the driver publishes and rings in turns: of the doorbells heard
//! after the device has read the available index, two at most can be for chains that it saw then.

use std::time::Duration;

use super::LATE;

/// Doorbells that may come without a new chain, in a row: the two above, and the one that QEMU writes itself
/// when the queue starts.
const EMPTY: u32 = 3;

#[derive(Debug)]
pub(super) struct Bell {
    event_idx: bool,
    /// The available index when it was last rung, or when the queue entered service.
    heard_at: u16,
    /// Rung in a row without a new chain.
    empty: u32,
    rung: u64,
    /// Chains published while it was listened to.
    published: u64,
    /// Since when a doorbell is owed, as far as is known, and whether that was told.
    owed: Option<(Duration, bool)>,
    was_deaf: bool,
}

impl Bell {
    pub(super) fn new(published: u16, event_idx: bool) -> Bell {
        Bell { event_idx, heard_at: published, empty: 0, rung: 0, published: 0, owed: None, was_deaf: false }
    }

    pub(super) fn deaf(&mut self) {
        self.was_deaf = true;
    }

    fn listen(&mut self, published: u16) {
        if std::mem::take(&mut self.was_deaf) {
            self.heard_at = published;
            self.owed = None;
            self.empty = 0;
        }
    }

    /// It was rung; true if for nothing.
    pub(super) fn rung(&mut self, published: u16, arms: u64) -> bool {
        self.listen(published);
        let new = published.wrapping_sub(self.heard_at);
        self.heard_at = published;
        self.owed = None;
        self.published = self.published.saturating_add(new.into());
        self.rung = self.rung.saturating_add(1);
        self.empty = if new == 0 { self.empty.saturating_add(1) } else { 0 };
        // Each doorbell asked for is rung once; one that stays behind in the ring is passed again every
        // 65536 chains.
        let passed = self.published.checked_shr(16).unwrap_or(0);
        let asked = arms.saturating_add(passed).saturating_add(EMPTY.into()).saturating_add(1);
        self.empty > EMPTY || (self.event_idx && self.rung > asked)
    }

    /// Looks whether one is owed; the place of the first chain that it is owed for, if it has been for too
    /// long, once. `armed`: with VIRTIO_F_EVENT_IDX, where it was asked for.
    pub(super) fn look(
        &mut self,
        published: u16,
        armed: Option<u16>,
        heard: bool,
        now: Duration,
    ) -> Option<u16> {
        self.listen(published);
        let owed_for = match armed.filter(|_| self.event_idx) {
            Some(at) if behind(at, published) && !behind(at, self.heard_at) => Some(at),
            None if !self.event_idx && published != self.heard_at => Some(self.heard_at),
            _ => None,
        };
        let Some(first) = owed_for.filter(|_| heard) else {
            self.owed = None;
            return None;
        };
        match self.owed {
            None => self.owed = Some((now, false)),
            Some((since, false)) if now.saturating_sub(since) >= LATE => {
                self.owed = Some((since, true));
                return Some(first);
            }
            Some(_) => {}
        }
        None
    }
}

/// Whether place `at` of the available ring has been published when its index is `index`.
fn behind(at: u16, index: u16) -> bool {
    let distance = index.wrapping_sub(at);
    distance > 0 && distance <= 0x8000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn doorbell_that_does_not_come_is_told_once() {
        let mut bell = Bell::new(7, false);
        assert_eq!(bell.look(7, None, true, at(0)), None);
        assert_eq!(bell.look(9, None, true, at(1)), None);
        assert_eq!(bell.look(9, None, true, at(2)), None);
        assert_eq!(bell.look(9, None, true, at(3)), Some(7));
        assert_eq!(bell.look(9, None, true, at(9)), None);
        assert!(!bell.rung(9, 0));
        assert_eq!(bell.look(10, None, true, at(10)), None);
        assert_eq!(bell.look(10, None, true, at(12)), Some(9));
    }

    #[test]
    fn doorbell_that_was_not_asked_for_is_not_missed() {
        let mut bell = Bell::new(0, true);
        for second in 0..9 {
            assert_eq!(bell.look(5, None, true, at(second)), None);
            assert_eq!(bell.look(5, Some(5), true, at(second)), None);
        }
        assert_eq!(bell.look(6, Some(5), true, at(10)), None);
        assert_eq!(bell.look(6, Some(5), true, at(12)), Some(5));
    }

    #[test]
    fn doorbell_is_not_missed_while_nobody_listens() {
        let mut bell = Bell::new(0, false);
        for second in 0..9 {
            assert_eq!(bell.look(5, None, false, at(second)), None);
        }
        bell.deaf();
        assert_eq!(bell.look(5, None, true, at(20)), None);
        assert_eq!(bell.look(5, None, true, at(40)), None);
    }

    #[test]
    fn doorbells_behind_what_the_device_saw_are_forgiven() {
        let mut bell = Bell::new(0, false);
        for round in 1..100u16 {
            assert!(!bell.rung(2 * round, 0), "new chains");
            assert!(!bell.rung(2 * round, 0), "published before, rung after");
            assert!(!bell.rung(2 * round, 0), "and the next one, seen too early");
        }
    }

    #[test]
    fn doorbells_without_chains_are_told() {
        let mut bell = Bell::new(0, false);
        let told: Vec<bool> = (0..5).map(|_| bell.rung(0, 0)).collect();
        assert_eq!(told, [false, false, false, true, true]);
    }

    #[test]
    fn doorbells_that_were_not_asked_for_are_told() {
        let mut bell = Bell::new(0, true);
        let told = (1..=20u16).filter(|index| bell.rung(*index, 2)).count();
        assert_eq!(told, 14, "2 asked for, 4 forgiven");
        let mut bell = Bell::new(0, true);
        assert!((1..=20u16).all(|index| !bell.rung(index, index.into())));
    }
}
