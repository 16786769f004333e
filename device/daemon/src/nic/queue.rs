//! One queue's place in the process: the model's queue, and what its turns ask for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cancelnic_model::{Finding, Judge, RxQueue, Turn, TxQueue};
use serde_json::{Value, json};
use vmm_sys_util::event::EventNotifier;

use super::QueueId;
use super::report::state_name;
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
    trace: Option<Row>,
}

/// The queue's row in the trace.
struct Row {
    trace: Arc<Trace>,
    number: usize,
    /// The bar that is open.
    bar: Option<&'static str>,
    /// Findings that were told.
    told: u64,
}

/// What a trace shows of a queue of the model.
pub trait Traced {
    /// What its bar is called now.
    fn bar(&self) -> &'static str;
    /// Its judge.
    fn judge(&self) -> &Judge;
}

impl Traced for TxQueue {
    fn bar(&self) -> &'static str {
        state_name(self.status().read())
    }
    fn judge(&self) -> &Judge {
        TxQueue::judge(self)
    }
}

impl Traced for RxQueue {
    fn bar(&self) -> &'static str {
        state_name(self.status().read())
    }
    fn judge(&self) -> &Judge {
        RxQueue::judge(self)
    }
}

impl<Q> Slot<Q> {
    /// For `queue`, which is `id`, and has a row in `trace`.
    pub fn new(id: QueueId, queue: Q, trace: Option<Arc<Trace>>) -> Slot<Q> {
        let row = QueueId::ALL.iter().position(|other| *other == id).map_or(trace::DEVICE, |row| row + 1);
        let trace = trace.map(|trace| Row { trace, number: row, bar: None, told: 0 });
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
    pub fn signal(&self, wanted: bool) {
        let Some(call) = self.call.as_ref().filter(|_| wanted) else { return };
        match call.notify() {
            // Full: nobody has read it yet, so nobody has missed it.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => tracing::warn!(queue = self.name, %error, "an interrupt is lost"),
            Ok(()) => self.mark("interrupt", json!({})),
        }
    }

    /// Something happens to the queue that the trace shows.
    pub fn mark(&self, name: &str, args: Value) {
        if let Some(Row { trace, number, .. }) = &self.trace {
            trace.mark(*number, name, args);
        }
    }

    /// Brings the trace up to date with the queue's state and its judge.
    pub fn follow(&mut self) {
        let Some(Row { trace, number, bar, told }) = &mut self.trace else { return };
        let judge = self.queue.judge();
        let known = usize::try_from(*told).unwrap_or(usize::MAX);
        for Finding { rule, descriptor, at } in judge.findings().iter().skip(known) {
            let args = json!({ "descriptor": descriptor, "us": at.as_secs_f64() * 1e6 });
            trace.mark(*number, rule.name(), args);
        }
        *told = judge.total();
        let now = self.queue.bar();
        if *bar != Some(now) {
            if bar.replace(now).is_some() {
                trace.end(*number);
            }
            trace.begin(*number, now);
        }
    }
}
