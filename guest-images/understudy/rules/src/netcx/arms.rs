//! How often a driver may notify: once for each EvtSetNotificationEnabled that it has not answered yet.
//!
//! The driver keeps one wish at a time. Asked twice before it has notified, it still notifies once. But an interrupt may
//! come between our asking and its arming: then it answers the older wish first, and has the newer one still to answer.
//!
//! Rules: CX5, CX6 (`driver/docs/netadaptercx.md`).

use core::sync::atomic::{AtomicU8, Ordering::Relaxed};

/// Wishes for a notification that a driver may answer.
#[derive(Debug, Default)]
pub struct Arms(AtomicU8);

impl Arms {
    /// None.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU8::new(0))
    }

    /// EvtSetNotificationEnabled is about to be called.
    pub fn begin(&self) {
        self.change(|wishes| wishes + 1);
    }

    /// It has returned: the driver has one wish, if it has not answered that one meanwhile.
    pub fn end(&self) {
        self.change(|wishes| wishes.min(1));
    }

    /// The driver notifies; whether it was asked to.
    #[must_use]
    pub fn answer(&self) -> bool {
        self.change(|wishes| wishes.saturating_sub(1)) != 0
    }

    /// Whether the driver still has to notify.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.0.load(Relaxed) != 0
    }

    /// The queue has stopped.
    pub fn forget(&self) {
        self.0.store(0, Relaxed);
    }

    /// How many there were before.
    fn change(&self, change: impl Fn(u8) -> u8) -> u8 {
        // the change always has a result
        match self.0.fetch_update(Relaxed, Relaxed, |wishes| Some(change(wishes))) {
            Ok(before) | Err(before) => before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn armed(arms: &Arms) {
        arms.begin();
        arms.end();
    }

    #[test]
    fn one_wish_is_answered_once() {
        let arms = Arms::new();
        assert!(!arms.is_waiting() && !arms.answer());
        armed(&arms);
        assert!(arms.is_waiting());
        assert_eq!((arms.answer(), arms.is_waiting(), arms.answer()), (true, false, false));
    }

    #[test]
    fn two_wishes_without_an_answer_are_one() {
        let arms = Arms::new();
        armed(&arms);
        armed(&arms);
        assert_eq!((arms.answer(), arms.answer()), (true, false));
    }

    #[test]
    fn an_interrupt_between_asking_and_arming_answers_the_older_wish() {
        let arms = Arms::new();
        armed(&arms);
        arms.begin();
        assert!(arms.answer(), "the DPC's, for the older wish");
        arms.end();
        assert_eq!((arms.answer(), arms.answer()), (true, false));
    }

    #[test]
    fn a_driver_may_answer_within_the_call() {
        let arms = Arms::new();
        arms.begin();
        assert!(arms.answer());
        arms.end();
        assert!(!arms.answer());
    }

    #[test]
    fn a_stopped_queue_has_no_wish() {
        let arms = Arms::new();
        armed(&arms);
        arms.forget();
        assert!(!arms.answer());
    }
}
