//! Rules that hold for whatever function of a framework a driver calls.

use super::{BugCheck, trace};
use crate::ke::Irql;
use alloc::{format, string::String};

/// Stops with a WDF violation of that rule.
pub(crate) fn violation(rule: &str, p1: u64, p2: u64, place: String) -> ! {
    trace::stop(BugCheck::WDF_VIOLATION, [p1, p2, 0, 0], rule, place)
}

/// Stops or warns, with a WDF violation of that rule.
pub(crate) fn judge(rule: &str, p1: u64, p2: u64, place: String) {
    trace::judge(BugCheck::WDF_VIOLATION, [p1, p2, 0, 0], rule, place);
}

/// Stops unless the IRQL is at most `most`.
pub(crate) fn require_irql(function: &str, most: Irql) {
    let now = crate::ke::irql();
    if now > most {
        violation(
            "IrqlTooHigh",
            6,
            u64::from(now),
            format!("{function} at IRQL {now}, allowed up to {most}"),
        );
    }
}
