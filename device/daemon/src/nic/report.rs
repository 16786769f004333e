//! How the NIC stands, as the control socket reports it.

use std::sync::atomic::Ordering;

use cancelnic_model as model;
use cancelnic_registers::{Direction, QueueId, StatusWord};
use control_protocol::{Counters, Finding, Gate, GateState, Queue, Rule, State, Stats};

use super::Nic;

impl Nic {
    /// Everything: the queues and what is counted besides them.
    pub(crate) fn stats(&self) -> Stats {
        Stats {
            connected: self.connected.load(Ordering::SeqCst),
            queues: self.queues.iter().filter_map(|slot| self.queue(slot.id())).collect(),
            judge: self.queues.iter().any(|slot| slot.lock().queue.judge().is_on()),
            counters: Counters {
                capture_lost: self.ether.capture_lost(),
                wire_lost: self.ether.lost(),
                trace_lost: self.trace.as_ref().map_or(0, |trace| trace.lost()),
                clock_us: self.now_us(),
            },
            faults: self.all_faults(),
        }
    }

    /// One queue, if the device offers it. "Now" is one moment for all of it.
    pub(crate) fn queue(&self, id: QueueId) -> Option<Queue> {
        let mut state = self.slot(id)?.lock();
        state.queue.look(&*self.memory(), self.clock.now());
        state.follow();
        let queue = &state.queue;
        let model::Snapshot { in_service, enabled, broken, status, available, inside, totals, cancels } =
            queue.snapshot(&*self.memory());
        let model::Inside { fetched, on_wire, off_wire, pending, writing } = inside;
        let model::Totals { completed, sent, taken_back, received, returned, refused, dropped } = totals;
        let (available, posted) = match id.direction() {
            Direction::Tx => (available, 0),
            Direction::Rx => (0, available),
        };
        let gates = queue.gates().into_iter();
        Some(Queue {
            queue: id,
            in_service,
            enabled,
            broken,
            state: self::state(status),
            seq: status.seq(),
            result: result_number(status),
            count: status.count(),
            available,
            fetched,
            on_wire,
            off_wire,
            posted,
            pending,
            writing,
            completed,
            sent,
            taken_back,
            received,
            returned,
            refused,
            dropped,
            cancels,
            findings: queue.judge().findings().iter().map(finding).collect(),
            findings_total: queue.judge().total(),
            gates: gates
                .map(|(name, model::GateState { open, steps })| (gate(name), GateState { open, steps }))
                .collect(),
        })
    }
}

/// What the judge found.
fn finding(model::Finding { rule, descriptor, at }: &model::Finding) -> Finding {
    let us = u64::try_from(at.as_micros()).unwrap_or(u64::MAX);
    Finding { rule: self::rule(*rule), descriptor: *descriptor, us }
}

/// The gates of a queue.
pub(crate) fn gates(queue: QueueId) -> impl Iterator<Item = model::Gate> {
    model::Gate::of(queue.direction()).iter().copied()
}

/// A gate as the protocol has it.
pub(crate) fn gate(gate: model::Gate) -> Gate {
    match gate {
        model::Gate::Fetch => Gate::Fetch,
        model::Gate::Wire => Gate::Wire,
        model::Gate::Complete => Gate::Complete,
        model::Gate::RxWrite => Gate::RxWrite,
    }
}

/// A rule as the protocol has it.
pub(crate) fn rule(rule: model::Rule) -> Rule {
    match rule {
        model::Rule::DescriptorReused => Rule::DescriptorReused,
        model::Rule::BufferChanged => Rule::BufferChanged,
        model::Rule::ReceiveBufferTouched => Rule::ReceiveBufferTouched,
        model::Rule::MalformedChain => Rule::MalformedChain,
        model::Rule::AvailableRanAhead => Rule::AvailableRanAhead,
        model::Rule::UsedRingWritten => Rule::UsedRingWritten,
        model::Rule::DoorbellMissing => Rule::DoorbellMissing,
        model::Rule::DoorbellNeedless => Rule::DoorbellNeedless,
        model::Rule::CommandReused => Rule::CommandReused,
        model::Rule::SeqSkipped => Rule::SeqSkipped,
        model::Rule::PublishedWhileCancelling => Rule::PublishedWhileCancelling,
        model::Rule::ResetInFlight => Rule::ResetInFlight,
        model::Rule::HeaderInvalid => Rule::HeaderInvalid,
        model::Rule::FrameTooShort => Rule::FrameTooShort,
        model::Rule::FrameTooLong => Rule::FrameTooLong,
        model::Rule::FeatureNotNegotiated => Rule::FeatureNotNegotiated,
    }
}

/// STATE as the protocol has it. No queue of the model has another one.
pub(crate) fn state(status: StatusWord) -> State {
    status.state().map(State::from).unwrap_or_default()
}

/// RESULT as a number; 15 if the word has none that is defined.
pub(crate) fn result_number(status: StatusWord) -> u8 {
    status.result().map_or(15, |result| result as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nic::MOST_BYTES;

    /// The document is made where nothing is known of the model.
    #[test]
    fn the_protocols_document_gives_the_devices_limits() {
        let document = control_protocol::document::openrpc().to_string();
        for limit in [
            format!("none came within {} seconds", model::LATE.as_secs()),
            format!("the first {}, the oldest first", model::KEPT),
            format!("({}, of {} MiB together)", control_protocol::MOST_WAITING, MOST_BYTES >> 20),
        ] {
            assert!(document.contains(&limit), "{limit}");
        }
    }
}
