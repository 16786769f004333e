//! Programs' requests: passed on to a target, kept over a loss of power, recalled when their file is closed or the device
//! goes.
//!
//! Rules: CP31 (`driver/docs/cancel-path.md`).

use core::ptr::null_mut;

use cancelnic_ioctl::{
    log::event,
    relay::{option, way},
};
use cancelnic_kernel::{
    check,
    kmdf::request::{Request, acknowledge_stop},
};
use cancelnic_mutants::Mutant;
use wdk_sys::{
    _WDF_REQUEST_STOP_ACTION_FLAGS, NTSTATUS, STATUS_DEVICE_BUSY, ULONG, WDFFILEOBJECT, WDFQUEUE, WDFREQUEST,
    call_unsafe_wdf_function_binding,
};

use crate::{
    relay::{Handle, How, Passing, Relay},
    slots::Origin,
};

impl Relay {
    /// Recalls the passed requests of a closed file. At most DISPATCH_LEVEL.
    pub(crate) fn cancel_file(&self, file: WDFFILEOBJECT) {
        let mut from = 0;
        while let Some((slot, request, held)) = self.slots.with(|slots| {
            let (slot, request) = slots.next_of_file(file.addr(), from)?;
            // SAFETY: what is in a slot is alive.
            Some((slot, request, unsafe { self.hold(request) }))
        }) {
            // what came of it is in the log
            let _ = self.recall(request, &held, slot);
            from = slot + 1;
        }
    }

    /// Passes a program's request on.
    fn pass_on(&self, request: Request, code: ULONG) {
        let Passing { slot, how } = self.pass.with(|pass| *pass);
        if let Err(status) = self.format(&request, how, code) {
            return request.finish(Err(status));
        }
        let (file, handle) = (request.file(), Handle(request.handle()));
        let entered = self.slots.with(|slots| {
            slots.put(slot, handle, Origin::Passed { file })?;
            slots.begin_send(slot, how.routine)
        });
        if entered.is_err() {
            return request.finish(Err(STATUS_DEVICE_BUSY));
        }
        // SAFETY: in its slot, under way, and not sent yet.
        // What comes of it is in the log.
        let _ = unsafe { self.send(handle, slot, how) };
    }

    /// Makes a program's request ready for its target. As it came, it carries the file object of the relay's own device; that
    /// is right further down the same stack only. At another device NDIS would take it for a request of its own. One that is
    /// forgotten has to go as it came. At most DISPATCH_LEVEL.
    fn format(&self, request: &Request, how: How, code: ULONG) -> Result<(), NTSTATUS> {
        let as_it_came = how.way == way::BELOW
            || how.is(option::SEND_AND_FORGET)
            || self.mutant.is(Mutant::PassesForeignFile);
        if as_it_came {
            // SAFETY: the driver owns the request until it is sent.
            unsafe {
                call_unsafe_wdf_function_binding!(WdfRequestFormatRequestUsingCurrentType, request.handle());
            }
            return Ok(());
        }
        let [input, output] = request.memories()?;
        #[expect(
            clippy::too_many_arguments,
            reason = "the macro makes a function with all of KMDF's parameters"
        )]
        // SAFETY: the driver owns the request until it is sent; its memory objects live until it is completed.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfIoTargetFormatRequestForIoctl,
                self.way(how.way).handle(),
                request.handle(),
                code,
                input,
                null_mut(),
                output,
                null_mut()
            )
        })
    }

    fn slot_of(&self, request: WDFREQUEST) -> u32 {
        self.slots.with(|slots| slots.find(Handle(request))).unwrap_or(u32::MAX)
    }
}

/// A program's request is to be passed on. PASSIVE_LEVEL.
pub(crate) unsafe extern "C" fn evt_io_pass(
    queue: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    code: ULONG,
) {
    // SAFETY: this callback's own queue.
    let relay = unsafe { Relay::of_queue(queue) };
    // SAFETY: this callback's own request, which the driver owns from now on.
    relay.pass_on(unsafe { Request::owned(request) }, code);
}

/// Power goes: a request that is under way stays so. The device goes: it is recalled. At most DISPATCH_LEVEL.
pub(crate) unsafe extern "C" fn evt_io_stop(queue: WDFQUEUE, request: WDFREQUEST, flags: ULONG) {
    use _WDF_REQUEST_STOP_ACTION_FLAGS::{WdfRequestStopActionPurge, WdfRequestStopActionSuspend};

    // SAFETY: this callback's own queue.
    let relay = unsafe { Relay::of_queue(queue) };
    let slot = relay.slot_of(request);
    relay.journal.note(event::STOP, slot, 0, u64::from(flags));
    if flags & WdfRequestStopActionSuspend as ULONG != 0 {
        if !relay.mutant.is(Mutant::ForgetsAcknowledge) {
            relay.journal.note(event::ACKNOWLEDGING, slot, 0, 0);
            // SAFETY: in EvtIoStop, for its own request.
            unsafe { acknowledge_stop(request) };
        }
    } else if flags & WdfRequestStopActionPurge as ULONG != 0 && !relay.mutant.is(Mutant::IgnoresPurge) {
        // SAFETY: the framework holds the request over this callback; the reference goes on over the recall, in which its
        // completion routine completes it.
        let held = unsafe { relay.hold(Handle(request)) };
        // what came of it is in the log
        let _ = relay.recall(Handle(request), &held, slot);
    }
}

/// Power is back. At most DISPATCH_LEVEL.
pub(crate) unsafe extern "C" fn evt_io_resume(queue: WDFQUEUE, request: WDFREQUEST) {
    // SAFETY: this callback's own queue.
    let relay = unsafe { Relay::of_queue(queue) };
    relay.journal.note(event::RESUME, relay.slot_of(request), 0, 0);
}
