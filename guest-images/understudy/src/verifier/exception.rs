//! An exception, judged: a driver's, or understudy's own.

use super::{BugCheck, owners, trace, watchdog};
use crate::ke::Registers;
use crate::ke::frame::Exception;
use alloc::{format, string::String};

/// The vectors of a non-maskable interrupt and of a page fault.
const NMI: u8 = 2;
const PAGE_FAULT: u8 = 14;

const NAMES: [&str; 20] = [
    "divide error",
    "debug",
    "NMI",
    "breakpoint",
    "overflow",
    "bound",
    "invalid opcode",
    "no FPU",
    "double fault",
    "coprocessor segment",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved",
    "x87",
    "alignment",
    "machine check",
    "SIMD",
];

/// Ends the run for an exception. Interrupts are off.
pub(super) fn judge(exception: &Exception) -> ! {
    let Exception { vector, error, address, rflags, frame, irql } = *exception;
    if vector == NMI {
        watchdog::interrupted(&Registers::of(frame, irql));
    }
    let name = NAMES.get(usize::from(vector)).copied().unwrap_or("exception");
    let at = owners::describe(frame.rip);
    crate::log!(
        "{name} at {at} (rip {:#x}), error {error:#x}, cr2 {address:#x}, rsp {:#x}, rflags {rflags:#x}, irql {irql}",
        frame.rip,
        frame.rsp,
    );
    for (index, value) in frame.registers.iter().enumerate() {
        crate::log!("  r[{index}] = {value:#018x}");
    }
    let callback = trace::current();
    if vector == NMI || !(owners::in_driver(frame.rip) || callback != "none") {
        crate::hal::power::fatal(&format!("{name} in understudy itself"));
    }
    let (rule, place) = if vector == PAGE_FAULT {
        ("PageFault", format!("{} {address:#x} at {at}", access(error)))
    } else {
        ("Exception", format!("{name} at {at}"))
    };
    let parameters = [error, address, frame.rip, vector.into()];
    let code = BugCheck::SYSTEM_THREAD_EXCEPTION_NOT_HANDLED;
    trace::stop_at(&Registers::of(frame, irql), callback, code, parameters, rule, place)
}

fn access(error: u64) -> String {
    let what = if error & 16 != 0 {
        "execution of"
    } else if error & 2 != 0 {
        "write to"
    } else {
        "read of"
    };
    let why = if error & 1 != 0 { "protected" } else { "unmapped" };
    format!("{what} {why}")
}
