//! The device's control socket: JSON-RPC 2.0, one object a line.

use crate::base::line::{self, NoLine};
use anyhow::{Context, Result};
pub use cancelnic_registers::QueueId;
pub use control_protocol::{AdvanceClock, Fault, Finding, Inject, Queue, Quit, Rule, State, Stats};
use control_protocol::{
    ArmFault, ClearFaults, GetQueue, GetStats, Method, QueueName, SetGate, SetLink, StepGate, rpc,
};
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

/// A gate of a queue.
pub type Gate = (QueueId, control_protocol::Gate);
/// Before the device fetches a chain.
pub const FETCH: Gate = (QueueId::TX0, control_protocol::Gate::Fetch);
/// Before a frame goes on the wire.
pub const WIRE: Gate = (QueueId::TX0, control_protocol::Gate::Wire);
/// Between the wire and the used element.
pub const COMPLETE: Gate = (QueueId::TX0, control_protocol::Gate::Complete);
/// In the middle of a frame that is being written into a receive buffer.
pub const RX_WRITE: Gate = (QueueId::RX0, control_protocol::Gate::RxWrite);

/// What cannot be asked of a device that is not cancelnic's.
#[derive(Debug, thiserror::Error)]
#[error("the device is not cancelnic's, which alone has a control socket")]
pub struct NotOurs;

/// A connection to the device's control socket.
#[derive(Debug)]
pub struct Control {
    /// `None` with a device that has no such socket.
    reader: Option<BufReader<UnixStream>>,
    next: u64,
    /// Counts that are left out.
    before: Stats,
}

impl Control {
    /// Connects to the socket at `path`.
    pub fn connect(path: &Path) -> Result<Self> {
        let stream = UnixStream::connect(path)
            .with_context(|| format!("cannot connect to the device's control socket {}", path.display()))?;
        Ok(Self { reader: Some(line::reader(stream, LIMIT)?), ..Self::none() })
    }

    /// No connection, as the device is another one: it has no queues of ours and counts nothing.
    #[must_use]
    pub fn none() -> Self {
        Self { reader: None, next: 1, before: Stats::default() }
    }

    /// Calls a method and waits for its result.
    pub fn call<M: Method>(&mut self, call: &M) -> Result<M::Answer> {
        let reader = self.reader.as_mut().ok_or(NotOurs)?;
        let id = self.next;
        self.next += 1;
        reader.get_mut().write_all(&rpc::request(id, call)?).map_err(|_| Closed)?;
        let answer = line::read(reader, LIMIT).map_err(|error| match error {
            NoLine::Closed => Closed.into(),
            error => anyhow::Error::from(error).context(format!("the device does not answer `{}`", M::NAME)),
        })?;
        Ok(rpc::result::<M>(id, &answer)?)
    }

    /// All counts, from the process's beginning or from the last [`Control::begin_anew`] on.
    pub fn stats(&mut self) -> Result<Stats> {
        if self.reader.is_none() {
            return Ok(Stats::default());
        }
        let mut stats = self.call(&GetStats {})?;
        stats.queues.iter_mut().for_each(|queue| subtract(queue, &self.before));
        Ok(stats)
    }

    /// One queue's counts, from the same moment on.
    pub fn queue(&mut self, queue: QueueId) -> Result<Queue> {
        let mut queue = self.call(&GetQueue { queue })?;
        subtract(&mut queue, &self.before);
        Ok(queue)
    }

    /// Opens every gate, ends every fault and lets the counts begin at 0, if the device is at rest; whether it is.
    pub fn begin_anew(&mut self) -> Result<bool> {
        self.call(&ClearFaults {})?;
        for gate in [FETCH, WIRE, COMPLETE, RX_WRITE] {
            self.set_gate(gate, true)?;
        }
        self.before = self.call(&GetStats {})?;
        Ok(self.before.queues.iter().all(is_at_rest))
    }

    /// The device is to go wrong so many times from now on; at a queue, if it is a queue's fault.
    pub fn arm_fault(&mut self, fault: Fault, queue: Option<QueueId>, count: u64) -> Result<()> {
        let count = count.try_into().context("a number of faults")?;
        self.call(&ArmFault { fault, queue: queue.map(QueueName), count }).map(drop)
    }

