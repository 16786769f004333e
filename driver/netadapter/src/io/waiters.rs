//! Requests that wait for a packet queue's cancel: presented, made cancelable, ended once, whoever comes first.
//!
//! Who may end one is decided by cancelnic-core's `waiters`, under a lock that is never held over a call of the framework
//! but the reference that keeps a request's object for an unmark.

use core::ops::RangeInclusive;

use cancelnic_core::waiters::{End, Entry, Marked, Marking, Waiters, Which};
use cancelnic_ioctl::{
    log::event,
    nic::{self, CancelEvent, Wait, behaviour},
};
use cancelnic_kernel::kmdf::{
    device::Device,
    lock::Locked,
    memory,
    object::Reference,
    queue::Queue,
    request::{Request, acknowledge_stop},
};
use cancelnic_mutants::Mutant;
use wdk_sys::{
    _WDF_REQUEST_STOP_ACTION_FLAGS, NT_SUCCESS, NTSTATUS, STATUS_CANCELLED, STATUS_INSUFFICIENT_RESOURCES,
    STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, ULONG, WDFFILEOBJECT, WDFQUEUE,
    WDFREQUEST, call_unsafe_wdf_function_binding,
};

use super::Interface;
use crate::report::POOL_TAG;

/// Requests that may wait at a time.
const MOST: usize = 64;

/// The behaviours that a request may ask for; all but the first are the bench's.
const BEHAVIOURS: RangeInclusive<u32> = behaviour::CANCELABLE..=if cfg!(feature = "test-build") {
    behaviour::LAST
} else {
    behaviour::CANCELABLE
};

/// How a request ends.
#[derive(Clone, Copy)]
pub(super) enum Ending {
    /// With the last cancel event.
    Event,
    /// With this status.
    Status(NTSTATUS),
}

/// The places of the table, in memory that lives as long as the device.
type Places = &'static mut [Option<Entry<Handle, Ending>>];

/// Who waits.
pub(super) struct Waiting(Locked<Waiters<Places>>);

/// A request's handle in the table. What it names has not been completed: whoever completes it takes it out first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle(WDFREQUEST);

// SAFETY: a framework handle may be used in any thread.
unsafe impl Send for Handle {}

impl Waiting {
    /// An empty table. PASSIVE_LEVEL.
    pub(super) fn new(device: Device) -> Result<Self, NTSTATUS> {
        let places = memory::values(device, POOL_TAG, MOST, || None)?;
        Ok(Self(Locked::new(device, Waiters::new(places))?))
    }

    /// How many wait.
    pub(super) fn count(&self) -> usize {
        self.0.with(|table| table.count())
    }

    /// Begins the marking of the request that is meant, if it may be marked now.
    #[cfg(feature = "test-build")]
    pub(super) fn begin_mark(&self, which: Which<Handle>) -> Option<Marking<Handle>> {
        self.0.with(|table| table.begin_mark(which))
    }

    /// Takes the request that is meant out, if it is not cancelable: it is the caller's. With its tag.
    #[cfg(feature = "test-build")]
    pub(super) fn leave(&self, which: Which<Handle>) -> Option<(Request, u32)> {
        let (handle, tag) = self.0.with(|table| table.leave(which))?;
        // SAFETY: taken out of the table, not cancelable: this caller alone has it.
        Some((unsafe { Request::owned(handle.0) }, tag))
    }
}

/// By which function a request is made cancelable.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// WdfRequestMarkCancelableEx.
    MarkEx,
    /// WdfRequestMarkCancelable.
    #[cfg(feature = "test-build")]
    Mark,
}

impl By {
    fn number(self) -> u64 {
        u64::from(self != Self::MarkEx)
    }
}

/// A waiting request is presented. At most DISPATCH_LEVEL.
pub(super) unsafe extern "C" fn evt_io_wait(
    queue: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    code: ULONG,
) {
    // SAFETY: this callback's own queue.
    let queue = unsafe { Queue::of_callback(queue) };
    // SAFETY: this callback's own request, which the driver owns from now on.
    let request = unsafe { Request::owned(request) };
    if code == nic::WAIT {
        Interface::of_queue(queue).receive(request, queue, None);
    } else {
        request.finish(Err(STATUS_INVALID_DEVICE_REQUEST));
    }
}

/// Power goes, or the device: a waiting request needs no hardware, so it is kept over the one, and ended by the other.
/// At most DISPATCH_LEVEL.
pub(super) unsafe extern "C" fn evt_io_stop(queue: WDFQUEUE, request: WDFREQUEST, flags: ULONG) {
    use _WDF_REQUEST_STOP_ACTION_FLAGS::{WdfRequestStopActionPurge, WdfRequestStopActionSuspend};

    // SAFETY: this callback's own queue.
    let interface = Interface::of_queue(unsafe { Queue::of_callback(queue) });
    let tag = interface.tag(request);
    interface.journal.note(event::STOP, tag, 0, u64::from(flags));
    if flags & WdfRequestStopActionPurge as ULONG != 0 {
        // one that is ended already was taken out of the table by whoever ended it
        let _ = interface.end(Which::Handle(Handle(request)), Ending::Status(STATUS_CANCELLED));
    } else if flags & WdfRequestStopActionSuspend as ULONG != 0 {
        interface.journal.note(event::ACKNOWLEDGING, tag, 0, 0);
        // SAFETY: in EvtIoStop, for its own request.
        unsafe { acknowledge_stop(request) };
    }
}

