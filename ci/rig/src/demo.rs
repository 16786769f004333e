//! `cargo rig demo`: the whole cancel path once, told as it happens.

mod path;

use crate::build::{self, Artefact, Workspace};
use crate::facts::Facts;
use crate::guest::GuestKind;
use crate::report::table::{self, Style};
use crate::report::{self, Report};
use crate::run::Run;
use crate::session::Session;
use crate::settings::{Files, NIC, Settings};
use crate::{failure, guest, places};
use agent_protocol::Violation;
use anyhow::{Context, Result};
use clap::Args;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// What `cargo rig demo` takes.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    guest: guest::Options,
    /// Frames to send before the cancel (1 to 255)
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=255))]
    frames: u32,
    /// Seed for what the guest may vary
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for page, capture and logs [default: target/rig/demo]
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
    let style = Style::of_stdout();
    let built = build::build(build::Options::default())?;
    let mut settings = Settings::new(Files::shipped(&built));
    settings.home = guest;
    let nic = settings.files.driver(NIC)?;
    if let Some(chosen) = &options.driver {
        nic.image = Artefact::of(chosen)?;
    }
    if let Some(chosen) = &options.inf {
        nic.inf.clone_from(chosen);
    }
    settings.device.queue_size = path::QUEUE_SIZE;
    settings.guest.seed = options.seed;
    for driver in &settings.files.drivers {
        println!("{:<20} sha256 {}", format!("{}.sys", driver.name), driver.image.sha256);
    }

    let watcher = Box::new(move |step: &crate::facts::Step| println!("{}", table::step_line(step, style)));
    let mut run = match Run::start(settings, watcher) {
        Ok(run) => run,
        Err(error) => return Err(error.context(format!("no run (again: {})", options.replay()))),
    };
    let outcome = path::cancel_path(&mut run, options.frames);
    let (facts, session) = run.finish(outcome);
    let violations = crate::verdict::judge(&facts);
    println!("\n{}\n", table::queues(&facts, style));
    if let Some(cancels) = table::cancels(&facts, style) {
        println!("{cancels}\n");
    }
    let kept = keep(options, &facts, &violations, &session);
    println!("{}", table::verdict(&violations, style));
    facts.hangs.iter().for_each(|hang| println!("{}", hang.text()));
    facts.crashes.iter().for_each(|crash| println!("{}", crash.text()));
    if let Some(why) = &facts.refused {
        println!("this guest cannot run the demo to its end: {why}");
    }
    if let Some(first) = violations.first() {
        eprintln!("rig: {}; again: {}", table::fault_line(first), options.replay());
    }
    kept?;
    Ok(violations.is_empty())
}

/// Keeps page, capture and logs where they can be looked at after the run.
fn keep(options: &Options, facts: &Facts, violations: &[Violation], session: &Session) -> Result<()> {
    let (folder, _lock) = report_folder(options)?;
    let capture = folder.join("capture.pcapng");
    copy(&session.capture(), &capture)?;
    copy(&session.folder().join("trace.json"), &folder.join("trace.json"))?;
    for log in ["guest.log", "device.log", "qemu.log"] {
        copy(&session.folder().join(log), &folder.join(log))?;
    }
    let report = Report::new(facts, violations, &capture);
    report::write_html(&folder.join("report.html"), &report, facts)?;
    report.write_json(&folder.join("report.json"))?;
    if let Some(file) = &options.json {
        report.write_json(file)?;
    }
    println!("page: {}", folder.join("report.html").display());
    println!("wire: {}", capture.display());
    Ok(())
}

/// The folder for a report, held against other runs. Two demos at once, neither told where to go, go apart.
fn report_folder(options: &Options) -> Result<(PathBuf, File)> {
    let target = Workspace::find()?.target().to_path_buf();
    let usual = match &options.report {
        Some(folder) => folder.clone(),
        None => target.join("rig/demo"),
    };
    let apart = target.join(format!("rig/demo-{}", std::process::id()));
    let candidates = if options.report.is_some() { vec![usual] } else { vec![usual, apart] };
    for folder in candidates {
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let folder = folder.canonicalize()?;
        let lock = File::create(folder.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => return Ok((folder, lock)),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error).context("cannot lock the report's folder"),
        }
    }
    Err(failure::Usage("the report's folder is in use by another run: choose another with --report".into())
        .into())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::copy(from, to)
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))
        .map(drop)
}
