//! When, with what and in which version a run was made: what a reader of its report asks first.

use crate::base::places;
use crate::base::workspace::{Workspace, checkout};
use crate::facts::Facts;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Date, duration, command, versions.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    /// When the run began: RFC 3339, in UTC; left out of a run that never began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub date: Option<DateTime<Utc>>,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// The command line that does it again; left out if nobody gave one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// What was run.
    pub versions: Versions,
}

/// The versions of everything that takes part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Versions {
    /// This command's.
    pub rig: String,
    /// The commit of the tree that is built, with `-dirty` behind it if files differ from it; left out of a tree
    /// without git.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// QEMU's; left out if there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qemu: Option<String>,
    /// The Rust compiler's; left out if it cannot be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rustc: Option<String>,
}

impl About {
    /// Of the run that the facts are of.
    pub fn of(facts: &Facts) -> Self {
        let origin = &facts.origin;
        Self {
            date: origin.began,
            ms: (origin.lasted.as_secs_f64() * 1e6).round() / 1e3,
            command: origin.command.clone(),
            versions: Versions::here().clone(),
        }
    }
}

impl Versions {
    /// Those of this process and its workspace. The programs are asked once.
    pub fn here() -> &'static Self {
        static HERE: OnceLock<Versions> = OnceLock::new();
        HERE.get_or_init(|| {
            // In the tree, whose toolchain it is.
            let rustc = |tree| first_line(Command::new("rustc").arg("--version").current_dir(tree));
            Self {
                rig: env!("CARGO_PKG_VERSION").into(),
                commit: Workspace::find().ok().and_then(|workspace| workspace.commit()),
                qemu: places::qemu().ok().and_then(|qemu| version_of(&qemu)),
                rustc: checkout().ok().and_then(rustc),
            }
        })
    }
}

/// `QEMU emulator version 11.1.0 (...)` is 11.1.0.
fn version_of(qemu: &Path) -> Option<String> {
    let line = first_line(Command::new(qemu).arg("--version"))?;
    let number = line.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()));
    Some(number.map_or_else(|| line.clone(), str::to_owned))
}

/// What a program prints first; `None` if it cannot be run or fails.
fn first_line(program: &mut Command) -> Option<String> {
    let output = program.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim();
    (output.status.success() && !line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_fails_or_is_not_there_has_no_version() {
        assert_eq!(first_line(Command::new("sh").args(["-c", "echo 1; exit 1"])), None);
        assert_eq!(first_line(&mut Command::new("/nowhere/qemu")), None);
        assert_eq!(first_line(Command::new("sh").args(["-c", "echo; echo 2"])), None);
        assert_eq!(first_line(Command::new("sh").args(["-c", "echo ' 1 '; echo 2"])).as_deref(), Some("1"));
    }
}
