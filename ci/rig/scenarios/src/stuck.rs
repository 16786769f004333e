//! Drivers that crash, panic or do not come back: the first line of each names callback, function, file and line; and where
//! those come from.

use super::broken::cancel_64;
use crate::scenario::{Scenario, Trial, caught, caused, command, no_watchdog};
use agent_protocol::{LoadedImage, Processor};
use anyhow::{Context, Result, ensure};
use cancelnic_mutants::Mutant;
use lab::base::artefact::Artefact;
use lab::base::files::{Files, NIC};
use lab::facts::Facts;
use lab::guest::symbols::Symbols;
use object::Object as _;
use object::read::pe::PeFile64;

/// The fault names this callback, a source of the driver, and holds these words; the stack comes from the callback's own
/// function.
pub(crate) fn named(facts: &Facts, callback: &str, function: &str, words: &[&str]) -> Result<()> {
    caused(facts, callback, words)?;
    caused(facts, callback, &["driver/netadapter/src/"])?;
    let [stack] = &facts.stacks[..] else { anyhow::bail!("not one stack: {:?}", facts.stacks) };
    ensure!(stack.notes.is_empty(), "{:?}", stack.notes);
    let lines = stack.lines();
    let own = lines.iter().position(|line| line.starts_with(&format!("{function}, driver/netadapter/src/")));
    let own = own.with_context(|| format!("no {function} in:\n{}", stack.text()))?;
    let above = lines[own + 1..].iter().any(|line| line.starts_with("understudy: understudy::"));
    ensure!(above, "nobody has called {function}:\n{}", stack.text());
    Ok(())
}

fn loop_is_named(facts: &Facts) -> Result<()> {
    let words = ["has not returned in 50", "it goes on at IRQL ", "at cancelnic::misbehave::in_cancel, "];
    named(facts, "tx0 EvtCancel", "cancelnic::queue::tx_cancel", &words)
}

fn sleep_is_named(facts: &Facts) -> Result<()> {
    let words = ["has not returned in 50", "it sleeps at IRQL 0", "called from cancelnic::misbehave::"];
    named(facts, "device EvtDevicePrepareHardware", "cancelnic::device::evt_prepare_hardware", &words)
}

fn panic_is_named(facts: &Facts) -> Result<()> {
    named(
        facts,
        "tx0 EvtCancel",
        "cancelnic::queue::tx_cancel",
        &["a queue with 7 packets too many, in cancelnic::misbehave::in_cancel, "],
    )
}

fn crash_is_named(facts: &Facts) -> Result<()> {
    let words = ["read of unmapped 0x18 at cancelnic::misbehave::in_cancel, "];
    named(facts, "tx0 EvtCancel", "cancelnic::queue::tx_cancel", &words)
}

fn interrupt_loop_is_named(facts: &Facts) -> Result<()> {
    let words = ["has not returned in 50", "it goes on at IRQL 7", "at cancelnic::misbehave::in_interrupt, "];
    named(facts, "device EvtInterruptIsr", "cancelnic::device::evt_interrupt_isr", &words)
}

/// What is wrong with the memory, and where.
fn in_memory(facts: &Facts, words: &[&str]) -> Result<()> {
    named(facts, "tx0 EvtCancel", "cancelnic::queue::tx_cancel", words)
}

fn freed_write_is_named(facts: &Facts) -> Result<()> {
    let block = "write to byte 0 of a freed block: 112 bytes, tag bugb, freed in tx0 EvtCancel at cancelnic::misbehave::";
    in_memory(facts, &[block, "; at cancelnic::misbehave::"])
}

fn write_behind_is_named(facts: &Facts) -> Result<()> {
    in_memory(facts, &["write to byte 1 behind the last of 112 bytes, tag bugb; at cancelnic::misbehave::"])
}

fn write_before_is_named(facts: &Facts) -> Result<()> {
    in_memory(facts, &["(112 bytes, tag bugb): a guard was written, byte 1 before its first"])
}

fn second_free_is_named(facts: &Facts) -> Result<()> {
    in_memory(facts, &["was freed already (freed twice): 112 bytes, tag bugb, freed in tx0 EvtCancel at "])
}

fn deleted_read_is_named(facts: &Facts) -> Result<()> {
    in_memory(facts, &["read of byte 0 of a freed block: 112 bytes, tag KMmm, freed in tx0 EvtCancel"])
}

fn recursion_is_named(facts: &Facts) -> Result<()> {
    let words = [
        "bytes of kernel stack in use since tx0 EvtCancel began",
        "; there are 24576, at cancelnic::misbehave::recurse",
    ];
    let fault = facts.violations.first().context("no fault")?;
    ensure!(words.iter().all(|words| fault.place.contains(words)), "{}", fault.place);
    let used: u32 = fault.place.split(' ').next().and_then(|used| used.parse().ok()).context("no depth")?;
    ensure!((24_576..24_576 + 2 * 4096).contains(&used), "{used} bytes");
    let [stack] = &facts.stacks[..] else { anyhow::bail!("not one stack: {:?}", facts.stacks) };
    let lines = stack.lines();
    let frames = lines.iter().filter(|line| line.starts_with("cancelnic::misbehave::recurse, ")).count();
    ensure!(frames >= 10, "{frames} frames in:\n{}", stack.text());
    Ok(())
}

