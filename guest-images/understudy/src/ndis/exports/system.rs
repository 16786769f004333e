//! Memory and events.

use crate::ke::Event;
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::ndis::modules;
use crate::ndis::violation::{require_irql, stop};
use crate::verifier::trace;
use alloc::{collections::BTreeMap, format, sync::Arc};
use core::ffi::c_void;
use ndis_sys::{NDIS_EVENT, NDIS_HANDLE};

const IRQL: &str = "Irql_Miscellaneous_Function";

/// NdisAllocateMemoryWithTagPriority: up to DISPATCH_LEVEL; nonpaged, with what was there before.
pub(super) unsafe extern "win64" fn allocate_memory(
    handle: NDIS_HANDLE,
    len: u32,
    tag: u32,
    priority: i32,
) -> *mut c_void {
    const FUNCTION: &str = "NdisAllocateMemoryWithTagPriority";
    require_irql(IRQL, FUNCTION, Irql::DISPATCH);
    let Some(owner) = modules::owner_of_handle(handle) else {
        stop("NdisAllocateMemoryWithTagPriority", format!("{handle:p} is neither driver nor module"));
    };
    if len == 0 || tag == 0 || ![0, 16, 32].contains(&priority) {
        let place = format!("{len} bytes, tag {tag:#x}, priority {priority}");
        stop("NdisAllocateMemoryWithTagPriority", place);
    }
    crate::verifier::pool::alloc(owner, tag, len as usize, false).cast()
}

/// NdisFreeMemory: up to DISPATCH_LEVEL; with flags 0 the length does not matter.
pub(super) unsafe extern "win64" fn free_memory(block: *mut c_void, _len: u32, flags: u32) {
    require_irql(IRQL, "NdisFreeMemory", Irql::DISPATCH);
    if flags != 0 {
        crate::verifier::trace::not_offered("NdisFreeMemory with flags");
    }
    if let Err(place) = crate::verifier::pool::free(block.cast(), 0) {
        stop("BadPoolFree", place);
    }
}

/// NDIS_EVENTs by address: the structure itself holds nothing that drivers may read.
static EVENTS: IrqLock<BTreeMap<usize, Arc<Event>>> = IrqLock::new(BTreeMap::new());

fn event(at: *mut NDIS_EVENT, function: &str) -> Arc<Event> {
    let found = EVENTS.with(|events| events.get(&(at as usize)).cloned());
    found.unwrap_or_else(|| stop("EventNotInitialized", format!("{function}: {at:p}")))
}

/// NdisInitializeEvent: up to DISPATCH_LEVEL; not signalled.
pub(super) unsafe extern "win64" fn initialize_event(at: *mut NDIS_EVENT) {
    require_irql(IRQL, "NdisInitializeEvent", Irql::DISPATCH);
    let fresh = Arc::new(Event::manual());
    let old = EVENTS.with(|events| events.insert(at as usize, fresh));
    drop(old);
}

/// NdisSetEvent: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn set_event(at: *mut NDIS_EVENT) {
    require_irql(IRQL, "NdisSetEvent", Irql::DISPATCH);
    event(at, "NdisSetEvent").set();
}

/// NdisWaitEvent: PASSIVE_LEVEL; 0 milliseconds wait for ever.
pub(super) unsafe extern "win64" fn wait_event(at: *mut NDIS_EVENT, ms: u32) -> u8 {
    require_irql("WaitEventAtHighIrql", "NdisWaitEvent", Irql::PASSIVE);
    let event = event(at, "NdisWaitEvent");
    if ms == 0 {
        trace::sleep(|| event.wait());
        return 1;
    }
    u8::from(trace::sleep(|| event.wait_timeout(u64::from(ms) * 1000)))
}

/// NdisResetEvent: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn reset_event(at: *mut NDIS_EVENT) {
    require_irql(IRQL, "NdisResetEvent", Irql::DISPATCH);
    event(at, "NdisResetEvent").reset();
}

/// NdisMSleep: PASSIVE_LEVEL.
pub(super) unsafe extern "win64" fn sleep(us: u32) {
    require_irql(IRQL, "NdisMSleep", Irql::PASSIVE);
    trace::sleep(|| crate::ke::delay_us(us.into()));
}

/// NdisGetVersion: any IRQL. 6.89, the newest whose filters register.
pub(super) unsafe extern "win64" fn version() -> u32 {
    0x0006_0059
}

/// NdisOpenConfigurationEx: PASSIVE_LEVEL. A filter's INF gives it no parameters: there is nothing to open.
pub(super) unsafe extern "win64" fn open_configuration(object: *mut c_void, out: *mut NDIS_HANDLE) -> i32 {
    const FUNCTION: &str = "NdisOpenConfigurationEx";
    require_irql(IRQL, FUNCTION, Irql::PASSIVE);
    // SAFETY: the driver passes NDIS_CONFIGURATION_OBJECT: header, then the handle of a driver or a module.
    let handle = unsafe { object.cast::<NDIS_HANDLE>().add(1).read() };
    if modules::owner_of_handle(handle).is_none() {
        stop("InvalidFilterHandle", format!("{FUNCTION}: {handle:p} is neither driver nor module"));
    }
    // SAFETY: the driver passes the place for its handle.
    unsafe { *out = core::ptr::null_mut() };
    ndis_sys::NDIS_STATUS_FAILURE
}

/// NdisCloseConfiguration: PASSIVE_LEVEL. None is open.
pub(super) unsafe extern "win64" fn close_configuration(handle: NDIS_HANDLE) {
    const FUNCTION: &str = "NdisCloseConfiguration";
    require_irql(IRQL, FUNCTION, Irql::PASSIVE);
    stop("InvalidFilterHandle", format!("{FUNCTION}: {handle:p} is no configuration that is open"));
}
