//! A stopped machine as files: its memory, its page table, the device's registers, and what their PDBs say of the
//! drivers.
//! The tests of `ci/windbg` read it in a debugger's place.

use super::{image, types};
use anyhow::{Context, Result};
use cancelnic_registers::{CommandResult, State, StatusWord};
use lab::base::files::DriverFiles;
use lab::device::control::Queue;
use lab::machine::Understudy;
use lab::run::{RX, Run, TX};
use serde::Serialize;
use serde_json::json;
use std::path::Path;

/// A piece of the machine's physical address space, in a file.
#[derive(Debug, Serialize)]
struct Piece {
    file: String,
    start: u64,
    size: u64,
}

/// Writes a snapshot of the stopped machine of `run` into `folder`, with the device's own view of its queues, and
/// `expected`, what the tests are to find.
pub(crate) fn write(
    run: &mut Run,
    drivers: &[DriverFiles],
    folder: &Path,
    expected: &serde_json::Value,
) -> Result<()> {
    let log = std::fs::read_to_string(run.session.guest_log()).context("cannot read the guest's log")?;
    let modules: Vec<_> = drivers.iter().map(|driver| module(&log, driver)).collect::<Result<_>>()?;
    let queues = [TX, RX].map(|name| run.session.control.queue(name));
    let queues: Vec<Queue> = queues.into_iter().collect::<Result<_>>()?;
    let monitor = &mut run.session.monitor;
    let mut memory = vec![Piece { file: "memory".into(), start: 0, size: Understudy::MEMORY }];
    for (start, size) in monitor.memory_bars()? {
        memory.push(Piece { file: format!("bar-{start:x}"), start, size });
    }
    for piece in &memory {
        monitor.save_physical(piece.start, piece.size, &folder.join(&piece.file))?;
    }
    let page_table = monitor.page_table()?;
    let snapshot = json!({
        "modules": modules,
        "page_table": format!("{page_table:#x}"),
        "memory": memory,
        "device": queues.iter().map(seen).collect::<Vec<_>>(),
        "status_words": status_words(),
        "expected": expected,
    });
    let file = folder.join("snapshot.json");
    std::fs::write(&file, snapshot.to_string()).with_context(|| format!("cannot write {}", file.display()))
}

/// A driver: where it is, by the guest's log, and what its PDB says. A debugger makes its name of its file's.
fn module(log: &str, driver: &DriverFiles) -> Result<serde_json::Value> {
    let found = image(log, driver.name);
    let (base, _) =
        found.with_context(|| format!("the guest's log does not say where {} is", driver.name))?;
    let types::Types { types, symbols } = types::read(&driver.symbols)?;
    let name = driver.name.replace('-', "_");
    Ok(json!({ "name": name, "base": format!("{base:#x}"), "types": types, "symbols": symbols }))
}

/// A queue as the device sees it.
fn seen(queue: &Queue) -> serde_json::Value {
    json!({ "queue": queue.queue.name(), "state": queue.state, "seq": queue.seq, "result": queue.result, "count": queue.count })
}

/// Status words as the interface packs them, for whoever takes them apart.
fn status_words() -> Vec<serde_json::Value> {
    let states = [State::Running, State::Cancelling, State::Draining, State::Stopped];
    let results = [
        CommandResult::Ok,
        CommandResult::Pending,
        CommandResult::UnknownOp,
        CommandResult::NotSupported,
        CommandResult::NotInService,
        CommandResult::Broken,
    ];
    let word = |state: State, result: CommandResult| {
        let (seq, count) = (0xa5, 0x1234);
        let word = StatusWord::new()
            .with_seq(seq)
            .with_state(state)
            .with_result(result)
            .with_count(count)
            .into_bits();
        json!({
            "word": word, "seq": seq, "state": format!("{state:?}"), "result": format!("{result:?}"), "count": count
        })
    };
    states.into_iter().flat_map(|state| results.map(|result| word(state, result))).collect()
}
