//! Interrupts and exceptions: the descriptor table, the local APIC, and who serves which vector.

use super::irqlock::IrqLock;
use super::{Irql, Registers, dispatch, hooks, irql, lower, set_irql};
use alloc::{boxed::Box, sync::Arc};
use core::arch::asm;
use x86_64::instructions::interrupts;
use x86_64::registers::control::Cr2;
use x86_64::registers::model_specific::Msr;

/// Software interrupt of DISPATCH_LEVEL.
pub const DISPATCH_VECTOR: u8 = 0x2f;
/// COM2, class 4.
pub const SERIAL_VECTOR: u8 = 0x43;
/// The device's message, class 7: DIRQL 7.
pub const DEVICE_VECTOR: u8 = 0x71;
/// The clock, class 13.
const CLOCK_VECTOR: u8 = 0xd1;
const SPURIOUS_VECTOR: u8 = 0xff;

/// Registers of the local APIC in its MSR form.
const APIC_BASE: u32 = 0x1b;
const APIC_EOI: u32 = 0x80b;
const APIC_SPURIOUS: u32 = 0x80f;
const APIC_TIMER: u32 = 0x832;
const APIC_LINT0: u32 = 0x835;
const APIC_LINT1: u32 = 0x836;
const APIC_INITIAL: u32 = 0x838;
const APIC_COUNT: u32 = 0x839;
const APIC_DIVIDE: u32 = 0x83e;
const APIC_SELF: u32 = 0x83f;
const IOAPIC: usize = 0xfec0_0000;

unsafe extern "C" {
    static interrupt_stubs: [u8; 16];
}

/// What a stub leaves on the stack.
#[repr(C)]
pub struct Frame {
    /// R15 to R8, RDI, RSI, RBP, RBX, RDX, RCX, RAX.
    pub registers: [u64; 15],
    vector: u64,
    error: u64,
    /// The interrupted instruction.
    pub rip: u64,
    _cs: u64,
    rflags: u64,
    /// The interrupted code's stack.
    pub rsp: u64,
    _ss: u64,
}

type Handler = Arc<dyn Fn() -> bool + Send + Sync>;
static HANDLERS: IrqLock<[Option<Handler>; 256]> = IrqLock::new([const { None }; 256]);
static TABLE: IrqLock<[[u64; 2]; 256]> = IrqLock::new([[0; 2]; 256]);

fn write_msr(register: u32, value: u64) {
    // SAFETY: only APIC registers by the constants above; their effects are what the callers want.
    unsafe { Msr::new(register).write(value) };
}

/// Serves `vector` with `routine`, at the IRQL that is the vector's class.
pub fn connect(vector: u8, routine: Box<dyn Fn() -> bool + Send + Sync>) {
    let routine: Handler = Arc::from(routine);
    let old = HANDLERS.with(|handlers| handlers[usize::from(vector)].replace(routine));
    drop(old);
}

/// Serves `vector` no more.
pub fn disconnect(vector: u8) {
    let old = HANDLERS.with(|handlers| handlers[usize::from(vector)].take());
    drop(old);
}

/// Requests an interrupt from this processor to itself.
pub fn send_self(vector: u8) {
    write_msr(APIC_SELF, vector.into());
}

