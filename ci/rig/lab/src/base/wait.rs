//! Waiting for what nobody announces: looking again and again, with a limit.
//!
//! [`follow`] is for everything that shows how far it has come. Its limit counts from the last change that was seen, so
//! that a busy machine is given time and one on which nothing moves is not. Every limit is measured by the [`FairClock`]:
//! the time in which somebody stood in line for a processor does not count. A look that finds out that its goal cannot
//! be reached any more returns an error, which ends the wait at once. [`until`] is for the rest: its limit is fixed.

use crate::base::fair::FairClock;
use anyhow::Result;
use std::thread;
use std::time::{Duration, Instant};

/// Bound for anything that takes milliseconds on an idle machine.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Between two looks of a wait for what takes milliseconds.
pub const PERIOD: Duration = Duration::from_millis(2);

/// How long a wait may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest time without a change.
    pub still: Duration,
    /// Longest time in all, even if something changes all the time.
    pub most: Duration,
}

impl Limits {
    /// So long without a change, and six times as long in all.
    pub const fn of(still: Duration) -> Self {
        Self { still, most: still.saturating_mul(6) }
    }
}

/// The result of one look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Look<T> {
    /// The thing waited for is there.
    Found(T),
    /// It is not there yet. The text describes how far it has come: another text than at the last look is progress.
    NotYet(String),
}

/// A wait that was given up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("waited for {what}: {}{}", .how.describe(), if .last.is_empty() { String::new() } else { format!("; last seen: {last}") })]
pub struct InVain {
    /// What was waited for.
    pub what: String,
    /// The last state that was seen.
    pub last: String,
    /// Why the wait ended, with its times.
    pub how: GivenUp,
}

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GivenUp {
    /// Nothing changed for too long.
    Still {
        /// Since the last change.
        still: Duration,
        /// Since the beginning.
        waited: Duration,
    },
    /// Something still changed, but the whole wait took too long.
    Endless {
        /// Since the beginning.
        waited: Duration,
    },
}

impl GivenUp {
    /// How long it has been waited in all.
    pub fn waited(self) -> Duration {
        match self {
            Self::Still { waited, .. } | Self::Endless { waited } => waited,
        }
    }

    fn describe(self) -> String {
        match self {
            Self::Still { still, waited } if waited == still => {
                format!("nothing changed for {}", seconds(still))
            }
            Self::Still { still, waited } => {
                format!("nothing changed for {} ({} in all)", seconds(still), seconds(waited))
            }
            Self::Endless { waited } => {
                format!("not there after {}, although something still changed", seconds(waited))
            }
        }
    }
}

/// A duration for people: `20 s`, `0.2 s`.
pub fn seconds(time: Duration) -> String {
    let tenths = (time.as_secs_f64() * 10.0).round() / 10.0;
    if tenths < 10.0 { format!("{tenths} s") } else { format!("{} s", tenths.round()) }
}

/// The judgement of a wait, apart from clock and thread: fed with what was seen when.
#[derive(Debug)]
pub struct Progress {
    limits: Limits,
    began: Instant,
    changed: Instant,
    last: Option<String>,
}

impl Progress {
    /// A wait that begins `now`.
    pub fn new(limits: Limits, now: Instant) -> Self {
        Self { limits, began: now, changed: now, last: None }
    }

    /// Takes in what is seen `now`; the reason to give up, if there is one.
    pub fn see(&mut self, now: Instant, seen: String) -> Option<GivenUp> {
        let waited = now.saturating_duration_since(self.began);
        if self.last.as_ref() != Some(&seen) {
            // The first look is no change: the wait has only begun.
            if self.last.is_some() {
                self.changed = now;
            }
            self.last = Some(seen);
        }
        let still = now.saturating_duration_since(self.changed);
        if still >= self.limits.still {
            Some(GivenUp::Still { still, waited })
        } else if waited >= self.limits.most {
            Some(GivenUp::Endless { waited })
        } else {
            None
        }
    }

    /// The last state that was seen.
    pub fn last(&self) -> &str {
        self.last.as_deref().unwrap_or_default()
    }
}

/// Looks every `period` until `look` finds `what` is waited for. The look may block for a while itself.
///
/// It looks at least once, and once more after a last wait, however long that has become on a busy machine.
///
/// # Errors
/// The first error of `look`, with which it says that there is nothing to wait for any more; [`InVain`] when nothing
/// has changed for too long.
pub fn follow<T>(
    what: &str,
    limits: Limits,
    period: Duration,
    mut look: impl FnMut() -> Result<Look<T>>,
) -> Result<T> {
    let mut clock = FairClock::start();
    let mut progress = Progress::new(limits, clock.now());
    loop {
        match look()? {
            Look::Found(found) => return Ok(found),
            Look::NotYet(seen) => {
                if let Some(how) = progress.see(clock.now(), seen) {
                    let (what, last) = (what.to_owned(), progress.last().to_owned());
                    return Err(InVain { what, last, how }.into());
                }
            }
        }
        thread::park_timeout(period);
    }
}

