//! The device's own trace (`trace.json`), put on the rig's clock: each change of a queue's STATE with its time.
//!
//! The trace begins with an event `clock` that names the machine's monotonic time at the trace's 0. Rig and device run
//! on the same machine, so that their times differ by nothing but the reading of the clock.

use crate::facts::Sample;
use anyhow::{Context, Result};
use cancelnic_registers::QueueId;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// STATE of a queue that is out of service.
pub const OUT_OF_SERVICE: &str = "-";
/// STATE between a CANCEL and its end, and after it.
const CANCELLING: &str = "CANCELLING";
const STOPPED: &str = "STOPPED";

/// An event of the trace, with what is of interest here.
#[derive(Debug, Deserialize)]
struct Event {
    ph: String,
    name: Option<String>,
    tid: u64,
    #[serde(default)]
    ts: f64,
    #[serde(default)]
    args: serde_json::Value,
}

/// The STATE of both queues over a run that began at `started_us`, in order. `path` is the device's trace.
pub fn states(path: &Path, started_us: f64) -> Result<Vec<Sample>> {
    let text = std::fs::read(path).with_context(|| format!("cannot read the trace {}", path.display()))?;
    read(&String::from_utf8_lossy(&text), started_us)
        .with_context(|| format!("the trace {} has no event `clock`", path.display()))
}

/// The row of a queue's commands, doorbells and interrupts is this far behind that of its STATE.
pub const COMMANDS: u64 = QueueId::COUNT as u64;

/// One event a line. A line that is none, as a killed device may leave it, is left out.
fn read(text: &str, started_us: f64) -> Option<Vec<Sample>> {
    let events: Vec<Event> = text
        .lines()
        .filter_map(|line| serde_json::from_str(line.trim().trim_end_matches(',')).ok())
        .collect();
    let clock = events.iter().find(|event| event.ph == "M" && event.name.as_deref() == Some("clock"))?;
    let zero = clock.args["monotonic_us"].as_f64()? - started_us;
    let rows: BTreeMap<u64, &str> = events
        .iter()
        .filter(|event| event.ph == "M" && event.name.as_deref() == Some("thread_name"))
        .filter_map(|event| Some((event.tid, event.args["name"].as_str()?)))
        .collect();

    // A command is written when it is over, with the time at which it began.
    let mut ordered: Vec<&Event> = events.iter().collect();
    ordered.sort_by(|one, other| one.ts.total_cmp(&other.ts));
    let mut rows_now: BTreeMap<u64, Row> = BTreeMap::new();
    let mut samples: Vec<Sample> = Vec::new();
    for event in ordered {
        let row = if event.ph == "X" { event.tid.checked_sub(COMMANDS) } else { Some(event.tid) };
        let row = row.and_then(|row| Some((row, rows.get(&row)?)));
        let (Some((row, queue)), Some(name)) = (row, event.name.as_deref()) else { continue };
        let at = Duration::from_secs_f64(((zero + event.ts) / 1e6).max(0.0));
        let changes = rows_now.entry(row).or_default().take_in(&event.ph, name, at);
        let sample = |(at, state)| Sample { at, queue: (*queue).to_owned(), state };
        samples.extend(changes.into_iter().map(sample));
    }
    Some(samples_of_the_run(samples))
}

/// What the events up to now mean for a queue.
#[derive(Debug, Default)]
struct Row {
    state: String,
    in_service: bool,
    /// When a CANCEL was taken whose end is not known yet.
    cancel: Option<Duration>,
}

impl Row {
    fn shown(&self) -> String {
        if self.in_service { self.state.clone() } else { OUT_OF_SERVICE.to_owned() }
    }

    /// Takes in an event; the states that it begins, with their times.
    fn take_in(&mut self, kind: &str, name: &str, at: Duration) -> Vec<(Duration, String)> {
        let before = self.shown();
        let mut changes = Vec::new();
        match (kind, name) {
            ("B", state) => {
                // A cancel with nothing on the wire ends within the command: its state is in no event.
                let cancel = self.cancel.take().filter(|_| self.in_service && state == STOPPED);
                changes.extend(cancel.map(|cancel| (cancel, CANCELLING.to_owned())));
                self.state = state.to_owned();
            }
            ("i", "enters service") => self.in_service = true,
            ("i", "leaves service") => {
                self.in_service = false;
                self.cancel = None;
            }
            ("i" | "X", "CANCEL") if self.state != STOPPED => self.cancel = Some(at),
            _ => {}
        }
        let now = self.shown();
        if now != before && !now.is_empty() {
            changes.push((at, now));
        }
        changes
    }
}

