//! Interrupts that the processor sends itself.

/// Requests an interrupt from this processor to itself.
pub(crate) fn request(vector: u8) {
    super::cpu::request(vector);
}

/// The interrupt that is being served is over: nothing is to be done for that.
pub(crate) fn acknowledge() {}

/// No device here raises a line.
pub(crate) fn set_line(_line: u8, _vector: Option<u8>) {}