/// Power is back. At most DISPATCH_LEVEL.
pub(super) unsafe extern "C" fn evt_io_resume(queue: WDFQUEUE, request: WDFREQUEST) {
    // SAFETY: this callback's own queue.
    let interface = Interface::of_queue(unsafe { Queue::of_callback(queue) });
    interface.journal.note(event::RESUME, interface.tag(request), 0, 0);
}

/// The framework cancels a request that was marked. At most DISPATCH_LEVEL.
unsafe extern "C" fn evt_request_cancel(request: WDFREQUEST) {
    // SAFETY: this callback's own request: it is no longer cancelable, and the driver's to complete.
    let request = unsafe { Request::owned(request) };
    let interface = Interface::of_queue(request.queue());
    let tag = interface.waiting.0.with(|table| table.cancelled(Handle(request.handle())));
    let tag = tag.unwrap_or(u32::MAX);
    interface.journal.note(event::CANCEL_CALLBACK, tag, 0, 0);
    if !interface.mutant.is(Mutant::LosesCancelledRequest) {
        interface.complete(request, tag, Ending::Status(STATUS_CANCELLED));
    }
}

impl Interface {
    fn tag(&self, request: WDFREQUEST) -> u32 {
        self.waiting.0.with(|table| table.tag(Handle(request))).unwrap_or(u32::MAX)
    }

    /// Takes up a waiting request that `from` has presented, and does with it what it asks for, or `instead`.
    pub(super) fn receive(&self, mut request: Request, from: Queue, instead: Option<u32>) {
        let wait = match request.ask::<Wait, CancelEvent>() {
            Ok(wait) if BEHAVIOURS.contains(&wait.behaviour) => wait,
            refused => return request.finish(Err(refused.err().unwrap_or(STATUS_INVALID_PARAMETER))),
        };
        self.journal.note(event::PRESENTED, wait.tag, 0, u64::from(self.number(from)));
        match instead.unwrap_or(wait.behaviour) {
            behaviour::CANCELABLE => self.keep(request, wait.tag, Some(By::MarkEx)),
            #[cfg(feature = "test-build")]
            other => self.behave(request, wait.tag, other),
            #[cfg(not(feature = "test-build"))]
            _ => request.finish(Err(STATUS_INVALID_PARAMETER)),
        }
    }

    /// Lets a request wait, cancelable if a function to mark it is named.
    pub(super) fn keep(&self, request: Request, tag: u32, by: Option<By>) {
        let (file, handle) = (request.file(), Handle(request.handle()));
        // One that will be cancelable is entered as such, so that nobody else ends it before it is marked.
        let entered = self.waiting.0.with(|table| {
            let entered = table.insert(handle, tag, file);
            entered.then(|| by.and_then(|by| Some((table.begin_mark(Which::Handle(handle))?, by))))
        });
        match entered {
            None => request.finish(Err(STATUS_INSUFFICIENT_RESOURCES)),
            Some(None) => (),
            Some(Some((marking, by))) => {
                // the status is in the log
                let _ = self.mark(marking, tag, by);
            }
        }
    }

    /// Makes a request cancelable whose marking has begun in the table: nobody else ends it until it has succeeded. From
    /// then on only the table tells whether it is still there.
    pub(super) fn mark(&self, marking: Marking<Handle>, tag: u32, by: By) -> NTSTATUS {
        let handle = marking.handle;
        let status = match by {
            // SAFETY: the marking has begun: the request is the driver's.
            By::MarkEx => unsafe {
                call_unsafe_wdf_function_binding!(
                    WdfRequestMarkCancelableEx,
                    handle.0,
                    Some(evt_request_cancel)
                )
            },
            #[cfg(feature = "test-build")]
            By::Mark => {
                mark_at_once(handle);
                STATUS_SUCCESS
            }
        };
        self.journal.note(event::MARKED, tag, status, by.number());
        if !NT_SUCCESS(status) {
            self.waiting.0.with(|table| table.refused(handle));
            // SAFETY: out of the table, and not cancelable: this caller alone has it.
            let request = unsafe { Request::owned(handle.0) };
            self.complete(request, tag, Ending::Status(status));
            return status;
        }
        #[cfg(feature = "test-build")]
        if self.mutant.is(Mutant::MarksRequestTwice) {
            mark_at_once(handle);
        }
        let wanted = self.waiting.0.with(|table| match table.marked(marking) {
            // SAFETY: what is in the table has not been completed.
            Marked::Wanted(ending) => Some((unsafe { Reference::new(handle.0.cast()) }, ending)),
            Marked::Waits | Marked::Gone => None,
        });
        if let Some((held, ending)) = wanted {
            // the status is in the log
            let _ = self.unmark(handle, held, tag, ending);
        }
        status
    }

