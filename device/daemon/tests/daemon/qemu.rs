//! A real QEMU, where this machine has one, in front of the device: its guest is this test, which says over QEMU's qtest
//! protocol what a guest's processor would do. `ci/setup` gets QEMU; without one these tests look at nothing, and print that.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::guest::{CANCEL, RUNNING, RX_CMD, RX_STAT, STOPPED, TX_CMD, TX_STAT};
use crate::process::{BOUND, Daemon};

const PROGRAM: &str = "qemu-system-x86_64";
/// RAM in bytes, and where the rings of both queues are in it.
const MEMORY: u64 = 64 << 20;
const RINGS: [u64; 2] = [0x10_0000, 0x20_0000];
const SIZE: u16 = 64;
/// Where the NIC is on PCI bus 0, and where its registers are put.
const SLOT: u32 = 5;
const REGISTERS: u64 = 0xe000_0000;

/// QEMU: `$CANCELNIC_QEMU`, the unpacked one beside the build, or that of PATH.
pub(crate) fn program() -> Option<PathBuf> {
    let named = std::env::var_os("CANCELNIC_QEMU").filter(|named| !named.is_empty()).map(PathBuf::from);
    let target = Path::new(env!("CARGO_BIN_EXE_vhost-device-cancelnic")).ancestors().nth(2).unwrap();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = named
        .into_iter()
        .chain([target.join("qemu/bin").join(PROGRAM)])
        .chain(std::env::split_paths(&path).map(|folder| folder.join(PROGRAM)))
        .find(|program| program.is_file());
    if found.is_none() {
        eprintln!("not looked at: there is no QEMU (ci/setup gets one)");
    }
    found
}

/// A running QEMU. Killed when dropped.
pub(crate) struct Qemu(Child);

impl Qemu {
    /// Starts `program` without anything that is not in `arguments`.
    pub(crate) fn start(program: &Path, arguments: &[String]) -> Qemu {
        let mut command = Command::new(program);
        command.args(["-nodefaults", "-no-user-config", "-display", "none", "-accel", "qtest"]);
        Qemu(command.args(arguments).stdin(Stdio::null()).spawn().unwrap())
    }

