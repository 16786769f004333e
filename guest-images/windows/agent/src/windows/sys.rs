//! What several callers of the system share.

use std::{
    io,
    os::windows::io::{FromRawHandle as _, OwnedHandle},
    ptr::null,
};

use windows_sys::{Win32::System::Threading::CreateEventW, core::BOOL};

/// What a call said that gives FALSE when it fails; to be looked at before any other call.
pub(super) fn checked(good: BOOL) -> io::Result<()> {
    if good == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A manual-reset event that is not set.
pub(super) fn event() -> io::Result<OwnedHandle> {
    // SAFETY: no attributes and no name.
    let handle = unsafe { CreateEventW(null(), 1, 0, null()) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was made here and is owned by nobody else.
    Ok(unsafe { OwnedHandle::from_raw_handle(handle) })
}
