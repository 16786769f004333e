//! Filter drivers and modules: registration, states, lists, requests, events.

use crate::ke::Irql;
use crate::ndis::books;
use crate::ndis::module::{FilterDriver, Module};
use crate::ndis::violation::{checked, require_flag, require_irql, stop};
use crate::ndis::{events, flow, modules, registration, requests, stack};
use crate::verifier::fault;
use alloc::{boxed::Box, format, sync::Arc};
use core::ffi::c_void;
use core::sync::atomic::Ordering::Relaxed;
use ndis_sys::*;
use understudy_rules::ndis::ledger::Party;
use wdk_offline::DRIVER_OBJECT;

const DRIVER_IRQL: &str = "Irql_Filter_Driver_Function";
const LIST_IRQL: &str = "Irql_SendRcv_Function";
const OID_IRQL: &str = "Irql_OID_Function";

/// NdisFRegisterFilterDriver: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn register(
    driver: *mut DRIVER_OBJECT,
    context: NDIS_HANDLE,
    characteristics: *mut NDIS_FILTER_DRIVER_CHARACTERISTICS,
    handle: *mut NDIS_HANDLE,
) -> i32 {
    const FUNCTION: &str = "NdisFRegisterFilterDriver";
    require_irql(DRIVER_IRQL, FUNCTION, Irql::PASSIVE);
    let Some(service) = crate::verifier::owners::by_driver(driver) else {
        stop("InvalidDriverObject", format!("{FUNCTION}: {driver:p} is no driver object"));
    };
    // SAFETY: the driver passes its structure, at least as long as its header says; `read` looks there first.
    let made = match unsafe { registration::read(characteristics, &service) } {
        Ok(made) => made,
        Err((status, why)) => {
            crate::verifier::trace::set_reason(&format!("{FUNCTION}: {why}"));
            return status;
        }
    };
    if fault::strikes(service.owner, FUNCTION) {
        return NDIS_STATUS_RESOURCES;
    }
    let made = FilterDriver::new((driver, service.owner), context as usize, made);
    let all = &made.characteristics;
    require_both_ways(
        (all.SendNetBufferListsHandler.is_some(), all.SendNetBufferListsCompleteHandler.is_some()),
        (all.ReceiveNetBufferListsHandler.is_some(), all.ReturnNetBufferListsHandler.is_some()),
    );
    let options = all.SetOptionsHandler;
    // SAFETY: the driver passes the place for its handle, which SetOptions finds there.
    unsafe { *handle = made.handle as NDIS_HANDLE };
    modules::register(made.clone());
    let Some(options) = options else { return NDIS_STATUS_SUCCESS };
    // SAFETY: the driver's handler with its own handle and context, at PASSIVE_LEVEL.
    let status = crate::verifier::trace::callback(made.label, "SetOptions", || unsafe {
        options(made.handle as NDIS_HANDLE, made.context as NDIS_HANDLE)
    });
    if status != NDIS_STATUS_SUCCESS {
        modules::deregister(&made);
    }
    status
}

/// A driver may have a handler for lists of one way and none for their return; here lists go back the way they came.
fn require_both_ways(send: (bool, bool), receive: (bool, bool)) {
    if send.0 != send.1 || receive.0 != receive.1 {
        crate::verifier::trace::not_offered("a handler for lists of one way and none for their return");
    }
}

/// NdisFDeregisterFilterDriver: PASSIVE_LEVEL; detaches what is still attached.
pub(super) unsafe extern "win64" fn deregister(handle: NDIS_HANDLE) {
    require_irql(DRIVER_IRQL, "NdisFDeregisterFilterDriver", Irql::PASSIVE);
    let Some(driver) = modules::driver(handle) else {
        stop("InvalidFilterDriverHandle", format!("NdisFDeregisterFilterDriver: {handle:p}"));
    };
    if super::device::registered(driver.handle) {
        stop("NdisFDeregisterFilterDriver", "the driver's control device is still registered".into());
    }
    stack::deregister(&driver);
    let left = crate::ndis::memory::left(|_, owner| owner == driver.owner);
    if let Some((rule, what)) = left.into_iter().next() {
        stop(rule, format!("at NdisFDeregisterFilterDriver: {what}"));
    }
}

