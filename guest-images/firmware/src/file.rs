//! Files of a volume (13.4, 13.5), to be read whole.

use crate::memory::{MemoryType, Place, pages};
use crate::{Handle, Result, Status, check, protocol};
use core::ptr::{self, NonNull};
use uefi_raw::protocol::file_system::{FileAttribute, FileMode, FileProtocolV1, SimpleFileSystemProtocol};

/// Most UTF-16 units of a path, the zero behind them included.
const LONGEST: usize = 64;

/// An open file or folder.
#[derive(Debug)]
pub struct File(NonNull<FileProtocolV1>);

impl File {
    /// The root of the volume on a device.
    ///
    /// # Errors
    /// The firmware's: `UNSUPPORTED` if there is no file system.
    pub fn root(device: Handle) -> Result<Self> {
        // SAFETY: type and GUID belong together.
        let volume = unsafe { protocol::<SimpleFileSystemProtocol>(device, SimpleFileSystemProtocol::GUID) }?;
        let volume = volume.as_ptr();
        let mut root = ptr::null_mut();
        // SAFETY: the protocol is the firmware's, and the pointer is to a local.
        check(unsafe { ((*volume).open_volume)(volume, &mut root) })?;
        NonNull::new(root).map(Self).ok_or(Status::DEVICE_ERROR)
    }

    /// Opens a file below this folder, to be read.
    ///
    /// # Errors
    /// The firmware's; `BUFFER_TOO_SMALL` for a path of 64 units or more.
    pub fn open(&self, path: &str) -> Result<Self> {
        let mut name = [0; LONGEST];
        for (at, unit) in path.encode_utf16().enumerate() {
            *name[..LONGEST - 1].get_mut(at).ok_or(Status::BUFFER_TOO_SMALL)? = unit;
        }
        let (this, mut file) = (self.0.as_ptr(), ptr::null_mut());
        // SAFETY: this file is open; the name ends with a zero, and the other pointer is to a local.
        check(unsafe {
            ((*this).open)(this, &mut file, name.as_ptr(), FileMode::READ, FileAttribute::empty())
        })?;
        NonNull::new(file).map(Self).ok_or(Status::DEVICE_ERROR)
    }

    /// Reads the whole file into memory that is never given back.
    ///
    /// # Errors
    /// The firmware's: `UNSUPPORTED` for a folder, those of [`pages`]; `END_OF_FILE` if it ends before its size.
    pub fn read(self, place: Place) -> Result<&'static mut [u8]> {
        let (this, mut size) = (self.0.as_ptr(), 0);
        // SAFETY: this file is open, and the pointer is to a local. All ones stands for the file's end.
        unsafe {
            check(((*this).set_position)(this, u64::MAX))?;
            check(((*this).get_position)(this, &mut size))?;
            check(((*this).set_position)(this, 0))?;
        }
        let content = pages(place, MemoryType::LOADER_DATA, size as usize)?;
        let mut done = 0;
        while done < content.len() {
            let rest = &mut content[done..];
            let mut bytes = rest.len();
            // SAFETY: this file is open; the rest has room for that many bytes.
            check(unsafe { ((*this).read)(this, &mut bytes, rest.as_mut_ptr().cast()) })?;
            if bytes == 0 {
                return Err(Status::END_OF_FILE);
            }
            done += bytes;
        }
        Ok(content)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let this = self.0.as_ptr();
        // SAFETY: this file is open, and nobody has it after this. Closing cannot fail.
        let _ = unsafe { ((*this).close)(this) };
    }
}
