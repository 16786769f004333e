//! After a run on an image has failed: what kind of failure it was, and what is kept of it.
//!
//! What the events mean is [`crate::guest::crash`]'s; here are the lines, the clock and the files.

use super::dump;
use super::medium::Medium;
use crate::base::failure::one_line;
use crate::base::wait::until;
use crate::base::workspace::Workspace;
use crate::device::control::Queue;
use crate::guest::crash::{Crash, Dump, Pursuit, Seen, Source, Stop, Watch};
use crate::run::Run;
use crate::run::trouble::Trouble;
use crate::session::boot::Boot as _;
use crate::settings::Settings;
use crate::verdict::violation;
use agent_protocol::Message;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How long QEMU may take to write a machine's memory.
const WRITING: Duration = Duration::from_secs(600);
/// Between two looks at the lines.
const PERIOD: Duration = Duration::from_millis(50);
/// How long a guest may take to write into its log that an NMI has come; one that does not is not waited for longer.
const ANSWER: Duration = Duration::from_secs(5);
/// A part of a dump comes over the serial port.
const PART: Duration = Duration::from_secs(60);

impl Run {
    /// Finds out how the guest failed, if it did, and keeps what can be had. The machine is of no use afterwards.
    pub(super) fn take_evidence(&mut self, medium: &Medium) {
        let mut watch = Watch::new(medium.writes_dumps);
        let mut crash = Crash {
            kind: crate::guest::crash::CrashKind::Hang,
            scenario: self.settings.name.into(),
            stop: None,
            dumps: Vec::new(),
            device: Vec::new(),
            notes: Vec::new(),
        };
        let mut greetings = 1;
        self.watch_guest(&mut watch, &mut greetings);
        match self.trouble {
            Some(Trouble::Silent) => watch.see(&Seen::Silence),
            Some(Trouble::Gone) => watch.see(&Seen::LineLost),
            None => {}
        }
        if watch.kind().is_none() {
            return;
        }
        match self.session.control.stats() {
            Ok(stats) => {
                let line = |queue: &Queue| format!("{}: {}", queue.queue, queue.describe());
                crash.device = stats.queues.iter().map(line).collect();
            }
            Err(error) => {
                crash.notes.push(format!("the device says nothing of its queues: {}", one_line(&error)));
            }
        }
        loop {
            let pursued = match watch.pursuit() {
                Pursuit::Nothing => break,
                Pursuit::Interrupt => {
                    watch.interrupted();
                    self.interrupt().map(|()| crash.notes.push("an NMI was sent".into()))
                }
                Pursuit::Restart | Pursuit::Agent => {
                    self.await_change(&mut watch, &mut greetings, medium.patience().start())
                }
                Pursuit::Dumps => {
                    watch.done();
                    self.copy_dump(medium).map(|dump| match dump {
                        Some(dump) => crash.dumps.push(dump),
                        None => crash.notes.push("the guest has left no dump".into()),
                    })
                }
                Pursuit::Memory => {
                    watch.done();
                    self.save_memory(medium).map(|dump| crash.dumps.push(dump))
                }
            };
            if let Err(error) = pursued {
                crash.notes.push(one_line(&error));
            }
        }
        crash.notes.push(format!(
            "the guest's log ends with: {}",
            crate::session::last_line(&self.session.guest_log())
        ));
        crash.kind = watch.kind().unwrap_or(crash.kind);
        crash.stop = watch.stop();
        let told = watch.stop().is_some() && self.session.agent.bug_check().is_some();
        if !told {
            // What the agent has told itself stands in the list already, under the rule's name.
            let place = crash.stop.map_or_else(|| crash.title(), |stop| stop.to_string());
            self.facts.violations.push(violation(crash.kind.rule(), "guest", place));
        }
        self.facts.crashes.push(crash);
    }

    /// Takes in what monitor and agent have said.
    fn watch_guest(&mut self, watch: &mut Watch, greetings: &mut usize) {
        for event in self.session.monitor.events() {
            watch.see(&Seen::Monitor(event));
        }
        let said = self.session.agent.said();
        let told = said.iter().find_map(|said| match said {
            Message::BugCheck { code, parameters, .. } => {
                Some(Stop { code: (*code).into(), parameters: *parameters })
            }
            _ => None,
        });
        if let Some(stop) = told {
            watch.see(&Seen::Told(stop));
        }
        let greeted = said.iter().filter(|said| matches!(said, Message::Hello { .. })).count();
        for _ in *greetings..greeted {
            watch.see(&Seen::Greeting);
        }
        *greetings = greeted.max(*greetings);
    }

    /// Waits until the watch goes after something else.
    fn await_change(&mut self, watch: &mut Watch, greetings: &mut usize, limit: Duration) -> Result<()> {
        let wait = watch.pursuit();
        let changed = until(limit, PERIOD, || {
            self.watch_guest(watch, greetings);
            Ok((watch.pursuit() != wait).then_some(()))
        })?;
        if changed.is_none() {
            watch.see(&Seen::Waited);
        }
        Ok(())
    }

    /// Sends an NMI, and gives the guest a while to write into its log where it was.
    fn interrupt(&mut self) -> Result<()> {
        let before = self.log_lines();
        self.session.monitor.inject_nmi()?;
        until(ANSWER, PERIOD, || Ok((self.log_lines() != before).then_some(()))).map(drop)
    }

    /// Whole lines of the guest's log.
    fn log_lines(&self) -> usize {
        let log = fs::read(self.session.guest_log()).unwrap_or_default();
        log.iter().filter(|byte| **byte == b'\n').count()
    }

    /// QEMU writes the machine's memory.
    fn save_memory(&mut self, medium: &Medium) -> Result<Dump> {
        let file = keep(&self.settings)?.join("memory.elf");
        self.session.monitor.dump_memory(&file, WRITING)?;
        let open = medium.command_for_memory(&file, &self.settings);
        Ok(Dump { file, source: Source::Memory, open })
    }

    /// Copies the newest dump out of the guest; `None` if there is none.
    fn copy_dump(&mut self, medium: &Medium) -> Result<Option<Dump>> {
        let agent = &mut self.session.agent;
        let Some(newest) = dump::newest(agent, medium.patience().act())? else { return Ok(None) };
        let file = dump::copy(agent, &newest, PART, &keep(&self.settings)?)?;
        let open = format!("windbg -z {} {SYMBOLS}", file.display());
        Ok(Some(Dump { file, source: Source::Guest, open }))
    }
}

/// A new folder for what outlives the session.
fn keep(settings: &Settings) -> Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = format!("rig/dumps/{}-{}-{number}", settings.name, std::process::id());
    let folder = Workspace::find()?.target().join(folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// Where WinDbg looks for symbols: Microsoft's server, then the folder that `cargo rig debug` names.
const SYMBOLS: &str = r#"-y "srv*;C:\cancelnic""#;

impl Medium {
    /// What opens the core file of its machine. WinDbg reads it once elf2dmp has turned it into a dump.
    fn command_for_memory(&self, file: &Path, settings: &Settings) -> String {
        if self.writes_dumps {
            let (core, dump) = (file.display(), file.with_extension("dmp"));
            let dump = dump.display();
            format!("elf2dmp {core} {dump}; windbg -z {dump} {SYMBOLS}")
        } else {
            format!("gdb {} {}", settings.files.kernel.display(), file.display())
        }
    }
}
