//! The control codes.

#[cfg(feature = "test-build")]
use cancelnic_ioctl::{SET_MUTANT, SetMutant};
use cancelnic_ioctl::{
    bench,
    log::LogAnswer,
    nic,
    relay::{self, Outcome, Pass, Send, Slot, SlotState, Target, TargetAnswer},
};
use cancelnic_kernel::kmdf::request::Request;
use wdk_sys::{NTSTATUS, STATUS_INVALID_DEVICE_REQUEST, ULONG, WDFQUEUE, WDFREQUEST};

use crate::relay::Relay;

/// A program asks. PASSIVE_LEVEL.
pub(crate) unsafe extern "C" fn evt_io_device_control(
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

impl Relay {
    /// Carries out one code; the length of the answer. PASSIVE_LEVEL.
    fn control(&self, request: &mut Request, code: ULONG) -> Result<usize, NTSTATUS> {
        match code {
            relay::TARGET => {
                let wanted = request.ask::<Target, TargetAnswer>()?;
                request.answer(&self.target_action(wanted))
            }
            relay::CREATE => {
                let Slot { slot, .. } = request.ask::<Slot, Outcome>()?;
                request.answer(&self.create(slot)?)
            }
            relay::SEND => {
                let wanted = request.ask::<Send, Outcome>()?;
                request.answer(&self.send_own(&wanted)?)
            }
            relay::CANCEL => {
                let Slot { slot, .. } = request.ask::<Slot, Outcome>()?;
                request.answer(&self.cancel(slot)?)
            }
            relay::REUSE => {
                let Slot { slot, .. } = request.ask::<Slot, Outcome>()?;
                request.answer(&self.reuse(slot)?)
            }
            relay::DELETE => {
                let Slot { slot, .. } = request.ask::<Slot, Outcome>()?;
                request.answer(&self.delete(slot)?)
            }
            relay::STATE => {
                let Slot { slot, .. } = request.ask::<Slot, SlotState>()?;
                request.answer(&self.state(slot)?)
            }
            relay::PASS => {
                let wanted: Pass = request.input()?;
                self.pass.with(|pass| pass.set(&wanted));
                Ok(0)
            }
            relay::LOG => Ok(self.journal.read(request.output(size_of::<LogAnswer>())?)),
            #[cfg(feature = "test-build")]
            SET_MUTANT => {
                let wanted: SetMutant = request.input()?;
                self.mutant.choose(wanted.mutant);
                Ok(0)
            }
            _ => Err(STATUS_INVALID_DEVICE_REQUEST),
        }
    }
}
