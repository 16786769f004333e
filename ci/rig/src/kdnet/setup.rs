//! What target and debugger must agree on, and the command line's way to say it.

use super::key::{Key, KeyError};
use anyhow::{Context, Result};
use clap::Args;
use lab::base::failure::Usage;
use lab::machine::Place;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::str::FromStr;

/// Place of the network adapter that kdnet has for itself: bus, device, function, decimal as `bcdedit` wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BusParams(u8, u8, u8);

impl FromStr for BusParams {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<u8>> = text.split('.').map(|part| part.parse().ok()).collect();
        match numbers.as_deref() {
            Some(&[bus, device @ 0..=31, function @ 0..=7]) => Ok(Self(bus, device, function)),
            _ => Err("not bus.device.function in decimal, such as 0.2.0".into()),
        }
    }
}

impl BusParams {
    /// The same as a place on PCI bus 0, where QEMU's command line puts the adapter; `None` on another bus.
    pub(crate) fn place(self) -> Option<Place> {
        (self.0 == 0).then_some(Place(self.1, self.2))
    }
}

impl fmt::Display for BusParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

/// What the command line takes.
#[derive(Debug, Args)]
#[group(id = "kdnet")]
pub(crate) struct Options {
    /// UDP port of the debugger, one for each target [default: 50000]
    #[arg(long, value_parser = clap::value_parser!(u16).range(49152..))]
    port: Option<u16>,
    /// The key that target and debugger share: four numbers in base 36 with dots between [default: a new one]
    #[arg(long)]
    pub(super) key: Option<String>,
    /// Address of the debugger's machine as the target sees it [default: 10.0.2.2, QEMU's user network]
    #[arg(long, value_name = "ADDRESS")]
    host_ip: Option<IpAddr>,
    /// Where kdnet's own e1000e is on the target's PCI: bus.device.function, decimal [default: 0.2.0]
    #[arg(long, value_name = "B.D.F")]
    busparams: Option<BusParams>,
    /// Folder with cancelnic.pdb and cancelnic.js, as the debugger's machine sees it [default: C:\cancelnic]
    #[arg(long, value_name = "FOLDER")]
    symbols: Option<String>,
    /// How long --check listens at most
    #[arg(long, default_value_t = 15, value_name = "SECONDS")]
    pub(super) patience: u64,
}

impl Options {
    /// Whether anything was said that concerns a debugger on Windows alone.
    #[must_use]
    pub(crate) fn are_given(&self) -> bool {
        self.concern_the_network() || self.symbols.is_some()
    }

    /// Whether anything was said that concerns kdnet alone.
    #[must_use]
    pub(crate) fn concern_the_network(&self) -> bool {
        self.port.is_some() || self.key.is_some() || self.host_ip.is_some() || self.busparams.is_some()
    }

    /// Folder with the symbols, as the debugger's machine sees it.
    #[must_use]
    pub(crate) fn symbols(&self) -> &str {
        self.symbols.as_deref().unwrap_or("C:\\cancelnic")
    }

    pub(super) fn setup(&self) -> Result<Setup> {
        let key = match &self.key {
            Some(text) => text.parse().map_err(|error: KeyError| Usage(error.to_string()))?,
            None => Key::random().context("no random numbers for a key")?,
        };
        Ok(Setup {
            key,
            port: self.port.unwrap_or(50000),
            host_ip: self.host_ip.unwrap_or(Ipv4Addr::new(10, 0, 2, 2).into()),
            busparams: self.busparams.unwrap_or(BusParams(0, 2, 0)),
        })
    }
}

/// What target and debugger must agree on.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) key: Key,
    pub(super) port: u16,
    pub(super) host_ip: IpAddr,
    pub(super) busparams: BusParams,
}

impl Setup {
    /// Shows the target's set-up, there, as administrator.
    pub(super) const SHOW: &str = "bcdedit /dbgsettings";
    pub(super) const DEBUG_ON: &str = "bcdedit /debug on";
    pub(super) const COLD_BOOT: &str =
        "then shut the target down and start it anew (a restart keeps the old network path)";

    pub(super) fn dbgsettings(&self) -> String {
        let Self { key, port, host_ip, .. } = self;
        let host = if host_ip.is_ipv6() { "hostipv6" } else { "hostip" };
        format!("bcdedit /dbgsettings net {host}:{host_ip} port:{port} key:{key}")
    }

    pub(super) fn set_busparams(&self) -> String {
        format!("bcdedit /set \"{{dbgsettings}}\" busparams {}", self.busparams)
    }

    pub(super) fn firewall(&self) -> String {
        format!(
            "powershell New-NetFirewallRule -DisplayName kdnet-{0} -Direction Inbound -Protocol UDP -LocalPort {0} \
             -Action Allow",
            self.port
        )
    }

    /// What to type and to paste on both sides.
    pub(super) fn sheet(&self, symbols: &str, pdb: &Path) -> String {
        let Self { key, port, busparams, .. } = self;
        let attach = format!("-k net:port={port},key={key} -y \"srv*;{symbols}\"");
        let pdb_state = if pdb.is_file() { "" } else { " (not there yet: cargo rig build)" };
        format!(
            "On the target, as administrator, Secure Boot off:\n  {}\n  {}\n  {}\n  {}\n\
             In QEMU, an e1000e for kdnet alone, at that place, and no Hyper-V path:\n  \
             -netdev user,id=kd -device e1000e,netdev=kd,bus=pcie.0,addr={:x}.{:x} -cpu ...,hv-vendor-id=KVMKVMKVM\n\
             On the debugger's machine, once:\n  {}\n\
             The debugger, one of:\n  windbg {attach}\n  WinDbgX {attach}\n  kd {attach}\n\
             Symbols: copy {}{pdb_state} to {symbols} there\n\
             In the debugger:\n  .scriptload {symbols}\\cancelnic.js\n",
            Self::DEBUG_ON,
            self.dbgsettings(),
            self.set_busparams(),
            Self::COLD_BOOT,
            busparams.1,
            busparams.2,
            self.firewall(),
            pdb.display(),
        )
    }
}
