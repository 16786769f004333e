//! Making, sending, recalling, reusing: the requests themselves.
//!
//! Rules: CP27 to CP30 (`driver/docs/cancel-path.md`).

use core::{mem::size_of, ptr::null_mut};

use cancelnic_ioctl::{
    Header,
    log::event,
    nic::{self, CancelEvent, Wait},
    relay::{Outcome, SLOTS, Send, SlotState, option, phase},
};
use cancelnic_kernel::{
    check,
    kmdf::{
        context::{self, Context, ContextType},
        journal::irql,
        memory::Memory,
        object::{self, Reference},
        request::{Request, acknowledge_stop},
    },
};
use cancelnic_mutants::Mutant;
use wdk_sys::{
    NT_SUCCESS, NTSTATUS, PWDF_REQUEST_COMPLETION_PARAMS, STATUS_DEVICE_BUSY, STATUS_INVALID_PARAMETER,
    STATUS_NOT_FOUND, STATUS_OBJECT_NAME_COLLISION, STATUS_SUCCESS, ULONG, WDF_REQUEST_REUSE_PARAMS,
    WDF_REQUEST_SEND_OPTIONS, WDFCONTEXT, WDFIOTARGET, WDFREQUEST, call_unsafe_wdf_function_binding,
};

use crate::{
    relay::{Handle, How, POOL_TAG, Relay, Table},
    slots::{Origin, Phase, Refusal},
};

/// What a request of the relay's own carries.
struct Buffers {
    /// Holds a [`Wait`].
    input: Memory,
    /// Holds a [`CancelEvent`].
    output: Memory,
}

static BUFFERS: ContextType = ContextType::new::<Buffers>(c"Buffers", &raw const BUFFERS);

// SAFETY: one static, made for this type.
unsafe impl Context for Buffers {
    fn context_type() -> &'static ContextType {
        &BUFFERS
    }
}

/// The status that tells a program why not.
const fn refused(refusal: Refusal) -> NTSTATUS {
    match refusal {
        Refusal::NoSlot => STATUS_INVALID_PARAMETER,
        Refusal::Taken => STATUS_OBJECT_NAME_COLLISION,
        Refusal::Empty => STATUS_NOT_FOUND,
        Refusal::Busy => STATUS_DEVICE_BUSY,
    }
}

/// An answer.
fn outcome(returned: u8, status: NTSTATUS, completions: u32) -> Outcome {
    Outcome {
        header: Header::of::<Outcome>(),
        returned: returned.into(),
        status: status as u32,
        irql: irql(),
        completions,
    }
}

