//! Requests that wait: presented, made cancelable, ended once, whoever comes first.
//!
//! Whose turn it is says cancelnic-core's `waiters`, under a lock that is never held over a call of the framework
//! but the reference that keeps a request's object for an unmark.

use cancelnic_core::waiters::{End, Marked, Marking, Waiters, Which};
use cancelnic_ioctl::{
    log::event,
    nic::{self, CancelEvent, Wait, behaviour, queue},
};
use cancelnic_kernel::kmdf::{
    lock::Locked,
    object::{dereference, reference},
    request::{answer, finish, input, output},
};
use cancelnic_mutants::Mutant;
use wdk_sys::{
    _WDF_REQUEST_STOP_ACTION_FLAGS, FALSE, NT_SUCCESS, NTSTATUS, STATUS_CANCELLED,
    STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND,
    STATUS_SUCCESS, ULONG, WDFDEVICE, WDFFILEOBJECT, WDFQUEUE, WDFREQUEST, call_unsafe_wdf_function_binding,
};

use super::Interface;

/// Requests that may wait at a time.
const MOST: usize = 64;

/// How a request ends.
#[derive(Clone, Copy)]
enum Ending {
    /// With the last cancel event.
    Event,
    /// With this status.
    Status(NTSTATUS),
}

/// Who waits.
pub struct Waiting(Locked<Waiters<Handle, Ending, MOST>>);

/// A request's handle in the table. The driver owns what it names, or EvtRequestCancel is about to take it out.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Handle(WDFREQUEST);

// SAFETY: a framework handle may be used in any thread.
unsafe impl Send for Handle {}

impl Waiting {
    /// An empty table. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// `device` is alive and outlives the value.
    pub unsafe fn new(device: WDFDEVICE) -> Result<Self, NTSTATUS> {
        // SAFETY: as the caller vouches.
        Ok(Self(unsafe { Locked::new(device.cast(), Waiters::new()) }?))
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.0.with(|table| table.count())
    }
}

/// By which function a request is made cancelable.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Mark,
    MarkEx,
}

/// A waiting request is presented. At most DISPATCH_LEVEL.
pub unsafe extern "C" fn evt_io_wait(
    queue: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    code: ULONG,
) {
    // SAFETY: this callback's own queue and request, which the driver owns from now on.
    unsafe {
        let interface = Interface::of_queue(queue);
        if code != nic::WAIT {
            finish(request, Err(STATUS_INVALID_DEVICE_REQUEST));
            return;
        }
        interface.receive(request, queue, None);
    }
}

/// Power goes, or the device: a waiting request needs no hardware, so it is kept over the one, and ended by the other.
/// At most DISPATCH_LEVEL.
pub unsafe extern "C" fn evt_io_stop(queue: WDFQUEUE, request: WDFREQUEST, flags: ULONG) {
    // SAFETY: this callback's own queue and request; the framework holds the request over the callback.
    unsafe {
        let interface = Interface::of_queue(queue);
        let tag = interface.tag(request);
        interface.journal.note(event::STOP, tag, 0, u64::from(flags));
        if flags & _WDF_REQUEST_STOP_ACTION_FLAGS::WdfRequestStopActionPurge as ULONG != 0 {
            // one that is ended already was taken out of the table by whoever ended it
            let _ = interface.end(Which::Handle(Handle(request)), Ending::Status(STATUS_CANCELLED));
        } else if flags & _WDF_REQUEST_STOP_ACTION_FLAGS::WdfRequestStopActionSuspend as ULONG != 0 {
            interface.journal.note(event::ACKNOWLEDGING, tag, 0, 0);
            call_unsafe_wdf_function_binding!(WdfRequestStopAcknowledge, request, FALSE as u8);
        }
    }
}

/// Power is back. At most DISPATCH_LEVEL.
pub unsafe extern "C" fn evt_io_resume(queue: WDFQUEUE, request: WDFREQUEST) {
    // SAFETY: this callback's own queue.
    let interface = unsafe { Interface::of_queue(queue) };
    interface.journal.note(event::RESUME, interface.tag(request), 0, 0);
}

