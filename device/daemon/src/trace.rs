//! The device's doings as a Chrome trace (Trace Event Format, JSON array), for Perfetto and its like: a row
//! for each queue, with its STATE as bars, and service, commands, doorbells, interrupts and findings as marks.
//! The file is whole JSON after every event.

use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::files::Records;

/// The row of what concerns no queue.
pub const DEVICE: usize = 0;

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
        let name = |row: usize, name: &str| json!({ "ph": "M", "name": "thread_name", "pid": 1, "tid": row, "args": { "name": name } });
        records.append(format!("[\n{}", name(DEVICE, "device")).as_bytes())?;
        for (row, named) in (1..).zip(rows) {
            records.append(format!(",\n{}", name(row, named)).as_bytes())?;
        }
        Ok(Trace { began: Instant::now(), writing: Mutex::new(Writing { records, lost: 0 }) })
    }

    fn writing(&self) -> MutexGuard<'_, Writing> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn event(&self, row: usize, mut event: Value) {
        let mut writing = self.writing();
        event["ts"] = json!(self.began.elapsed().as_nanos() as f64 / 1e3);
        event["pid"] = json!(1);
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
        assert_eq!(read().len(), 3);
        trace.begin(2, "RUNNING");
        trace.mark(2, "doorbell", json!({ "a": "\"b\"" }));
        trace.end(2);
        let events = read();
        assert_eq!(events.len(), 6);
        assert_eq!((&events[4]["name"], &events[4]["tid"]), (&json!("doorbell"), &json!(2)));
        assert!(events[5]["ts"].as_f64() >= events[3]["ts"].as_f64());
    }
}
