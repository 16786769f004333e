//! The deliberate faults that the callbacks themselves show, in a test build that was told to. The shipped driver's
//! constant no leaves nothing of them.

use crate::trespass;
use cancelnic_mutants::{Mutant, Shown};
use wdk_sys::{
    LARGE_INTEGER, POOL_FLAG_NON_PAGED, WDF_NO_OBJECT_ATTRIBUTES, WDFMEMORY,
    call_unsafe_wdf_function_binding,
    ntddk::{ExAllocatePool2, ExFreePoolWithTag, KeDelayExecutionThread},
};

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
    pool(mutant);
    if mutant.is(Mutant::RecursesInCancel) {
        recurse(40_000 / size_of::<Frame>());
    }
    if mutant.is(Mutant::HasLargeLocals) {
        large_locals();
    }
    if mutant.is(Mutant::ReadsDeletedMemory) {
        read_deleted_memory();
    }
    assert!(!mutant.is(Mutant::PanicsInCancel), "a queue with {} packets too many", 7);
}

/// Tag and bytes of a piece of pool memory.
const TAG: u32 = u32::from_le_bytes(*b"bugb");
const SIZE: usize = 112;

/// What a driver does wrong with pool memory.
fn pool(mutant: &Shown) {
    let freed = mutant.is(Mutant::WritesFreedPool);
    let twice = mutant.is(Mutant::FreesPoolTwice);
    let (behind, before) = (mutant.is(Mutant::WritesBehindPool), mutant.is(Mutant::WritesBeforePool));
    if !(freed || twice || behind || before) {
        return;
    }
    // SAFETY: a plain allocation.
    let block = unsafe { ExAllocatePool2(POOL_FLAG_NON_PAGED, SIZE as u64, TAG) }.cast::<u8>();
    if block.is_null() {
        return;
    }
    if behind {
        // SAFETY: one byte too far, which is the purpose.
        unsafe { block.wrapping_add(SIZE).write_volatile(1) };
    }
    if before {
        // SAFETY: one byte too far, which is the purpose.
        unsafe { block.wrapping_sub(1).write_volatile(1) };
    }
    // SAFETY: allocated above.
    unsafe { ExFreePoolWithTag(block.cast(), TAG) };
    if freed {
        // SAFETY: it is freed, which is the fault.
        unsafe { block.write_volatile(1) };
    }
    if twice {
        // SAFETY: it is freed, which is the fault.
        unsafe { ExFreePoolWithTag(block.cast(), TAG) };
    }
}

/// What a call of [`recurse`] has on the stack, at least.
type Frame = [u64; 64];

/// Uses `more` frames, and this one.
#[inline(never)]
fn recurse(more: usize) {
    let mut frame: Frame = [more as u64; 64];
    core::hint::black_box(&mut frame);
    if more != 0 {
        recurse(more - 1);
    }
    // read after the call, so that it is none that ends the function
    core::hint::black_box(&frame);
}

/// Has 40,000 bytes of locals.
#[inline(never)]
fn large_locals() {
    let mut locals = [0_u8; 40_000];
    core::hint::black_box(&mut locals);
}

/// A WDFMEMORY is made, deleted, and its buffer read.
fn read_deleted_memory() {
    let mut memory: WDFMEMORY = core::ptr::null_mut();
    let mut buffer = core::ptr::null_mut();
    // SAFETY: both places live over the call.
    let status = unsafe {
        call_unsafe_wdf_function_binding!(
            WdfMemoryCreate,
            WDF_NO_OBJECT_ATTRIBUTES,
            wdk_sys::_POOL_TYPE::NonPagedPoolNx,
            TAG,
            SIZE,
            &raw mut memory,
            &raw mut buffer
        )
    };
    if status < 0 {
        return;
    }
    // SAFETY: made above.
    unsafe { call_unsafe_wdf_function_binding!(WdfObjectDelete, memory.cast()) };
    // SAFETY: it is deleted, which is the fault.
    let _ = unsafe { buffer.cast::<u8>().read_volatile() };
}

/// In EvtInterruptIsr.
#[cfg(feature = "test-build")]
#[inline(never)]
pub(crate) fn in_interrupt(mutant: &Shown) {
    if mutant.is(Mutant::LoopsInInterrupt) {
        loop {
            core::hint::spin_loop();
        }
    }
}

/// In EvtDevicePrepareHardware.
pub(crate) fn in_prepare_hardware(mutant: &Shown) {
    trespass::in_prepare_hardware(mutant);
    while mutant.is(Mutant::SleepsInPrepareHardware) {
        sleep(SECOND);
    }
}

fn sleep(interval: i64) {
    let mut interval = LARGE_INTEGER { QuadPart: interval };
    // SAFETY: the interval lives over the call.
    let _ = unsafe { KeDelayExecutionThread(0, 0, &raw mut interval) };
}
