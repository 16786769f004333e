//! The overlying driver: it sends numbered frames with cancellation IDs of its own, cancels by ID, receives and returns.
//!
//! It is impolite on purpose: told of a pause it goes on sending, so that everybody below shows what becomes of lists
//! that come at the wrong time. Only when it closes its binding does it keep still.

use super::binding::{BACK, Binding, PROTOCOL, give, is_bound, outstanding};
use super::books;
use super::memory::{self, Extent};
use super::violation::stop;
use super::{flow, miniport, requests};
use crate::ke::Irql;
use crate::mm::buffers::SIZE;
use crate::verifier::trace;
use alloc::{format, string::String, vec::Vec};
use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use ndis_sys::NDIS_DEFAULT_PORT_NUMBER;
use understudy_rules::frame;
use understudy_rules::ndis::ledger::{List, Party};

/// The binding's handle, SourceHandle of what it sends: no address.
const BINDING: u64 = 0x5d0b_4e42_0000_0010;
/// Longest chain in one send.
const LONGEST_CHAIN: u64 = 16;
/// Data starts up to so many bytes into the first buffer, all the same in the others.
const MOST_OFFSET: u64 = 64;

/// Frames to be sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frames {
    /// Number of the first.
    pub first: u64,
    /// How many.
    pub count: u32,
    /// Bytes of each.
    pub len: usize,
    /// MDLs of each.
    pub parts: usize,
    /// Cancellation ID of each; 0 is NULL.
    pub cancel_id: u64,
}

/// Sends in flight: PnP waits for them before the binding is closed.
static SENDING: AtomicU32 = AtomicU32::new(0);

/// Opens the binding once the adapter has answered what a protocol asks. PASSIVE_LEVEL.
pub(crate) fn bind() {
    if PROTOCOL.with(|protocol| protocol.binding != Binding::Closed) {
        return;
    }
    let (opened, refusal) = match requests::ask_as_protocol() {
        Ok(filter) => (Some(filter), String::new()),
        Err(why) => {
            trace::note("device", &why);
            crate::log!("the protocol does not bind: {why}");
            (None, why)
        }
    };
    let old = PROTOCOL.with(|protocol| {
        if let Some(filter) = opened {
            protocol.binding = Binding::Open;
            protocol.filter = filter;
        }
        core::mem::replace(&mut protocol.refusal, refusal)
    });
    drop(old);
}

/// Why sends are refused.
fn not_bound() -> String {
    let mut why = String::from("the protocol is not bound to the adapter");
    let refusal = PROTOCOL.with(|protocol| core::mem::take(&mut protocol.refusal));
    if !refusal.is_empty() {
        why.push_str(": ");
        why.push_str(&refusal);
    }
    PROTOCOL.with(|protocol| protocol.refusal = refusal);
    why
}

/// No more sends from now on; those on their way have gone down when this returns. PASSIVE_LEVEL.
pub(crate) fn close() {
    PROTOCOL.with(|protocol| {
        if protocol.binding == Binding::Open {
            protocol.binding = Binding::Closing;
        }
    });
    while SENDING.load(Relaxed) != 0 {
        BACK.wait_timeout(1_000);
    }
}

/// Closes the binding once everything is back: for ever, if somebody below keeps it. PASSIVE_LEVEL.
pub(crate) fn unbind_when_idle() {
    close();
    while outstanding() != 0 {
        BACK.wait_timeout(100_000);
    }
    unbind();
}

/// Closes the binding. The stack below is paused, or nothing is out.
pub(crate) fn unbind() {
    let out = outstanding();
    if out != 0 {
        let place = format!("{out} lists of the protocol have not come back though all below is paused");
        stop("NdisFilterTimedDataSend", place);
    }
    let damaged = PROTOCOL.with(|protocol| {
        protocol.binding = Binding::Closed;
        protocol.pool.check_free().err()
    });
    requests::forget_filter();
    if let Some(place) = damaged {
        stop("TxBufferWrittenAfterReturn", place);
    }
}

