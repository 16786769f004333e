//! What a build has made: files with their hashes.

use anyhow::{Context as _, Result};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::PathBuf;

/// One file that the build made.
#[derive(Clone, Debug)]
pub struct Artefact {
    /// Absolute path.
    pub path: PathBuf,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
}

impl Artefact {
    /// Hashes the file at `path`.
    pub fn of(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(Self::with_bytes(path, &bytes))
    }

    /// The file that `bytes` make at `path`.
    pub fn with_bytes(path: impl Into<PathBuf>, bytes: &[u8]) -> Self {
        Self { path: path.into(), sha256: hex::encode(Sha256::digest(bytes)) }
    }
}

/// A built driver.
#[derive(Clone, Debug)]
pub struct Driver {
    /// Its name without extension, such as `cancelnic`; also that of its service.
    pub name: &'static str,
    /// The `.sys` file.
    pub image: Artefact,
    /// Its PDB.
    pub symbols: Artefact,
    /// Its INF.
    pub inf: Artefact,
    /// The `.sys` file of the test build, if asked for.
    pub test_build: Option<Artefact>,
}

impl Driver {
    /// Every file, in the order in which it was built.
    pub fn files(&self) -> impl Iterator<Item = &Artefact> {
        [&self.image, &self.symbols, &self.inf].into_iter().chain(&self.test_build)
    }
}

/// Everything that a run needs.
#[derive(Clone, Debug)]
pub struct Built {
    /// The device process, `vhost-device-cancelnic`.
    pub device: Artefact,
    /// The stand-in kernel, an ELF image.
    pub understudy: Artefact,
    /// The drivers, that of the NIC first.
    pub drivers: Vec<Driver>,
}

impl Built {
    /// The driver called `name`.
    ///
    /// # Errors
    /// The workspace has no such driver.
    pub fn driver(&self, name: &str) -> Result<&Driver> {
        self.drivers
            .iter()
            .find(|driver| driver.name == name)
            .with_context(|| format!("there is no driver {name}"))
    }

    /// Every file, in the order in which it was built.
    pub fn files(&self) -> impl Iterator<Item = &Artefact> {
        [&self.device, &self.understudy].into_iter().chain(self.drivers.iter().flat_map(Driver::files))
    }
}
