//! The device's doings as a Chrome trace (Trace Event Format, JSON array), for Perfetto and its like: a row
//! for each queue, with its STATE as bars, and service, commands, doorbells, interrupts and findings as marks.
//! The file is whole JSON after every event. Its second line is a metadata event named `clock` that ties the trace's
//! time 0 to the machine's clocks: `monotonic_us` is CLOCK_MONOTONIC, `unix_us` is the time of day (the capture's clock).

use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::time::{ClockId, Timespec, clock_gettime};
use serde_json::{Value, json};

use crate::files::Records;

/// The row of what concerns no queue.
pub const DEVICE: usize = 0;

/// The device's number among the processes of a trace.
pub const PROCESS: u32 = 1;

/// This moment on three clocks: the process's own, and the two that other processes can read as well.
fn now() -> (Instant, Value) {
    let monotonic = clock_gettime(ClockId::Monotonic);
    let unix = clock_gettime(ClockId::Realtime);
    let us = |time: Timespec| time.tv_sec as f64 * 1e6 + time.tv_nsec as f64 / 1e3;
    (Instant::now(), json!({ "monotonic_us": us(monotonic), "unix_us": us(unix) }))
}

/// A trace, open for writing. Its times are microseconds since it was opened.
pub struct Trace {
    began: Instant,
    writing: Mutex<Writing>,
}

struct Writing {
    records: Records,
    /// Events that could not be written.
    lost: u64,
}

impl Trace {
    /// Creates `path`, or empties it; `rows` names the rows from 1 on.
    pub fn create(path: &Path, rows: &[&str]) -> io::Result<Trace> {
        let mut records = Records::create(path, b"\n]\n")?;
        let metadata = |row: usize, kind: &str, args: Value| json!({ "ph": "M", "name": kind, "pid": PROCESS, "tid": row, "ts": 0, "args": args });
        let process = metadata(DEVICE, "process_name", json!({ "name": "device" }));
        records.append(format!("[\n{process}").as_bytes())?;
        let (began, clock) = now();
        records.append(format!(",\n{}", metadata(DEVICE, "clock", clock)).as_bytes())?;
        for (row, named) in (DEVICE..).zip(["device"].iter().chain(rows)) {
            let name = metadata(row, "thread_name", json!({ "name": named }));
            records.append(format!(",\n{name}").as_bytes())?;
        }
        Ok(Trace { began, writing: Mutex::new(Writing { records, lost: 0 }) })
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, row: usize, mut event: Value) {
        let mut writing = self.writing();
        event["ts"] = json!(self.began.elapsed().as_nanos() as f64 / 1e3);
        event["pid"] = json!(PROCESS);
        event["tid"] = json!(row);
        if let Err(error) = writing.records.append(format!(",\n{event}").as_bytes()) {
            writing.lost = writing.lost.saturating_add(1);
            tracing::error!(%error, lost = writing.lost, "the trace is incomplete");
        }
    }

    /// Something happens.
    pub fn mark(&self, row: usize, name: &str, args: Value) {
        self.event(row, json!({ "ph": "i", "s": "t", "name": name, "args": args }));
    }

    /// Something begins that goes on until [`Trace::end`].
    pub fn begin(&self, row: usize, name: &str) {
        self.event(row, json!({ "ph": "B", "name": name }));
    }

    /// What began last on the row ends.
    pub fn end(&self, row: usize) {
        self.event(row, json!({ "ph": "E" }));
    }

    /// Events that the file lacks because it could not be written.
    pub fn lost(&self) -> u64 {
        self.writing().lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_is_whole_json_after_every_event() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        let read = || -> Vec<Value> { serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap() };
        let trace = Trace::create(&path, &["rx0", "tx0"]).unwrap();
        assert_eq!(read().len(), 5);
        trace.begin(2, "RUNNING");
        trace.mark(2, "doorbell", json!({ "a": "\"b\"" }));
        trace.end(2);
        let events = read();
        assert_eq!(events.len(), 8);
        assert_eq!((&events[6]["name"], &events[6]["tid"]), (&json!("doorbell"), &json!(2)));
        assert!(events[7]["ts"].as_f64() >= events[5]["ts"].as_f64());
    }

    #[test]
    fn trace_names_its_process_and_ties_its_clock_to_the_machines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        drop(Trace::create(&path, &["rx0", "tx0"]).unwrap());
        let events: Vec<Value> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((&events[0]["name"], &events[0]["args"]["name"]), (&json!("process_name"), &json!("device")));
        assert_eq!(events[1]["name"], "clock");
        let (_, later) = now();
        for clock in ["monotonic_us", "unix_us"] {
            let passed = later[clock].as_f64().unwrap() - events[1]["args"][clock].as_f64().unwrap();
            assert!((0.0..60e6).contains(&passed), "{clock}: {passed}");
        }
    }
}
