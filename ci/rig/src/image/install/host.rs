//! What an installation needs of this host: memory and disk space.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};

use lab::base::failure::SetupMissing;

/// Memory that QEMU and the rest of the host need beside the guest's, bytes.
const OVERHEAD: u64 = 512 << 20;

/// Fails if a guest with that much memory would drive this host into swapping.
pub(super) fn require_memory(guest: u64) -> Result<()> {
    let told = fs::read_to_string("/proc/meminfo").context("/proc/meminfo")?;
    let available = available(&told).context("/proc/meminfo names no MemAvailable")?;
    enough_memory(available, guest).map_err(Into::into)
}

fn enough_memory(available: u64, guest: u64) -> Result<(), SetupMissing> {
    if available >= guest + OVERHEAD {
        return Ok(());
    }
    Err(SetupMissing::new(
        format!(
            "memory: the guest needs {}, this host has {}",
            gigabytes(guest + OVERHEAD),
            gigabytes(available)
        ),
        "ending other programs, or a smaller --memory",
    ))
}

/// Available memory in bytes, as Linux tells it.
fn available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// Fails if the file system of `folder`, which may not be there yet, has not that many bytes free.
pub(super) fn require_space(folder: &Path, needed: u64) -> Result<()> {
    let there = folder.ancestors().find(|folder| folder.exists()).unwrap_or(folder);
    let told = rustix::fs::statvfs(there).with_context(|| format!("{}", there.display()))?;
    enough_space(there, told.f_bavail * told.f_frsize, needed).map_err(Into::into)
}

fn enough_space(folder: &Path, free: u64, needed: u64) -> Result<(), SetupMissing> {
    if free >= needed {
        return Ok(());
    }
    Err(SetupMissing::new(
        format!("disk space: {} of {} in {}", gigabytes(needed), gigabytes(free), folder.display()),
        "removing files there, or a folder elsewhere with --images",
    ))
}

/// An amount for people.
pub(super) fn gigabytes(bytes: u64) -> String {
    format!("{:.1} GB", bytes as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linux_tells_kibibytes() {
        let told = "MemTotal:       32000000 kB\nMemAvailable:    2048 kB\nBuffers: 1 kB\n";
        assert_eq!(available(told), Some(2 << 20));
        assert_eq!(available("MemTotal: 1 kB\n"), None);
    }

    #[test]
    fn too_little_memory_is_one_line() {
        enough_memory(5 << 30, 4 << 30).expect("enough");
        let said = enough_memory(4 << 30, 4 << 30).expect_err("too little").to_string();
        assert!(said.contains("needs 4.8 GB, this host has 4.3 GB") && said.contains("--memory"), "{said}");
    }

    #[test]
    fn too_little_space_names_the_folder() {
        enough_space(Path::new("/images"), 10, 10).expect("enough");
        let said = enough_space(Path::new("/images"), 0, 20_000_000_000).expect_err("too little").to_string();
        assert!(said.contains("20.0 GB of 0.0 GB in /images") && said.contains("--images"), "{said}");
    }

    #[test]
    fn space_is_asked_of_the_folder_above_when_there_is_none_yet() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let deep = folder.path().join("not/yet");
        require_space(&deep, 1).expect("a byte");
        let error = require_space(&deep, u64::MAX).expect_err("no such disk");
        assert!(error.is::<SetupMissing>(), "{error:#}");
        assert!(!deep.exists());
    }
}
