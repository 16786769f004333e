//! A front end and a driver in one, without a virtual machine: guest memory in a memfd, split rings in
//! it, and vhost's `Frontend` for the messages that QEMU would send. Register numbers are written out
//! from the normative document, not taken from the crate that the daemon uses.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;

use vhost::vhost_user::message::{VhostUserConfigFlags, VhostUserHeaderFlag, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::process::until;

/// Entries of the test's rings.
pub(crate) const SIZE: u16 = 64;
/// Bytes of guest memory, from address 0 on.
pub(crate) const MEMORY: usize = 1 << 20;
/// Where a guest-physical address 0 seems to lie in the front end.
const USER: u64 = 0x7f00_0000_0000;

pub(crate) const RX: usize = 0;
pub(crate) const TX: usize = 1;

pub(crate) const TX_CMD: usize = 0x80;
pub(crate) const TX_STAT: usize = 0x84;
pub(crate) const RX_CMD: usize = 0xc0;
pub(crate) const RX_STAT: usize = 0xc4;
pub(crate) const CANCEL: u8 = 1;
pub(crate) const RESUME: u8 = 2;
pub(crate) const DRAIN: u8 = 3;
pub(crate) const RUNNING: u32 = 0;
pub(crate) const CANCELLING: u32 = 1;
pub(crate) const STOPPED: u32 = 3;
pub(crate) const TAKEN_BACK: u32 = 0x8000_0000;
pub(crate) const REFUSED: u32 = 0x8000_0001;

pub(crate) const VERSION_1: u64 = 1 << 32;
pub(crate) const EVENT_IDX: u64 = 1 << 29;
pub(crate) const INDIRECT: u64 = 1 << 28;
pub(crate) const PROTOCOL_FEATURES: u64 = 1 << 30;

const F_NEXT: u16 = 1;
const F_WRITE: u16 = 2;
const F_INDIRECT: u16 = 4;
pub(crate) const HEADER: u32 = 12;

/// A status word, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub seq: u8,
    pub state: u32,
    pub result: u32,
    pub count: u32,
}

/// The driver's side of one ring.
pub(crate) struct Ring {
    base: u64,
    next_avail: u16,
    last_used: u16,
    next_desc: u16,
    kick: EventFd,
    call: EventFd,
}

/// Where the queue's ring begins in the guest.
fn base_of(queue: usize) -> u64 {
    0x1000 + 0x4000 * queue as u64
}

impl Ring {
    fn new(index: usize) -> Ring {
        Ring {
            base: base_of(index),
            next_avail: 0,
            last_used: 0,
            next_desc: 0,
            kick: EventFd::new(EFD_NONBLOCK).unwrap(),
            call: EventFd::new(EFD_NONBLOCK).unwrap(),
        }
    }
    pub(crate) fn desc(&self) -> u64 {
        self.base
    }
    pub(crate) fn avail(&self) -> u64 {
        self.base + 0x1000
    }
    pub(crate) fn used(&self) -> u64 {
        self.base + 0x2000
    }
}

/// Guest and front end.
pub(crate) struct Guest {
    pub memory: GuestMemoryMmap<()>,
    pub frontend: Frontend,
    pub rings: [Ring; 2],
    /// QEMU's cached copy of the configuration space.
    config: Vec<u8>,
    seq: [u8; 2],
}

impl Guest {
    /// Connects and negotiates; the queues are not in service yet.
    pub(crate) fn connect(socket: &Path) -> Guest {
        Guest::with_features(socket, VERSION_1 | PROTOCOL_FEATURES)
    }

