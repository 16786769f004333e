//! From descriptor chains, which the guest writes as it likes, to checked buffers. Work is bounded by the
//! ring's size; nothing here is believed before it was looked at.

use cancelnic_registers::NET_HEADER_SIZE;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

use crate::frame::Frame;

/// Most bytes that a transmit chain may have, header included.
const LONGEST_TX: usize = 65550;
/// Bytes of a descriptor.
const DESCRIPTOR: u32 = 16;

/// Why a chain is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// A loop, an index outside the table, a wrong indirect table, or more than 2^32 bytes.
    #[error("the chain does not end within the ring's size")]
    Endless,
    /// A descriptor of length 0 (virtio 1.3 section 2.7.5 allows none).
    #[error("a buffer has no byte")]
    ZeroLength,
    /// A device-writable buffer on transmit or a device-readable one on receive.
    #[error("a buffer has the wrong direction")]
    Direction,
    /// Outside guest memory.
    #[error("a buffer is outside guest memory")]
    Address,
    /// Longer than any frame.
    #[error("the chain has more than {LONGEST_TX} bytes")]
    TooLong,
    /// No frame fits, or there is none.
    #[error("the chain has too few bytes")]
    TooShort,
}

/// A ring's descriptor table, or an indirect one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Table {
    pub(crate) address: u64,
    pub(crate) entries: u16,
}

impl Table {
    /// The descriptor at `index`.
    fn read<M: GuestMemory>(self, memory: &M, index: u16) -> Result<Descriptor, Malformed> {
        let offset = u64::from(DESCRIPTOR).wrapping_mul(index.into());
        let address = self.address.checked_add(offset).filter(|_| index < self.entries);
        let address = address.ok_or(Malformed::Endless)?;
        memory.read_obj(GuestAddress(address)).map_err(|_| Malformed::Endless)
    }

    /// The table that `descriptor` refers to (virtio 1.3 section 2.7.5.3).
    fn indirect(descriptor: Descriptor) -> Result<Table, Malformed> {
        let entries = descriptor.len().checked_div(DESCRIPTOR).and_then(|count| u16::try_from(count).ok());
        match entries.filter(|_| descriptor.len().is_multiple_of(DESCRIPTOR)) {
            Some(entries) => Ok(Table { address: descriptor.addr().0, entries }),
            None => Err(Malformed::Endless),
        }
    }
}

/// A checked piece of guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    address: u64,
    len: usize,
}

/// The buffers of one chain, or the place for them: used for one chain after another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Buffers {
    segments: Vec<Segment>,
    len: usize,
}

impl Buffers {
    /// Walks the chain at `head` of the ring whose descriptors are `ring`. It must be `writable` (or readable)
    /// throughout. Adds the descriptors looked at to `walked`.
    fn walk<M: GuestMemory>(
        &mut self,
        memory: &M,
        ring: Table,
        head: u16,
        writable: bool,
        walked: &mut usize,
    ) -> Result<(), Malformed> {
        self.segments.clear();
        self.len = 0;
        let longest = if writable { u32::MAX as usize } else { LONGEST_TX };
        let (mut table, mut index, mut is_indirect) = (ring, head, false);
        for _ in 0..=ring.entries {
            *walked = walked.saturating_add(1);
            let descriptor = table.read(memory, index)?;
            if descriptor.refers_to_indirect_table() {
                if is_indirect {
                    return Err(Malformed::Endless);
                }
                (table, index, is_indirect) = (Table::indirect(descriptor)?, 0, true);
                continue;
            }
            if self.segments.len() >= ring.entries.into() {
                break;
            }
            if descriptor.is_write_only() != writable {
                return Err(Malformed::Direction);
            }
            let len = usize::try_from(descriptor.len()).map_err(|_| Malformed::TooLong)?;
            if len == 0 {
                return Err(Malformed::ZeroLength);
            }
            self.len = self.len.saturating_add(len);
            if self.len > longest {
                return Err(if writable { Malformed::Endless } else { Malformed::TooLong });
            }
            let address = descriptor.addr();
            // What is read is checked by that.
            if writable && !memory.check_range(address, len, Permissions::Write) {
                return Err(Malformed::Address);
            }
            self.segments.push(Segment { address: address.0, len });
            if !descriptor.has_next() {
                return Ok(());
            }
            index = descriptor.next();
        }
        Err(Malformed::Endless)
    }

    /// The buffers of the receive chain at `head`.
    pub(crate) fn walk_receive<M: GuestMemory>(
        &mut self,
        memory: &M,
        ring: Table,
        head: u16,
        walked: &mut usize,
    ) -> Result<(), Malformed> {
        self.walk(memory, ring, head, true, walked)?;
        if self.len < NET_HEADER_SIZE { Err(Malformed::TooShort) } else { Ok(()) }
    }

    /// Bytes in all.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Writes `bytes`, `skip` bytes into the buffers. What does not fit is a caller's mistake and is left
    /// out; an error is memory that has gone since.
    pub(crate) fn write<M: GuestMemory>(
        &self,
        memory: &M,
        skip: usize,
        bytes: &[u8],
    ) -> Result<(), Malformed> {
        let mut skip = skip;
        let mut rest = bytes;
        for segment in &self.segments {
            let Some(room) = segment.len.checked_sub(skip).filter(|room| *room > 0) else {
                skip = skip.saturating_sub(segment.len);
                continue;
            };
            let (now, later) = rest.split_at_checked(room).unwrap_or((rest, &[]));
            memory.write_slice(now, behind(segment.address, skip)?).map_err(|_| Malformed::Address)?;
            rest = later;
            skip = 0;
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }

    /// Reads the frame of the transmit chain at `head` into `frame`, without the header.
    pub(crate) fn read_frame<M: GuestMemory>(
        &mut self,
        memory: &M,
        ring: Table,
        head: u16,
        frame: &mut Frame,
        walked: &mut usize,
    ) -> Result<(), Malformed> {
        self.walk(memory, ring, head, false, walked)?;
        let Some(len) = self.len.checked_sub(NET_HEADER_SIZE).filter(|len| *len > 0) else {
            return Err(Malformed::TooShort);
        };
        let mut rest = frame.reshape(len);
        let mut header = NET_HEADER_SIZE;
        for Segment { address, len } in &self.segments {
            let skip = header.min(*len);
            header = header.saturating_sub(skip);
            // What is read is checked by that; the header is not read.
            if skip > 0 && !memory.check_range(GuestAddress(*address), skip, Permissions::Read) {
                return Err(Malformed::Address);
            }
            let (now, later) =
                std::mem::take(&mut rest).split_at_mut_checked(len.saturating_sub(skip)).unwrap_or_default();
            if !now.is_empty() {
                memory.read_slice(now, behind(*address, skip)?).map_err(|_| Malformed::Address)?;
            }
            rest = later;
        }
        Ok(())
    }
}

fn behind(address: u64, offset: usize) -> Result<GuestAddress, Malformed> {
    let offset = u64::try_from(offset).map_err(|_| Malformed::Address)?;
    address.checked_add(offset).map(GuestAddress).ok_or(Malformed::Address)
}
