//! The serial lines: the agent protocol goes to standard output, the log to standard error.

use core::fmt;
use std::io::Write as _;

/// Writes one line of the agent protocol, whole.
pub(crate) fn write_line(line: &str) {
    drop(writeln!(std::io::stdout(), "{line}"));
}

/// Writes a line to the log, whole.
pub(crate) fn log(arguments: fmt::Arguments<'_>) {
    drop(writeln!(std::io::stderr(), "{arguments}"));
}

/// Writes a line to the log.
#[macro_export]
macro_rules! log {
    ($($arguments:tt)*) => { $crate::hal::serial::log(format_args!($($arguments)*)) };
}
