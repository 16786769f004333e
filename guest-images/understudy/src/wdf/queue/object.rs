//! The queue's lists and books: who is on it, whom the driver has, who is about to hear of a cancellation.

use crate::io::Irp;
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Dpc, Event};
use crate::mm::Owner;
use crate::verifier::violation;
use crate::wdf::lock::CallbackLock;
use crate::wdf::object::Typed;
use crate::wdf::request::cancel::cancelled_on_queue;
use crate::wdf::request::{Place, Request};
use alloc::{collections::VecDeque, format, string::String, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use spin::Once;
use understudy_rules::wdf::queue_state::{Kind, Power, View};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    NTSTATUS, PFN_WDF_IO_QUEUE_STATE, PFN_WDF_REQUEST_CANCEL, WDF_IO_QUEUE_CONFIG, WDFCONTEXT, WDFQUEUE,
};

/// Who wants to hear that a queue has stopped or is empty.
#[derive(Clone)]
pub(crate) enum Notify {
    /// The driver's callback with its context.
    Driver(PFN_WDF_IO_QUEUE_STATE, WDFCONTEXT),
    /// A thread that waits.
    Event(Arc<Event>),
}

// SAFETY: the context is the driver's word, handed back to it only.
unsafe impl Send for Notify {}

/// What changes in a queue.
pub(crate) struct Inner {
    /// On the queue; each has the framework's cancel routine.
    pub queued: VecDeque<Arc<Request>>,
    /// Delivered and marked cancelable.
    pub cancelable: Vec<Arc<Request>>,
    /// The driver's.
    pub owned: VecDeque<Arc<Request>>,
    /// The driver's, in a power transition: not told yet.
    pub to_notify: VecDeque<Arc<Request>>,
    /// The driver's, in a power transition: told.
    pub notified: VecDeque<Arc<Request>>,
    /// EvtRequestCancel is due.
    pub cancelled: VecDeque<Arc<Request>>,
    /// EvtIoCanceledOnQueue is due.
    pub cancelled_on_queue: VecDeque<Arc<Request>>,
    /// Requests that the driver has, whatever list they are on.
    pub driver_io: u32,
    /// Bits 0 and 1 of the state.
    pub accept: bool,
    /// As above.
    pub dispatch: bool,
    /// A purge also cancels what the driver marks from now on.
    pub cancel_dispatched: bool,
    /// The stop callback.
    pub idle: Option<Notify>,
    /// The purge or drain callback.
    pub purge: Option<Notify>,
    /// WdfIoQueueReadyNotify's callback.
    pub ready: Option<Notify>,
    /// The queue was empty and has had a request since the ready callback was called.
    pub from_empty: bool,
    /// The next request counts as the first one: the driver was told of an empty queue while all that was on it was in
    /// cancellers' hands.
    pub next_is_first: bool,
    /// Power.
    pub power: Power,
    /// Threads in the dispatch loop.
    pub dispatching: u32,
    /// One of them has left that was not alone: the last looks once more.
    pub look_again: bool,
    /// Being deleted.
    pub disposing: bool,
    /// Gone.
    pub deleted: bool,
    /// A deferred dispatcher is queued; it is to run once more.
    pub deferred: bool,
    /// As above.
    pub again: bool,
}

impl Inner {
    /// There is a first request.
    fn is_ready(&mut self) {
        self.from_empty = true;
        self.next_is_first = false;
    }

    /// Requests that came while nothing was dispatched are told of as if they had come now.
    pub(crate) fn look_for_requests(&mut self) {
        if !self.queued.is_empty() {
            self.is_ready();
        }
    }
}

/// An I/O queue.
pub(crate) struct Queue {
    handle: AtomicU64,
    /// WDFDEVICE.
    pub device: u64,
    /// The driver.
    pub owner: Owner,
    /// Its callbacks.
    pub config: WDF_IO_QUEUE_CONFIG,
    /// How it dispatches.
    pub kind: Kind,
    /// Whether power transitions hold it.
    pub power_managed: bool,
    /// Callbacks want PASSIVE_LEVEL.
    pub passive: bool,
    /// Serialises the callbacks, with a scope of queue or device.
    pub lock: Option<Arc<CallbackLock>>,
    /// Everything that changes.
    pub inner: IrqLock<Inner>,
    /// Set at the end of a step of a power transition.
    pub power_idle: Event,
    /// Set when a disposing queue is empty.
    pub gone: Event,
    /// Dispatches later, at DISPATCH_LEVEL.
    pub dpc: Once<Dpc>,
}

