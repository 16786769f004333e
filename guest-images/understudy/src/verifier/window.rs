//! Named windows: points of the frameworks at which a thread can be held, so that a race stays open on purpose.
//!
//! A held window stops the next thread that comes there, or, as `NAME@WHOSE`, the next one that comes there with an
//! object of that driver (`wdf.` windows: its service) or for that packet queue (`netcx.` windows: `tx0`, `rx0`); later
//! ones pass.
//! A window lies where the real framework holds no lock and may lose the processor. At DISPATCH_LEVEL the only processor
//! cannot wait: whoever comes there above PASSIVE_LEVEL passes, and the time line says so.

use super::{owners, trace};
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Irql};
use crate::mm::Owner;
use alloc::{format, string::String};
use core::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// One window.
pub(crate) struct Window {
    name: &'static str,
    /// Held, and nobody has come yet.
    armed: AtomicBool,
    /// Whose object, or which queue, it must be; empty: any.
    whose: IrqLock<String>,
    gate: Event,
}

/// WdfRequestSend: the request's count is 1, its mark has not been looked at.
pub(crate) static SEND_COUNTED: Window = Window::new("wdf.send.counted");
/// WdfRequestSend: the request is on the target's list with its count at 1, IoCallDriver has not been called.
pub(crate) static SEND_SUBMITTED: Window = Window::new("wdf.send.submitted");
/// WdfRequestCancelSentRequest: the request is flagged, the count has not been looked at.
pub(crate) static CANCEL_FLAGGED: Window = Window::new("wdf.cancel.flagged");
/// WdfRequestCancelSentRequest: the canceller holds a count, IoCancelIrp has not been called.
pub(crate) static CANCEL_COUNTED: Window = Window::new("wdf.cancel.counted");
/// WdfRequestCancelSentRequest: IoCancelIrp has returned, the canceller still holds its count.
pub(crate) static CANCEL_IRP_DONE: Window = Window::new("wdf.cancel.irp-cancelled");
/// IoCancelIrp has taken the cancel routine of a request in a queue or marked cancelable; it has not found its queue.
pub(crate) static CANCEL_ROUTINE: Window = Window::new("wdf.cancel.routine-taken");
/// WdfRequestMarkCancelable(Ex): nothing is set yet.
pub(crate) static MARK_ENTERED: Window = Window::new("wdf.mark.entered");
/// WdfRequestMarkCancelable(Ex): the cancel routine is set, the IRP's Cancel has not been read again.
pub(crate) static MARK_ROUTINE_SET: Window = Window::new("wdf.mark.routine-set");
/// WdfRequestComplete: the request is taken from the driver, IoCompleteRequest has not been called.
pub(crate) static COMPLETE_ENTERED: Window = Window::new("wdf.complete.entered");
/// The sender's completion: the IRP is back and its count is down, the completion routine has not run.
pub(crate) static COMPLETE_BEFORE_ROUTINE: Window = Window::new("wdf.complete.before-routine");
/// A request has left its queue and is the driver's, EvtIo... has not been called.
pub(crate) static QUEUE_BEFORE_PRESENT: Window = Window::new("wdf.queue.before-present");
/// Power down: every power-managed queue has stopped dispatching, the first EvtIoStop has not been called.
pub(crate) static POWER_HOLDING: Window = Window::new("wdf.power.holding");

/// The last EvtAdvance has moved nothing, EvtSetNotificationEnabled has not been called.
pub(crate) static NETCX_ARM_BEFORE: Window = Window::new("netcx.arm.before");
/// EvtSetNotificationEnabled has returned, the queue has not gone to sleep.
pub(crate) static NETCX_ARM_AFTER: Window = Window::new("netcx.arm.after");

/// NdisCancelSendNetBufferLists: the lists are marked in the books, FilterCancelSendNetBufferLists has not been called.
pub(crate) static NDIS_CANCEL_BEFORE_FILTER: Window = Window::new("ndis.cancel.before-filter");
/// The filter has passed a cancel on, and its handler or control request goes on.
pub(crate) static NDIS_CANCEL_PASSED_ON: Window = Window::new("ndis.cancel.passed-on");
/// Lists have come back to a filter module, FilterSendNetBufferListsComplete has not been called.
pub(crate) static NDIS_COMPLETE_BEFORE_FILTER: Window = Window::new("ndis.complete.before-filter");
/// The module is Pausing, FilterPause has not been called.
pub(crate) static NDIS_PAUSE_BEFORE_FILTER: Window = Window::new("ndis.pause.before-filter");
/// Every filter module is Paused, the data path below still runs.
pub(crate) static NDIS_PAUSE_FILTERS_PAUSED: Window = Window::new("ndis.pause.filters-paused");
/// Nothing reaches the module any more, FilterDetach has not been called.
pub(crate) static NDIS_DETACH_BEFORE_FILTER: Window = Window::new("ndis.detach.before-filter");