    /// Ends the request that is meant; what the unmark returned, if one was needed. `None` if there is none.
    pub(super) fn end(&self, which: Which<Handle>, ending: Ending) -> Option<NTSTATUS> {
        let (end, held, tag) = self.waiting.0.with(|table| {
            let (end, tag) = table.end(which, ending)?;
            let held = match end {
                // SAFETY: what is in the table has not been completed.
                End::Unmark(handle) => Some(unsafe { Reference::new(handle.0.cast()) }),
                End::Complete(_) => None,
            };
            Some((end, held, tag))
        })?;
        match (end, held) {
            (End::Unmark(handle), Some(held)) => Some(self.unmark(handle, held, tag, ending)),
            (End::Complete(handle) | End::Unmark(handle), _) => {
                // SAFETY: taken out of the table, not cancelable: this caller alone has it.
                let request = unsafe { Request::owned(handle.0) };
                self.complete(request, tag, ending);
                Some(STATUS_SUCCESS)
            }
        }
    }

    /// Unmarks a request that a reference keeps, and ends it if that succeeds. If it does not, EvtRequestCancel ends it.
    fn unmark(&self, handle: Handle, held: Reference, tag: u32, ending: Ending) -> NTSTATUS {
        let status = if self.mutant.is(Mutant::CompletesWhileCancelable) {
            STATUS_SUCCESS
        } else {
            // SAFETY: the reference keeps the object, which is all that this function asks for.
            unsafe { call_unsafe_wdf_function_binding!(WdfRequestUnmarkCancelable, handle.0) }
        };
        self.journal.note(event::UNMARKED, tag, status, 0);
        if NT_SUCCESS(status) {
            self.waiting.0.with(|table| table.unmarked(handle));
            // SAFETY: unmarked, hence not cancelled and no longer cancelable: the driver's, and out of the table.
            let request = unsafe { Request::owned(handle.0) };
            self.complete(request, tag, ending);
        }
        drop(held);
        status
    }

    /// Completes a request. At most DISPATCH_LEVEL.
    pub(super) fn complete(&self, mut request: Request, tag: u32, ending: Ending) {
        let mut result = match ending {
            Ending::Event => request.answer(&self.last_event()),
            Ending::Status(STATUS_SUCCESS) => Ok(0),
            Ending::Status(status) => Err(status),
        };
        if self.mutant.is(Mutant::ReportsTooMuchWritten) {
            result = result.map(|length| length + 4096);
        }
        self.journal.note(event::COMPLETING, tag, result.err().unwrap_or(STATUS_SUCCESS), 0);
        #[cfg(feature = "test-build")]
        let (handle, buffer) = (request.handle(), request.output(0).ok().map(<[u8]>::as_mut_ptr));
        request.finish(result);
        #[cfg(feature = "test-build")]
        self.misuse(handle, buffer, result);
    }

    /// What a mutant does with a request that is completed.
    #[cfg(feature = "test-build")]
    fn misuse(&self, handle: WDFREQUEST, buffer: Option<*mut u8>, result: Result<usize, NTSTATUS>) {
        if let Some(buffer) = buffer.filter(|_| self.mutant.is(Mutant::WritesCompletedBuffer)) {
            // SAFETY: it is not the driver's any more, which is the fault.
            unsafe { buffer.write_volatile(1) };
        }
        if self.mutant.is(Mutant::CompletesRequestTwice) {
            // SAFETY: it is not the driver's any more, which is the fault.
            unsafe { Request::owned(handle) }.finish(result);
        }
        if self.mutant.is(Mutant::UsesCompletedRequest) {
            // SAFETY: it is not the driver's any more, which is the fault.
            let _ = unsafe { call_unsafe_wdf_function_binding!(WdfRequestIsCanceled, handle) };
        }
    }

    /// Ends everybody who waits now, with the last event. At most DISPATCH_LEVEL.
    pub(super) fn tell_waiting(&self) {
        let upto = self.waiting.0.with(|table| table.serial());
        while self.end(Which::UpTo(upto), Ending::Event).is_some() {}
    }

    /// Ends the requests of a closed file. At most DISPATCH_LEVEL.
    pub(super) fn cancel_file(&self, file: WDFFILEOBJECT) {
        let which = Which::File(file.addr());
        while self.end(which, Ending::Status(STATUS_CANCELLED)).is_some() {}
    }
}

/// WdfRequestMarkCancelable, in which EvtRequestCancel may run.
#[cfg(feature = "test-build")]
fn mark_at_once(handle: Handle) {
    // SAFETY: the marking has begun: the request is the driver's. For one that is marked already this is the fault.
    unsafe {
        call_unsafe_wdf_function_binding!(WdfRequestMarkCancelable, handle.0, Some(evt_request_cancel));
    }
}