impl Relay {
    /// Makes a slot's request. PASSIVE_LEVEL.
    pub(crate) fn create(&self, slot: u32) -> Result<Outcome, NTSTATUS> {
        let mut attributes = context::attributes::<Buffers>();
        attributes.ParentObject = self.device.object();
        let mut request = null_mut();
        // SAFETY: the device and its target are alive; attributes and handle live over the call.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfRequestCreate,
                &raw mut attributes,
                self.target.handle(),
                &raw mut request
            )
        })?;
        let request = Handle(request);
        // SAFETY: just made with this context, and nobody else knows it.
        let made = unsafe { fill(request) }
            .and_then(|()| self.slots.with(|slots| slots.put(slot, request, Origin::Own)).map_err(refused));
        if let Err(status) = made {
            // SAFETY: made above, never sent, and in no slot.
            unsafe { object::delete(request.object()) };
            return Err(status);
        }
        Ok(outcome(0, STATUS_SUCCESS, 0))
    }

    /// Sends a slot's own request. PASSIVE_LEVEL.
    pub(crate) fn send_own(&self, wanted: &Send) -> Result<Outcome, NTSTATUS> {
        let Send { way, options, timeout, routine, .. } = *wanted;
        let how = How { way, options, timeout, routine: routine != 0 };
        let request = self.slots.with(|slots| self.begin_send(slots, wanted.slot, how.routine))?;
        // SAFETY: a request of the relay's own, which has this context as long as it is in its slot.
        let buffers: &Buffers = unsafe { context::get(request.object()) };
        let wait = buffers.input.start.cast::<Wait>();
        // SAFETY: the buffer is as long as this, aligned, and nobody reads it before the request is sent.
        unsafe { wait.write(Wait::new(wanted.tag, wanted.behaviour)) };
        #[expect(
            clippy::too_many_arguments,
            reason = "the macro makes a function with all of KMDF's parameters"
        )]
        // SAFETY: the slot's request is this caller's from Ready on; its buffers live as long as it does.
        let formatted = unsafe {
            call_unsafe_wdf_function_binding!(
                WdfIoTargetFormatRequestForInternalIoctl,
                self.way(how.way).handle(),
                request.0,
                nic::WAIT,
                buffers.input.handle,
                null_mut(),
                buffers.output.handle,
                null_mut()
            )
        };
        if !NT_SUCCESS(formatted) {
            self.slots.with(|slots| slots.ended(request, formatted, 0));
            return Err(formatted);
        }
        // SAFETY: in its slot, under way, and not sent yet.
        Ok(unsafe { self.send(request, wanted.slot, how) })
    }

    /// A slot's request as one that may be sent, or, by a fault, may not.
    fn begin_send(&self, slots: &mut Table, slot: u32, routine: bool) -> Result<Handle, NTSTATUS> {
        let known = slots.get(slot).map_err(refused)?;
        if let Some(request) = known {
            let twice = self.mutant.is(Mutant::SendsTwice) && request.phase == Phase::Sent;
            if twice {
                return Ok(request.handle);
            }
        }
        slots.begin_send(slot, routine).map_err(refused)
    }

    /// Sends a formatted request and tells what came of it. A passed one that was not sent, or whose synchronous send
    /// has returned, is completed.
    ///
    /// # Safety
    /// The request is in its slot, under way; it has not been sent.
    pub(crate) unsafe fn send(&self, request: Handle, slot: u32, how: How) -> Outcome {
        if how.routine {
            let routine =
                if how.is(option::SYNCHRONOUS) { evt_completed_synchronously } else { evt_completed };
            let context = (&raw const *self).cast_mut().cast();
            // SAFETY: the request is the driver's until it is sent; this context of its device outlives it.
            unsafe {
                call_unsafe_wdf_function_binding!(
                    WdfRequestSetCompletionRoutine,
                    request.0,
                    Some(routine),
                    context
                );
            }
        }
        let mut options = WDF_REQUEST_SEND_OPTIONS {
            Size: size_of::<WDF_REQUEST_SEND_OPTIONS>() as ULONG,
            Flags: how.options,
            Timeout: how.timeout,
        };
        // Once it is sent, nothing but this keeps the object of a forgotten one; DELETE gives it back.
        let forgotten = if how.is(option::SEND_AND_FORGET) {
            self.slots.with(|slots| {
                // SAFETY: what is in a slot is alive.
                slots.begin_forget(request).then(|| unsafe { Reference::new(request.object()) })
            })
        } else {
            None
        };
        let irql = irql();
        self.journal.note(event::SENDING, slot, 0, u64::from(how.options));
        // SAFETY: the request is the driver's, formatted for this target; the options live over the call.
        let sent = unsafe {
            call_unsafe_wdf_function_binding!(
                WdfRequestSend,
                request.0,
                self.way(how.way).handle(),
                &raw mut options
            )
        };
        if sent != 0 && !how.is(option::SYNCHRONOUS) {
            self.journal.note(event::SENT, slot, STATUS_SUCCESS, sent.into());
            if let Some(held) = forgotten {
                self.slots.with(|slots| slots.forgotten(request));
                held.leave();
            }
            return Outcome { irql, ..outcome(sent, STATUS_SUCCESS, 0) };
        }
        // SAFETY: the send failed or was synchronous: the framework has given the request back.
        let status = unsafe { call_unsafe_wdf_function_binding!(WdfRequestGetStatus, request.0) };
        // SAFETY: the same.
        let information = unsafe { call_unsafe_wdf_function_binding!(WdfRequestGetInformation, request.0) };
        self.journal.note(event::SENT, slot, status, sent.into());
        let mut completions = 0;
        if let Some((_, ended)) = self.slots.with(|slots| slots.ended(request, status, information)) {
            completions = ended.completions;
            if ended.origin != Origin::Own {
                // SAFETY: given back by the framework, and out of its slot: this caller alone has it.
                self.give_back(unsafe { Request::owned(request.0) }, slot, status, information);
            }
        }
        drop(forgotten);
        Outcome { irql, ..outcome(sent, status, completions) }
    }

    /// Completes a program's request. At most DISPATCH_LEVEL.
    fn give_back(&self, request: Request, slot: u32, status: NTSTATUS, information: u64) {
        self.journal.note(event::RETURNING, slot, status, information);
        request.complete(status, information);
    }

    /// Recalls a slot's request. At most DISPATCH_LEVEL.
    pub(crate) fn cancel(&self, slot: u32) -> Result<Outcome, NTSTATUS> {
        let (request, origin, held) = self.slots.with(|slots| {
            let request = slots.get(slot).map_err(refused)?.ok_or(STATUS_NOT_FOUND)?;
            // SAFETY: what is in a slot is alive.
            Ok::<_, NTSTATUS>((request.handle, request.origin, unsafe { self.hold(request.handle) }))
        })?;
        if self.mutant.is(Mutant::AcknowledgesOutside) && origin != Origin::Own {
            // SAFETY: a reference keeps it; that this is not EvtIoStop is the fault.
            unsafe { acknowledge_stop(request.0) };
        }
        let (returned, irql) = self.recall(request, &held, slot);
        if self.mutant.is(Mutant::CompletesAfterCancel) && origin != Origin::Own {
            // SAFETY: a reference keeps it; that its completion routine completes it is the fault.
            unsafe { Request::owned(request.0) }.finish(Err(wdk_sys::STATUS_CANCELLED));
        }
        drop(held);
        let completions =
            self.slots.with(|slots| slots.get(slot).ok().flatten().map_or(0, |request| request.completions));
        Ok(Outcome { irql, ..outcome(returned, STATUS_SUCCESS, completions) })
    }

    /// The reference that is held over a recall; a mutant has none. At most DISPATCH_LEVEL.
    ///
    /// # Safety
    /// The request is alive.
    pub(crate) unsafe fn hold(&self, request: Handle) -> Option<Reference> {
        // SAFETY: the caller vouches for the request.
        let hold = || unsafe { Reference::new(request.object()) };
        (!self.mutant.is(Mutant::CancelsWithoutReference)).then(hold)
    }

    /// WdfRequestCancelSentRequest, whose completion routine may run inside; `held` is the reference on the request. At most
    /// DISPATCH_LEVEL.
    pub(crate) fn recall(&self, request: Handle, _held: &Option<Reference>, slot: u32) -> (u8, u32) {
        let irql = irql();
        self.journal.note(event::CANCELLING, slot, 0, 0);
        let handle =
            if self.mutant.is(Mutant::PassesWrongHandle) { self.target.handle().cast() } else { request.0 };
        // SAFETY: the reference keeps the request's object, which is all that this function asks for.
        let returned = unsafe { call_unsafe_wdf_function_binding!(WdfRequestCancelSentRequest, handle) };
        self.journal.note(event::CANCELLED, slot, 0, returned.into());
        (returned, irql)
    }

    /// Makes a slot's own request ready to be sent again. PASSIVE_LEVEL.
    pub(crate) fn reuse(&self, slot: u32) -> Result<Outcome, NTSTATUS> {
        let request = self.slots.with(|slots| slots.idle(slot)).map_err(refused)?;
        let mut parameters = WDF_REQUEST_REUSE_PARAMS {
            Size: size_of::<WDF_REQUEST_REUSE_PARAMS>() as ULONG,
            ..WDF_REQUEST_REUSE_PARAMS::default()
        };
        let status = if self.mutant.is(Mutant::ResendsWithoutReuse) {
            STATUS_SUCCESS
        } else {
            // SAFETY: the request is not under way; the parameters live over the call.
            unsafe { call_unsafe_wdf_function_binding!(WdfRequestReuse, request.0, &raw mut parameters) }
        };
        self.journal.note(event::REUSED, slot, status, 0);
        if NT_SUCCESS(status) {
            self.slots.with(|slots| slots.reused(request));
        }
        Ok(outcome(0, status, 0))
    }

    /// Deletes a slot's own request, or lets a forgotten one go. PASSIVE_LEVEL.
    pub(crate) fn delete(&self, slot: u32) -> Result<Outcome, NTSTATUS> {
        let request = self.slots.with(|slots| {
            let idle = slots.idle(slot);
            let request = match (idle, slots.get(slot)) {
                (Err(Refusal::Busy), Ok(Some(known))) if self.mutant.is(Mutant::DeletesSent) => {
                    Ok(known.handle)
                }
                _ => idle,
            }?;
            Ok(self.take_out(slots, slot, request))
        });
        let (request, origin) = request.map_err(refused)?;
        // SAFETY: not under way, and out of its slot.
        unsafe { dispose(request, origin) };
        Ok(outcome(0, STATUS_SUCCESS, 0))
    }

    fn take_out(&self, slots: &mut Table, slot: u32, request: Handle) -> (Handle, Origin) {
        let origin = slots.get(slot).ok().flatten().map_or(Origin::Own, |known| known.origin);
        slots.remove(request);
        (request, origin)
    }

    /// Deletes every request of the relay's own; none is under way. PASSIVE_LEVEL.
    pub(crate) fn delete_all(&self) {
        for slot in 0..SLOTS {
            let taken = self.slots.with(|slots| {
                let request = slots.idle(slot).ok()?;
                Some(self.take_out(slots, slot, request))
            });
            if let Some((request, origin)) = taken {
                // SAFETY: not under way, and out of its slot.
                unsafe { dispose(request, origin) };
            }
        }
    }

    /// How a slot stands. At most DISPATCH_LEVEL.
    pub(crate) fn state(&self, slot: u32) -> Result<SlotState, NTSTATUS> {
        self.slots.with(|slots| {
            let Some(request) = slots.get(slot).map_err(refused)? else {
                return Ok(SlotState { header: Header::of::<SlotState>(), ..SlotState::default() });
            };
            let status =
                if request.phase == Phase::Sent && !matches!(request.origin, Origin::Forgotten { .. }) {
                    // SAFETY: what is in a slot, and not forgotten, is alive.
                    unsafe { call_unsafe_wdf_function_binding!(WdfRequestGetStatus, request.handle.0) }
                } else {
                    request.status
                };
            Ok(SlotState {
                header: Header::of::<SlotState>(),
                phase: match request.phase {
                    Phase::Ready => phase::READY,
                    Phase::Sent => phase::SENT,
                    Phase::Done => phase::DONE,
                },
                passed: u32::from(request.origin != Origin::Own),
                status: status as u32,
                completions: request.completions,
                information: request.information,
            })
        })
    }
}

