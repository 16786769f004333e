//! The dispatch loop: one step after another until nothing can be done, on whichever thread comes.

use super::object::{Inner, Notify, Queue};
use super::power::Went;
use crate::io::{MJ_DEVICE_CONTROL, MJ_INTERNAL_DEVICE_CONTROL, MJ_READ, MJ_WRITE};
use crate::ke::Irql;
use crate::ke::{Dpc, worker};
use crate::verifier::trace;
use crate::verifier::window;
use crate::wdf::object;
use crate::wdf::request::Request;
use alloc::{boxed::Box, sync::Arc};
use understudy_rules::wdf::queue_state::{Step, next};
use wdk_offline::STATUS_INVALID_DEVICE_REQUEST;

/// A step with what it is about. Whatever the decision depended on has been changed in the same moment, so that no other
/// thread in the loop can come to the same one.
enum Turn {
    /// The new request goes on the queue.
    Keep,
    Cancel(Arc<Request>),
    CancelOnQueue(Arc<Request>),
    Tell(Option<Notify>, &'static str),
    Power,
    Gone,
    Present(Arc<Request>),
    Rest,
}

impl Queue {
    /// Goes round the loop, with a request that has just come or without. `false`: the queue is deleted. Up to
    /// DISPATCH_LEVEL; no lock is held over a callback but the queue's own.
    pub(crate) fn run(self: &Arc<Self>, mut new: Option<Arc<Request>>) -> bool {
        if self.inner.with(|inner| inner.deleted) {
            return false;
        }
        if !self.may_dispatch() {
            self.inner.with(|inner| inner.again = true);
            self.keep(&mut new);
            return true;
        }
        self.inner.with(|inner| inner.dispatching += 1);
        loop {
            let (turn, mut alone) =
                self.inner.with(|inner| (self.turn(inner, &mut new), inner.dispatching == 1));
            match turn {
                Turn::Keep => {
                    self.keep(&mut new);
                    continue;
                }
                Turn::Cancel(request) => {
                    self.call_cancel(&request);
                    continue;
                }
                Turn::CancelOnQueue(request) => {
                    self.call_cancelled_on_queue(&request);
                    continue;
                }
                Turn::Tell(notify, what) => {
                    self.notify(notify, what);
                    continue;
                }
                Turn::Power => match self.power_step() {
                    Went::On => continue,
                    Went::Waits => {}
                    Went::NotAlone => alone = false,
                },
                Turn::Gone => {
                    self.gone.set();
                    return true;
                }
                Turn::Present(request) => {
                    window::QUEUE_BEFORE_PRESENT.pass_for(self.owner);
                    self.call_io(&request);
                    continue;
                }
                Turn::Rest => {}
            }
            // what can be done by the only thread in the loop is looked for by the last one
            let done = self.inner.with(|inner| {
                let last = inner.dispatching == 1;
                inner.look_again |= !alone;
                if last && core::mem::replace(&mut inner.look_again, false) {
                    return false;
                }
                inner.dispatching -= 1;
                true
            });
            if done {
                return true;
            }
        }
    }

    /// Decides on the next step and takes what it is about.
    fn turn(self: &Arc<Self>, inner: &mut Inner, new: &mut Option<Arc<Request>>) -> Turn {
        let step = next(&self.view(inner, new.is_some()));
        // only the request that is presented next need not be on the queue; what comes next may depend on its being there
        if new.is_some() && (step != Step::Present || !inner.queued.is_empty()) {
            return Turn::Keep;
        }
        match step {
            Step::Cancel => inner.cancelled.pop_front().map_or(Turn::Rest, Turn::Cancel),
            Step::CancelOnQueue => {
                inner.cancelled_on_queue.pop_front().map_or(Turn::Rest, Turn::CancelOnQueue)
            }
            Step::Idle => {
                inner.cancel_dispatched = false;
                Turn::Tell(inner.idle.take(), "EvtIoQueueState (stopped)")
            }
            Step::Purge => {
                inner.cancel_dispatched = false;
                Turn::Tell(inner.purge.take(), "EvtIoQueueState (purged)")
            }
            Step::Power => Turn::Power,
            Step::Gone => {
                inner.deleted = true;
                inner.dispatching -= 1;
                Turn::Gone
            }
            Step::Ready => {
                inner.from_empty = false;
                Turn::Tell(inner.ready.clone(), "EvtIoQueueState (ready)")
            }
            Step::Present => {
                let request = self.take_first(inner, |_| true).or_else(|| new.take());
                // else every request on the queue is in a canceller's hands
                request.map_or(Turn::Rest, |request| {
                    self.give_to_driver(inner, &request);
                    Turn::Present(request)
                })
            }
            Step::Rest => Turn::Rest,
        }
    }

