//! The ways to end: the process goes with the value that the machine would have ended with.

use std::io::Write as _;

/// A fault of understudy itself.
pub(crate) const EXIT_INTERNAL: u8 = 0x30;

/// Ends the run, once everything that was said is out.
pub(crate) fn exit(value: u8) -> ! {
    drop(std::io::stdout().flush());
    std::process::exit(value.into())
}

/// Ends the run for a fault of understudy itself.
pub(crate) fn fatal(what: &str) -> ! {
    crate::log!("understudy: {what}");
    exit(EXIT_INTERNAL)
}
