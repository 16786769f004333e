//! The registers of some code, and the stack behind them: what a stack walk begins with.

use super::Irql;
use super::frame::Frame;
use core::arch::naked_asm;

/// Registers at one instruction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Registers {
    /// The instruction.
    pub rip: u64,
    /// In the processor's own numbering, as [`agent_protocol::Processor::registers`].
    pub general: [u64; 16],
    /// IRQL of that code.
    pub irql: Irql,
}

/// Stores RAX to R15 and the return address, as the caller has them after the call.
#[unsafe(naked)]
unsafe extern "sysv64" fn store(to: *mut [u64; 17]) {
    naked_asm!(
        "mov [rdi], rax",
        "mov [rdi + 8], rcx",
        "mov [rdi + 16], rdx",
        "mov [rdi + 24], rbx",
        "lea rax, [rsp + 8]",
        "mov [rdi + 32], rax",
        "mov [rdi + 40], rbp",
        "mov [rdi + 48], rsi",
        "mov [rdi + 56], rdi",
        "mov [rdi + 64], r8",
        "mov [rdi + 72], r9",
        "mov [rdi + 80], r10",
        "mov [rdi + 88], r11",
        "mov [rdi + 96], r12",
        "mov [rdi + 104], r13",
        "mov [rdi + 112], r14",
        "mov [rdi + 120], r15",
        "mov rax, [rsp]",
        "mov [rdi + 128], rax",
        "ret",
    )
}

impl Registers {
    /// Those of whoever calls this. They hold while the caller has not returned.
    #[inline(always)]
    pub(crate) fn here() -> Self {
        let mut all = [0_u64; 17];
        // SAFETY: the routine writes these seventeen words and changes RAX alone.
        unsafe { store(&raw mut all) };
        let mut general = [0; 16];
        general.copy_from_slice(&all[..16]);
        Self { rip: all[16], general, irql: Irql::current() }
    }

    /// Those of the code that an interrupt or an exception has interrupted at `irql`.
    pub(crate) fn of(frame: &Frame, irql: Irql) -> Self {
        let [r15, r14, r13, r12, r11, r10, r9, r8, rdi, rsi, rbp, rbx, rdx, rcx, rax] = frame.registers;
        let general = [rax, rcx, rdx, rbx, frame.rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];
        Self { rip: frame.rip, general, irql }
    }

    /// Those of a thread that waits: what `switch_context` has left at `stack_pointer`.
    ///
    /// # Safety
    /// `stack_pointer` is the one that `switch_context` has stored, and the thread has not run since.
    pub(crate) unsafe fn of_waiting(stack_pointer: u64) -> Self {
        // SAFETY: behind the FPU image stands the address of the pushed registers, by contract.
        let pushed = unsafe { *((stack_pointer + 512) as *const u64) };
        // SAFETY: as above: six registers and the return address.
        let [r15, r14, r13, r12, rbp, rbx, rip] = unsafe { *(pushed as *const [u64; 7]) };
        let rsp = pushed + 7 * 8;
        let general = [0, 0, 0, rbx, rsp, rbp, 0, 0, 0, 0, 0, 0, r12, r13, r14, r15];
        Self { rip, general, irql: Irql::PASSIVE }
    }
}
