//! The control codes.

#[cfg(feature = "mutants")]
use cancelnic_ioctl::{SET_MUTANT, SetMutant};
use cancelnic_ioctl::{
    log::LogAnswer,
    nic,
    relay::{self, Outcome, Pass, SLOTS, Send, Slot, SlotState, Target, TargetAnswer, option, target, way},
};
use cancelnic_kernel::kmdf::request::{answer, finish, input, output};
use wdk_sys::{
    NT_SUCCESS, NTSTATUS, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, ULONG, WDFQUEUE,
    WDFREQUEST, call_unsafe_wdf_function_binding,
};

use crate::device::Relay;

/// Option flags that there are.
const OPTIONS: u32 =
    option::TIMEOUT | option::SYNCHRONOUS | option::IGNORE_TARGET_STATE | option::SEND_AND_FORGET;

/// A program asks. PASSIVE_LEVEL.
pub unsafe extern "C" fn evt_io_device_control(
    from: WDFQUEUE,
    request: WDFREQUEST,
    _output: usize,
    _input: usize,
    code: ULONG,
) {
    // SAFETY: this callback's own queue and request, which the driver owns from now on.
    unsafe {
        let relay = Relay::of_queue(from);
        if is_passed(code) {
            let status =
                call_unsafe_wdf_function_binding!(WdfRequestForwardToIoQueue, request, relay.passing);
            if !NT_SUCCESS(status) {
                finish(request, Err(status));
            }
            return;
        }
        let result = relay.control(request, code);
        finish(request, result);
    }
}

/// Whether a code is cancelnic.sys's, to be passed on.
const fn is_passed(code: u32) -> bool {
    matches!(
        code,
        nic::COUNTERS
            | nic::RINGS
            | nic::WAIT
            | nic::LOG
            | nic::LOG_DIRECT
            | nic::MARK
            | nic::COMPLETE
            | nic::FORWARD
            | nic::RETRIEVE
            | nic::QUEUE
    )
}

/// `Err` unless the values are allowed.
fn allow(allowed: bool) -> Result<(), NTSTATUS> {
    if allowed { Ok(()) } else { Err(STATUS_INVALID_PARAMETER) }
}

/// Reads an input and sees to it that the answer will fit.
///
/// # Safety
/// The driver owns `request`.
unsafe fn ask<T, A>(request: WDFREQUEST) -> Result<T, NTSTATUS>
where
    T: cancelnic_kernel::kmdf::request::Input,
{
    // SAFETY: as the caller vouches; the input is copied before the output is looked at.
    unsafe {
        let wanted = input::<T>(request)?;
        output(request, size_of::<A>())?;
        Ok(wanted)
    }
}

/// The same for an input that is a slot only.
///
/// # Safety
/// The driver owns `request`.
unsafe fn ask_slot<A>(request: WDFREQUEST) -> Result<u32, NTSTATUS> {
    // SAFETY: as the caller vouches.
    let wanted = unsafe { ask::<Slot, A>(request) }?;
    allow(wanted.reserved == 0)?;
    Ok(wanted.slot)
}

impl Relay {
    /// Carries out one code; the length of the answer. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// The driver owns `request`.
    unsafe fn control(&self, request: WDFREQUEST, code: ULONG) -> Result<usize, NTSTATUS> {
        // SAFETY: the driver owns the request; what is read from its input is copied before its output is written.
        unsafe {
            match code {
                relay::TARGET => {
                    let wanted = ask::<Target, TargetAnswer>(request)?;
                    allow(wanted.action <= target::LAST && wanted.way <= way::BELOW)?;
                    allow(wanted.way == way::NIC || !matches!(wanted.action, target::OPEN | target::CLOSE))?;
                    answer(request, &self.target_action(wanted))
                }
                relay::CREATE => {
                    let slot = ask_slot::<Outcome>(request)?;
                    answer(request, &self.create(slot)?)
                }
                relay::SEND => {
                    let wanted = ask::<Send, Outcome>(request)?;
                    allow(wanted.options & !OPTIONS == 0 && wanted.routine <= 1)?;
                    allow(wanted.way <= way::BELOW && wanted.timeout <= 0)?;
                    answer(request, &self.send_own(&wanted)?)
                }
                relay::CANCEL => {
                    let slot = ask_slot::<Outcome>(request)?;
                    answer(request, &self.cancel(slot)?)
                }
                relay::REUSE => {
                    let slot = ask_slot::<Outcome>(request)?;
                    answer(request, &self.reuse(slot)?)
                }
                relay::DELETE => {
                    let slot = ask_slot::<Outcome>(request)?;
                    answer(request, &self.delete(slot)?)
                }
                relay::STATE => {
                    let slot = ask_slot::<SlotState>(request)?;
                    answer(request, &self.state(slot)?)
                }
                relay::PASS => {
                    let wanted: Pass = input(request)?;
                    allow(wanted.options & !OPTIONS == 0 && wanted.routine <= 1)?;
                    allow(wanted.way <= way::BELOW && wanted.timeout <= 0)?;
                    allow(wanted.slot < SLOTS)?;
                    self.pass.with(|pass| pass.set(&wanted));
                    Ok(0)
                }
                relay::LOG => Ok(self.journal.read(output(request, size_of::<LogAnswer>())?)),
                #[cfg(feature = "mutants")]
                SET_MUTANT => {
                    let wanted: SetMutant = input(request)?;
                    allow(wanted.check().is_ok())?;
                    self.mutant.choose(wanted.mutant);
                    Ok(0)
                }
                _ => Err(STATUS_INVALID_DEVICE_REQUEST),
            }
        }
    }
}
