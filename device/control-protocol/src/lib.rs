//! The protocol of the device's control socket: JSON-RPC 2.0 over a Unix stream socket, one object a line. The device
//! answers what the rig and people at a shell ask.
//!
//! - A method is a type with its parameters that implements [`Method`]; its result is [`Method::Answer`]. [`Call`] is one
//!   of all of them, read from a request.
//! - [`rpc`] has requests and answers as lines, [`RpcError`] is why a request is refused.
//! - [`document`] describes all of it in OpenRPC; `openrpc.json` beside this crate is kept by a test.
//!
//! It knows neither socket nor device. README.md shows a session.

#![forbid(unsafe_code)]

pub mod document;
mod error;
mod methods;
mod report;
pub mod rpc;
mod values;

pub use error::RpcError;
pub use methods::{
    AdvanceClock, ArmFault, Call, ClearFaults, Clock, Faults, GetClock, GetQueue, GetStats, Inject,
    InjectFrame, Injected, Link, MOST_WAITING, Mark, Method, Nothing, Quit, SetGate, SetLink, StepGate, Time,
};
pub use report::{Counters, Fault, FaultState, Finding, Gate, GateState, Queue, Rule, State, Stats};
pub use values::{Bytes, Mac, Number, QueueName, Text};
