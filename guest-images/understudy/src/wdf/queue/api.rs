//! The functions of queues in the KMDF table.

use super::object::{Notify, Queue};
use crate::io::STATUS_INVALID_DEVICE_STATE;
use crate::ke::Event;
use crate::ke::Irql;
use crate::verifier::{fault, require_irql, violation};
use crate::wdf::bus::Stage;
use crate::wdf::device::Device;
use crate::wdf::lock::CallbackLock;
use crate::wdf::object::{self, Attributes, get_ptr};
use crate::wdf::request::{self, Place};
use alloc::{format, sync::Arc};
use understudy_rules::wdf::queue_state::{Kind, Power, bits};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    NTSTATUS, PFN_WDF_IO_QUEUE_STATE, STATUS_INFO_LENGTH_MISMATCH, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, STATUS_UNSUCCESSFUL,
    WDF_DRIVER_GLOBALS, WDF_IO_QUEUE_CONFIG, WDF_OBJECT_ATTRIBUTES, WDFCONTEXT, WDFDEVICE, WDFFILEOBJECT,
    WDFQUEUE, WDFREQUEST,
};

/// Bug check 0x10D, first parameter: a queue that is fatally wrong.
const QUEUE_FATAL: u64 = 0xA;
const STATUS_DELETE_PENDING: NTSTATUS = 0xC000_0056_u32 as i32;
const STATUS_WDF_PAUSED: NTSTATUS = 0xC020_0203_u32 as i32;
const STATUS_WDF_BUSY: NTSTATUS = 0xC020_0204_u32 as i32;
const STATUS_WDF_NO_CALLBACK: NTSTATUS = 0xC020_020B_u32 as i32;
const STATUS_NO_MORE_ENTRIES: NTSTATUS = 0x8000_001A_u32 as i32;
/// WdfSynchronizationScopeDevice, -Queue.
const SCOPE_DEVICE: i32 = 2;
const SCOPE_QUEUE: i32 = 3;

fn get(queue: WDFQUEUE, function: &str) -> Arc<Queue> {
    get_ptr::<Queue, _>(queue, function)
}

fn kind(config: &WDF_IO_QUEUE_CONFIG) -> Option<Kind> {
    match config.DispatchType {
        1 => Some(Kind::Sequential),
        // SAFETY: the union has one member.
        2 => Some(Kind::Parallel(unsafe { config.Settings.Parallel.NumberOfPresentedRequests })),
        3 => Some(Kind::Manual),
        _ => None,
    }
}

/// WdfIoQueueCreate: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn create(
    _globals: *mut WDF_DRIVER_GLOBALS,
    device: WDFDEVICE,
    config: *mut WDF_IO_QUEUE_CONFIG,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    queue: *mut WDFQUEUE,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfIoQueueCreate";
    require_irql(FUNCTION, Irql::PASSIVE);
    let device_handle = device as u64;
    let device = get_ptr::<Device, _>(device, FUNCTION);
    // SAFETY: the driver passes its configuration.
    let config = unsafe { *config };
    if config.Size as usize != size_of::<WDF_IO_QUEUE_CONFIG>() {
        return STATUS_INFO_LENGTH_MISMATCH;
    }
    let Some(kind) = kind(&config).filter(|kind| *kind != Kind::Parallel(0)) else {
        return STATUS_INVALID_PARAMETER;
    };
    if !(0..=2).contains(&config.PowerManaged) {
        return STATUS_INVALID_PARAMETER;
    }
    let handler = config.EvtIoDefault.is_some()
        || config.EvtIoRead.is_some()
        || config.EvtIoWrite.is_some()
        || config.EvtIoDeviceControl.is_some()
        || config.EvtIoInternalDeviceControl.is_some();
    if kind != Kind::Manual && !handler {
        return STATUS_WDF_NO_CALLBACK;
    }
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if config.DefaultQueue != 0 && device.default_queue().is_some() {
        return STATUS_UNSUCCESSFUL;
    }
    let passive = attributes.passive().unwrap_or(device.passive);
    let lock = match attributes.scope().unwrap_or(device.scope) {
        SCOPE_DEVICE => device.lock.clone(),
        SCOPE_QUEUE => Some(Arc::new(CallbackLock::new(passive))),
        _ => None,
    };
    // WdfUseDefault: a function driver's queues are
    let used_by_default = !device.filter && !device.bus.is_control();
    let managed = config.PowerManaged == 1 || config.PowerManaged == 2 && used_by_default;
    let power = if managed && device.bus.stage() != Stage::Working { Power::Off } else { Power::On };
    let owner = object::owner(device_handle, FUNCTION);
    if fault::strikes(owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = Arc::new(Queue::new(device_handle, owner, config, kind, (managed, power), (passive, lock)));
    let parent = attributes.parent().unwrap_or(Handle::from_raw(device_handle));
    let handle = object::create(FUNCTION, made.clone(), Some(parent), attributes);
    made.set_handle(handle);
    device.add_queue(made, config.DefaultQueue != 0);
    if !queue.is_null() {
        // SAFETY: the driver passes the place for its handle.
        unsafe { *queue = handle.raw() as WDFQUEUE };
    }
    STATUS_SUCCESS
}

