//! What a session is to be like: the device, the guest, the driver under test.

use crate::archive::Evidence;
use crate::build::{Artefact, Built, Driver};
use crate::guest;
use crate::pool::Pool;
use agent_protocol::DriverFile;
use anyhow::{Context, Result, bail};
use cancelnic_mutants::Mutant;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// What the frames leave into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Wire {
    /// Nothing comes back.
    Null,
    /// Every frame that leaves tx0 arrives at rx0.
    Loopback,
}

/// The device process's command line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    /// Entries of each virtqueue.
    pub queue_size: u16,
    /// Chains that the device fetches ahead.
    pub fifo_depth: u16,
    /// Link speed such as `1G`, or `unlimited`.
    pub speed: &'static str,
    /// Where frames go.
    pub wire: Wire,
    /// Whether the device has TX_CANCEL.
    pub tx_cancel: bool,
    /// Whether time at the device passes only on command.
    pub manual_clock: bool,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            queue_size: 1024,
            fifo_depth: 64,
            speed: "unlimited",
            wire: Wire::Loopback,
            tx_cancel: true,
            manual_clock: false,
        }
    }
}

impl Device {
    /// Its arguments, sockets and capture file aside.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = Vec::new();
        for (name, value) in [
            ("--queue-size", self.queue_size.to_string()),
            ("--fifo-depth", self.fifo_depth.to_string()),
            ("--speed", self.speed.to_owned()),
            ("--wire", if self.wire == Wire::Loopback { "loopback" } else { "null" }.to_owned()),
            ("--clock", if self.manual_clock { "manual" } else { "real" }.to_owned()),
        ] {
            arguments.extend([name.into(), value.into()]);
        }
        if !self.tx_cancel {
            arguments.push("--no-cancel".into());
        }
        arguments
    }
}

/// The guest's command line.
#[derive(Debug, Clone)]
pub struct Guest {
    /// Varies what Windows leaves open: order of resources, IRQL of callbacks, load address.
    pub seed: u64,
    /// Whether the guest follows the documentation where it differs from the source.
    pub as_documented: bool,
    /// Elements of each packet ring.
    pub ring: u32,
    /// Driver parameters, over those of the INF.
    pub parameters: BTreeMap<&'static str, u32>,
}

impl Default for Guest {
    fn default() -> Self {
        Self { seed: 1, as_documented: true, ring: 256, parameters: BTreeMap::new() }
    }
}

impl Guest {
    /// The kernel's command line.
    pub fn command_line(&self) -> String {
        let playing = if self.as_documented { "documented" } else { "source" };
        let mut line = format!("seed={} as={playing} ring={} verifier=1", self.seed, self.ring);
        for (name, value) in &self.parameters {
            line.push_str(&format!(" param.{name}={value}"));
        }
        line
    }
}

/// The files that take part.
#[derive(Debug, Clone)]
pub struct Files {
    /// The device process.
    pub device: PathBuf,
    /// The guest kernel.
    pub kernel: PathBuf,
    /// The drivers, that of the NIC first.
    pub drivers: Vec<DriverFiles>,
    /// Whether that one is another project's.
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
}

/// Name of the NIC's driver.
pub const NIC: &str = "cancelnic";

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
        }
    }
}

/// A whole session.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the session is for, in kebab case: a scenario's name.
    pub name: &'static str,
    /// Where the guest comes from.
    pub home: guest::Guest,
    /// The files that take part.
    pub files: Files,
    /// The device.
    pub device: Device,
    /// The guest.
    pub guest: Guest,
    /// The command line that does the run again; empty if there is none.
    pub command: String,
    /// Whether QEMU's gdb port is open, as the socket `gdb` in the session's folder.
    pub gdb: bool,
    /// Machines of the guest's image that run one scenario after another; without, each run starts one of its own.
    pub machines: Option<Arc<Pool>>,
    /// Whether the NIC's driver is its test build, for the test bench of requests.
    pub bench: bool,
    /// The fault that a test build is to show. The NIC's driver reads it as a parameter at its start; the others are
    /// told once they are loaded.
    pub mutant: Option<Mutant>,
    /// Where the logs are kept; without, they go with the session.
    pub evidence: Option<Evidence>,
}

impl Settings {
    /// The usual session with these files.
    pub fn new(files: Files) -> Self {
        let home = guest::Guest::Understudy;
        Self {
            name: "demo",
            home,
            files,
            device: Device::default(),
            guest: Guest::default(),
            command: String::new(),
            gdb: false,
            machines: None,
            bench: false,
            mutant: None,
            evidence: None,
        }
    }

    /// The guest kernel's command line.
    pub fn command_line(&self) -> String {
        let mut line = Guest { parameters: self.parameters(), ..self.guest.clone() }.command_line();
        if self.gdb {
            // Whoever steps through a callback is in it for longer than one may be.
            line.push_str(" callback=0");
        }
        line
    }

    /// The drivers' parameters, over those of the INF.
    pub fn parameters(&self) -> BTreeMap<&'static str, u32> {
        let mut parameters = self.guest.parameters.clone();
        if let Some(mutant) = self.mutant.filter(|mutant| mutant.driver() == NIC) {
            parameters.insert("Mutant", mutant.number());
        }
        parameters
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_reads_its_settings_from_one_line() {
        let guest = Guest {
            seed: 7,
            as_documented: false,
            ring: 64,
            parameters: BTreeMap::from([("Mutant", 2), ("WatchdogMs", 0)]),
        };
        assert_eq!(
            guest.command_line(),
            "seed=7 as=source ring=64 verifier=1 param.Mutant=2 param.WatchdogMs=0"
        );
    }

    #[test]
    fn a_guest_has_to_hold_the_rigs_own_drivers() {
        let image = Artefact::with_bytes("cancelnic.sys", b"this one");
        let (inf, symbols) = (PathBuf::new(), PathBuf::new());
        let drivers = vec![DriverFiles { name: NIC, image: image.clone(), inf, symbols }];
        let files = Files { device: PathBuf::new(), kernel: PathBuf::new(), drivers, foreign: false };
        let held = |file: &str, sha256: &str| DriverFile { file: file.into(), sha256: sha256.into() };
        files.check_held(&[held("CancelNic.sys", &image.sha256), held("other.sys", "1")]).unwrap();
        let another = files.check_held(&[held("cancelnic.sys", "12ab")]).unwrap_err().to_string();
        assert!(another.contains("another cancelnic.sys: SHA-256 12ab"), "{another}");
        let none = files.check_held(&[held("other.sys", &image.sha256)]).unwrap_err().to_string();
        assert_eq!(none, "the guest holds no cancelnic.sys");
    }

    #[test]
    fn a_device_without_cancel_is_told_so() {
        let device = Device { tx_cancel: false, ..Device::default() };
        assert!(device.arguments().contains(&"--no-cancel".into()));
        assert!(!Device::default().arguments().contains(&"--no-cancel".into()));
    }
}
