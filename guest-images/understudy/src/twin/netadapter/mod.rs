//! NetAdapterCx and the translator: packets through the rings, the way down and up again, and what a driver must not do
//! (`driver/docs/netadaptercx.md`). The driver and its device are `nic` and `hardware`.

mod broken;
mod flow;
mod hardware;
mod nic;

use crate::ke::delay_us;
use crate::ke::irqlock::IrqLock;
use crate::ndis::binding;
use crate::ndis::protocol::{self, Frames};
use crate::translator::datapath;
use agent_protocol::{Ids, QueueReport};
use hardware::Side;
use std::vec::Vec;

fn send_frames(first: u64, count: u32, len: usize) {
    protocol::send(Frames { first, count, len, parts: 2, cancel_id: 0 }).expect("the protocol sends");
    delay_us(1000);
}

/// How the protocol's frames ended: success, aborted, paused, failed, outstanding.
fn account() -> [usize; 5] {
    let report = binding::report();
    [report.success, report.aborted, report.paused, report.failed, report.outstanding]
        .map(|ids| ids.iter().count())
}

fn report(queue: usize) -> QueueReport {
    datapath::report().swap_remove(queue)
}

fn count(ids: &Ids) -> usize {
    ids.iter().count()
}

fn calls(side: &IrqLock<Side>) -> Vec<&'static str> {
    let mut calls = side.with(|side| core::mem::take(&mut side.calls));
    calls.dedup();
    calls
}