/// WdfIoQueueGetState: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_state(
    _globals: *mut WDF_DRIVER_GLOBALS,
    queue: WDFQUEUE,
    on_queue: *mut u32,
    of_driver: *mut u32,
) -> i32 {
    const FUNCTION: &str = "WdfIoQueueGetState";
    require_irql(FUNCTION, Irql::DISPATCH);
    let (accept, dispatch, queued, owned, power) = get(queue, FUNCTION).inner.with(|inner| {
        (inner.accept, inner.dispatch, inner.queued.len() as u32, inner.driver_io, inner.power)
    });
    // SAFETY: the driver passes NULL or its places.
    unsafe {
        if !on_queue.is_null() {
            *on_queue = queued;
        }
        if !of_driver.is_null() {
            *of_driver = owned;
        }
    }
    bits(accept, dispatch, queued, owned, power)
}

/// WdfIoQueueGetDevice: any IRQL up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn get_device(
    _globals: *mut WDF_DRIVER_GLOBALS,
    queue: WDFQUEUE,
) -> WDFDEVICE {
    const FUNCTION: &str = "WdfIoQueueGetDevice";
    require_irql(FUNCTION, Irql::DISPATCH);
    get(queue, FUNCTION).device as WDFDEVICE
}

/// WdfIoQueueStart: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn start(_globals: *mut WDF_DRIVER_GLOBALS, queue: WDFQUEUE) {
    const FUNCTION: &str = "WdfIoQueueStart";
    require_irql(FUNCTION, Irql::DISPATCH);
    get(queue, FUNCTION).start();
}

/// These functions have no status: what they refuse is fatal.
fn fatal(function: &str, queue: &Queue, result: Result<(), NTSTATUS>) {
    if let Err(status) = result {
        violation(
            "QueueFatalError",
            QUEUE_FATAL,
            queue.raw() as u64,
            format!(
                "{function}: {:#010x}: a callback is outstanding, or the queue is deleted",
                status as u32
            ),
        );
    }
}

fn notify(callback: PFN_WDF_IO_QUEUE_STATE, context: WDFCONTEXT) -> Option<Notify> {
    callback.is_some().then_some(Notify::Driver(callback, context))
}

/// WdfIoQueueStop: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn stop(
    _globals: *mut WDF_DRIVER_GLOBALS,
    queue: WDFQUEUE,
    complete: PFN_WDF_IO_QUEUE_STATE,
    context: WDFCONTEXT,
) {
    const FUNCTION: &str = "WdfIoQueueStop";
    require_irql(FUNCTION, Irql::DISPATCH);
    let queue = get(queue, FUNCTION);
    fatal(FUNCTION, &queue, queue.stop(false, notify(complete, context)));
}

/// WdfIoQueueStopAndPurge: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn stop_and_purge(
    _globals: *mut WDF_DRIVER_GLOBALS,
    queue: WDFQUEUE,
    complete: PFN_WDF_IO_QUEUE_STATE,
    context: WDFCONTEXT,
) {
    const FUNCTION: &str = "WdfIoQueueStopAndPurge";
    require_irql(FUNCTION, Irql::DISPATCH);
    let queue = get(queue, FUNCTION);
    fatal(FUNCTION, &queue, queue.stop(true, notify(complete, context)));
}

/// WdfIoQueueDrain: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn drain(
    _globals: *mut WDF_DRIVER_GLOBALS,
    queue: WDFQUEUE,
    complete: PFN_WDF_IO_QUEUE_STATE,
    context: WDFCONTEXT,
) {
    const FUNCTION: &str = "WdfIoQueueDrain";
    require_irql(FUNCTION, Irql::DISPATCH);
    let queue = get(queue, FUNCTION);
    fatal(FUNCTION, &queue, queue.purge(false, notify(complete, context)));
}

