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
//! | 4 | | `cargo rig inspect`: the driver needs what understudy does not offer |
//! | 130 | | Ctrl-C, SIGTERM, SIGHUP |
//! | 141 | | the reader of the output has gone (`cargo rig test --list \| head`) |

use lab::base::failure::{FAULT, GaveUp, Machine, SETUP, SetupMissing, USAGE, Usage};
use lab::guest::agent::AgentError;
use std::process::ExitCode;

/// The kinds of errors that people and CI jobs have to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A fault was found in what was to be judged.
    Fault,
    /// The command line is wrong.
    Usage,
    /// A program or file that a run needs is missing; the error names the command that gets it.
    Setup,
    /// The machine or an input file made a run impossible: nothing was judged.
    Machine,
}

/// The class of an error: the most particular cause in its chain decides.
pub(crate) fn class(error: &anyhow::Error) -> Class {
    let any = |is: fn(&(dyn std::error::Error + 'static)) -> bool| error.chain().any(is);
    if error.is::<SetupMissing>() || any(|cause| cause.is::<SetupMissing>()) {
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
pub(crate) fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(match class(error) {
        Class::Fault => FAULT,
        Class::Usage => USAGE,
        Class::Setup | Class::Machine => SETUP,
    })
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
