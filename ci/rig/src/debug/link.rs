//! The ways of a Windows debugger to the target that need no network adapter: KD over a serial port, EXDI over gdb's
//! protocol. What to type on both sides.

use crate::kdnet;
use anyhow::Result;
use lab::base::failure::Usage;
use std::net::SocketAddr;
use std::path::Path;

/// Which way, and where QEMU waits for the debugger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// The kernel's own debugger, over COM1.
    Serial(SocketAddr),
    /// QEMU's, which Windows does not know of: WinDbg reaches it by EXDI.
    Gdb(SocketAddr),
}

/// ExdiGdbSrv.dll, WinDbg's client of gdb's protocol.
const EXDI: &str = "exdi:CLSID={29f9906e-9dbe-4d4b-b0fb-6acf7fb6d014},Kd=Guess,DataBreaks=Exdi";

impl Link {
    /// The one that the command line asks for; `None` is kdnet.
    ///
    /// # Errors
    /// [`Usage`]: the command line asks for something of kdnet's beside it.
    pub(super) fn chosen(
        serial: Option<SocketAddr>,
        gdb: Option<SocketAddr>,
        kdnet: &kdnet::Options,
    ) -> Result<Option<Self>> {
        let link = serial.map(Self::Serial).or(gdb.map(Self::Gdb));
        if link.is_some() && kdnet.concern_the_network() {
            let error = "--port, --key, --host-ip and --busparams are kdnet's, not of --serial and --gdb";
            return Err(Usage(error.into()).into());
        }
        Ok(link)
    }

    /// What to type and to paste on both sides. The PDB lies at `pdb` here; the debugger looks for it in `symbols`.
    pub(super) fn sheet(self, symbols: &str, pdb: &Path) -> String {
        let at = self.address();
        let (port, host) = (at.port(), host(at));
        let (target, connection, note) = match self {
            Self::Serial(_) => (
                "On the target, as administrator, Secure Boot off:\n  bcdedit /debug on\n  \
                 bcdedit /dbgsettings serial debugport:1 baudrate:115200\n  then restart it\n\
                 In QEMU, COM1 for the debugger, which may come and go:\n"
                    .to_owned()
                    + &format!(
                        "  -chardev socket,id=kd,host={},port={port},server=on,wait=off -serial chardev:kd\n",
                        at.ip()
                    ),
                format!("-k com:ipport={port},port={host}"),
                "With KD the machine goes on at a break, and the device with it.\n",
            ),
            Self::Gdb(_) => (
                format!(
                    "On the target: nothing.\nIn QEMU:\n  -gdb tcp:{at}\n\
                     On the debugger's machine, in the exdiConfigData.xml beside ExdiGdbSrv.dll: CurrentTarget=\"QEMU\", and for \
                     that target HostNameAndPort=\"{host}:{port}\"; then, in the prompt in which the debugger is started:\n  \
                     set EXDI_GDBSRV_XML_CONFIG_FILE=FOLDER\\exdiConfigData.xml\n  \
                     set EXDI_SYSTEM_REGISTERS_MAP_XML_FILE=FOLDER\\systemregisters.xml\n"
                ),
                format!("-v -kx {EXDI}"),
                "At a break the whole machine stops: the queues leave service, and what is on or off the wire completes.\n",
            ),
        };
        let pdb_state = if pdb.is_file() { "" } else { " (not there yet: cargo rig build)" };
        let attach = format!("{connection} -y \"srv*;{symbols}\"");
        let programs = ["windbg", "WinDbgX", "kd"].map(|program| format!("  {program} {attach}\n")).concat();
        format!(
            "{target}{}The debugger, one of:\n{programs}Symbols: copy {}{pdb_state} to {symbols} there\n\
             In the debugger:\n  .scriptload {symbols}\\cancelnic.js\n{note}",
            reach(at),
            pdb.display(),
        )
    }

    /// Where QEMU waits.
    pub(super) fn address(self) -> SocketAddr {
        let (Self::Serial(at) | Self::Gdb(at)) = self;
        at
    }
}

/// The host's name for the debugger.
fn host(at: SocketAddr) -> String {
    if at.ip().is_unspecified() { "THIS-MACHINE".into() } else { at.ip().to_string() }
}

/// How a debugger on another machine comes here.
fn reach(at: SocketAddr) -> String {
    let port = at.port();
    if at.ip().is_loopback() {
        format!(
            "A debugger on another machine comes through a tunnel, started there:\n  \
             ssh -N -L {port}:{at} USER@THIS-MACHINE\n"
        )
    } else {
        "Whoever reaches that port owns the target: keep it inside a network of your own.\n".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debug::Options;

    fn chosen(options: &Options) -> Result<Option<Link>> {
        Link::chosen(options.serial, options.gdb, &options.kdnet)
    }

    fn sheet(link: Link) -> String {
        link.sheet("D:\\pdb", Path::new("cancelnic.pdb"))
    }

    fn holds(sheet: &str, lines: &[&str]) {
        for line in lines {
            assert!(sheet.contains(line), "no {line:?} in:\n{sheet}");
        }
    }

    #[test]
    fn kd_over_com1_meets_qemu_at_its_port() {
        let sheet = sheet(Link::Serial(([127, 0, 0, 1], 50001).into()));
        holds(
            &sheet,
            &[
                "  bcdedit /dbgsettings serial debugport:1 baudrate:115200\n",
                "  -chardev socket,id=kd,host=127.0.0.1,port=50001,server=on,wait=off -serial chardev:kd\n",
                "  windbg -k com:ipport=50001,port=127.0.0.1 -y \"srv*;D:\\pdb\"\n",
                "  kd -k com:ipport=50001,port=127.0.0.1 -y \"srv*;D:\\pdb\"\n",
                "  ssh -N -L 50001:127.0.0.1:50001 USER@THIS-MACHINE\n",
            ],
        );
    }

    #[test]
    fn exdi_needs_nothing_of_the_target() {
        let sheet = sheet(Link::Gdb(([0, 0, 0, 0], 1234).into()));
        holds(
            &sheet,
            &[
                "On the target: nothing.\n",
                "  -gdb tcp:0.0.0.0:1234\n",
                "HostNameAndPort=\"THIS-MACHINE:1234\"",
                "  windbg -v -kx exdi:CLSID={29f9906e-9dbe-4d4b-b0fb-6acf7fb6d014},Kd=Guess,DataBreaks=Exdi -y ",
                "Whoever reaches that port owns the target",
            ],
        );
        assert!(!sheet.contains("bcdedit"), "{sheet}");
    }

    #[test]
    fn one_way_at_a_time() {
        let parse = |arguments: &[&str]| {
            #[derive(clap::Parser)]
            struct Line {
                #[command(flatten)]
                options: Options,
            }
            <Line as clap::Parser>::try_parse_from([&["debug", "--guest", "windows"], arguments].concat())
                .map(|line| line.options)
        };
        let usual = parse(&["--serial"]).unwrap();
        assert_eq!(chosen(&usual).unwrap(), Some(Link::Serial(([127, 0, 0, 1], 50001).into())));
        let named = parse(&["--gdb", "0.0.0.0:99"]).unwrap();
        assert_eq!(chosen(&named).unwrap(), Some(Link::Gdb(([0, 0, 0, 0], 99).into())));
        assert_eq!(chosen(&parse(&["--port", "50002"]).unwrap()).unwrap(), None);
        assert!(parse(&["--serial", "--gdb"]).is_err());
        assert!(parse(&["--serial", "--check"]).is_err());
        assert!(chosen(&parse(&["--serial", "--port", "50002"]).unwrap()).unwrap_err().is::<Usage>());
    }
}
