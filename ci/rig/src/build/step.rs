//! What every step of the build needs: its options, the targets, the writing of files.

use anyhow::Context as _;
use std::{fs, path::Path};

/// What to build.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    /// Build the drivers' test builds as well, which can show deliberate faults.
    pub(crate) test_builds: bool,
    /// Show cargo's own output.
    pub verbose: bool,
}

/// Bare-metal target of understudy.
pub(crate) const BARE_TARGET: &str = "x86_64-unknown-none";
/// Target of the drivers.
pub(crate) const DRIVER_TARGET: &str = "x86_64-pc-windows-msvc";

/// Target of the programs that firmware starts.
pub(crate) const FIRMWARE_TARGET: &str = "x86_64-unknown-uefi";

/// Copies a file, with its name in the error; leaves a copy that is the same already untouched.
pub(crate) fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    write_if_changed(to, &bytes).map(drop)
}

/// Writes `bytes` unless the file holds them already, so that cargo sees no change. True if written.
///
/// The file is replaced whole: a run beside this one may have the old one open, or mapped.
pub(crate) fn write_if_changed(path: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}.new", std::process::id()));
    fs::write(&new, bytes)
        .and_then(|()| fs::rename(&new, path))
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(true)
}
