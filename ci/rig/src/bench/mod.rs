//! `cargo rig bench`: how fast the device is, beside DPDK's vhost driver in the same run. Rounds take turns, so that whatever
//! else the machine does meets both; what is compared is the ratio within a round. `--quick` shows whether it runs: one round of
//! a second with the short frames, the device as scenarios run it, and no entry in the history.

mod cancel;
mod rates;
mod testpmd;

use crate::build;
use crate::manual;
use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use lab::base::failure::SetupMissing;
use lab::base::folder::Folder;
use lab::base::workspace::Workspace;
use rates::{BackEnd, LOADS, Rates, measure};
use serde_json::json;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::Command;

/// What to measure.
#[derive(Debug, Subcommand)]
pub(crate) enum Options {
    /// The device process beside DPDK's vhost driver, both under DPDK's dpdk-testpmd; then CANCEL
    #[command(after_help = "Examples:\n  \
        cargo rig bench device          five rounds; the history is in target/bench\n  \
        cargo rig bench device --quick  whether it runs, with the unoptimised device")]
    Device(Device),
}

/// How to measure the device.
#[derive(Debug, Args)]
pub(crate) struct Device {
    /// See whether it runs: one round of a second each, short frames only, with the device as scenarios run it (cargo's
    /// profile dev), so that nothing is compiled for it; the rates mean nothing and are not kept
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,
    /// Rounds: in each, every back end has every load once
    #[arg(long, value_name = "N", default_value = "5", value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// How long each load is measured in each round, in seconds
    #[arg(long, value_name = "N", default_value = "2", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// Measures.
pub(crate) fn bench(options: &Options) -> Result<bool> {
    let Options::Device(options) = options;
    let workspace = Workspace::find()?;
    get_what_is_needed(&workspace)?;
    let (profile, rounds, seconds) =
        if options.quick { ("dev", 1, 1) } else { ("release", options.rounds, options.seconds) };
    let device = build::device_in(&workspace, profile, false)?;
    let mut rates = Rates::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        for load in LOADS.into_iter().filter(|load| !options.quick || load.is_short()) {
            for back_end in BackEnd::ALL {
                let folder = Folder::new()?;
                let measured = measure(&workspace, &device, back_end, load, seconds, folder.path())
                    .with_context(|| format!("{back_end} under {load}"))?;
                rates.add(load, back_end, measured);
            }
        }
    }
    println!("{}", rates.table());
    let cancels = cancel::measure(&workspace, profile, options.quick)?;
    println!("{}", cancel::table(&cancels));
    if options.quick {
        return Ok(true);
    }
    let history = workspace.target().join("bench/device.jsonl");
    let entry = json!({
        "at": chrono::Utc::now().to_rfc3339(),
        "version": manual::version(),
        "rounds": rounds,
        "seconds": seconds,
        "load_average": fs::read_to_string("/proc/loadavg").unwrap_or_default().trim(),
        "rates": rates.json(),
        "cancel": cancels,
    });
    append(&history, &entry.to_string())?;
    println!("history: {}", history.display());
    Ok(true)
}

fn append(history: &Path, line: &str) -> Result<()> {
    let failed = || format!("cannot write {}", history.display());
    fs::create_dir_all(history.parent().unwrap_or(history)).with_context(failed)?;
    let mut file = OpenOptions::new().create(true).append(true).open(history).with_context(failed)?;
    writeln!(file, "{line}").with_context(failed)
}

/// DPDK, unpacked, and two processors: one for each end.
fn get_what_is_needed(workspace: &Workspace) -> Result<()> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    if processors < 2 {
        return Err(SetupMissing::new("a second processor", "running this on another machine").into());
    }
    let got = Command::new(workspace.root().join("ci/testpmd"))
        .arg("--get")
        .output()
        .context("cannot start ci/testpmd")?;
    if got.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&got.stderr);
    let last = said.lines().last().unwrap_or_default();
    Err(SetupMissing::new(format!("DPDK ({last})"), "ci/testpmd --get").into())
}
