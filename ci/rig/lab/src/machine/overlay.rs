//! A machine's own copy of an image: it writes into an overlay, and leaves the image as it was sealed.

use super::{Accelerator, Windows};
use crate::base::places::{self, Firmware};
use crate::machine::store::Image;
use crate::machine::store::manifest::Machine;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Disk, variables and firmware of a machine that starts from an image, and what it was made on.
#[derive(Debug)]
pub struct Overlay {
    folder: PathBuf,
    /// Holds what differs from the image's disk.
    disk: PathBuf,
    /// A copy of the image's.
    vars: PathBuf,
    firmware: Firmware,
    accelerator: Accelerator,
    made_on: Machine,
}

impl Overlay {
    /// Makes a fresh one in `folder`.
    ///
    /// # Errors
    /// The image's accelerator cannot be used here, or a file cannot be made.
    pub fn new(folder: &Path, image: &Image) -> Result<Self> {
        let made_on = image.manifest().description.settings.clone();
        let accelerator = Accelerator::chosen_or(&made_on.accel);
        accelerator.check()?;
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
        Ok(Self { folder: folder.to_path_buf(), disk, vars, firmware, accelerator, made_on })
    }

    /// The machine that the image was made on, with the NIC under test, and without anything for a debugger.
    pub fn machine(&self, queue_size: u16) -> Windows<'_> {
        Windows {
            folder: &self.folder,
            firmware: &self.firmware,
            vars: &self.vars,
            disk: &self.disk,
            discs: &[],
            memory: self.made_on.memory_mb << 20,
            processors: self.made_on.cpus,
            accelerator: self.accelerator.clone(),
            nic: Some(queue_size),
            debug_nic: None,
            debug_port: None,
            gdb: false,
        }
    }
}