    pub(crate) fn with_features(socket: &Path, features: u64) -> Guest {
        let memfd = rustix::fs::memfd_create("guest", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let file = File::from(memfd);
        file.set_len(MEMORY as u64).unwrap();
        let memory = GuestMemoryMmap::from_ranges_with_files([(
            GuestAddress(0),
            MEMORY,
            Some(FileOffset::new(file, 0)),
        )])
        .unwrap();
        let mut frontend = Frontend::connect(socket, 2).unwrap();
        frontend.set_owner().unwrap();
        let offered = frontend.get_features().unwrap();
        assert_eq!(features & !offered, 0, "offered {offered:#x}");
        let protocol = frontend.get_protocol_features().unwrap();
        assert!(protocol.contains(VhostUserProtocolFeatures::CONFIG | VhostUserProtocolFeatures::REPLY_ACK));
        frontend.set_protocol_features(protocol).unwrap();
        frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
        frontend.set_features(features).unwrap();
        let mut guest = Guest {
            memory,
            frontend,
            rings: [Ring::new(RX), Ring::new(TX)],
            config: vec![0; 256],
            seq: [0; 2],
        };
        guest.share_memory();
        guest
    }

    /// Connects and puts both queues in service.
    pub(crate) fn start(socket: &Path) -> Guest {
        let mut guest = Guest::connect(socket);
        guest.enter(RX, 0);
        guest.enter(TX, 0);
        guest
    }

    /// A front end that has sent the first `steps` messages of a start.
    pub(crate) fn up_to(socket: &Path, steps: usize) -> Guest {
        let mut guest = Guest::connect(socket);
        for step in 0..steps {
            let queue = step % 2;
            match step / 2 {
                0 => guest.frontend.set_vring_num(queue, SIZE).unwrap(),
                1 => guest.frontend.set_vring_base(queue, 0).unwrap(),
                2 => guest.enter(queue, 0),
                3 => guest.transmit(step as u64, 4),
                4 => guest.post(2),
                _ => drop(guest.command(queue, CANCEL)),
            }
        }
        guest
    }

    /// Makes the queue's call eventfd one that a write would wait for.
    pub(crate) fn fill_call(&self, queue: usize) {
        let call = &self.rings[queue].call;
        call.write(u64::MAX - 1).unwrap();
        // SAFETY: the event is open as long as it is borrowed.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(std::os::fd::AsRawFd::as_raw_fd(call)) };
        rustix::fs::fcntl_setfl(fd, rustix::fs::OFlags::RDWR).unwrap();
    }

    fn share_memory(&mut self) {
        let region = self.memory.iter().next().unwrap();
        let mut info = VhostUserMemoryRegionInfo::from_guest_region(region).unwrap();
        info.userspace_addr = USER + region.start_addr().0;
        self.frontend.set_mem_table(&[info]).unwrap();
    }

    /// Where an honest driver has the queue's ring, in the front end's addresses.
    pub(crate) fn addresses(queue: usize) -> VringConfigData {
        let base = USER + base_of(queue);
        VringConfigData {
            queue_max_size: SIZE,
            queue_size: SIZE,
            flags: 0,
            desc_table_addr: base,
            used_ring_addr: base + 0x2000,
            avail_ring_addr: base + 0x1000,
            log_addr: None,
        }
    }

    /// The messages that QEMU sends when a queue starts.
    pub(crate) fn enter(&mut self, queue: usize, base: u16) {
        self.enter_with(queue, base, SIZE, &Guest::addresses(queue));
    }

    /// The same for a ring of any size and place.
    pub(crate) fn enter_with(&mut self, queue: usize, base: u16, size: u16, rings: &VringConfigData) {
        let ring = &self.rings[queue];
        self.frontend.set_vring_num(queue, size).unwrap();
        self.frontend.set_vring_base(queue, base).unwrap();
        self.frontend.set_vring_addr(queue, rings).unwrap();
        self.frontend.set_vring_kick(queue, &ring.kick).unwrap();
        self.frontend.set_vring_call(queue, &ring.call).unwrap();
        self.frontend.set_vring_enable(queue, true).unwrap();
    }

    /// The messages that QEMU sends when a queue stops; the base that came back.
    pub(crate) fn leave(&mut self, queue: usize) -> u16 {
        self.frontend.set_vring_enable(queue, false).unwrap();
        self.frontend.get_vring_base(queue).unwrap().try_into().unwrap()
    }

    /// The machine is paused and goes on.
    pub(crate) fn pause_and_resume(&mut self, queue: usize) -> u16 {
        let base = self.leave(queue);
        self.enter(queue, base);
        base
    }

    /// The guest's driver resets the device: rings start over, the old words are sent again.
    pub(crate) fn reset(&mut self, queue: usize) {
        self.leave(queue);
        let ring = &self.rings[queue];
        self.memory.write_slice(&[0; 0x3000], GuestAddress(ring.base)).unwrap();
        self.rings[queue] = Ring::new(queue);
        self.enter(queue, 0);
        let cached = self.config.clone();
        self.frontend.set_config(0, VhostUserConfigFlags::WRITABLE, &cached).unwrap();
    }

    /// Publishes a chain of `(address, length, device writes)` and gives its head.
    pub(crate) fn publish(&mut self, queue: usize, buffers: &[(u64, u32, bool)]) -> u16 {
        let (memory, ring) = (&self.memory, &mut self.rings[queue]);
        let head = ring.next_desc;
        for (i, (addr, len, write)) in buffers.iter().enumerate() {
            let at = ring.next_desc;
            ring.next_desc = (at + 1) % SIZE;
            let mut flags = if *write { F_WRITE } else { 0 };
            if i + 1 < buffers.len() {
                flags |= F_NEXT;
            }
            write_desc(memory, ring.desc() + 16 * u64::from(at), *addr, *len, flags, ring.next_desc);
        }
        self.publish_head(queue, head);
        head
    }

    /// Puts `head` into the available ring.
    pub(crate) fn publish_head(&mut self, queue: usize, head: u16) {
        let (memory, ring) = (&self.memory, &mut self.rings[queue]);
        let slot = ring.avail() + 4 + 2 * u64::from(ring.next_avail % SIZE);
        memory.write_obj(head.to_le(), GuestAddress(slot)).unwrap();
        ring.next_avail = ring.next_avail.wrapping_add(1);
        memory.store(ring.next_avail.to_le(), GuestAddress(ring.avail() + 2), Ordering::Release).unwrap();
    }

    /// Publishes numbered frames `first..first+count` as the contract lays them out, and rings the bell.
    pub(crate) fn transmit(&mut self, first: u64, count: u64) {
        for number in first..first + count {
            let slot = u64::from(self.rings[TX].next_desc / 2 % (SIZE / 2));
            let (header, frame) = (0x10000 + 0x1000 * slot, 0x10000 + 0x1000 * slot + 0x100);
            self.memory.write_slice(&[0; HEADER as usize], GuestAddress(header)).unwrap();
            self.memory.write_slice(&numbered(number, 100), GuestAddress(frame)).unwrap();
            self.publish(TX, &[(header, HEADER, false), (frame, 100, false)]);
        }
        self.kick(TX);
    }

    /// Publishes frame `number` through an indirect table (virtio 1.3 section 2.7.5.3).
    pub(crate) fn transmit_indirect(&mut self, number: u64) {
        let (header, frame, table) = (0x10000, 0x10100, 0x11000);
        self.memory.write_slice(&[0; HEADER as usize], GuestAddress(header)).unwrap();
        self.memory.write_slice(&numbered(number, 100), GuestAddress(frame)).unwrap();
        write_desc(&self.memory, table, header, HEADER, F_NEXT, 1);
        write_desc(&self.memory, table + 16, frame, 100, 0, 0);
        write_desc(&self.memory, self.rings[TX].desc(), table, 32, F_INDIRECT, 0);
        self.publish_head(TX, 0);
        self.kick(TX);
    }

    /// The driver wants no interrupts for used elements (VRING_AVAIL_F_NO_INTERRUPT).
    pub(crate) fn suppress_interrupts(&self, queue: usize) {
        self.memory.write_obj(1u16.to_le(), GuestAddress(self.rings[queue].avail())).unwrap();
    }

    /// Publishes `count` receive buffers of a header and 1514 bytes.
    pub(crate) fn post(&mut self, count: u64) {
        for _ in 0..count {
            let slot = u64::from(self.rings[RX].next_desc / 2 % (SIZE / 2));
            let buffer = 0x80000 + 0x1000 * slot;
            self.publish(RX, &[(buffer, HEADER, true), (buffer + 0x100, 1514, true)]);
        }
        self.kick(RX);
    }

    pub(crate) fn kick(&self, queue: usize) {
        self.rings[queue].kick.write(1).unwrap();
    }

    /// The used elements since the last time: (head, len).
    pub(crate) fn reap(&mut self, queue: usize) -> Vec<(u32, u32)> {
        let (memory, ring) = (&self.memory, &mut self.rings[queue]);
        let index: u16 = memory.load(GuestAddress(ring.used() + 2), Ordering::Acquire).unwrap();
        let mut found = Vec::new();
        while ring.last_used != u16::from_le(index) {
            let at = ring.used() + 4 + 8 * u64::from(ring.last_used % SIZE);
            let head: u32 = memory.read_obj(GuestAddress(at)).unwrap();
            let len: u32 = memory.read_obj(GuestAddress(at + 4)).unwrap();
            found.push((u32::from_le(head), u32::from_le(len)));
            ring.last_used = ring.last_used.wrapping_add(1);
        }
        found
    }

    /// The lengths of the used elements since the last time.
    pub(crate) fn lens(&mut self, queue: usize) -> Vec<u32> {
        self.reap(queue).into_iter().map(|(_, len)| len).collect()
    }

    /// Waits for the queue's call eventfd and takes its count.
    pub(crate) fn interrupt(&self, queue: usize) -> u64 {
        until("an interrupt", || self.rings[queue].call.read().ok())
    }

    /// Whether the call eventfd has been written since it was last read.
    pub(crate) fn interrupted(&self, queue: usize) -> bool {
        self.rings[queue].call.read().is_ok()
    }

    /// The whole space, as a 4-byte read through QEMU would fetch it.
    pub(crate) fn read_config(&mut self) -> Vec<u8> {
        let (_, bytes) = self.frontend.get_config(0, 256, VhostUserConfigFlags::empty(), &[0; 256]).unwrap();
        self.config.clone_from(&bytes);
        bytes
    }

    pub(crate) fn read32(&mut self, offset: usize) -> u32 {
        let bytes = self.read_config();
        u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
    }

    pub(crate) fn stat(&mut self, queue: usize) -> Stat {
        let word = self.read32(if queue == TX { TX_STAT } else { RX_STAT });
        Stat {
            seq: (word >> 24) as u8,
            state: word >> 20 & 15,
            result: word >> 16 & 15,
            count: word & 0xffff,
        }
    }

    /// Writes the whole space with one word changed, as QEMU does.
    pub(crate) fn write32(&mut self, offset: usize, word: u32) {
        self.config[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
        let blob = self.config.clone();
        self.frontend.set_config(0, VhostUserConfigFlags::WRITABLE, &blob).unwrap();
    }

    /// Gives the queue's next command; returns its SEQ.
    pub(crate) fn command(&mut self, queue: usize, op: u8) -> u8 {
        self.try_command(queue, op).unwrap()
    }

    /// The same if the device may be gone.
    pub(crate) fn try_command(&mut self, queue: usize, op: u8) -> vhost::Result<u8> {
        self.seq[queue] = self.seq[queue].wrapping_add(1);
        let seq = self.seq[queue];
        let offset = if queue == TX { TX_CMD } else { RX_CMD };
        let word = u32::from(seq) << 24 | u32::from(op) << 16;
        self.config[offset..offset + 4].copy_from_slice(&word.to_le_bytes());
        self.frontend.set_config(0, VhostUserConfigFlags::WRITABLE, &self.config)?;
        Ok(seq)
    }
}

fn write_desc(memory: &GuestMemoryMmap<()>, at: u64, addr: u64, len: u32, flags: u16, next: u16) {
    memory.write_obj(addr.to_le(), GuestAddress(at)).unwrap();
    memory.write_obj(len.to_le(), GuestAddress(at + 8)).unwrap();
    memory.write_obj(flags.to_le(), GuestAddress(at + 12)).unwrap();
    memory.write_obj(next.to_le(), GuestAddress(at + 14)).unwrap();
}

/// The project's numbered frame.
pub(crate) fn numbered(number: u64, len: usize) -> Vec<u8> {
    let nic = [0x52, 0x54, 0, 0x43, 0x4e, 1];
    numbered_frame::bytes(number, nic, numbered_frame::EVERYONE).take(len).collect()
}

/// The number of a numbered frame whose filler is right.
pub(crate) fn number_of(frame: &[u8]) -> u64 {
    numbered_frame::read(frame).unwrap().unwrap()
}
