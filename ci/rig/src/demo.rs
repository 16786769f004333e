//! `cargo rig demo`: the whole cancel path once, told as it happens.

pub mod path;

use crate::agent::AgentError;
use crate::archive::{Evidence, RunFolder};
use crate::build::{self, Artefact};
use crate::guest::GuestKind;
use crate::live::Live;
use crate::process::Folder;
use crate::report;
use crate::report::table::{self, Style};
use crate::run::{Run, StepEvent};
use crate::settings::{Files, NIC, Settings};
use crate::{failure, guest, places};
use anyhow::Result;
use clap::Args;
use std::path::PathBuf;

/// What `cargo rig demo` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo rig demo                                this tree's drivers\n  \
    cargo rig demo --frames 64 --seed 7           fewer frames, another seed\n  \
    cargo rig demo --guest windows --image win11  the same on a Windows image")]
pub struct Options {
    #[command(flatten)]
    guest: guest::Options,
    /// Frames to send before the cancel (1 to 255)
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=255))]
    frames: u32,
    /// Seed for everything that the guest may vary
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for page, capture and logs [default: a new one in target/rig/runs, to which target/rig/latest leads]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Run this driver of the NIC instead of the one built here (needs its INF)
    #[arg(long, value_name = "SYS", requires = "inf")]
    driver: Option<PathBuf>,
    /// INF of the driver
    #[arg(long, value_name = "INF")]
    inf: Option<PathBuf>,
}

impl Options {
    /// The command line that does the same run again.
    fn replay(&self) -> String {
        let mut line =
            format!("cargo rig demo --frames {} --seed {}{}", self.frames, self.seed, self.guest.replay());
        for (name, file) in [("--driver", &self.driver), ("--inf", &self.inf)] {
            if let Some(file) = file {
                line.push_str(&format!(" {name} {}", file.display()));
            }
        }
        line
    }
}

/// Runs the demo; `true` if the verdict is good.
pub fn demo(options: &Options) -> Result<bool> {
    if (options.driver.is_some() || options.inf.is_some()) && options.guest.guest != GuestKind::Understudy {
        let usage = "--driver and --inf are for --guest understudy: an image holds its own drivers";
        return Err(failure::Usage(usage.into()).into());
    }
    let guest = options.guest.choose()?;
    places::qemu()?;
    // Before anything that takes long: the folder that was asked for, and a place for temporary files.
    drop(Folder::new()?);
    let folder = options.report.as_deref().map(RunFolder::at).transpose()?;
    let style = Style::of_stdout();
    let built = build::build(build::Options::default())?;
    let folder = folder.map_or_else(RunFolder::new, Ok)?;
    let evidence = Evidence::new(folder.path().to_path_buf());
    let mut settings = Settings::new(Files::shipped(&built));
    settings.home = guest;
    settings.evidence = Some(evidence.clone());
    let nic = settings.files.driver(NIC)?;
    if let Some(chosen) = &options.driver {
        nic.image = Artefact::of(chosen)?;
    }
    if let Some(chosen) = &options.inf {
        nic.inf.clone_from(chosen);
    }
    settings.device.queue_size = path::QUEUE_SIZE;
    settings.guest.seed = options.seed;
    settings.command = options.replay();
    for driver in &settings.files.drivers {
        println!("{:<20} sha256 {}", format!("{}.sys", driver.name), driver.image.sha256);
    }

    let mut live = Live::new(style);
    let watcher = Box::new(move |event: StepEvent<'_>| live.show(event));
    let mut run = match Run::start(settings, watcher) {
        Ok(run) => run,
        Err(error) => {
            evidence.settle(true)?;
            let logs = folder.path().display();
            return Err(error.context(format!("no run (logs: {logs}; again: {})", options.replay())));
        }
    };
    let outcome = path::cancel_path(&mut run, options.frames);
    let unloadable = match outcome.as_ref().map_err(|error| error.downcast_ref()) {
        Err(Some(error @ AgentError::NotLoadable(_))) => Some(error.to_string()),
        _ => None,
    };
    let (facts, mut session) = run.finish(outcome);
    let violations = crate::verdict::judge(&facts);
    evidence.run(&mut session, &facts, &violations);
    println!("\n{}\n", table::queues(&facts, style));
    if let Some(cancels) = table::cancels(&facts, style) {
        println!("{cancels}\n");
    }
    let kept = evidence.settle(true).and_then(|()| {
        if let Some(file) = &options.json {
            report::copy_json(&folder.path().join("report.json"), file)?;
        }
        println!("page: {}", folder.path().join("report.html").display());
        println!("wire: {}", folder.path().join("capture.pcapng").display());
        Ok(())
    });
    println!("{}", table::verdict(&violations, style));
    facts.hangs.iter().for_each(|hang| println!("{}", hang.text()));
    facts.crashes.iter().for_each(|crash| println!("{}", crash.text()));
    if let Some(prints) = table::prints(&facts).filter(|_| !violations.is_empty()) {
        println!("{prints}");
    }
    if let Some(why) = &facts.refused {
        println!("this guest cannot run the demo to its end: {why}");
    }
    if let Some(why) = unloadable {
        // Nothing of the driver has run: nothing was judged.
        return kept.and(Err(failure::Machine(format!("{why}; again: {}", options.replay())).into()));
    }
    if let Some(first) = violations.first() {
        eprintln!("rig: {}; again: {}", table::fault_line(first), options.replay());
    }
    kept?;
    Ok(violations.is_empty())
}
