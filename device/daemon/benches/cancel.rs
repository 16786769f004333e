//! How long CANCEL takes, by the frames that wait: the guest's register write, from the front end's message to the device's
//! answer, when STATE reads STOPPED. Beside it, in turn, a write that is no command. One line of JSON for each row.
//!
//! `cargo bench -p vhost-device-cancelnic --bench cancel`; `-- --quick` for a few rounds. `cargo rig bench device` makes a
//! table of it.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cancelnic_registers::{CommandWord, Op, QueueId, State, StatusWord, TxOutcome};
use control_protocol::{Gate, GetQueue, Method, Queue, SetGate, rpc};
use serde_json::json;
use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserHeaderFlag};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

const RING: u16 = 1024;
/// Frames that the device fetches ahead of the wire.
const FIFO: u16 = 64;
const OCCUPANCIES: [u16; 6] = [0, 1, 16, 64, 256, 1024];
const LENGTHS: [u32; 2] = [64, 1500];
/// Parts of guest memory, and the distance between two frames.
const DESC: u64 = 0x1_0000;
const AVAIL: u64 = 0x2_0000;
const USED: u64 = 0x3_0000;
const FRAMES: u64 = 0x4_0000;
const STRIDE: u64 = 0x800;
const MEMORY: usize = (FRAMES + STRIDE * RING as u64) as usize;
/// Where the guest's address 0 seems to lie in the front end.
const USER: u64 = 0x7f00_0000_0000;
const HEADER: u32 = 12;
const TX: usize = 1;
const TX_CMD: usize = 0x80;
const TX_STAT: usize = 0x84;
/// VIRTIO_F_VERSION_1 and VHOST_USER_F_PROTOCOL_FEATURES.
const FEATURES: u64 = 1 << 32 | 1 << 30;

/// The device process, its front end and its driver.
struct Bench {
    device: Child,
    control: BufReader<UnixStream>,
    frontend: Frontend,
    memory: GuestMemoryMmap<()>,
    kick: EventFd,
    _call: EventFd,
    config: Vec<u8>,
    seq: u8,
    published: u16,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.device.kill();
        let _ = self.device.wait();
    }
}