/// WdfIoQueuePurge: up to DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn purge(
    _globals: *mut WDF_DRIVER_GLOBALS,
    queue: WDFQUEUE,
    complete: PFN_WDF_IO_QUEUE_STATE,
    context: WDFCONTEXT,
) {
    const FUNCTION: &str = "WdfIoQueuePurge";
    require_irql(FUNCTION, Irql::DISPATCH);
    let queue = get(queue, FUNCTION);
    fatal(FUNCTION, &queue, queue.purge(true, notify(complete, context)));
}

/// WdfIoQueueReadyNotify: up to DISPATCH_LEVEL; manual queues. NULL: no more, once the queue has been stopped.
pub(crate) unsafe extern "win64" fn ready_notify(
    _globals: *mut WDF_DRIVER_GLOBALS,
    queue: WDFQUEUE,
    ready: PFN_WDF_IO_QUEUE_STATE,
    context: WDFCONTEXT,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfIoQueueReadyNotify";
    require_irql(FUNCTION, Irql::DISPATCH);
    let queue = get(queue, FUNCTION);
    let wanted = notify(ready, context);
    let refused = queue.inner.with(|inner| {
        if queue.kind != Kind::Manual {
            return Some(STATUS_INVALID_DEVICE_REQUEST);
        }
        if inner.deleted {
            return Some(STATUS_DELETE_PENDING);
        }
        // one at a time; none is taken away that is not there, or while the queue may call it
        let fits = match (&wanted, &inner.ready) {
            (Some(_), known) => known.is_none(),
            (None, known) => known.is_some() && !inner.dispatch,
        };
        if !fits {
            return Some(STATUS_INVALID_DEVICE_REQUEST);
        }
        inner.ready = wanted;
        None
    });
    if let Some(status) = refused {
        return status;
    }
    queue.run(None);
    STATUS_SUCCESS
}

/// The forms that wait: PASSIVE_LEVEL, not from the queue's own callbacks.
fn wait(
    function: &str,
    queue: WDFQUEUE,
    begin: impl FnOnce(&Arc<Queue>, Option<Notify>) -> Result<(), NTSTATUS>,
) {
    require_irql(function, Irql::PASSIVE);
    let queue = get(queue, function);
    let done = Arc::new(Event::auto());
    fatal(function, &queue, begin(&queue, Some(Notify::Event(done.clone()))));
    queue.wait(&done, "RequestNeverCompleted", function);
}

/// WdfIoQueueStopSynchronously.
pub(crate) unsafe extern "win64" fn stop_synchronously(_globals: *mut WDF_DRIVER_GLOBALS, queue: WDFQUEUE) {
    wait("WdfIoQueueStopSynchronously", queue, |queue, notify| queue.stop(false, notify));
}

/// WdfIoQueueStopAndPurgeSynchronously.
pub(crate) unsafe extern "win64" fn stop_and_purge_synchronously(
    _globals: *mut WDF_DRIVER_GLOBALS,
    queue: WDFQUEUE,
) {
    wait("WdfIoQueueStopAndPurgeSynchronously", queue, |queue, notify| queue.stop(true, notify));
}

/// WdfIoQueueDrainSynchronously.
pub(crate) unsafe extern "win64" fn drain_synchronously(_globals: *mut WDF_DRIVER_GLOBALS, queue: WDFQUEUE) {
    wait("WdfIoQueueDrainSynchronously", queue, |queue, notify| queue.purge(false, notify));
}

/// WdfIoQueuePurgeSynchronously.
pub(crate) unsafe extern "win64" fn purge_synchronously(_globals: *mut WDF_DRIVER_GLOBALS, queue: WDFQUEUE) {
    wait("WdfIoQueuePurgeSynchronously", queue, |queue, notify| queue.purge(true, notify));
}

/// WdfIoQueueRetrieveNextRequest: up to DISPATCH_LEVEL; sequential and manual queues.
pub(crate) unsafe extern "win64" fn retrieve_next_request(
    _globals: *mut WDF_DRIVER_GLOBALS,
    queue: WDFQUEUE,
    out: *mut WDFREQUEST,
) -> NTSTATUS {
    // SAFETY: as in `retrieve`.
    unsafe { retrieve("WdfIoQueueRetrieveNextRequest", queue, |_| true, out) }
}

