//! WDFIOTARGET: where a driver sends its requests, with those sent and those parked. Remote ones are made, opened and
//! closed by the driver; the local one, the next lower device of its stack, is there from the device's creation on.

pub(crate) mod api;
pub(crate) mod pnp;

use super::object::{self, Attributes, Payload, violation};
use super::recall::Submit;
use super::request::{Request, send};
use super::table::Handle;
use crate::io::file::File;
use crate::io::{Irp, STATUS_CANCELLED, STATUS_INVALID_DEVICE_STATE, device};
use crate::ke::Event;
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use crate::window;
use alloc::{collections::VecDeque, format, sync::Arc, sync::Weak, vec::Vec};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wdk_offline::{
    DEVICE_OBJECT, FILE_OBJECT, IRP, NTSTATUS, STATUS_SUCCESS, WDF_IO_TARGET_OPEN_PARAMS, WDFIOTARGET,
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

/// The request waits in a stopped target.
const STATUS_WDF_QUEUED: NTSTATUS = 0x4020_0000;
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
    /// A Stop, Purge or Close waits for the sent ones; a Close also for the ignoring ones.
    waiting: bool,
    removing: bool,
    /// Requests that have not been through their completion.
    io: u32,
    params: WDF_IO_TARGET_OPEN_PARAMS,
}

// SAFETY: addresses of device and file objects; the parameters hold function pointers of the driver.
unsafe impl Send for Inner {}

/// An I/O target.
pub struct Target {
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

/// Every target that is not deleted.
static TARGETS: IrqLock<Vec<Weak<Target>>> = IrqLock::new(Vec::new());

/// What a request that is to be submitted finds.
enum Way {
    Send,
    Park,
    Refuse,
}

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
        let handle = object::create(function, Payload::IoTarget(made.clone()), Some(parent), attributes);
        made.handle.store(handle.raw(), Relaxed);
        TARGETS.with(|targets| targets.push(Arc::downgrade(&made)));
        made
    }

    /// Its handle as callbacks get it.
    pub fn raw(&self) -> WDFIOTARGET {
        self.handle.load(Relaxed) as WDFIOTARGET
    }

    /// Stack locations that a request for it needs; 1 while it is not open.
    pub fn stack_size(&self) -> u8 {
        let to = self.inner.with(|inner| inner.to);
        if to.is_null() { 1 } else { device::stack_size(to) }
    }

    /// The file that it has opened, or was given.
    pub fn file_object(&self) -> *mut FILE_OBJECT {
        self.inner.with(|inner| inner.file_object)
    }

    /// The device, if requests are being sent.
    pub fn started_device(&self) -> Option<*mut DEVICE_OBJECT> {
        self.inner.with(|inner| (inner.state == State::Started).then_some(inner.to))
    }

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
    pub fn submit(self: &Arc<Self>, request: &Arc<Request>, irp: Irp, ignore: bool, timeout: i64) -> bool {
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
        window::SEND_COUNTED.pass_for(self.owner);
        let listed = request.clone();
        let way = self.inner.with(|inner| {
            let way = match request.inner.with(|known| known.recall.look()) {
                Submit::Go => Self::way(inner, ignore),
                Submit::Refused => return Err(false),
                Submit::CancellerCompletes => return Err(true),
            };
            match way {
                Way::Send if ignore => inner.ignoring.push(listed),
                Way::Send => inner.sent.push(listed),
                Way::Park => {
                    inner.parked.push_back(listed);
                    request.inner.with(|known| known.parked = true);
                    // the cancel routine wants a current location
                    irp.set_next();
                    irp.set_context(request.handle());
                    irp.set_status(STATUS_WDF_QUEUED, 0);
                }
                Way::Refuse => {}
            }
            Ok((way, inner.to))
        });
        match way {
            Err(sent) => self.not_sent(request, irp, sent, STATUS_CANCELLED),
            Ok((Way::Refuse, _)) => {
                let sent = !request.inner.with(|known| known.recall.release());
                self.not_sent(request, irp, sent, STATUS_INVALID_DEVICE_STATE)
            }
            Ok((Way::Park, _)) => {
                if timeout != 0 {
                    send::start_timer(request, timeout);
                }
                if Request::arm(irp, cancelled_in_target) {
                    return true;
                }
                self.unpark(request, irp);
                let sent = !request.inner.with(|known| known.recall.release());
                self.not_sent(request, irp, sent, STATUS_CANCELLED)
            }
            Ok((Way::Send, to)) => {
                if timeout != 0 {
                    send::start_timer(request, timeout);
                }
                send::send_now(request, irp, to);
                true
            }
        }
    }

    /// It does not go down: either the sender learns it here, or a canceller completes it.
    fn not_sent(&self, request: &Arc<Request>, irp: Irp, sent: bool, status: NTSTATUS) -> bool {
        irp.set_status(status, 0);
        if !sent {
            request.inner.with(|known| {
                known.recall.stop_timer();
                known.target = None;
            });
            self.settle();
        }
        sent
    }

    /// Takes a request off the parked ones.
    fn unpark(&self, request: &Arc<Request>, irp: Irp) {
        self.inner.with(|inner| inner.parked.retain(|known| !Arc::ptr_eq(known, request)));
        request.inner.with(|known| known.parked = false);
        irp.skip_current();
    }

    /// Takes a request that is back off the lists.
    pub fn forget(&self, request: &Arc<Request>) {
        let drained = self.inner.with(|inner| {
            inner.sent.retain(|known| !Arc::ptr_eq(known, request));
            inner.ignoring.retain(|known| !Arc::ptr_eq(known, request));
            inner.sent.is_empty()
                && (inner.waiting || inner.removing)
                && (!inner.removing || inner.ignoring.is_empty())
        });
        if drained {
            self.drained.set();
        }
    }

    /// The canceller was the last to hold the request: it completes it, in its own thread.
    pub fn complete_recalled(self: &Arc<Self>, request: &Arc<Request>) {
        request.inner.with(|known| known.recall.stop_timer());
        self.forget(request);
        request.finish_send(self);
    }

    /// A request has been through its completion.
    pub fn settle(&self) {
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
        self.inner.with(|inner| inner.waiting = false);
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
        while let Some((request, irp)) = self.next_parked() {
            if !request.inner.with(|known| known.recall.release()) {
                // a canceller holds it, and completes it
                irp.set_status(STATUS_CANCELLED, 0);
            } else if self.submit(&request, irp, false, 0) {
                self.settle();
            } else {
                request.finish_send(self);
            }
        }
        STATUS_SUCCESS
    }

    /// WdfIoTargetStop: 1 cancels the sent requests and waits, 2 waits, 3 leaves them.
    fn stop(self: &Arc<Self>, action: i32) {
        let sent = self.copy_sent(false);
        let wait = self.inner.with(|inner| {
            if matches!(inner.state, State::Started | State::Purged) {
                inner.state = State::Stopped;
            }
            inner.waiting = action != 3 && (!inner.sent.is_empty() || inner.waiting);
            inner.waiting
        });
        self.begin_wait(wait);
        if action == 1 {
            Self::cancel_all(&sent);
        }
        if wait {
            self.wait_drained("WdfIoTargetStop");
        }
    }

    fn begin_wait(&self, wait: bool) {
        self.inner.with(|inner| {
            // whoever came back before this is no longer on the list
            let empty = inner.sent.is_empty() && (!inner.removing || inner.ignoring.is_empty());
            if wait && !empty { self.drained.reset() } else { self.drained.set() }
        });
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
        let wait = self.inner.with(|inner| {
            inner.waiting = wait && (!inner.sent.is_empty() || inner.waiting);
            inner.waiting
        });
        self.begin_wait(wait);
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
        let sent = self.copy_sent(true);
        let wait = self.inner.with(|inner| {
            inner.state = state;
            inner.removing = !inner.sent.is_empty() || !inner.ignoring.is_empty();
            inner.removing
        });
        self.begin_wait(wait);
        self.fail_parked();
        Self::cancel_all(&sent);
        if wait {
            self.wait_drained("WdfIoTargetClose");
        }
        let file = self.inner.with(|inner| {
            inner.removing = false;
            inner.to = core::ptr::null_mut();
            inner.file_object = core::ptr::null_mut();
            inner.file.take()
        });
        if let Some(file) = file {
            file.close();
        }
    }

    /// The object goes: closed, and no request is with it any more.
    pub fn dispose(self: &Arc<Self>) {
        self.close(State::Deleted);
        if !self.idle.wait_timeout(DRAIN_BOUND_US) {
            violation(
                "SentRequestNotReturned",
                6,
                self.handle.load(Relaxed),
                "a WDFIOTARGET goes, and a request has not been through its completion".into(),
            );
        }
        TARGETS.with(|targets| targets.retain(|known| !core::ptr::eq(known.as_ptr(), Arc::as_ptr(self))));
    }

    fn label(&self) -> &'static str {
        crate::pnp::label(self.owner)
    }
}