impl Bench {
    fn start(folder: &Path, arguments: &[&str]) -> Bench {
        let (socket, control) = (folder.join("device"), folder.join("control"));
        let mut device = Command::new(env!("CARGO_BIN_EXE_vhost-device-cancelnic"))
            .arg("--socket-path")
            .arg(&socket)
            .arg("--control")
            .arg(&control)
            .args(["--log", "warn"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut greeting = String::new();
        BufReader::new(device.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
        assert!(greeting.starts_with("listening"), "{greeting}");
        let file = File::from(rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).unwrap());
        file.set_len(MEMORY as u64).unwrap();
        let region = (GuestAddress(0), MEMORY, Some(FileOffset::new(file, 0)));
        let memory = GuestMemoryMmap::from_ranges_with_files([region]).unwrap();
        let mut bench = Bench {
            device,
            control: BufReader::new(UnixStream::connect(control).unwrap()),
            frontend: Frontend::connect(socket, 2).unwrap(),
            memory,
            kick: EventFd::new(EFD_NONBLOCK).unwrap(),
            _call: EventFd::new(EFD_NONBLOCK).unwrap(),
            config: Vec::new(),
            seq: 0,
            published: 0,
        };
        bench.enter();
        bench
    }

    /// The messages that QEMU sends when the transmit queue starts.
    fn enter(&mut self) {
        let Bench { frontend, memory, kick, _call: call, .. } = self;
        frontend.set_owner().unwrap();
        frontend.get_features().unwrap();
        let protocol = frontend.get_protocol_features().unwrap();
        frontend.set_protocol_features(protocol).unwrap();
        frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
        frontend.set_features(FEATURES).unwrap();
        let mut info = VhostUserMemoryRegionInfo::from_guest_region(memory.iter().next().unwrap()).unwrap();
        info.userspace_addr = USER;
        frontend.set_mem_table(&[info]).unwrap();
        frontend.set_vring_num(TX, RING).unwrap();
        frontend.set_vring_base(TX, 0).unwrap();
        let rings = VringConfigData {
            queue_max_size: RING,
            queue_size: RING,
            flags: 0,
            desc_table_addr: USER + DESC,
            used_ring_addr: USER + USED,
            avail_ring_addr: USER + AVAIL,
            log_addr: None,
        };
        frontend.set_vring_addr(TX, &rings).unwrap();
        frontend.set_vring_kick(TX, kick).unwrap();
        frontend.set_vring_call(TX, call).unwrap();
        frontend.set_vring_enable(TX, true).unwrap();
        let gate = SetGate { queue: QueueId::TX0, gate: Gate::Wire, open: false };
        self.call(&gate);
        self.read_config();
    }

    fn call<M: Method>(&mut self, method: &M) -> M::Answer {
        self.control.get_mut().write_all(&rpc::request(1, method).unwrap()).unwrap();
        let mut line = String::new();
        self.control.read_line(&mut line).unwrap();
        rpc::result::<M>(1, &line).unwrap()
    }

    fn queue(&mut self) -> Queue {
        self.call(&GetQueue { queue: QueueId::TX0 })
    }

    fn read_config(&mut self) {
        let flags = VhostUserConfigFlags::empty();
        self.config = self.frontend.get_config(0, 256, flags, &[0; 256]).unwrap().1;
    }

    /// Publishes `count` frames of `len` bytes and waits until the device holds them.
    fn publish(&mut self, count: u16, len: u32) {
        for _ in 0..count {
            let slot = u64::from(self.published % RING);
            let at = FRAMES + STRIDE * slot;
            self.memory.write_slice(&[0; HEADER as usize], GuestAddress(at)).unwrap();
            self.memory.write_obj(at.to_le(), GuestAddress(DESC + 16 * slot)).unwrap();
            self.memory.write_obj((HEADER + len).to_le(), GuestAddress(DESC + 16 * slot + 8)).unwrap();
            self.memory.write_obj(0u32, GuestAddress(DESC + 16 * slot + 12)).unwrap();
            self.memory.write_obj((slot as u16).to_le(), GuestAddress(AVAIL + 4 + 2 * slot)).unwrap();
            self.published = self.published.wrapping_add(1);
        }
        self.memory.store(self.published.to_le(), GuestAddress(AVAIL + 2), Ordering::Release).unwrap();
        self.kick.write(1).unwrap();
        let held = (u64::from(count.min(FIFO)), u64::from(count.saturating_sub(FIFO)));
        let began = Instant::now();
        while {
            let queue = self.queue();
            (queue.fetched, queue.available) != held
        } {
            assert!(began.elapsed() < Duration::from_secs(20), "the device does not hold {held:?}");
        }
    }

    /// How long the write of the configuration space as it is now takes.
    fn write(&mut self) -> Duration {
        let began = Instant::now();
        self.frontend.set_config(0, VhostUserConfigFlags::WRITABLE, &self.config).unwrap();
        began.elapsed()
    }

    /// How long the command takes.
    fn command(&mut self, op: Op) -> Duration {
        self.seq = self.seq.wrapping_add(1);
        let word = CommandWord::command(self.seq, op).into_bits();
        self.config[TX_CMD..TX_CMD + 4].copy_from_slice(&word.to_le_bytes());
        self.write()
    }

    fn status(&mut self) -> StatusWord {
        self.read_config();
        let word: [u8; 4] = self.config[TX_STAT..TX_STAT + 4].try_into().unwrap();
        StatusWord::from_bits(u32::from_le_bytes(word))
    }

    /// One round: a bare write and a CANCEL of `count` frames that wait.
    fn round(&mut self, count: u16, len: u32) -> [Duration; 2] {
        self.publish(count, len);
        let bare = self.write();
        let cancel = self.command(Op::Cancel);
        let status = self.status();
        assert_eq!((status.state(), status.count()), (Some(State::Stopped), count));
        let index: u16 = self.memory.load(GuestAddress(USED + 2), Ordering::Acquire).unwrap();
        assert_eq!(u16::from_le(index), self.published);
        for before in 1..=count {
            let slot = u64::from(self.published.wrapping_sub(before) % RING);
            let len: u32 = self.memory.read_obj(GuestAddress(USED + 8 + 8 * slot)).unwrap();
            assert_eq!(u32::from_le(len), TxOutcome::TakenBack.used_len());
        }
        self.command(Op::Resume);
        [bare, cancel]
    }
}

/// The `hundredths` of the way through `times`, in microseconds.
fn percentile(times: &mut [Duration], hundredths: usize) -> f64 {
    times.sort_unstable();
    times[(times.len() - 1) * hundredths / 100].as_secs_f64() * 1e6
}

fn main() {
    let rounds = if std::env::args().any(|argument| argument == "--quick") { 5 } else { 200 };
    for judge in ["off", "on"] {
        for capture in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("capture.pcapng");
            let mut arguments = vec!["--judge", judge];
            if capture {
                arguments.extend(["--capture", file.to_str().unwrap()]);
            }
            let mut bench = Bench::start(folder.path(), &arguments);
            for len in LENGTHS {
                let mut times = OCCUPANCIES.map(|_| [Vec::new(), Vec::new()]);
                for _ in 0..rounds {
                    for (count, [bares, cancels]) in OCCUPANCIES.into_iter().zip(&mut times) {
                        let [bare, cancel] = bench.round(count, len);
                        bares.push(bare);
                        cancels.push(cancel);
                    }
                }
                for (count, [bares, cancels]) in OCCUPANCIES.into_iter().zip(&mut times) {
                    let row = json!({
                        "judge": judge == "on", "capture": capture, "len": len, "frames": count,
                        "bare_us": percentile(bares, 50),
                        "p50_us": percentile(cancels, 50), "p99_us": percentile(cancels, 99),
                    });
                    println!("{row}");
                }
            }
        }
    }
}
