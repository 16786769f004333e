//! From descriptor chains, which the guest writes as it likes, to checked buffers. Work is bounded by the
//! ring's size; nothing here is believed before it was looked at.

use cancelnic_registers::NET_HEADER_SIZE;
use virtio_queue::DescriptorChain;
use virtio_queue::desc::split::Descriptor;
use vm_memory::{Bytes, GuestAddress, GuestMemory, Permissions};

/// Most bytes that a transmit chain may have, header included.
const LONGEST_TX: usize = 65550;

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

/// A checked piece of guest memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    address: GuestAddress,
    len: usize,
}

/// The buffers of one chain, all in guest memory when looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buffers {
    segments: Vec<Segment>,
    len: usize,
}

impl Buffers {
    /// Walks `chain`, which must be `writable` (or readable) throughout, in a ring of `ring` entries.
    /// Adds the descriptors looked at to `walked`.
    fn walk<M: GuestMemory>(
        memory: &M,
        ring: u16,
        chain: DescriptorChain<&M>,
        writable: bool,
        longest: usize,
        walked: &mut usize,
    ) -> Result<Buffers, Malformed> {
        let access = if writable { Permissions::Write } else { Permissions::Read };
        let mut buffers = Buffers { segments: Vec::new(), len: 0 };
        // The iterator ends without a word at whatever it does not like: a chain that ends in a
        // descriptor with NEXT has not ended.
        let mut last: Option<Descriptor> = None;
        for descriptor in chain.take(usize::from(ring)) {
            *walked = walked.saturating_add(1);
            let len = usize::try_from(descriptor.len()).map_err(|_| Malformed::TooLong)?;
            if descriptor.is_write_only() != writable {
                return Err(Malformed::Direction);
            }
            if len == 0 {
                return Err(Malformed::ZeroLength);
            }
            buffers.len = buffers.len.checked_add(len).ok_or(Malformed::TooLong)?;
            if buffers.len > longest {
                return Err(Malformed::TooLong);
            }
            if !memory.check_range(descriptor.addr(), len, access) {
                return Err(Malformed::Address);
            }
            buffers.segments.push(Segment { address: descriptor.addr(), len });
            last = Some(descriptor);
        }
        match last {
            Some(last) if !last.has_next() => Ok(buffers),
            _ => Err(Malformed::Endless),
        }
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
            let offset = u64::try_from(skip).map_err(|_| Malformed::Address)?;
            let address = segment.address.0.checked_add(offset).ok_or(Malformed::Address)?;
            memory.write_slice(now, GuestAddress(address)).map_err(|_| Malformed::Address)?;
            rest = later;
            skip = 0;
            if rest.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

/// Reads the frame out of a transmit chain, without the header.
pub(crate) fn read_frame<M: GuestMemory>(
    memory: &M,
    ring: u16,
    chain: DescriptorChain<&M>,
    walked: &mut usize,
) -> Result<Vec<u8>, Malformed> {
    let buffers = Buffers::walk(memory, ring, chain, false, LONGEST_TX, walked)?;
    let Some(frame) = buffers.len.checked_sub(NET_HEADER_SIZE).filter(|len| *len > 0) else {
        return Err(Malformed::TooShort);
    };
    let mut bytes = Vec::with_capacity(frame);
    let mut header = NET_HEADER_SIZE;
    for Segment { address, len } in buffers.segments {
        let skip = len.min(header);
        header = header.saturating_sub(skip);
        let at = bytes.len();
        bytes.resize(at.saturating_add(len.saturating_sub(skip)), 0);
        let offset = u64::try_from(skip).map_err(|_| Malformed::Address)?;
        let address = address.0.checked_add(offset).ok_or(Malformed::Address)?;
        if let Some(part) = bytes.get_mut(at..).filter(|part| !part.is_empty()) {
            memory.read_slice(part, GuestAddress(address)).map_err(|_| Malformed::Address)?;
        }
    }
    Ok(bytes)
}

/// The buffers of a receive chain.
pub(crate) fn receive_buffers<M: GuestMemory>(
    memory: &M,
    ring: u16,
    chain: DescriptorChain<&M>,
    walked: &mut usize,
) -> Result<Buffers, Malformed> {
    let buffers = Buffers::walk(memory, ring, chain, true, usize::MAX, walked)?;
    if buffers.len < NET_HEADER_SIZE { Err(Malformed::TooShort) } else { Ok(buffers) }
}