fn locals_are_named(facts: &Facts) -> Result<()> {
    in_memory(facts, &["bytes of kernel stack in use since tx0 EvtCancel began, and the next frame has 400"])
}

/// Another project's driver has its PDB beside it, under its own name or the linker's; one of another build is refused.
fn foreign_symbols(trial: &Trial) -> Result<()> {
    let built = &trial.built;
    const BASE: u64 = 0xffff_f800_1234_0000;
    let folder = tempfile::tempdir()?;
    let ours = built.driver(NIC)?;
    let image = folder.path().join("other.sys");
    std::fs::copy(&ours.image.path, &image)?;
    let mut files = Files::shipped(built);
    let driver = files.driver(NIC)?;
    (driver.name, driver.image) = ("other", Artefact::of(&image)?);
    let symbols = Symbols::of(&files);

    let bytes = std::fs::read(&image)?;
    let entry = PeFile64::parse(&*bytes)?.entry() - PeFile64::parse(&*bytes)?.relative_address_base();
    let at = format!("stopped at other.sys+{entry:#x}");
    let images = vec![LoadedImage { file: "other.sys".into(), base: BASE, size: 1 << 20 }];
    let processor = Processor { rip: BASE + entry, images, ..Processor::default() };
    let without = |why: &str| {
        ensure!(symbols.explain(&at) == at, "{}", symbols.explain(&at));
        let stack = symbols.walk("a test".into(), &processor);
        let note = stack.notes.first().map(String::as_str).unwrap_or_default();
        ensure!(note.starts_with("other.sys has offsets only: ") && note.contains(why), "{:?}", stack.notes);
        ensure!(stack.lines() == [format!("other.sys+{entry:#x}")], "{:?}", stack.lines());
        Ok(())
    };
    without("no other.pdb or cancelnic.pdb beside ")?;
    for name in ["other.pdb", "CancelNIC.PDB"] {
        let pdb = folder.path().join(name);
        std::fs::copy(&ours.symbols.path, &pdb)?;
        let told = symbols.explain(&at);
        let place = ["stopped at ", "FxDriverEntry, ", ".rs:"];
        ensure!(place.iter().all(|part| told.contains(part)), "{told}");
        let broken = ours.test_build.as_ref().context("the test builds are not built")?;
        std::fs::copy(broken.path.with_extension("pdb"), &pdb)?;
        without("is of another build than ")?;
        std::fs::remove_file(&pdb)?;
    }
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        command(
            "foreign-driver-with-its-pdb",
            "another project's driver gets lines from the PDB beside it, unless that is of another build",
            foreign_symbols,
        ),
        caught(
            "caught-loop-in-cancel",
            "an endless loop in EvtCancel is named with callback, function, file, line and IRQL",
            Mutant::LoopsInCancel,
            &["CallbackDoesNotReturn"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(loop_is_named),
        caught(
            "caught-sleep-in-prepare-hardware",
            "an endless sleep in EvtDevicePrepareHardware is named with function, file and line",
            Mutant::SleepsInPrepareHardware,
            &["CallbackDoesNotReturn"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(sleep_is_named),
        caught(
            "caught-panic-in-cancel",
            "a Rust panic in EvtCancel is named with file, line, column and message",
            Mutant::PanicsInCancel,
            &["DriverPanicked"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(panic_is_named),
        caught(
            "caught-null-read-in-cancel",
            "a read at 0x18 in EvtCancel is named with function, file and line",
            Mutant::ReadsNullInCancel,
            &["PageFault"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(crash_is_named),
        caught(
            "caught-loop-in-interrupt",
            "an endless loop in EvtInterruptIsr is named with callback, function, file, line and the device's IRQL",
            Mutant::LoopsInInterrupt,
            &["CallbackDoesNotReturn"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(interrupt_loop_is_named),
        caught(
            "caught-freed-pool-written",
            "a write to pool memory after its end is named where it is made, with where it was freed",
            Mutant::WritesFreedPool,
            &["UseAfterFree"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(freed_write_is_named),
        caught(
            "caught-write-behind-pool",
            "a write one byte behind pool memory is named where it is made",
            Mutant::WritesBehindPool,
            &["PoolOverrun"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(write_behind_is_named),
        caught(
            "caught-write-before-pool",
            "a write one byte before pool memory is named when that is freed",
            Mutant::WritesBeforePool,
            &["BadPoolFree"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(write_before_is_named),
        caught(
            "caught-pool-freed-twice",
            "pool memory that is freed twice is named with where it was freed before",
            Mutant::FreesPoolTwice,
            &["BadPoolFree"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(second_free_is_named),
        caught(
            "caught-deleted-memory-read",
            "a read of a WDFMEMORY's buffer after its deletion is named where it is made",
            Mutant::ReadsDeletedMemory,
            &["UseAfterFree"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(deleted_read_is_named),
        caught(
            "caught-recursion-in-cancel",
            "a recursion that uses more than 24 KB of kernel stack is named with its depth and its frames",
            Mutant::RecursesInCancel,
            &["KernelStackOverflow"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(recursion_is_named),
        caught(
            "caught-large-locals-in-cancel",
            "a frame that does not fit on 24 KB of kernel stack is named before it is used",
            Mutant::HasLargeLocals,
            &["KernelStackOverflow"],
            cancel_64,
        )
        .prepare(no_watchdog)
        .shows(locals_are_named),
    ]
}
