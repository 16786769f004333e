//! The command people type: build, package, demo, test, debug, image.
//!
//! It starts the device process and QEMU with a guest, tells both what to do, and compares what the driver, the
//! device, the guest and the wire's own capture say of every single frame.

// First: its macros are those of all the others.
#[macro_use]
mod console;

mod agent;
mod archive;
mod blame;
mod browser;
mod build;
mod capture;
mod control;
mod crash;
mod debug;
mod demo;
mod driver_log;
mod facts;
mod failure;
mod fat;
mod foreign;
mod guest;
mod hang;
mod image;
mod kdnet;
mod machine;
mod outside;
mod package;
mod places;
mod pool;
mod process;
mod qmp;
mod report;
mod reports;
mod run;
mod scenarios;
mod session;
mod settings;
mod test;
mod timeline;
mod verdict;
mod wait;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Builds cancelnic, shows it, tests it, debugs it.
#[derive(Debug, Parser)]
#[command(
    name = "cargo rig",
    bin_name = "cargo rig",
    after_help = "Exit codes: 0 good, 1 the run found a fault, 2 usage, 3 the run could not take place (something is \
    missing: ci/setup gets it; no space, a driver that cannot be loaded), 130 interrupted, 141 the output's reader has gone."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the device process, understudy, the drivers with INF and PDB, and the agent of Windows guests
    Build {
        /// Build the deliberately broken driver of the tests as well
        #[arg(long)]
        mutants: bool,
        /// Build nothing: run clippy over what is not for the host, where a plain `cargo clippy` does not look
        #[arg(long, conflicts_with = "mutants")]
        lint: bool,
        /// Build the agent of Windows guests only
        #[arg(long, conflicts_with_all = ["mutants", "lint"])]
        agent: bool,
        /// Build the drivers only
        #[arg(long, conflicts_with_all = ["agent", "lint"])]
        drivers: bool,
        /// Show cargo's own output
        #[arg(short, long)]
        verbose: bool,
    },
    /// Make a folder that Windows can install the drivers from: catalogs, test certificate, script
    Package(package::Options),
    /// Show the whole cancel path once
    Demo(demo::Options),
    /// Run the scenarios through QEMU
    Test(test::Options),
    /// Stop in the driver's Cancel callback under gdb; for Windows: what WinDbg needs, and a check of it
    Debug(debug::Options),
    /// Prepare Windows from an installation ISO of your own
    #[command(subcommand)]
    Image(image::Options),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match carry_out(arguments.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(failure::FAULT),
        Err(error) => {
            process::stand_aside_if_interrupted();
            eprintln!("rig: {}", failure::one_line(&error));
            failure::exit_code(&error)
        }
    }
}

fn carry_out(command: Command) -> Result<bool> {
    process::clean_up_on_signals()?;
    match command {
        Command::Build { lint: true, verbose, .. } => {
            build::lint(build::Options { mutants: true, verbose })?;
            Ok(true)
        }
        Command::Build { agent: true, verbose, .. } => {
            list(&build::build_agent(&build::Options { mutants: false, verbose })?);
            Ok(true)
        }
        Command::Build { drivers: true, mutants, verbose, .. } => {
            let drivers = build::build_drivers(&build::Options { mutants, verbose })?;
            drivers.iter().flat_map(build::Driver::files).for_each(list);
            Ok(true)
        }
        Command::Build { mutants, verbose, .. } => {
            let built = build::build(build::Options { mutants, verbose })?;
            let agent = build::build_agent(&build::Options { mutants, verbose })?;
            built.files().chain([&agent]).for_each(list);
            Ok(true)
        }
        Command::Package(options) => package::package(&options),
        Command::Demo(options) => demo::demo(&options),
        Command::Debug(options) => debug::debug(&options),
        Command::Test(options) => test::test(&options),
        Command::Image(options) => image::image(&options),
    }
}

/// Tells of a file that was built.
fn list(artefact: &build::Artefact) {
    println!("{}  {}", artefact.sha256, artefact.path.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }
}