/// NdisFSetAttributes: PASSIVE_LEVEL, from FilterAttach only.
pub(super) unsafe extern "win64" fn set_attributes(
    handle: NDIS_HANDLE,
    context: NDIS_HANDLE,
    attributes: *mut NDIS_FILTER_ATTRIBUTES,
) -> i32 {
    const FUNCTION: &str = "NdisFSetAttributes";
    require_irql(DRIVER_IRQL, FUNCTION, Irql::PASSIVE);
    let module = modules::module(handle, FUNCTION);
    if module.state() != understudy_rules::ndis::state::State::Attaching {
        stop("FilterAttributesNotSet", format!("{FUNCTION} outside FilterAttach"));
    }
    // SAFETY: the driver passes its structure.
    let given = unsafe { *attributes };
    let header = (given.Header.Type, given.Header.Revision, usize::from(given.Header.Size));
    if header
        != (
            NDIS_OBJECT_TYPE_FILTER_ATTRIBUTES,
            NDIS_FILTER_ATTRIBUTES_REVISION_1,
            size_of::<NDIS_FILTER_ATTRIBUTES>(),
        )
        || given.Flags != 0
    {
        stop("InvalidObjectHeader", format!("{FUNCTION}: header {header:?}, flags {:#x}", given.Flags));
    }
    module.context.store(context as usize, Relaxed);
    module.attributes.store(true, Relaxed);
    NDIS_STATUS_SUCCESS
}

/// NdisSetOptionalHandlers: PASSIVE_LEVEL, for a module from FilterSetModuleOptions only.
pub(super) unsafe extern "win64" fn set_optional_handlers(
    handle: NDIS_HANDLE,
    header: *mut NDIS_OBJECT_HEADER,
) -> i32 {
    const FUNCTION: &str = "NdisSetOptionalHandlers";
    require_irql("Irql_Miscellaneous_Function", FUNCTION, Irql::PASSIVE);
    let module = modules::module(handle, FUNCTION);
    if !module.sets_options() {
        stop("HandlersSetOutsideOptions", format!("{FUNCTION} outside FilterSetModuleOptions"));
    }
    // SAFETY: the driver passes a structure that begins with a header.
    let kind = unsafe { *header };
    let known = NDIS_OBJECT_HEADER::new(
        NDIS_OBJECT_TYPE_FILTER_PARTIAL_CHARACTERISTICS,
        NDIS_FILTER_PARTIAL_CHARACTERISTICS_REVISION_1,
        size_of::<NDIS_FILTER_PARTIAL_CHARACTERISTICS>() as u16,
    );
    if (kind.Type, kind.Revision, kind.Size) != (known.Type, known.Revision, known.Size) {
        stop("InvalidObjectHeader", format!("{FUNCTION}: {kind:?}"));
    }
    // SAFETY: the header says that it is this structure, with its whole size.
    let handlers = unsafe { *header.cast::<NDIS_FILTER_PARTIAL_CHARACTERISTICS>() };
    require_both_ways(
        (handlers.SendNetBufferListsHandler.is_some(), handlers.SendNetBufferListsCompleteHandler.is_some()),
        (handlers.ReceiveNetBufferListsHandler.is_some(), handlers.ReturnNetBufferListsHandler.is_some()),
    );
    module.set_handlers(handlers);
    NDIS_STATUS_SUCCESS
}

/// NdisFRestartFilter: up to DISPATCH_LEVEL; the pause and restart come later.
pub(super) unsafe extern "win64" fn restart_filter(handle: NDIS_HANDLE) -> i32 {
    require_irql(DRIVER_IRQL, "NdisFRestartFilter", Irql::DISPATCH);
    modules::module(handle, "NdisFRestartFilter");
    crate::ke::worker::in_order(Box::new(stack::restart_on_request));
    NDIS_STATUS_SUCCESS
}

/// NdisFPauseComplete: up to DISPATCH_LEVEL, after FilterPause returned NDIS_STATUS_PENDING.
pub(super) unsafe extern "win64" fn pause_complete(handle: NDIS_HANDLE) {
    const FUNCTION: &str = "NdisFPauseComplete";
    require_irql(DRIVER_IRQL, FUNCTION, Irql::DISPATCH);
    let module = modules::module(handle, FUNCTION);
    let out = books::with(|ledger| ledger.own_out(module.party()));
    if out != 0 {
        stop("PausedWithOwnListsOut", format!("{FUNCTION} while {out} of the module's lists are out"));
    }
    module.require(understudy_rules::ndis::state::Machine::completed);
}

