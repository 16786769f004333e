//! Logging to stderr, limited: a guest or a front end that repeats its mistake a million times leaves a
//! few lines a second, not a full disk.

use std::collections::HashMap;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::LogLevel;
use crate::lines::Lines;

/// Lines that one place in the program may write in a second.
const LINES_PER_SECOND: u32 = 20;

/// How long the end of the process waits for a reader of the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

static LINES: Lines = Lines::new();

/// Hands over what it is given in one piece: an event's line.
struct Hand;

impl Write for Hand {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        LINES.put(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One line that is no event of the log's.
pub(crate) fn line(text: &str) {
    LINES.put(format!("{text}\n").into_bytes());
}

/// From now on lines are written as they come; earlier ones have been kept. Called once the sandbox is entered.
pub(crate) fn write_lines() -> io::Result<()> {
    LINES.start(io::stderr())
}

/// Waits for the last lines to be written. If nobody reads them, there is still the exit code.
pub(crate) fn finish() {
    if write_lines().is_ok() {
        LINES.flush(LAST_LINES);
    }
}

/// Starts logging. Called once, first of all.
pub(crate) fn start(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| Hand)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    tracing_subscriber::registry().with(level).with(Limit::default()).with(lines).init();
}

/// Says when something may be done again, at most once a second.
#[derive(Debug, Default)]
pub(crate) struct OncePerSecond {
    last: Option<Instant>,
}

impl OncePerSecond {
    /// True if the last time it said so is a second ago.
    pub(crate) fn now(&mut self) -> bool {
        self.at(Instant::now())
    }

    fn at(&mut self, now: Instant) -> bool {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < Duration::from_secs(1)) {
            return false;
        }
        self.last = Some(now);
        true
    }
}

/// Drops events of a place that has written [`LINES_PER_SECOND`] in its current second.
#[derive(Default)]
struct Limit {
    places: Mutex<HashMap<Identifier, Window>>,
}

struct Window {
    began: Instant,
    lines: u32,
}

impl Limit {
    fn allows(&self, place: Identifier, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let window = places.entry(place).or_insert(Window { began: now, lines: 0 });
        if now.saturating_duration_since(window.began) >= Duration::from_secs(1) {
            *window = Window { began: now, lines: 0 };
        }
        window.lines = window.lines.saturating_add(1);
        window.lines <= LINES_PER_SECOND
    }
}

impl<S: Subscriber> Layer<S> for Limit {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        // Someone who asks for debug wants all of it.
        *metadata.level() > Level::INFO || self.allows(metadata.callsite(), Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_per_second_says_yes_again_after_a_second() {
        let (mut limit, start) = (OncePerSecond::default(), Instant::now());
        assert!(limit.at(start));
        assert!(!limit.at(start + Duration::from_millis(999)));
        assert!(limit.at(start + Duration::from_millis(1000)));
    }

    #[test]
    fn limit_holds_per_place_and_second() {
        let (limit, start) = (Limit::default(), Instant::now());
        let place = || {
            static CALLSITE: tracing::callsite::DefaultCallsite = {
                static META: tracing::Metadata<'static> = tracing::metadata! {
                    name: "test", target: "test", level: Level::WARN, fields: &[],
                    callsite: &CALLSITE, kind: tracing::metadata::Kind::EVENT
                };
                tracing::callsite::DefaultCallsite::new(&META)
            };
            Identifier(&CALLSITE)
        };
        let count = |at| (0..100).filter(|_| limit.allows(place(), at)).count();
        assert_eq!(count(start), LINES_PER_SECOND as usize);
        assert_eq!(count(start + Duration::from_secs(1)), LINES_PER_SECOND as usize);
    }
}
