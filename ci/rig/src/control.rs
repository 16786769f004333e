//! The device's control socket: JSON-RPC 2.0, one object a line.

use crate::line::{self, NoLine};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The device answers every request at once; this is for a machine under load.
const LIMIT: Duration = Duration::from_secs(10);

/// The device has closed its end, which it does only by ending.
#[derive(Debug, thiserror::Error)]
#[error("the device has closed its control socket")]
pub struct Closed;

/// A gate of the device: the queue and the gate's name.
pub type Gate = (&'static str, &'static str);
/// Before the device fetches a chain.
pub const FETCH: Gate = ("tx0", "fetch");
/// Before a frame goes on the wire.
pub const WIRE: Gate = ("tx0", "wire");
/// Between the wire and the used element.
pub const COMPLETE: Gate = ("tx0", "complete");
/// In the middle of a frame that is being written into a receive buffer.
pub const RX_WRITE: Gate = ("rx0", "rx-write");

/// Everything that the device counts.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Stats {
    /// One for each queue.
    pub queues: Vec<Queue>,
}

impl Stats {
    /// The queue of that name.
    pub fn queue(&self, name: &str) -> Option<&Queue> {
        self.queues.iter().find(|queue| queue.queue == name)
    }
}

/// One queue as the device sees it. Counts that do not apply to its direction read 0.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Queue {
    /// `tx0` or `rx0`.
    pub queue: String,
    /// Whether the guest has set it up and the device may touch it.
    pub in_service: bool,
    /// Whether the guest's indices made it unusable.
    pub broken: bool,
    /// RUNNING, CANCELLING, DRAINING or STOPPED.
    pub state: String,
    /// SEQ of the last command taken.
    pub seq: u8,
    /// RESULT of it.
    pub result: u8,
    /// COUNT of the last cancel.
    pub count: u16,
    /// Chains published and not yet fetched, now.
    pub available: u64,
    /// Chains in the FIFO, not yet on the wire, now.
    pub fetched: u64,
    /// Frames on the wire, now.
    pub on_wire: u64,
    /// Frames off the wire whose used element is missing, now.
    pub off_wire: u64,
    /// Used elements written since the process began.
    pub completed: u64,
    /// Frames sent since the process began.
    pub sent: u64,
    /// Chains taken back since the process began.
    pub taken_back: u64,
    /// Malformed chains since the process began.
    pub refused: u64,
    /// CANCEL commands taken since the process began.
    pub cancels: u64,
    /// Rx: buffers available now.
    pub posted: u64,
    /// Rx: frames that wait at the device now.
    pub pending: u64,
    /// Rx: 1 while a frame is half written.
    pub writing: u64,
    /// Rx: frames delivered since the process began.
    pub received: u64,
    /// Rx: buffers given back empty since the process began.
    pub returned: u64,
    /// Rx: frames that found no place, since the process began.
    pub dropped: u64,
    /// What the device's judge found in the driver's doings, the first few.
    pub findings: Vec<Finding>,
    /// How many there are in all.
    pub findings_total: u64,
}

/// Something that the driver must not do, as the device saw it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's name.
    pub rule: String,
    /// The descriptor or the head that it is about, if any in particular.
    pub descriptor: Option<u16>,
    /// When, on the device's clock, in microseconds.
    pub us: u64,
}

impl Finding {
    /// Where and when, in a line.
    pub fn describe(&self) -> String {
        let descriptor = self.descriptor.map_or_else(String::new, |index| format!("descriptor {index}, "));
        format!("{descriptor}{:.3} ms on the device's clock", self.us as f64 / 1e3)
    }
}

/// A connection to the device's control socket.
#[derive(Debug)]
pub struct Control {
    reader: BufReader<UnixStream>,
    next: u64,
    /// Counts that are left out.
    before: Stats,
}

impl Control {
    /// Connects to the socket at `path`.
    pub fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path)
            .with_context(|| format!("cannot connect to the device's control socket {}", path.display()))?;
        Ok(Self { reader: line::reader(stream, LIMIT)?, next: 1, before: Stats::default() })
    }

    /// Calls `method` and waits for its result.
    pub fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        let id = self.next;
        self.next += 1;
        let mut line = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
        line.push('\n');
        self.reader.get_mut().write_all(line.as_bytes()).map_err(|_| Closed)?;
        let answer = line::read(&mut self.reader, LIMIT).map_err(|error| match error {
            NoLine::Closed => Closed.into(),
            error => anyhow::Error::from(error).context(format!("the device does not answer `{method}`")),
        })?;
        let mut answer: Value = serde_json::from_str(&answer)
            .with_context(|| format!("the device answers `{method}` with {answer:?}"))?;
        if let Some(error) = answer.get("error") {
            bail!(
                "the device refuses `{method}`: {}",
                error["message"].as_str().unwrap_or("without a reason")
            );
        }
        if answer.get("id") != Some(&json!(id)) {
            bail!("the device answers `{method}`, request {id}, with {answer}");
        }
        Ok(answer["result"].take())
    }

    /// All counts, from the process's beginning or from the last [`Control::begin_anew`] on.
    pub fn stats(&mut self) -> Result<Stats> {
        let mut stats = self.all_stats()?;
        stats.queues.iter_mut().for_each(|queue| queue.subtract(&self.before));
        Ok(stats)
    }

    fn all_stats(&mut self) -> Result<Stats> {
        let stats = self.call("stats", json!({}))?;
        serde_json::from_value(stats).context("the device's `stats` cannot be read")
    }

    /// One queue's counts, likewise.
    pub fn queue(&mut self, queue: &str) -> Result<Queue> {
        let queue = self.call("queue.get", json!({ "queue": queue }))?;
        let mut queue: Queue =
            serde_json::from_value(queue).context("the device's `queue.get` cannot be read")?;
        queue.subtract(&self.before);
        Ok(queue)
    }

    /// Opens every gate and lets the counts begin at 0, if the device is at rest; whether it is.
    pub fn begin_anew(&mut self) -> Result<bool> {
        for (queue, gate) in [FETCH, WIRE, COMPLETE, RX_WRITE] {
            self.set_gate(queue, gate, true)?;
        }
        self.before = self.all_stats()?;
        Ok(self.before.queues.iter().all(Queue::is_at_rest))
    }

    /// Opens or closes a gate of a queue.
    pub fn set_gate(&mut self, queue: &str, gate: &str, open: bool) -> Result<()> {
        self.call("gate.set", json!({ "queue": queue, "gate": gate, "open": open })).map(drop)
    }

    /// Lets `count` frames or chains pass a closed gate.
    pub fn step_gate(&mut self, queue: &str, gate: &str, count: u64) -> Result<()> {
        self.call("gate.step", json!({ "queue": queue, "gate": gate, "count": count })).map(drop)
    }
}

