//! Deliberate faults of EvtCancel that the processor finds, or a check in the code: instructions that end the machine, and
//! memory that is not there, or not for this. In a test build that was told to; the shipped driver has nothing of it.

use cancelnic_mutants::{Mutant, Shown};
use core::arch::asm;
use core::hint::black_box;
use core::ptr::{null_mut, with_exposed_provenance, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicPtr, Ordering::Relaxed};
use wdk_sys::ntddk::ExAllocatePool2;

/// FAST_FAIL_CORRUPT_LIST_ENTRY.
const CORRUPT_LIST_ENTRY: u32 = 3;
/// In the half of a program.
const LOW: usize = 0x3_0000;
/// Where a machine has RAM.
const PHYSICAL: usize = 0x300_0000;
/// POOL_FLAG_NON_PAGED.
const NON_PAGED: u64 = 0x40;
/// POOL_FLAG_PAGED.
const PAGED: u64 = 0x100;
const TAG: u32 = u32::from_le_bytes(*b"Tres");

static CONSTANT: u32 = 7;
static PAGED_BLOCK: AtomicPtr<u8> = AtomicPtr::new(null_mut());

/// In EvtDevicePrepareHardware, at PASSIVE_LEVEL.
pub(crate) fn in_prepare_hardware(mutant: &Shown) {
    if mutant.is(Mutant::ReadsPagedPool) {
        // SAFETY: at most APC_LEVEL; size and tag are not 0.
        let block = unsafe { ExAllocatePool2(PAGED, 64, TAG) }.cast::<u8>();
        if !block.is_null() {
            // SAFETY: just allocated, and used where paged pool may be.
            unsafe { block.write_volatile(7) };
        }
        PAGED_BLOCK.store(block, Relaxed);
    }
}

/// In EvtCancel, at DISPATCH_LEVEL.
pub(crate) fn in_cancel(mutant: &Shown) {
    if mutant.is(Mutant::FailsFast) {
        // SAFETY: so for all here: it must not happen, which is the purpose: the machine stops.
        unsafe { asm!("int 0x29", in("ecx") CORRUPT_LIST_ENTRY) };
    }
    if mutant.is(Mutant::FailsAnAssertion) {
        // SAFETY: as above.
        unsafe { asm!("int 0x2c") };
    }
    if mutant.is(Mutant::CallsTheDebugger) {
        // SAFETY: as above.
        unsafe { asm!("int 0x2d", in("eax") 0) };
    }
    if mutant.is(Mutant::RaisesItsOwnInterrupt) {
        // SAFETY: as above.
        unsafe { asm!("int 0x71") };
    }
    if mutant.is(Mutant::CallsInitCode) {
        initial();
    }
    if mutant.is(Mutant::CallsPagedCode) {
        paged();
    }
    if mutant.is(Mutant::ReadsPagedPool) {
        // SAFETY: as above.
        let _ = unsafe { PAGED_BLOCK.load(Relaxed).read_volatile() };
    }
    if mutant.is(Mutant::WritesAConstant) {
        let constant = black_box((&raw const CONSTANT).cast_mut());
        // SAFETY: as above.
        unsafe { constant.write_volatile(8) };
    }
    if mutant.is(Mutant::ExecutesPool) {
        execute_pool();
    }
    if mutant.is(Mutant::WritesLowMemory) {
        let low = with_exposed_provenance_mut::<u64>(black_box(LOW));
        // SAFETY: as above.
        unsafe { low.write_volatile(7) };
    }
    if mutant.is(Mutant::ReadsAPhysicalAddress) {
        let physical = with_exposed_provenance::<u64>(black_box(PHYSICAL));
        // SAFETY: as above.
        let _ = unsafe { physical.read_volatile() };
    }
}

/// Gone after DriverEntry.
#[unsafe(link_section = "INIT")]
#[inline(never)]
fn initial() {
    black_box(1);
}

/// For PASSIVE_LEVEL alone.
#[unsafe(link_section = "PAGE")]
#[inline(never)]
fn paged() {
    black_box(2);
}

fn execute_pool() {
    // SAFETY: at most DISPATCH_LEVEL; size and tag are not 0.
    let block = unsafe { ExAllocatePool2(NON_PAGED, 64, TAG) }.cast::<u8>();
    if block.is_null() {
        return;
    }
    // SAFETY: as above; it is a `ret`.
    unsafe { block.write(0xc3) };
    // SAFETY: as above.
    let code: extern "C" fn() = unsafe { core::mem::transmute(block) };
    code();
    // no jump in the call's place: this function stays on the stack
    black_box(3);
}