    /// Puts the new request on the queue, behind the others. `false`: it was cancelled before it came there, and is
    /// completed.
    fn keep(self: &Arc<Self>, new: &mut Option<Arc<Request>>) -> bool {
        let Some(request) = new.take() else { return true };
        let Some(irp) = request.inner.with(|known| known.irp) else { return true };
        let kept = self.insert(&request, irp, false);
        if !kept {
            request.complete_cancelled();
        }
        kept
    }

    /// Whether this thread may call the driver: at PASSIVE_LEVEL if the queue wants that, and not from within its own
    /// lock. Else a DPC or a work item will.
    fn may_dispatch(self: &Arc<Self>) -> bool {
        let own = self.lock.as_ref().is_some_and(|lock| lock.is_owner());
        let too_high = self.passive && crate::ke::irql() != Irql::PASSIVE;
        if !(own || too_high) {
            return true;
        }
        if self.inner.with(|inner| core::mem::replace(&mut inner.deferred, true)) {
            return false;
        }
        let queue = self.clone();
        if self.passive {
            worker::run(Box::new(move || queue.run_deferred()));
        } else {
            let dpc = self.dpc.call_once(|| {
                let queue = Arc::downgrade(self);
                Dpc::new(Box::new(move || {
                    if let Some(queue) = queue.upgrade() {
                        queue.run_deferred();
                    }
                }))
            });
            dpc.queue();
        }
        false
    }

    fn run_deferred(self: &Arc<Self>) {
        loop {
            self.inner.with(|inner| {
                inner.again = false;
                inner.deferred = false;
            });
            self.run(None);
            // another thread may have found the lock taken meanwhile
            let again = self.inner.with(|inner| inner.again && !inner.deferred);
            if !again {
                return;
            }
        }
    }

    /// Runs a callback under the queue's lock, if it has one.
    fn locked<R>(&self, what: &'static str, callback: impl FnOnce() -> R) -> R {
        let label = self.label();
        match &self.lock {
            Some(lock) => lock.with(|| trace::callback(label, what, callback)),
            None => trace::callback(label, what, callback),
        }
    }

    fn call_cancel(&self, request: &Arc<Request>) {
        if let Some(routine) = request.inner.with(|known| known.cancel) {
            // SAFETY: the driver's callback with a request that it has marked; the framework holds it.
            self.locked("EvtRequestCancel", || unsafe { routine(request.raw()) });
        }
        object::release(request.handle());
    }

    fn call_cancelled_on_queue(&self, request: &Arc<Request>) {
        if let Some(routine) = self.config.EvtIoCanceledOnQueue {
            // SAFETY: the driver's callback with its queue and a request that is its own again.
            self.locked("EvtIoCanceledOnQueue", || unsafe { routine(self.raw(), request.raw()) });
        }
    }

    fn notify(&self, notify: Option<Notify>, what: &'static str) {
        match notify {
            Some(Notify::Driver(Some(callback), context)) => {
                // SAFETY: the driver's callback with its queue and context.
                self.locked(what, || unsafe { callback(self.raw(), context) });
            }
            Some(Notify::Event(event)) => event.set(),
            Some(Notify::Driver(None, _)) | None => {}
        }
    }

    /// The callback for the request's type, else EvtIoDefault, else STATUS_INVALID_DEVICE_REQUEST.
    fn call_io(&self, request: &Arc<Request>) {
        let Some(irp) = request.inner.with(|known| known.irp) else { return };
        let location = irp.current();
        // SAFETY: a received request's IRP, at its own location.
        let (major, control) = unsafe { ((*location).MajorFunction, (*location).Parameters.DeviceIoControl) };
        let (queue, raw) = (self.raw(), request.raw());
        let (output, input) = (control.OutputBufferLength as usize, control.InputBufferLength as usize);
        let (callback, what) = match major {
            MJ_DEVICE_CONTROL => (self.config.EvtIoDeviceControl, "EvtIoDeviceControl"),
            MJ_INTERNAL_DEVICE_CONTROL => {
                (self.config.EvtIoInternalDeviceControl, "EvtIoInternalDeviceControl")
            }
            _ => (None, ""),
        };
        if let Some(callback) = callback {
            // SAFETY: the driver's callback with its queue and a request that is its own now.
            self.locked(what, || unsafe { callback(queue, raw, output, input, control.IoControlCode) });
            return;
        }
        let transfer = match major {
            MJ_READ => (self.config.EvtIoRead, "EvtIoRead"),
            MJ_WRITE => (self.config.EvtIoWrite, "EvtIoWrite"),
            _ => (None, ""),
        };
        if let (Some(callback), what) = transfer {
            // SAFETY: as above.
            self.locked(what, || unsafe { callback(queue, raw, output) });
        } else if let Some(callback) = self.config.EvtIoDefault {
            // SAFETY: as above.
            self.locked("EvtIoDefault", || unsafe { callback(queue, raw) });
        } else {
            request.complete("queue without a callback", STATUS_INVALID_DEVICE_REQUEST, Some(0));
        }
    }
}
