//! What the device reports about itself.
//!
//! The model has gates, rules and counts of its own: these here are the protocol's, because a client builds no model. The
//! daemon converts (`nic/report.rs`), with matches and patterns in which no value and no field can be forgotten.

use std::collections::BTreeMap;
use std::fmt;

use cancelnic_registers::{self as registers, Direction, QueueId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::values::{QueueName, queue_name};

/// Everything that the device counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stats {
    /// Whether a front end is connected.
    pub connected: bool,
    /// One for each queue, in the order of their virtqueues.
    pub queues: Vec<Queue>,
    /// Whether the queues have judges that watch the driver.
    pub judge: bool,
    /// What is counted besides the queues.
    pub counters: Counters,
    /// The faults that were ever armed: what the device does wrong because it was asked to.
    pub faults: Vec<FaultState>,
}

impl Stats {
    /// One queue.
    pub fn queue(&self, queue: QueueId) -> Option<&Queue> {
        self.queues.iter().find(|other| other.queue == queue)
    }
}

/// What is counted besides the queues.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counters {
    /// Frames that the capture lacks, since the process began: the file could not be written, or a frame taken back could
    /// not be read.
    pub capture_lost: u64,
    /// Frames that the wire lost, since the process began: too many bytes were on their way, or, where it leads out of the
    /// process, nobody was there to take them, they had no length that a frame can have, or the link was down.
    pub wire_lost: u64,
    /// Events that the trace lacks, since the process began.
    pub trace_lost: u64,
    /// The device's clock, in microseconds since the process began.
    pub clock_us: u64,
}

/// Where a queue is, as far as commands go: STATE of its status register.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// The queue works as any virtio-net queue does.
    #[default]
    Running,
    /// A CANCEL was taken; some chain that it covers has no used element yet.
    Cancelling,
    /// A DRAIN was taken; some fetched chain has no used element yet.
    Draining,
    /// The device reads and writes nothing of the queue until RESUME or CANCEL.
    Stopped,
}

impl From<registers::State> for State {
    fn from(state: registers::State) -> State {
        match state {
            registers::State::Running => State::Running,
            registers::State::Cancelling => State::Cancelling,
            registers::State::Draining => State::Draining,
            registers::State::Stopped => State::Stopped,
        }
    }
}

/// A place where frames can be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// Transmit: between the available ring and the FIFO.
    Fetch,
    /// Transmit: between the FIFO and the wire.
    Wire,
    /// Transmit: between the wire and the used ring.
    Complete,
    /// Receive: in the middle of writing a frame into its buffer.
    RxWrite,
}

/// One gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateState {
    /// Lets everything through.
    pub open: bool,
    /// Frames or chains that it still lets through although it is closed.
    pub steps: u64,
}

/// A way in which hardware goes wrong. Those of a queue are armed for one; the others are the whole device's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Of a queue: a CANCEL that could finish does not. STATE stays CANCELLING until `fault.clear` or a reset of the device.
    StuckInCancelling,
    /// Of a queue: a used element is never written.
    CompletionWithheld,
    /// Of a queue: a used element is written twice.
    CompletionDoubled,
    /// Of a queue: a used element is written once STATE has read STOPPED, not before.
    CompletionAfterStopped,
    /// Of a queue: a used element names a descriptor that the table does not have.
    CompletionOfAnother,
    /// Of a queue: an interrupt is not sent.
    InterruptLost,
    /// Of a queue: an interrupt is sent without a cause, at once.
    InterruptSpurious,
    /// A read of the configuration space finds all ones, as of a device that is gone; what is written until then is lost.
    RegistersAllOnes,
    /// The link goes down and comes up again, at once.
    LinkFlap,
}

/// A fault that was armed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultState {
    /// Which one.
    pub fault: Fault,
    /// The queue that it is armed for, if it is a queue's.
    pub queue: Option<QueueName>,
    /// How often it is still to happen.
    pub left: u64,
    /// How often it has happened.
    pub happened: u64,
}

/// One queue at one moment. Counts that do not apply to its direction are 0. "Now" is one moment for all of them; totals
/// count since the process began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Queue {
    /// Its name: `tx0` or `rx0`.
    #[serde(with = "queue_name")]
    #[schemars(schema_with = "queue_name::schema")]
    pub queue: QueueId,
    /// Whether the guest has set it up and the device may touch it.
    pub in_service: bool,
    /// Whether it may fetch and receive.
    pub enabled: bool,
    /// In service, but unusable until it leaves: its rings or its available index are wrong.
    pub broken: bool,
    /// STATE of the status register.
    pub state: State,
    /// SEQ of the last command taken.
    pub seq: u8,
    /// RESULT of that command: 0 ok, 1 pending, 2 unknown OP, 3 not supported, 4 not in service, 5 broken.
    pub result: u8,
    /// COUNT: frames or buffers that the last CANCEL took back; 65535 stands for more, too.
    pub count: u16,
    /// Transmit: chains published and not yet fetched, now.
    pub available: u64,
    /// Transmit: frames fetched and not yet on the wire, now.
    pub fetched: u64,
    /// Transmit: frames on the wire, now: 0 or 1.
    pub on_wire: u64,
    /// Transmit: frames off the wire whose used element is missing, now.
    pub off_wire: u64,
    /// Receive: buffers published and not yet taken up, now.
    pub posted: u64,
    /// Receive: frames that wait at the device, now.
    pub pending: u64,
    /// Receive: frames half written into a buffer, now: 0 or 1.
    pub writing: u64,
    /// Used elements written, total.
    pub completed: u64,
    /// Transmit: of them, frames sent.
    pub sent: u64,
    /// Transmit: of them, chains taken back.
    pub taken_back: u64,
    /// Receive: of them, frames received.
    pub received: u64,
    /// Receive: of them, buffers given back empty by CANCEL.
    pub returned: u64,
    /// Malformed chains, total.
    pub refused: u64,
    /// Receive: frames lost, total: no room to wait, too long for the buffer, or a device reset came first.
    pub dropped: u64,
    /// CANCELs carried out, total.
    pub cancels: u64,
    /// What the judge found in the driver's doings: the first 64, the oldest first.
    pub findings: Vec<Finding>,
    /// How many findings there are in all.
    pub findings_total: u64,
    /// The gates that the queue has.
    pub gates: BTreeMap<Gate, GateState>,
}

