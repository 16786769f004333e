//! A use of the command: `cargo rig` as a process, with what it prints, how it ends and what it leaves.

use anyhow::{Context, Result, bail, ensure};
use lab::base::folder::Folder;
use lab::base::process::Process;
use lab::base::wait::{LIMIT, PERIOD, until};
use rustix::process::{Pid, Signal, kill_process};
use scenarios::Trial;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::time::Duration;

/// The step after which a run is disturbed: device, machine and driver are up, frames are about to be sent.
pub(super) const MOMENT: &str = "hold the wire gate";

/// Between two looks at all processes.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// One use of the command.
pub(super) struct Use {
    pub(super) process: Process,
    /// Until it is closed.
    pub(super) output: Option<BufReader<ChildStdout>>,
    pub(super) seen: String,
    /// For its temporary files.
    pub(super) folder: Folder,
    /// Its report and its outputs, which stay as evidence.
    pub(super) kept: PathBuf,
}

/// How a use ended.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) output: String,
    pub(super) errors: String,
}

impl Use {
    /// The demo.
    pub(super) fn demo<S: AsRef<OsStr>>(
        trial: &Trial,
        arguments: &[S],
        environment: &[(&str, &OsStr)],
    ) -> Result<Self> {
        Self::of(trial, "demo", arguments, environment)
    }

    pub(super) fn of<S: AsRef<OsStr>>(
        trial: &Trial,
        subcommand: &'static str,
        arguments: &[S],
        environment: &[(&str, &OsStr)],
    ) -> Result<Self> {
        let folder = Folder::new()?;
        let temporary = folder.path().join("t");
        std::fs::create_dir(&temporary)?;
        let kept = trial.evidence.claim();
        std::fs::create_dir_all(&kept)?;
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(subcommand)
            .arg("--report")
            .arg(kept.join("report"))
            .args(arguments)
            .env("TMPDIR", &temporary)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = Process::start_rig(command, kept.join("errors.txt"))?;
        let output = process.take_stdout().map(BufReader::new);
        Ok(Self { process, output, seen: String::new(), folder, kept })
    }

    /// The folder of its report.
    pub(super) fn report(&self) -> PathBuf {
        self.kept.join("report")
    }

    pub(super) fn errors(&self) -> Result<String> {
        Ok(String::from_utf8_lossy(&std::fs::read(self.kept.join("errors.txt"))?).into_owned())
    }

    /// Reads the command's output up to the step at which it is to be disturbed. Ends with the command, at the latest.
    pub(super) fn reach_the_moment(&mut self) -> Result<()> {
        self.reach(MOMENT)
    }

    /// Reads the command's output up to a line that contains `text`.
    pub(super) fn reach(&mut self, text: &str) -> Result<()> {
        loop {
            let from = self.seen.len();
            let output = self.output.as_mut().context("the output is closed")?;
            if output.read_line(&mut self.seen)? == 0 {
                bail!("the command ended before `{text}`:\n{}{}", self.seen, self.errors()?);
            }
            if self.seen[from..].contains(text) {
                return Ok(());
            }
        }
    }

    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(self.process.pid(), signal)?)
    }

    /// The process of this use whose command line holds `name`.
    pub(super) fn process(&self, name: &str) -> Result<Pid> {
        let mut found = processes_with(&[&self.marker(), name])?;
        match (found.pop(), found.pop()) {
            (Some(one), None) => Ok(one),
            _ => bail!("not exactly one process `{name}`"),
        }
    }

    pub(super) fn marker(&self) -> String {
        self.temporary().display().to_string()
    }

    pub(super) fn temporary(&self) -> PathBuf {
        self.folder.path().join("t")
    }

    /// Reads the rest and waits for the end.
    pub(super) fn end(&mut self) -> Result<Ended> {
        if let Some(output) = &mut self.output {
            output.read_to_string(&mut self.seen)?;
        }
        let code = self.process.wait_for_end()?.code();
        Ok(Ended { code, output: self.seen.clone(), errors: self.errors()? })
    }

    /// No process and no temporary file of this use may be left.
    pub(super) fn nothing_left(&self) -> Result<()> {
        self.no_process_left()?;
        let left = entries(&self.temporary())?;
        ensure!(left.is_empty(), "left behind: {left:?}");
        Ok(())
    }

    pub(super) fn no_process_left(&self) -> Result<()> {
        let mut left = Vec::new();
        let gone = until(LIMIT, PERIOD, || {
            left = processes_with(&[&self.marker()])?;
            Ok(left.is_empty().then_some(()))
        })?;
        gone.with_context(|| format!("still running: {left:?}"))
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        // The command itself is ended with its process, wherever a scenario that failed has left it.
        let _ = std::fs::write(self.kept.join("output.txt"), &self.seen);
    }
}

/// What is in a folder.
pub(super) fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

impl Ended {
    /// The exit code is `code`, and the errors are one line that holds `text`.
    pub(super) fn expect(&self, code: u8, text: &str) -> Result<()> {
        // What the build says of its progress is no error.
        let complaint = |line: &&str| !line.trim().is_empty() && !line.starts_with("building ");
        let lines: Vec<_> = self.errors.lines().filter(complaint).collect();
        ensure!(
            self.code == Some(code.into())
                && lines.len() == 1
                && lines.iter().all(|line| line.contains(text)),
            "expected exit code {code} and one line with {text:?}; got {:?} and\n{}\nafter\n{}",
            self.code,
            self.errors,
            self.output
        );
        Ok(())
    }
}

/// Running processes whose command line holds all of `texts`.
pub(super) fn processes_with(texts: &[&str]) -> Result<Vec<Pid>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw)
        else {
            continue;
        };
        // Gone meanwhile, or a zombie: empty.
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        if texts.iter().all(|text| line.contains(text)) {
            found.push(pid);
        }
    }
    Ok(found)
}