impl Typed for Queue {
    const KIND: &'static str = "WDFQUEUE";

    fn require_deletable(&self, _raw: u64, function: &str) {
        crate::verifier::require_irql(function, Irql::PASSIVE);
    }

    fn dispose(self: Arc<Self>) {
        let late = self.purge(true, None);
        if late.is_err() {
            return;
        }
        self.inner.with(|inner| inner.disposing = true);
        self.run(None);
        self.wait(&self.gone, "RequestNeverCompleted", "deletion of a WDFQUEUE");
        if let Ok(Some(device)) = crate::wdf::object::find::<crate::wdf::device::Device>(self.device) {
            device.remove_queue(&self);
        }
    }
}

// SAFETY: the configuration holds function pointers and numbers; everything that changes is behind a lock.
unsafe impl Send for Queue {}
// SAFETY: as above.
unsafe impl Sync for Queue {}

impl Queue {
    /// An accepting, dispatching queue.
    pub(crate) fn new(
        device: u64,
        owner: Owner,
        config: WDF_IO_QUEUE_CONFIG,
        kind: Kind,
        power: (bool, Power),
        execution: (bool, Option<Arc<CallbackLock>>),
    ) -> Self {
        Self {
            handle: AtomicU64::new(0),
            device,
            owner,
            config,
            kind,
            power_managed: power.0,
            passive: execution.0,
            lock: execution.1,
            inner: IrqLock::new(Inner {
                queued: VecDeque::new(),
                cancelable: Vec::new(),
                owned: VecDeque::new(),
                to_notify: VecDeque::new(),
                notified: VecDeque::new(),
                cancelled: VecDeque::new(),
                cancelled_on_queue: VecDeque::new(),
                driver_io: 0,
                accept: true,
                dispatch: true,
                cancel_dispatched: false,
                idle: None,
                purge: None,
                ready: None,
                from_empty: false,
                next_is_first: false,
                power: power.1,
                dispatching: 0,
                look_again: false,
                disposing: false,
                deleted: false,
                deferred: false,
                again: false,
            }),
            power_idle: Event::manual(),
            gone: Event::manual(),
            dpc: Once::new(),
        }
    }

    /// Its handle, set once it has one.
    pub(crate) fn set_handle(&self, handle: Handle) {
        self.handle.store(handle.raw(), Relaxed);
    }

    /// Its handle as callbacks get it.
    pub(crate) fn raw(&self) -> WDFQUEUE {
        self.handle.load(Relaxed) as WDFQUEUE
    }

