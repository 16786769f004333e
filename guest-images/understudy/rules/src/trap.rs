//! What Windows makes of an exception, an `int` instruction or an interrupt that nobody serves, in code of a driver: the
//! rule, the bug check with its parameters, and what happened in words.
//!
//! Numbers and parameters: Microsoft's "Bug Check Code Reference"; codes of fast fails: wdm.h and winnt.h (FAST_FAIL_...).

use alloc::{format, string::String};

const PAGE_FAULT: u8 = 14;
/// Vectors of the kernel's software interrupts.
const FAST_FAIL: u8 = 0x29;
const ASSERTION: u8 = 0x2c;
const DEBUG_SERVICE: u8 = 0x2d;
const DISPATCH_LEVEL: u8 = 2;

// Bug checks.
const TRAP_CAUSE_UNKNOWN: u32 = 0x12;
const KMODE_EXCEPTION_NOT_HANDLED: u32 = 0x1e;
const PAGE_FAULT_IN_NONPAGED_AREA: u32 = 0x50;
const SYSTEM_THREAD_EXCEPTION_NOT_HANDLED: u32 = 0x7e;
const UNEXPECTED_KERNEL_MODE_TRAP: u32 = 0x7f;
const MACHINE_CHECK_EXCEPTION: u32 = 0x9c;
const ATTEMPTED_WRITE_TO_READONLY_MEMORY: u32 = 0xbe;
const DRIVER_IRQL_NOT_LESS_OR_EQUAL: u32 = 0xd1;
const ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY: u32 = 0xfc;
const KERNEL_SECURITY_CHECK_FAILURE: u32 = 0x139;

const STATUS_BREAKPOINT: u64 = 0x8000_0003;
const STATUS_ACCESS_VIOLATION: u64 = 0xc000_0005;
const STATUS_ASSERTION_FAILURE: u64 = 0xc000_0420;

/// What a page fault with this error code was about, in words.
#[must_use]
pub fn access(error: u64) -> &'static str {
    match (error & 16 != 0, error & 2 != 0) {
        (true, _) => "execution of",
        (false, true) => "write to",
        (false, false) => "read of",
    }
}

/// How the processor came to leave the code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// An exception of the processor.
    Exception,
    /// The instruction `int` with the vector's number.
    Instruction,
    /// A device's interrupt, with a vector that nobody has connected.
    Device,
}

/// What the processor has left.
#[derive(Debug, Clone, Copy)]
pub struct Trap {
    /// How it came.
    pub cause: Cause,
    /// Its vector.
    pub vector: u8,
    /// Its error code.
    pub error: u64,
    /// The address that a page fault is about.
    pub address: u64,
    /// The instruction, as the processor has stored it.
    pub rip: u64,
    /// RCX of that code.
    pub rcx: u64,
    /// RAX of that code.
    pub rax: u64,
    /// IRQL of that code.
    pub irql: u8,
}

/// What is known of the memory that a page fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// No more than the error code says.
    Any,
    /// It may be paged out: a section PAGE.
    Paged,
    /// A section that has gone after DriverEntry.
    Discarded,
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stop {
    /// The rule's name.
    pub rule: &'static str,
    /// The bug check's code.
    pub code: u32,
    /// Its parameters; 0 where Windows has an address of its own.
    pub parameters: [u64; 4],
    /// What happened, without the place.
    pub what: String,
}

fn stop(rule: &'static str, code: u32, parameters: [u64; 4], what: impl Into<String>) -> Stop {
    Stop { rule, code, parameters, what: what.into() }
}

impl Trap {
    /// The instruction that did it: of `int` and `int3` the processor stores the one behind it.
    #[must_use]
    pub fn instruction(&self) -> u64 {
        let len = match (self.cause, self.vector) {
            (Cause::Instruction, _) => 2,
            (Cause::Exception, 3) => 1,
            _ => 0,
        };
        self.rip.wrapping_sub(len)
    }

