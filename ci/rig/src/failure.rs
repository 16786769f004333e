//! Which errors end the command with which exit code.
//!
//! Exit code 1 means that a run took place and a fault was found in it. A run that could not take place has another one,
//! so that a CI job can tell a broken driver from a broken machine:
//!
//! | code | [`Class`] | examples |
//! |---|---|---|
//! | 1 | `Fault` | a broken rule, a test that fails, sources that do not compile, an image that was changed |
//! | 2 | `Usage` | a flag, a name, a combination of options that is wrong |
//! | 3 | `Setup`, `Machine` | no QEMU; no space, no folder for temporary files, a driver that cannot be loaded |
//! | 130 | | Ctrl-C, SIGTERM, SIGHUP |
//! | 141 | | the reader of the output has gone (`cargo rig test --list \| head`) |

use crate::agent::AgentError;
use std::process::ExitCode;

/// The run found a fault.
pub const FAULT: u8 = 1;
/// The command line was wrong.
pub const USAGE: u8 = 2;
/// The run could not take place: something is missing, or the machine refused it.
pub const SETUP: u8 = 3;
/// The run was interrupted (128 + SIGINT, as shells report it).
pub const INTERRUPTED: u8 = 130;
/// Nobody reads the output any more (128 + SIGPIPE, as shells report it). Not 0: the run was not brought to its end.
pub const PIPE_CLOSED: u8 = 141;

/// The kinds of errors that people and CI jobs have to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A fault was found in what was to be judged.
    Fault,
    /// The command line is wrong.
    Usage,
    /// A program or file that a run needs is missing; the error names the command that gets it.
    Setup,
    /// The machine or an input file made a run impossible: nothing was judged.
    Machine,
}

/// Something that the set-up should have brought is not there.
#[derive(Debug, thiserror::Error)]
#[error("missing: {what}; get it with: {get}")]
pub struct SetupMissing {
    /// What is missing.
    pub what: String,
    /// The command or action that gets it.
    pub get: String,
}

impl SetupMissing {
    /// `what` is missing, and `get` gets it.
    pub fn new(what: impl Into<String>, get: impl Into<String>) -> Self {
        Self { what: what.into(), get: get.into() }
    }
}

/// A program that every run stands on has given up before there was anything to judge.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}", .todo.as_ref().map_or_else(String::new, |todo| format!("; {todo}")))]
pub struct GaveUp {
    /// Which program, and its own last words.
    pub what: String,
    /// What may help, where that is known.
    pub todo: Option<String>,
}

/// An argument that clap could not judge.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// A run could not take place, and no driver is to blame for it. An [`std::io::Error`] anywhere in a chain of causes
/// has the same class.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Machine(pub String);

/// The class of an error: the most particular cause in its chain decides.
pub fn class(error: &anyhow::Error) -> Class {
    let any = |is: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(is);
    if error.is::<SetupMissing>()
        || any(|cause| cause.is::<SetupMissing>() || cause.is::<crate::build::SetupMissing>())
    {
        Class::Setup
    } else if error.is::<Usage>() || any(|cause| cause.is::<Usage>()) {
        Class::Usage
    } else if error.is::<Machine>()
        || error.is::<GaveUp>()
        || matches!(error.downcast_ref(), Some(AgentError::NotLoadable(_)))
        || any(|cause| {
            cause.is::<Machine>()
                || cause.is::<GaveUp>()
                || cause.is::<std::io::Error>()
                || cause.is::<rustix::io::Errno>()
        })
    {
        Class::Machine
    } else {
        Class::Fault
    }
}

/// The exit code for an error.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(match class(error) {
        Class::Fault => FAULT,
        Class::Usage => USAGE,
        Class::Setup | Class::Machine => SETUP,
    })
}

/// The whole chain of an error in one line.
pub fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context as _, anyhow};
    use std::io::ErrorKind;

    #[test]
    fn a_full_disk_and_a_missing_folder_are_never_a_fault_of_the_driver() {
        for kind in [ErrorKind::StorageFull, ErrorKind::NotFound, ErrorKind::PermissionDenied] {
            let error = anyhow::Error::from(std::io::Error::from(kind)).context("cannot write report.html");
            assert_eq!(class(&error), Class::Machine, "{error:#}");
        }
        let error = Err::<(), _>(Machine("no place".into())).context("no run").unwrap_err();
        assert_eq!(class(&error), Class::Machine);
    }

    #[test]
    fn the_most_particular_cause_decides() {
        let missing = anyhow::Error::from(SetupMissing::new("QEMU", "ci/setup")).context("no run");
        assert_eq!(class(&missing), Class::Setup);
        let usage = Err::<(), _>(std::io::Error::from(ErrorKind::NotFound))
            .context(Usage("no driver in /nowhere".into()))
            .unwrap_err();
        assert_eq!(class(&usage), Class::Usage);
        assert_eq!(class(&anyhow!("1 of 64 frames is lost")), Class::Fault);
    }
}
