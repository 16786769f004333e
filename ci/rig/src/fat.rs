//! FAT file systems, which firmware starts from.

use std::io::{Cursor, Write as _};

use anyhow::{Context as _, Result};
use fatfs::{FileSystem, FormatVolumeOptions, FsOptions};

/// What UEFI starts on a volume that nobody says more of.
pub(crate) const BOOT_PROGRAM: &str = "EFI/BOOT/BOOTX64.EFI";

/// A volume of that many bytes with these files, by their paths.
///
/// # Errors
/// If they do not fit.
pub(crate) fn volume(size: usize, files: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut bytes = vec![0; size];
    fatfs::format_volume(Cursor::new(&mut bytes), FormatVolumeOptions::new())
        .context("formatting a FAT volume")?;
    let volume = FileSystem::new(Cursor::new(&mut bytes), FsOptions::new()).context("a new FAT volume")?;
    for (path, contents) in files {
        for (at, _) in path.match_indices('/') {
            volume.root_dir().create_dir(&path[..at]).with_context(|| (*path).to_owned())?;
        }
        let mut file = volume.root_dir().create_file(path).with_context(|| (*path).to_owned())?;
        file.write_all(contents).and_then(|()| file.flush()).with_context(|| (*path).to_owned())?;
    }
    volume.unmount().context("a FAT volume")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn files_that_do_not_fit_are_refused() {
        let error = volume(64 << 10, &[(BOOT_PROGRAM, &[0; 100_000])]).expect_err("too large");
        assert!(format!("{error:#}").contains(BOOT_PROGRAM), "{error:#}");
    }

    #[test]
    fn mtools_reads_a_volume() {
        let files: [(&str, &[u8]); 2] = [(BOOT_PROGRAM, &[0x5a; 70_000]), ("variant", b"asks")];
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), volume(1 << 20, &files).expect("a volume")).expect("a written file");
        for (path, contents) in files {
            let read = Command::new("mtools")
                .args(["-c", "mtype", "-i"])
                .arg(file.path())
                .arg(format!("::{path}"))
                .output();
            let read = match read {
                Ok(read) => read,
                Err(error) => {
                    assert!(std::env::var_os("CANCELNIC_JUDGES").is_none(), "mtools: {error}");
                    eprintln!("NOT TESTED: mtools: {error}; on Debian it is in the package of that name");
                    return;
                }
            };
            assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
            assert!(read.stdout == contents, "{path} differs");
        }
    }
}
