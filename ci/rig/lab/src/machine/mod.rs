//! The virtual machines: the one place that writes a QEMU command line.
//!
//! There are two: [`Understudy`], whose kernel QEMU itself loads, and [`Windows`], a PC with firmware, disk and what
//! Windows has drivers for out of the box. Both keep their sockets and logs in one folder, under the names below, and
//! connect to a device process, an agent's line and a monitor that are listening there when QEMU starts.

mod hardware;
mod overlay;
pub mod qmp;
pub mod store;
mod windows;

pub use hardware::Hardware;
pub use overlay::Overlay;
pub use windows::{Doors, Place, Windows, place};

use crate::base::failure::SetupMissing;
use crate::base::places::QEMU_DEVICE;
use crate::base::process::Process;
use anyhow::Result;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, Stdio};

/// Names in a machine's folder.
pub mod names {
    /// Socket on which the device process serves QEMU.
    pub const DEVICE: &str = "device";
    /// Socket on which the rig waits for COM2, the agent's line.
    pub const AGENT: &str = "agent";
    /// Socket on which the rig waits for QEMU's monitor (QMP).
    pub const MONITOR: &str = "monitor";
    /// Socket on which QEMU serves gdb, where that is wanted.
    pub const GDB: &str = "gdb";
    /// What the guest writes to COM1.
    pub const GUEST_LOG: &str = "guest.log";
    /// Socket on which the rig waits for the wire of a network card of QEMU's.
    pub const WIRE: &str = "wire";
    /// QEMU's own error output.
    pub const QEMU_LOG: &str = "qemu.log";
}

/// Virtqueues of the NIC: rx0 and tx0. QEMU must offer as many as the device has.
const VIRTQUEUES: u32 = 2;
/// Bytes of the NIC's configuration space.
const CONFIG_SPACE: u32 = 256;

/// How the guest's instructions are carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accelerator(String);

impl Accelerator {
    /// The one that `CANCELNIC_ACCEL` names, else `usual`.
    pub fn chosen_or(usual: &str) -> Self {
        let named = std::env::var("CANCELNIC_ACCEL").ok().filter(|name| !name.is_empty());
        Self(named.unwrap_or_else(|| usual.into()))
    }

    /// Its name, as QEMU's.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether the host's processor runs the guest.
    pub fn is_kvm(&self) -> bool {
        self.0 == "kvm" || self.0.starts_with("kvm,")
    }

    /// Whether it was asked for by `CANCELNIC_ACCEL`.
    fn is_asked_for() -> bool {
        std::env::var_os("CANCELNIC_ACCEL").is_some_and(|name| !name.is_empty())
    }

    /// What may help where QEMU gives up; nothing where nobody has chosen.
    pub fn advice() -> Option<String> {
        let advice = || "without CANCELNIC_ACCEL QEMU runs understudy by TCG, which every host can: unset CANCELNIC_ACCEL";
        Self::is_asked_for().then(|| advice().to_owned())
    }

    fn kvm() -> std::io::Result<std::fs::File> {
        OpenOptions::new().read(true).write(true).open("/dev/kvm")
    }

    /// Fails in one line if `CANCELNIC_ACCEL` asks for KVM and this user cannot use that here.
    pub fn check_choice(&self) -> Result<(), SetupMissing> {
        match self.is_kvm().then(Self::kvm) {
            Some(Err(error)) => Err(SetupMissing::new(
                format!("KVM, which CANCELNIC_ACCEL asks for (/dev/kvm: {error})"),
                "unset CANCELNIC_ACCEL, which leaves the guest to TCG, or a host and a user that may use KVM",
            )),
            _ => Ok(()),
        }
    }

    /// Fails in one line if it is KVM and this user cannot use that here.
    pub fn check(&self) -> Result<(), SetupMissing> {
        match self.is_kvm().then(Self::kvm) {
            Some(Err(error)) => Err(SetupMissing::new(
                format!("KVM, which a Windows guest needs (/dev/kvm: {error})"),
                "a machine with virtualisation switched on, its module kvm_intel or kvm_amd loaded, and this user in \
                 the group kvm",
            )),
            _ => Ok(()),
        }
    }
}

