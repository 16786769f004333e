//! Failures in words.

use crate::verifier::trace;
use alloc::{format, string::String};
use wdk_offline::NTSTATUS;

/// A driver's function has failed with that status; the reason that the verifier kept for it comes with it.
pub(super) fn failed(what: &str, status: NTSTATUS) -> String {
    let reason = trace::take_reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{what} failed with {:#010x}{reason}", status as u32)
}

/// The same as a result: nothing for a status of success.
pub(super) fn check(what: &str, status: NTSTATUS) -> Result<(), String> {
    if status >= 0 { Ok(()) } else { Err(failed(what, status)) }
}

/// Why the drivers of the bundle are not loaded.
pub(crate) enum NotLoaded {
    /// A file of theirs is refused. None of that driver's code has run.
    Refused(String),
    /// A driver, or its device, failed.
    Failed(String),
}