/// Ends a request of the relay's own, or gives back the reference that kept a forgotten one.
///
/// # Safety
/// It is not under way, and in no slot.
unsafe fn dispose(request: Handle, origin: Origin) {
    if matches!(origin, Origin::Forgotten { .. }) {
        // SAFETY: left by `send` for this request, and brought back once, as it is out of its slot.
        drop(unsafe { Reference::again(request.object()) });
    } else {
        // SAFETY: made by `create`; the caller vouches that nobody uses it any more.
        unsafe { object::delete(request.object()) };
    }
}

/// Gives a new request its buffers, which live as long as it does.
///
/// # Safety
/// The request was made with this context and is not in a slot yet.
unsafe fn fill(request: Handle) -> Result<(), NTSTATUS> {
    // SAFETY: the caller vouches for the request.
    let input = unsafe { Memory::new(request.object(), POOL_TAG, size_of::<Wait>()) }?;
    // SAFETY: the caller vouches for the request.
    let output = unsafe { Memory::new(request.object(), POOL_TAG, size_of::<CancelEvent>()) }?;
    // SAFETY: the caller vouches for the context.
    let place = unsafe { context::address::<Buffers>(request.object()) };
    // SAFETY: the context's own memory, of which nobody knows yet.
    unsafe { place.write(Buffers { input, output }) };
    Ok(())
}

