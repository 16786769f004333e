//! The test bench of the requests, in test builds only: a program chooses how a waiting request is kept, and does to it and
//! to the queues what other drivers do. The codes are those of cancelnic-ioctl's `bench`, behind an interface of their own.

use cancelnic_core::waiters::Which;
use cancelnic_ioctl::{
    Header, NIC_BENCH_INTERFACE,
    bench::{self, Complete, Forward, Mark, QueueAction, QueueState, Retrieve, Status, action, queue},
    log::event,
    nic::{Wait, behaviour},
};
use cancelnic_kernel::{
    guid,
    kmdf::{device::Device, queue::Queue, request::Request},
};
use wdk_sys::{
    GUID, NTSTATUS, STATUS_CANCELLED, STATUS_INVALID_DEVICE_REQUEST, STATUS_NOT_FOUND, STATUS_SUCCESS, ULONG,
    WDF_IO_QUEUE_CONFIG, WDFCONTEXT, WDFQUEUE, WDFREQUEST,
};

use super::{
    Interface, managed_queue,
    waiters::{By, Ending},
};

/// The bench's half of the interface: two manual queues.
pub(super) struct Bench {
    second: Queue,
    /// With EvtIoCanceledOnQueue.
    third: Queue,
}

/// The bench's class as the framework takes it.
static CLASS: GUID = guid(NIC_BENCH_INTERFACE);

impl Bench {
    /// Makes queues and interface. PASSIVE_LEVEL.
    pub(super) fn new(device: Device) -> Result<Self, NTSTATUS> {
        let second = Queue::new(device, manual_queue())?;
        let third =
            WDF_IO_QUEUE_CONFIG { EvtIoCanceledOnQueue: Some(evt_io_canceled_on_queue), ..manual_queue() };
        let third = Queue::new(device, third)?;
        device.create_interface(&CLASS, &super::REFERENCE)?;
        Ok(Self { second, third })
    }

    /// The number of one of the two queues.
    pub(super) fn number(&self, wanted: Queue) -> Option<u32> {
        let known = [(self.second, queue::SECOND), (self.third, queue::THIRD)];
        known.into_iter().find_map(|(queue, number)| (queue == wanted).then_some(number))
    }
}

/// Requests that the driver takes out itself.
fn manual_queue() -> WDF_IO_QUEUE_CONFIG {
    WDF_IO_QUEUE_CONFIG {
        DispatchType: wdk_sys::_WDF_IO_QUEUE_DISPATCH_TYPE::WdfIoQueueDispatchManual,
        ..managed_queue()
    }
}

/// A request was cancelled in the third queue, which had presented it before: it is the driver's to complete. At most
/// DISPATCH_LEVEL.
unsafe extern "C" fn evt_io_canceled_on_queue(queue: WDFQUEUE, request: WDFREQUEST) {
    // SAFETY: this callback's own queue.
    let interface = Interface::of_queue(unsafe { Queue::of_callback(queue) });
    // SAFETY: this callback's own request, which the driver owns from now on.
    let request = unsafe { Request::owned(request) };
    let tag = request.input::<Wait>().map_or(u32::MAX, |wait| wait.tag);
    interface.journal.note(event::CANCELED_ON_QUEUE, tag, 0, 0);
    interface.complete(request, tag, Ending::Status(STATUS_CANCELLED));
}

/// A manual queue that was empty has a request. At most DISPATCH_LEVEL.
unsafe extern "C" fn evt_io_queue_ready(queue: WDFQUEUE, _context: WDFCONTEXT) {
    // SAFETY: this callback's own queue.
    let queue = unsafe { Queue::of_callback(queue) };
    let interface = Interface::of_queue(queue);
    interface.journal.note(event::READY, u32::MAX, 0, interface.number(queue).into());
}