/// A machine may have run other scenarios before: of their states only the last one of each queue counts.
fn samples_of_the_run(samples: Vec<Sample>) -> Vec<Sample> {
    let (earlier, own): (Vec<_>, Vec<_>) = samples.into_iter().partition(|sample| sample.at.is_zero());
    let mut last: BTreeMap<String, Sample> = BTreeMap::new();
    for sample in earlier {
        last.insert(sample.queue.clone(), sample);
    }
    last.into_values().chain(own).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the device writes it, with its clock at 5 s of the machine's.
    const TRACE: &str = r#"[
{"ph":"M","name":"process_name","pid":1,"tid":0,"ts":0,"args":{"name":"device"}},
{"ph":"M","name":"clock","pid":1,"tid":0,"ts":0,"args":{"monotonic_us":5000000.0,"unix_us":1.0}},
{"ph":"M","name":"thread_name","pid":1,"tid":1,"ts":0,"args":{"name":"rx0"}},
{"ph":"M","name":"thread_name","pid":1,"tid":2,"ts":0,"args":{"name":"tx0"}},
{"ph":"M","name":"thread_name","pid":1,"tid":18,"ts":0,"args":{"name":"tx0: commands, doorbells, interrupts"}},
{"ph":"B","name":"RUNNING","pid":1,"tid":2,"ts":50.0},
{"ph":"i","s":"t","name":"enters service","pid":1,"tid":2,"ts":1000.0,"args":{"size":128}},
{"ph":"X","name":"doorbell","pid":1,"tid":18,"ts":1500.0,"dur":3.0,"args":{}},
{"ph":"E","pid":1,"tid":2,"ts":2010.0},
{"ph":"B","name":"STOPPED","pid":1,"tid":2,"ts":2010.0},
{"ph":"X","name":"CANCEL","pid":1,"tid":18,"ts":2000.0,"dur":12.0,"args":{"seq":1,"state":"STOPPED","count":0}},
{"ph":"i","s":"t","name":"leaves service","pid":1,"tid":2,"ts":3000.0,"args":{"base":0}}
]
"#;

    fn seen(text: &str, started_us: f64) -> Vec<(u128, String, String)> {
        let samples = read(text, started_us).unwrap();
        samples.into_iter().map(|sample| (sample.at.as_micros(), sample.queue, sample.state)).collect()
    }

    fn row(at: u128, state: &str) -> (u128, String, String) {
        (at, "tx0".into(), state.into())
    }

    #[test]
    fn every_state_has_its_time_on_the_rigs_clock() {
        let expected =
            [row(2000, "RUNNING"), row(3000, "CANCELLING"), row(3010, "STOPPED"), row(4000, OUT_OF_SERVICE)];
        assert_eq!(seen(TRACE, 4_999_000.0), expected);
    }

    #[test]
    fn of_an_earlier_scenario_only_the_last_state_counts() {
        assert_eq!(seen(TRACE, 5_002_500.0), [row(0, "STOPPED"), row(500, OUT_OF_SERVICE)]);
    }

    #[test]
    fn a_line_that_was_cut_off_is_left_out() {
        let cut = &TRACE[..TRACE.find("\"STOPPED\"").unwrap()];
        assert_eq!(seen(cut, 4_999_000.0), [row(2000, "RUNNING")]);
    }

    #[test]
    fn a_cancel_of_a_stopped_queue_changes_nothing() {
        let again = r#"{"ph":"X","name":"CANCEL","pid":1,"tid":18,"ts":2500.0,"dur":1.0,"args":{"seq":2}},"#;
        let at = TRACE.find("{\"ph\":\"i\",\"s\":\"t\",\"name\":\"leaves").unwrap();
        let twice = format!("{}{again}\n{}", &TRACE[..at], &TRACE[at..]);
        assert_eq!(seen(&twice, 4_999_000.0), seen(TRACE, 4_999_000.0));
    }

    #[test]
    fn a_trace_without_a_clock_is_refused() {
        assert!(read("[\n]\n", 0.0).is_none());
    }
}
