//! Lines for a debugger.

use core::fmt::{self, Write as _};

use wdk_sys::{_DPFLTR_TYPE, DPFLTR_ERROR_LEVEL, DPFLTR_INFO_LEVEL, ntddk::DbgPrintEx};

/// Longest line, terminator included.
const LINE: usize = 200;

/// A text of bounded length; what does not fit is cut off.
pub struct Line {
    bytes: [u8; LINE],
    used: usize,
}

impl Line {
    /// The text of `arguments`.
    #[must_use]
    pub fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut line = Self { bytes: [0; LINE], used: 0 };
        // writing to a line cuts, it does not fail
        let _ = line.write_fmt(arguments);
        line
    }

    /// The text, without terminator.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // the last byte stays 0
        let room = LINE - 1 - self.used;
        let take = text.len().min(room);
        self.bytes[self.used..self.used + take].copy_from_slice(&text.as_bytes()[..take]);
        self.used += take;
        Ok(())
    }
}

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// The driver gives something up.
    Error,
    /// The ordinary course of things.
    Info,
}

/// Prints one line under component IHVNETWORK; the newline is added. Any IRQL up to DISPATCH_LEVEL.
pub fn line(level: Level, arguments: fmt::Arguments<'_>) {
    let level = match level {
        Level::Error => DPFLTR_ERROR_LEVEL,
        Level::Info => DPFLTR_INFO_LEVEL,
    };
    let line = Line::of(format_args!("{arguments}\n"));
    // SAFETY: one argument for the one conversion, a zero-terminated text that lives over the call.
    unsafe {
        DbgPrintEx(_DPFLTR_TYPE::DPFLTR_IHVNETWORK_ID as u32, level, c"%s".as_ptr(), line.bytes.as_ptr());
    }
}
