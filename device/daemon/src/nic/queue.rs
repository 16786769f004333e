//! One queue's place in the process: the model's queue, and what its turns ask for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cancelnic_model::{Finding, Judge, RxCounts, RxQueue, Turn, TxCounts, TxQueue};
use cancelnic_registers::{self as registers, CommandWord, Op, StatusWord};
use serde_json::{Value, json};
use vmm_sys_util::event::EventNotifier;

use super::QueueId;
use super::report::{result_number, state_name};
use crate::log::OncePerSecond;
use crate::trace::{self, Trace};

/// A queue of the model behind its lock.
pub struct Slot<Q> {
    state: Mutex<State<Q>>,
    /// Threads that want the lock and must not wait long.
    urgent: AtomicUsize,
}

/// What the lock guards.
pub struct State<Q> {
    /// The model's queue.
    pub queue: Q,
    /// Where interrupts go.
    pub call: Option<EventNotifier>,
    name: &'static str,
    complaints: OncePerSecond,
    trace: Option<Rows>,
}

/// The queue's rows in the trace.
struct Rows {
    trace: Arc<Trace>,
    /// The row of the queue's STATE.
    state: usize,
    /// The row of commands, doorbells and interrupts.
    events: usize,
    /// The bar that is open.
    bar: Option<&'static str>,
    /// Findings that are in the trace.
    told: u64,
    /// The counters as the trace has them.
    counts: Vec<u64>,
    /// The first doorbell since the last interrupt.
    doorbell: Option<Instant>,
    /// The CANCEL that has not led to STOPPED yet.
    cancel: Option<Instant>,
}

/// The row of a queue's commands, doorbells and interrupts stands this far behind that of its STATE.
const EVENTS: usize = 10;

/// What a trace shows of a queue of the model.
pub trait Traced {
    /// Its status word, as the guest can read it.
    fn word(&self) -> StatusWord;
    /// Its judge.
    fn judge(&self) -> &Judge;
    /// Its counters, by name.
    fn counts(&self) -> Vec<(&'static str, u64)>;
}

impl Traced for TxQueue {
    fn word(&self) -> StatusWord {
        self.status().read()
    }
    fn judge(&self) -> &Judge {
        TxQueue::judge(self)
    }
    fn counts(&self) -> Vec<(&'static str, u64)> {
        let TxCounts { fetched, sent, taken_back } = TxQueue::counts(self);
        vec![("fetched", fetched), ("sent", sent), ("taken back", taken_back)]
    }
}

impl Traced for RxQueue {
    fn word(&self) -> StatusWord {
        self.status().read()
    }
    fn judge(&self) -> &Judge {
        RxQueue::judge(self)
    }
    fn counts(&self) -> Vec<(&'static str, u64)> {
        let RxCounts { received, returned } = RxQueue::counts(self);
        vec![("received", received), ("returned empty", returned)]
    }
}

impl<Q> Slot<Q> {
    /// For `queue`, which is `id`, and has its rows in `trace`.
    pub fn new(id: QueueId, queue: Q, trace: Option<Arc<Trace>>) -> Slot<Q> {
        let row = QueueId::ALL.iter().position(|other| *other == id).map_or(trace::DEVICE, |row| row + 1);
        let trace = trace.map(|trace| Rows {
            trace,
            state: row,
            events: row + EVENTS,
            bar: None,
            told: 0,
            counts: Vec::new(),
            doorbell: None,
            cancel: None,
        });
        let state = State { queue, call: None, name: id.name(), complaints: OncePerSecond::default(), trace };
        Slot { state: Mutex::new(state), urgent: AtomicUsize::new(0) }
    }

    /// The queue, for the thread that answers the front end: a thread in the middle of its turns lets it in.
    pub fn lock(&self) -> MutexGuard<'_, State<Q>> {
        self.urgent.fetch_add(1, Ordering::SeqCst);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.urgent.fetch_sub(1, Ordering::SeqCst);
        state
    }

    /// Between two turns: lets those in who must not wait long.
    pub fn give_way(&self) {
        if self.urgent.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
    }
}

impl<Q: Traced> State<Q> {
    /// Does what `turn` asks of this queue alone: the interrupt, and a word in the log. Called after the
    /// model's call has returned, under the same lock: by then the status word is readable (C7).
    pub fn settle(&mut self, turn: &Turn) {
        self.follow();
        self.signal(turn.signal);
        if let Some(why) = turn.broke {
            tracing::warn!(queue = self.name, "broken until it leaves service: {why}");
        }
        if turn.refused > 0 && self.complaints.now() {
            tracing::warn!(
                queue = self.name,
                "the driver posts malformed chains (said once a second at most)"
            );
        }
    }