/// Looks every `period` until `look` finds what it looks for; `None` if it still has not when `limit` has passed.
///
/// It looks at least once, and once more after a last wait, however long that has become on a busy machine.
///
/// # Errors
/// The first error of `look`, which ends the wait.
pub fn until<T>(
    limit: Duration,
    period: Duration,
    mut look: impl FnMut() -> Result<Option<T>>,
) -> Result<Option<T>> {
    let mut clock = FairClock::start();
    loop {
        if let Some(found) = look()? {
            return Ok(Some(found));
        }
        if clock.elapsed() >= limit {
            return Ok(None);
        }
        thread::park_timeout(period);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    const LONG: Duration = Duration::from_secs(60);
    const LIMITS: Limits = Limits { still: Duration::from_secs(20), most: Duration::from_secs(50) };

    /// What a wait thinks when it sees each state at its second.
    fn judged(seen: &[(u64, &str)]) -> Option<GivenUp> {
        let began = Instant::now();
        let mut progress = Progress::new(LIMITS, began);
        let mut told = None;
        for (at, state) in seen {
            assert_eq!(told, None, "given up before the last look");
            told = progress.see(began + Duration::from_secs(*at), (*state).to_owned());
        }
        told
    }

    #[test]
    fn the_limit_counts_from_the_last_change() {
        assert_eq!(judged(&[(0, "1 sent"), (19, "1 sent")]), None);
        assert_eq!(judged(&[(0, "1 sent"), (19, "2 sent"), (38, "2 sent")]), None);
        let still = GivenUp::Still { still: Duration::from_secs(20), waited: Duration::from_secs(39) };
        assert_eq!(judged(&[(0, "1 sent"), (19, "2 sent"), (39, "2 sent")]), Some(still));
    }

    #[test]
    fn a_late_first_look_is_no_change() {
        let still = GivenUp::Still { still: Duration::from_secs(20), waited: Duration::from_secs(20) };
        assert_eq!(judged(&[(20, "1 sent")]), Some(still));
    }

    #[test]
    fn what_changes_for_ever_ends_at_the_upper_bound() {
        let endless = GivenUp::Endless { waited: Duration::from_secs(50) };
        assert_eq!(judged(&[(0, "a"), (15, "b"), (30, "c"), (45, "d"), (50, "e")]), Some(endless));
    }

    #[test]
    fn a_wait_in_vain_names_its_goal_the_last_state_and_the_time_without_a_change() {
        let limits = Limits { still: Duration::ZERO, most: LONG };
        let error = follow::<()>("64 frames back", limits, PERIOD, || Ok(Look::NotYet("3 back".into())));
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("waited for 64 frames back: nothing changed for 0 s"), "{text}");
        assert!(text.ends_with("; last seen: 3 back"), "{text}");
        let how = GivenUp::Still { still: Duration::from_secs(20), waited: Duration::from_millis(38_200) };
        assert_eq!(how.describe(), "nothing changed for 20 s (38 s in all)");
        let how = GivenUp::Endless { waited: Duration::from_millis(2_240) };
        assert_eq!(how.describe(), "not there after 2.2 s, although something still changed");
    }

    #[test]
    fn what_can_no_longer_come_ends_the_wait_at_once() {
        let mut looks = 0;
        let error = follow::<()>("the end", Limits::of(LONG), PERIOD, || {
            looks += 1;
            bail!("the queue is broken")
        });
        assert_eq!((error.unwrap_err().to_string().as_str(), looks), ("the queue is broken", 1));
    }

    #[test]
    fn what_is_found_ends_a_wait_that_follows() {
        let mut looks = 0..3;
        let found = follow("the end", Limits::of(LONG), PERIOD, || {
            Ok(looks.next().map_or(Look::Found(7), |look| Look::NotYet(look.to_string())))
        });
        assert_eq!(found.unwrap(), 7);
    }

    #[test]
    fn what_is_found_ends_the_wait() {
        let mut looks = 0..;
        let found = until(LONG, PERIOD, || Ok(looks.next().filter(|look| *look == 2)));
        assert_eq!((found.unwrap(), looks.start), (Some(2), 3));
    }

    #[test]
    fn it_looks_once_without_time() {
        let found = until(Duration::ZERO, PERIOD, || Ok(Some(7)));
        assert_eq!(found.unwrap(), Some(7));
    }

    #[test]
    fn the_bound_ends_the_wait() {
        let started = Instant::now();
        let found = until(5 * PERIOD, PERIOD, || Ok(None::<()>));
        assert_eq!(found.unwrap(), None);
        assert!(started.elapsed() >= 5 * PERIOD);
    }

    #[test]
    fn an_error_ends_the_wait() {
        let mut looks = 0;
        let error = until::<()>(LONG, PERIOD, || {
            looks += 1;
            bail!("gone")
        });
        assert_eq!((error.unwrap_err().to_string().as_str(), looks), ("gone", 1));
    }
}