    /// Whether there is a link from now on.
    pub fn set_link(&mut self, up: bool) -> Result<()> {
        self.call(&SetLink { up }).map(drop)
    }

    /// Opens or closes a gate.
    pub fn set_gate(&mut self, (queue, gate): Gate, open: bool) -> Result<()> {
        self.call(&SetGate { queue, gate, open }).map(drop)
    }

    /// Lets `count` frames or chains pass a closed gate.
    pub fn step_gate(&mut self, (queue, gate): Gate, count: u64) -> Result<()> {
        self.call(&StepGate { queue, gate, count: count.try_into().context("steps")? }).map(drop)
    }
}

/// Leaves out what was counted before.
fn subtract(queue: &mut Queue, before: &Stats) {
    let Some(before) = before.queue(queue.queue) else { return };
    for (mine, before) in [
        (&mut queue.completed, before.completed),
        (&mut queue.sent, before.sent),
        (&mut queue.taken_back, before.taken_back),
        (&mut queue.refused, before.refused),
        (&mut queue.cancels, before.cancels),
        (&mut queue.received, before.received),
        (&mut queue.returned, before.returned),
        (&mut queue.dropped, before.dropped),
    ] {
        *mine = mine.saturating_sub(before);
    }
}

/// Whether a queue is out of service with nothing in it, and nothing was found in the driver's doings.
fn is_at_rest(queue: &Queue) -> bool {
    let inside = [
        queue.available,
        queue.fetched,
        queue.on_wire,
        queue.off_wire,
        queue.pending,
        queue.writing,
        queue.findings_total,
    ];
    !queue.in_service && !queue.broken && inside.iter().all(|count| *count == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufRead as _;
    use std::os::unix::net::UnixListener;
    use std::thread;
    use std::thread::JoinHandle;

    /// A device that reads one request for each of `answers`, and gives that answer.
    fn fake(answers: Vec<String>) -> (tempfile::TempDir, Control, JoinHandle<Vec<String>>) {
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
                    stream.get_mut().write_all(answer.as_bytes()).unwrap();
                    line
                })
                .collect()
        });
        let control = Control::connect(&path).unwrap();
        (folder, control, device)
    }

    fn answer(id: u32, result: impl serde::Serialize) -> String {
        let line = rpc::answer(&id.into(), Ok(serde_json::to_value(result).unwrap()));
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn counts_begin_anew_at_a_device_at_rest() {
        let queue = |sent| Queue { sent, cancels: 2, ..Queue::new(QueueId::TX0) };
        let mut answers = vec![answer(1, control_protocol::Faults { faults: vec![] })];
        answers.extend((2..=5).map(|id| answer(id, queue(7))));
        answers.push(answer(6, Stats { queues: vec![queue(7)], ..Stats::default() }));
        answers.push(answer(7, Queue { fetched: 1, ..queue(9) }));
        let (_folder, mut control, _device) = fake(answers);
        assert!(control.begin_anew().unwrap());
        let queue = control.queue(QueueId::TX0).unwrap();
        assert_eq!((queue.sent, queue.cancels, queue.fetched), (2, 0, 1));
    }

    #[test]
    fn a_device_with_something_in_it_is_not_at_rest() {
        let queue = || Queue::new(QueueId::RX0);
        assert!(is_at_rest(&queue()));
        assert!(!is_at_rest(&Queue { pending: 1, ..queue() }));
        assert!(!is_at_rest(&Queue { in_service: true, ..queue() }));
        assert!(!is_at_rest(&Queue { findings_total: 1, ..queue() }));
    }

    #[test]
    fn a_refusal_carries_the_devices_reason() {
        let refusal =
            rpc::answer(&1.into(), Err(control_protocol::RpcError::params("`gate` of tx0 must be another")));
        let (_folder, mut control, _device) = fake(vec![String::from_utf8(refusal).unwrap()]);
        let error = control.set_gate(WIRE, false).unwrap_err().to_string();
        assert!(error.contains("`gate` of tx0 must be another"), "{error}");
    }

    #[test]
    fn a_device_that_went_away_is_told_in_one_line() {
        let (_folder, mut control, device) = fake(Vec::new());
        device.join().unwrap();
        let error = control.stats().unwrap_err().to_string();
        assert!(error.contains("closed its control socket"), "{error}");
    }
}
