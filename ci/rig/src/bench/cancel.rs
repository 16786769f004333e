//! How long CANCEL takes: `device/daemon/benches/cancel.rs`, as a table.

use anyhow::{Context, Result, bail};
use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};
use lab::base::process::Process;
use lab::base::workspace::Workspace;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Command, Stdio};

/// CANCEL of so many frames that wait.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Row {
    judge: bool,
    capture: bool,
    /// Bytes of a frame.
    len: u32,
    frames: u32,
    /// A write that is no command, beside it.
    bare_us: f64,
    p50_us: f64,
    p99_us: f64,
}

/// The rows of one line, by judge and capture.
type Kinds<'a> = BTreeMap<(bool, bool), &'a Row>;

/// Measures it.
pub(super) fn measure(workspace: &Workspace, profile: &str, quick: bool) -> Result<Vec<Row>> {
    let mut command = Command::new("cargo");
    command
        .current_dir(workspace.root())
        .args(["bench", "--quiet", "--package", "vhost-device-cancelnic", "--bench", "cancel"])
        .args(["--profile", profile])
        .arg("--target-dir")
        .arg(workspace.target())
        .arg("--")
        .args(quick.then_some("--quick"))
        .stdout(Stdio::piped());
    let log = workspace.target().join("bench/cancel.log");
    std::fs::create_dir_all(workspace.target().join("bench"))?;
    let mut bench = Process::start("the bench of CANCEL", command, log)?;
    let mut text = String::new();
    bench.take_stdout().context("the bench's output is not piped")?.read_to_string(&mut text)?;
    if !bench.wait_for_end()?.success() {
        bail!(bench.epitaph());
    }
    read(&text)
}

fn read(text: &str) -> Result<Vec<Row>> {
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let rows: Vec<Row> =
        lines.map(serde_json::from_str).collect::<Result<_, _>>().context("the bench of CANCEL")?;
    let numbers = rows.iter().flat_map(|row| [row.bare_us, row.p50_us, row.p99_us]);
    if rows.is_empty() || numbers.into_iter().any(|number| !number.is_finite() || number <= 0.0) {
        bail!("the bench of CANCEL has measured nothing");
    }
    Ok(rows)
}

/// A line for each number of frames, a column for each kind of device, for people.
pub(super) fn table(rows: &[Row]) -> Table {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    let mut lines: BTreeMap<(u32, u32), Kinds> = BTreeMap::new();
    for row in rows {
        lines.entry((row.len, row.frames)).or_default().insert((row.judge, row.capture), row);
    }
    let kinds: Vec<(bool, bool)> =
        lines.values().next().map(|kinds| kinds.keys().copied().collect()).unwrap_or_default();
    let heading = |(judge, capture): &(bool, bool)| {
        format!("judge {}{}", if *judge { "on" } else { "off" }, if *capture { ", capture" } else { "" })
    };
    let first = ["CANCEL: frames that wait".to_owned(), "a bare write".to_owned()];
    table.set_header(first.into_iter().chain(kinds.iter().map(heading)));
    for ((len, frames), of_kind) in &lines {
        let bare = of_kind.values().map(|row| row.bare_us).fold(f64::INFINITY, f64::min);
        let cells = of_kind.iter().map(|(kind, row)| {
            let none = lines.get(&(*len, 0)).and_then(|kinds| kinds.get(kind)).filter(|_| *frames > 1);
            let each = none.map_or_else(String::new, |none| {
                format!(", {:.0} ns each", (row.p50_us - none.p50_us) * 1000.0 / f64::from(*frames))
            });
            format!("{:.0} µs, p99 {:.0}{each}", row.p50_us, row.p99_us)
        });
        let first = [format!("{frames} of {len} bytes"), format!("{bare:.0} µs")];
        table.add_row(first.into_iter().chain(cells));
    }
    table.column_iter_mut().skip(1).for_each(|column| column.set_cell_alignment(CellAlignment::Right));
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_costs_what_is_more_than_a_cancel_of_none() {
        let none = r#"{"judge":false,"capture":false,"len":64,"frames":0,"bare_us":9.0,"p50_us":10.0,"p99_us":12.5}"#;
        let line = r#"{"judge":false,"capture":false,"len":64,"frames":16,"bare_us":10.0,"p50_us":18.0,"p99_us":30.5}"#;
        let rows = read(&format!("\nrunning\n{none}\n{line}\n")).unwrap();
        let table = table(&rows).to_string();
        assert!(table.contains("16 of 64 bytes") && table.contains("18 µs, p99 30, 500 ns each"), "{table}");
    }

    #[test]
    fn numbers_that_are_none_are_refused() {
        assert!(read("nothing").is_err());
        let line =
            r#"{"judge":false,"capture":false,"len":64,"frames":16,"bare_us":0,"p50_us":18,"p99_us":30}"#;
        assert!(read(line).is_err());
    }
}
