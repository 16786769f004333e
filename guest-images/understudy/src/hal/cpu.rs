//! The processor: its task priority, interrupts on and off, its counter, and what a thread that does not run has left.

use alloc::{vec, vec::Vec};
use core::arch::asm;
use x86_64::instructions::{hlt, interrupts};

/// Bytes of a thread's stack.
const STACK: usize = 256 * 1024;

unsafe extern "C" {
    fn switch_context(save: *mut u64, load: u64);
    fn thread_trampoline();
}

/// The task priority: CR8, 0 to 15. Interrupts of a higher class come.
pub(crate) fn priority() -> u8 {
    let value: u64;
    // SAFETY: reads a control register.
    unsafe { asm!("mov {}, cr8", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value as u8
}

/// Sets the task priority.
pub(crate) fn set_priority(priority: u8) {
    // SAFETY: it only decides which interrupts wait. A compiler barrier as well: no `nomem`.
    unsafe { asm!("mov cr8, {}", in(reg) u64::from(priority), options(nostack, preserves_flags)) };
}

/// Lets interrupts come.
pub(crate) fn interrupts_on() {
    interrupts::enable();
}

/// Keeps interrupts away.
pub(crate) fn interrupts_off() {
    interrupts::disable();
}

/// Runs `section` with interrupts off.
pub(crate) fn without_interrupts<R>(section: impl FnOnce() -> R) -> R {
    interrupts::without_interrupts(section)
}

/// As [`without_interrupts`]; on the host, other threads do not come in between at its end either.
pub(crate) fn undisturbed<R>(section: impl FnOnce() -> R) -> R {
    without_interrupts(section)
}

/// Waits for the next interrupt.
pub(crate) fn halt() {
    hlt();
}

/// One round of a loop that waits for time to pass.
pub(crate) fn spin() {
    core::hint::spin_loop();
}

/// The processor's counter.
pub(crate) fn counter() -> u64 {
    // SAFETY: every 64-bit processor has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Where the stack ends that is in use, roughly.
#[inline(always)]
pub(crate) fn stack_pointer() -> usize {
    let value: usize;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rsp", out(reg) value, options(nomem, nostack, preserves_flags)) };
    value
}

/// Where a thread stands that does not run.
pub(crate) struct Context {
    stack_pointer: u64,
    stack: Vec<u64>,
}

impl Context {
    /// That of the flow that runs now.
    pub(crate) const fn running() -> Self {
        Self { stack_pointer: 0, stack: Vec::new() }
    }

    /// That of a thread which begins in `thread_entry(id)`, with interrupts off at DISPATCH_LEVEL.
    pub(crate) fn new(id: u64) -> Self {
        let mut stack = vec![0_u64; STACK / 8];
        let top = (stack.as_mut_ptr() as usize + STACK) & !15;
        // as switch_context left it: FPU image, pointer to the registers r15 r14 r13 r12 rbp rbx, return address
        let registers = top - 16 - 7 * 8;
        let image = (registers & !15) - 528;
        // SAFETY: all within the fresh stack.
        unsafe {
            let words = registers as *mut u64;
            words.add(3).write(id);
            words.add(6).write(thread_trampoline as *const () as u64);
            (image as *mut u16).write(0x37f);
            ((image + 24) as *mut u32).write(0x1f80);
            ((image + 512) as *mut u64).write(registers as u64);
        }
        Self { stack_pointer: image as u64, stack }
    }

    /// The first byte of its stack, a page's; `None` of the flow that the machine has begun with.
    pub(crate) fn stack_end(&self) -> Option<usize> {
        (!self.stack.is_empty()).then_some(self.stack.as_ptr() as usize)
    }

    /// What `switch_context` has left, where there is such a thing.
    pub(crate) fn stack_pointer(&self) -> Option<u64> {
        Some(self.stack_pointer)
    }
}

/// Goes on in another thread; returns when somebody comes back to this one.
///
/// # Safety
/// `from` is the running thread's, `to` is another's that has been switched away from or never ran; both live until
/// this thread's state has been stored, as interrupts are off.
pub(crate) unsafe fn switch(from: *mut Context, to: *const Context) {
    // SAFETY: by contract: the stack pointer is stored before the other thread can move the record.
    unsafe { switch_context(&raw mut (*from).stack_pointer, (*to).stack_pointer) };
}