/// What every function for lists begins with. The flags' lowest bit says DISPATCH_LEVEL in all of them.
fn enter(function: &'static str, handle: NDIS_HANDLE, flags: u32) -> Arc<Module> {
    require_irql(LIST_IRQL, function, Irql::DISPATCH);
    require_flag(function, flags);
    let held = crate::verifier::held_locks();
    if held != 0 {
        stop("SpinLockHeldAcrossCall", format!("{function} with {held} spin locks held"));
    }
    modules::module(handle, function)
}

/// Stops unless the module may pass lists on in its state.
fn require_passing(module: &Module, rule: &'static str) {
    let began = module.began();
    module.require(|machine| machine.may_pass(rule, began));
}

/// NdisFSendNetBufferLists: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn send(
    handle: NDIS_HANDLE,
    first: *mut NET_BUFFER_LIST,
    port: u32,
    flags: u32,
) {
    const FUNCTION: &str = "NdisFSendNetBufferLists";
    let module = enter(FUNCTION, handle, flags);
    require_passing(&module, "SendOutsideRunning");
    let lists = books::chain(first);
    let driver = Party::Driver(module.driver.owner.number());
    for &list in &lists {
        let own = books::with(|ledger| {
            ledger.adopt(list, driver, module.party());
            ledger.origin(list) == Some(module.party())
        });
        if own {
            super::lists::require_own_id(list);
            if module.handlers().SendNetBufferListsCompleteHandler.is_none() {
                stop("SendCompleteHandlerMissing", format!("{FUNCTION} of own lists"));
            }
        }
    }
    flow::send((module.party(), module.handle()), &lists, port, flags);
}

/// NdisFSendNetBufferListsComplete: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn send_complete(
    handle: NDIS_HANDLE,
    first: *mut NET_BUFFER_LIST,
    flags: u32,
) {
    let module = enter("NdisFSendNetBufferListsComplete", handle, flags);
    flow::complete_by(&module, &books::chain(first));
}

/// NdisFCancelSendNetBufferLists: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn cancel_send(handle: NDIS_HANDLE, id: *mut c_void) {
    const FUNCTION: &str = "NdisFCancelSendNetBufferLists";
    let module = enter(FUNCTION, handle, 0);
    let id = id as u64;
    match module.cancel_passed() {
        Some(asked) if asked != id => {
            stop("CancelIdNotSame", format!("ID {asked:#x} came, {id:#x} was passed on"));
        }
        Some(_) => {}
        // the module cancels sends of its own
        None if id == 0 => stop("NullCancelIdStarted", format!("{FUNCTION} with a NULL ID")),
        None => super::lists::require_generated(id, FUNCTION),
    }
    flow::cancel(module.party(), id);
    crate::verifier::window::NDIS_CANCEL_PASSED_ON.pass();
}

/// NdisFIndicateReceiveNetBufferLists: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn indicate(
    handle: NDIS_HANDLE,
    first: *mut NET_BUFFER_LIST,
    port: u32,
    count: u32,
    flags: u32,
) {
    const FUNCTION: &str = "NdisFIndicateReceiveNetBufferLists";
    let module = enter(FUNCTION, handle, flags);
    let lists = books::chain(first);
    if lists.len() != count as usize {
        stop("ListCountWrong", format!("{FUNCTION}: {count} lists are said, {} are there", lists.len()));
    }
    let driver = Party::Driver(module.driver.owner.number());
    let own = lists.iter().any(|&list| {
        books::with(|ledger| {
            ledger.adopt(list, driver, module.party());
            ledger.origin(list) == Some(module.party())
        })
    });
    // documents differ on frames of others that reach a paused module: they may pass
    if own {
        require_passing(&module, "IndicationOutsideRunning");
    }
    flow::indicate((module.party(), module.handle()), &lists, port, flags);
}

/// NdisFReturnNetBufferLists: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn give_back(handle: NDIS_HANDLE, first: *mut NET_BUFFER_LIST, flags: u32) {
    let module = enter("NdisFReturnNetBufferLists", handle, flags);
    flow::give_back(module.party(), &books::chain(first));
}

