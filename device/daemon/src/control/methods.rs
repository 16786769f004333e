//! The methods of the control socket: from calls to the NIC and back.

use std::sync::Arc;

use cancelnic_registers::{Direction, QueueId};
use control_protocol::{
    Bytes, Call, Clock, Faults, Gate, Inject, InjectFrame, Injected, Link, Method, Nothing, Queue, QueueName,
    Quit, RpcError, Time,
};
use numbered_frame::{EVERYONE, SHORTEST};
use serde_json::Value;

use super::server::Methods;
use crate::nic::{Nic, NotArmed, SHORTEST_FRAME, gate, gates, offered};
use crate::stop::Stop;

/// What a client of the control socket can do.
pub(crate) struct Control {
    /// The NIC that it does it to.
    pub(crate) nic: Arc<Nic>,
    /// Where `quit` goes.
    pub(crate) stop: Arc<Stop>,
}

impl Methods for Control {
    fn call(&self, method: &str, params: Option<Value>) -> Result<Value, RpcError> {
        let nic = &self.nic;
        match Call::read(method, params)? {
            Call::GetStats(call) => answer(&call, nic.stats()),
            Call::GetQueue(call) => answer(&call, self.queue(call.queue)?),
            Call::SetGate(call) => {
                nic.set_gate(call.queue, self.gate(call.queue, call.gate)?, call.open);
                answer(&call, self.queue(call.queue)?)
            }
            Call::StepGate(call) => {
                nic.step_gate(call.queue, self.gate(call.queue, call.gate)?, call.count.get());
                answer(&call, self.queue(call.queue)?)
            }
            Call::Inject(call) => answer(&call, self.inject(call.queue, numbered(&call, nic)?)?),
            Call::InjectFrame(call) => {
                let frame = whole(&call, nic)?;
                answer(&call, self.inject(call.queue, vec![frame])?)
            }
            Call::SetLink(call) => {
                nic.set_link(call.up).map_err(|not_told| RpcError::state(not_told.to_string()))?;
                tracing::info!(up = call.up, "link");
                answer(&call, Link { up: call.up })
            }
            Call::ArmFault(call) => {
                let queue = call.queue.map(|QueueName(queue)| self.queue(queue)).transpose()?;
                let armed = nic.arm_fault(call.fault, queue.map(|queue| queue.queue), call.count.get());
                armed.map_err(|not_armed| match not_armed {
                    NotArmed::Link(_) => RpcError::state(not_armed.to_string()),
                    NotArmed::OfAQueue(_) | NotArmed::OfTheDevice(_) => {
                        RpcError::params(not_armed.to_string())
                    }
                })?;
                answer(&call, Faults { faults: nic.all_faults() })
            }
            Call::ClearFaults(call) => {
                nic.clear_faults();
                answer(&call, Faults { faults: nic.all_faults() })
            }
            Call::AdvanceClock(call) => {
                let us = nic
                    .advance(call.us.get())
                    .ok_or_else(|| RpcError::state("the clock is real; start with --clock manual"))?;
                answer(&call, Time { us })
            }
            Call::GetClock(call) => answer(&call, Clock { us: nic.now_us(), manual: nic.clock_is_manual() }),
            Call::Mark(call) => {
                let (text, us) = (call.text.as_str(), nic.now_us());
                tracing::info!(mark = %text.escape_debug(), us, "mark");
                nic.mark(text);
                answer(&call, Time { us })
            }
            Call::Quit(call) => answer(&call, Nothing {}),
        }
    }

    fn answered(&self, method: &str) {
        if method == Quit::NAME {
            self.stop.ask("quit over the control socket");
        }
    }
}

impl Control {
    fn queue(&self, queue: QueueId) -> Result<Queue, RpcError> {
        self.nic.queue(queue).ok_or_else(|| {
            let names: Vec<&str> = offered().map(QueueId::name).collect();
            RpcError::params(format!("`queue` must be one of {}, not {queue}", names.join(", ")))
        })
    }

    /// The model's name for a gate of `queue`.
    fn gate(&self, queue: QueueId, name: Gate) -> Result<cancelnic_model::Gate, RpcError> {
        self.queue(queue)?;
        gates(queue).find(|known| gate(*known) == name).ok_or_else(|| {
            let names: Vec<_> = gates(queue).map(|known| gate(known).to_string()).collect();
            RpcError::params(format!("`gate` of {queue} must be one of {}", names.join(", ")))
        })
    }

    fn inject(&self, queue: QueueId, frames: Vec<Vec<u8>>) -> Result<Injected, RpcError> {
        self.queue(queue)?;
        if queue.direction() != Direction::Rx {
            return Err(RpcError::params("`queue` must be a receive queue"));
        }
        let injected = frames.len() as u64;
        self.nic.inject(queue, frames).map_err(|refused| RpcError::state(refused.to_string()))?;
        Ok(Injected { injected })
    }
}

/// The answer of the method that was called.
fn answer<M: Method>(_: &M, answer: M::Answer) -> Result<Value, RpcError> {
    serde_json::to_value(answer).map_err(|error| RpcError::state(format!("the answer is not JSON: {error}")))
}

/// The frames of `rx.inject`.
fn numbered(call: &Inject, nic: &Nic) -> Result<Vec<Vec<u8>>, RpcError> {
    let (first, count, len) = (call.first, call.count.get(), call.len.get() as usize);
    let longest = nic.longest_frame();
    if len > longest {
        return Err(RpcError::params(format!(
            "`len` must be a whole number from {SHORTEST} to {longest} (MTU + 18)"
        )));
    }
    let end = first.checked_add(count);
    let end = end.ok_or_else(|| RpcError::params("`first` and `count` run past the largest number"))?;
    let to = call.to.map_or(EVERYONE, |to| to.0);
    Ok((first..end).map(|number| numbered_frame::bytes(number, nic.mac(), to).take(len).collect()).collect())
}

/// The frame of `rx.inject_frame`.
fn whole(call: &InjectFrame, nic: &Nic) -> Result<Vec<u8>, RpcError> {
    let Bytes(frame) = &call.frame;
    let longest = nic.longest_frame();
    if !(SHORTEST_FRAME..=longest).contains(&frame.len()) {
        return Err(RpcError::params(format!(
            "`frame` must be {SHORTEST_FRAME} to {longest} bytes (MTU + 18)"
        )));
    }
    Ok(frame.clone())
}
