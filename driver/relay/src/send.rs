//! Making, sending, recalling, reusing: the requests themselves.
//!
//! Rules: CP27 to CP30 (`driver/docs/cancel-path.md`).

use core::{mem::size_of, ptr::null_mut};

use cancelnic_ioctl::{
    Header,
    log::event,
    nic::{self, CancelEvent, Wait},
    relay::{Outcome, SLOTS, Send, SlotState, option, phase, way},
};
use cancelnic_kernel::{
    check,
    kmdf::{
        context::{self, Context, ContextType},
        journal::irql,
        object::{dereference, reference},
        request::finish,
    },
};
use cancelnic_mutants::Mutant;
use wdk_sys::{
    _POOL_TYPE, FALSE, NT_SUCCESS, NTSTATUS, PWDF_REQUEST_COMPLETION_PARAMS, STATUS_DEVICE_BUSY,
    STATUS_INVALID_PARAMETER, STATUS_NOT_FOUND, STATUS_OBJECT_NAME_COLLISION, STATUS_SUCCESS, ULONG,
    WDF_REQUEST_REUSE_PARAMS, WDF_REQUEST_SEND_OPTIONS, WDFCONTEXT, WDFIOTARGET, WDFMEMORY, WDFOBJECT,
    WDFREQUEST, call_unsafe_wdf_function_binding,
};

use crate::{
    device::{Handle, Relay, Table, object},
    driver::POOL_TAG,
    slots::{Origin, Phase, Refusal},
};

/// How a request is sent.
#[derive(Clone, Copy)]
pub struct How {
    pub way: u32,
    pub options: u32,
    pub timeout: i64,
    pub routine: bool,
}

impl Default for How {
    /// To the NIC, asynchronously, with a completion routine.
    fn default() -> Self {
        Self { way: way::NIC, options: 0, timeout: 0, routine: true }
    }
}

impl How {
    const fn is(&self, option: u32) -> bool {
        self.options & option != 0
    }
}

/// What a request of the relay's own carries.
struct Buffers {
    input: WDFMEMORY,
    /// In `input`.
    wait: *mut Wait,
    output: WDFMEMORY,
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
    pub fn create(&self, slot: u32) -> Result<Outcome, NTSTATUS> {
        // SAFETY: the device and its target are alive; what is passed by address lives over the calls; until it is in
        // the slot nobody else knows the request.
        unsafe {
            let mut attributes = context::attributes::<Buffers>();
            attributes.ParentObject = self.device.cast();
            let mut request = null_mut();
            check(call_unsafe_wdf_function_binding!(
                WdfRequestCreate,
                &raw mut attributes,
                self.target,
                &raw mut request
            ))?;
            let made = self.fill(request).and_then(|()| {
                let put = self.slots.with(|slots| slots.put(slot, Handle(request), Origin::Own));
                put.map_err(refused)
            });
            if let Err(status) = made {
                call_unsafe_wdf_function_binding!(WdfObjectDelete, request.cast());
                return Err(status);
            }
        }
        Ok(outcome(0, STATUS_SUCCESS, 0))
    }

    /// Gives a new request its buffers, which live as long as it does.
    unsafe fn fill(&self, request: WDFREQUEST) -> Result<(), NTSTATUS> {
        // SAFETY: the request is alive and has this context.
        unsafe {
            let (input, wait) = memory(request.cast(), size_of::<Wait>())?;
            let (output, _) = memory(request.cast(), size_of::<CancelEvent>())?;
            context::address::<Buffers>(request.cast()).write(Buffers { input, wait: wait.cast(), output });
        }
        Ok(())
    }

