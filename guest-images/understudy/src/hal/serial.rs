//! The two serial ports: COM1 for the log, COM2 for the agent protocol.

use super::cpu::without_interrupts;
use super::port::{read8, write8};
use core::fmt;

const COM1: u16 = 0x3f8;
const COM2: u16 = 0x2f8;
/// Line status: a byte has come; there is room for one; nothing is left to transmit.
const RECEIVED: u8 = 1;
const EMPTY: u8 = 0x20;
const IDLE: u8 = 0x40;

/// Sets both ports up: 115200 8n1, FIFO on; COM2 interrupts when bytes come.
pub(crate) fn start() {
    for (port, interrupt) in [(COM1, 0), (COM2, 1)] {
        for (register, value) in
            [(1, 0), (3, 0x80), (0, 1), (1, 0), (3, 3), (2, 0xc7), (4, 0x0b), (1, interrupt)]
        {
            write8(port + register, value);
        }
    }
}

/// The byte that has come on COM2, if one has.
pub(crate) fn received() -> Option<u8> {
    (read8(COM2 + 5) & RECEIVED != 0).then(|| read8(COM2))
}

fn put(port: u16, byte: u8) {
    while read8(port + 5) & EMPTY == 0 {
        core::hint::spin_loop();
    }
    write8(port, byte);
}

/// Waits until the last byte has left both ports: who reads slowly holds it up, and the machine's end would lose it.
pub(crate) fn drain() {
    for port in [COM1, COM2] {
        while read8(port + 5) & IDLE == 0 {
            core::hint::spin_loop();
        }
    }
}

/// Writes one line to COM2, whole: interrupts are off meanwhile.
pub(crate) fn write_line(line: &str) {
    without_interrupts(|| {
        line.bytes().for_each(|byte| put(COM2, byte));
        put(COM2, b'\n');
    });
}

/// COM1 as a formatter's target.
pub(crate) struct Log;

impl fmt::Write for Log {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // what a driver prints, or has ruined, does nothing to a terminal
        for byte in text.bytes() {
            put(COM1, if byte.is_ascii_control() && !matches!(byte, b'\n' | b'\t') { b'.' } else { byte });
        }
        Ok(())
    }
}

/// Writes a line to the log, whole.
pub(crate) fn log(arguments: fmt::Arguments<'_>) {
    use fmt::Write as _;
    let _ = without_interrupts(|| writeln!(Log, "{arguments}"));
}

/// Writes a line to COM1.
#[macro_export]
macro_rules! log {
    ($($arguments:tt)*) => { $crate::hal::serial::log(format_args!($($arguments)*)) };
}
