//! The methods: a type each, with its parameters as fields.

use cancelnic_registers::QueueId;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::RpcError;
use crate::report::{Fault, FaultState, Gate, Queue, Stats};
use crate::values::{Bytes, Mac, Number, QueueName, Text, queue_name};

/// A method of the control socket; the type's fields are its parameters, its documentation is the method's.
pub trait Method: Serialize + DeserializeOwned + JsonSchema {
    /// The method's name.
    const NAME: &'static str;
    /// The device refuses it with [`RpcError::STATE`] in these cases, although its parameters are well-formed.
    const REFUSED_IF: &'static [&'static str] = &[];
    /// The result.
    type Answer: Serialize + DeserializeOwned + JsonSchema;
}

/// Is shown the methods' types.
pub(crate) trait Visitor {
    fn visit<M: Method>(&mut self);
}

macro_rules! methods {
    ($($method:ident = $name:literal -> $answer:ty $(, refused if $reason:literal)*;)*) => {
        $(impl Method for $method {
            const NAME: &'static str = $name;
            const REFUSED_IF: &'static [&'static str] = &[$($reason),*];
            type Answer = $answer;
        })*

        /// A call of one of the methods.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Call {
            $(#[doc = concat!("`", $name, "`")] $method($method),)*
        }

        impl Call {
            /// Reads a call from the method's name and its parameters; absent parameters are the same as none.
            ///
            /// # Errors
            /// There is no such method, or a parameter is missing, wrong or unknown; the message names it.
            pub fn read(method: &str, params: Option<Value>) -> Result<Call, RpcError> {
                match method {
                    $($name => Ok(Call::$method(read(params)?)),)*
                    other => Err(RpcError::method(other)),
                }
            }
        }

        /// Shows every method's type to `visitor`.
        pub(crate) fn visit_all(visitor: &mut impl Visitor) {
            $(visitor.visit::<$method>();)*
        }
    };
}

methods! {
    GetStats = "stats" -> Stats;
    GetQueue = "queue.get" -> Queue;
    SetGate = "gate.set" -> Queue;
    StepGate = "gate.step" -> Queue;
    Inject = "rx.inject" -> Injected, refused if "more frames wait than the device keeps (4096, of 16 MiB together)";
    InjectFrame = "rx.inject_frame" -> Injected, refused if "more frames wait than the device keeps (4096, of 16 MiB together)";
    SetLink = "link.set" -> Link, refused if "the front end takes no configuration interrupts, or does not read them";
    ArmFault = "fault.arm" -> Faults, refused if "the front end does not learn of a link that flaps";
    ClearFaults = "fault.clear" -> Faults;
    AdvanceClock = "clock.advance" -> Time, refused if "the clock is real: the device was started without `--clock manual`";
    GetClock = "clock.get" -> Clock;
    Mark = "trace.mark" -> Time;
    Quit = "quit" -> Nothing;
}

fn read<M: Method>(params: Option<Value>) -> Result<M, RpcError> {
    let params = match params {
        None | Some(Value::Null) => Value::Object(serde_json::Map::new()),
        Some(params @ Value::Object(_)) => params,
        Some(_) => return Err(RpcError::params("`params` must be an object")),
    };
    serde_path_to_error::deserialize(params).map_err(|error| {
        let field = error.path().to_string();
        let why = error.inner();
        // An error of the object itself, such as a field that is missing, names the field already.
        RpcError::params(if field == "." { why.to_string() } else { format!("`{field}` {why}") })
    })
}

/// Returns everything that the device counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetStats {}

/// Returns one queue. Its judge looks at the rings first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetQueue {
    /// The queue's name.
    #[serde(with = "queue_name")]
    #[schemars(schema_with = "queue_name::schema")]
    pub queue: QueueId,
}

/// Opens or closes a gate of a queue, and returns the queue once it has done what can be done then. An open gate lets
/// everything through; steps that are left over are forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetGate {
    /// The queue's name.
    #[serde(with = "queue_name")]
    #[schemars(schema_with = "queue_name::schema")]
    pub queue: QueueId,
    /// One of the queue's gates.
    pub gate: Gate,
    /// Whether it is to be open.
    pub open: bool,
}

/// Lets frames or chains through a closed gate of a queue, and returns the queue once it has done what can be done then. An
/// open gate takes no notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepGate {
    /// The queue's name.
    #[serde(with = "queue_name")]
    #[schemars(schema_with = "queue_name::schema")]
    pub queue: QueueId,
    /// One of the queue's gates.
    pub gate: Gate,
    /// How many more are let through.
    pub count: Number<1, { u32::MAX as u64 }>,
}

