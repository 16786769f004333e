//! Wire time: the machine's monotonic clock, or one that stands still until it is told to go on.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Where `now` comes from, and who waits for it.
#[derive(Debug)]
pub(crate) struct Clock {
    /// `None` with the manual clock.
    started: Option<Instant>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Time of the manual clock.
    manual: Duration,
    /// When a queue wants to be run at the latest.
    deadline: Option<Duration>,
}

impl Clock {
    /// Starts at 0.
    pub(crate) fn new(manual: bool) -> Clock {
        Clock { started: (!manual).then(Instant::now), state: Mutex::default(), changed: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether time passes only when told.
    pub(crate) fn is_manual(&self) -> bool {
        self.started.is_none()
    }

    /// Time since the start.
    pub(crate) fn now(&self) -> Duration {
        match self.started {
            Some(started) => started.elapsed(),
            None => self.state().manual,
        }
    }

    /// Lets `by` pass on the manual clock; the new time, or `None` with the real one.
    pub(crate) fn advance(&self, by: Duration) -> Option<Duration> {
        if !self.is_manual() {
            return None;
        }
        let mut state = self.state();
        state.manual = state.manual.saturating_add(by);
        Some(state.manual)
    }

    /// Someone is to be woken at `at`, if nobody was to be sooner.
    pub(crate) fn wake_at(&self, at: Duration) {
        let mut state = self.state();
        if state.deadline.is_none_or(|deadline| at < deadline) {
            state.deadline = Some(at);
            self.changed.notify_one();
        }
    }

    /// Waits for the time given last to [`Clock::wake_at`], and forgets it. For one thread. With the
    /// manual clock only a time that is not in the future wakes: others come with the advance.
    pub(crate) fn wait(&self) {
        let mut state = self.state();
        loop {
            let left = state.deadline.map(|deadline| match self.started {
                Some(started) => deadline.saturating_sub(started.elapsed()),
                None if deadline <= state.manual => Duration::ZERO,
                None => Duration::MAX,
            });
            state = match left {
                Some(Duration::ZERO) => {
                    state.deadline = None;
                    return;
                }
                None | Some(Duration::MAX) => {
                    self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
                }
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_stands_still() {
        let clock = Clock::new(true);
        assert_eq!(clock.now(), Duration::ZERO);
        assert_eq!(clock.advance(Duration::from_micros(5)), Some(Duration::from_micros(5)));
        assert_eq!(clock.now(), Duration::from_micros(5));
    }

    #[test]
    fn real_clock_takes_no_orders() {
        assert_eq!(Clock::new(false).advance(Duration::from_secs(1)), None);
    }

    #[test]
    fn wait_ends_at_the_earliest_deadline() {
        let clock = Clock::new(false);
        clock.wake_at(Duration::from_secs(3600));
        let soon = clock.now() + Duration::from_millis(1);
        clock.wake_at(soon);
        clock.wait();
        assert!(clock.now() >= soon && clock.now() < Duration::from_secs(3600));
    }

    #[test]
    fn manual_clock_wakes_for_what_is_due() {
        let clock = Clock::new(true);
        clock.wake_at(Duration::ZERO);
        clock.wait();
        assert_eq!(clock.state().deadline, None);
    }
}