/// The machine of the stand-in kernel: QEMU loads it and its bundle, and leaves when it says so.
#[derive(Debug)]
pub struct Understudy<'a> {
    /// Sockets, logs and `bundle.tar`.
    pub folder: &'a Path,
    /// The kernel's ELF file.
    pub kernel: &'a Path,
    /// The kernel's command line.
    pub command_line: String,
    /// The device that the drivers are for.
    pub hardware: &'a Hardware,
    /// Entries of each virtqueue of the NIC.
    pub queue_size: u16,
    /// Whether QEMU serves gdb.
    pub gdb: bool,
}

impl Understudy<'_> {
    /// RAM in bytes, from physical address 0 on.
    pub const MEMORY: u64 = 256 << 20;
    /// The kernel's drivers and settings, in the folder.
    pub const BUNDLE: &'static str = "bundle.tar";

    /// What QEMU is to be started with.
    pub fn arguments(&self) -> Vec<OsString> {
        let mut line = Line::default();
        line.add("-M", "q35,memory-backend=m0");
        line.add("-accel", Accelerator::chosen_or("tcg").name());
        line.add("-cpu", "max").add("-smp", "1");
        line.memory(Self::MEMORY).bare().flag("-no-reboot");
        line.plug(self.hardware, self.folder, self.queue_size);
        line.log(self.folder).lines(self.folder);
        line.add("-device", "isa-debug-exit,iobase=0xf4,iosize=0x04");
        line.add("-kernel", self.kernel).add("-initrd", self.folder.join(Self::BUNDLE));
        line.add("-append", &self.command_line);
        if self.gdb {
            line.gdb(self.folder);
        }
        line.0
    }
}

/// Starts QEMU; it has not connected to anything yet.
pub fn start(emulator: &Path, arguments: &[OsString], folder: &Path) -> Result<Process> {
    if !emulator.exists() {
        return Err(SetupMissing::new(emulator.display().to_string(), "ci/setup").into());
    }
    let mut command = Command::new(emulator);
    command.args(arguments).stdout(Stdio::null());
    Process::start("QEMU", command, folder.join(names::QEMU_LOG))
}

/// QEMU's arguments, as they grow.
#[derive(Debug, Default)]
struct Line(Vec<OsString>);

impl Line {
    fn flag(&mut self, option: &str) -> &mut Self {
        self.0.push(option.into());
        self
    }

    fn add(&mut self, option: &str, value: impl Into<OsString>) -> &mut Self {
        self.0.extend([option.into(), value.into()]);
        self
    }

    /// RAM that the device process can map.
    fn memory(&mut self, bytes: u64) -> &mut Self {
        self.add("-m", format!("{bytes}B"));
        self.add("-object", format!("memory-backend-memfd,id=m0,size={bytes},share=on"))
    }

    /// Nothing that is not named, and no window.
    fn bare(&mut self) -> &mut Self {
        self.flag("-nodefaults").flag("-no-user-config").add("-display", "none")
    }

    fn socket(&mut self, id: &str, path: &Path, more: &str) -> &mut Self {
        self.add("-chardev", format!("socket,id={id},path={}{more}", value(path)))
    }

    /// The NIC under test, at this place of PCI bus 0 or the next free one.
    fn nic(&mut self, folder: &Path, queue_size: u16, place: Option<Place>) -> &mut Self {
        self.socket("device", &folder.join(names::DEVICE), "");
        let place = place.map_or_else(String::new, |place| format!(",{place}"));
        self.add(
            "-device",
            format!(
                "{QEMU_DEVICE},chardev=device,virtio-id=1,num_vqs={VIRTQUEUES},vq_size={queue_size},\
                 config_size={CONFIG_SPACE}{place}"
            ),
        )
    }

    /// The device that the drivers are for.
    fn plug(&mut self, hardware: &Hardware, folder: &Path, queue_size: u16) {
        match hardware {
            Hardware::Cancelnic => drop(self.nic(folder, queue_size, None)),
            Hardware::Qemu { device, has_wire: true } => {
                let wire = value(&folder.join(names::WIRE));
                self.add("-netdev", format!("stream,id=wire,server=off,addr.type=unix,addr.path={wire}"));
                self.add("-device", format!("{device},netdev=wire"));
            }
            Hardware::Qemu { device, .. } => drop(self.add("-device", device)),
            Hardware::VhostUser { socket, virtio_id } => {
                self.socket("device", socket, "");
                self.add(
                    "-device",
                    format!(
                        "{QEMU_DEVICE},chardev=device,virtio-id={virtio_id},num_vqs={VIRTQUEUES},\
                         vq_size={queue_size},config_size={CONFIG_SPACE}"
                    ),
                );
            }
            Hardware::VfioUser(socket) => {
                let socket = serde_json::json!({ "type": "unix", "path": socket });
                let device = serde_json::json!({ "driver": "vfio-user-pci", "socket": socket });
                self.add("-device", device.to_string());
            }
            Hardware::None => {}
        }
    }

