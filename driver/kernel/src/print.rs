//! Lines for a debugger.

use core::fmt::{self, Write as _};

use wdk_sys::{_DPFLTR_TYPE, DPFLTR_ERROR_LEVEL, DPFLTR_INFO_LEVEL, ntddk::DbgPrintEx};

/// A text of at most `ROOM` bytes, terminator included; what does not fit is cut off.
pub struct Text<const ROOM: usize> {
    bytes: [u8; ROOM],
    used: usize,
}

/// A text of the usual length.
pub type Line = Text<200>;

impl<const ROOM: usize> Text<ROOM> {
    /// The text of `arguments`.
    #[must_use]
    pub fn of(arguments: fmt::Arguments<'_>) -> Self {
        let mut text = Self { bytes: [0; ROOM], used: 0 };
        // writing to a text cuts, it does not fail
        let _ = text.write_fmt(arguments);
        text
    }

    /// The text, without terminator.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.bytes[..self.used]
    }
}

impl<const ROOM: usize> fmt::Write for Text<ROOM> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // the last byte stays 0
        let room = ROOM - 1 - self.used;
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
    text(level, &Line::of(format_args!("{arguments}\n")));
}

/// Prints a text as it is. Any IRQL up to the device's.
pub fn text<const ROOM: usize>(level: Level, text: &Text<ROOM>) {
    let level = match level {
        Level::Error => DPFLTR_ERROR_LEVEL,
        Level::Info => DPFLTR_INFO_LEVEL,
    };
    // SAFETY: one argument for the one conversion, a zero-terminated text that lives over the call.
    unsafe {
        DbgPrintEx(_DPFLTR_TYPE::DPFLTR_IHVNETWORK_ID as u32, level, c"%s".as_ptr(), text.bytes.as_ptr());
    }
}
