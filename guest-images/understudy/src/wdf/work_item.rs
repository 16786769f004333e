//! WDFWORKITEM (src/framework/shared/core/fxworkitem.cpp): a callback at PASSIVE_LEVEL on a thread of the system's.

use super::lock::CallbackLock;
use super::object::{self, Attributes, Typed, get_ptr, parent};
use super::serial::lock_above;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Irql, current_thread, worker};
use crate::verifier::{fault, require_irql, trace};
use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wdk_offline::{
    NTSTATUS, PFN_WDF_WORKITEM, STATUS_INFO_LENGTH_MISMATCH, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_PARAMETER, STATUS_SUCCESS, WDF_DRIVER_GLOBALS, WDF_OBJECT_ATTRIBUTES, WDF_WORKITEM_CONFIG,
    WDFOBJECT, WDFWORKITEM,
};

const STATUS_WDF_PARENT_NOT_SPECIFIED: NTSTATUS = 0xC020_0212_u32 as i32;
const STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL: NTSTATUS = 0xC020_020C_u32 as i32;

/// What a work item does now.
#[derive(Default)]
struct Inner {
    queued: bool,
    /// The threads that are in its callback.
    running: Vec<u64>,
}

/// A work item of the driver.
pub(crate) struct WorkItem {
    handle: AtomicU64,
    label: &'static str,
    routine: PFN_WDF_WORKITEM,
    lock: Option<Arc<CallbackLock>>,
    inner: IrqLock<Inner>,
    /// Set whenever its callback has returned.
    returned: Event,
}

impl Typed for WorkItem {
    const KIND: &'static str = "WDFWORKITEM";

    fn require_deletable(&self, _raw: u64, function: &str) {
        require_irql(function, Irql::PASSIVE);
    }

    fn dispose(self: Arc<Self>) {
        self.flush();
    }
}

impl WorkItem {
    fn run(&self) {
        let thread = current_thread();
        self.inner.with(|inner| {
            inner.queued = false;
            inner.running.push(thread);
        });
        let handle = self.handle.load(Relaxed);
        if let Some(routine) = self.routine {
            // SAFETY: the driver's callback with its own handle, at PASSIVE_LEVEL.
            let call =
                || trace::callback(self.label, "EvtWorkItem", || unsafe { routine(handle as WDFWORKITEM) });
            match &self.lock {
                Some(lock) => lock.with(call),
                None => call(),
            }
        }
        self.inner.with(|inner| {
            let at = inner.running.iter().position(|running| *running == thread);
            at.map(|at| inner.running.swap_remove(at))
        });
        self.returned.set();
        object::release(handle);
    }

    /// Waits until it is not queued, and its callback runs on no other thread.
    fn flush(&self) {
        let thread = current_thread();
        loop {
            self.returned.reset();
            let busy = self
                .inner
                .with(|inner| inner.queued || inner.running.iter().any(|running| *running != thread));
            if !busy {
                return;
            }
            self.returned.wait();
        }
    }
}

/// WdfWorkItemCreate: PASSIVE_LEVEL. A parent is required.
pub(crate) unsafe extern "win64" fn create(
    _globals: *mut WDF_DRIVER_GLOBALS,
    config: *mut WDF_WORKITEM_CONFIG,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    item: *mut WDFWORKITEM,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfWorkItemCreate";
    require_irql(FUNCTION, Irql::PASSIVE);
    // SAFETY: the driver passes its configuration.
    let config = unsafe { *config };
    if config.Size as usize != size_of::<WDF_WORKITEM_CONFIG>() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    if config.EvtWorkItemFunc.is_none() {
        return STATUS_INVALID_PARAMETER;
    }
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let Some(parent) = attributes.parent() else { return STATUS_WDF_PARENT_NOT_SPECIFIED };
    let lock = if config.AutomaticSerialization != 0 { lock_above(parent, FUNCTION) } else { None };
    if lock.as_ref().is_some_and(|lock| !lock.is_passive()) {
        return STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL;
    }
    if fault::strikes(object::owner(parent.raw(), FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = Arc::new(WorkItem {
        handle: AtomicU64::new(0),
        label: crate::verifier::owners::label(object::owner(parent.raw(), FUNCTION)),
        routine: config.EvtWorkItemFunc,
        lock,
        inner: IrqLock::new(Inner::default()),
        returned: Event::manual(),
    });
    let handle = object::create(FUNCTION, made.clone(), Some(parent), attributes);
    made.handle.store(handle.raw(), Relaxed);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *item = handle.raw() as WDFWORKITEM };
    STATUS_SUCCESS
}

/// WdfWorkItemEnqueue: up to DISPATCH_LEVEL. One that is queued stays so.
pub(crate) unsafe extern "win64" fn enqueue(_globals: *mut WDF_DRIVER_GLOBALS, item: WDFWORKITEM) {
    const FUNCTION: &str = "WdfWorkItemEnqueue";
    require_irql(FUNCTION, Irql::DISPATCH);
    let raw = item as u64;
    let item = get_ptr::<WorkItem, _>(item, FUNCTION);
    if !item.inner.with(|inner| core::mem::replace(&mut inner.queued, true)) {
        object::hold(raw);
        worker::run(Box::new(move || item.run()));
    }
}

/// WdfWorkItemGetParentObject: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_parent_object(
    _globals: *mut WDF_DRIVER_GLOBALS,
    item: WDFWORKITEM,
) -> WDFOBJECT {
    const FUNCTION: &str = "WdfWorkItemGetParentObject";
    require_irql(FUNCTION, Irql::DISPATCH);
    get_ptr::<WorkItem, _>(item, FUNCTION);
    parent(item as u64, FUNCTION).map_or(core::ptr::null_mut(), |handle| handle.raw() as WDFOBJECT)
}

/// WdfWorkItemFlush: PASSIVE_LEVEL, not from the item's own callback.
pub(crate) unsafe extern "win64" fn flush(_globals: *mut WDF_DRIVER_GLOBALS, item: WDFWORKITEM) {
    const FUNCTION: &str = "WdfWorkItemFlush";
    require_irql(FUNCTION, Irql::PASSIVE);
    get_ptr::<WorkItem, _>(item, FUNCTION).flush();
}
