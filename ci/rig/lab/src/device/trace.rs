//! The device's own trace (`trace.json`), and what it reports on the rig's clock: each change of a queue's STATE, each
//! command.
//!
//! The trace begins with an event `clock` that names the machine's monotonic time at the trace's 0. Rig and device run
//! on the same machine, so that their times differ by nothing but the reading of the clock.

use anyhow::{Context, Result};
use cancelnic_registers::QueueId;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// The beginning of a STATE of a queue, from the device's trace.
#[derive(Debug, Clone)]
pub struct Sample {
    /// From the start of the run; 0 if it began earlier.
    pub at: Duration,
    /// `tx0` or `rx0`.
    pub queue: String,
    /// STATE, or `-` while the queue is out of service.
    pub state: String,
}

/// STATE of a queue that is out of service.
pub const OUT_OF_SERVICE: &str = "-";
/// STATE between a CANCEL and its end, and after it.
const CANCELLING: &str = "CANCELLING";
const STOPPED: &str = "STOPPED";

/// A command that the driver gave to a queue, as the device saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// From the start of the run.
    pub at: Duration,
    /// How long the device took to carry it out.
    pub took: Duration,
    /// `tx0` or `rx0`.
    pub queue: String,
    /// `CANCEL`, `RESUME` or `DRAIN`.
    pub name: String,
    /// STATE right afterwards.
    pub state: String,
    /// COUNT right afterwards.
    pub count: u64,
}

/// The row of a queue's commands is this far behind that of its STATE.
const COMMANDS: u64 = QueueId::COUNT as u64;

/// The device's trace, as it was written.
#[derive(Debug)]
pub struct Trace {
    /// Its events, but for that of the clock.
    pub events: Vec<Value>,
    /// CLOCK_MONOTONIC at its 0, in microseconds.
    opened_us: f64,
    /// The names of its rows, by number.
    rows: BTreeMap<u64, String>,
}

impl Trace {
    /// Reads a trace that was written to its end.
    ///
    /// # Errors
    /// It is not an array of events, or does not name its clock.
    pub fn parse(text: &str) -> Result<Self> {
        Self::of(serde_json::from_str(text).context("it is not a JSON array")?)
    }

    /// Reads what there is of a trace, one event a line. A line that is none, as a killed device may leave it, is left out.
    ///
    /// # Errors
    /// It does not name its clock.
    fn salvage(text: &str) -> Result<Self> {
        let lines = text.lines().map(|line| line.trim().trim_end_matches(','));
        Self::of(lines.filter_map(|line| serde_json::from_str(line).ok()).filter(Value::is_object).collect())
    }

    fn of(mut events: Vec<Value>) -> Result<Self> {
        let named = |event: &Value, name: &str| event["ph"] == "M" && event["name"] == name;
        let clock = events.iter().find(|event| named(event, "clock"));
        let opened = clock.and_then(|clock| clock["args"]["monotonic_us"].as_f64());
        let opened_us = opened.context("it has no event `clock`")?;
        let row = |event: &Value| Some((event["tid"].as_u64()?, event["args"]["name"].as_str()?.to_owned()));
        let rows = events.iter().filter(|event| named(event, "thread_name")).filter_map(row).collect();
        events.retain(|event| !named(event, "clock"));
        Ok(Self { events, opened_us, rows })
    }

    /// What is to be added to its times for those of a run that began at `started_us`.
    pub fn shift(&self, started_us: f64) -> f64 {
        self.opened_us - started_us
    }

    /// The row of the queue that an event is about, with its name.
    fn row(&self, event: &Value) -> Option<(u64, &str)> {
        let row = event["tid"].as_u64()?;
        let row = if event["ph"] == "X" { row.checked_sub(COMMANDS)? } else { row };
        Some((row, self.rows.get(&row)?))
    }

    /// The STATE of both queues over a run that began at `started_us`, in order.
    fn states(&self, started_us: f64) -> Vec<Sample> {
        let zero = self.shift(started_us);
        // A command is written when it is over, with the time at which it began.
        let mut ordered: Vec<&Value> = self.events.iter().collect();
        ordered.sort_by(|one, other| ts(one).total_cmp(&ts(other)));
        let mut rows_now: BTreeMap<u64, Row> = BTreeMap::new();
        let mut samples: Vec<Sample> = Vec::new();
        for event in ordered {
            let (Some((row, queue)), Some(name)) = (self.row(event), event["name"].as_str()) else {
                continue;
            };
            let at = Duration::from_secs_f64(((zero + ts(event)) / 1e6).max(0.0));
            let kind = event["ph"].as_str().unwrap_or_default();
            let changes = rows_now.entry(row).or_default().take_in(kind, name, at);
            let sample = |(at, state)| Sample { at, queue: queue.to_owned(), state };
            samples.extend(changes.into_iter().map(sample));
        }
        samples_of_the_run(samples)
    }

    /// The commands that the driver gave from `started_us` on, in order.
    pub fn commands(&self, started_us: f64) -> Vec<Given> {
        let zero = self.shift(started_us);
        let after = |us: f64| Duration::try_from_secs_f64(us / 1e6).unwrap_or_default();
        let given = |event: &Value| {
            let args = &event["args"];
            let at = zero + ts(event);
            (event["ph"] == "X" && at >= 0.0 && args.get("state").is_some()).then_some(())?;
            Some(Given {
                at: after(at),
                took: after(event["dur"].as_f64()?),
                queue: self.row(event)?.1.to_owned(),
                name: event["name"].as_str()?.to_owned(),
                state: args["state"].as_str()?.to_owned(),
                count: args["count"].as_u64()?,
            })
        };
        let mut commands: Vec<Given> = self.events.iter().filter_map(given).collect();
        commands.sort_by_key(|given| given.at);
        commands
    }
}

/// An event's time, in microseconds.
fn ts(event: &Value) -> f64 {
    event["ts"].as_f64().unwrap_or_default()
}

/// The STATE of both queues over a run that began at `started_us`, in order. `path` is the device's trace.
///
/// # Errors
/// There is no such file, or it does not name its clock.
pub fn states(path: &Path, started_us: f64) -> Result<Vec<Sample>> {
    let text = std::fs::read(path).with_context(|| format!("cannot read the trace {}", path.display()))?;
    let trace = Trace::salvage(&String::from_utf8_lossy(&text));
    Ok(trace.with_context(|| format!("the trace {}", path.display()))?.states(started_us))
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
        let samples = Trace::salvage(text).unwrap().states(started_us);
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
        assert!(
            Trace::salvage("[\n]\n").is_err() && Trace::parse("[]").is_err() && Trace::parse("{").is_err()
        );
    }
}
