//! What the device does as a Chrome trace (Trace Event Format, JSON array), for Perfetto and similar viewers. Each queue
//! has two rows: one with its STATE as bars and service and findings as marks, one with the commands, doorbells and
//! interrupts and how long each took. Counter tracks show how many frames are fetched, sent and taken back. Arrows lead
//! from a doorbell to the interrupt that answers it, and from a CANCEL to STOPPED.
//!
//! The file is whole JSON after every event. Its second line is a metadata event named `clock` that ties the trace's
//! time 0 to the machine's clocks: `monotonic_us` is CLOCK_MONOTONIC, `unix_us` is the time of day (the capture's clock).

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::time::{ClockId, Timespec, clock_gettime};
use serde_json::{Value, json};

use crate::files::Records;

/// The row of what concerns no queue.
pub(crate) const DEVICE: usize = 0;

/// The device's number among the processes of a trace.
pub(crate) const PROCESS: u32 = 1;

/// This moment on three clocks: the process's own, and the two that other processes can read as well.
fn now() -> (Instant, Value) {
    let monotonic = clock_gettime(ClockId::Monotonic);
    let unix = clock_gettime(ClockId::Realtime);
    let us = |time: Timespec| time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3;
    (Instant::now(), json!({ "monotonic_us": us(monotonic), "unix_us": us(unix) }))
}

/// A trace, open for writing. Its times are microseconds since it was opened.
pub(crate) struct Trace {
    began: Instant,
    /// The next arrow's number.
    arrows: AtomicU64,
    writing: Mutex<Writing>,
}

struct Writing {
    records: Records,
    /// Events that could not be written.
    lost: u64,
}

impl Trace {
    /// Creates `path`, or empties it; `rows` numbers and names the rows besides [`DEVICE`].
    pub(crate) fn create(path: &Path, rows: &[(usize, String)]) -> io::Result<Trace> {
        let mut records = Records::create(path, b"\n]\n")?;
        let metadata = |row: usize, kind: &str, args: Value| json!({ "ph": "M", "name": kind, "pid": PROCESS, "tid": row, "ts": 0, "args": args });
        let process = metadata(DEVICE, "process_name", json!({ "name": "device" }));
        records.append(format!("[\n{process}").as_bytes())?;
        let (began, clock) = now();
        records.append(format!(",\n{}", metadata(DEVICE, "clock", clock)).as_bytes())?;
        for (row, name) in [(DEVICE, "device".to_owned())].iter().chain(rows) {
            let name = metadata(*row, "thread_name", json!({ "name": name }));
            records.append(format!(",\n{name}").as_bytes())?;
        }
        Ok(Trace { began, arrows: AtomicU64::new(1), writing: Mutex::new(Writing { records, lost: 0 }) })
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds on the trace's clock.
    fn us(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.began).as_nanos() as f64 / 1e3
    }

    /// Writes an event of the device at the time `at`.
    fn write(&self, row: usize, at: Instant, mut event: Value) {
        event["ts"] = json!(self.us(at));
        event["pid"] = json!(PROCESS);
        event["tid"] = json!(row);
        let mut writing = self.writing();
        if let Err(error) = writing.records.append(format!(",\n{event}").as_bytes()) {
            writing.lost = writing.lost.saturating_add(1);
            tracing::error!(%error, lost = writing.lost, "the trace is incomplete");
        }
    }

    /// Something happens.
    pub(crate) fn mark(&self, row: usize, name: &str, args: Value) {
        self.write(row, Instant::now(), json!({ "ph": "i", "s": "t", "name": name, "args": args }));
    }

    /// Something begins that goes on until [`Trace::end`]; the moment at which it does.
    pub(crate) fn begin(&self, row: usize, name: &str, args: Value) -> Instant {
        let now = Instant::now();
        self.write(row, now, json!({ "ph": "B", "name": name, "args": args }));
        now
    }

    /// The bar that began last on the row ends.
    pub(crate) fn end(&self, row: usize) {
        self.write(row, Instant::now(), json!({ "ph": "E" }));
    }

    /// Something that began at `from` is over. On one row, what overlaps is nested.
    pub(crate) fn span(&self, row: usize, from: Instant, name: &str, args: Value) {
        let dur = from.elapsed().as_nanos() as f64 / 1e3;
        self.write(row, from, json!({ "ph": "X", "name": name, "dur": dur, "args": args }));
    }

    /// A counter has a new value.
    pub(crate) fn count(&self, name: &str, value: u64) {
        self.write(DEVICE, Instant::now(), json!({ "ph": "C", "name": name, "args": { "frames": value } }));
    }

    /// An arrow between two moments, each within a bar or a span of its row.
    pub(crate) fn arrow(&self, name: &str, from: (usize, Instant), to: (usize, Instant)) {
        let id = self.arrows.fetch_add(1, Ordering::Relaxed);
        let event = |ph: &str| json!({ "ph": ph, "cat": "cause", "name": name, "id": id });
        self.write(from.0, from.1, event("s"));
        let mut end = event("f");
        // To the bar around this moment, not to the next one that begins.
        end["bp"] = json!("e");
        self.write(to.0, to.1, end);
    }

    /// Events that the file lacks because it could not be written.
    pub(crate) fn lost(&self) -> u64 {
        self.writing().lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> [(usize, String); 2] {
        [(1, "rx0".into()), (2, "tx0".into())]
    }

    #[test]
    fn trace_is_whole_json_after_every_event() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        let read = || -> Vec<Value> { serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap() };
        let trace = Trace::create(&path, &rows()).unwrap();
        assert_eq!(read().len(), 5);
        trace.begin(2, "RUNNING", json!({}));
        trace.mark(2, "doorbell", json!({ "a": "\"b\"" }));
        trace.end(2);
        let events = read();
        assert_eq!(events.len(), 8);
        assert_eq!((&events[6]["name"], &events[6]["tid"]), (&json!("doorbell"), &json!(2)));
        assert!(events[7]["ts"].as_f64() >= events[5]["ts"].as_f64());
    }

    #[test]
    fn arrow_has_two_ends_with_one_number() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        let trace = Trace::create(&path, &rows()).unwrap();
        let from = trace.begin(1, "a", json!({}));
        let to = trace.begin(2, "b", json!({}));
        trace.arrow("first", (1, from), (2, to));
        trace.arrow("second", (1, from), (2, to));
        let events: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let ends: Vec<_> = events.iter().filter(|event| event["cat"] == "cause").collect();
        let of = |ph: &str| -> Vec<&Value> {
            ends.iter().filter(|end| end["ph"] == ph).map(|end| &end["id"]).collect()
        };
        assert_eq!(of("s"), of("f"));
        assert_eq!((ends.len(), of("s")[0] == of("s")[1]), (4, false));
        assert_eq!((ends[0]["ts"].as_f64(), ends[1]["tid"].as_u64()), (Some(trace.us(from)), Some(2)));
    }

    #[test]
    fn trace_names_its_process_and_ties_its_clock_to_the_machines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        drop(Trace::create(&path, &rows()).unwrap());
        let events: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(
            (&events[0]["name"], &events[0]["args"]["name"]),
            (&json!("process_name"), &json!("device"))
        );
        assert_eq!(events[1]["name"], "clock");
        let (_, later) = now();
        for clock in ["monotonic_us", "unix_us"] {
            let passed = later[clock].as_f64().unwrap() - events[1]["args"][clock].as_f64().unwrap();
            assert!((0.0..60e6).contains(&passed), "{clock}: {passed}");
        }
    }
}