/// Cancel routine of a parked request. Comes with the cancel spin lock held.
unsafe extern "win64" fn cancelled_in_target(_device: *mut DEVICE_OBJECT, irp: *mut IRP) {
    // SAFETY: the IRP cannot be completed before whoever took its cancel routine lets it.
    let (irql, irp) = (unsafe { (*irp).CancelIrql }, Irp::from_raw(irp, "cancel routine"));
    crate::io::irp::release_cancel_lock(irql);
    let Some(request) = super::request::of_context(irp.context()) else { return };
    let Some(target) = request.inner.with(|known| known.target.clone()) else { return };
    target.unpark(&request, irp);
    irp.set_status(STATUS_CANCELLED, 0);
    request.inner.with(|known| known.recall.stop_timer());
    // else whoever recalled it completes it, before the call returns
    if request.inner.with(|known| known.recall.release()) {
        request.finish_send(&target);
    }
}

/// The target of a new device for the next lower one of its stack; its handle.
pub fn create_local(device: Handle, lower: *mut DEVICE_OBJECT) -> u64 {
    const FUNCTION: &str = "WdfDeviceCreate";
    let owner = object::owner(device.raw(), FUNCTION);
    Target::make(FUNCTION, owner, device, Attributes::NONE, Some(lower)).handle.load(Relaxed)
}

/// The target behind a handle that a driver passes.
pub fn get(handle: WDFIOTARGET, function: &str) -> Arc<Target> {
    object::get_ptr::<Target, _>(handle, function)
}
