//! Port input and output.

use x86_64::instructions::port::Port;

/// Writes a byte.
pub(crate) fn write8(port: u16, value: u8) {
    // SAFETY: callers name ports of devices that they own; no port of ours changes memory.
    unsafe { Port::new(port).write(value) };
}

/// Reads a byte.
pub(crate) fn read8(port: u16) -> u8 {
    // SAFETY: as above.
    unsafe { Port::new(port).read() }
}

/// Writes two bytes.
pub(crate) fn write16(port: u16, value: u16) {
    // SAFETY: as above.
    unsafe { Port::new(port).write(value) };
}

/// Writes four bytes.
pub(crate) fn write32(port: u16, value: u32) {
    // SAFETY: as above.
    unsafe { Port::new(port).write(value) };
}

/// Reads four bytes.
pub(crate) fn read32(port: u16) -> u32 {
    // SAFETY: as above.
    unsafe { Port::new(port).read() }
}
