//! WDFIOTARGET: where a driver sends its requests, with those sent and those parked. Remote ones are made, opened and
//! closed by the driver; the local one, the next lower device of its stack, is there from the device's creation on.
//!
//! Rules: RQ32 to RQ39 (`driver/docs/requests.md`).

pub(crate) mod api;
pub(crate) mod pnp;
mod submit;

use super::object::{self, Attributes, Typed};
use super::request::Request;
use crate::io::file::File;
use crate::io::{Irp, STATUS_CANCELLED, STATUS_INVALID_DEVICE_STATE, device};
use crate::ke::Event;
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use crate::verifier::violation;
use alloc::{collections::VecDeque, format, sync::Arc, sync::Weak, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    DEVICE_OBJECT, FILE_OBJECT, NTSTATUS, STATUS_SUCCESS, WDF_IO_TARGET_OPEN_PARAMS, WDFIOTARGET,
};

/// WDF_IO_TARGET_STATE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(i32)]
enum State {
    /// Requests are sent.
    Started = 1,
    /// Requests are parked.
    Stopped = 2,
    /// Closed while its device may be removed.
    ClosedForQueryRemove = 3,
    /// Not open.
    Closed = 4,
    /// About to go.
    Deleted = 5,
    /// Requests are refused.
    Purged = 6,
}

/// The request was parked when its target was purged or closed.
const STATUS_WDF_DEVICE_REMOVED_NOT_SENT: NTSTATUS = 0xC020_0206_u32 as i32;
/// How long a wait for sent requests may take, in microseconds: the framework itself waits for ever.
const DRAIN_BOUND_US: u64 = 10_000_000;

struct Inner {
    state: State,
    /// Null while it is not open.
    to: *mut DEVICE_OBJECT,
    file: Option<Arc<File>>,
    file_object: *mut FILE_OBJECT,
    sent: Vec<Arc<Request>>,
    /// Sent with IGNORE_TARGET_STATE: neither Stop nor Purge touches them.
    ignoring: Vec<Arc<Request>>,
    parked: VecDeque<Arc<Request>>,
    /// A Stop, Purge or Close waits for the sent ones.
    waiting: bool,
    /// A Close is under way: it waits for the ignoring ones too.
    removing: bool,
    /// Requests that have not been through their completion.
    io: u32,
    params: WDF_IO_TARGET_OPEN_PARAMS,
}

// SAFETY: addresses of device and file objects; the parameters hold function pointers of the driver.
unsafe impl Send for Inner {}

/// An I/O target.
pub(crate) struct Target {
    handle: AtomicU64,
    owner: Owner,
    /// The next lower device of the driver's own stack.
    pub local: bool,
    inner: IrqLock<Inner>,
    /// Set when those that are waited for are back.
    drained: Event,
    /// Set while no request is with it.
    idle: Event,
}

impl Typed for Target {
    const KIND: &'static str = "WDFIOTARGET";

    fn require_deletable(&self, raw: u64, function: &str) {
        if self.local {
            violation("ObjectNotDeletable", 3, raw, format!("{function} of the device's own WDFIOTARGET"));
        }
        crate::verifier::require_irql(function, Irql::PASSIVE);
    }

    fn dispose(self: Arc<Self>) {
        self.close(State::Deleted);
        if !self.idle.wait_timeout(DRAIN_BOUND_US) {
            violation(
                "SentRequestNotReturned",
                6,
                self.handle.load(Relaxed),
                "a WDFIOTARGET goes, and a request has not been through its completion".into(),
            );
        }
        TARGETS.with(|targets| targets.retain(|known| !core::ptr::eq(known.as_ptr(), Arc::as_ptr(&self))));
    }
}

/// Every target that is not deleted.
static TARGETS: IrqLock<Vec<Weak<Target>>> = IrqLock::new(Vec::new());

impl Target {
    /// A closed target, below `parent`, or one that is started on the next lower device. PASSIVE_LEVEL.
    fn make(
        function: &str,
        owner: Owner,
        parent: Handle,
        attributes: Attributes,
        lower: Option<*mut DEVICE_OBJECT>,
    ) -> Arc<Self> {
        let made = Arc::new(Self {
            handle: AtomicU64::new(0),
            owner,
            local: lower.is_some(),
            inner: IrqLock::new(Inner {
                state: if lower.is_some() { State::Started } else { State::Closed },
                to: lower.unwrap_or(core::ptr::null_mut()),
                file: None,
                file_object: core::ptr::null_mut(),
                sent: Vec::new(),
                ignoring: Vec::new(),
                parked: VecDeque::new(),
                waiting: false,
                removing: false,
                io: 0,
                params: WDF_IO_TARGET_OPEN_PARAMS::default(),
            }),
            drained: Event::manual(),
            idle: Event::manual(),
        });
        made.idle.set();
        made.drained.set();
        let handle = object::create(function, made.clone(), Some(parent), attributes);
        made.handle.store(handle.raw(), Relaxed);
        TARGETS.with(|targets| targets.push(Arc::downgrade(&made)));
        made
    }