/// WdfIoQueueRetrieveRequestByFileObject: as above, the first of that file.
pub(crate) unsafe extern "win64" fn retrieve_request_by_file_object(
    _globals: *mut WDF_DRIVER_GLOBALS,
    queue: WDFQUEUE,
    file: WDFFILEOBJECT,
    out: *mut WDFREQUEST,
) -> NTSTATUS {
    let of_file = |request: &request::Request| request.inner.with(|known| known.file) == file as u64;
    // SAFETY: as in `retrieve`.
    unsafe { retrieve("WdfIoQueueRetrieveRequestByFileObject", queue, of_file, out) }
}

/// Gives the first request that is wanted to the driver.
unsafe fn retrieve(
    function: &str,
    queue: WDFQUEUE,
    wanted: impl Fn(&request::Request) -> bool,
    out: *mut WDFREQUEST,
) -> NTSTATUS {
    require_irql(function, Irql::DISPATCH);
    let queue = get(queue, function);
    if matches!(queue.kind, Kind::Parallel(_)) {
        return STATUS_INVALID_DEVICE_STATE;
    }
    let taken = queue.inner.with(|inner| {
        if inner.power != Power::On || !inner.dispatch {
            return Err(STATUS_WDF_PAUSED);
        }
        let Some(request) = queue.take_first(inner, wanted) else {
            inner.next_is_first |= !inner.queued.is_empty();
            return Err(STATUS_NO_MORE_ENTRIES);
        };
        queue.give_to_driver(inner, &request);
        Ok(request)
    });
    match taken {
        Ok(request) => {
            // SAFETY: the driver passes the place for the handle.
            unsafe { *out = request.raw() };
            STATUS_SUCCESS
        }
        Err(status) => status,
    }
}

/// WdfRequestForwardToIoQueue: up to DISPATCH_LEVEL. A cancelled request is accepted, and then cancelled.
pub(crate) unsafe extern "win64" fn forward_to_io_queue(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
    to: WDFQUEUE,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfRequestForwardToIoQueue";
    require_irql(FUNCTION, Irql::DISPATCH);
    let request = request::get(request, FUNCTION);
    let to = get(to, FUNCTION);
    let Some((from, irp)) = request.inner.with(|known| {
        let free = known.place == Place::Driver && !known.cancelable && !known.recall.is_out();
        known.queue.clone().zip(known.irp).filter(|_| free)
    }) else {
        return STATUS_INVALID_DEVICE_REQUEST;
    };
    if Arc::ptr_eq(&from, &to) || from.device != to.device {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    if !to.inner.with(|inner| inner.accept) {
        return STATUS_WDF_BUSY;
    }
    request.clear_format();
    from.inner.with(|inner| from.take_from_driver(inner, &request));
    if !to.insert(&request, irp, false) {
        to.cancel_for_queue(&request);
    }
    from.run(None);
    to.run(None);
    STATUS_SUCCESS
}

/// WdfRequestRequeue: up to DISPATCH_LEVEL; manual queues, to the head.
pub(crate) unsafe extern "win64" fn requeue(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
) -> NTSTATUS {
    const FUNCTION: &str = "WdfRequestRequeue";
    require_irql(FUNCTION, Irql::DISPATCH);
    let request = request::get(request, FUNCTION);
    let Some(queue) = request.inner.with(|known| {
        let free = known.place == Place::Driver && !known.cancelable && !known.recall.is_out();
        known.queue.clone().filter(|_| free)
    }) else {
        return STATUS_INVALID_DEVICE_REQUEST;
    };
    if queue.kind != Kind::Manual {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    request.clear_format();
    queue.requeue(&request);
    queue.run(None);
    STATUS_SUCCESS
}

/// WdfRequestGetIoQueue: up to DISPATCH_LEVEL; NULL for a request of the driver's own.
pub(crate) unsafe extern "win64" fn get_io_queue(
    _globals: *mut WDF_DRIVER_GLOBALS,
    request: WDFREQUEST,
) -> WDFQUEUE {
    const FUNCTION: &str = "WdfRequestGetIoQueue";
    require_irql(FUNCTION, Irql::DISPATCH);
    let queue = request::get(request, FUNCTION).inner.with(|known| known.queue.clone());
    queue.map_or(core::ptr::null_mut(), |queue| queue.raw())
}
