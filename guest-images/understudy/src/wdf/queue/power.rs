//! Power transitions of queues: EvtIoStop and EvtIoResume, and the orders in which a device's queues go through them.
//!
//! Rules: RQ26 to RQ30 (`driver/docs/requests.md`).

use super::object::Queue;
use crate::verifier::trace;
use crate::verifier::window;
use crate::wdf::device::Device;
use crate::wdf::object;
use crate::wdf::request::{Place, Request};
use alloc::{sync::Arc, vec::Vec};
use understudy_rules::wdf::queue_state::Power;

/// WdfRequestStopActionSuspend, -Purge, WdfRequestStopRequestCancelable.
const SUSPEND: u32 = 1;
const PURGE: u32 = 2;
const CANCELABLE: u32 = 0x1000_0000;

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Went {
    /// Something was done: look again.
    On,
    /// Nothing, until somebody completes a request or asks for a step.
    Waits,
    /// Nothing, while another thread is in the dispatch loop.
    NotAlone,
}

impl Queue {
    /// One step of the transition.
    pub(crate) fn power_step(self: &Arc<Self>) -> Went {
        match self.inner.with(|inner| inner.power) {
            Power::On | Power::Off => Went::Waits,
            Power::Starting => {
                if self.inner.with(|inner| inner.dispatching != 1) {
                    return Went::NotAlone;
                }
                self.power_idle.set();
                Went::Waits
            }
            from @ Power::Stopping => self.begin(from, Power::StoppingNotifying),
            from @ Power::Purge => self.begin(from, Power::PurgeNotifying),
            from @ Power::Restarting => self.begin(from, Power::RestartingNotifying),
            Power::StoppingNotifying => self.stop_one(SUSPEND, Power::StoppingNotified),
            Power::PurgeNotifying => self.stop_one(PURGE, Power::PurgeNotified),
            Power::RestartingNotifying => self.resume_one(),
            Power::StoppingNotified | Power::PurgeNotified => self.settle_answers(),
            Power::RestartingNotified => {
                self.inner.with(|inner| inner.power = Power::On);
                Went::On
            }
        }
    }

    /// All that the driver has is to be told of, once.
    fn begin(&self, from: Power, to: Power) -> Went {
        self.inner.with(|inner| {
            if inner.power == from {
                inner.to_notify = core::mem::take(&mut inner.owned);
                inner.power = to;
            }
        });
        Went::On
    }

    /// EvtIoStop of the next request.
    fn stop_one(&self, action: u32, after: Power) -> Went {
        let taken = self.inner.with(|inner| {
            let request = inner.to_notify.pop_front();
            match &request {
                Some(request) => inner.notified.push_back(request.clone()),
                None => inner.power = after,
            }
            request
        });
        let Some(request) = taken else { return Went::On };
        let (cancelable, cancelled) = request.inner.with(|known| {
            known.acknowledged = None;
            (known.cancelable, known.recall.is_canceled())
        });
        // a request that is marked as cancelled is skipped; the queue waits for it all the same
        if let Some(callback) = self.config.EvtIoStop.filter(|_| !cancelled) {
            let flags = action | if cancelable { CANCELABLE } else { 0 };
            let what = if action == SUSPEND { "EvtIoStop(Suspend)" } else { "EvtIoStop(Purge)" };
            object::hold(request.handle());
            request.inner.with(|known| known.in_stop = true);
            // SAFETY: the driver's callback with its queue and a request that is its own; the framework holds it.
            self.call(what, || unsafe { callback(self.raw(), request.raw(), flags) });
            request.inner.with(|known| known.in_stop = false);
            object::release(request.handle());
        }
        Went::On
    }

    /// EvtIoResume of the next request.
    fn resume_one(&self) -> Went {
        let taken = self.inner.with(|inner| {
            let request = inner.to_notify.pop_front();
            match &request {
                Some(request) => inner.owned.push_back(request.clone()),
                None => inner.power = Power::RestartingNotified,
            }
            request
        });
        let Some(request) = taken else { return Went::On };
        let cancelled = request.inner.with(|known| known.recall.is_canceled());
        if let Some(callback) = self.config.EvtIoResume.filter(|_| !cancelled) {
            object::hold(request.handle());
            // SAFETY: as above.
            self.call("EvtIoResume", || unsafe { callback(self.raw(), request.raw()) });
            object::release(request.handle());
        }
        Went::On
    }

