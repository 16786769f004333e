//! WDFTIMER: one shot or periodic, callback at DISPATCH_LEVEL.

use super::object::{self, Attributes, Typed, get_ptr, parent};
use super::serial::lock_above;
use crate::ke::Irql;
use crate::ke::Timer;
use crate::verifier::{fault, require_irql, trace, violation};
use alloc::{boxed::Box, sync::Arc};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use wdk_offline::{
    NTSTATUS, STATUS_INFO_LENGTH_MISMATCH, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER,
    STATUS_SUCCESS, WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES, WDF_TIMER_CONFIG, WDFOBJECT, WDFTIMER,
};

const STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL: NTSTATUS = 0xC020_020C_u32 as i32;

/// A timer of the driver.
pub(crate) struct TimerObject {
    timer: Timer,
    /// In microseconds; 0: one shot.
    period: u64,
    /// Armed and not yet run.
    pending: Arc<AtomicBool>,
}

impl Typed for TimerObject {
    const KIND: &'static str = "WDFTIMER";

    fn require_deletable(&self, _raw: u64, function: &str) {
        crate::verifier::require_irql(function, Irql::PASSIVE);
    }

    fn dispose(self: Arc<Self>) {
        self.timer.stop();
        self.pending.store(false, Relaxed);
    }
}

/// WdfTimerCreate: PASSIVE_LEVEL. A parent is required.
pub(crate) unsafe extern "win64" fn create(
    _globals: *mut WDF_DRIVER_GLOBALS,
    config: *mut WDF_TIMER_CONFIG,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    timer: *mut WDFTIMER,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfTimerCreate";
    require_irql(FUNCTION, Irql::PASSIVE);
    // SAFETY: the driver passes its configuration.
    let config = unsafe { &*config };
    if config.Size as usize != size_of::<WDF_TIMER_CONFIG>() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    let Some(routine) = config.EvtTimerFunc else { return STATUS_INVALID_PARAMETER };
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let Some(parent) = attributes.parent() else {
        crate::log!("{FUNCTION}: the attributes name no ParentObject");
        return STATUS_INVALID_PARAMETER;
    };
    let lock = if config.AutomaticSerialization != 0 { lock_above(parent, FUNCTION) } else { None };
    if lock.as_ref().is_some_and(|lock| lock.is_passive()) {
        return STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL;
    }
    if fault::strikes(object::owner(parent.raw(), FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let period = u64::from(config.Period) * 1000;
    let label = crate::verifier::owners::label(object::owner(parent.raw(), FUNCTION));
    let raw_handle = Arc::new(AtomicU64::new(0));
    let pending = Arc::new(AtomicBool::new(false));
    let (fired_handle, fired_pending) = (raw_handle.clone(), pending.clone());
    let fired = Timer::new(Box::new(move || {
        // a periodic one is set until it is stopped
        let set = if period == 0 { fired_pending.swap(false, Relaxed) } else { fired_pending.load(Relaxed) };
        if set {
            let handle = fired_handle.load(Relaxed) as WDFTIMER;
            // SAFETY: the driver's timer function with its own handle, at DISPATCH_LEVEL.
            let call = || trace::callback(label, "EvtTimerFunc", || unsafe { routine(handle) });
            match &lock {
                Some(lock) => lock.with(call),
                None => call(),
            }
        }
    }));
    let made = TimerObject { timer: fired, period, pending };
    let handle = object::create(FUNCTION, Arc::new(made), Some(parent), attributes);
    raw_handle.store(handle.raw(), Relaxed);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *timer = handle.raw() as WDFTIMER };
    STATUS_SUCCESS
}

/// WdfTimerStart: up to DISPATCH_LEVEL; `due` in 100 ns units, negative for relative. TRUE if it was pending.
pub(crate) unsafe extern "win64" fn start(
    _globals: *mut WDF_DRIVER_GLOBALS,
    timer: WDFTIMER,
    due: i64,
) -> u8 {
    const FUNCTION: &str = "WdfTimerStart";
    require_irql(FUNCTION, Irql::DISPATCH);
    let timer = get_ptr::<TimerObject, _>(timer, FUNCTION);
    if due > 0 {
        trace::not_offered("WdfTimerStart with an absolute time");
    }
    let was = timer.pending.swap(true, Relaxed);
    timer.timer.start_periodic(due.unsigned_abs().div_ceil(10), timer.period);
    u8::from(was)
}

/// WdfTimerStop: up to DISPATCH_LEVEL, with `wait` at PASSIVE_LEVEL. TRUE if it was pending.
pub(crate) unsafe extern "win64" fn stop(_globals: *mut WDF_DRIVER_GLOBALS, timer: WDFTIMER, wait: u8) -> u8 {
    const FUNCTION: &str = "WdfTimerStop";
    require_irql(FUNCTION, Irql::DISPATCH);
    let timer = get_ptr::<TimerObject, _>(timer, FUNCTION);
    if wait != 0 && crate::ke::irql() != Irql::PASSIVE {
        violation("WaitAtDispatch", 0, u64::from(crate::ke::irql()), "WdfTimerStop with Wait".into());
    }
    // at PASSIVE_LEVEL on one processor no callback is half done, so there is nothing to wait for
    timer.timer.stop();
    u8::from(timer.pending.swap(false, Relaxed))
}

/// WdfTimerGetParentObject: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_parent_object(
    _globals: *mut WDF_DRIVER_GLOBALS,
    timer: WDFTIMER,
) -> WDFOBJECT {
    const FUNCTION: &str = "WdfTimerGetParentObject";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<TimerObject, _>(timer, FUNCTION);
    parent(timer as u64, FUNCTION).map_or(core::ptr::null_mut(), |handle| handle.raw() as WDFOBJECT)
}
