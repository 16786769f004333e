//! The deliberate faults that the callbacks themselves show, in a test build that was told to. The shipped driver's
//! constant no leaves nothing of them.

use crate::trespass;
use cancelnic_mutants::{Mutant, Shown};
use wdk_sys::{LARGE_INTEGER, ntddk::KeDelayExecutionThread};

/// One millisecond and one second, relative.
const MILLISECOND: i64 = -10_000;
const SECOND: i64 = -10_000_000;
/// In the page that nothing is in.
const NOWHERE: usize = 0x18;

/// In EvtCancel.
pub(crate) fn in_cancel(mutant: &Shown) {
    if mutant.is(Mutant::WaitsInCancel) {
        // against the rules if the IRQL is raised, which is the purpose
        sleep(MILLISECOND);
    }
    if mutant.is(Mutant::LoopsInCancel) {
        loop {
            core::hint::spin_loop();
        }
    }
    if mutant.is(Mutant::ReadsNullInCancel) {
        // SAFETY: there is nothing to read, which is the purpose: the machine stops.
        let _ = unsafe { core::ptr::without_provenance::<u32>(NOWHERE).read_volatile() };
    }
    trespass::in_cancel(mutant);
    assert!(!mutant.is(Mutant::PanicsInCancel), "a queue with {} packets too many", 7);
}

/// In EvtDevicePrepareHardware.
pub(crate) fn in_prepare_hardware(mutant: &Shown) {
    while mutant.is(Mutant::SleepsInPrepareHardware) {
        sleep(SECOND);
    }
}

fn sleep(interval: i64) {
    let mut interval = LARGE_INTEGER { QuadPart: interval };
    // SAFETY: the interval lives over the call.
    let _ = unsafe { KeDelayExecutionThread(0, 0, &raw mut interval) };
}
