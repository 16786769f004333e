//! The local APIC in its MSR form, and the I/O APIC's line of COM2.

use super::physical::DIRECT;
use super::{port, power};
use core::ops::Range;
use x86_64::registers::model_specific::Msr;

/// Registers of the local APIC.
const BASE: u32 = 0x1b;
const EOI: u32 = 0x80b;
const SPURIOUS: u32 = 0x80f;
const TIMER: u32 = 0x832;
const IN_SERVICE: u32 = 0x810;
const LINT0: u32 = 0x835;
const LINT1: u32 = 0x836;
const INITIAL: u32 = 0x838;
const COUNT: u32 = 0x839;
const DIVIDE: u32 = 0x83e;
const SELF: u32 = 0x83f;
/// Where the I/O APIC is.
pub(crate) const IO_APIC: Range<usize> = 0xfec0_0000..0xfec0_1000;
const IOAPIC: usize = DIRECT + IO_APIC.start;

/// The vector of an interrupt that is none.
pub(crate) const SPURIOUS_VECTOR: u8 = 0xff;

fn write(register: u32, value: u64) {
    // SAFETY: only APIC registers by the constants above; their effects are what the callers want.
    unsafe { Msr::new(register).write(value) };
}

/// Requests an interrupt from this processor to itself.
pub(crate) fn request(vector: u8) {
    write(SELF, vector.into());
}

/// The interrupt that is being served is over for the APIC.
pub(crate) fn acknowledge() {
    write(EOI, 0);
}

/// Whether an interrupt of that vector is being served: one that an instruction has raised is not.
pub(crate) fn in_service(vector: u8) -> bool {
    // SAFETY: one of the eight registers by the constant above; reading has no effect.
    let bits = unsafe { Msr::new(IN_SERVICE + u32::from(vector >> 5)).read() };
    bits >> (vector & 31) & 1 != 0
}

/// Sets the APIC and the COM2 line up; interrupts stay off.
pub(crate) fn start(serial_vector: u8) {
    // both old interrupt controllers off
    port::write8(0x21, 0xff);
    port::write8(0xa1, 0xff);
    // CPUID 1, ECX bit 21: the MSR form of the APIC
    if core::arch::x86_64::__cpuid(1).ecx >> 21 & 1 == 0 {
        power::fatal("the processor has no x2APIC; -cpu max has one");
    }
    // SAFETY: reads the APIC base.
    let base = unsafe { Msr::new(BASE).read() };
    write(BASE, base | 0xc00);
    write(SPURIOUS, 0x100 | u64::from(SPURIOUS_VECTOR));
    write(LINT0, 0x1_0000);
    // NMI: a hung guest tells where it is
    write(LINT1, 0x400);
    // IRQ 3, edge
    redirect(3, u32::from(serial_vector));
}

/// Bits of a redirection entry: level-triggered, low; masked.
const LEVEL: u32 = 0xa000;
const MASKED: u32 = 0x1_0000;

/// Sends a line of the I/O APIC that stays low until its device is asked to this vector, or nowhere.
pub(crate) fn set_line(line: u8, vector: Option<u8>) {
    redirect(line.into(), LEVEL | vector.map_or(MASKED, u32::from));
}

/// Writes a line's redirection entry, to processor 0.
fn redirect(line: u32, low: u32) {
    for (register, value) in [(0x10 + line * 2 + 1, 0), (0x10 + line * 2, low)] {
        // SAFETY: the I/O APIC stands at its fixed place, which is mapped.
        unsafe {
            (IOAPIC as *mut u32).write_volatile(register);
            ((IOAPIC + 0x10) as *mut u32).write_volatile(value);
        }
    }
}

/// Starts the clock: one interrupt a millisecond. `five_ms` takes five.
pub(crate) fn start_clock(vector: u8, five_ms: impl FnOnce()) {
    write(DIVIDE, 0xb);
    write(TIMER, 0x1_0000);
    write(INITIAL, u32::MAX.into());
    five_ms();
    // SAFETY: reads the timer's count.
    let left = unsafe { Msr::new(COUNT).read() };
    let per_ms = (u64::from(u32::MAX) - left) / 5;
    write(TIMER, 0x2_0000 | u64::from(vector));
    write(INITIAL, per_ms.max(1000));
}
