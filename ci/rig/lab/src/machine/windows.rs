//! The machine of a Windows guest: only what Windows has drivers for out of the box, each at an address of its own.

use super::{Accelerator, Line, value};
use crate::base::places::Firmware;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// A place on PCI bus 0: device and function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub u8, pub u8);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "bus=pcie.0,addr={:x}.{:x}", self.0, self.1)
    }
}

/// Where the devices are. kdnet's adapter has its place from the command line, `kdnet::Options`, below [`place::NIC`].
pub mod place {
    use super::Place;

    /// The screen.
    pub const VGA: Place = Place(1, 0);
    /// The USB controller, with a pointing device, so that a person can look around.
    pub const USB: Place = Place(3, 0);
    /// The NIC under test.
    pub const NIC: Place = Place(16, 0);
    /// The chipset's own AHCI controller; it cannot be moved.
    pub const AHCI: Place = Place(31, 2);
}

/// Enlightenments that Windows makes use of, whatever the processor. Each one's own conditions stand before it.
const ENLIGHTENMENTS: [&str; 12] = [
    "hv-relaxed",
    "hv-vapic",
    "hv-spinlocks=0x1fff",
    "hv-vpindex",
    "hv-runtime",
    "hv-time",
    "hv-synic",
    "hv-stimer",
    "hv-stimer-direct",
    "hv-frequencies",
    "hv-tlbflush",
    "hv-ipi",
];

/// With more than one processor, TCG's MWAIT returns at once, so that a processor that waits in it uses one of the host's
/// whole: edk2 leaves the others in MWAIT when boot services end. Half of what an image took (measured with QEMU 11.1).
/// Without the instruction, firmware and system use HLT.
const NO_MWAIT: &str = "monitor=off";

/// Any name but Microsoft's, under which kdnet would look for Hyper-V's own debugging device and stay silent.
const NOT_HYPER_V: &str = "hv-vendor-id=KVMKVMKVM";

/// A PC for Windows, or for the stand-in that boots from a disk as Windows does.
#[derive(Debug)]
pub struct Windows<'a> {
    /// Sockets and logs.
    pub folder: &'a Path,
    /// The firmware's code, which is shared.
    pub firmware: &'a Firmware,
    /// The firmware's variables, which this machine writes.
    pub vars: &'a Path,
    /// The disk, a qcow2 file, which this machine writes.
    pub disk: &'a Path,
    /// CDs, the one to boot from first.
    pub discs: &'a [PathBuf],
    /// RAM in bytes.
    pub memory: u64,
    /// Processors.
    pub processors: u32,
    /// How its instructions are carried out.
    pub accelerator: Accelerator,
    /// Entries of each virtqueue of the NIC under test; `None` leaves the NIC out.
    pub nic: Option<u16>,
    /// Where an e1000e is that belongs to kdnet alone, on a network that ends at this host.
    pub debug_nic: Option<Place>,
    /// Where a kernel debugger connects to COM1, over TCP; otherwise COM1's output goes to [`super::names::GUEST_LOG`].
    pub debug_port: Option<SocketAddr>,
    /// Whether QEMU serves gdb.
    pub gdb: bool,
}

/// What a person with a debugger can reach of a machine from elsewhere, over TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct Doors {
    /// QEMU's gdb server.
    pub gdb: Option<SocketAddr>,
    /// The screen, by VNC. Its ports begin at [`Doors::FIRST_SCREEN`].
    pub screen: Option<SocketAddr>,
}

impl Doors {
    /// Port of VNC's display 0.
    pub const FIRST_SCREEN: u16 = 5900;

    fn add_to(self, line: &mut Line) {
        if let Some(at) = self.gdb {
            line.add("-gdb", format!("tcp:{at}"));
        }
        if let Some(at) = self.screen {
            line.add("-vnc", format!("{}:{}", at.ip(), at.port().saturating_sub(Self::FIRST_SCREEN)));
        }
    }
}