impl Queue {
    /// A queue as it is at first: out of service, with nothing in it and nothing counted.
    pub fn new(queue: QueueId) -> Queue {
        Queue {
            queue,
            in_service: false,
            enabled: false,
            broken: false,
            state: State::Running,
            seq: 0,
            result: 0,
            count: 0,
            available: 0,
            fetched: 0,
            on_wire: 0,
            off_wire: 0,
            posted: 0,
            pending: 0,
            writing: 0,
            completed: 0,
            sent: 0,
            taken_back: 0,
            received: 0,
            returned: 0,
            refused: 0,
            dropped: 0,
            cancels: 0,
            findings: Vec::new(),
            findings_total: 0,
            gates: BTreeMap::new(),
        }
    }

    /// The numbers of this moment in one line.
    pub fn describe(&self) -> String {
        match self.queue.direction() {
            Direction::Tx => format!(
                "{} available={} fetched={} on_wire={} off_wire={} sent={} taken_back={}",
                self.state,
                self.available,
                self.fetched,
                self.on_wire,
                self.off_wire,
                self.sent,
                self.taken_back
            ),
            Direction::Rx => format!(
                "{} buffers={} pending={} writing={} received={} returned={} dropped={}",
                self.state,
                self.posted,
                self.pending,
                self.writing,
                self.received,
                self.returned,
                self.dropped
            ),
        }
    }
}

/// Something that the driver must not do, as the device saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule that was broken.
    pub rule: Rule,
    /// The descriptor or the head of the chain that it is about, if it is about one.
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

/// What a driver must not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Rule {
    /// A descriptor of a chain that the device owns was changed, or was published in another chain (virtio 1.3 section
    /// 2.7.13).
    DescriptorReused,
    /// The bytes in a buffer changed while the device owned it.
    BufferChanged,
    /// A receive buffer was written to after CANCEL, before STATE read STOPPED.
    ReceiveBufferTouched,
    /// A chain that the interface refuses: a loop, memory that is not there, the wrong direction or length.
    MalformedChain,
    /// The available index ran ahead of the ring.
    AvailableRanAhead,
    /// The used ring, which is the device's to write (virtio 1.3 section 2.7.8), was written.
    UsedRingWritten,
    /// Chains were published, the device had asked for a doorbell, and none came within 2 seconds.
    DoorbellMissing,
    /// Doorbells without a chain, or that the device had not asked for (virtio 1.3 section 2.7.13.4).
    DoorbellNeedless,
    /// A new command word with the SEQ of the last command: the device does not take it.
    CommandReused,
    /// A command's SEQ does not follow that of the last command.
    SeqSkipped,
    /// Chains were published between CANCEL and STOPPED.
    PublishedWhileCancelling,
    /// The device was reset while it had frames that the driver wanted sent, or was writing one.
    ResetInFlight,
    /// A sent frame's virtio_net_hdr has flags or a gso_type that were not negotiated (virtio 1.3 section 5.1.6.2.1).
    HeaderInvalid,
    /// A sent frame is shorter than an Ethernet header.
    FrameTooShort,
    /// A sent frame is longer than the negotiated MTU and an Ethernet header (virtio 1.3 section 5.1.4.1).
    FrameTooLong,
    /// An indirect descriptor without VIRTIO_F_INDIRECT_DESC (virtio 1.3 section 2.7.5.3.1); flags in the available ring
    /// with VIRTIO_F_EVENT_IDX, or flags that are none (section 2.7.7.1).
    FeatureNotNegotiated,
}

/// The text of these is their name in JSON.
macro_rules! display_as_in_json {
    ($($type:ty),*) => {
        $(impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.serialize(f)
            }
        })*
    };
}

display_as_in_json!(State, Gate, Rule, Fault);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json, to_value};

    #[test]
    fn the_text_is_the_name_in_json_and_keeps_to_a_width() {
        assert_eq!(to_value(State::Cancelling).unwrap(), "CANCELLING");
        assert_eq!(State::Cancelling.to_string(), "CANCELLING");
        assert_eq!(Gate::RxWrite.to_string(), "rx-write");
        assert_eq!(format!("{:<12}|{:>12}", Rule::SeqSkipped, State::Stopped), "SeqSkipped  |     STOPPED");
    }

    #[test]
    fn a_queue_survives_the_round_trip() {
        let mut queue = Queue { sent: 7, state: State::Stopped, ..Queue::new(QueueId::TX0) };
        queue.gates.insert(Gate::Wire, GateState { open: false, steps: 3 });
        queue.findings.push(Finding { rule: Rule::SeqSkipped, descriptor: None, us: 5 });
        let value = to_value(&queue).unwrap();
        assert_eq!(
            (&value["queue"], &value["state"], &value["gates"]["wire"]["steps"]),
            (&json!("tx0"), &json!("STOPPED"), &json!(3))
        );
        assert_eq!(from_value::<Queue>(value).unwrap(), queue);
    }
}
