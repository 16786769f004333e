//! `cargo rig demo`: the whole cancel path once, told as it happens.

use crate::build;
use crate::live::Live;
use crate::terminal::Terminal;
use crate::{foreign, guest, inspect, rules};
use anyhow::Result;
use clap::Args;
use lab::base::evidence::{Evidence, RunFolder};
use lab::base::files::{Files, NIC};
use lab::base::folder::Folder;
use lab::base::{console, failure, places};
use lab::guest::agent::AgentError;
use lab::report;
use lab::report::table;
use lab::run::{Run, StepEvent, archive};
use lab::settings::Settings;
use scenarios::path;
use std::path::{Path, PathBuf};

/// What `cargo rig demo` takes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    cargo rig demo                                this tree's drivers\n  \
    cargo rig demo --frames 64 --seed 7           fewer frames, another seed\n  \
    cargo rig demo --guest windows --image win11  the same on a Windows image")]
pub(crate) struct Options {
    #[command(flatten)]
    guest: guest::Options,
    /// Frames to send before the cancel (1 to 255)
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=255))]
    frames: u32,
    /// Seed for everything that the guest may vary
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the report as JSON; `-` is standard output, and everything else then goes to standard error
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Folder for page, capture and logs [default: a new one in target/rig/runs, to which target/rig/latest leads]
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    #[command(flatten)]
    driver: foreign::Options,
    #[command(flatten)]
    rules: rules::Options,
}

impl Options {
    /// The command line that does the same run again.
    fn replay(&self) -> String {
        let (guest, driver, rules) = (self.guest.replay(), self.driver.replay(), self.rules.replay(None));
        format!("cargo rig demo --frames {} --seed {}{guest}{driver}{rules}", self.frames, self.seed)
    }
}

/// Runs the demo; `true` if the verdict is good.
pub(crate) fn demo(options: &Options) -> Result<bool> {
    let json_on_output = console::is_output(options.json.as_deref());
    let foreign = options.driver.find(options.guest.guest)?;
    let words = options.rules.words(options.guest.guest, options.driver.is_given(), None)?;
    let guest = options.guest.choose()?;
    places::qemu()?;
    // Before anything that takes long: the folder that was asked for, and a place for temporary files.
    drop(Folder::new()?);
    let folder = options.report.as_deref().map(RunFolder::at).transpose()?;
    let terminal = Terminal::of_stdout();
    let style = terminal.style;
    let built = build::build(build::Options::default())?;
    let folder = folder.map_or_else(RunFolder::new, Ok)?;
    let evidence = Evidence::new(folder.path().to_path_buf());
    let mut settings = Settings::new(Files::shipped(&built));
    settings.evidence = Some(evidence.clone());
    if let Some(foreign) = &foreign {
        settings.files.take_over(foreign)?;
    }
    // Another project's driver has no interface for the relay's requests, and takes descriptors as it likes.
    let path = if settings.files.driver(NIC).is_ok() { path::cancel_path } else { path::of_any_driver };
    settings.device.queue_size = path::QUEUE_SIZE;
    settings.kernel.seed = options.seed;
    settings.kernel.words = words;
    settings.command = options.replay();
    for driver in &settings.files.drivers {
        println!("{:<20} sha256 {}", format!("{}.sys", driver.name), driver.image.sha256);
    }

    let mut live = Live::new(terminal);
    let watcher = Box::new(move |event: StepEvent<'_>| live.show(event));
    let mut run = match Run::start(settings, guest, None, watcher) {
        Ok(run) => run,
        Err(error) => {
            evidence.settle(true)?;
            let logs = folder.path().display();
            return Err(error.context(format!("no run (logs: {logs}; again: {})", options.replay())));
        }
    };
    let outcome = path(&mut run, options.frames);
    let unloadable = match outcome.as_ref().map_err(|error| error.downcast_ref()) {
        Err(Some(error @ AgentError::NotLoadable(_))) => Some(error.to_string()),
        _ => None,
    };
    let (facts, mut session) = run.finish(outcome);
    let violations = lab::verdict::judge(&facts);
    archive(&evidence, &mut session, &facts, &violations);
    let width = terminal.table_width();
    println!();
    terminal.print(&table::queues(&facts, style, width), table::SET_MARGIN);
    println!();
    if let Some(cancels) = table::cancels(&facts, style, width) {
        terminal.print(&cancels, 2);
        println!();
    }
    let kept = evidence.settle(true).and_then(|()| {
        let json = folder.path().join("report.json");
        match &options.json {
            Some(_) if json_on_output => console::print_file(&report::json_seen_from(&json, Path::new(""))?),
            Some(file) => report::copy_json(&json, file)?,
            None => {}
        }
        if table::has_long_sets(&facts) {
            println!("sets: {} (each set whole, at \"queues\", \"ids\")", json.display());
        }
        println!("page: {}", folder.path().join("report.html").display());
        println!("wire: {}", folder.path().join("capture.pcapng").display());
        Ok(())
    });
    terminal.print(&table::verdict(&violations, style), 4);
    facts.hangs.iter().for_each(|hang| terminal.print(&hang.to_string(), 2));
    facts.stacks.iter().for_each(|stack| terminal.print(&stack.text(), 2));
    facts.crashes.iter().for_each(|crash| terminal.print(&crash.text(), 2));
    if let Some(warnings) = table::warnings(&facts) {
        terminal.print(&warnings, 2);
    }
    if let Some(prints) = table::prints(&facts).filter(|_| !violations.is_empty()) {
        println!("{prints}");
    }
    if let Some(why) = &facts.refused {
        terminal.print(&format!("this guest cannot run the demo to its end: {why}"), 2);
    }
    if let Some(why) = unloadable {
        // Nothing of the driver has run: nothing was judged.
        foreign.iter().for_each(inspect::explain);
        return kept.and(Err(failure::Machine(format!("{why}; again: {}", options.replay())).into()));
    }
    if let Some(first) = violations.first() {
        eprintln!("rig: {}; again: {}", table::fault_line(first), options.replay());
    }
    kept?;
    Ok(violations.is_empty())
}
