//! The configuration space: what the guest reads, and the commands in what it writes.
//!
//! Rules: REG3 to REG11 (`device/registers/README.md`).

use cancelnic_registers::{
    CAPS_OFFSET, Caps, CommandWord, Direction, ID, ID_OFFSET, QUEUES_OFFSET, QueueId, Queues,
    REVISION_OFFSET, Revision, SPACE_SIZE, next_seq,
};

use crate::{Rule, StatusRegister};

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

/// A command that the guest has written.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    /// Kind of the queue that it is for.
    pub direction: Direction,
    /// Number of that queue among those of its kind.
    pub pair: usize,
    /// What was written.
    pub word: CommandWord,
}

/// A word in a command register that no driver should write.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Misuse {
    /// Kind of the queue whose register it is.
    pub direction: Direction,
    /// Number of that queue among those of its kind.
    pub pair: usize,
    /// What is wrong with it.
    pub rule: Rule,
}

/// The 256 bytes. Belongs to the connection: a device reset keeps it.
#[derive(Debug)]
pub struct ConfigSpace {
    fixed: [u8; SPACE_SIZE],
    registers: Vec<Registers>,
    misuses: Vec<Misuse>,
}

/// Command and status register of one queue.
#[derive(Debug)]
struct Registers {
    direction: Direction,
    pair: usize,
    command: usize,
    status: usize,
    /// The last word seen in the command register.
    seen: [u8; WORD],
    /// SEQ of the last command taken.
    taken: u8,
    register: StatusRegister,
}

impl ConfigSpace {
    /// The space of a device whose queues show their state in `tx` and `rx`, in the order of their pairs
    /// (at most 8 each; more have no registers).
    pub fn new(net: &NetConfig, caps: Caps, tx: Vec<StatusRegister>, rx: Vec<StatusRegister>) -> ConfigSpace {
        let count = |registers: &[StatusRegister]| u8::try_from(registers.len()).unwrap_or(u8::MAX);
        let queues = Queues::new().with_tx(count(&tx)).with_rx(count(&rx));
        let pairs = u16::from(queues.tx().min(queues.rx()));
        let mut fixed = [0; SPACE_SIZE];
        put(&mut fixed, 0, &net.mac);
        put(&mut fixed, 6, &u16::from(net.link_up).to_le_bytes());
        put(&mut fixed, 8, &pairs.to_le_bytes());
        put(&mut fixed, 10, &net.mtu.to_le_bytes());
        put(&mut fixed, 12, &net.speed.to_le_bytes());
        put(&mut fixed, 16, &[u8::from(net.full_duplex)]);
        put(&mut fixed, ID_OFFSET, &ID.to_le_bytes());
        put(&mut fixed, REVISION_OFFSET, &Revision::CURRENT.into_bits().to_le_bytes());
        put(&mut fixed, CAPS_OFFSET, &caps.into_bits().to_le_bytes());
        put(&mut fixed, QUEUES_OFFSET, &queues.into_bits().to_le_bytes());
        let tx = tx.into_iter().enumerate().map(|(pair, register)| (Direction::Tx, pair, register));
        let rx = rx.into_iter().enumerate().map(|(pair, register)| (Direction::Rx, pair, register));
        let registers = tx.chain(rx).filter_map(|(direction, pair, register)| {
            let queue = QueueId::new(direction, u8::try_from(pair).ok()?)?;
            let (command, status) = (queue.command_offset(), queue.status_offset());
            Some(Registers { direction, pair, command, status, seen: [0; WORD], taken: 0, register })
        });
        ConfigSpace { fixed, registers: registers.collect(), misuses: Vec::new() }
    }

    /// The space as it reads now. Changes nothing and takes no queue's lock.
    pub fn bytes(&self) -> [u8; SPACE_SIZE] {
        let mut bytes = self.fixed;
        for register in &self.registers {
            put(&mut bytes, register.command, &register.seen);
            put(&mut bytes, register.status, &register.register.read().into_bits().to_le_bytes());
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
    /// copy. Gives the commands found, which are taken by that: each must reach its queue's `command`, in
    /// this order. What is not in a command register changes nothing.
    pub fn write(&mut self, offset: u32, bytes: &[u8]) -> Vec<Command> {
        let Ok(offset) = usize::try_from(offset) else { return Vec::new() };
        let misuses = &mut self.misuses;
        self.registers.iter_mut().filter_map(|register| register.write(offset, bytes, misuses)).collect()
    }

    /// What was wrong with the words written since the last call; for the queues' judges.
    pub fn misuses(&mut self) -> Vec<Misuse> {
        std::mem::take(&mut self.misuses)
    }
}

impl Registers {
    fn write(&mut self, offset: usize, bytes: &[u8], misuses: &mut Vec<Misuse>) -> Option<Command> {
        let mut word = self.seen;
        for (at, byte) in (self.command..).zip(&mut word) {
            if let Some(written) = at.checked_sub(offset).and_then(|at| bytes.get(at)) {
                *byte = *written;
            }
        }
        if word == self.seen {
            return None;
        }
        self.seen = word;
        let word = CommandWord::from_bits(u32::from_le_bytes(word));
        if word.op_bits() == 0 {
            return None;
        }
        let mut misuse = |rule| misuses.push(Misuse { direction: self.direction, pair: self.pair, rule });
        if word.seq() == self.taken {
            misuse(Rule::CommandReused);
            return None;
        }
        if word.seq() != next_seq(self.taken) {
            misuse(Rule::SeqSkipped);
        }
        self.taken = word.seq();
        Some(Command { direction: self.direction, pair: self.pair, word })
    }
}

fn put(space: &mut [u8; SPACE_SIZE], offset: usize, bytes: &[u8]) {
    for (place, byte) in space.iter_mut().skip(offset).zip(bytes) {
        *place = *byte;
    }
}
