//! The files that take part in a session: device process, kernel, the drivers under test.

use super::artefact::{Artefact, Built, Driver};
use agent_protocol::DriverFile;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use understudy_rules::inf::{self, Kind};

/// Name of the NIC's driver.
pub const NIC: &str = "cancelnic";

/// The files that take part.
#[derive(Debug, Clone)]
pub struct Files {
    /// The device process.
    pub device: PathBuf,
    /// The guest kernel.
    pub kernel: PathBuf,
    /// The drivers, that of the NIC first.
    pub drivers: Vec<DriverFiles>,
    /// Whether that one, or every one, is another project's.
    pub foreign: bool,
}

/// The files of a driver.
#[derive(Debug, Clone)]
pub struct DriverFiles {
    /// Its name without extension, as the guest knows it.
    pub name: &'static str,
    /// The `.sys` file.
    pub image: Artefact,
    /// Its INF.
    pub inf: PathBuf,
    /// Its symbols.
    pub symbols: PathBuf,
    /// What scenarios that take any driver do with it; `None`: it is there for others.
    pub subject: Option<Subject>,
}

/// A driver that is judged, as its INF describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// Name of its service.
    pub service: String,
    /// What it drives.
    pub kind: Kind,
    /// Whether that is a network adapter.
    pub net: bool,
}

impl Subject {
    /// What an INF says of its driver.
    ///
    /// # Errors
    /// One line.
    pub fn of(inf: &Path) -> Result<Self, String> {
        let bytes = std::fs::read(inf).map_err(|error| error.to_string())?;
        let package = inf::select(&bytes, None).map_err(|fault| fault.0)?;
        Ok(Self { service: package.service, kind: package.kind, net: package.net })
    }

    /// Whether it has a device.
    #[must_use]
    pub fn has_device(&self) -> bool {
        matches!(self.kind, Kind::Pci | Kind::Root)
    }
}

impl Files {
    /// What the build has made, with the drivers that ship.
    pub fn shipped(built: &Built) -> Self {
        Self {
            device: built.device.path.clone(),
            kernel: built.understudy.path.clone(),
            drivers: built.drivers.iter().map(DriverFiles::shipped).collect(),
            foreign: false,
        }
    }

    /// No files at all, for settings that nothing is started with.
    pub fn none() -> Self {
        Self { device: PathBuf::new(), kernel: PathBuf::new(), drivers: Vec::new(), foreign: false }
    }

    /// The archive with images and INFs that understudy takes its drivers from.
    pub fn bundle(&self) -> Result<Vec<u8>> {
        let mut bundle = tar::Builder::new(Vec::new());
        bundle.mode(tar::HeaderMode::Deterministic);
        for driver in &self.drivers {
            for (kind, file) in [("sys", &driver.image.path), ("inf", &driver.inf)] {
                bundle
                    .append_path_with_name(file, format!("{}.{kind}", driver.name))
                    .with_context(|| format!("cannot read {}", file.display()))?;
            }
        }
        bundle.into_inner().context("the guest's bundle")
    }

    /// The files of the driver called `name`.
    pub fn driver(&mut self, name: &str) -> Result<&mut DriverFiles> {
        self.drivers
            .iter_mut()
            .find(|driver| driver.name == name)
            .with_context(|| format!("the run has no driver {name}"))
    }

    /// Puts another project's driver in the place of the NIC's.
    ///
    /// # Errors
    /// There is no such place.
    pub fn take_over(&mut self, foreign: &DriverFiles) -> Result<()> {
        *self.driver(NIC)? = foreign.clone();
        self.foreign = true;
        Ok(())
    }

    /// Puts other projects' drivers in the place of all; of ours those stay that are named.
    ///
    /// # Errors
    /// One that is named is none of ours.
    pub fn give_way(&mut self, packages: &[DriverFiles], with: &[String]) -> Result<()> {
        let mut drivers = packages.to_vec();
        for name in with {
            drivers.push(DriverFiles { subject: None, ..self.driver(name)?.clone() });
        }
        self.drivers = drivers;
        self.foreign = true;
        Ok(())
    }

    /// The drivers that are judged.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.drivers.iter().filter_map(|driver| driver.subject.as_ref())
    }

    /// Fails unless the guest holds these drivers, as it told of them in its greeting.
    pub fn check_held(&self, held: &[DriverFile]) -> Result<()> {
        for driver in &self.drivers {
            let file = format!("{}.sys", driver.name);
            let ours = &driver.image.sha256;
            match held.iter().find(|held| held.file.eq_ignore_ascii_case(&file)) {
                Some(held) if held.sha256 == *ours => {}
                Some(held) => bail!("the guest holds another {file}: SHA-256 {}, ours {ours}", held.sha256),
                None => bail!("the guest holds no {file}"),
            }
        }
        Ok(())
    }
}

impl DriverFiles {
    fn shipped(driver: &Driver) -> Self {
        Self {
            name: driver.name,
            image: driver.image.clone(),
            inf: driver.inf.path.clone(),
            symbols: driver.symbols.path.clone(),
            subject: Subject::of(&driver.inf.path).ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_has_to_hold_the_rigs_own_drivers() {
        let image = Artefact::with_bytes("cancelnic.sys", b"this one");
        let (inf, symbols) = (PathBuf::new(), PathBuf::new());
        let drivers = vec![DriverFiles { name: NIC, image: image.clone(), inf, symbols, subject: None }];
        let files = Files { device: PathBuf::new(), kernel: PathBuf::new(), drivers, foreign: false };
        let held = |file: &str, sha256: &str| DriverFile { file: file.into(), sha256: sha256.into() };
        files.check_held(&[held("CancelNic.sys", &image.sha256), held("other.sys", "1")]).unwrap();
        let another = files.check_held(&[held("cancelnic.sys", "12ab")]).unwrap_err().to_string();
        assert!(another.contains("another cancelnic.sys: SHA-256 12ab"), "{another}");
        let none = files.check_held(&[held("other.sys", &image.sha256)]).unwrap_err().to_string();
        assert_eq!(none, "the guest holds no cancelnic.sys");
    }
}