/// Frames that can wait at a receive queue for buffers.
pub const MOST_WAITING: u64 = 4096;

/// Numbered frames arrive for the guest, all of them or none: each is broadcast (or sent `to` an address) from the NIC's own
/// address with EtherType 0x88B5, its number in 64 bits, big-endian, and filler bytes that follow from the number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Inject {
    /// The name of a receive queue.
    #[serde(with = "queue_name")]
    #[schemars(schema_with = "queue_name::schema")]
    pub queue: QueueId,
    /// The number of the first frame; the last one's is at most 2^64 - 1.
    pub first: u64,
    /// How many frames.
    pub count: Number<1, MOST_WAITING>,
    /// Bytes of each frame, without its check sequence; at most the NIC's MTU + 18.
    pub len: Number<60, 65553>,
    /// The destination; every station if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Mac>,
}

/// One frame arrives for the guest, byte by byte as given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InjectFrame {
    /// The name of a receive queue.
    #[serde(with = "queue_name")]
    #[schemars(schema_with = "queue_name::schema")]
    pub queue: QueueId,
    /// The frame without its check sequence: 14 bytes to the NIC's MTU + 18.
    pub frame: Bytes,
}

/// Whether there is a link: bit 0 of `status`. The guest gets a configuration interrupt if that is a change and
/// any queue is in service. It moves no frame, and holds none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetLink {
    /// Whether there is one from now on.
    pub up: bool,
}

/// Lets the device go wrong so many times from now on, so that a driver can be tried against bad hardware. What it did wrong
/// is in `stats`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ArmFault {
    /// In which way.
    pub fault: Fault,
    /// The queue, if it is a queue's fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// How often.
    pub count: Number<1, 1_000_000>,
}

/// Lets nothing go wrong from now on: what was held up goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearFaults {}

/// Lets time pass on the manual clock, and returns the new time. What falls due in it has happened by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AdvanceClock {
    /// How much time, in microseconds: an hour at most.
    pub us: Number<0, 3_600_000_000>,
}

/// Returns the time on the device's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetClock {}

/// Writes a mark into the log and the trace, and returns the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mark {
    /// What is to be written there.
    pub text: Text<1000>,
}

/// Ends the device, once this call is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quit {}

/// How many frames have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Injected {
    /// Frames.
    pub injected: u64,
}

/// The faults that were ever armed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Faults {
    /// Each with its queue.
    pub faults: Vec<FaultState>,
}

/// The link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    /// Whether there is one.
    pub up: bool,
}

/// A moment on the device's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Time {
    /// Microseconds since the process began.
    pub us: u64,
}

/// The device's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Clock {
    /// Microseconds since the process began.
    pub us: u64,
    /// Whether time passes by `clock.advance` only.
    pub manual: bool,
}

/// There is nothing to return.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_call_is_read_by_its_methods_name() {
        let call = Call::read("gate.set", Some(json!({ "queue": "rx0", "gate": "rx-write", "open": false })));
        assert_eq!(
            call,
            Ok(Call::SetGate(SetGate { queue: QueueId::RX0, gate: Gate::RxWrite, open: false }))
        );
        assert_eq!(Call::read("stats", None), Ok(Call::GetStats(GetStats {})));
        assert_eq!(Call::read("no", None).unwrap_err().code, RpcError::METHOD);
    }

    #[test]
    fn an_error_names_the_parameter() {
        for (method, params, part) in [
            ("queue.get", json!({}), "`queue`"),
            ("queue.get", json!({ "queue": 1 }), "`queue`"),
            ("queue.get", json!({ "queue": "tx9" }), "`queue` not the name of a queue"),
            ("queue.get", json!({ "queue": "tx0", "more": 1 }), "`more`"),
            ("gate.set", json!({ "queue": "tx0", "gate": "door", "open": true }), "`gate`"),
            (
                "gate.step",
                json!({ "queue": "tx0", "gate": "wire", "count": 0 }),
                "`count` must be a whole number from 1 to",
            ),
            (
                "rx.inject",
                json!({ "queue": "rx0", "first": 0, "count": 1, "len": 60, "to": "0a0b" }),
                "`to` must be an",
            ),
            ("stats", json!([1]), "`params`"),
        ] {
            let error = Call::read(method, Some(params.clone())).unwrap_err();
            assert_eq!(error.code, RpcError::PARAMS);
            assert!(error.message.contains(part), "{method} {params}: {error}");
        }
    }
}
