//! How lists flow: sends and receives to the next module with a handler, completions and returns the way they came,
//! cancels by ID from module to module.
//!
//! Rules: NF19 to NF21, NF28 to NF30 (`driver/docs/ndis-filter.md`).

use super::books;
use super::module::Module;
use super::violation::stop;
use super::{binding, miniport, modules};
use crate::ke::{Dpc, Irql};
use crate::verifier::trace;
use crate::verifier::window;
use alloc::{boxed::Box, format, sync::Arc, vec::Vec};
use core::ffi::c_void;
use ndis_sys::NDIS_DEFAULT_PORT_NUMBER;
use spin::Once;
use understudy_rules::ndis::ledger::{List, PAUSED, Party, Way};

/// The DISPATCH_LEVEL flag, which has the same value in every direction.
const DISPATCH_LEVEL: u32 = 1;
static RETURNER: Once<Dpc> = Once::new();

/// The flag that is true now.
pub(crate) fn dispatch_flag() -> u32 {
    if crate::ke::irql() == Irql::DISPATCH { DISPATCH_LEVEL } else { 0 }
}

/// Lists go down from `from`, which gives its handle. Up to DISPATCH_LEVEL.
pub(crate) fn send(from: (Party, u64), lists: &[List], port: u32, flags: u32) {
    let on_the_way = modules::below(from.0, |handlers| handlers.SendNetBufferListsHandler.is_some());
    let Some(module) = on_the_way else {
        books::pass(lists, Way::Send, from, Party::Miniport);
        let refused = miniport::get().send(lists);
        if !refused.is_empty() {
            refused.iter().for_each(|&list| books::live(list).set_status(PAUSED));
            complete(Party::Miniport, &refused);
        }
        return;
    };
    books::pass(lists, Way::Send, from, module.party());
    if let Some(handler) = module.handlers().SendNetBufferListsHandler {
        let first = books::linked(lists);
        module.call("FilterSendNetBufferLists", |context| {
            // SAFETY: the driver's handler with its module's context and a chain that is now its own.
            unsafe { handler(context, first, port, flags) }
        });
    }
}

/// Lists that `from` has done with go back up, each to who had passed it down. Up to DISPATCH_LEVEL.
pub(crate) fn complete(from: Party, lists: &[List]) {
    for (to, group) in grouped(lists, Way::Send, from) {
        match to {
            Party::Protocol => binding::sent(&group),
            Party::Module(number) => complete_to(number, &group),
            _ => stop("ListNotHeld", format!("{} sends come back to {to:?}", group.len())),
        }
    }
}

fn complete_to(number: u32, lists: &[List]) {
    let module = reserved(number);
    // whoever has the one handler has the other, and they change only while no list is out
    if let Some(handler) = module.handlers().SendNetBufferListsCompleteHandler {
        window::NDIS_COMPLETE_BEFORE_FILTER.pass();
        let (first, flags) = (books::linked(lists), dispatch_flag());
        module.call("FilterSendNetBufferListsComplete", |context| {
            // SAFETY: the driver's handler with its module's context and a chain that has come back to it.
            unsafe { handler(context, first, flags) }
        });
    }
}

/// A module that lists come back to: it cannot be gone.
fn reserved(number: u32) -> Arc<Module> {
    modules::reserve(number).unwrap_or_else(|| {
        stop("ListNotHeld", format!("lists come back to module {number}, which has been detached"))
    })
}

/// Lists in runs that go to the same party.
fn grouped(lists: &[List], way: Way, from: Party) -> Vec<(Party, Vec<List>)> {
    let mut groups: Vec<(Party, Vec<List>)> = Vec::new();
    for (list, back) in books::back(lists, way, from) {
        match groups.last_mut() {
            Some((to, group)) if *to == back.to => group.push(list),
            _ => groups.push((back.to, Vec::from([list]))),
        }
    }
    groups
}

/// A filter module completes lists: what it may say of those that it did not pass down.
pub(crate) fn complete_by(module: &Module, lists: &[List]) {
    for &list in lists {
        let fresh = books::with(|ledger| ledger.is_undecided(list));
        if !fresh || books::live(list).status() != PAUSED {
            continue;
        }
        let began = module.began();
        module.require(|machine| machine.may_refuse(began));
        miniport::get().refused(&books::numbers(list));
    }
    complete(module.party(), lists);
}

