//! The protocol's end of the stack: its binding, the buffers of its frames, and its account of what went out and came.

use super::books;
use super::memory;
use super::miniport;
use super::violation::{checked, stop};
use crate::ke::Event;
use crate::ke::irqlock::IrqLock;
use crate::mm::buffers::{Pool, Slot};
use agent_protocol::ListReport;
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use understudy_rules::frame::{self, Reading};
use understudy_rules::ndis::account::Account;
use understudy_rules::ndis::ledger::{List, Party, Way};
use understudy_rules::receive_filter::Filter;

/// NDIS_RECEIVE_FLAGS_RESOURCES.
const RESOURCES: u32 = 2;

/// The protocol and the adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    /// None: sends are refused, what comes is returned.
    Closed,
    /// Lists flow.
    Open,
    /// No more sends; what is out comes back.
    Closing,
}

/// All that the protocol keeps.
pub(super) struct Protocol {
    /// Whether lists flow.
    pub(super) binding: Binding,
    /// What it sent and received, and what became of it.
    pub(super) account: Account,
    /// Buffers of its frames.
    pub(super) pool: Pool,
    /// Buffers under each list that is out.
    pub(super) slots: BTreeMap<List, Vec<Slot>>,
    /// Received lists that go back from the DPC.
    later: Vec<List>,
    /// What is received through the binding.
    pub(super) filter: Filter,
    /// Why there is no binding, where the adapter is to blame.
    pub(super) refusal: String,
}

/// The one protocol.
pub(super) static PROTOCOL: IrqLock<Protocol> = IrqLock::new(Protocol {
    binding: Binding::Closed,
    account: Account::new(),
    pool: Pool::empty(),
    slots: BTreeMap::new(),
    later: Vec::new(),
    filter: Filter { flags: 0, multicast: Vec::new() },
    refusal: String::new(),
});
/// Set when a list came back.
pub(super) static BACK: Event = Event::auto();

/// Whether the binding is open.
pub(crate) fn is_bound() -> bool {
    PROTOCOL.with(|protocol| protocol.binding == Binding::Open)
}

/// Sends that have not come back.
pub(super) fn outstanding() -> usize {
    PROTOCOL.with(|protocol| protocol.account.outstanding())
}

/// Forgets the account of an earlier driver.
pub(crate) fn forget() {
    let old = PROTOCOL.with(|protocol| core::mem::take(&mut protocol.account));
    drop(old);
}

/// The account.
pub(crate) fn report() -> ListReport {
    PROTOCOL.with(|protocol| protocol.account.report())
}

/// Looks at every buffer that is free: nobody may have written it since its list came back.
///
/// # Errors
/// Names the first that was written.
pub(crate) fn check_buffers() -> Result<(), String> {
    PROTOCOL.with(|protocol| protocol.pool.check_free())
}

/// Buffers that no list needs any more.
pub(super) fn give(slots: Vec<Slot>) {
    PROTOCOL.with(|protocol| slots.into_iter().for_each(|slot| protocol.pool.give(slot)));
}

/// Sends that have come back. Up to DISPATCH_LEVEL.
pub(super) fn sent(lists: &[List]) {
    for &list in lists {
        let status = books::live(list).status();
        for number in books::numbers(list).into_iter().flatten() {
            checked(PROTOCOL.with(|protocol| protocol.account.completed(number, status)));
        }
        books::live(list).set_cancel_id(0);
        // before the list is freed: its address may be another's at once
        let slots = PROTOCOL.with(|protocol| protocol.slots.remove(&list));
        checked(memory::free(Party::Protocol, list));
        give(slots.unwrap_or_default());
    }
    BACK.set();
}

/// Frames from below. Returns the lists that go back at once, and whether others wait ([`take_later`]). Up to
/// DISPATCH_LEVEL.
pub(super) fn received(lists: &[List], flags: u32) -> (Vec<List>, bool) {
    let bound = is_bound();
    let own = miniport::get().mac();
    let (mut now, mut later) = (Vec::new(), Vec::new());
    for &list in lists {
        for buffer in checked(books::live(list).buffers()) {
            let bytes = checked(buffer.copy());
            match frame::read(&bytes) {
                Reading::Numbered(number) if bound => PROTOCOL.with(|protocol| {
                    let passes = bytes.first_chunk().is_some_and(|to| protocol.filter.lets_through(*to, own));
                    if passes { protocol.account.received(number) } else { protocol.account.filtered(number) }
                }),
                Reading::Damaged(place) => {
                    stop("RxFrameDamaged", format!("as the protocol reads it: {place}"))
                }
                _ => {}
            }
        }
        let keep = flags & RESOURCES == 0 && (crate::settings::seed() ^ (list as u64 >> 9)) & 3 == 0;
        if keep { later.push(list) } else { now.push(list) }
    }
    let waiting = !later.is_empty();
    PROTOCOL.with(|protocol| protocol.later.extend(later));
    if flags & RESOURCES != 0 {
        // they are the indicator's again when the call returns
        books::back(&now, Way::Receive, Party::Protocol);
        now.clear();
    }
    (now, waiting)
}

/// Received lists that have waited. Up to DISPATCH_LEVEL.
pub(super) fn take_later() -> Vec<List> {
    PROTOCOL.with(|protocol| core::mem::take(&mut protocol.later))
}
