//! How the NIC stands, as the control socket tells it.

use std::sync::atomic::Ordering;

use cancelnic_model::{Finding, GateSnapshot, Judge};
use cancelnic_registers::{State, StatusWord};
use serde_json::{Value, json};

use super::{Nic, QueueId};

impl Nic {
    /// Everything: the queues and what is counted besides them.
    pub fn stats(&self) -> Value {
        json!({
            "connected": self.connected.load(Ordering::SeqCst),
            "queues": QueueId::ALL.map(|queue| self.queue(queue)),
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
        match queue {
            QueueId::Tx0 => {
                let mut state = self.tx.lock();
                state.queue.look(&*self.memory(), self.clock.now());
                state.follow();
                let tx = state.queue.snapshot(&*self.memory());
                json!({
                    "queue": queue.name(),
                    "in_service": tx.in_service,
                    "enabled": tx.enabled,
                    "broken": tx.broken,
                    "state": state_name(tx.status),
                    "seq": tx.status.seq(),
                    "result": result_number(tx.status),
                    "count": tx.status.count(),
                    "available": tx.available,
                    "fetched": tx.fetched,
                    "on_wire": tx.on_wire,
                    "off_wire": tx.off_wire,
                    "completed": tx.completed,
                    "sent": tx.sent,
                    "taken_back": tx.taken_back,
                    "refused": tx.refused,
                    "cancels": tx.cancels,
                    "findings": findings(state.queue.judge()),
                    "findings_total": state.queue.judge().total(),
                    "gates": { "fetch": gate(tx.fetch), "wire": gate(tx.wire), "complete": gate(tx.complete) },
                })
            }
            QueueId::Rx0 => {
                let mut state = self.rx.lock();
                state.queue.look(&*self.memory(), self.clock.now());
                state.follow();
                let rx = state.queue.snapshot(&*self.memory());
                json!({
                    "queue": queue.name(),
                    "in_service": rx.in_service,
                    "enabled": rx.enabled,
                    "broken": rx.broken,
                    "state": state_name(rx.status),
                    "seq": rx.status.seq(),
                    "result": result_number(rx.status),
                    "count": rx.status.count(),
                    "posted": rx.posted,
                    "pending": rx.pending,
                    "writing": u8::from(rx.writing),
                    "completed": rx.completed,
                    "received": rx.received,
                    "returned": rx.returned,
                    "refused": rx.refused,
                    "dropped": rx.dropped,
                    "cancels": rx.cancels,
                    "findings": findings(state.queue.judge()),
                    "findings_total": state.queue.judge().total(),
                    "gates": { "rx-write": gate(rx.rx_write) },
                })
            }
        }
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

fn gate(gate: GateSnapshot) -> Value {
    json!({ "open": gate.open, "steps": gate.steps })
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
