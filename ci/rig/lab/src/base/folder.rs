//! Temporary folders that are gone when the rig is, and whose logs are kept first where somebody wants them.

use super::evidence::Evidence;
use super::failure::Machine;
use super::left::{left, remove};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// A temporary folder that goes with this value.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Where its logs are kept when it goes.
    kept_for: Option<Evidence>,
}

impl Folder {
    /// A new, empty folder that only this user can enter, with a path short enough for the sockets in it.
    ///
    /// # Errors
    /// [`Machine`]: there is no place for it.
    pub fn new() -> Result<Self> {
        let mut left = left();
        let folder = tempfile::Builder::new()
            .prefix("cancelnic-")
            .tempdir()
            .map_err(|error| {
                Machine(format!(
                    "cannot make a temporary folder: {error}; set TMPDIR to a folder that can be written"
                ))
            })?
            .keep();
        if folder.as_os_str().len() > 80 {
            remove(&folder);
            let folder = folder.display();
            let error = format!("{folder} is too long for the path of a socket: set TMPDIR to a shorter one");
            return Err(Machine(error).into());
        }
        left.folders.push(folder.clone());
        Ok(Self { path: folder, kept_for: None })
    }

    /// A new folder at this place, which may not be there yet.
    pub fn at(path: &Path) -> Result<Self> {
        let mut left = left();
        std::fs::create_dir(path).with_context(|| format!("cannot make {}", path.display()))?;
        left.folders.push(path.to_path_buf());
        Ok(Self { path: path.to_path_buf(), kept_for: None })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// When it goes, its logs are kept for this evidence, or for none.
    pub fn keep_for(&mut self, evidence: Option<Evidence>) {
        self.kept_for = evidence;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Some(evidence) = &self.kept_for {
            evidence.files(&self.path);
        }
        remove(&self.path);
        left().folders.retain(|folder| *folder != self.path);
    }
}