/// A request has come back. At most DISPATCH_LEVEL.
unsafe extern "C" fn evt_completed(
    request: WDFREQUEST,
    _target: WDFIOTARGET,
    params: PWDF_REQUEST_COMPLETION_PARAMS,
    context: WDFCONTEXT,
) {
    // SAFETY: this callback's own arguments; the context is the one that `send` has set.
    unsafe { completed(request, params, context, false) };
}

/// The request of a synchronous send has come back; the sender goes on after this. At most DISPATCH_LEVEL.
unsafe extern "C" fn evt_completed_synchronously(
    request: WDFREQUEST,
    _target: WDFIOTARGET,
    params: PWDF_REQUEST_COMPLETION_PARAMS,
    context: WDFCONTEXT,
) {
    // SAFETY: this callback's own arguments; the context is the one that `send` has set.
    unsafe { completed(request, params, context, true) };
}

/// What both do.
///
/// # Safety
/// The arguments are those of a completion routine that `send` has set and that runs now.
unsafe fn completed(
    request: WDFREQUEST,
    params: PWDF_REQUEST_COMPLETION_PARAMS,
    context: WDFCONTEXT,
    synchronous: bool,
) {
    // SAFETY: `send` passes its `Relay`, the device's context, which outlives the device's requests.
    let relay = unsafe { &*context.cast_const().cast::<Relay>() };
    // SAFETY: the framework's own parameters, which live over the callback.
    let block = unsafe { (*params).IoStatus };
    // SAFETY: of the union's two fields the framework fills in the status.
    let status = unsafe { block.__bindgen_anon_1.Status };
    let (information, handle) = (block.Information, Handle(request));
    let slot = relay.slots.with(|slots| slots.find(handle)).unwrap_or(u32::MAX);
    relay.journal.note(event::COMPLETION, slot, status, information);
    let ended = relay.slots.with(|slots| slots.completed(handle, synchronous, status, information));
    if let Some((slot, Some(_))) = ended {
        // SAFETY: a program's request that has come back and is out of its slot: this caller alone has it.
        relay.give_back(unsafe { Request::owned(request) }, slot, status, information);
    }
}
