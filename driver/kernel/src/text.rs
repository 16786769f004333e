//! The kernel's strings: counted or zero-terminated UTF-16.

use wdk_sys::UNICODE_STRING;

/// UTF-16 of an ASCII text, filled up with zeros to `N` units: with `N` one above the length, terminated.
///
/// # Panics
/// If the text is longer than `N`; at compile time where the result is a constant.
#[must_use]
pub const fn utf16<const N: usize>(text: &[u8]) -> [u16; N] {
    assert!(text.len() <= N, "the text is longer than its room");
    let mut units = [0; N];
    let mut at = 0;
    while at < text.len() {
        units[at] = text[at] as u16;
        at += 1;
    }
    units
}

/// A counted string over `units`, all of which count. Valid as long as `units` is; for calls that only read it.
#[must_use]
pub const fn counted(units: &[u16]) -> UNICODE_STRING {
    let bytes = size_of_val(units) as u16;
    UNICODE_STRING { Length: bytes, MaximumLength: bytes, Buffer: units.as_ptr().cast_mut() }
}
