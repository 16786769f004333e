//! The control codes.

#[cfg(feature = "test-build")]
use cancelnic_ioctl::{SET_MUTANT, SetMutant};
use cancelnic_ioctl::{
    bench,
    log::LogAnswer,
    nic,
    relay::{self, Outcome, Pass, SLOTS, Send, Slot, SlotState, Target, TargetAnswer, option, target, way},
};
use cancelnic_kernel::kmdf::request::Request;
use wdk_sys::{
    NTSTATUS, STATUS_INVALID_DEVICE_REQUEST, STATUS_INVALID_PARAMETER, ULONG, WDFQUEUE, WDFREQUEST,
};

use crate::relay::Relay;

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
    // SAFETY: this callback's own queue.
    let relay = unsafe { Relay::of_queue(from) };
    // SAFETY: this callback's own request, which the driver owns from now on.
    let mut request = unsafe { Request::owned(request) };
    if is_passed(code) {
        if let Err((status, request)) = request.forward(relay.passing) {
            request.finish(Err(status));
        }
        return;
    }
    let result = relay.control(&mut request, code);
    request.finish(result);
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
            | bench::MARK
            | bench::COMPLETE
            | bench::FORWARD
            | bench::RETRIEVE
            | bench::QUEUE
    )
}

/// `Err` unless the values are allowed.
fn allow(allowed: bool) -> Result<(), NTSTATUS> {
    if allowed { Ok(()) } else { Err(STATUS_INVALID_PARAMETER) }
}

/// The slot of an input that is a slot only, if an answer of type `A` will fit.
fn ask_slot<A>(request: &mut Request) -> Result<u32, NTSTATUS> {
    let wanted = request.ask::<Slot, A>()?;
    allow(wanted.reserved == 0)?;
    Ok(wanted.slot)
}

impl Relay {
    /// Carries out one code; the length of the answer. PASSIVE_LEVEL.
    fn control(&self, request: &mut Request, code: ULONG) -> Result<usize, NTSTATUS> {
        match code {
            relay::TARGET => {
                let wanted = request.ask::<Target, TargetAnswer>()?;
                allow(wanted.action <= target::LAST && wanted.way <= way::BELOW)?;
                allow(wanted.way == way::NIC || !matches!(wanted.action, target::OPEN | target::CLOSE))?;
                request.answer(&self.target_action(wanted))
            }
            relay::CREATE => {
                let slot = ask_slot::<Outcome>(request)?;
                request.answer(&self.create(slot)?)
            }
            relay::SEND => {
                let wanted = request.ask::<Send, Outcome>()?;
                allow(wanted.options & !OPTIONS == 0 && wanted.routine <= 1)?;
                allow(wanted.way <= way::BELOW && wanted.timeout <= 0)?;
                request.answer(&self.send_own(&wanted)?)
            }
            relay::CANCEL => {
                let slot = ask_slot::<Outcome>(request)?;
                request.answer(&self.cancel(slot)?)
            }
            relay::REUSE => {
                let slot = ask_slot::<Outcome>(request)?;
                request.answer(&self.reuse(slot)?)
            }
            relay::DELETE => {
                let slot = ask_slot::<Outcome>(request)?;
                request.answer(&self.delete(slot)?)
            }
            relay::STATE => {
                let slot = ask_slot::<SlotState>(request)?;
                request.answer(&self.state(slot)?)
            }
            relay::PASS => {
                let wanted: Pass = request.input()?;
                allow(wanted.options & !OPTIONS == 0 && wanted.routine <= 1)?;
                allow(wanted.way <= way::BELOW && wanted.timeout <= 0)?;
                allow(wanted.slot < SLOTS)?;
                self.pass.with(|pass| pass.set(&wanted));
                Ok(0)
            }
            relay::LOG => Ok(self.journal.read(request.output(size_of::<LogAnswer>())?)),
            #[cfg(feature = "test-build")]
            SET_MUTANT => {
                let wanted: SetMutant = request.input()?;
                allow(wanted.check().is_ok())?;
                self.mutant.choose(wanted.mutant);
                Ok(0)
            }
            _ => Err(STATUS_INVALID_DEVICE_REQUEST),
        }
    }
}