/// A request was cancelled in the third queue, which had presented it before: it is the driver's to complete. At most
/// DISPATCH_LEVEL.
pub unsafe extern "C" fn evt_io_canceled_on_queue(queue: WDFQUEUE, request: WDFREQUEST) {
    // SAFETY: this callback's own queue and request.
    unsafe {
        let interface = Interface::of_queue(queue);
        let tag = input::<Wait>(request).map_or(u32::MAX, |wait| wait.tag);
        interface.journal.note(event::CANCELED_ON_QUEUE, tag, 0, 0);
        interface.complete(request, tag, Ending::Status(STATUS_CANCELLED));
    }
}

/// The framework cancels a request that was marked. At most DISPATCH_LEVEL.
unsafe extern "C" fn evt_request_cancel(request: WDFREQUEST) {
    // SAFETY: this callback's own request, the driver's to complete.
    unsafe {
        let interface = Interface::of_request(request);
        let tag = interface.waiting.0.with(|table| table.cancelled(Handle(request)));
        interface.journal.note(event::CANCEL_CALLBACK, tag.unwrap_or(u32::MAX), 0, 0);
        if interface.mutant.is(Mutant::LosesCancelledRequest) {
            return;
        }
        interface.complete(request, tag.unwrap_or(u32::MAX), Ending::Status(STATUS_CANCELLED));
    }
}

impl Interface {
    fn tag(&self, request: WDFREQUEST) -> u32 {
        self.waiting.0.with(|table| table.tag(Handle(request))).unwrap_or(u32::MAX)
    }

    /// Takes up a waiting request that `from` has presented, and does with it what it asks for, or `instead`.
    ///
    /// # Safety
    /// The driver owns `request`.
    unsafe fn receive(&self, request: WDFREQUEST, from: WDFQUEUE, instead: Option<u32>) {
        // SAFETY: the driver owns the request; the input is not used after it was read.
        let wait = unsafe {
            input::<Wait>(request).and_then(|wait| output(request, size_of::<CancelEvent>()).map(|_| wait))
        };
        let wait = match wait {
            Ok(wait) if wait.behaviour <= behaviour::LAST => wait,
            refused => {
                // SAFETY: the driver owns the request.
                unsafe { finish(request, Err(refused.err().unwrap_or(STATUS_INVALID_PARAMETER))) };
                return;
            }
        };
        self.journal.note(event::PRESENTED, wait.tag, 0, u64::from(self.number(from)));
        // SAFETY: the driver owns the request, and does not touch it after this.
        unsafe {
            match instead.unwrap_or(wait.behaviour) {
                behaviour::AT_ONCE => self.complete(request, wait.tag, Ending::Event),
                behaviour::SECOND_QUEUE => self.forward_or_fail(request, wait.tag, queue::SECOND),
                behaviour::THIRD_QUEUE => self.forward_or_fail(request, wait.tag, queue::THIRD),
                behaviour => self.keep(request, wait.tag, behaviour),
            }
        }
    }

    /// Lets a request wait.
    unsafe fn keep(&self, request: WDFREQUEST, tag: u32, behaviour: u32) {
        // SAFETY: the driver owns the request; after a successful insert it may be gone unless it is not cancelable.
        unsafe {
            let file = call_unsafe_wdf_function_binding!(WdfRequestGetFileObject, request);
            let handle = Handle(request);
            // One that will be cancelable is entered as such, so that nobody else ends it before it is marked.
            let entered = self.waiting.0.with(|table| {
                let entered = table.insert(handle, tag, file.addr());
                let marking = behaviour != behaviour::NOT_CANCELABLE;
                entered.then(|| if marking { table.begin_mark(Which::Handle(handle)) } else { None })
            });
            match entered {
                None => finish(request, Err(STATUS_INSUFFICIENT_RESOURCES)),
                Some(None) => (),
                Some(Some(marking)) => {
                    let by = if behaviour == behaviour::CANCELABLE_OLD { By::Mark } else { By::MarkEx };
                    // the status is in the log
                    let _ = self.mark(marking, tag, by);
                }
            }
        }
    }