    /// Its handle as callbacks get it.
    pub(crate) fn raw(&self) -> WDFIOTARGET {
        self.handle.load(Relaxed) as WDFIOTARGET
    }

    /// Stack locations that a request for it needs; 1 while it is not open.
    pub(crate) fn stack_size(&self) -> u8 {
        let to = self.inner.with(|inner| inner.to);
        if to.is_null() { 1 } else { device::stack_size(to) }
    }

    /// The file that it has opened, or was given.
    pub(crate) fn file_object(&self) -> *mut FILE_OBJECT {
        self.inner.with(|inner| inner.file_object)
    }

    /// The device, if requests are being sent.
    pub(crate) fn started_device(&self) -> Option<*mut DEVICE_OBJECT> {
        self.inner.with(|inner| (inner.state == State::Started).then_some(inner.to))
    }

    /// Takes a request off the parked ones.
    fn unpark(&self, request: &Arc<Request>, irp: Irp) {
        self.inner.with(|inner| inner.parked.retain(|known| !Arc::ptr_eq(known, request)));
        request.inner.with(|known| known.parked = false);
        irp.skip_current();
    }

    /// A request is back: it is taken off the lists and goes through its completion routine; whoever waits for those that
    /// are out hears of the last one after that.
    pub(crate) fn take_back(self: &Arc<Self>, request: &Arc<Request>) {
        let last = self.inner.with(|inner| {
            inner.sent.retain(|known| !Arc::ptr_eq(known, request));
            inner.ignoring.retain(|known| !Arc::ptr_eq(known, request));
            if inner.removing {
                inner.removing = !inner.sent.is_empty() || !inner.ignoring.is_empty();
                return !inner.removing;
            }
            let ignoring = request.inner.with(|known| known.ignores_state);
            let last = inner.waiting && !ignoring && inner.sent.is_empty();
            inner.waiting &= !last;
            last
        });
        request.finish_send(self);
        if last {
            self.drained.set();
        }
    }

    /// The canceller was the last to hold the request: it completes it, in its own thread.
    pub(crate) fn complete_recalled(self: &Arc<Self>, request: &Arc<Request>) {
        request.inner.with(|known| known.recall.stop_timer());
        self.take_back(request);
    }

    /// A request has been through its completion.
    pub(crate) fn settle(&self) {
        let idle = self.inner.with(|inner| {
            inner.io = inner.io.saturating_sub(1);
            inner.io == 0
        });
        if idle {
            self.idle.set();
        }
    }

    /// Takes the next parked request that no canceller has.
    fn next_parked(&self) -> Option<(Arc<Request>, Irp)> {
        let count = self.inner.with(|inner| inner.parked.len());
        let all: Vec<Arc<Request>> =
            (0..count).filter_map(|at| self.inner.with(|inner| inner.parked.get(at).cloned())).collect();
        all.into_iter().find_map(|request| {
            let irp = request.inner.with(|known| known.irp)?;
            Request::disarm(irp).then(|| {
                self.unpark(&request, irp);
                request.inner.with(|known| known.recall.stop_timer());
                (request, irp)
            })
        })
    }

    /// Completes the parked ones, as Purge and Close do before anything else.
    fn fail_parked(self: &Arc<Self>) {
        while let Some((request, irp)) = self.next_parked() {
            irp.set_status(STATUS_WDF_DEVICE_REMOVED_NOT_SENT, 0);
            if request.inner.with(|known| known.recall.release()) {
                request.finish_send(self);
            }
        }
    }

    fn cancel_all(requests: &[Arc<Request>]) {
        for request in requests {
            let handle = request.handle();
            object::hold(handle);
            request.recall();
            object::release(handle);
        }
    }

    fn wait_drained(&self, function: &str) {
        if !self.drained.wait_timeout(DRAIN_BOUND_US) {
            let left = self.inner.with(|inner| inner.sent.len() + inner.ignoring.len());
            violation(
                "SentRequestNotReturned",
                6,
                self.handle.load(Relaxed),
                format!(
                    "{function}: {left} sent requests have not come back after {} s",
                    DRAIN_BOUND_US / 1_000_000
                ),
            );
        }
    }