    pub(crate) fn alive(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A virtual machine with the device in it.
struct Machine {
    qemu: Qemu,
    qtest: BufReader<UnixStream>,
    /// Common configuration and configuration space.
    common: u64,
    space: u64,
    seq: u8,
}

impl Machine {
    fn start(program: &Path, daemon: &Daemon) -> Machine {
        let socket = daemon.path("qtest");
        let listener = UnixListener::bind(&socket).unwrap();
        let arguments = [
            "-M".into(),
            "q35,memory-backend=ram".into(),
            "-m".into(),
            format!("{MEMORY}B"),
            "-object".into(),
            format!("memory-backend-memfd,id=ram,size={MEMORY},share=on"),
            "-chardev".into(),
            format!("socket,id=nic,path={}", daemon.socket().display()),
            "-device".into(),
            format!(
                "vhost-user-test-device-pci,chardev=nic,virtio-id=1,num_vqs=2,vq_size={SIZE},config_size=256,addr={SLOT}"
            ),
            "-qtest".into(),
            format!("unix:{}", socket.display()),
            "-qtest-log".into(),
            "none".into(),
        ];
        let qemu = Qemu::start(program, &arguments);
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        let mut machine = Machine { qemu, qtest: BufReader::new(stream), common: 0, space: 0, seq: 0 };
        machine.place_registers();
        machine
    }

    /// Carries out one command; the number that it answers with, if it does.
    fn ask(&mut self, command: &str) -> u64 {
        self.qtest.get_mut().write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut line = String::new();
        self.qtest.read_line(&mut line).unwrap();
        let mut words = line.split_whitespace();
        assert_eq!(words.next(), Some("OK"), "{command}: {line}");
        let number = words.next().unwrap_or("0");
        number.strip_prefix("0x").map_or(0, |digits| u64::from_str_radix(digits, 16).unwrap())
    }

    fn pci_read(&mut self, register: u32) -> u32 {
        self.ask(&format!("outl 0xcf8 {:#x}", 0x8000_0000 | SLOT << 11 | register));
        self.ask("inl 0xcfc") as u32
    }

    fn pci_write(&mut self, register: u32, value: u32) {
        self.ask(&format!("outl 0xcf8 {:#x}", 0x8000_0000 | SLOT << 11 | register));
        self.ask(&format!("outl 0xcfc {value:#x}"));
    }

    /// Finds the registers (virtio 1.3 section 4.1.4), and lets the device answer there.
    fn place_registers(&mut self) {
        assert_eq!(self.pci_read(0), 0x1041_1af4, "no virtio NIC");
        let mut at = self.pci_read(0x34) & 0xfc;
        while at != 0 {
            let head = self.pci_read(at);
            if head & 0xff == 9 {
                let bar = self.pci_read(at + 4) & 0xff;
                let address = REGISTERS + u64::from(self.pci_read(at + 8));
                match head >> 24 {
                    1 => self.common = address,
                    4 => self.space = address,
                    _ => {}
                }
                if matches!(head >> 24, 1 | 4) {
                    self.pci_write(0x10 + 4 * bar, REGISTERS as u32);
                    self.pci_write(0x14 + 4 * bar, 0);
                }
            }
            at = head >> 8 & 0xfc;
        }
        // memory and bus master
        self.pci_write(4, 6);
    }

    fn status(&mut self, status: u8) {
        self.ask(&format!("writeb {:#x} {status:#x}", self.common + 20));
    }

    /// The driver resets the device and starts it with both queues, the transmit queue's parts where `tx` has them.
    fn start_driver(&mut self, tx: [u64; 3], tx_size: u16) {
        let common = self.common;
        for status in [0, 1, 3] {
            self.status(status);
        }
        self.ask(&format!("writel {:#x} 1", common + 8));
        self.ask(&format!("writel {:#x} 1", common + 12));
        self.status(11);
        for (queue, parts, size) in [(0, parts(RINGS[0]), SIZE), (1, tx, tx_size)] {
            self.ask(&format!("writew {:#x} {queue}", common + 22));
            self.ask(&format!("writew {:#x} {size}", common + 24));
            for (offset, part) in [32, 40, 48].into_iter().zip(parts) {
                self.ask(&format!("writel {:#x} {:#x}", common + offset, part as u32));
                self.ask(&format!("writel {:#x} {:#x}", common + offset + 4, part >> 32));
            }
            self.ask(&format!("writew {:#x} 1", common + 28));
        }
        self.status(15);
    }

    /// RESULT and STATE after a CANCEL on the queue with these registers.
    fn cancel(&mut self, [command, stat]: [usize; 2]) -> (u64, u32) {
        self.seq += 1;
        let word = u32::from(self.seq) << 24 | u32::from(CANCEL) << 16;
        self.ask(&format!("writel {:#x} {word:#x}", self.space + command as u64));
        let word = self.ask(&format!("readl {:#x}", self.space + stat as u64));
        assert_eq!(word >> 24, u64::from(self.seq), "{word:#x}");
        (word >> 16 & 15, (word >> 20 & 15) as u32)
    }
}

/// Descriptor table, available ring and used ring of a ring there.
fn parts(ring: u64) -> [u64; 3] {
    [ring, ring + 0x1000, ring + 0x2000]
}

/// QEMU maps what it can of these, and hands the rest to the device as it is; the machine goes on either way.
#[test]
fn guest_that_misplaces_a_ring_under_qemu_breaks_that_queue_only() {
    let Some(program) = program() else { return };
    let mut daemon = Daemon::start(&[]);
    let mut machine = Machine::start(&program, &daemon);
    let good = parts(RINGS[1]);
    let [desc, avail, used] = good;
    for (tx, size) in [
        ([desc + 8, avail, used], SIZE),
        ([desc, avail + 1, used], SIZE),
        ([desc, avail, used + 2], SIZE),
        ([desc + MEMORY, avail, used], SIZE),
        ([desc, avail + MEMORY, used], SIZE),
        ([desc, avail, used + MEMORY], SIZE),
        ([desc, avail, 0xfee0_0000], SIZE),
        (good, 48),
    ] {
        eprintln!("{tx:x?} {size}");
        machine.start_driver(tx, size);
        assert_eq!(machine.cancel([TX_CMD, TX_STAT]), (5, RUNNING));
        machine.start_driver(good, SIZE);
        assert_eq!(machine.cancel([TX_CMD, TX_STAT]), (0, STOPPED));
        assert_eq!(machine.cancel([RX_CMD, RX_STAT]), (0, STOPPED));
        assert!(machine.qemu.alive() && daemon.alive());
    }
}