    /// Writes the call descriptor, if `wanted` and there is one.
    pub fn signal(&mut self, wanted: bool) {
        let Some(call) = self.call.as_ref().filter(|_| wanted) else { return };
        let began = Instant::now();
        match call.notify() {
            // Full: nobody has read it yet, so nobody has missed it.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => tracing::warn!(queue = self.name, %error, "an interrupt is lost"),
            Ok(()) => self.interrupted(began),
        }
    }

    fn interrupted(&mut self, began: Instant) {
        let Some(Rows { trace, events, doorbell, .. }) = &mut self.trace else { return };
        trace.span(*events, began, "interrupt", json!({}));
        if let Some(rung) = doorbell.take() {
            trace.arrow("doorbell to interrupt", (*events, rung), (*events, began));
        }
    }

    /// The driver rings: `act` is what the queue does about it under its lock.
    pub fn rung(&mut self, act: impl FnOnce(&mut Self)) {
        let began = Instant::now();
        act(self);
        self.follow();
        let Some(Rows { trace, events, doorbell, .. }) = &mut self.trace else { return };
        trace.span(*events, began, "doorbell", json!({}));
        doorbell.get_or_insert(began);
    }

    /// The driver gives the command `word`: `act` carries it out under the queue's lock.
    pub fn command(&mut self, word: CommandWord, act: impl FnOnce(&mut Self) -> Turn) {
        let began = Instant::now();
        if let Some(Rows { cancel, .. }) = &mut self.trace
            && word.op() == Some(Op::Cancel)
        {
            cancel.get_or_insert(began);
        }
        // Beside the bars as well: STATE may change within the command.
        self.mark(command_name(word), json!({ "seq": word.seq() }));
        let turn = act(self);
        self.settle(&turn);
        let Some(Rows { trace, events, .. }) = &self.trace else { return };
        let status = self.queue.word();
        let args = json!({
            "seq": word.seq(),
            "state": state_name(status),
            "result": result_number(status),
            "count": status.count(),
        });
        trace.span(*events, began, command_name(word), args);
    }

    /// Something happens to the queue that the trace shows.
    pub fn mark(&self, name: &str, args: Value) {
        if let Some(Rows { trace, state, .. }) = &self.trace {
            trace.mark(*state, name, args);
        }
    }

    /// Brings the trace up to date with the queue's state, its counters and its judge.
    pub fn follow(&mut self) {
        let Some(rows) = &mut self.trace else { return };
        let judge = self.queue.judge();
        let known = usize::try_from(rows.told).unwrap_or(usize::MAX);
        for Finding { rule, descriptor, at } in judge.findings().iter().skip(known) {
            let args = json!({ "descriptor": descriptor, "us": at.as_secs_f64() * 1e6 });
            rows.trace.mark(rows.state, rule.name(), args);
        }
        rows.told = judge.total();
        rows.count(self.name, &self.queue.counts());
        rows.bar(self.queue.word());
    }
}

impl Rows {
    /// Brings the counters up to date.
    fn count(&mut self, queue: &str, counts: &[(&'static str, u64)]) {
        self.counts.resize(counts.len(), 0);
        for ((name, now), known) in counts.iter().zip(&mut self.counts) {
            if now != known {
                self.trace.count(&format!("{queue}: {name}"), *now);
                *known = *now;
            }
        }
    }

    /// Brings the bar up to date with the queue's STATE.
    fn bar(&mut self, status: StatusWord) {
        let name = state_name(status);
        if self.bar == Some(name) {
            return;
        }
        if self.bar.replace(name).is_some() {
            self.trace.end(self.state);
        }
        let stopped = status.state() == Some(registers::State::Stopped);
        let count = if stopped { json!({ "count": status.count() }) } else { json!({}) };
        let began = self.trace.begin(self.state, name, count);
        if let Some(cancelled) = self.cancel.take_if(|_| stopped) {
            let arrow = format!("CANCEL to STOPPED, COUNT {}", status.count());
            self.trace.arrow(&arrow, (self.events, cancelled), (self.state, began));
        }
    }
}

/// The names of the trace's rows, from [`trace::DEVICE`] + 1 on, each with its number.
pub fn trace_rows() -> Vec<(usize, String)> {
    let names = QueueId::ALL.map(QueueId::name);
    let states = (trace::DEVICE + 1..).zip(names);
    let events =
        states.clone().map(|(row, name)| (row + EVENTS, format!("{name}: commands, doorbells, interrupts")));
    states.map(|(row, name)| (row, name.to_owned())).chain(events).collect()
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