impl Queue {
    /// Leaves out what was counted before.
    fn subtract(&mut self, before: &Stats) {
        let Some(before) = before.queue(&self.queue) else { return };
        for (mine, before) in [
            (&mut self.completed, before.completed),
            (&mut self.sent, before.sent),
            (&mut self.taken_back, before.taken_back),
            (&mut self.refused, before.refused),
            (&mut self.cancels, before.cancels),
            (&mut self.received, before.received),
            (&mut self.returned, before.returned),
            (&mut self.dropped, before.dropped),
        ] {
            *mine = mine.saturating_sub(before);
        }
    }

    /// Whether it is out of service with nothing in it, and nothing was found in the driver's doings.
    fn is_at_rest(&self) -> bool {
        let inside = [
            self.available,
            self.fetched,
            self.on_wire,
            self.off_wire,
            self.pending,
            self.writing,
            self.findings_total,
        ];
        !self.in_service && !self.broken && inside.iter().all(|count| *count == 0)
    }

    /// The numbers of this moment in one line.
    pub fn describe(&self) -> String {
        if self.queue.starts_with("rx") {
            format!(
                "{} buffers={} pending={} writing={} received={} returned={} dropped={}",
                self.state,
                self.posted,
                self.pending,
                self.writing,
                self.received,
                self.returned,
                self.dropped
            )
        } else {
            format!(
                "{} available={} fetched={} on_wire={} off_wire={} sent={} taken_back={}",
                self.state,
                self.available,
                self.fetched,
                self.on_wire,
                self.off_wire,
                self.sent,
                self.taken_back
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead as _;
    use std::os::unix::net::UnixListener;
    use std::thread;
    use std::thread::JoinHandle;

    /// A device that reads one request for each of `answers`, and gives that answer.
    fn fake(answers: &'static [&'static str]) -> (tempfile::TempDir, Control, JoinHandle<Vec<String>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control");
        let listener = UnixListener::bind(&path).unwrap();
        let device = thread::spawn(move || {
            let mut stream = BufReader::new(listener.accept().unwrap().0);
            answers
                .iter()
                .map(|answer| {
                    let mut line = String::new();
                    stream.read_line(&mut line).unwrap();
                    writeln!(stream.get_mut(), "{answer}").unwrap();
                    line
                })
                .collect()
        });
        let control = Control::connect(&path).unwrap();
        (folder, control, device)
    }

    #[test]
    fn counts_begin_anew_at_a_device_at_rest() {
        const OPENED: &str = r#"{"jsonrpc":"2.0","id":ID,"result":null}"#;
        let opened = |id: u32| OPENED.replace("ID", &id.to_string()).leak() as &str;
        let answers = [
            opened(1),
            opened(2),
            opened(3),
            opened(4),
            r#"{"jsonrpc":"2.0","id":5,"result":{"queues":[{"queue":"tx0","sent":7,"cancels":2}]}}"#,
            r#"{"jsonrpc":"2.0","id":6,"result":{"queue":"tx0","state":"RUNNING","sent":9,"cancels":2,"fetched":1}}"#,
        ];
        let (_folder, mut control, _device) = fake(Vec::from(answers).leak());
        assert!(control.begin_anew().unwrap());
        let queue = control.queue("tx0").unwrap();
        assert_eq!((queue.sent, queue.cancels, queue.fetched), (2, 0, 1));
    }

    #[test]
    fn a_device_with_something_in_it_is_not_at_rest() {
        assert!(Queue::default().is_at_rest());
        assert!(!Queue { pending: 1, ..Queue::default() }.is_at_rest());
        assert!(!Queue { in_service: true, ..Queue::default() }.is_at_rest());
        assert!(!Queue { findings_total: 1, ..Queue::default() }.is_at_rest());
    }

    #[test]
    fn a_refusal_carries_the_devices_reason() {
        let (_folder, mut control, _device) =
            fake(&[r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"gate: no such gate"}}"#]);
        let error = control.set_gate("tx0", "door", false).unwrap_err().to_string();
        assert!(error.contains("gate: no such gate"), "{error}");
    }

    #[test]
    fn a_device_that_went_away_is_told_in_one_line() {
        let (_folder, mut control, device) = fake(&[]);
        device.join().unwrap();
        let error = control.stats().unwrap_err().to_string();
        assert!(error.contains("closed its control socket"), "{error}");
    }
}
