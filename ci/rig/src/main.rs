//! The command people type: build, package, demo, test, debug, image.
//!
//! It starts the device process and QEMU with a guest, tells both what to do, and compares what the driver, the
//! device, the guest and the wire's own capture say of every single frame.

// Its println!, print! and eprintln! take the place of the standard library's.
#[macro_use]
extern crate lab;

mod bench;
mod browser;
mod build;
mod debug;
mod demo;
mod exit;
mod fat;
mod foreign;
mod guest;
mod image;
mod inspect;
mod kdnet;
mod live;
mod manual;
mod package;
mod packages;
mod rules;
mod terminal;
mod test;
mod trials;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use lab::base::artefact::{Artefact, Driver};
use lab::base::{failure, left};
use std::path::PathBuf;
use std::process::ExitCode;

/// Builds cancelnic, shows it, tests it, debugs it.
#[derive(Debug, Parser)]
#[command(
    name = "cargo rig",
    bin_name = "cargo rig",
    version,
    after_help = "Examples:\n  \
        cargo rig demo                    show the whole cancel path once\n  \
        cargo rig test tx-cancel          run scenarios with that in their names\n  \
        cargo rig test --driver ../mynic  run them with a driver of your own\n  \
        cargo rig test --package ../mynic --device qemu:e1000e\n                                    \
        a driver of any device, by its INF\n\n\
        Exit codes:\n    \
        0  good\n    \
        1  the run found a fault\n    \
        2  wrong usage\n    \
        3  the run could not take place: something is missing (ci/setup gets it), no\n       \
           space is left, or a driver cannot be loaded\n    \
        4  `inspect`: the driver needs what understudy does not offer\n  \
        130  interrupted\n  \
        141  the reader of the output has gone"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build the device process, understudy, the drivers with INF and PDB, and the agent of Windows guests
    #[command(after_help = "Examples:\n  \
        cargo rig build              everything, into target/cancelnic\n  \
        cargo rig build --drivers    the .sys, .pdb and .inf files alone\n  \
        cargo rig build --lint       clippy on the code that is not for the host")]
    Build {
        /// Build the drivers' test builds as well, which can show deliberate faults
        #[arg(long)]
        test_builds: bool,
        /// Build nothing: run clippy on the code for other targets, which a plain `cargo clippy` leaves out
        #[arg(long, conflicts_with = "test_builds")]
        lint: bool,
        /// Build the agent of Windows guests only
        #[arg(long, conflicts_with_all = ["test_builds", "lint"])]
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
    #[command(after_help = "Examples:\n  \
        cargo rig test                                 all of them\n  \
        cargo rig test --list                          print their names\n  \
        cargo rig test --exact tx-cancel-wire-held-64  this one\n  \
        cargo rig test --driver ../mynic               a driver of our NIC\n  \
        cargo rig test --package ../x --device none    a driver of any kind")]
    Test(test::Options),
    /// Measure how fast the device is
    #[command(
        subcommand,
        after_help = "Examples:\n  \
        cargo rig bench device --quick    whether it runs, in seconds"
    )]
    Bench(bench::Options),
    /// Stop in the driver's Cancel callback under gdb; for Windows: print the commands for WinDbg, and check the connection
    Debug(debug::Options),
    /// Prepare Windows from an installation ISO of your own
    #[command(
        subcommand,
        after_help = "Examples:\n  \
        cargo rig image windows --iso Win11.iso   list the editions on the ISO\n  \
        cargo rig image stand-in                  an image for trials without Windows\n  \
        cargo rig image list                      the images"
    )]
    Image(image::Options),
    /// Print the rules of understudy: name, * if --rules can set it, where it comes from, when it is broken
    #[command(after_help = "Examples:\n  \
        cargo rig rules | grep Cancel    the rules with that in their names or lines")]
    Rules,
    /// Print what a driver needs that understudy does not offer, from its files alone
    Inspect(inspect::Options),
    /// Print completions of `cargo rig` for a shell
    #[command(after_help = "Examples:\n  \
        source <(cargo rig completions bash)\n  \
        cargo rig completions zsh > ~/.zfunc/_rig\n  \
        cargo rig completions fish > ~/.config/fish/completions/rig.fish")]
    Completions {
        /// The shell
        shell: manual::Completed,
    },
    /// Write man pages for the command and its subcommands
    #[command(after_help = "Examples:\n  \
        cargo rig man ~/.local/share/man/man1; man cargo-rig-demo")]
    Man {
        /// The folder to write them into
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

fn main() -> ExitCode {
    let mut command = Arguments::command();
    // Cargo and git are asked only for somebody who wants to know.
    if std::env::args_os().skip(1).any(|argument| argument == "--version" || argument == "-V") {
        command = command.version(&*manual::version().leak());
    }
    let arguments = Arguments::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let is_inspection = matches!(arguments.command, Command::Inspect(_));
    match carry_out(arguments.command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(if is_inspection { failure::NOT_OFFERED } else { failure::FAULT }),
        Err(error) => {
            left::stand_aside_if_interrupted();
            eprintln!("rig: {}", failure::one_line(&error));
            exit::exit_code(&error)
        }
    }
}

fn carry_out(command: Command) -> Result<bool> {
    left::clean_up_on_signals()?;
    match command {
        Command::Build { lint: true, verbose, .. } => {
            build::lint(build::Options { test_builds: true, verbose })?;
            Ok(true)
        }
        Command::Build { agent: true, verbose, .. } => {
            list(&build::build_agent(&build::Options { test_builds: false, verbose })?);
            Ok(true)
        }
        Command::Build { drivers: true, test_builds, verbose, .. } => {
            let drivers = build::build_drivers(&build::Options { test_builds, verbose })?;
            drivers.iter().flat_map(Driver::files).for_each(list);
            Ok(true)
        }
        Command::Build { test_builds, verbose, .. } => {
            let built = build::build(build::Options { test_builds, verbose })?;
            let agent = build::build_agent(&build::Options { test_builds, verbose })?;
            built.files().chain([&agent]).for_each(list);
            Ok(true)
        }
        Command::Package(options) => package::package(&options),
        Command::Demo(options) => demo::demo(&options),
        Command::Debug(options) => debug::debug(&options),
        Command::Test(options) => test::test(&options),
        Command::Bench(options) => bench::bench(&options),
        Command::Image(options) => image::image(&options),
        Command::Rules => {
            rules::print();
            Ok(true)
        }
        Command::Inspect(options) => inspect::inspect(&options),
        Command::Completions { shell } => {
            manual::completions(Arguments::command(), shell, &mut std::io::stdout())?;
            Ok(true)
        }
        Command::Man { folder } => {
            manual::man_pages(Arguments::command(), &folder)?;
            Ok(true)
        }
    }
}

/// Prints a file that was built, as `sha256sum` does.
fn list(artefact: &Artefact) {
    println!("{}  {}", artefact.sha256, artefact.path.display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }
}