/// Sets the table, the APIC and the COM2 line up; interrupts stay off.
pub fn start() {
    let stubs = &raw const interrupt_stubs as u64;
    let pointer = TABLE.with(|table| {
        for (vector, gate) in table.iter_mut().enumerate() {
            let at = stubs + vector as u64 * 16;
            *gate = [at & 0xffff | 8 << 16 | 0x8e00 << 32 | (at >> 16 & 0xffff) << 48, at >> 32];
        }
        table.as_ptr() as u64
    });
    let mut descriptor = [0_u8; 10];
    descriptor[..2].copy_from_slice(&4095_u16.to_le_bytes());
    descriptor[2..].copy_from_slice(&pointer.to_le_bytes());
    // SAFETY: the table is a static, every gate leads to a stub.
    unsafe { asm!("lidt [{}]", in(reg) descriptor.as_ptr(), options(readonly, nostack, preserves_flags)) };
    // both old interrupt controllers off
    crate::hal::port::write8(0x21, 0xff);
    crate::hal::port::write8(0xa1, 0xff);
    // CPUID 1, ECX bit 21: the MSR form of the APIC
    if core::arch::x86_64::__cpuid(1).ecx >> 21 & 1 == 0 {
        crate::hal::power::fatal("the processor has no x2APIC; -cpu max has one");
    }
    // SAFETY: reads the APIC base.
    let base = unsafe { Msr::new(APIC_BASE).read() };
    write_msr(APIC_BASE, base | 0xc00);
    write_msr(APIC_SPURIOUS, 0x100 | u64::from(SPURIOUS_VECTOR));
    write_msr(APIC_LINT0, 0x1_0000);
    // NMI: a hung guest tells where it is
    write_msr(APIC_LINT1, 0x400);
    // IRQ 3, edge, to processor 0
    for (register, value) in [(0x10 + 3 * 2 + 1, 0), (0x10 + 3 * 2, u32::from(SERIAL_VECTOR))] {
        // SAFETY: the I/O APIC stands at its fixed place, identity mapped.
        unsafe {
            (IOAPIC as *mut u32).write_volatile(register);
            ((IOAPIC + 0x10) as *mut u32).write_volatile(value);
        }
    }
}

/// Starts the clock: one interrupt a millisecond.
pub fn start_clock() {
    write_msr(APIC_DIVIDE, 0xb);
    write_msr(APIC_TIMER, 0x1_0000);
    write_msr(APIC_INITIAL, u32::MAX.into());
    super::stall_us(5_000);
    // SAFETY: reads the timer's count.
    let left = unsafe { Msr::new(APIC_COUNT).read() };
    let per_ms = (u64::from(u32::MAX) - left) / 5;
    write_msr(APIC_TIMER, 0x2_0000 | u64::from(CLOCK_VECTOR));
    write_msr(APIC_INITIAL, per_ms.max(1000));
}

/// All interrupts and exceptions come here, interrupts off.
#[unsafe(no_mangle)]
extern "C" fn interrupt_entry(frame: &Frame) {
    let vector = frame.vector as u8;
    if vector < 32 {
        exception(vector, frame);
    }
    if vector == SPURIOUS_VECTOR {
        return;
    }
    let old = irql();
    set_irql(Irql::of_vector(vector));
    if vector == DISPATCH_VECTOR {
        // acknowledged first: the thread may change in here
        write_msr(APIC_EOI, 0);
        interrupts::enable();
        dispatch::serve();
        interrupts::disable();
        set_irql(old);
        return;
    }
    let handler = HANDLERS.with(|handlers| handlers[usize::from(vector)].clone());
    if vector == CLOCK_VECTOR {
        dispatch::clock();
        if let Some(hooks) = hooks::get() {
            (hooks.tick)(&|| Registers::of(frame, old), old);
        }
    } else if let Some(handler) = handler {
        interrupts::enable();
        handler();
        interrupts::disable();
    } else {
        crate::log!("nobody serves vector {vector:#x}");
    }
    write_msr(APIC_EOI, 0);
    lower(old);
}

/// An exception, or a non-maskable interrupt.
pub struct Exception<'a> {
    /// Its vector.
    pub vector: u8,
    /// Its error code.
    pub error: u64,
    /// The address that a page fault is about.
    pub address: u64,
    /// RFLAGS of the interrupted code.
    pub rflags: u64,
    /// What the processor and the stub have left.
    pub frame: &'a Frame,
    /// IRQL of the interrupted code.
    pub irql: Irql,
}

fn exception(vector: u8, frame: &Frame) -> ! {
    let (error, rflags, address) = (frame.error, frame.rflags, Cr2::read_raw());
    let exception = Exception { vector, error, address, rflags, frame, irql: irql() };
    match hooks::get() {
        Some(hooks) => (hooks.exception)(&exception),
        None => crate::hal::power::fatal("an exception before anybody can judge it"),
    }
}
