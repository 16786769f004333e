//! A clock that leaves out the time in which a process stood in line for a processor.
//!
//! A limit in wall time that is generous on a quiet machine is none on a busy one. What a limit means is how long
//! something may take that has a processor: so the time in which the rig or one of its children was ready to run and did
//! not run is not counted. The kernel counts it for each thread, in `/proc/PID/task/TID/schedstat`. A guest that hangs in
//! an endless loop stands in line no longer than any other, so its limit still ends.

use crate::base::left::children;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Below this nothing is read: most waits are over before.
const SOON: Duration = Duration::from_secs(1);
/// Between two readings.
const PERIOD: Duration = Duration::from_millis(250);
/// At least this part of the wall time counts, so that every wait ends.
const LEAST: u32 = 8;

/// Time that threads have stood in line, by process and thread.
type Queued = HashMap<(u32, u32), Duration>;

/// Measures from its start.
#[derive(Debug)]
pub struct FairClock {
    began: Instant,
    /// The first reading.
    base: Option<Queued>,
    /// When was read last, and the longest time that one of the threads had stood in line by then.
    last: Option<(Instant, Duration)>,
}

impl FairClock {
    /// A clock that begins now.
    pub fn start() -> Self {
        Self { began: Instant::now(), base: None, last: None }
    }

    /// How long it has run, without the time in line.
    pub fn elapsed(&mut self) -> Duration {
        let now = Instant::now();
        let wall = now.saturating_duration_since(self.began);
        if wall < SOON {
            return wall;
        }
        if self.last.is_none_or(|(read, _)| now.saturating_duration_since(read) >= PERIOD) {
            let queued = queued();
            let base = self.base.get_or_insert_with(|| queued.clone());
            self.last = Some((now, longest(base, &queued)));
        }
        fair(wall, self.last.map_or(Duration::ZERO, |(_, queued)| queued))
    }

    /// The moment that it shows, in wall time after its start.
    pub fn now(&mut self) -> Instant {
        self.began + self.elapsed()
    }

    /// What is left of `limit`, and never longer than until it is worth looking at this clock again.
    pub fn left(&mut self, limit: Duration) -> Duration {
        limit.saturating_sub(self.elapsed()).min(PERIOD)
    }
}

fn fair(wall: Duration, queued: Duration) -> Duration {
    wall.saturating_sub(queued).max(wall / LEAST)
}

/// The longest time that one thread has stood in line since the first reading. A thread that is new since then counts
/// from its beginning.
fn longest(base: &Queued, now: &Queued) -> Duration {
    let since = |(thread, queued): (&(u32, u32), &Duration)| {
        queued.saturating_sub(base.get(thread).copied().unwrap_or_default())
    };
    now.iter().map(since).max().unwrap_or_default()
}

/// The threads of the rig and of its children.
fn queued() -> Queued {
    let mut queued = Queued::new();
    for process in children().into_iter().chain([std::process::id()]) {
        // A process that has gone meanwhile stands in no line.
        let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { continue };
        for thread in threads.flatten() {
            let Some(number) = thread.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let text = std::fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            if let Some(time) = in_line(&text) {
                queued.insert((process, number), time);
            }
        }
    }
    queued
}

/// The second number of a `schedstat`, in nanoseconds.
fn in_line(text: &str) -> Option<Duration> {
    text.split_whitespace().nth(1)?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn time_in_line_does_not_count_and_every_wait_ends_all_the_same() {
        assert_eq!(fair(30 * SECOND, 20 * SECOND), 10 * SECOND);
        assert_eq!(fair(80 * SECOND, 80 * SECOND), 10 * SECOND);
        assert_eq!(fair(10 * SECOND, Duration::ZERO), 10 * SECOND);
    }

    #[test]
    fn the_thread_that_stood_longest_counts_and_only_since_the_first_reading() {
        let base = Queued::from([((1, 1), 5 * SECOND), ((1, 2), 50 * SECOND)]);
        let now = Queued::from([((1, 1), 9 * SECOND), ((1, 2), 51 * SECOND), ((2, 2), 2 * SECOND)]);
        assert_eq!(longest(&base, &now), 4 * SECOND);
        assert_eq!(longest(&now, &Queued::new()), Duration::ZERO);
    }

    #[test]
    fn the_kernels_count_of_this_thread_is_read() {
        assert_eq!(in_line("5367536354 24014786000 16563\n"), Some(Duration::from_nanos(24_014_786_000)));
        assert_eq!(in_line(""), None);
        // Where the kernel keeps no such count the clock is that of the wall.
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        assert_eq!(queued().is_empty(), in_line(&text).is_none());
    }
}
