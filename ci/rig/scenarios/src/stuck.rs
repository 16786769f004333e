//! Drivers that crash, panic or do not come back: the first line of each names callback, function, file and line; and where
//! those come from.

use super::broken::cancel_64;
use crate::scenario::{Scenario, Trial, caught, command, no_watchdog};
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
    let fault = facts.violations.first().context("no fault")?;
    ensure!(fault.callback == callback, "in {}", fault.callback);
    for words in words.iter().chain(&["driver/netadapter/src/"]) {
        ensure!(fault.place.contains(words), "no {words:?} in {:?}", fault.place);
    }
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
    ]
}