    fn call(&self, what: &'static str, callback: impl FnOnce()) {
        match &self.lock {
            Some(lock) => lock.with(|| trace::callback(self.label(), what, callback)),
            None => trace::callback(self.label(), what, callback),
        }
    }

    /// What the driver said in EvtIoStop takes effect; the queue is off once nothing is left without an answer.
    fn settle_answers(self: &Arc<Self>) -> Went {
        let mut went = Went::Waits;
        while let Some((request, requeue)) = self.next_answer() {
            went = Went::On;
            self.inner.with(|inner| {
                inner.notified.retain(|known| !Arc::ptr_eq(known, &request));
                inner.owned.push_back(request.clone());
            });
            if requeue {
                self.requeue(&request);
            }
        }
        self.inner.with(|inner| {
            if !inner.notified.is_empty() {
                return went;
            }
            if inner.dispatching != 1 {
                return if went == Went::On { went } else { Went::NotAlone };
            }
            inner.power = Power::Off;
            self.power_idle.set();
            Went::On
        })
    }

    fn next_answer(&self) -> Option<(Arc<Request>, bool)> {
        self.inner.with(|inner| {
            inner.notified.iter().find_map(|request| {
                let answer = request.inner.with(|known| known.acknowledged.take())?;
                Some((request.clone(), answer))
            })
        })
    }

    /// The driver gives a request back: to the head of the queue, or, cancelled meanwhile, as a cancelled one.
    pub(crate) fn requeue(self: &Arc<Self>, request: &Arc<Request>) {
        let purged = self.inner.with(|inner| {
            self.take_from_driver(inner, request);
            inner.cancel_dispatched
        });
        let Some(irp) = request.inner.with(|known| {
            known.place = Place::Queued;
            known.irp
        }) else {
            return;
        };
        if purged || !self.insert(request, irp, true) {
            self.cancel_for_queue(request);
        }
    }

    fn transition(self: &Arc<Self>, power: Power) {
        self.power_idle.reset();
        self.inner.with(|inner| inner.power = power);
        if self.run(None) {
            let rule = if power == Power::Purge { "RequestNeverCompleted" } else { "StopNotAcknowledged" };
            self.wait(&self.power_idle, rule, "power transition of a WDFQUEUE");
        }
    }

    fn is_on(&self) -> bool {
        self.inner.with(|inner| inner.power == Power::On)
    }
}

fn managed(device: &Device, managed: bool) -> Vec<Arc<Queue>> {
    device.queues().into_iter().filter(|queue| queue.power_managed == managed).collect()
}

/// The way to D3: every power-managed queue stops dispatching, then each goes through EvtIoStop(Suspend) and waits.
/// PASSIVE_LEVEL.
pub(crate) fn hold(device: &Device) {
    let queues: Vec<Arc<Queue>> = managed(device, true).into_iter().filter(|queue| queue.is_on()).collect();
    for queue in &queues {
        queue.transition(Power::Starting);
    }
    window::POWER_HOLDING.pass_for(device.bus.service().owner);
    for queue in &queues {
        queue.transition(Power::Stopping);
    }
}

/// The way to D0: EvtIoResume on every power-managed queue, then each dispatches. PASSIVE_LEVEL.
pub(crate) fn resume(device: &Device) {
    let queues = managed(device, true);
    for queue in queues.iter().filter(|queue| !queue.is_on()) {
        queue.inner.with(|inner| inner.power = Power::Restarting);
        queue.run(None);
    }
    for queue in &queues {
        queue.inner.with(super::object::Inner::look_for_requests);
        queue.run(None);
    }
}

/// Removal: the queues are purged, then the driver hears EvtIoStop(Purge) of what it still has. PASSIVE_LEVEL.
pub(crate) fn purge(device: &Device, power_managed: bool) {
    for queue in managed(device, power_managed) {
        if queue.purge(true, None).is_ok() {
            queue.transition(Power::Purge);
        }
    }
}
