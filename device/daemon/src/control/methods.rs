//! The methods of the control socket: from checked parameters to calls on the NIC.

use std::sync::Arc;

use cancelnic_model::Gate;
use cancelnic_registers::{Direction, QueueId};
use serde_json::{Value, json};

use super::params::Params;
use super::rpc::RpcError;
use super::server::Methods;
use crate::frames;
use crate::nic::{self, Nic, PENDING_LIMIT, gate_name};
use crate::stop::Stop;

/// Frames that one call may inject, and that may wait at the device.
const INJECT_LIMIT: u64 = PENDING_LIMIT as u64;
/// Longest step of the manual clock: an hour.
const ADVANCE_LIMIT: u64 = 3_600_000_000;
/// Longest text of a mark, in bytes.
const MARK_LIMIT: usize = 1000;

/// What a client of the control socket can do.
pub struct Control {
    /// The NIC that it does it to.
    pub nic: Arc<Nic>,
    /// Where `quit` goes.
    pub stop: Arc<Stop>,
}

impl Methods for Control {
    fn call(&self, method: &str, params: Option<Value>) -> Result<Value, RpcError> {
        let mut params = Params::new(params)?;
        let nic = &self.nic;
        match method {
            "stats" => {
                params.end()?;
                Ok(nic.stats())
            }
            "queue.get" => {
                let queue = queue(&mut params)?;
                params.end()?;
                Ok(nic.queue(queue))
            }
            "gate.set" => {
                let (queue, gate) = queue_and_gate(&mut params)?;
                let open = params.boolean("open")?;
                params.end()?;
                nic.set_gate(queue, gate, open);
                Ok(nic.queue(queue))
            }
            "gate.step" => {
                let (queue, gate) = queue_and_gate(&mut params)?;
                let count = params.number("count", 1, u32::MAX.into())?;
                params.end()?;
                nic.step_gate(queue, gate, count);
                Ok(nic.queue(queue))
            }
            "rx.inject" => {
                let (queue, frames) = injected(&mut params, nic.mac(), nic.mtu())?;
                params.end()?;
                let count = frames.len();
                nic.inject(queue, frames).map_err(|refused| RpcError::state(refused.to_string()))?;
                Ok(json!({ "injected": count }))
            }
            "clock.advance" => {
                let us = params.number("us", 0, ADVANCE_LIMIT)?;
                params.end()?;
                let now = nic
                    .advance(us)
                    .ok_or_else(|| RpcError::state("the clock is real; start with --clock manual"))?;
                Ok(json!({ "us": now }))
            }
            "clock.get" => {
                params.end()?;
                Ok(json!({ "us": nic.now_us(), "manual": nic.clock_is_manual() }))
            }
            "trace.mark" => {
                let text = params.string("text")?;
                params.end()?;
                if text.len() > MARK_LIMIT {
                    return Err(RpcError::params(format!("`text` must be at most {MARK_LIMIT} bytes long")));
                }
                tracing::info!(mark = %text.escape_debug(), us = nic.now_us(), "mark");
                nic.mark(&text);
                Ok(json!({ "us": nic.now_us() }))
            }
            "quit" => {
                params.end()?;
                Ok(json!({}))
            }
            other => Err(RpcError::method(other)),
        }
    }

    fn answered(&self, method: &str) {
        if method == "quit" {
            self.stop.ask("quit over the control socket");
        }
    }
}

fn queue(params: &mut Params) -> Result<QueueId, RpcError> {
    let name = params.string("queue")?;
    nic::offered()
        .find(|queue| queue.name() == name)
        .ok_or_else(|| RpcError::params(format!("`queue` must be rx0 or tx0, not `{}`", name.escape_debug())))
}

fn queue_and_gate(params: &mut Params) -> Result<(QueueId, Gate), RpcError> {
    let queue = queue(params)?;
    let name = params.string("gate")?;
    let gates = Gate::of(queue.direction());
    let gate = gates.iter().find(|gate| gate_name(**gate) == name).ok_or_else(|| {
        let names: Vec<&str> = gates.iter().map(|gate| gate_name(*gate)).collect();
        RpcError::params(format!("`gate` of {} must be one of {}", queue.name(), names.join(", ")))
    })?;
    Ok((queue, *gate))
}

/// The destination of injected frames.
fn address(text: &str) -> Result<[u8; 6], RpcError> {
    frames::from_hex(text)
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| RpcError::params("`to` must be an Ethernet address: six bytes in hexadecimal"))
}

/// The frames of `rx.inject`: numbered ones, or one given byte by byte.
fn injected(params: &mut Params, mac: [u8; 6], mtu: u16) -> Result<(QueueId, Vec<Vec<u8>>), RpcError> {
    let queue = queue(params)?;
    if queue.direction() != Direction::Rx {
        return Err(RpcError::params("`queue` must be a receive queue"));
    }
    let longest = frames::longest(mtu);
    if params.has("frame") {
        let frame = frames::from_hex(&params.string("frame")?)
            .filter(|frame| (frames::SHORTEST..=longest).contains(&frame.len()))
            .ok_or_else(|| {
                let shortest = frames::SHORTEST;
                RpcError::params(format!(
                    "`frame` must be {shortest} to {longest} bytes (MTU + 18) in hexadecimal"
                ))
            })?;
        return Ok((queue, vec![frame]));
    }
    let first = params.number("first", 0, u64::MAX)?;
    let count = params.number("count", 1, INJECT_LIMIT)?;
    let len = params.number("len", frames::SHORTEST_NUMBERED as u64, longest as u64)?;
    if first.checked_add(count).is_none() {
        return Err(RpcError::params("`first` and `count` run past the largest number"));
    }
    let to = if params.has("to") { address(&params.string("to")?)? } else { frames::EVERYONE };
    let frames = (first..first + count).map(|number| frames::numbered(number, len as usize, mac, to));
    Ok((queue, frames.collect()))
}
