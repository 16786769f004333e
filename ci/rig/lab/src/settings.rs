//! What a session is to be like: the device, the guest, the driver under test.

use crate::base::evidence::Evidence;
use crate::base::files::{Files, NIC};
use crate::guest::need::Need;
use crate::machine::Hardware;
use cancelnic_mutants::Mutant;
use std::collections::BTreeMap;
use std::ffi::OsString;

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

/// Understudy's command line: what its framework may choose, and its drivers' parameters.
#[derive(Debug, Clone)]
pub struct KernelOptions {
    /// Varies what Windows leaves open: order of resources, IRQL of callbacks, load address.
    pub seed: u64,
    /// Whether the guest follows the documentation where it differs from the source.
    pub as_documented: bool,
    /// Elements of each packet ring.
    pub ring: u32,
    /// Driver parameters, over those of the INF.
    pub parameters: BTreeMap<&'static str, u32>,
    /// Further words of its command line: another machine, or other levels of rules.
    pub words: Vec<String>,
}

impl Default for KernelOptions {
    fn default() -> Self {
        Self { seed: 1, as_documented: true, ring: 256, parameters: BTreeMap::new(), words: Vec::new() }
    }
}

impl KernelOptions {
    /// The kernel's command line.
    pub fn command_line(&self) -> String {
        let playing = if self.as_documented { "documented" } else { "source" };
        let mut line = format!("seed={} as={playing} ring={} verifier=1", self.seed, self.ring);
        for (name, value) in &self.parameters {
            line.push_str(&format!(" param.{name}={value}"));
        }
        for word in &self.words {
            line.push_str(&format!(" {word}"));
        }
        line
    }
}

/// A whole session.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What the session is for, in kebab case: a scenario's name.
    pub name: &'static str,
    /// The files that take part.
    pub files: Files,
    /// Which device the machine has.
    pub hardware: Hardware,
    /// How that is, where it is cancelnic's.
    pub device: Device,
    /// What the guest's kernel is told at its start.
    pub kernel: KernelOptions,
    /// The command line that does the run again; empty if there is none.
    pub command: String,
    /// Whether QEMU's gdb port is open, as the socket `gdb` in the session's folder.
    pub gdb: bool,
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
        Self {
            name: "demo",
            files,
            hardware: Hardware::default(),
            device: Device::default(),
            kernel: KernelOptions::default(),
            command: String::new(),
            gdb: false,
            bench: false,
            mutant: None,
            evidence: None,
        }
    }

    /// What it needs of its guest.
    pub fn needs(&self) -> Vec<Need> {
        let (kernel, usual) = (&self.kernel, KernelOptions::default());
        let mut needs = Vec::new();
        if kernel.parameters != usual.parameters {
            needs.push(Need::Parameters);
        }
        let kept = (kernel.ring, kernel.as_documented) == (usual.ring, usual.as_documented);
        if !kept || !kernel.words.is_empty() {
            needs.push(Need::Framework);
        }
        if self.mutant.is_some() || self.bench {
            needs.push(Need::TestBuild);
        }
        needs
    }

    /// The guest kernel's command line.
    pub fn command_line(&self) -> String {
        let mut line = KernelOptions { parameters: self.parameters(), ..self.kernel.clone() }.command_line();
        if self.gdb {
            // Whoever steps through a callback is in it for longer than one may be.
            line.push_str(" callback=0");
        }
        line
    }

    /// The drivers' parameters, over those of the INF.
    pub fn parameters(&self) -> BTreeMap<&'static str, u32> {
        let mut parameters = self.kernel.parameters.clone();
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
        let guest = KernelOptions {
            seed: 7,
            as_documented: false,
            ring: 64,
            parameters: BTreeMap::from([("Mutant", 2), ("WatchdogMs", 0)]),
            words: vec!["interrupt=line".into()],
        };
        assert_eq!(
            guest.command_line(),
            "seed=7 as=source ring=64 verifier=1 param.Mutant=2 param.WatchdogMs=0 interrupt=line"
        );
    }

    #[test]
    fn a_device_without_cancel_is_told_so() {
        let device = Device { tx_cancel: false, ..Device::default() };
        assert!(device.arguments().contains(&"--no-cancel".into()));
        assert!(!Device::default().arguments().contains(&"--no-cancel".into()));
    }

    #[test]
    fn settings_tell_what_they_need() {
        let mut settings = Settings::new(Files::none());
        assert_eq!(settings.needs(), []);
        settings.kernel.seed = 7;
        settings.kernel.parameters.insert("WatchdogMs", 0);
        settings.kernel.as_documented = false;
        assert_eq!(settings.needs(), [Need::Parameters, Need::Framework]);
    }
}