    /// How Windows ends for it.
    #[must_use]
    pub fn judge(&self, memory: Memory) -> Stop {
        match (self.cause, self.vector) {
            (Cause::Device, vector) => stop(
                "UnexpectedInterrupt",
                TRAP_CAUSE_UNKNOWN,
                [1, vector.into(), 0, 0],
                format!("vector {vector:#x}, which nobody has connected"),
            ),
            (Cause::Instruction, FAST_FAIL) => {
                let code = self.rcx & 0xffff_ffff;
                stop(
                    "FastFail",
                    KERNEL_SECURITY_CHECK_FAILURE,
                    [code, 0, 0, 0],
                    format!("{} ({code})", fast_fail(code)),
                )
            }
            (Cause::Instruction, ASSERTION) => {
                self.unhandled("AssertionFailed", STATUS_ASSERTION_FAILURE, "a failed assertion (int 0x2c)")
            }
            (Cause::Instruction, DEBUG_SERVICE) => {
                let what =
                    format!("debug service {} (int 0x2d), and there is no debugger", self.rax & 0xffff_ffff);
                self.unhandled("DebugService", STATUS_BREAKPOINT, what)
            }
            (Cause::Instruction, vector) => stop(
                "UnexpectedInterrupt",
                TRAP_CAUSE_UNKNOWN,
                [1, vector.into(), 0, 0],
                format!("the instruction int {vector:#x}"),
            ),
            (Cause::Exception, PAGE_FAULT) => self.page_fault(memory),
            (Cause::Exception, _) => self.exception(),
        }
    }

    /// A status that no handler takes: a system thread's, or at raised IRQL nobody's.
    fn unhandled(&self, rule: &'static str, status: u64, what: impl Into<String>) -> Stop {
        let code = if self.irql >= DISPATCH_LEVEL {
            KMODE_EXCEPTION_NOT_HANDLED
        } else {
            SYSTEM_THREAD_EXCEPTION_NOT_HANDLED
        };
        stop(rule, code, [status, self.instruction(), 0, 0], what)
    }

    fn page_fault(&self, memory: Memory) -> Stop {
        let (present, write, execute) = (self.error & 1 != 0, self.error & 2 != 0, self.error & 16 != 0);
        let access = access(self.error);
        let address = self.address;
        let high = address >> 63 != 0;
        if memory == Memory::Paged && self.irql >= DISPATCH_LEVEL {
            let parameters = [address, self.irql.into(), operation(write, execute), self.rip];
            let what = format!("{access} pageable {address:#x} at IRQL {}", self.irql);
            return stop("PagedMemoryAtDispatch", DRIVER_IRQL_NOT_LESS_OR_EQUAL, parameters, what);
        }
        let (rule, kind) = match memory {
            Memory::Discarded => ("DiscardedSectionUsed", "discarded"),
            _ if present => ("PageFault", "protected"),
            _ => ("PageFault", "unmapped"),
        };
        let what = format!("{access} {kind} {address:#x}");
        let (code, parameters) = match () {
            () if present && execute => (ATTEMPTED_EXECUTE_OF_NOEXECUTE_MEMORY, [address, 0, 0, 0]),
            () if present && write => (ATTEMPTED_WRITE_TO_READONLY_MEMORY, [address, 0, 0, 0]),
            () if self.irql >= DISPATCH_LEVEL => (
                DRIVER_IRQL_NOT_LESS_OR_EQUAL,
                [address, self.irql.into(), operation(write, execute), self.rip],
            ),
            () if high => (
                PAGE_FAULT_IN_NONPAGED_AREA,
                [address, if execute { 0x10 } else { self.error & 2 }, self.rip, 0],
            ),
            () => return self.unhandled(rule, STATUS_ACCESS_VIOLATION, what),
        };
        stop(rule, code, parameters, what)
    }

    fn exception(&self) -> Stop {
        const RULE: &str = "Exception";
        let vector = self.vector;
        let name = exception_name(vector);
        let status = match vector {
            0 => 0xc000_0094,
            1 => 0x8000_0004,
            3 => STATUS_BREAKPOINT,
            4 => 0xc000_0095,
            5 => 0xc000_008c,
            6 => 0xc000_001d,
            13 => STATUS_ACCESS_VIOLATION,
            16 => 0xc000_0090,
            17 => 0x8000_0002,
            19 => 0xc000_02b5,
            18 => return stop(RULE, MACHINE_CHECK_EXCEPTION, [0; 4], name),
            _ => return stop(RULE, UNEXPECTED_KERNEL_MODE_TRAP, [vector.into(), 0, 0, 0], name),
        };
        self.unhandled(RULE, status, name)
    }
}

