//! Submitting: a request goes down, waits in a stopped target, or does not go at all.

use super::{Inner, State, Target};
use crate::io::{Irp, STATUS_CANCELLED, STATUS_INVALID_DEVICE_STATE};
use crate::ke::Irql;
use crate::verifier::{violation, window};
use crate::wdf::request::{Request, of_context, send};
use alloc::{format, sync::Arc};
use understudy_rules::wdf::recall::Submit;
use wdk_offline::{DEVICE_OBJECT, IRP, NTSTATUS};

/// The request waits in a stopped target.
const STATUS_WDF_QUEUED: NTSTATUS = 0x4020_0000;

/// What a request that is to be submitted finds.
#[derive(Clone, Copy)]
enum Way {
    Send,
    Park,
    Refuse,
}

/// What became of a request that was to be submitted.
enum Listed {
    /// It goes to this device.
    Send(*mut DEVICE_OBJECT),
    /// It waits in the stopped target.
    Parked,
    /// It does not go down, and the sender learns it here.
    Refused,
    /// It does not go down, and a canceller completes it.
    CancellerCompletes,
}

impl Target {
    fn way(inner: &Inner, ignore: bool) -> Way {
        let closed = matches!(inner.state, State::Deleted | State::Closed | State::ClosedForQueryRemove);
        match inner.state {
            _ if ignore && (!closed || inner.removing) => Way::Send,
            State::Started => Way::Send,
            State::Stopped if !ignore => Way::Park,
            _ => Way::Refuse,
        }
    }

    /// Sends or parks a formatted request: the count before the mark. `true`: it will come to its completion routine,
    /// if it has not already; `false`: the IRP's status says why not. Up to DISPATCH_LEVEL.
    pub(crate) fn submit(
        self: &Arc<Self>,
        request: &Arc<Request>,
        irp: Irp,
        ignore: bool,
        timeout: i64,
    ) -> bool {
        if matches!(self.inner.with(|inner| Self::way(inner, ignore)), Way::Refuse) {
            irp.set_status(STATUS_INVALID_DEVICE_STATE, 0);
            return false;
        }
        let raised = request.inner.with(|known| {
            known.target = Some(self.clone());
            known.ignores_state = ignore;
            known.recall.raise()
        });
        if !raised {
            violation(
                "RequestAlreadySent",
                6,
                3,
                format!("WdfRequestSend: WDFREQUEST {:#x}", request.handle()),
            );
        }
        self.inner.with(|inner| inner.io += 1);
        self.idle.reset();
        if timeout != 0 {
            send::make_timer(request);
        }
        window::SEND_COUNTED.pass_for(self.owner);
        let listed = request.clone();
        match self.inner.with(|inner| Self::list(inner, listed, irp, ignore, timeout)) {
            Listed::Send(to) => {
                send::send_now(request, irp, to);
                true
            }
            Listed::Parked | Listed::CancellerCompletes => true,
            Listed::Refused => {
                request.inner.with(|known| known.target = None);
                self.settle();
                false
            }
        }
    }

    /// Enters a request whose count is 1 into the target's lists, under the target's lock: nobody starts or stops it
    /// meanwhile. Whoever is to complete the request finds its status once the count has been dropped.
    fn list(inner: &mut Inner, request: Arc<Request>, irp: Irp, ignore: bool, timeout: i64) -> Listed {
        let way = Self::way(inner, ignore);
        let marked = request.inner.with(|known| {
            if known.recall.is_canceled() {
                irp.set_status(STATUS_CANCELLED, 0);
            } else if matches!(way, Way::Refuse) {
                irp.set_status(STATUS_INVALID_DEVICE_STATE, 0);
            }
            known.recall.look()
        });
        let dropped = |last| if last { Listed::Refused } else { Listed::CancellerCompletes };
        match (marked, way) {
            (Submit::Refused, _) => return Listed::Refused,
            (Submit::CancellerCompletes, _) => return Listed::CancellerCompletes,
            (Submit::Go, Way::Refuse) => return dropped(request.inner.with(|known| known.recall.release())),
            (Submit::Go, Way::Send | Way::Park) => {}
        }
        if timeout != 0 {
            send::start_timer(&request, timeout);
        }
        match way {
            Way::Park => {
                // the cancel routine wants a current location
                irp.set_next();
                irp.set_context(request.handle());
                irp.set_status(STATUS_WDF_QUEUED, 0);
                request.inner.with(|known| known.parked = true);
                inner.parked.push_back(request.clone());
                if Request::arm(irp, cancelled_in_target) {
                    return Listed::Parked;
                }
                inner.parked.pop_back();
                irp.skip_current();
                irp.set_status(STATUS_CANCELLED, 0);
                dropped(request.inner.with(|known| {
                    known.parked = false;
                    known.recall.stop_timer();
                    known.recall.release()
                }))
            }
            _ => {
                if ignore {
                    inner.ignoring.push(request)
                } else {
                    inner.sent.push(request)
                }
                Listed::Send(inner.to)
            }
        }
    }
}

/// Cancel routine of a parked request. Comes with the cancel spin lock held.
unsafe extern "win64" fn cancelled_in_target(_device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: the IRP cannot be completed before whoever took its cancel routine lets it.
    let (irql, irp) = (Irql::new(unsafe { (*irp).CancelIrql }), Irp::from_raw(irp, "cancel routine"));
    crate::io::irp::release_cancel_lock(irql);
    let Some(request) = of_context(irp.context()) else { return };
    let Some(target) = request.inner.with(|known| known.target.clone()) else { return };
    target.unpark(&request, irp);
    irp.set_status(STATUS_CANCELLED, 0);
    request.inner.with(|known| known.recall.stop_timer());
    // else whoever recalled it completes it, before the call returns
    if request.inner.with(|known| known.recall.release()) {
        request.finish_send(&target);
    }
}
