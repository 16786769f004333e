//! Programs' requests: passed on to a target, kept over a loss of power, recalled when their file is closed or the device
//! goes.
//!
//! Rules: CP31 (`driver/docs/cancel-path.md`).

use cancelnic_ioctl::{log::event, relay::Pass};
use cancelnic_kernel::kmdf::request::finish;
use cancelnic_mutants::Mutant;
use wdk_sys::{
    _WDF_REQUEST_STOP_ACTION_FLAGS, FALSE, STATUS_DEVICE_BUSY, ULONG, WDFFILEOBJECT, WDFQUEUE, WDFREQUEST,
    call_unsafe_wdf_function_binding,
};

use crate::{
    device::{Handle, Relay},
    send::How,
    slots::Origin,
};

/// How the next requests of programs are passed on.
#[derive(Clone, Copy, Default)]
pub struct Passing {
    slot: u32,
    how: How,
}

impl Passing {
    /// What a program wants.
    pub const fn set(&mut self, wanted: &Pass) {
        self.slot = wanted.slot;
        let Pass { way, options, timeout, routine, .. } = *wanted;
        self.how = How { way, options, timeout, routine: routine != 0 };
    }
}

impl Relay {
    /// Recalls the passed requests of a closed file. At most DISPATCH_LEVEL.
    pub fn cancel_file(&self, file: WDFFILEOBJECT) {
        let mut from = 0;
        while let Some((slot, request)) = self.slots.with(|slots| {
            let (slot, request) = slots.next_of_file(file.addr(), from)?;
            // SAFETY: what is in a slot is alive; the reference is given back below.
            unsafe { self.hold(request) };
            Some((slot, request))
        }) {
            // SAFETY: held above.
            unsafe {
                // what came of it is in the log
                let _ = self.recall(request, slot);
                self.let_go(request);
            }
            from = slot + 1;
        }
    }

    /// Passes a program's request on.
    unsafe fn pass_on(&self, request: WDFREQUEST) {
        let Passing { slot, how } = self.pass.with(|pass| *pass);
        let handle = Handle(request);
        // SAFETY: the driver owns the request until it is sent.
        unsafe {
            let file = call_unsafe_wdf_function_binding!(WdfRequestGetFileObject, request).addr();
            let entered = self.slots.with(|slots| {
                slots.put(slot, handle, Origin::Passed { file })?;
                slots.begin_send(slot, how.routine)
            });
            if entered.is_err() {
                finish(request, Err(STATUS_DEVICE_BUSY));
                return;
            }
            call_unsafe_wdf_function_binding!(WdfRequestFormatRequestUsingCurrentType, request);
            // what comes of it is in the log
            let _ = self.send(handle, slot, how);
        }
    }
}

/// A program's request is to be passed on. PASSIVE_LEVEL.
pub unsafe extern "C" fn evt_io_pass(
    queue: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    _code: ULONG,
) {
    // SAFETY: this callback's own queue and request, which the driver owns from now on.
    unsafe { Relay::of_queue(queue).pass_on(request) };
}

/// Power goes: a request that is under way stays so. The device goes: it is recalled. At most DISPATCH_LEVEL.
pub unsafe extern "C" fn evt_io_stop(queue: WDFQUEUE, request: WDFREQUEST, flags: ULONG) {
    use _WDF_REQUEST_STOP_ACTION_FLAGS::{WdfRequestStopActionPurge, WdfRequestStopActionSuspend};

    // SAFETY: this callback's own queue and request; the framework holds the request over the callback, and a
    // reference is held over the recall, whose completion routine completes it.
    unsafe {
        let relay = Relay::of_queue(queue);
        let slot = relay.slots.with(|slots| slots.find(Handle(request))).unwrap_or(u32::MAX);
        relay.journal.note(event::STOP, slot, 0, u64::from(flags));
        if flags & WdfRequestStopActionSuspend as ULONG != 0 {
            if !relay.mutant.is(Mutant::ForgetsAcknowledge) {
                relay.journal.note(event::ACKNOWLEDGING, slot, 0, 0);
                call_unsafe_wdf_function_binding!(WdfRequestStopAcknowledge, request, FALSE as u8);
            }
        } else if flags & WdfRequestStopActionPurge as ULONG != 0 && !relay.mutant.is(Mutant::IgnoresPurge) {
            relay.hold(Handle(request));
            // what came of it is in the log
            let _ = relay.recall(Handle(request), slot);
            relay.let_go(Handle(request));
        }
    }
}

/// Power is back. At most DISPATCH_LEVEL.
pub unsafe extern "C" fn evt_io_resume(queue: WDFQUEUE, request: WDFREQUEST) {
    // SAFETY: this callback's own queue.
    let relay = unsafe { Relay::of_queue(queue) };
    let slot = relay.slots.with(|slots| slots.find(Handle(request))).unwrap_or(u32::MAX);
    relay.journal.note(event::RESUME, slot, 0, 0);
}