static ALL: [&Window; 20] = [
    &SEND_COUNTED,
    &SEND_SUBMITTED,
    &CANCEL_FLAGGED,
    &CANCEL_COUNTED,
    &CANCEL_IRP_DONE,
    &CANCEL_ROUTINE,
    &MARK_ENTERED,
    &MARK_ROUTINE_SET,
    &COMPLETE_ENTERED,
    &COMPLETE_BEFORE_ROUTINE,
    &QUEUE_BEFORE_PRESENT,
    &POWER_HOLDING,
    &NETCX_ARM_BEFORE,
    &NETCX_ARM_AFTER,
    &NDIS_CANCEL_BEFORE_FILTER,
    &NDIS_CANCEL_PASSED_ON,
    &NDIS_COMPLETE_BEFORE_FILTER,
    &NDIS_PAUSE_BEFORE_FILTER,
    &NDIS_PAUSE_FILTERS_PAUSED,
    &NDIS_DETACH_BEFORE_FILTER,
];

impl Window {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            armed: AtomicBool::new(false),
            whose: IrqLock::new(String::new()),
            gate: Event::manual(),
        }
    }

    /// Waits if the window is held, whoever it is for. Any IRQL up to DISPATCH_LEVEL.
    pub(crate) fn pass(&self) {
        self.pass_for(Owner::UNDERSTUDY);
    }

    /// Waits if the window is held for an object of this driver. Any IRQL up to DISPATCH_LEVEL.
    pub(crate) fn pass_for(&self, owner: Owner) {
        if self.armed.load(Relaxed) {
            self.pass_as(owners::service_name(owner));
        }
    }

    /// Whether the next thread that comes there for `whose` has to wait.
    pub(crate) fn is_held_for(&self, whose: &str) -> bool {
        self.armed.load(Relaxed)
            && self.whose.with(|wanted| wanted.is_empty() || wanted.eq_ignore_ascii_case(whose))
    }

    /// Waits if the window is held for `whose`: a service, or a packet queue. Any IRQL up to DISPATCH_LEVEL.
    pub(crate) fn pass_as(&self, whose: &str) {
        if !self.is_held_for(whose) {
            return;
        }
        let irql = crate::ke::irql();
        if irql != Irql::PASSIVE {
            trace::note("window", &format!("passed {} at IRQL {irql}", self.name));
            return;
        }
        if self.armed.swap(false, Relaxed) {
            trace::note("window", &format!("held at {}", self.name));
            self.gate.wait();
            trace::note("window", &format!("released from {}", self.name));
        }
    }
}

/// The window of that name, and the service or queue after its `@`.
fn find(name: &str) -> Result<(&'static Window, &str), String> {
    let (name, whose) = name.split_once('@').unwrap_or((name, ""));
    let found = ALL.iter().copied().find(|window| window.name == name);
    found.map(|window| (window, whose)).ok_or_else(|| {
        let names = ALL.iter().fold(String::new(), |names, window| format!("{names} {}", window.name));
        format!("no window {name:?}; there are:{names}")
    })
}

/// Holds a window: the next thread that comes there waits.
///
/// # Errors
/// There is no such window; those there are follow.
pub(crate) fn hold(name: &str) -> Result<(), String> {
    let (window, whose) = find(name)?;
    let whose = String::from(whose);
    let old = window.whose.with(|wanted| core::mem::replace(wanted, whose));
    drop(old);
    window.gate.reset();
    window.armed.store(true, Relaxed);
    Ok(())
}

/// Opens a window: whoever waits goes on, later ones pass.
///
/// # Errors
/// As [`hold`].
pub(crate) fn release(name: &str) -> Result<(), String> {
    let (window, _) = find(name)?;
    window.armed.store(false, Relaxed);
    window.gate.set();
    Ok(())
}