impl Windows<'_> {
    /// [`Windows::arguments`], with doors for a person.
    pub fn arguments_with(&self, doors: Doors) -> Vec<OsString> {
        let mut line = Line(self.arguments());
        doors.add_to(&mut line);
        line.0
    }

    /// RAM in bytes, unless an image wants another amount.
    pub const MEMORY: u64 = 4 << 30;
    /// Processors, unless an image wants another number.
    pub const PROCESSORS: u32 = 2;

    /// What QEMU is to be started with.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut line = Line::default();
        line.add("-M", "q35,memory-backend=m0,hpet=off").add("-accel", self.accelerator.name());
        line.add("-cpu", self.processor()).add("-smp", self.processors.to_string());
        line.memory(self.memory).bare().add("-rtc", "base=localtime");
        // A bug check is reported, and the guest goes on: it writes its dump.
        line.add("-action", "panic=none");
        self.add_firmware(&mut line);
        self.add_drives(&mut line);
        line.add("-device", format!("VGA,{}", place::VGA));
        line.add("-device", format!("qemu-xhci,id=usb,{}", place::USB));
        line.add("-device", "usb-tablet,bus=usb.0");
        if let Some(queue_size) = self.nic {
            line.nic(self.folder, queue_size, Some(place::NIC));
        }
        if let Some(place) = self.debug_nic {
            // No option ROM: nobody boots over it.
            line.add("-netdev", "user,id=kd");
            line.add("-device", format!("e1000e,netdev=kd,romfile=,{place}"));
        }
        match self.debug_port {
            None => line.log(self.folder),
            Some(at) => line
                .add(
                    "-chardev",
                    format!("socket,id=log,host={},port={},server=on,wait=off", at.ip(), at.port()),
                )
                .add("-serial", "chardev:log"),
        };
        line.lines(self.folder);
        if self.gdb {
            line.gdb(self.folder);
        }
        line.0
    }

    /// No nested virtualisation: Windows would start a hypervisor of its own.
    fn processor(&self) -> String {
        let model = if self.accelerator.is_kvm() { "host" } else { "max" };
        let mut features = vec![model, "vmx=off", "svm=off"];
        features.extend(ENLIGHTENMENTS);
        if self.accelerator.is_kvm() {
            features.push("hv-crash");
        } else {
            features.push(NO_MWAIT);
        }
        if self.debug_nic.is_some() {
            features.push(NOT_HYPER_V);
        }
        features.join(",")
    }

    fn add_firmware(&self, line: &mut Line) {
        let flash = |file: &Path, more: &str| format!("if=pflash,format=raw,file={}{more}", value(file));
        line.add("-drive", flash(&self.firmware.code, ",readonly=on")).add("-drive", flash(self.vars, ""));
    }

    /// All on the AHCI controller; an empty disk falls through to the first disc, later starts never see it.
    fn add_drives(&self, line: &mut Line) {
        line.add("-drive", format!("if=none,id=disk,format=qcow2,discard=unmap,file={}", value(self.disk)));
        line.add("-device", "ide-hd,drive=disk,bus=ide.0,bootindex=0");
        for (disc, number) in self.discs.iter().zip(1_u32..) {
            line.add(
                "-drive",
                format!("if=none,id=disc{number},format=raw,media=cdrom,readonly=on,file={}", value(disc)),
            );
            line.add("-device", format!("ide-cd,drive=disc{number},bus=ide.{number},bootindex={number}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::text;
    use super::*;

    fn firmware() -> Firmware {
        Firmware { code: "/f/CODE.fd".into(), vars: "/f/VARS.fd".into() }
    }

    fn machine<'a>(firmware: &'a Firmware, accelerator: &str) -> Windows<'a> {
        Windows {
            folder: Path::new("/t"),
            firmware,
            vars: Path::new("/t/vars.fd"),
            disk: Path::new("/t/disk.qcow2"),
            discs: &[],
            memory: Windows::MEMORY,
            processors: Windows::PROCESSORS,
            accelerator: Accelerator(accelerator.into()),
            nic: Some(1024),
            debug_nic: None,
            debug_port: None,
            gdb: false,
        }
    }

    /// Where kdnet's adapter usually is.
    fn kdnet() -> Place {
        Place(2, 0)
    }

    /// Values of an option, in order.
    fn values(machine: &Windows<'_>, option: &str) -> Vec<String> {
        let line = text(&machine.arguments());
        let at = |index: &usize| line[*index] == option;
        (0..line.len()).filter(at).map(|index| line[index + 1].clone()).collect()
    }

    #[test]
    fn a_machine_for_a_run_in_one_piece() {
        let firmware = firmware();
        let seen = text(&machine(&firmware, "kvm").arguments()).join("|");
        let expected = "-M|q35,memory-backend=m0,hpet=off|-accel|kvm|-cpu|host,vmx=off,svm=off,hv-relaxed,hv-vapic,\
            hv-spinlocks=0x1fff,hv-vpindex,hv-runtime,hv-time,hv-synic,hv-stimer,hv-stimer-direct,hv-frequencies,\
            hv-tlbflush,hv-ipi,hv-crash|-smp|2|-m|4294967296B|-object|memory-backend-memfd,id=m0,size=4294967296,\
            share=on|-nodefaults|-no-user-config|-display|none|-rtc|base=localtime|-action|panic=none|-drive|\
            if=pflash,format=raw,file=/f/CODE.fd,readonly=on|-drive|if=pflash,format=raw,file=/t/vars.fd|-drive|\
            if=none,id=disk,format=qcow2,discard=unmap,file=/t/disk.qcow2|-device|\
            ide-hd,drive=disk,bus=ide.0,bootindex=0|-device|VGA,bus=pcie.0,addr=1.0|-device|\
            qemu-xhci,id=usb,bus=pcie.0,addr=3.0|-device|usb-tablet,bus=usb.0|-chardev|\
            socket,id=device,path=/t/device|-device|vhost-user-test-device-pci,chardev=device,virtio-id=1,num_vqs=2,\
            vq_size=1024,config_size=256,bus=pcie.0,addr=10.0|-chardev|file,id=log,path=/t/guest.log|-serial|\
            chardev:log|-chardev|socket,id=agent,path=/t/agent|-serial|chardev:agent|-chardev|\
            socket,id=monitor,path=/t/monitor|-qmp|chardev:monitor";
        assert_eq!(seen, expected);
    }

    #[test]
    fn crashes_are_told_by_msr_under_kvm_only() {
        let firmware = firmware();
        let processor = |accelerator| values(&machine(&firmware, accelerator), "-cpu").remove(0);
        assert!(processor("kvm").ends_with(",hv-crash"));
        assert!(!processor("tcg").contains("hv-crash") && processor("tcg").starts_with("max,"));
    }

    #[test]
    fn an_idle_processor_halts_instead_of_spinning_in_mwait_under_tcg_only() {
        let firmware = firmware();
        let processor = |accelerator| values(&machine(&firmware, accelerator), "-cpu").remove(0);
        assert!(processor("tcg").split(',').any(|feature| feature == "monitor=off"));
        assert!(!processor("kvm").contains("monitor"));
    }

    #[test]
    fn kdnet_finds_its_adapter_first_and_no_hyper_v() {
        let firmware = firmware();
        let place = kdnet();
        let machine = Windows { debug_nic: Some(place), ..machine(&firmware, "kvm") };
        assert!(values(&machine, "-cpu")[0].ends_with(",hv-vendor-id=KVMKVMKVM"));
        let devices = values(&machine, "-device");
        assert!(devices.contains(&"e1000e,netdev=kd,romfile=,bus=pcie.0,addr=2.0".into()), "{devices:?}");
        assert!(place < place::NIC);
    }

    #[test]
    fn the_disk_is_booted_before_the_discs() {
        let firmware = firmware();
        let discs = ["/i/install.iso".into(), "/i/answers.iso".into()];
        let machine = Windows { discs: &discs, nic: None, ..machine(&firmware, "kvm") };
        let drives = values(&machine, "-drive");
        assert!(drives[3].ends_with("media=cdrom,readonly=on,file=/i/install.iso"), "{drives:?}");
        let devices = values(&machine, "-device");
        assert_eq!(
            devices[..3],
            [
                "ide-hd,drive=disk,bus=ide.0,bootindex=0",
                "ide-cd,drive=disc1,bus=ide.1,bootindex=1",
                "ide-cd,drive=disc2,bus=ide.2,bootindex=2"
            ]
        );
        assert!(!devices.iter().any(|device| device.contains("vhost-user")), "{devices:?}");
    }

    #[test]
    fn com1_can_be_a_debuggers() {
        let firmware = firmware();
        let debug_port = Some(([127, 0, 0, 1], 5555).into());
        let chardevs = values(&Windows { debug_port, ..machine(&firmware, "kvm") }, "-chardev");
        assert!(
            chardevs.contains(&"socket,id=log,host=127.0.0.1,port=5555,server=on,wait=off".into()),
            "{chardevs:?}"
        );
    }

    #[test]
    fn a_person_comes_in_by_the_doors_that_are_open() {
        let firmware = firmware();
        let machine = machine(&firmware, "kvm");
        let here = |port| Some(([127, 0, 0, 1], port).into());
        let line = text(&machine.arguments_with(Doors { gdb: here(1234), screen: here(5907) }));
        assert_eq!(line[line.len() - 4..], ["-gdb", "tcp:127.0.0.1:1234", "-vnc", "127.0.0.1:7"]);
        assert_eq!(machine.arguments_with(Doors::default()), machine.arguments());
    }

    #[test]
    fn devices_have_places_of_their_own() {
        let mut places = vec![place::VGA, kdnet(), place::USB, place::NIC];
        places.push(place::AHCI);
        let before = places.clone();
        places.sort();
        places.dedup();
        assert_eq!(places, before);
    }
}
