//! The configuration space: what the guest reads, and the commands in what it writes.
//!
//! Rules: REG3 to REG11 (`device/registers/README.md`).

use cancelnic_registers::{
    CAPS_OFFSET, Caps, CommandWord, Direction, ID, ID_OFFSET, QUEUES_OFFSET, QueueId, Queues,
    REVISION_OFFSET, Revision, SPACE_SIZE, next_seq,
};

use crate::{Rule, StatusRegister};

/// Where `status` of `virtio_net_config` is.
const STATUS_OFFSET: usize = 6;
/// Bytes of a register.
const WORD: usize = 4;

/// What `virtio_net_config` shows (virtio 1.3 section 5.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetConfig {
    /// The NIC's address.
    pub mac: [u8; 6],
    /// Bit 0 of `status`.
    pub link_up: bool,
    /// Largest payload, in bytes.
    pub mtu: u16,
    /// Mbit/s; all ones is unknown.
    pub speed: u32,
    /// Full duplex.
    pub full_duplex: bool,
}

/// What the guest's write to the configuration space holds.
#[must_use]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The commands found, which are taken by that: each must reach its queue's [`command`](crate::Queue::command), in
    /// this order.
    pub commands: Vec<Command>,
    /// What is wrong with the words; for the queues' judges.
    pub misuses: Vec<Misuse>,
}

/// A command that the guest has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// The queue that it is for.
    pub queue: QueueId,
    /// What was written.
    pub word: CommandWord,
}

/// A word in a command register that no driver should write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misuse {
    /// The queue whose register it is.
    pub queue: QueueId,
    /// What is wrong with it.
    pub rule: Rule,
}

/// The 256 bytes. Belongs to the connection: a device reset keeps it.
#[derive(Debug)]
pub struct ConfigSpace {
    fixed: [u8; SPACE_SIZE],
    registers: Vec<Registers>,
}

/// Command and status register of one queue.
#[derive(Debug)]
struct Registers {
    queue: QueueId,
    /// The last word seen in the command register.
    seen: [u8; WORD],
    /// SEQ of the last command taken.
    taken: u8,
    register: StatusRegister,
}

impl ConfigSpace {
    /// The space of a device that has these queues, which show their state in these registers.
    pub fn new(
        net: &NetConfig,
        caps: Caps,
        queues: impl IntoIterator<Item = (QueueId, StatusRegister)>,
    ) -> ConfigSpace {
        let registers: Vec<Registers> = queues
            .into_iter()
            .map(|(queue, register)| Registers { queue, seen: [0; WORD], taken: 0, register })
            .collect();
        let count = |direction| {
            let queues = registers.iter().filter(|registers| registers.queue.direction() == direction);
            u8::try_from(queues.count()).unwrap_or(u8::MAX)
        };
        let queues = Queues::new().with_tx(count(Direction::Tx)).with_rx(count(Direction::Rx));
        let pairs = u16::from(queues.tx().min(queues.rx()));
        let mut fixed = [0; SPACE_SIZE];
        put(&mut fixed, 0, &net.mac);
        put(&mut fixed, STATUS_OFFSET, &u16::from(net.link_up).to_le_bytes());
        put(&mut fixed, 8, &pairs.to_le_bytes());
        put(&mut fixed, 10, &net.mtu.to_le_bytes());
        put(&mut fixed, 12, &net.speed.to_le_bytes());
        put(&mut fixed, 16, &[u8::from(net.full_duplex)]);
        put(&mut fixed, ID_OFFSET, &ID.to_le_bytes());
        put(&mut fixed, REVISION_OFFSET, &Revision::CURRENT.into_bits().to_le_bytes());
        put(&mut fixed, CAPS_OFFSET, &caps.into_bits().to_le_bytes());
        put(&mut fixed, QUEUES_OFFSET, &queues.into_bits().to_le_bytes());
        ConfigSpace { fixed, registers }
    }

    /// Whether there is a link from now on: bit 0 of `status`. Returns whether that is a change.
    pub fn set_link(&mut self, up: bool) -> bool {
        let before = self.fixed;
        put(&mut self.fixed, STATUS_OFFSET, &u16::from(up).to_le_bytes());
        self.fixed != before
    }

    /// Whether there is a link.
    pub fn link_is_up(&self) -> bool {
        self.fixed.get(STATUS_OFFSET).is_some_and(|status| status & 1 != 0)
    }

    /// The space as it reads now. Changes nothing and takes no queue's lock.
    pub fn bytes(&self) -> [u8; SPACE_SIZE] {
        let mut bytes = self.fixed;
        for register in &self.registers {
            put(&mut bytes, register.queue.command_offset(), &register.seen);
            put(
                &mut bytes,
                register.queue.status_offset(),
                &register.register.read().into_bits().to_le_bytes(),
            );
        }
        bytes
    }

    /// `size` bytes from `offset`; zeros behind the end.
    pub fn read(&self, offset: u32, size: u32) -> Vec<u8> {
        let bytes = self.bytes();
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        // A front end asks for at most what the space has; any other gets no more than that either.
        let size = usize::try_from(size).unwrap_or(usize::MAX).min(SPACE_SIZE);
        bytes.into_iter().skip(offset).chain(std::iter::repeat(0)).take(size).collect()
    }

    /// The guest has written `bytes` at `offset`; or, with QEMU, some of them: the others are its cached
    /// copy. What is not in a command register changes nothing.
    pub fn write(&mut self, offset: u32, bytes: &[u8]) -> Written {
        let mut written = Written::default();
        if let Ok(offset) = usize::try_from(offset) {
            self.registers.iter_mut().for_each(|register| register.write(offset, bytes, &mut written));
        }
        written
    }
}

impl Registers {
    fn write(&mut self, offset: usize, bytes: &[u8], written: &mut Written) {
        let queue = self.queue;
        let mut word = self.seen;
        for (at, byte) in (queue.command_offset()..).zip(&mut word) {
            if let Some(written) = at.checked_sub(offset).and_then(|at| bytes.get(at)) {
                *byte = *written;
            }
        }
        if word == self.seen {
            return;
        }
        self.seen = word;
        let word = CommandWord::from_bits(u32::from_le_bytes(word));
        if word.op_bits() == 0 {
            return;
        }
        if word.seq() == self.taken {
            written.misuses.push(Misuse { queue, rule: Rule::CommandReused });
            return;
        }
        if word.seq() != next_seq(self.taken) {
            written.misuses.push(Misuse { queue, rule: Rule::SeqSkipped });
        }
        self.taken = word.seq();
        written.commands.push(Command { queue, word });
    }
}

fn put(space: &mut [u8; SPACE_SIZE], offset: usize, bytes: &[u8]) {
    for (place, byte) in space.iter_mut().skip(offset).zip(bytes) {
        *place = *byte;
    }
}