    /// Sends a slot's own request. PASSIVE_LEVEL.
    pub fn send_own(&self, wanted: &Send) -> Result<Outcome, NTSTATUS> {
        let Send { way, options, timeout, routine, .. } = *wanted;
        let how = How { way, options, timeout, routine: routine != 0 };
        let request = self.slots.with(|slots| self.begin_send(slots, wanted.slot, how.routine))?;
        // SAFETY: the slot's request is this caller's from Ready on; its buffers live as long as it does, and nobody
        // reads them before it is sent.
        unsafe {
            let buffers: &Buffers = context::get(object(request));
            buffers.wait.write(Wait::new(wanted.tag, wanted.behaviour));
            let formatted = call_unsafe_wdf_function_binding!(
                WdfIoTargetFormatRequestForInternalIoctl,
                self.way(how.way),
                request.0,
                nic::WAIT,
                buffers.input,
                null_mut(),
                buffers.output,
                null_mut()
            );
            if !NT_SUCCESS(formatted) {
                self.slots.with(|slots| slots.ended(request, formatted, 0));
                return Err(formatted);
            }
            Ok(self.send(request, wanted.slot, how))
        }
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
    pub unsafe fn send(&self, request: Handle, slot: u32, how: How) -> Outcome {
        // SAFETY: the request is alive until it is sent; afterwards it is touched only where the framework has given it
        // back: the send failed or was synchronous.
        unsafe {
            if how.routine {
                call_unsafe_wdf_function_binding!(
                    WdfRequestSetCompletionRoutine,
                    request.0,
                    Some(if how.is(option::SYNCHRONOUS) {
                        evt_completed_synchronously
                    } else {
                        evt_completed
                    }),
                    (&raw const *self).cast_mut().cast()
                );
            }
            let mut options = WDF_REQUEST_SEND_OPTIONS {
                Size: size_of::<WDF_REQUEST_SEND_OPTIONS>() as ULONG,
                Flags: how.options,
                Timeout: how.timeout,
            };
            let forgotten = how.is(option::SEND_AND_FORGET)
                && self.slots.with(|slots| {
                    let forgotten = slots.begin_forget(request);
                    if forgotten {
                        // Once it is sent, nothing but this keeps the object; DELETE gives it back.
                        reference(object(request));
                    }
                    forgotten
                });
            let irql = irql();
            self.journal.note(event::SENDING, slot, 0, u64::from(how.options));
            let sent = call_unsafe_wdf_function_binding!(
                WdfRequestSend,
                request.0,
                self.way(how.way),
                &raw mut options
            );
            let back = sent == 0 || how.is(option::SYNCHRONOUS);
            let (mut status, mut information) = (STATUS_SUCCESS, 0);
            if back {
                status = call_unsafe_wdf_function_binding!(WdfRequestGetStatus, request.0);
                information = call_unsafe_wdf_function_binding!(WdfRequestGetInformation, request.0);
            }
            self.journal.note(event::SENT, slot, status, sent.into());
            let mut completions = 0;
            if back {
                let ended = self.slots.with(|slots| slots.ended(request, status, information));
                if let Some((_, ended)) = ended {
                    completions = ended.completions;
                    if ended.origin != Origin::Own {
                        self.give_back(request, slot, status, information);
                    }
                }
                if forgotten {
                    dereference(object(request));
                }
            } else if forgotten {
                self.slots.with(|slots| slots.forgotten(request));
            }
            Outcome { irql, ..outcome(sent, status, completions) }
        }
    }

    /// Completes a program's request. At most DISPATCH_LEVEL.
    ///
    /// # Safety
    /// The driver owns the request, and nobody touches it afterwards.
    unsafe fn give_back(&self, request: Handle, slot: u32, status: NTSTATUS, information: u64) {
        self.journal.note(event::RETURNING, slot, status, information);
        // SAFETY: as the caller vouches.
        unsafe {
            call_unsafe_wdf_function_binding!(
                WdfRequestCompleteWithInformation,
                request.0,
                status,
                information
            );
        }
    }

    /// Recalls a slot's request. At most DISPATCH_LEVEL.
    pub fn cancel(&self, slot: u32) -> Result<Outcome, NTSTATUS> {
        let (request, origin) = self.slots.with(|slots| {
            let request = slots.get(slot).map_err(refused)?.ok_or(STATUS_NOT_FOUND)?;
            // SAFETY: what is in a slot is alive; the reference is given back in `recall`.
            unsafe { self.hold(request.handle) };
            Ok::<_, NTSTATUS>((request.handle, request.origin))
        })?;
        // SAFETY: held above.
        let (returned, irql) = unsafe {
            if self.mutant.is(Mutant::AcknowledgesOutside) && origin != Origin::Own {
                call_unsafe_wdf_function_binding!(WdfRequestStopAcknowledge, request.0, FALSE as u8);
            }
            let recalled = self.recall(request, slot);
            if self.mutant.is(Mutant::CompletesAfterCancel) && origin != Origin::Own {
                finish(request.0, Err(wdk_sys::STATUS_CANCELLED));
            }
            self.let_go(request);
            recalled
        };
        let completions =
            self.slots.with(|slots| slots.get(slot).ok().flatten().map_or(0, |request| request.completions));
        Ok(Outcome { irql, ..outcome(returned, STATUS_SUCCESS, completions) })
    }

    /// Takes the reference that is held over a recall. At most DISPATCH_LEVEL.
    pub unsafe fn hold(&self, request: Handle) {
        if !self.mutant.is(Mutant::CancelsWithoutReference) {
            // SAFETY: as the caller vouches.
            unsafe { reference(object(request)) };
        }
    }

    /// Gives it back.
    pub unsafe fn let_go(&self, request: Handle) {
        if !self.mutant.is(Mutant::CancelsWithoutReference) {
            // SAFETY: as the caller vouches.
            unsafe { dereference(object(request)) };
        }
    }

    /// WdfRequestCancelSentRequest, whose completion routine may run inside. At most DISPATCH_LEVEL.
    pub unsafe fn recall(&self, request: Handle, slot: u32) -> (u8, u32) {
        let irql = irql();
        self.journal.note(event::CANCELLING, slot, 0, 0);
        let handle = if self.mutant.is(Mutant::PassesWrongHandle) { self.target.cast() } else { request.0 };
        // SAFETY: the caller holds a reference.
        let returned = unsafe { call_unsafe_wdf_function_binding!(WdfRequestCancelSentRequest, handle) };
        self.journal.note(event::CANCELLED, slot, 0, returned.into());
        (returned, irql)
    }

    /// Makes a slot's own request ready to be sent again. PASSIVE_LEVEL.
    pub fn reuse(&self, slot: u32) -> Result<Outcome, NTSTATUS> {
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
    pub fn delete(&self, slot: u32) -> Result<Outcome, NTSTATUS> {
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
    pub fn delete_all(&self) {
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
    pub fn state(&self, slot: u32) -> Result<SlotState, NTSTATUS> {
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
    // SAFETY: as the caller vouches.
    unsafe {
        if matches!(origin, Origin::Forgotten { .. }) {
            dereference(object(request));
        } else {
            call_unsafe_wdf_function_binding!(WdfObjectDelete, object(request));
        }
    }
}

/// A buffer of a request's own, with its address.
unsafe fn memory(parent: WDFOBJECT, length: usize) -> Result<(WDFMEMORY, *mut u8), NTSTATUS> {
    let mut attributes = context::plain_attributes();
    attributes.ParentObject = parent;
    let (mut memory, mut buffer) = (null_mut(), null_mut());
    // SAFETY: the parent is alive; handle and address are written on success.
    check(unsafe {
        call_unsafe_wdf_function_binding!(
            WdfMemoryCreate,
            &raw mut attributes,
            _POOL_TYPE::NonPagedPoolNx,
            POOL_TAG,
            length,
            &raw mut memory,
            &raw mut buffer
        )
    })?;
    Ok((memory, buffer.cast()))
}

/// A request has come back. At most DISPATCH_LEVEL.
unsafe extern "C" fn evt_completed(
    request: WDFREQUEST,
    _target: WDFIOTARGET,
    params: PWDF_REQUEST_COMPLETION_PARAMS,
    context: WDFCONTEXT,
) {
    // SAFETY: this callback's own arguments; the context is the one that the send set.
    unsafe { completed(request, params, context, false) };
}

/// The request of a synchronous send has come back; the sender goes on after this. At most DISPATCH_LEVEL.
unsafe extern "C" fn evt_completed_synchronously(
    request: WDFREQUEST,
    _target: WDFIOTARGET,
    params: PWDF_REQUEST_COMPLETION_PARAMS,
    context: WDFCONTEXT,
) {
    // SAFETY: as above.
    unsafe { completed(request, params, context, true) };
}

unsafe fn completed(
    request: WDFREQUEST,
    params: PWDF_REQUEST_COMPLETION_PARAMS,
    context: WDFCONTEXT,
    synchronous: bool,
) {
    // SAFETY: the framework's own parameters; the device's context outlives its requests.
    unsafe {
        let relay = &*context.cast_const().cast::<Relay>();
        let block = (*params).IoStatus;
        let (status, information) = (block.__bindgen_anon_1.Status, block.Information);
        let handle = Handle(request);
        let slot = relay.slots.with(|slots| slots.find(handle)).unwrap_or(u32::MAX);
        relay.journal.note(event::COMPLETION, slot, status, information);
        let ended = relay.slots.with(|slots| slots.completed(handle, synchronous, status, information));
        if let Some((slot, Some(_))) = ended {
            relay.give_back(handle, slot, status, information);
        }
    }
}
