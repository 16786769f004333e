//! How the NIC stands, as the control socket tells it.

use std::sync::atomic::Ordering;

use cancelnic_model::{Finding, Gate, Inside, Judge, Totals};
use cancelnic_registers::{Direction, QueueId, State, StatusWord};
use serde_json::{Value, json};

use super::Nic;

impl Nic {
    /// Everything: the queues and what is counted besides them.
    pub fn stats(&self) -> Value {
        json!({
            "connected": self.connected.load(Ordering::SeqCst),
            "queues": self.queues.iter().map(|slot| self.queue(slot.id())).collect::<Vec<_>>(),
            "judge": self.judge,
            "counters": {
                "capture_lost": self.ether.capture_lost(),
                "trace_lost": self.trace.as_ref().map_or(0, |trace| trace.lost()),
                "clock_us": self.now_us(),
            },
        })
    }

    /// One queue. "Now" is one moment for all of it.
    pub fn queue(&self, queue: QueueId) -> Value {
        let Some(slot) = self.slot(queue) else { return Value::Null };
        let mut state = slot.lock();
        state.queue.look(&*self.memory(), self.clock.now());
        state.follow();
        let now = state.queue.snapshot(&*self.memory());
        let Inside { fetched, on_wire, off_wire, pending, writing } = now.inside;
        let Totals { completed, sent, taken_back, received, returned, refused, dropped } = now.totals;
        let (available, posted) = match queue.direction() {
            Direction::Tx => (now.available, 0),
            Direction::Rx => (0, now.available),
        };
        let gates = state.queue.gates().into_iter().map(|(gate, state)| {
            (gate_name(gate).to_owned(), json!({ "open": state.open, "steps": state.steps }))
        });
        json!({
            "queue": queue.name(),
            "in_service": now.in_service,
            "enabled": now.enabled,
            "broken": now.broken,
            "state": state_name(now.status),
            "seq": now.status.seq(),
            "result": result_number(now.status),
            "count": now.status.count(),
            "available": available,
            "fetched": fetched,
            "on_wire": on_wire,
            "off_wire": off_wire,
            "posted": posted,
            "pending": pending,
            "writing": writing,
            "completed": completed,
            "sent": sent,
            "taken_back": taken_back,
            "received": received,
            "returned": returned,
            "refused": refused,
            "dropped": dropped,
            "cancels": now.cancels,
            "findings": findings(state.queue.judge()),
            "findings_total": state.queue.judge().total(),
            "gates": gates.collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// What the judge found, the oldest first; a descriptor of null is none in particular.
fn findings(judge: &Judge) -> Vec<Value> {
    let findings = judge.findings().iter();
    findings
        .map(|Finding { rule, descriptor, at }| {
            let us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
            json!({ "rule": rule.name(), "descriptor": descriptor, "us": us })
        })
        .collect()
}

/// Its name on the control socket.
pub fn gate_name(gate: Gate) -> &'static str {
    match gate {
        Gate::Fetch => "fetch",
        Gate::Wire => "wire",
        Gate::Complete => "complete",
        Gate::RxWrite => "rx-write",
    }
}

/// STATE as it is called in reports.
pub fn state_name(status: StatusWord) -> &'static str {
    match status.state() {
        Some(State::Running) => "RUNNING",
        Some(State::Cancelling) => "CANCELLING",
        Some(State::Draining) => "DRAINING",
        Some(State::Stopped) => "STOPPED",
        None => "UNKNOWN",
    }
}

/// RESULT as a number; 15 if the word has none that is defined.
pub fn result_number(status: StatusWord) -> u8 {
    status.result().map_or(15, |result| result as u8)
}
