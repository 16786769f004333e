//! The control codes that are answered at once.

use core::ptr::null_mut;

use cancelnic_ioctl::{
    Header,
    log::{LogAnswer, event},
    nic::{
        self, Complete, Forward, Mark, QueueAction, QueueState, Retrieve, Status, action, behaviour, queue,
    },
};
use cancelnic_kernel::kmdf::request::{answer, finish, input, output};
use wdk_sys::{
    NT_SUCCESS, NTSTATUS, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, STATUS_SUCCESS, ULONG,
    WDFCONTEXT, WDFQUEUE, WDFREQUEST, call_unsafe_wdf_function_binding,
};

use super::Interface;

/// A program asks. At most DISPATCH_LEVEL.
pub unsafe extern "C" fn evt_io_device_control(
    from: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    code: ULONG,
) {
    // SAFETY: this callback's own queue and request, which the driver owns from now on.
    unsafe {
        let interface = Interface::of_queue(from);
        if code == nic::WAIT {
            let wait = interface.queues[queue::WAIT as usize];
            let status = call_unsafe_wdf_function_binding!(WdfRequestForwardToIoQueue, request, wait);
            if !NT_SUCCESS(status) {
                finish(request, Err(status));
            }
            return;
        }
        let result = interface.control(request, code);
        finish(request, result);
    }
}

/// `Err` unless the value is one of those allowed.
fn allow(allowed: bool) -> Result<(), NTSTATUS> {
    if allowed { Ok(()) } else { Err(STATUS_INVALID_PARAMETER) }
}

/// Whether `queue` is one of the manual ones.
const fn is_manual(queue: u32) -> bool {
    matches!(queue, queue::SECOND | queue::THIRD)
}

/// Whether `queue` is one that holds waiting requests.
const fn is_of_requests(queue: u32) -> bool {
    queue == queue::WAIT || is_manual(queue)
}

impl Interface {
    /// Answers one code; the length of the answer.
    ///
    /// # Safety
    /// The driver owns `request`.
    unsafe fn control(&self, request: WDFREQUEST, code: ULONG) -> Result<usize, NTSTATUS> {
        // SAFETY: the driver owns the request; what is read from its input is copied before its output is written.
        unsafe {
            match code {
                nic::COUNTERS => answer(request, &self.counters()),
                nic::RINGS => answer(request, &self.rings()),
                nic::LOG | nic::LOG_DIRECT => Ok(self.journal.read(output(request, size_of::<LogAnswer>())?)),
                nic::MARK => {
                    let mark: Mark = input(request)?;
                    allow(mark.ex <= 1)?;
                    room::<Status>(request)?;
                    answer(request, &Status::new(self.mark_late(mark.tag, mark.ex == 1) as u32))
                }
                nic::COMPLETE => {
                    let complete: Complete = input(request)?;
                    room::<Status>(request)?;
                    let status = self.complete_waiting(complete.tag, complete.status as NTSTATUS);
                    answer(request, &Status::new(status as u32))
                }
                nic::FORWARD => {
                    let forward: Forward = input(request)?;
                    allow(is_of_requests(forward.queue))?;
                    room::<Status>(request)?;
                    let status = self.forward_waiting(forward.tag, forward.queue);
                    answer(request, &Status::new(status as u32))
                }
                nic::RETRIEVE => {
                    let retrieve: Retrieve = input(request)?;
                    let kept = matches!(
                        retrieve.behaviour,
                        behaviour::CANCELABLE | behaviour::NOT_CANCELABLE | behaviour::AT_ONCE
                    );
                    allow(kept && is_manual(retrieve.queue))?;
                    room::<Status>(request)?;
                    let status = self.retrieve(retrieve.queue, retrieve.behaviour);
                    answer(request, &Status::new(status as u32))
                }
                nic::QUEUE => {
                    let wanted: QueueAction = input(request)?;
                    allow(wanted.action <= action::LAST)?;
                    allow(is_of_requests(wanted.queue))?;
                    room::<QueueState>(request)?;
                    answer(request, &self.queue_action(wanted))
                }
                _ => Err(STATUS_INVALID_DEVICE_REQUEST),
            }
        }
    }

    /// Does something to a queue; its state afterwards.
    fn queue_action(&self, wanted: QueueAction) -> QueueState {
        let queue = self.queues[wanted.queue as usize];
        let (mut queued, mut owned, mut status) = (0, 0, STATUS_SUCCESS);
        // SAFETY: the queue lives as long as the device; none of the calls waits.
        let state = unsafe {
            match wanted.action {
                action::START => call_unsafe_wdf_function_binding!(WdfIoQueueStart, queue),
                action::STOP => call_unsafe_wdf_function_binding!(WdfIoQueueStop, queue, None, null_mut()),
                action::STOP_AND_PURGE => {
                    call_unsafe_wdf_function_binding!(WdfIoQueueStopAndPurge, queue, None, null_mut());
                }
                action::DRAIN => call_unsafe_wdf_function_binding!(WdfIoQueueDrain, queue, None, null_mut()),
                action::PURGE => call_unsafe_wdf_function_binding!(WdfIoQueuePurge, queue, None, null_mut()),
                action::READY_NOTIFY => {
                    let told = Some(evt_io_queue_ready as _);
                    status =
                        call_unsafe_wdf_function_binding!(WdfIoQueueReadyNotify, queue, told, null_mut());
                }
                action::READY_FORGET => {
                    status =
                        call_unsafe_wdf_function_binding!(WdfIoQueueReadyNotify, queue, None, null_mut());
                }
                _ => (),
            }
            call_unsafe_wdf_function_binding!(WdfIoQueueGetState, queue, &raw mut queued, &raw mut owned)
        };
        let status = status as u32;
        QueueState { header: Header::of::<QueueState>(), state: state as u32, queued, owned, status }
    }
}

/// A manual queue that was empty has a request. At most DISPATCH_LEVEL.
unsafe extern "C" fn evt_io_queue_ready(from: WDFQUEUE, _context: WDFCONTEXT) {
    // SAFETY: this callback's own queue.
    let interface = unsafe { Interface::of_queue(from) };
    interface.journal.note(event::READY, u32::MAX, 0, interface.number(from).into());
}

/// Whether the answer will fit, asked before anything is done.
///
/// # Safety
/// The driver owns `request`, and its input has been read.
unsafe fn room<T>(request: WDFREQUEST) -> Result<(), NTSTATUS> {
    // SAFETY: as the caller vouches.
    unsafe { output(request, size_of::<T>()) }.map(|_| ())
}
