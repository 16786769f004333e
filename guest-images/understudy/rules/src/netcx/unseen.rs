//! Whether a queue sleeps while completions lie before it that nobody announces. Pure: knows indices and a count of
//! looks, no clock and no ring.
//!
//! 1. Before each EvtAdvance and EvtCancel the device's used index is noted: the driver can see in the call all that was
//!    used before it.
//! 2. While the queue sleeps and its driver has to notify, the index is looked at again and again. If it is not the
//!    noted one, and stays the same over as many looks as the bound has, its interrupt should have come long ago: the
//!    queue is suspected.
//! 3. The framework then calls EvtAdvance, as it may at any time. If that gives packets back, and the index has not
//!    moved meanwhile, these packets lay there all the time: the driver has lost the wake-up.
//!
//! Rules: CX6, CX13 (`driver/docs/netadaptercx.md`).

/// What is known of one queue.
#[derive(Debug, Default)]
pub struct Unseen {
    noted: u16,
    seen: u16,
    looks: u32,
    suspected: bool,
}

/// Completions that have lain before a sleeping queue for as long as the bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suspicion {
    /// The used index before the last call of the driver.
    pub noted: u16,
    /// The used index since.
    pub used: u16,
}

impl Unseen {
    /// Nothing is known.
    #[must_use]
    pub const fn new() -> Self {
        Self { noted: 0, seen: 0, looks: 0, suspected: false }
    }

    /// EvtAdvance or EvtCancel is about to be called. The suspicion that the call will prove or refute, if there is one.
    pub fn call(&mut self, used: u16) -> Option<Suspicion> {
        let suspicion = Suspicion { noted: self.noted, used };
        let suspected = self.suspected && used == self.seen;
        self.awake();
        self.noted = used;
        suspected.then_some(suspicion)
    }

    /// The driver has notified, or the queue does not sleep, or has nothing to wait for.
    pub fn awake(&mut self) {
        self.looks = 0;
        self.suspected = false;
    }

    /// A look at the queue, which sleeps and waits for its driver's notification. Whether it has become suspected: this
    /// is so after `bound` looks at the same completions.
    #[must_use]
    pub fn look(&mut self, used: u16, bound: u32) -> bool {
        if used == self.noted {
            self.awake();
            return false;
        }
        self.looks = if self.looks != 0 && used == self.seen { self.looks + 1 } else { 1 };
        self.seen = used;
        let suspected = self.looks > bound;
        let became = suspected && !self.suspected;
        self.suspected = suspected;
        became
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After an EvtAdvance with used index 5, the device uses three chains more and nobody notifies.
    fn suspected() -> Unseen {
        let mut queue = Unseen::new();
        assert_eq!(queue.call(5), None);
        assert!(!queue.look(8, 2) && !queue.look(8, 2));
        assert!(queue.look(8, 2), "two periods have passed since the first look");
        queue
    }

    #[test]
    fn completions_that_lie_for_the_bound_make_a_queue_suspected_once() {
        let mut queue = suspected();
        assert!(!queue.look(8, 2));
        assert_eq!(queue.call(8), Some(Suspicion { noted: 5, used: 8 }));
        assert_eq!(queue.call(8), None);
    }

    #[test]
    fn a_queue_without_new_completions_is_never_suspected() {
        let mut queue = Unseen::new();
        assert_eq!(queue.call(5), None);
        assert!((0..100).all(|_| !queue.look(5, 2)));
    }

    #[test]
    fn completions_that_go_on_coming_begin_the_bound_again() {
        let mut queue = Unseen::new();
        assert!((1..100).all(|used| !queue.look(used, 2)));
    }

    #[test]
    fn completions_after_a_suspicion_begin_the_bound_again() {
        let mut queue = suspected();
        assert!(!queue.look(9, 2) && !queue.look(9, 2));
        assert!(queue.look(9, 2));
    }

    #[test]
    fn a_notification_ends_a_suspicion() {
        let mut queue = suspected();
        queue.awake();
        assert_eq!(queue.call(8), None);
    }

    #[test]
    fn a_completion_between_the_last_look_and_the_call_proves_nothing() {
        assert_eq!(suspected().call(9), None);
    }

    #[test]
    fn the_index_may_wrap() {
        let mut queue = Unseen::new();
        assert_eq!(queue.call(0xffff), None);
        assert!(queue.look(1, 0));
        assert_eq!(queue.call(1), Some(Suspicion { noted: 0xffff, used: 1 }));
    }
}
