//! Drivers that the processor stops, or a check in their own code: each fault is named with callback, function, file and
//! line.

use super::broken::cancel_64;
use super::stuck::named;
use crate::scenario::{Scenario, caught, no_watchdog};
use anyhow::Result;
use cancelnic_mutants::Mutant;
use lab::facts::Facts;

/// The fault is in EvtCancel of the transmit queue, and holds these words.
fn in_cancel(facts: &Facts, words: &[&str]) -> Result<()> {
    named(facts, "tx0 EvtCancel", "cancelnic::queue::tx_cancel", words)
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        caught(
            "caught-fast-fail",
            "a fast fail in EvtCancel (int 0x29, a corrupt list) stops with its code's name",
            Mutant::FailsFast,
            &["FastFail"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| in_cancel(facts, &["CORRUPT_LIST_ENTRY (3)", "in_cancel"])),
        caught(
            "caught-failed-assertion",
            "a failed assertion in EvtCancel (int 0x2c) stops",
            Mutant::FailsAnAssertion,
            &["AssertionFailed"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| in_cancel(facts, &["a failed assertion (int 0x2c)", "in_cancel"])),
        caught(
            "caught-debug-service",
            "a call of the debugger in EvtCancel (int 0x2d) stops: there is none",
            Mutant::CallsTheDebugger,
            &["DebugService"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| in_cancel(facts, &["debug service 0 (int 0x2d)", "in_cancel"])),
        caught(
            "caught-interrupt-by-instruction",
            "the NIC's interrupt raised by an instruction in EvtCancel is none of the NIC's",
            Mutant::RaisesItsOwnInterrupt,
            &["UnexpectedInterrupt"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| in_cancel(facts, &["the instruction int 0x71", "in_cancel"])),
        caught(
            "caught-init-code-called",
            "a function of the section INIT called after DriverEntry is named with its section",
            Mutant::CallsInitCode,
            &["DiscardedSectionUsed"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| in_cancel(facts, &["execution of discarded 0x", "in section INIT"])),
        caught(
            "caught-paged-code-at-dispatch",
            "a function of the section PAGE called at DISPATCH_LEVEL is named with its section",
            Mutant::CallsPagedCode,
            &["PagedMemoryAtDispatch"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| in_cancel(facts, &["execution of pageable 0x", "at IRQL 2 in section PAGE"])),
        caught(
            "caught-paged-pool-at-dispatch",
            "paged pool, which EvtDevicePrepareHardware may use, is not there at DISPATCH_LEVEL",
            Mutant::ReadsPagedPool,
            &["PagedMemoryAtDispatch"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| in_cancel(facts, &["read of pageable 0x", " at IRQL 2 at ", "in_cancel"])),
        caught(
            "caught-constant-written",
            "a write to .rdata is named with the section",
            Mutant::WritesAConstant,
            &["PageFault"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| in_cancel(facts, &["write to protected 0x", "in section .rdata", "in_cancel"])),
        caught(
            "caught-pool-executed",
            "pool memory is not executable",
            Mutant::ExecutesPool,
            &["PageFault"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| in_cancel(facts, &["execution of protected 0x", "execute_pool"])),
        caught(
            "caught-low-memory-written",
            "a write to an address of a program's half is a page fault",
            Mutant::WritesLowMemory,
            &["PageFault"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| in_cancel(facts, &["write to unmapped 0x30000 ", "in_cancel"])),
        caught(
            "caught-physical-address-read",
            "a physical address is no pointer",
            Mutant::ReadsAPhysicalAddress,
            &["PageFault"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(|facts| in_cancel(facts, &["read of unmapped 0x3000000 ", "in_cancel"])),
    ]
}
