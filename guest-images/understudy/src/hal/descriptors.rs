//! The processor's descriptor tables: code and data, a gate for each vector, and stacks for the interrupts that may come
//! where there is none.

use alloc::{boxed::Box, vec};
use core::arch::asm;
use x86_64::VirtAddr;
use x86_64::instructions::tables::load_tss;
use x86_64::structures::gdt::{Descriptor, GlobalDescriptorTable};
use x86_64::structures::tss::TaskStateSegment;

/// A page fault, a double fault and a non-maskable interrupt come with a stack that has run over, too.
const ON_OWN_STACK: [usize; 3] = [2, 8, 14];
/// Bytes of each of these stacks: a report is made on it.
const STACK: usize = 64 * 1024;

unsafe extern "C" {
    static interrupt_stubs: [u8; 16];
}

/// Loads the tables. `gates` stays where it is.
pub(crate) fn start(gates: &mut [[u64; 2]; 256]) {
    let mut state = TaskStateSegment::new();
    for slot in 0..ON_OWN_STACK.len() {
        let stack = vec![0_u128; STACK / 16].leak();
        state.interrupt_stack_table[slot] = VirtAddr::from_ptr(stack.as_ptr_range().end);
    }
    let mut segments = GlobalDescriptorTable::new();
    // the selectors of start.s, 8 and 16
    segments.append(Descriptor::kernel_code_segment());
    segments.append(Descriptor::kernel_data_segment());
    let state = segments.append(Descriptor::tss_segment(Box::leak(Box::new(state))));
    Box::leak(Box::new(segments)).load();
    // SAFETY: the table that has just been loaded has the state segment there, which stays.
    unsafe { load_tss(state) };
    let stubs = &raw const interrupt_stubs as u64;
    for (vector, gate) in gates.iter_mut().enumerate() {
        let at = stubs + vector as u64 * 16;
        let stack = ON_OWN_STACK.iter().position(|&own| own == vector).map_or(0, |slot| slot as u64 + 1);
        *gate = [at & 0xffff | 8 << 16 | stack << 32 | 0x8e00 << 32 | (at >> 16 & 0xffff) << 48, at >> 32];
    }
    let mut pointer = [0_u8; 10];
    pointer[..2].copy_from_slice(&4095_u16.to_le_bytes());
    pointer[2..].copy_from_slice(&(gates.as_ptr() as u64).to_le_bytes());
    // SAFETY: the table stays, by contract, and every gate leads to a stub.
    unsafe { asm!("lidt [{}]", in(reg) pointer.as_ptr(), options(readonly, nostack, preserves_flags)) };
}
