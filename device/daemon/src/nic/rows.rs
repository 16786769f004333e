//! A queue's rows in the trace: one with its STATE as bars, service and findings as marks, one with commands, doorbells and
//! interrupts.

use std::sync::Arc;
use std::time::Instant;

use cancelnic_model::{Finding, Queue};
use cancelnic_registers::{CommandWord, Direction, Op, QueueId, State, StatusWord};
use serde_json::{Value, json};

use super::report::{self, result_number};
use crate::trace::{self, Trace};

/// The rows of one queue.
pub(crate) struct Rows {
    trace: Arc<Trace>,
    queue: QueueId,
    /// The row of the queue's STATE.
    state: usize,
    /// The row of commands, doorbells and interrupts: behind the STATE of every queue.
    events: usize,
    /// The bar that is open.
    bar: Option<control_protocol::State>,
    /// Findings that are in the trace.
    told: u64,
    /// The counters as the trace has them.
    counts: Vec<u64>,
    /// The first doorbell since the last interrupt.
    doorbell: Option<Instant>,
    /// The CANCEL that has not led to STOPPED yet.
    cancel: Option<Instant>,
}

impl Rows {
    /// Those of `queue`.
    pub(crate) fn new(queue: QueueId, trace: Arc<Trace>) -> Rows {
        let state = row(queue);
        Rows {
            trace,
            queue,
            state,
            events: state + QueueId::COUNT,
            bar: None,
            told: 0,
            counts: Vec::new(),
            doorbell: None,
            cancel: None,
        }
    }

    /// Something happens to the queue.
    pub(crate) fn mark(&self, name: &str, args: Value) {
        self.trace.mark(self.state, name, args);
    }

    /// An interrupt was raised, from `began` on.
    pub(crate) fn interrupt(&mut self, began: Instant) {
        self.trace.span(self.events, began, "interrupt", json!({}));
        if let Some(rung) = self.doorbell.take() {
            self.trace.arrow("doorbell to interrupt", (self.events, rung), (self.events, began));
        }
    }

    /// The doorbell was heard, from `began` on.
    pub(crate) fn doorbell(&mut self, began: Instant) {
        self.trace.span(self.events, began, "doorbell", json!({}));
        self.doorbell.get_or_insert(began);
    }

    /// A command is about to be carried out.
    pub(crate) fn command_begins(&mut self, word: CommandWord, began: Instant) {
        if word.op() == Some(Op::Cancel) {
            self.cancel.get_or_insert(began);
        }
        // Beside the bars as well: STATE may change within the command.
        self.mark(command_name(word), json!({ "seq": word.seq() }));
    }

    /// It was carried out, and left the queue with this status word.
    pub(crate) fn command_ends(&self, word: CommandWord, began: Instant, status: StatusWord) {
        let args = json!({
            "seq": word.seq(),
            "state": report::state(status),
            "result": result_number(status),
            "count": status.count(),
        });
        self.trace.span(self.events, began, command_name(word), args);
    }

    /// Brings findings, counters and STATE up to date.
    pub(crate) fn follow(&mut self, queue: &Queue) {
        let judge = queue.judge();
        let known = usize::try_from(self.told).unwrap_or(usize::MAX);
        for Finding { rule, descriptor, at } in judge.findings().iter().skip(known) {
            let args = json!({ "descriptor": descriptor, "us": at.as_secs_f64() * 1e6 });
            self.mark(&report::rule(*rule).to_string(), args);
        }
        self.told = judge.total();
        self.count(queue);
        self.bar(queue.status().read());
    }

    /// Brings the counters up to date.
    fn count(&mut self, queue: &Queue) {
        let totals = queue.totals();
        let counts = match self.queue.direction() {
            Direction::Tx => &[
                ("fetched", queue.inside().fetched),
                ("sent", totals.sent),
                ("taken back", totals.taken_back),
            ][..],
            Direction::Rx => &[("received", totals.received), ("returned empty", totals.returned)],
        };
        self.counts.resize(counts.len(), 0);
        for ((name, now), known) in counts.iter().zip(&mut self.counts) {
            if now != known {
                self.trace.count(&format!("{}: {name}", self.queue), *now);
                *known = *now;
            }
        }
    }

    /// Brings the bar up to date with the queue's STATE.
    fn bar(&mut self, status: StatusWord) {
        let state = report::state(status);
        if self.bar == Some(state) {
            return;
        }
        if self.bar.replace(state).is_some() {
            self.trace.end(self.state);
        }
        let stopped = status.state() == Some(State::Stopped);
        let count = if stopped { json!({ "count": status.count() }) } else { json!({}) };
        let began = self.trace.begin(self.state, &state.to_string(), count);
        if let Some(cancelled) = self.cancel.take_if(|_| stopped) {
            let arrow = format!("CANCEL to STOPPED, COUNT {}", status.count());
            self.trace.arrow(&arrow, (self.events, cancelled), (self.state, began));
        }
    }
}

/// The row of a queue's STATE.
fn row(queue: QueueId) -> usize {
    trace::DEVICE + 1 + usize::from(queue.virtqueue())
}

/// The names of the rows of these queues, each with its number.
pub(crate) fn names(queues: impl Iterator<Item = QueueId> + Clone) -> Vec<(usize, String)> {
    let states = queues.clone().map(|queue| (row(queue), queue.name().to_owned()));
    let events = queues
        .map(|queue| (row(queue) + QueueId::COUNT, format!("{queue}: commands, doorbells, interrupts")));
    states.chain(events).collect()
}

/// What a command is called in the trace.
fn command_name(word: CommandWord) -> &'static str {
    match word.op() {
        Some(Op::Cancel) => "CANCEL",
        Some(Op::Resume) => "RESUME",
        Some(Op::Drain) => "DRAIN",
        None => "unknown command",
    }
}
