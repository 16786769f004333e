//! Files that grow record by record while the device works: the capture and the trace. Whatever happens
//! to the process or to the disk, what is in the file is whole records.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use vmm_sys_util::signal::register_signal_handler;

/// A file of records, each written in one call.
pub(crate) struct Records {
    file: File,
    /// Bytes of the file that are whole records.
    end: u64,
    /// What the file ends with, behind the last record.
    tail: &'static [u8],
    buffer: Vec<u8>,
}

impl Records {
    /// Creates `path`, or empties it. Only plain files: writing to anything else, or opening it, can wait
    /// for somebody.
    pub(crate) fn create(path: &Path, tail: &'static [u8]) -> io::Result<Records> {
        let plain = |found: &Metadata| match found.is_file() {
            true => Ok(()),
            false => Err(io::Error::other("it is not a plain file")),
        };
        match std::fs::metadata(path) {
            Ok(found) => plain(&found)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).custom_flags(libc::O_NONBLOCK);
        let file = options.open(path)?;
        plain(&file.metadata()?)?;
        // A file that may not grow any more is a lost record, not the end of the process.
        register_signal_handler(libc::SIGXFSZ, go_on).map_err(io::Error::from)?;
        Ok(Records { file, end: 0, tail, buffer: Vec::new() })
    }

    /// Adds a record, or nothing.
    pub(crate) fn append(&mut self, record: &[u8]) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.extend_from_slice(record);
        self.buffer.extend_from_slice(self.tail);
        let written =
            self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.file.write_all(&self.buffer));
        match written {
            Ok(()) => self.end = self.end.saturating_add(record.len() as u64),
            // What of the record got into the file goes again: nobody could read past it.
            Err(_) => {
                self.file.set_len(self.end)?;
                self.file.seek(SeekFrom::Start(self.end))?;
                self.file.write_all(self.tail)?;
            }
        }
        written
    }
}

extern "C" fn go_on(_: libc::c_int, _: *mut libc::siginfo_t, _: *mut libc::c_void) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_ends_with_the_tail_after_every_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let mut records = Records::create(&path, b"]").unwrap();
        for (record, whole) in [("[1", "[1]"), (",2", "[1,2]"), (",3", "[1,2,3]")] {
            records.append(record.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), whole);
        }
    }

    #[test]
    fn folder_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert!(Records::create(dir.path(), b"").is_err());
    }
}