/// The third parameter of bug check 0xD1.
fn operation(write: bool, execute: bool) -> u64 {
    if execute { 8 } else { write.into() }
}

/// An exception's name.
#[must_use]
pub fn exception_name(vector: u8) -> &'static str {
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
    NAMES.get(usize::from(vector)).copied().unwrap_or("exception")
}

/// The name of a fast fail's code, without its FAST_FAIL_.
fn fast_fail(code: u64) -> &'static str {
    match code {
        0 => "LEGACY_GS_VIOLATION",
        1 => "VTGUARD_CHECK_FAILURE",
        2 => "STACK_COOKIE_CHECK_FAILURE",
        3 => "CORRUPT_LIST_ENTRY",
        4 => "INCORRECT_STACK",
        5 => "INVALID_ARG",
        6 => "GS_COOKIE_INIT",
        7 => "FATAL_APP_EXIT",
        8 => "RANGE_CHECK_FAILURE",
        9 => "UNSAFE_REGISTRY_ACCESS",
        10 => "GUARD_ICALL_CHECK_FAILURE",
        11 => "GUARD_WRITE_CHECK_FAILURE",
        14 => "INVALID_REFERENCE_COUNT",
        18 => "INVALID_JUMP_BUFFER",
        21 => "INVALID_EXCEPTION_CHAIN",
        28 => "INVALID_BUFFER_ACCESS",
        29 => "INVALID_BALANCED_TREE",
        30 => "INVALID_NEXT_THREAD",
        32 => "APCS_DISABLED",
        36 => "INVALID_LOCK_STATE",
        _ => "a code without a name here",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIP: u64 = 0xffff_f800_1234_1000;

    fn trap(cause: Cause, vector: u8) -> Trap {
        Trap { cause, vector, error: 0, address: 0, rip: RIP, rcx: 0, rax: 0, irql: 0 }
    }

    fn fault(address: u64, error: u64, irql: u8) -> Trap {
        Trap { address, error, irql, ..trap(Cause::Exception, PAGE_FAULT) }
    }

    fn seen(trap: Trap, memory: Memory) -> (&'static str, u32, [u64; 4]) {
        let stop = trap.judge(memory);
        (stop.rule, stop.code, stop.parameters)
    }

    #[test]
    fn a_fast_fail_is_0x139_with_its_code_and_its_name() {
        let stop = Trap { rcx: 0xdead_0000_0003, ..trap(Cause::Instruction, 0x29) }.judge(Memory::Any);
        assert_eq!((stop.rule, stop.code, stop.parameters), ("FastFail", 0x139, [3, 0, 0, 0]));
        assert_eq!(stop.what, "CORRUPT_LIST_ENTRY (3)");
        let unknown = Trap { rcx: 4711, ..trap(Cause::Instruction, 0x29) }.judge(Memory::Any);
        assert_eq!(unknown.parameters[0], 4711);
    }

    #[test]
    fn an_assertion_and_a_debug_service_are_statuses_that_nobody_handles() {
        let assertion = trap(Cause::Instruction, 0x2c);
        assert_eq!(seen(assertion, Memory::Any), ("AssertionFailed", 0x7e, [0xc000_0420, RIP - 2, 0, 0]));
        let raised = Trap { irql: 2, ..assertion };
        assert_eq!(seen(raised, Memory::Any).1, 0x1e);
        let service = Trap { rax: 1, ..trap(Cause::Instruction, 0x2d) }.judge(Memory::Any);
        assert_eq!((service.rule, service.parameters[0]), ("DebugService", 0x8000_0003));
        assert!(service.what.starts_with("debug service 1 "), "{}", service.what);
    }

    #[test]
    fn an_interrupt_that_nobody_serves_is_a_trap_of_unknown_cause() {
        for cause in [Cause::Instruction, Cause::Device] {
            assert_eq!(seen(trap(cause, 0x71), Memory::Any), ("UnexpectedInterrupt", 0x12, [1, 0x71, 0, 0]));
        }
        // a page fault that is none
        assert_eq!(seen(trap(Cause::Instruction, 14), Memory::Any).0, "UnexpectedInterrupt");
    }

    #[test]
    fn the_instruction_of_an_int_is_the_one_before_the_stored_one() {
        assert_eq!(trap(Cause::Instruction, 0x29).instruction(), RIP - 2);
        assert_eq!(trap(Cause::Exception, 3).instruction(), RIP - 1);
        assert_eq!(trap(Cause::Exception, 6).instruction(), RIP);
        assert_eq!(trap(Cause::Device, 0x55).instruction(), RIP);
    }

    #[test]
    fn an_address_of_a_program_is_an_access_violation_and_one_of_the_kernel_a_fault_in_nonpaged_area() {
        assert_eq!(seen(fault(0x18, 0, 0), Memory::Any), ("PageFault", 0x7e, [0xc000_0005, RIP, 0, 0]));
        let high = 0xffff_8800_0000_0000;
        assert_eq!(seen(fault(high, 0, 0), Memory::Any), ("PageFault", 0x50, [high, 0, RIP, 0]));
        assert_eq!(seen(fault(high, 2, 0), Memory::Any).2, [high, 2, RIP, 0]);
        assert_eq!(seen(fault(high, 16, 1), Memory::Any).2, [high, 16, RIP, 0]);
    }

    #[test]
    fn what_is_not_there_at_dispatch_level_is_0xd1() {
        assert_eq!(seen(fault(0x18, 0, 2), Memory::Any), ("PageFault", 0xd1, [0x18, 2, 0, RIP]));
        assert_eq!(seen(fault(0x18, 2, 7), Memory::Any).2, [0x18, 7, 1, RIP]);
        assert_eq!(seen(fault(0x18, 16, 2), Memory::Any).2, [0x18, 2, 8, RIP]);
    }

    #[test]
    fn a_page_that_may_not_be_written_or_executed_has_a_bug_check_at_every_irql() {
        for irql in [0, 2] {
            assert_eq!(seen(fault(RIP, 3, irql), Memory::Any), ("PageFault", 0xbe, [RIP, 0, 0, 0]));
            assert_eq!(seen(fault(RIP, 17, irql), Memory::Any), ("PageFault", 0xfc, [RIP, 0, 0, 0]));
        }
        assert_eq!(fault(RIP, 3, 0).judge(Memory::Any).what, format!("write to protected {RIP:#x}"));
    }

    #[test]
    fn pageable_memory_is_named_where_the_irql_is_too_high_and_its_protection_where_it_is_not() {
        let stop = fault(RIP, 16, 2).judge(Memory::Paged);
        assert_eq!(
            (stop.rule, stop.code, stop.parameters),
            ("PagedMemoryAtDispatch", 0xd1, [RIP, 2, 8, RIP])
        );
        assert_eq!(stop.what, format!("execution of pageable {RIP:#x} at IRQL 2"));
        assert_eq!(seen(fault(RIP, 3, 0), Memory::Paged), ("PageFault", 0xbe, [RIP, 0, 0, 0]));
    }

    #[test]
    fn a_section_that_has_gone_is_named() {
        let stop = fault(RIP, 16, 0).judge(Memory::Discarded);
        assert_eq!((stop.rule, stop.code), ("DiscardedSectionUsed", 0x50));
        assert_eq!(stop.what, format!("execution of discarded {RIP:#x}"));
        assert_eq!(seen(fault(RIP, 0, 2), Memory::Discarded).1, 0xd1);
    }

    #[test]
    fn other_exceptions_have_their_statuses() {
        assert_eq!(
            seen(trap(Cause::Exception, 0), Memory::Any),
            ("Exception", 0x7e, [0xc000_0094, RIP, 0, 0])
        );
        assert_eq!(seen(trap(Cause::Exception, 3), Memory::Any).2, [STATUS_BREAKPOINT, RIP - 1, 0, 0]);
        assert_eq!(seen(trap(Cause::Exception, 8), Memory::Any), ("Exception", 0x7f, [8, 0, 0, 0]));
        assert_eq!(seen(trap(Cause::Exception, 18), Memory::Any).1, 0x9c);
        assert_eq!(trap(Cause::Exception, 6).judge(Memory::Any).what, "invalid opcode");
        assert_eq!(trap(Cause::Exception, 40).judge(Memory::Any).what, "exception");
    }
}