    /// What stands on the time line before its callbacks.
    pub(crate) fn label(&self) -> &'static str {
        crate::verifier::owners::label(self.owner)
    }

    /// What the next step depends on.
    pub(crate) fn view(&self, inner: &Inner, new: bool) -> View {
        View {
            kind: self.kind,
            power: inner.power,
            dispatch: inner.dispatch,
            queued: inner.queued.len() as u32 + u32::from(new),
            owned: inner.driver_io,
            cancelled: !inner.cancelled.is_empty(),
            cancelled_on_queue: !inner.cancelled_on_queue.is_empty(),
            idle_wanted: inner.idle.is_some(),
            purge_wanted: inner.purge.is_some(),
            ready_wanted: inner.ready.is_some() && inner.from_empty,
            dispatching: inner.dispatching,
            disposing: inner.disposing,
        }
    }

    /// Puts a request on the queue. `false`: it is cancelled already and not on it.
    pub(crate) fn insert(self: &Arc<Self>, request: &Arc<Request>, irp: Irp, head: bool) -> bool {
        let listed = request.clone();
        request.inner.with(|known| {
            known.queue = Some(self.clone());
            known.place = Place::Queued;
            known.cancel = None;
        });
        irp.set_context(request.handle());
        self.inner.with(|inner| {
            if head {
                inner.queued.push_front(listed)
            } else {
                inner.queued.push_back(listed)
            }
            let armed = Request::arm(irp, cancelled_on_queue);
            if !armed {
                inner.queued.retain(|known| !Arc::ptr_eq(known, request));
            } else if inner.queued.len() == 1 || inner.next_is_first {
                inner.is_ready();
            }
            armed
        })
    }

    /// Takes the first request that no canceller has, and that `wanted` accepts.
    pub(crate) fn take_first(
        &self,
        inner: &mut Inner,
        wanted: impl Fn(&Request) -> bool,
    ) -> Option<Arc<Request>> {
        let at = (0..inner.queued.len()).find(|&at| {
            let request = &inner.queued[at];
            wanted(request) && request.inner.with(|known| known.irp).is_some_and(Request::disarm)
        })?;
        inner.queued.remove(at)
    }

    /// The canceller takes its request off.
    pub(crate) fn take_cancelled(&self, request: &Arc<Request>) {
        self.inner.with(|inner| inner.queued.retain(|known| !Arc::ptr_eq(known, request)));
    }

    /// The request becomes the driver's.
    pub(crate) fn give_to_driver(self: &Arc<Self>, inner: &mut Inner, request: &Arc<Request>) {
        inner.driver_io += 1;
        inner.owned.push_back(request.clone());
        request.inner.with(|known| {
            known.queue = Some(self.clone());
            known.place = Place::Driver;
            known.presented = true;
            known.cancel = None;
        });
    }

    /// The request is no longer the driver's.
    pub(crate) fn take_from_driver(&self, inner: &mut Inner, request: &Arc<Request>) {
        for list in [&mut inner.owned, &mut inner.to_notify, &mut inner.notified] {
            let before = list.len();
            list.retain(|known| !Arc::ptr_eq(known, request));
            if list.len() != before {
                inner.driver_io -= 1;
                return;
            }
        }
    }

    /// MarkCancelable begins: the request is listed with its routine, and its IRP gets the framework's by `arm`. `true`:
    /// the queue is purged, it counts as cancelled.
    pub(crate) fn begin_mark(
        &self,
        request: &Arc<Request>,
        routine: PFN_WDF_REQUEST_CANCEL,
        arm: impl FnOnce(),
    ) -> bool {
        let listed = request.clone();
        self.inner.with(|inner| {
            let purged = inner.cancel_dispatched;
            if !purged {
                inner.cancelable.push(listed);
            }
            request.inner.with(|known| {
                known.cancel = routine;
                known.cancelable = !purged;
            });
            if !purged {
                arm();
            }
            purged
        })
    }

    /// The request is not marked any more.
    pub(crate) fn end_mark(&self, request: &Arc<Request>) {
        self.inner.with(|inner| {
            inner.cancelable.retain(|known| !Arc::ptr_eq(known, request));
            request.inner.with(|known| known.cancelable = false);
        });
    }

    /// A request was cancelled while it was on the queue: the framework completes it, or the driver that had it
    /// before hears of it.
    pub(crate) fn cancel_for_queue(self: &Arc<Self>, request: &Arc<Request>) {
        let told = self.config.EvtIoCanceledOnQueue.is_some() && request.inner.with(|known| known.presented);
        request.inner.with(|known| known.recall.flag());
        if told {
            self.inner.with(|inner| {
                self.give_to_driver(inner, request);
                inner.cancelled_on_queue.push_back(request.clone());
            });
        } else {
            request.complete_cancelled();
        }
        self.run(None);
    }

    /// A request was cancelled while its driver had it marked: EvtRequestCancel, now or later.
    pub(crate) fn cancel_for_driver(self: &Arc<Self>, request: &Arc<Request>) {
        // the framework's reference lasts until the callback has returned
        crate::wdf::object::hold(request.handle());
        let listed = request.clone();
        self.inner.with(|inner| inner.cancelled.push_back(listed));
        self.run(None);
    }

    /// The driver has completed a request, or given it away for good.
    pub(crate) fn completed(self: &Arc<Self>, request: &Arc<Request>) {
        self.inner.with(|inner| self.take_from_driver(inner, request));
        self.run(None);
    }

    /// A request comes to the queue from outside. Up to DISPATCH_LEVEL.
    pub(crate) fn accept(self: &Arc<Self>, request: &Arc<Request>) {
        if self.inner.with(|inner| inner.accept) {
            self.run(Some(request.clone()));
        } else {
            request.complete_by_framework(crate::io::STATUS_INVALID_DEVICE_STATE);
        }
    }

    /// Requests that the driver has, in words.
    pub(crate) fn owned_text(&self) -> String {
        let owned: Vec<Arc<Request>> = self.inner.with(|inner| {
            let lists = [&inner.owned, &inner.to_notify, &inner.notified];
            lists.into_iter().flatten().cloned().collect()
        });
        owned.iter().map(|request| request.describe()).collect::<Vec<_>>().join("; ")
    }

    /// Waits for an event of this queue, at most so long that a driver cannot hide a request it has forgotten.
    pub(crate) fn wait(&self, event: &Event, rule: &str, function: &str) {
        const BOUND_US: u64 = 5_000_000;
        if !event.wait_timeout(BOUND_US) {
            violation(
                rule,
                6,
                self.handle.load(Relaxed),
                format!(
                    "{function}: the driver still has {} after {} s",
                    self.owned_text(),
                    BOUND_US / 1_000_000
                ),
            );
        }
    }

    /// Stop, StopAndPurge: `status` as the framework has it for a second outstanding callback.
    pub(crate) fn stop(self: &Arc<Self>, cancel: bool, notify: Option<Notify>) -> Result<(), NTSTATUS> {
        self.inner.with(|inner| -> Result<(), NTSTATUS> {
            Self::register(inner.deleted, &mut inner.idle, notify)?;
            inner.dispatch = false;
            inner.cancel_dispatched |= cancel;
            Ok(())
        })?;
        if cancel {
            self.cancel_all();
        }
        self.run(None);
        Ok(())
    }

    /// Drain, Purge.
    pub(crate) fn purge(self: &Arc<Self>, cancel: bool, notify: Option<Notify>) -> Result<(), NTSTATUS> {
        self.inner.with(|inner| -> Result<(), NTSTATUS> {
            Self::register(inner.deleted, &mut inner.purge, notify)?;
            inner.accept = false;
            inner.cancel_dispatched |= cancel;
            Ok(())
        })?;
        if cancel {
            self.cancel_all();
        }
        self.run(None);
        Ok(())
    }

    fn register(deleted: bool, slot: &mut Option<Notify>, notify: Option<Notify>) -> Result<(), NTSTATUS> {
        const DELETE_PENDING: NTSTATUS = 0xC000_0056_u32 as i32;
        const INVALID_DEVICE_REQUEST: NTSTATUS = 0xC000_0010_u32 as i32;
        if deleted {
            return Err(DELETE_PENDING);
        }
        if notify.is_some() {
            if slot.is_some() {
                return Err(INVALID_DEVICE_REQUEST);
            }
            *slot = notify;
        }
        Ok(())
    }

    /// Cancels what is on the queue, then what the driver has marked.
    fn cancel_all(self: &Arc<Self>) {
        while let Some(request) = self.inner.with(|inner| self.take_first(inner, |_| true)) {
            self.cancel_for_queue(&request);
        }
        while let Some(request) = self.inner.with(|inner| {
            let armed =
                |request: &Arc<Request>| request.inner.with(|known| known.irp).is_some_and(Request::disarm);
            let at = (0..inner.cancelable.len()).find(|&at| armed(&inner.cancelable[at]))?;
            Some(inner.cancelable.remove(at))
        }) {
            request.inner.with(|known| {
                known.cancelable = false;
                known.recall.flag();
            });
            self.cancel_for_driver(&request);
        }
    }

    /// A file goes: what of it has not been given to the driver is cancelled. PASSIVE_LEVEL.
    pub(crate) fn flush(self: &Arc<Self>, file: u64) {
        let of_file = |request: &Request| request.inner.with(|known| known.file) == file;
        while let Some(request) = self.inner.with(|inner| self.take_first(inner, of_file)) {
            self.cancel_for_queue(&request);
        }
    }

    /// WdfIoQueueStart.
    pub(crate) fn start(self: &Arc<Self>) {
        self.inner.with(|inner| {
            inner.accept = true;
            inner.dispatch = true;
            inner.cancel_dispatched = false;
            inner.look_for_requests();
        });
        self.run(None);
    }
}
