//! kdnet, Windows' debugger over UDP: what to type on both sides, and a doctor that listens in the debugger's place.
//!
//! The doctor never answers: a target that gets an answer changes its session key, and would then wait for a debugger
//! that has gone.

mod datagram;
mod doctor;
mod key;

use crate::failure::Usage;
use crate::machine::Place;
use crate::report::table::Style;
use anyhow::{Context, Result};
use clap::Args;
use doctor::{Doctor, Finding};
use key::Key;
use std::collections::HashSet;
use std::fmt;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Largest datagram; kdnet's own end at about 4 kB.
const DATAGRAM: usize = 0x1_0000;

/// Place of the network adapter that kdnet has for itself: bus, device, function, decimal as `bcdedit` wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BusParams(u8, u8, u8);

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
    pub fn place(self) -> Option<Place> {
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
pub struct Options {
    /// UDP port of the debugger, one for each target [default: 50000]
    #[arg(long, value_parser = clap::value_parser!(u16).range(49152..))]
    port: Option<u16>,
    /// The key that target and debugger share: four numbers in base 36 with dots between [default: a new one]
    #[arg(long)]
    key: Option<String>,
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
    patience: u64,
}

impl Options {
    /// Whether anything was said that concerns a debugger on Windows alone.
    #[must_use]
    pub fn are_given(&self) -> bool {
        self.concern_the_network() || self.symbols.is_some()
    }

    /// Whether anything was said that concerns kdnet alone.
    #[must_use]
    pub fn concern_the_network(&self) -> bool {
        self.port.is_some() || self.key.is_some() || self.host_ip.is_some() || self.busparams.is_some()
    }

    /// Folder with the symbols, as the debugger's machine sees it.
    #[must_use]
    pub fn symbols(&self) -> &str {
        self.symbols.as_deref().unwrap_or("C:\\cancelnic")
    }

    fn setup(&self) -> Result<Setup> {
        let key = match &self.key {
            Some(text) => text.parse().map_err(|error: key::KeyError| Usage(error.to_string()))?,
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
struct Setup {
    key: Key,
    port: u16,
    host_ip: IpAddr,
    busparams: BusParams,
}

impl Setup {
    /// Shows the target's set-up, there, as administrator.
    const SHOW: &str = "bcdedit /dbgsettings";
    const DEBUG_ON: &str = "bcdedit /debug on";
    const COLD_BOOT: &str =
        "then shut the target down and start it anew (a restart keeps the old network path)";

    fn dbgsettings(&self) -> String {
        let Self { key, port, host_ip, .. } = self;
        let host = if host_ip.is_ipv6() { "hostipv6" } else { "hostip" };
        format!("bcdedit /dbgsettings net {host}:{host_ip} port:{port} key:{key}")
    }

    fn set_busparams(&self) -> String {
        format!("bcdedit /set \"{{dbgsettings}}\" busparams {}", self.busparams)
    }

    fn firewall(&self) -> String {
        format!(
            "powershell New-NetFirewallRule -DisplayName kdnet-{0} -Direction Inbound -Protocol UDP -LocalPort {0} \
             -Action Allow",
            self.port
        )
    }

    /// What to type and to paste on both sides.
    fn sheet(&self, symbols: &str, pdb: &Path) -> String {
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

/// What to type on both sides, and where kdnet's adapter has to be.
pub fn sheet(options: &Options, pdb: &Path) -> Result<(String, Option<Place>)> {
    let setup = options.setup()?;
    Ok((setup.sheet(options.symbols(), pdb), setup.busparams.place()))
}

/// Listens in the debugger's place; `true` if a debugger could attach.
pub fn check(options: &Options, pdb: &Path) -> Result<bool> {
    let setup = options.setup()?;
    let (sheet, sheet_key) = (setup.sheet(options.symbols(), pdb), setup.key.to_string());
    let limit = Duration::from_secs(options.patience);
    let any: IpAddr = if setup.host_ip.is_ipv6() {
        std::net::Ipv6Addr::UNSPECIFIED.into()
    } else {
        Ipv4Addr::UNSPECIFIED.into()
    };
    let socket = listen(SocketAddr::new(any, setup.port))?;
    println!("Listening at UDP port {} for at most {} s; answering nothing.", setup.port, limit.as_secs());
    let findings = listen_for(&socket, setup, limit, &mut |line| println!("{line}"))?;
    println!();
    let style = Style::of_stdout();
    for finding in &findings {
        print!("{}", lines(finding, style));
    }
    let good = findings.iter().all(|finding| finding.good);
    if !good {
        print!("\nThe whole set-up:\n{sheet}");
        if options.key.is_none() {
            println!("Then, on this machine:\n  cargo rig debug --guest windows --check --key {sheet_key}");
        }
    }
    Ok(good)
}

fn listen(address: SocketAddr) -> Result<UdpSocket> {
    UdpSocket::bind(address).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => anyhow::anyhow!(
            "UDP port {0} is taken: end the debugger that listens there (who: ss -lunp sport = :{0}), or name \
             another one here and on the target (--port)",
            address.port()
        ),
        _ => anyhow::Error::new(error).context(format!("cannot listen at UDP port {}", address.port())),
    })
}

/// Takes in what arrives until that is enough or `limit` is over. Tells each kind of datagram of each sender once.
fn listen_for(
    socket: &UdpSocket,
    setup: Setup,
    limit: Duration,
    tell: &mut dyn FnMut(String),
) -> Result<Vec<Finding>> {
    let started = Instant::now();
    let mut doctor = Doctor::new(setup);
    let mut told = HashSet::new();
    let mut datagram = vec![0; DATAGRAM];
    while !doctor.knows_enough() {
        let left = limit.saturating_sub(started.elapsed());
        if left.is_zero() {
            break;
        }
        socket.set_read_timeout(Some(left)).context("the UDP socket")?;
        match socket.recv_from(&mut datagram) {
            Ok((length, from)) => {
                let heard = doctor.hear(from, &datagram[..length]);
                if told.insert((from, heard.to_string())) {
                    tell(format!("{:8.3} s  {from}: {heard}", started.elapsed().as_secs_f64()));
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error).context("the UDP socket"),
        }
    }
    Ok(doctor.diagnosis())
}

fn lines(finding: &Finding, style: Style) -> String {
    let mark = if finding.good { style.good("ok  ") } else { style.bad("mend") };
    let mut text = format!("{mark}  {}\n", finding.what);
    for line in &finding.mend {
        text.push_str(&format!("      {line}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::datagram::made::poke;
    use super::*;

    fn options(arguments: &[&str]) -> Options {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            options: Options,
        }
        let line: Line = clap::Parser::parse_from([&["test"], arguments].concat());
        line.options
    }

    fn pair() -> (UdpSocket, UdpSocket) {
        let here = listen((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let target = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        target.connect(here.local_addr().unwrap()).unwrap();
        (here, target)
    }

    #[test]
    fn pokes_through_a_socket_end_the_wait() {
        let (here, target) = pair();
        let setup = options(&["--key", "1.2.3.4"]).setup().unwrap();
        for sequence in 1..=2 {
            target.send(&poke(&setup.key, sequence, 1, 0)).unwrap();
        }
        let mut told = Vec::new();
        let findings =
            listen_for(&here, setup, Duration::from_secs(600), &mut |line| told.push(line)).unwrap();
        assert!(findings.iter().all(|finding| finding.good), "{findings:?}");
        assert_eq!(told.len(), 1, "{told:?}");
    }

    #[test]
    fn silence_ends_with_the_patience() {
        let (here, _target) = pair();
        let setup = options(&[]).setup().unwrap();
        let findings = listen_for(&here, setup, Duration::from_millis(20), &mut |_| ()).unwrap();
        assert!(findings.iter().any(|finding| !finding.good));
    }

    #[test]
    fn a_taken_port_names_what_to_do() {
        let (here, _target) = pair();
        let error = listen(here.local_addr().unwrap()).unwrap_err().to_string();
        assert!(error.contains("--port"), "{error}");
    }

    #[test]
    fn the_sheet_has_one_line_for_each_debugger() {
        let options = options(&["--key", "1.2.3.4", "--port", "50001", "--busparams", "0.10.1"]);
        let sheet = options.setup().unwrap().sheet("D:\\pdb", Path::new("cancelnic.pdb"));
        for line in [
            "  windbg -k net:port=50001,key=1.2.3.4 -y \"srv*;D:\\pdb\"\n",
            "  WinDbgX -k net:port=50001,key=1.2.3.4 -y \"srv*;D:\\pdb\"\n",
            "  kd -k net:port=50001,key=1.2.3.4 -y \"srv*;D:\\pdb\"\n",
            "  bcdedit /set \"{dbgsettings}\" busparams 0.10.1\n",
            "addr=a.1",
        ] {
            assert!(sheet.contains(line), "no {line:?} in:\n{sheet}");
        }
    }

    #[test]
    fn a_bad_key_is_a_usage_error() {
        let error = options(&["--key", "1.2.3"]).setup().unwrap_err();
        assert!(error.is::<Usage>(), "{error:#}");
    }

    #[test]
    fn a_place_on_the_bus_is_decimal_and_within_pci() {
        assert_eq!("0.31.7".parse(), Ok(BusParams(0, 31, 7)));
        for wrong in ["0.32.0", "0.0.8", "0.2", "0.2.0.0", "0:2.0", "0.a.0"] {
            assert!(wrong.parse::<BusParams>().is_err(), "{wrong}");
        }
    }
}
