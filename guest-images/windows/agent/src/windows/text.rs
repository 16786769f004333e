//! Windows' strings.

use std::{ffi::OsStr, os::windows::ffi::OsStrExt as _};

/// UTF-16 with a NUL behind it.
pub(super) fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

/// The strings of a list in which each ends with a NUL, and the list with an empty one.
pub(super) fn list(units: &[u16]) -> Vec<String> {
    let texts = units.split(|unit| *unit == 0).take_while(|text| !text.is_empty());
    texts.map(String::from_utf16_lossy).collect()
}