    /// Makes a request cancelable whose marking has begun in the table.
    unsafe fn mark(&self, marking: Marking<Handle>, tag: u32, by: By) -> NTSTATUS {
        let handle = marking.handle;
        // SAFETY: nobody else ends the request while its marking is under way; once the call has succeeded only the
        // table says whether it is still there.
        unsafe {
            let status = match by {
                By::Mark => {
                    call_unsafe_wdf_function_binding!(
                        WdfRequestMarkCancelable,
                        handle.0,
                        Some(evt_request_cancel)
                    );
                    STATUS_SUCCESS
                }
                By::MarkEx => call_unsafe_wdf_function_binding!(
                    WdfRequestMarkCancelableEx,
                    handle.0,
                    Some(evt_request_cancel)
                ),
            };
            self.journal.note(event::MARKED, tag, status, u64::from(by == By::Mark));
            if !NT_SUCCESS(status) {
                self.waiting.0.with(|table| table.refused(handle));
                self.complete(handle.0, tag, Ending::Status(status));
                return status;
            }
            if self.mutant.is(Mutant::MarksRequestTwice) {
                // the fault: it is marked already
                call_unsafe_wdf_function_binding!(
                    WdfRequestMarkCancelable,
                    handle.0,
                    Some(evt_request_cancel)
                );
            }
            let marked = self.waiting.0.with(|table| {
                let marked = table.marked(marking);
                if matches!(marked, Marked::Wanted(_)) {
                    reference(handle.0.cast());
                }
                marked
            });
            if let Marked::Wanted(ending) = marked {
                // the status is in the log
                let _ = self.unmark(handle, tag, ending);
            }
            status
        }
    }

    /// Ends the request that is meant; what the unmark returned, if one was needed. `None` if there is none.
    ///
    /// # Safety
    /// None beyond those of the table.
    unsafe fn end(&self, which: Which<Handle>, ending: Ending) -> Option<NTSTATUS> {
        let (end, tag) = self.waiting.0.with(|table| {
            let (end, tag) = table.end(which, ending)?;
            if let End::Unmark(handle) = end {
                // SAFETY: what is in the table has not been completed; the reference is given back in `unmark`.
                unsafe { reference(handle.0.cast()) };
            }
            Some((end, tag))
        })?;
        // SAFETY: taken out of the table: it is this caller's to complete; or referenced.
        unsafe {
            match end {
                End::Complete(handle) => {
                    self.complete(handle.0, tag, ending);
                    Some(STATUS_SUCCESS)
                }
                End::Unmark(handle) => Some(self.unmark(handle, tag, ending)),
            }
        }
    }

    /// Unmarks a referenced request, ends it if that succeeds, and gives the reference back. If it does not,
    /// EvtRequestCancel ends it.
    unsafe fn unmark(&self, handle: Handle, tag: u32, ending: Ending) -> NTSTATUS {
        // SAFETY: the reference keeps the object; after a successful unmark the driver alone can complete it.
        unsafe {
            let status = if self.mutant.is(Mutant::CompletesWhileCancelable) {
                STATUS_SUCCESS
            } else {
                call_unsafe_wdf_function_binding!(WdfRequestUnmarkCancelable, handle.0)
            };
            self.journal.note(event::UNMARKED, tag, status, 0);
            if NT_SUCCESS(status) {
                self.waiting.0.with(|table| table.unmarked(handle));
                self.complete(handle.0, tag, ending);
            }
            dereference(handle.0.cast());
            status
        }
    }

    /// Completes a request. At most DISPATCH_LEVEL.
    ///
    /// # Safety
    /// The driver owns `request`, which is not cancelable, and nobody touches it afterwards.
    unsafe fn complete(&self, request: WDFREQUEST, tag: u32, ending: Ending) {
        // SAFETY: as the caller vouches.
        unsafe {
            let result = match ending {
                Ending::Event => answer(request, &self.last_event()),
                Ending::Status(STATUS_SUCCESS) => Ok(0),
                Ending::Status(status) => Err(status),
            };
            let result = if self.mutant.is(Mutant::ReportsTooMuchWritten) {
                result.map(|length| length + 4096)
            } else {
                result
            };
            self.journal.note(event::COMPLETING, tag, result.err().unwrap_or(STATUS_SUCCESS), 0);
            finish(request, result);
            if self.mutant.is(Mutant::CompletesRequestTwice) {
                finish(request, result);
            }
            if self.mutant.is(Mutant::UsesCompletedRequest) {
                let _ = call_unsafe_wdf_function_binding!(WdfRequestIsCanceled, request);
            }
        }
    }