/// Sends frames in chains of differing length. Up to a full ring and beyond: nothing waits here. PASSIVE_LEVEL.
///
/// # Errors
/// The binding is closed, or there is no memory; what was sent before stays sent.
pub(crate) fn send(frames: Frames) -> Result<(), String> {
    let seed = crate::settings::seed();
    let (mut next, end) = (frames.first, frames.first + u64::from(frames.count));
    while next < end {
        let length = 1 + (seed.rotate_left(next as u32 % 61) ^ next) % LONGEST_CHAIN;
        let until = end.min(next + length);
        SENDING.fetch_add(1, Relaxed);
        let sent = send_chain(next..until, frames, seed);
        SENDING.fetch_sub(1, Relaxed);
        BACK.set();
        sent?;
        next = until;
    }
    Ok(())
}

fn send_chain(numbers: core::ops::Range<u64>, frames: Frames, seed: u64) -> Result<(), String> {
    if !is_bound() {
        return Err(not_bound());
    }
    // half of all chains go down at DISPATCH_LEVEL, as from a timer or another driver's completion
    let raise = seed.rotate_right(numbers.start as u32 % 64) & 1 != 0;
    let mut lists = Vec::new();
    for number in numbers {
        let list = make(number, frames, seed)?;
        PROTOCOL.with(|protocol| protocol.account.sent(number));
        lists.push(list);
    }
    let old = raise.then(|| crate::ke::raise(Irql::DISPATCH));
    flow::send((Party::Protocol, BINDING), &lists, NDIS_DEFAULT_PORT_NUMBER, flow::dispatch_flag());
    if let Some(old) = old {
        crate::ke::lower(old);
    }
    Ok(())
}

/// Makes the list of one frame: each part in a buffer of its own.
fn make(number: u64, frames: Frames, seed: u64) -> Result<List, String> {
    let mac = miniport::get().mac();
    let bytes = frame::build(number, frames.len, mac);
    let lengths = frame::cut(bytes.len(), frames.parts, seed ^ number);
    let (mut slots, mut extents, mut from) = (Vec::new(), Vec::new(), 0);
    let mut lead = 0;
    for (step, &len) in lengths.iter().enumerate() {
        let offset = ((seed.rotate_left(step as u32) ^ number) % MOST_OFFSET) as usize;
        let taken = PROTOCOL.with(|protocol| {
            if protocol.pool.free() == 0 {
                protocol.pool.grow(SIZE / 64)?;
            }
            let slot = protocol.pool.take().map_err(Fault::Written)?.ok_or(Fault::NoMemory)?;
            protocol.pool.bytes_mut(slot)[offset..][..len].copy_from_slice(&bytes[from..from + len]);
            Ok::<_, Fault>((slot, protocol.pool.place(slot).0))
        });
        let (slot, address) = match taken {
            Ok(taken) => taken,
            Err(Fault::Written(place)) => stop("TxBufferWrittenAfterReturn", place),
            Err(Fault::NoMemory) => {
                give(slots);
                return Err("no memory for frames".into());
            }
        };
        slots.push(slot);
        // the first buffer has room in front of the data, the others start with it
        let room = if step == 0 { offset } else { 0 };
        if step == 0 {
            lead = room as u32;
        }
        extents.push(Extent { address: address + offset - room, len: len + room });
        from += len;
    }
    let Some(list) = memory::make(Party::Protocol, BINDING, &extents, lead) else {
        give(slots);
        return Err("no memory for lists".into());
    };
    books::live(list).set_cancel_id(frames.cancel_id);
    PROTOCOL.with(|protocol| protocol.slots.insert(list, slots));
    Ok(list)
}

enum Fault {
    Written(String),
    NoMemory,
}

impl From<String> for Fault {
    fn from(_: String) -> Self {
        Self::NoMemory
    }
}

/// Cancels sends by ID. Up to DISPATCH_LEVEL.
///
/// # Errors
/// The binding is closed.
pub(crate) fn cancel(id: u64) -> Result<(), String> {
    if !is_bound() {
        return Err(not_bound());
    }
    SENDING.fetch_add(1, Relaxed);
    flow::cancel(Party::Protocol, id);
    SENDING.fetch_sub(1, Relaxed);
    BACK.set();
    Ok(())
}
