//! Kernel stacks as small as Windows has them: 24 KB for a callback, counted from its first frame.
//!
//! A thread's stack is larger, since understudy's frames are not those of Windows: they stand above the callback's first
//! frame, or below what the driver has called, and neither are counted. While a callback runs, one page of the thread's
//! stack is missing, where 24 KB end, rounded up to a whole page. The driver's own frames cannot pass it unseen: one of a
//! page or more probes each page on its way down ([`probe`], which the compiler calls `__chkstk`). understudy's frames,
//! and what the processor stores for an interrupt, may pass it: the page comes back for them, and is missing again when
//! the driver goes on (the clock looks). A callback inside a callback, be it of a DPC or an interrupt that has come in
//! between, has 24 KB to itself, so none of them uses up another's. The last page of a thread's stack is always
//! missing: whoever meets it, callbacks inside callbacks have used the whole stack up.

use crate::hal::cpu;
use crate::ke::frame::Exception;
use crate::ke::{self, Registers};
use crate::mm;
use crate::pe;
use alloc::{format, string::String};
use core::arch::naked_asm;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// Bytes of stack that a callback has: KERNEL_STACK_SIZE of x64.
const BUDGET: usize = 24 * 1024;
const PAGE: usize = 4096;
/// Bytes that the processor stores on the stack for an interrupt, and what it aligns them by.
const INTERRUPT: usize = 64;
/// Threads that are looked at.
const THREADS: usize = 512;
const PAGE_FAULT: u8 = 14;

/// The page that is missing from a thread's stack now.
struct Guard {
    /// Its first byte; 0: none.
    page: AtomicUsize,
    /// Where the callback has begun.
    top: AtomicUsize,
    /// It is there, for frames that are not the driver's.
    lifted: AtomicBool,
    /// The thread's last page, which is missing; 0: it is not yet.
    closed: AtomicUsize,
}

static GUARDS: [Guard; THREADS] = [const {
    Guard {
        page: AtomicUsize::new(0),
        top: AtomicUsize::new(0),
        lifted: AtomicBool::new(false),
        closed: AtomicUsize::new(0),
    }
}; THREADS];

impl Guard {
    fn set(&self, page: usize, top: usize) {
        self.top.store(top, Relaxed);
        self.lifted.store(false, Relaxed);
        self.page.store(page, Relaxed);
        if page != 0 {
            mm::protect(page, PAGE, mm::Access::None);
        }
    }

    /// Takes the guard away: what it was.
    fn take(&self) -> (usize, usize) {
        let was = (self.page.swap(0, Relaxed), self.top.load(Relaxed));
        if was.0 != 0 && !self.lifted.load(Relaxed) {
            mm::protect(was.0, PAGE, mm::Access::Write);
        }
        was
    }
}

/// The running thread's; the host looks after its own stacks.
fn of_this_thread() -> Option<&'static Guard> {
    if cfg!(target_os = "none") { GUARDS.get(ke::current_thread() as usize) } else { None }
}

/// Runs a callback that may use [`BUDGET`] bytes of stack.
pub(super) fn guarded<R>(run: impl FnOnce() -> R) -> R {
    let Some(guard) = of_this_thread() else { return run() };
    if guard.closed.load(Relaxed) == 0
        && let Some(last) = ke::thread::stack_end()
    {
        guard.closed.store(last, Relaxed);
        mm::protect(last, PAGE, mm::Access::None);
    }
    let top = cpu::stack_pointer();
    let (page, began) = guard.take();
    let missing = ((top - BUDGET) & !(PAGE - 1)) - PAGE;
    // where the thread's stack ends before 24 KB do, its last page is the guard: what lies below is not the thread's
    guard.set(if missing > guard.closed.load(Relaxed) { missing } else { 0 }, top);
    let result = run();
    guard.take();
    if page != 0 && cpu::stack_pointer() > page + 2 * PAGE {
        guard.set(page, began);
    } else if page != 0 {
        // understudy's own frames have passed it, and stand there
        guard.set(0, began);
        guard.lifted.store(true, Relaxed);
        guard.page.store(page, Relaxed);
    }
    result
}

/// The running thread ends: its guard goes, and the last page of its stack is there again.
pub(super) fn end_thread() {
    let Some(guard) = of_this_thread() else { return };
    guard.take();
    let last = guard.closed.swap(0, Relaxed);
    if last != 0 {
        mm::protect(last, PAGE, mm::Access::Write);
    }
}

