//! An exception, judged: a driver's, or understudy's own.

use super::{BugCheck, owners, pool, stack, trace, watchdog};
use crate::ke::Registers;
use crate::ke::frame::Exception;
use crate::mm::paged;
use crate::pe::Kind;
use alloc::{format, string::String};
use understudy_rules::trap::{Cause, Memory, Trap, access, exception_name};

/// The vectors of a non-maskable interrupt and of a page fault.
const NMI: u8 = 2;
const PAGE_FAULT: u8 = 14;
/// Of a page fault's error code: the page is there.
const PRESENT: u64 = 1;
/// First parameter of UNEXPECTED_KERNEL_MODE_TRAP: what Windows meets at the end of a stack.
const DOUBLE_FAULT: u64 = 8;

/// Ends the run for an exception, or lets the code go on whose page comes in. Interrupts are off.
pub(super) fn judge(exception: &Exception) {
    let Exception { cause, vector, error, address, rflags, frame, irql } = *exception;
    let fault = cause == Cause::Exception && vector == PAGE_FAULT;
    let absent = fault && error & PRESENT == 0;
    if absent && (stack::passes(exception) || paged::page_in(address as usize, irql)) {
        return;
    }
    let registers = Registers::of(frame, irql);
    if cause == Cause::Exception && vector == NMI {
        watchdog::interrupted(&registers);
    }
    let [rax, rcx, ..] = registers.general;
    let trap = Trap { cause, vector, error, address, rip: frame.rip, rcx, rax, irql: irql.number() };
    let at = owners::describe(trap.instruction());
    let name: String = match cause {
        Cause::Exception => exception_name(vector).into(),
        _ => format!("int {vector:#x}"),
    };
    crate::log!(
        "{name} at {at} (rip {:#x}), error {error:#x}, cr2 {address:#x}, rsp {:#x}, rflags {rflags:#x}, irql {irql}",
        frame.rip,
        frame.rsp,
    );
    for (index, value) in frame.registers.iter().enumerate() {
        crate::log!("  r[{index}] = {value:#018x}");
    }
    let callback = trace::current();
    let interrupt = cause == Cause::Exception && vector == NMI;
    if !interrupt && (owners::in_driver(frame.rip) || callback != "none") {
        if absent && !paged::contains(address as usize) {
            in_our_memory(exception, &callback, &at);
        }
        end(&Registers { rip: trap.instruction(), ..registers }, callback, &trap, fault)
    }
    crate::hal::power::fatal(&format!("{name} in understudy itself"))
}

/// Ends the run for an access to a page that is missing on purpose: of a stack, or beside or behind a block of the pool.
fn in_our_memory(exception: &Exception, callback: &str, at: &str) {
    let Exception { error, address, frame, irql, .. } = *exception;
    if let Some(stack::Overflow { registers, place }) = stack::overflow(exception, callback) {
        let parameters = [DOUBLE_FAULT, address, registers.rip, 0];
        let code = BugCheck::UNEXPECTED_KERNEL_MODE_TRAP;
        trace::stop_at(&registers, callback.into(), code, parameters, "KernelStackOverflow", place);
    }
    if let Some((code, rule, block)) = pool::fault(address as usize) {
        let place = format!("{} {block}; at {at}", access(error));
        let parameters = [address, error >> 1 & 1, frame.rip, 0];
        trace::stop_at(&Registers::of(frame, irql), callback.into(), code, parameters, rule, place);
    }
}

/// Ends the run for an interrupt of a device that nobody has connected. Interrupts are off.
pub(super) fn unserved(vector: u8, registers: &Registers) -> ! {
    let rip = registers.rip;
    let trap = Trap {
        cause: Cause::Device,
        vector,
        error: 0,
        address: 0,
        rip,
        rcx: 0,
        rax: 0,
        irql: registers.irql.number(),
    };
    end(registers, trace::current(), &trap, false)
}

fn end(registers: &Registers, callback: String, trap: &Trap, fault: bool) -> ! {
    let section = if fault { owners::section_of(trap.address) } else { None };
    let memory = match section {
        Some(section) if section.kind == Kind::Initial => Memory::Discarded,
        _ if fault && paged::contains(trap.address as usize) => Memory::Paged,
        _ => Memory::Any,
    };
    let stop = trap.judge(memory);
    let section = section.map_or_else(String::new, |section| format!(" in section {}", section.name()));
    let place = format!("{}{section} at {}", stop.what, owners::describe(trap.instruction()));
    trace::stop_at(registers, callback, BugCheck::given(stop.code), stop.parameters, stop.rule, place)
}