    /// Ends everybody who waits now, with the last event. At most DISPATCH_LEVEL.
    pub(super) fn tell_waiting(&self) {
        let upto = self.waiting.0.with(|table| table.serial());
        // SAFETY: by the table.
        while unsafe { self.end(Which::UpTo(upto), Ending::Event) }.is_some() {}
    }

    /// Ends the requests of a closed file. At most DISPATCH_LEVEL.
    pub(super) fn cancel_file(&self, file: WDFFILEOBJECT) {
        let which = Which::File(file.addr());
        // SAFETY: by the table.
        while unsafe { self.end(which, Ending::Status(STATUS_CANCELLED)) }.is_some() {}
    }

    /// Makes a waiting request cancelable late; what the framework said.
    pub(super) fn mark_late(&self, tag: u32, ex: bool) -> NTSTATUS {
        let by = if ex { By::MarkEx } else { By::Mark };
        match self.waiting.0.with(|table| table.begin_mark(Which::Tag(tag))) {
            // SAFETY: its marking has begun in the table.
            Some(marking) => unsafe { self.mark(marking, tag, by) },
            None => STATUS_NOT_FOUND,
        }
    }

    /// Ends a waiting request; what the unmark returned.
    pub(super) fn complete_waiting(&self, tag: u32, status: NTSTATUS) -> NTSTATUS {
        // SAFETY: by the table.
        unsafe { self.end(Which::Tag(tag), Ending::Status(status)) }.unwrap_or(STATUS_NOT_FOUND)
    }

    /// Hands a waiting request to another queue; what the framework said. If that refuses, it waits on.
    pub(super) fn forward_waiting(&self, tag: u32, to: u32) -> NTSTATUS {
        let Some((handle, tag)) = self.waiting.0.with(|table| table.leave(Which::Tag(tag))) else {
            return STATUS_NOT_FOUND;
        };
        // SAFETY: taken out of the table, not cancelable: the driver owns it.
        unsafe {
            let status = self.forward(handle.0, tag, to);
            if !NT_SUCCESS(status) {
                self.keep(handle.0, tag, behaviour::NOT_CANCELABLE);
            }
            status
        }
    }

    unsafe fn forward_or_fail(&self, request: WDFREQUEST, tag: u32, to: u32) {
        // SAFETY: the driver owns the request.
        unsafe {
            let status = self.forward(request, tag, to);
            if !NT_SUCCESS(status) {
                finish(request, Err(status));
            }
        }
    }

    /// Hands a request to a manual queue, or back to it.
    unsafe fn forward(&self, request: WDFREQUEST, tag: u32, to: u32) -> NTSTATUS {
        let destination = self.queues[to as usize];
        // SAFETY: the driver owns the request until the call succeeds.
        unsafe {
            if call_unsafe_wdf_function_binding!(WdfRequestGetIoQueue, request) == destination {
                let status = call_unsafe_wdf_function_binding!(WdfRequestRequeue, request);
                self.journal.note(event::REQUEUED, tag, status, u64::from(to));
                return status;
            }
            let status = call_unsafe_wdf_function_binding!(WdfRequestForwardToIoQueue, request, destination);
            self.journal.note(event::FORWARDED, tag, status, u64::from(to));
            status
        }
    }

    /// Takes the next request out of a manual queue; what the framework said.
    pub(super) fn retrieve(&self, from: u32, behaviour: u32) -> NTSTATUS {
        let queue = self.queues[from as usize];
        let mut request = core::ptr::null_mut();
        // SAFETY: the queue lives as long as the device; the driver owns what it gets.
        unsafe {
            let status =
                call_unsafe_wdf_function_binding!(WdfIoQueueRetrieveNextRequest, queue, &raw mut request);
            if NT_SUCCESS(status) {
                self.receive(request, queue, Some(behaviour));
            }
            status
        }
    }
}