    /// WdfIoTargetStart.
    fn start(self: &Arc<Self>) -> NTSTATUS {
        if self.inner.with(|inner| inner.waiting) {
            self.wait_drained("WdfIoTargetStart");
        }
        let started = self.inner.with(|inner| {
            let open = !inner.to.is_null() && inner.state != State::Deleted;
            if open {
                inner.state = State::Started;
            }
            open
        });
        if !started {
            return STATUS_INVALID_DEVICE_STATE;
        }
        // all of them first: who stops the target meanwhile parks them again
        let parked: Vec<(Arc<Request>, Irp)> = core::iter::from_fn(|| self.next_parked()).collect();
        for (request, irp) in parked {
            let ours = request.inner.with(|known| {
                if known.recall.is_canceled() {
                    irp.set_status(STATUS_CANCELLED, 0);
                }
                known.recall.release()
            });
            // else a canceller holds it, and completes it
            if !ours {
                continue;
            }
            if self.submit(&request, irp, false, 0) {
                self.settle();
            } else {
                request.finish_send(self);
            }
        }
        STATUS_SUCCESS
    }

    /// WdfIoTargetStop: 1 cancels the sent requests and waits, 2 waits, 3 leaves them.
    fn stop(self: &Arc<Self>, action: i32) {
        self.inner.with(|inner| {
            if matches!(inner.state, State::Started | State::Purged) {
                inner.state = State::Stopped;
            }
        });
        let sent = if action == 1 { self.copy_sent(false) } else { Vec::new() };
        let wait = self.inner.with(|inner| self.begin_wait(inner, action != 3));
        Self::cancel_all(&sent);
        if wait {
            self.wait_drained("WdfIoTargetStop");
        }
    }

    /// A wait for the sent ones begins, if it is `wanted` and there are any, or somebody waits already. One that is not
    /// wanted ends another's, as in the framework.
    fn begin_wait(&self, inner: &mut Inner, wanted: bool) -> bool {
        inner.waiting = wanted && (!inner.sent.is_empty() || inner.waiting);
        if inner.waiting {
            self.drained.reset();
        } else {
            self.drained.set();
        }
        inner.waiting
    }

    fn copy_sent(&self, ignoring: bool) -> Vec<Arc<Request>> {
        let count = self.inner.with(|inner| inner.sent.len() + inner.ignoring.len());
        let mut all = Vec::with_capacity(count);
        self.inner.with(|inner| {
            all.extend(inner.sent.iter().cloned());
            if ignoring {
                all.extend(inner.ignoring.iter().cloned());
            }
        });
        all
    }

    /// WdfIoTargetPurge: the parked ones first, then the sent ones are cancelled.
    fn purge(self: &Arc<Self>, wait: bool) {
        self.inner.with(|inner| {
            if matches!(inner.state, State::Started | State::Stopped) {
                inner.state = State::Purged;
            }
        });
        let sent = self.copy_sent(false);
        let wait = self.inner.with(|inner| self.begin_wait(inner, wait));
        self.fail_parked();
        Self::cancel_all(&sent);
        if wait {
            self.wait_drained("WdfIoTargetPurge");
        }
    }

    /// Close, for good or for a removal in question, or deletion: parked, sent, wait, then the file.
    fn close(self: &Arc<Self>, state: State) {
        if self.inner.with(|inner| inner.waiting) {
            self.wait_drained("WdfIoTargetClose");
        }
        let wait = self.inner.with(|inner| {
            inner.state = state;
            inner.removing = !inner.sent.is_empty() || !inner.ignoring.is_empty();
            if inner.removing {
                self.drained.reset();
            }
            inner.removing
        });
        let sent = self.copy_sent(true);
        self.fail_parked();
        Self::cancel_all(&sent);
        if wait {
            self.wait_drained("WdfIoTargetClose");
        }
        let file = self.inner.with(|inner| {
            inner.to = core::ptr::null_mut();
            inner.file_object = core::ptr::null_mut();
            inner.file.take()
        });
        if let Some(file) = file {
            file.close();
        }
    }

    fn label(&self) -> &'static str {
        crate::verifier::owners::label(self.owner)
    }
}

/// The target of a new device for the next lower one of its stack; its handle.
pub(crate) fn create_local(device: Handle, lower: *mut DEVICE_OBJECT) -> u64 {
    const FUNCTION: &str = "WdfDeviceCreate";
    let owner = object::owner(device.raw(), FUNCTION);
    Target::make(FUNCTION, owner, device, Attributes::NONE, Some(lower)).handle.load(Relaxed)
}

/// The target behind a handle that a driver passes.
pub(crate) fn get(handle: WDFIOTARGET, function: &str) -> Arc<Target> {
    object::get_ptr::<Target, _>(handle, function)
}
