//! kdnet, Windows' debugger over UDP: what to type on both sides, and a doctor that listens in the debugger's place.
//!
//! The doctor never answers: a target that gets an answer changes its session key, and would then wait for a debugger
//! that has gone.

mod datagram;
mod doctor;
mod key;
mod setup;

pub(crate) use setup::{BusParams, Options};

use anyhow::{Context, Result};
use doctor::{Doctor, Finding};
use lab::machine::Place;
use lab::report::table::Style;
use setup::Setup;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

/// Largest datagram; kdnet's own end at about 4 kB.
const DATAGRAM: usize = 0x1_0000;

/// What to type on both sides, and where kdnet's adapter has to be.
pub(crate) fn sheet(options: &Options, pdb: &Path) -> Result<(String, Option<Place>)> {
    let setup = options.setup()?;
    Ok((setup.sheet(options.symbols(), pdb), setup.busparams.place()))
}

/// Listens in the debugger's place; `true` if a debugger could attach.
pub(crate) fn check(options: &Options, pdb: &Path) -> Result<bool> {
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
    use lab::base::failure::Usage;

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
        let place = "0.31.7".parse::<BusParams>().unwrap().place().unwrap();
        assert_eq!((place.0, place.1), (31, 7));
        for wrong in ["0.32.0", "0.0.8", "0.2", "0.2.0.0", "0:2.0", "0.a.0"] {
            assert!(wrong.parse::<BusParams>().is_err(), "{wrong}");
        }
    }
}
