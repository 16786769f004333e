//! A run's own copy of an image: it writes into an overlay, and leaves the image as it was sealed.

use crate::image::store::Image;
use crate::places::{self, Firmware};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Disk, variables and firmware of a machine that starts from an image.
#[derive(Debug)]
pub struct Overlay {
    /// Holds what differs from the image's disk.
    pub disk: PathBuf,
    /// A copy of the image's.
    pub vars: PathBuf,
    /// The firmware.
    pub firmware: Firmware,
}

impl Overlay {
    /// Makes a fresh one in `folder`.
    pub fn new(folder: &Path, image: &Image) -> Result<Self> {
        let firmware = places::ovmf()?;
        let (disk, vars) = (folder.join("disk.qcow2"), folder.join("vars.fd"));
        let mut create = Command::new(places::qemu_img()?);
        create.args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b"]).arg(image.disk()).arg(&disk);
        let created = create.output().context("starting qemu-img")?;
        ensure!(
            created.status.success(),
            "no overlay on {}: {}",
            image.disk().display(),
            String::from_utf8_lossy(&created.stderr).trim()
        );
        // Not a copy of the file: the image's is not to be written, and this one is.
        let content = std::fs::read(image.vars()).context("the image's firmware variables")?;
        std::fs::write(&vars, content).with_context(|| format!("cannot write {}", vars.display()))?;
        Ok(Self { disk, vars, firmware })
    }
}