impl Interface {
    /// Answers one of the bench's codes; the length of the answer. At most DISPATCH_LEVEL.
    pub(super) fn bench(&self, request: &mut Request, code: ULONG) -> Result<usize, NTSTATUS> {
        let status = match code {
            bench::MARK => {
                let mark = request.ask::<Mark, Status>()?;
                self.mark_late(mark.tag, if mark.ex == 1 { By::MarkEx } else { By::Mark })
            }
            bench::COMPLETE => {
                let complete = request.ask::<Complete, Status>()?;
                let ending = Ending::Status(complete.status as NTSTATUS);
                self.end(Which::Tag(complete.tag), ending).unwrap_or(STATUS_NOT_FOUND)
            }
            bench::FORWARD => {
                let forward = request.ask::<Forward, Status>()?;
                self.forward_waiting(forward.tag, forward.queue)
            }
            bench::RETRIEVE => {
                let retrieve = request.ask::<Retrieve, Status>()?;
                self.retrieve(retrieve.queue, retrieve.behaviour)
            }
            bench::QUEUE => {
                let wanted = request.ask::<QueueAction, QueueState>()?;
                return request.answer(&self.queue_action(wanted));
            }
            _ => return Err(STATUS_INVALID_DEVICE_REQUEST),
        };
        request.answer(&Status::new(status as u32))
    }

    /// The queue with this number.
    fn queue(&self, number: u32) -> Queue {
        match number {
            queue::SECOND => self.bench.second,
            queue::THIRD => self.bench.third,
            _ => self.wait,
        }
    }

    /// Does with a request what it asks for, if that is not the default.
    pub(super) fn behave(&self, request: Request, tag: u32, wanted: u32) {
        match wanted {
            behaviour::AT_ONCE => self.complete(request, tag, Ending::Event),
            behaviour::SECOND_QUEUE => self.forward_or_fail(request, tag, queue::SECOND),
            behaviour::THIRD_QUEUE => self.forward_or_fail(request, tag, queue::THIRD),
            behaviour::CANCELABLE_OLD => self.keep(request, tag, Some(By::Mark)),
            _ => self.keep(request, tag, None),
        }
    }

    /// Makes a waiting request cancelable late; what the framework returned.
    fn mark_late(&self, tag: u32, by: By) -> NTSTATUS {
        let marking = self.waiting.begin_mark(Which::Tag(tag));
        marking.map_or(STATUS_NOT_FOUND, |marking| self.mark(marking, tag, by))
    }

    /// Hands a waiting request to another queue; what the framework returned. If that refuses, it waits on.
    fn forward_waiting(&self, tag: u32, to: u32) -> NTSTATUS {
        let Some((request, tag)) = self.waiting.leave(Which::Tag(tag)) else { return STATUS_NOT_FOUND };
        match self.forward(request, tag, to) {
            Ok(()) => STATUS_SUCCESS,
            Err((status, request)) => {
                self.keep(request, tag, None);
                status
            }
        }
    }

    fn forward_or_fail(&self, request: Request, tag: u32, to: u32) {
        if let Err((status, request)) = self.forward(request, tag, to) {
            request.finish(Err(status));
        }
    }

    /// Hands a request to a queue, or back to the manual one that it came from.
    fn forward(&self, request: Request, tag: u32, to: u32) -> Result<(), (NTSTATUS, Request)> {
        let destination = self.queue(to);
        let (event, result) = if request.queue() == destination {
            (event::REQUEUED, request.requeue())
        } else {
            (event::FORWARDED, request.forward(destination))
        };
        let status = result.as_ref().err().map_or(STATUS_SUCCESS, |(status, _)| *status);
        self.journal.note(event, tag, status, u64::from(to));
        result
    }

    /// Takes the next request out of a manual queue; what the framework returned.
    fn retrieve(&self, from: u32, wanted: u32) -> NTSTATUS {
        let queue = self.queue(from);
        match Request::retrieve(queue) {
            Ok(request) => {
                self.receive(request, queue, Some(wanted));
                STATUS_SUCCESS
            }
            Err(status) => status,
        }
    }

    /// Does something to a queue; its state afterwards.
    fn queue_action(&self, wanted: QueueAction) -> QueueState {
        let queue = self.queue(wanted.queue);
        let mut status = STATUS_SUCCESS;
        match wanted.action {
            action::START => queue.start(),
            action::STOP => queue.stop(),
            action::STOP_AND_PURGE => queue.stop_and_purge(),
            action::DRAIN => queue.drain(),
            action::PURGE => queue.purge(),
            action::READY_NOTIFY => status = queue.ready_notify(Some(evt_io_queue_ready)),
            action::READY_FORGET => status = queue.ready_notify(None),
            _ => (),
        }
        let state = queue.state();
        QueueState {
            header: Header::of::<QueueState>(),
            state: state.flags,
            queued: state.queued,
            owned: state.owned,
            status: status as u32,
        }
    }
}
