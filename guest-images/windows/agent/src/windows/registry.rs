//! Values of the registry.

use std::{ffi::c_void, io, ptr::null_mut};

use cancelnic_agent::guest::DriverKey;
use windows_sys::Win32::{
    Foundation::{ERROR_FILE_NOT_FOUND, ERROR_SUCCESS, WIN32_ERROR},
    System::Registry::{
        HKEY, REG_SZ, RRF_NOEXPAND, RRF_RT_REG_DWORD, RRF_RT_REG_EXPAND_SZ, RRF_RT_REG_SZ, RegCloseKey,
        RegGetValueW, RegSetValueExW,
    },
};

use super::text::wide;

fn checked(status: WIN32_ERROR) -> io::Result<()> {
    match status {
        ERROR_SUCCESS => Ok(()),
        error => Err(io::Error::from_raw_os_error(error.cast_signed())),
    }
}

/// The text called `value` in the subkey `below` of `key`, variables in it left alone. An empty `below` is `key`
/// itself.
pub(super) fn text(key: HKEY, below: &str, value: &str) -> io::Result<Option<String>> {
    let mut units = vec![0_u16; 1024];
    let flags = RRF_RT_REG_SZ | RRF_RT_REG_EXPAND_SZ | RRF_NOEXPAND;
    let read = read(key, below, value, flags, units.as_mut_ptr().cast(), units.len() * 2)?;
    Ok(read.map(|read| {
        units.truncate(read / 2);
        String::from_utf16_lossy(&units).trim_end_matches('\0').to_owned()
    }))
}

/// The number (REG_DWORD) called `value` in the subkey `below` of `key`.
pub(super) fn number(key: HKEY, below: &str, value: &str) -> io::Result<Option<u32>> {
    let mut number = 0_u32;
    let into = (&raw mut number).cast();
    Ok(read(key, below, value, RRF_RT_REG_DWORD, into, size_of::<u32>())?.map(|_| number))
}

/// Reads a value into a buffer of `len` bytes; how many it has, or `None` if it is not there.
fn read(
    key: HKEY,
    below: &str,
    value: &str,
    flags: u32,
    into: *mut c_void,
    len: usize,
) -> io::Result<Option<usize>> {
    let (below, value) = (wide(below), wide(value));
    let mut read = len as u32;
    // SAFETY: the key is open; the strings end with NUL; the buffer has `len` bytes, as the callers here see to.
    let status =
        unsafe { RegGetValueW(key, below.as_ptr(), value.as_ptr(), flags, null_mut(), into, &raw mut read) };
    if status == ERROR_FILE_NOT_FOUND {
        return Ok(None);
    }
    checked(status).map(|()| Some(read as usize))
}

/// A key that is closed with this.
pub(super) struct OpenKey(HKEY);

impl OpenKey {
    /// Takes over a key.
    ///
    /// # Safety
    /// It is open, for reading and writing of values, and nobody else closes it.
    pub(super) unsafe fn new(key: HKEY) -> Self {
        Self(key)
    }
}

impl Drop for OpenKey {
    fn drop(&mut self) {
        // SAFETY: the key is open and used no more.
        unsafe { RegCloseKey(self.0) };
    }
}

impl DriverKey for OpenKey {
    fn text(&self, below: &str, value: &str) -> Result<Option<String>, String> {
        text(self.0, below, value).map_err(|error| format!(r"{below}\{value} of the driver key: {error}"))
    }

    fn set_text(&self, value: &str, text: &str) -> Result<(), String> {
        let (name, units) = (wide(value), wide(text));
        let len = size_of_val(&units[..]) as u32;
        // SAFETY: the key is open; the name ends with NUL; the text is as long as is said, its NUL counted.
        let status = unsafe { RegSetValueExW(self.0, name.as_ptr(), 0, REG_SZ, units.as_ptr().cast(), len) };
        checked(status).map_err(|error| format!("{value} of the driver key: {error}"))
    }
}