/// `from` cancels sends by ID: the next lower module that has a handler is told. Up to DISPATCH_LEVEL.
pub(crate) fn cancel(from: Party, id: u64) {
    books::with(|ledger| ledger.cancel(id));
    let below = modules::below(from, |handlers| handlers.CancelSendNetBufferListsHandler.is_some());
    let Some(module) = below else {
        // NetAdapterCx registers a handler that does nothing
        trace::note("device", &format!("cancel of sends with ID {id:#x} ends here"));
        return;
    };
    let Some(handler) = module.handlers().CancelSendNetBufferListsHandler else { return module.release() };
    window::NDIS_CANCEL_BEFORE_FILTER.pass();
    let passed = module.call_cancel(id, |context| {
        // SAFETY: the driver's handler with its module's context; an ID is a number that nobody follows.
        unsafe { handler(context, id as *mut c_void) }
    });
    match passed {
        1 => {}
        0 => stop("CancelNotPassedOn", format!("ID {id:#x} went no further than module {}", module.number)),
        _ => stop("CancelPassedOnTwice", format!("ID {id:#x} was passed on {passed} times")),
    }
    // whoever is inside the module may just be carrying such a list out of it
    if !module.busy_elsewhere() {
        let left = books::with(|ledger| ledger.holds_with_id(module.party(), id));
        if let Some(list) = left.first() {
            let place =
                format!("{} lists with ID {id:#x} are held after its cancel, first {list:#x}", left.len());
            stop("CancelLeftMatchingList", place);
        }
    }
}

/// Lists go up from `from`, which gives its handle. Up to DISPATCH_LEVEL.
pub(crate) fn indicate(from: (Party, u64), lists: &[List], port: u32, flags: u32) {
    let on_the_way = modules::above(from.0, |handlers| handlers.ReceiveNetBufferListsHandler.is_some());
    let Some(module) = on_the_way else {
        books::pass(lists, Way::Receive, from, Party::Protocol);
        let (now, waiting) = binding::received(lists, flags);
        if waiting {
            RETURNER.call_once(|| Dpc::new(Box::new(return_later))).queue();
        }
        if !now.is_empty() {
            give_back(Party::Protocol, &now);
        }
        return;
    };
    books::pass(lists, Way::Receive, from, module.party());
    if let Some(handler) = module.handlers().ReceiveNetBufferListsHandler {
        let (first, count) = (books::linked(lists), lists.len() as u32);
        module.call("FilterReceiveNetBufferLists", |context| {
            // SAFETY: the driver's handler with its module's context and a chain that is now its own.
            unsafe { handler(context, first, port, count, flags) }
        });
    }
}

/// Some of what the protocol receives goes back from a DPC.
fn return_later() {
    let lists = binding::take_later();
    if !lists.is_empty() {
        give_back(Party::Protocol, &lists);
    }
}

/// Frames from the translator. Up to DISPATCH_LEVEL.
pub(crate) fn indicate_from_miniport(lists: &[List]) {
    let from = (Party::Miniport, miniport::get().handle());
    indicate(from, lists, NDIS_DEFAULT_PORT_NUMBER, dispatch_flag());
}

/// Received lists go back down, each to who had indicated it. Up to DISPATCH_LEVEL.
pub(crate) fn give_back(from: Party, lists: &[List]) {
    for (to, group) in grouped(lists, Way::Receive, from) {
        match to {
            Party::Miniport => miniport::get().give_back(&group),
            Party::Module(number) => {
                let module = reserved(number);
                if let Some(handler) = module.handlers().ReturnNetBufferListsHandler {
                    let (first, flags) = (books::linked(&group), dispatch_flag());
                    module.call("FilterReturnNetBufferLists", |context| {
                        // SAFETY: the driver's handler with its module's context and a chain that has come back to it.
                        unsafe { handler(context, first, flags) }
                    });
                }
            }
            _ => stop("ListNotHeld", format!("{} receives come back to {to:?}", group.len())),
        }
    }
}