    /// COM1: a log.
    fn log(&mut self, folder: &Path) -> &mut Self {
        let path = folder.join(names::GUEST_LOG);
        self.add("-chardev", format!("file,id=log,path={}", value(&path))).add("-serial", "chardev:log")
    }

    /// COM2: the agent's; and the monitor.
    fn lines(&mut self, folder: &Path) -> &mut Self {
        self.socket("agent", &folder.join(names::AGENT), "").add("-serial", "chardev:agent");
        self.socket("monitor", &folder.join(names::MONITOR), "").add("-qmp", "chardev:monitor")
    }

    fn gdb(&mut self, folder: &Path) -> &mut Self {
        self.socket("gdb", &folder.join(names::GDB), ",server=on,wait=off").add("-gdb", "chardev:gdb")
    }
}

/// A path within a list of QEMU's options: a comma is written twice.
fn value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn text(arguments: &[OsString]) -> Vec<String> {
        arguments.iter().map(|argument| argument.to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn understudys_machine_is_the_one_that_its_facts_were_measured_on() {
        let machine = Understudy {
            folder: Path::new("/t"),
            kernel: Path::new("/k/understudy"),
            command_line: "seed=1 ring=256".into(),
            hardware: &Hardware::Cancelnic,
            queue_size: 1024,
            gdb: false,
        };
        let expected = "-M|q35,memory-backend=m0|-accel|tcg|-cpu|max|-smp|1|-m|268435456B|-object|\
            memory-backend-memfd,id=m0,size=268435456,share=on|-nodefaults|-no-user-config|-display|none|-no-reboot|\
            -chardev|socket,id=device,path=/t/device|-device|vhost-user-test-device-pci,chardev=device,virtio-id=1,\
            num_vqs=2,vq_size=1024,config_size=256|-chardev|file,id=log,path=/t/guest.log|-serial|chardev:log|\
            -chardev|socket,id=agent,path=/t/agent|-serial|chardev:agent|-chardev|socket,id=monitor,path=/t/monitor|\
            -qmp|chardev:monitor|-device|isa-debug-exit,iobase=0xf4,iosize=0x04|-kernel|/k/understudy|\
            -initrd|/t/bundle.tar|-append|seed=1 ring=256";
        let seen = text(&machine.arguments()).join("|");
        let accelerator = format!("-accel|{}|", Accelerator::chosen_or("tcg").name());
        assert_eq!(seen, expected.replace("-accel|tcg|", &accelerator));
    }

    #[test]
    fn each_device_is_plugged_in_as_qemu_takes_it() {
        let plugged = |hardware: Hardware| {
            let mut line = Line::default();
            line.plug(&hardware, Path::new("/t"), 256);
            text(&line.0).join("|")
        };
        assert_eq!(plugged(Hardware::None), "");
        let with = |has_wire| Hardware::Qemu { device: "e1000e".into(), has_wire };
        assert_eq!(plugged(with(false)), "-device|e1000e");
        assert_eq!(
            plugged(with(true)),
            "-netdev|stream,id=wire,server=off,addr.type=unix,addr.path=/t/wire|-device|e1000e,netdev=wire"
        );
        assert_eq!(
            plugged(Hardware::VfioUser("/s".into())),
            r#"-device|{"driver":"vfio-user-pci","socket":{"path":"/s","type":"unix"}}"#
        );
        let theirs = plugged(Hardware::VhostUser { socket: "/s".into(), virtio_id: 4 });
        assert!(theirs.starts_with("-chardev|socket,id=device,path=/s|-device|vhost-user-test-device-pci,"));
        assert!(theirs.contains(",virtio-id=4,"), "{theirs}");
    }

    #[test]
    fn a_comma_in_a_path_stays_in_the_path() {
        assert_eq!(value(Path::new("/a,b/c")), "/a,,b/c");
    }

    #[test]
    fn only_kvm_is_looked_for() {
        assert!(Accelerator("kvm,kernel-irqchip=split".into()).is_kvm());
        assert!(!Accelerator("tcg".into()).is_kvm());
        Accelerator("tcg".into()).check().unwrap();
    }
}