/// The clock has interrupted code with these registers: if it is a driver's, and stands above its thread's guard, that is
/// missing again.
pub(super) fn driver_goes_on(registers: &dyn Fn() -> Registers) {
    let Some(guard) = of_this_thread().filter(|guard| guard.lifted.load(Relaxed)) else { return };
    let (page, top) = (guard.page.load(Relaxed), guard.top.load(Relaxed));
    let registers = registers();
    let above = registers.general[agent_protocol::Processor::RSP] as usize > page + PAGE;
    // this interrupt's own frames stand below it: they must have room above the guard, too
    if page != 0 && above && pe::is_place(registers.rip) && cpu::stack_pointer() > page + 2 * PAGE {
        guard.set(page, top);
    }
}

/// A driver's use of its stack beyond its end.
pub(super) struct Overflow {
    /// The code that did it.
    pub registers: Registers,
    /// How far it went, in words.
    pub place: String,
}

/// The guard that the page fault is about, and the registers of the driver's code if it is the one that has met it.
fn met(exception: &Exception) -> Option<(&'static Guard, Option<Registers>)> {
    let address = exception.address as usize;
    let page = address & !(PAGE - 1);
    let guard = (exception.vector == PAGE_FAULT && page != 0)
        .then(|| GUARDS.iter().find(|guard| guard.page.load(Relaxed) == page))??;
    let mut registers = Registers::of(exception.frame, exception.irql);
    if (probe as *const () as u64..).take(PROBE).any(|at| at == exception.frame.rip) {
        // SAFETY: `probe` stands at its reads, with two registers and its return address on the stack.
        let back = unsafe { *((exception.frame.rsp + 16) as *const u64) };
        registers.rip = back;
        registers.general[agent_protocol::Processor::RSP] += 24;
        return Some((guard, Some(registers)));
    }
    let rsp = exception.frame.rsp as usize;
    let interrupt = rsp > page + PAGE && (rsp.saturating_sub(INTERRUPT)..rsp).contains(&address);
    Some((guard, Some(registers).filter(|_| pe::is_place(exception.frame.rip) && !interrupt)))
}

/// Whether code that is not a driver's has met a guard: the page is there again, and it may go on. Interrupts are off, and
/// any lock may be held.
pub(super) fn passes(exception: &Exception) -> bool {
    match met(exception) {
        Some((guard, None)) => {
            guard.lifted.store(true, Relaxed);
            mm::restore(guard.page.load(Relaxed));
            true
        }
        _ => false,
    }
}

/// The overflow that the page fault is, if it is one: a driver's beyond its guard, or anybody's beyond the end of a thread.
pub(super) fn overflow(exception: &Exception, callback: &str) -> Option<Overflow> {
    let page = exception.address as usize & !(PAGE - 1);
    if page != 0 && GUARDS.iter().any(|guard| guard.closed.load(Relaxed) == page) {
        mm::restore(page);
        let registers = Registers::of(exception.frame, exception.irql);
        let at = super::owners::describe(registers.rip);
        let place = format!(
            "callbacks inside callbacks have used up a whole thread's stack, the last one {callback}, at {at}"
        );
        return Some(Overflow { registers, place });
    }
    let (guard, registers) = met(exception)?;
    let registers = registers?;
    // the report has the frames above, which begin there
    mm::restore(guard.page.load(Relaxed));
    let rsp = registers.general[agent_protocol::Processor::RSP];
    let used = (guard.top.load(Relaxed) as u64).saturating_sub(rsp);
    let asked = if registers.rip == exception.frame.rip { 0 } else { registers.general[0] };
    let more = if asked == 0 { String::new() } else { format!(", and the next frame has {asked}") };
    let place = format!(
        "{used} bytes of kernel stack in use since {callback} began{more}; there are {BUDGET}, at {}",
        super::owners::describe(registers.rip)
    );
    Some(Overflow { registers, place })
}

/// Bytes of [`probe`], at most.
const PROBE: usize = 64;

/// `__chkstk`: RAX bytes of stack are about to be used: reads each page of them, from the top. Keeps all registers.
#[unsafe(naked)]
pub(crate) unsafe extern "win64" fn probe() {
    naked_asm!(
        "push r10",
        "push r11",
        "lea r10, [rsp + 24]",
        "mov r11, r10",
        "sub r11, rax",
        "jae 2f",
        "xor r11d, r11d",
        "2:",
        "sub r10, 4096",
        "cmp r10, r11",
        "jb 3f",
        "test byte ptr [r10], 0",
        "jmp 2b",
        "3:",
        "test byte ptr [r11], 0",
        "pop r11",
        "pop r10",
        "ret",
    )
}
