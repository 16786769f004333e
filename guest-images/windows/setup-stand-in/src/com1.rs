//! COM1, a 16550 that the firmware has set up.

use core::fmt::{self, Write as _};

use x86_64::instructions::port::Port;

/// First port: transmit holding register. The line status register is five on.
const BASE: u16 = 0x3f8;
/// Line status: the transmit holding register is empty.
const EMPTY: u8 = 1 << 5;

/// Reports one line.
pub(crate) fn say(line: impl fmt::Display) {
    // A 16550 takes every byte.
    let _ = write!(Com1, "cancelnic-setup: {line}\r\n");
}

struct Com1;

impl fmt::Write for Com1 {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(put);
        Ok(())
    }
}

fn put(byte: u8) {
    let (mut data, mut status) = (Port::<u8>::new(BASE), Port::<u8>::new(BASE + 5));
    // SAFETY: these are the ports of COM1, which a PC has at this address; reading its line status changes nothing that
    // anybody else looks at, and writing the transmit register only sends a byte.
    unsafe {
        while status.read() & EMPTY == 0 {}
        data.write(byte);
    }
}