/// NdisFOidRequest: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn oid_request(handle: NDIS_HANDLE, request: *mut NDIS_OID_REQUEST) -> i32 {
    const FUNCTION: &str = "NdisFOidRequest";
    require_irql(OID_IRQL, FUNCTION, Irql::DISPATCH);
    let module = modules::module(handle, FUNCTION);
    // SAFETY: the driver passes a request that begins with a header.
    let header = unsafe { (*request).Header };
    if header.Type != NDIS_OBJECT_TYPE_OID_REQUEST || header.Size < NDIS_SIZEOF_OID_REQUEST_REVISION_1 {
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    requests::down(module.party(), request)
}

/// NdisFOidRequestComplete: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn oid_request_complete(
    handle: NDIS_HANDLE,
    request: *mut NDIS_OID_REQUEST,
    status: i32,
) {
    const FUNCTION: &str = "NdisFOidRequestComplete";
    require_irql(OID_IRQL, FUNCTION, Irql::DISPATCH);
    requests::complete(modules::module(handle, FUNCTION).party(), request, status);
}

/// NdisFCancelOidRequest: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn cancel_oid_request(handle: NDIS_HANDLE, id: *mut c_void) {
    const FUNCTION: &str = "NdisFCancelOidRequest";
    require_irql(OID_IRQL, FUNCTION, Irql::DISPATCH);
    requests::cancel(modules::module(handle, FUNCTION).party(), id);
}

/// NdisAllocateCloneOidRequest: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn clone_oid_request(
    handle: NDIS_HANDLE,
    request: *mut NDIS_OID_REQUEST,
    tag: u32,
    clone: *mut *mut NDIS_OID_REQUEST,
) -> i32 {
    const FUNCTION: &str = "NdisAllocateCloneOidRequest";
    require_irql(OID_IRQL, FUNCTION, Irql::DISPATCH);
    if Module::number_of(handle).is_none() {
        return NDIS_STATUS_INVALID_PARAMETER;
    }
    let module = modules::module(handle, FUNCTION);
    let made = if fault::strikes(module.driver.owner, FUNCTION) {
        requests::no_clone();
        None
    } else {
        requests::make_clone(module.party(), request, tag)
    };
    let Some(made) = made else { return NDIS_STATUS_RESOURCES };
    // SAFETY: the driver passes the place for its clone.
    unsafe { *clone = made };
    NDIS_STATUS_SUCCESS
}

/// NdisFreeCloneOidRequest: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn free_clone_oid_request(
    handle: NDIS_HANDLE,
    clone: *mut NDIS_OID_REQUEST,
) {
    const FUNCTION: &str = "NdisFreeCloneOidRequest";
    require_irql(OID_IRQL, FUNCTION, Irql::DISPATCH);
    checked(requests::free_clone(modules::module(handle, FUNCTION).party(), clone));
}

/// NdisFIndicateStatus: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn indicate_status(
    handle: NDIS_HANDLE,
    indication: *mut NDIS_STATUS_INDICATION,
) {
    const FUNCTION: &str = "NdisFIndicateStatus";
    require_irql("Irql_StatusIndication_Function", FUNCTION, Irql::DISPATCH);
    let module = modules::module(handle, FUNCTION);
    // SAFETY: the driver passes an indication.
    let given = unsafe { *indication };
    if given.Header.Type != NDIS_OBJECT_TYPE_STATUS_INDICATION {
        stop("InvalidObjectHeader", format!("{FUNCTION}: type {:#x}", given.Header.Type));
    }
    events::status(module.party(), indication);
}

/// NdisFDevicePnPEventNotify: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn device_event(handle: NDIS_HANDLE, event: *mut NET_DEVICE_PNP_EVENT) {
    const FUNCTION: &str = "NdisFDevicePnPEventNotify";
    require_irql(DRIVER_IRQL, FUNCTION, Irql::PASSIVE);
    let module = modules::module(handle, FUNCTION);
    module.event_passed(event as usize);
    events::device(module.party(), event);
}

/// NdisFNetPnPEvent: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn net_event(
    handle: NDIS_HANDLE,
    event: *mut NET_PNP_EVENT_NOTIFICATION,
) -> i32 {
    const FUNCTION: &str = "NdisFNetPnPEvent";
    require_irql(DRIVER_IRQL, FUNCTION, Irql::PASSIVE);
    let module = modules::module(handle, FUNCTION);
    module.event_passed(event as usize);
    events::net(module.party(), event)
}
