//! A transmit chain as a frame: its network header and its length against what was negotiated.

use cancelnic_registers::NET_HEADER_SIZE;
use virtio_bindings::bindings::virtio_net::VIRTIO_NET_F_MTU;
use virtio_bindings::bindings::virtio_ring::{VIRTIO_RING_F_INDIRECT_DESC, VRING_DESC_F_NEXT};
use vm_memory::{Bytes, GuestAddress, GuestMemory};

use super::Rule;
use super::view::Raw;

/// Destination, source and type.
const ETHERNET_HEADER: u64 = 14;
/// The bytes that an 802.1Q tag adds.
const TAG: u64 = 4;
/// The types of a tagged frame: of the customer's tag and of the provider's.
const TAGGED: [u16; 2] = [0x8100, 0x88a8];
/// Bytes that are looked at: both headers.
const LOOK: usize = NET_HEADER_SIZE + ETHERNET_HEADER as usize;

/// What the driver has accepted, as far as the judge's rules depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Negotiated {
    /// VIRTIO_F_INDIRECT_DESC.
    pub indirect: bool,
    /// The largest payload of a frame in bytes, with VIRTIO_NET_F_MTU.
    pub mtu: Option<u16>,
}

impl Negotiated {
    /// The feature bits `features` were accepted from a device that shows `mtu`.
    pub fn new(features: u64, mtu: u16) -> Negotiated {
        let has = |bit: u32| features & 1u64.checked_shl(bit).unwrap_or(0) != 0;
        Negotiated { indirect: has(VIRTIO_RING_F_INDIRECT_DESC), mtu: has(VIRTIO_NET_F_MTU).then_some(mtu) }
    }
}

/// The faults of the frame in the chain of `pieces`: of its header, and of its length. A chain that does not end is the
/// device's to refuse, and so is one without a byte of a frame.
pub(super) fn faults<'a, M: GuestMemory>(
    memory: &M,
    pieces: impl Iterator<Item = &'a Raw>,
    mtu: Option<u16>,
) -> [Option<Rule>; 2] {
    let mut bytes = [0; LOOK];
    let mut seen: usize = 0;
    let mut len: u64 = 0;
    let mut whole = false;
    for raw in pieces {
        let here = usize::try_from(raw.len).unwrap_or(usize::MAX).min(LOOK.saturating_sub(seen));
        let part = bytes.get_mut(seen..seen.saturating_add(here)).filter(|part| !part.is_empty());
        if part.is_some_and(|part| memory.read_slice(part, GuestAddress(raw.addr)).is_err()) {
            return [None; 2];
        }
        seen = seen.saturating_add(here);
        len = len.saturating_add(raw.len.into());
        whole = u32::from(raw.flags) & VRING_DESC_F_NEXT == 0;
    }
    if !whole || len <= NET_HEADER_SIZE as u64 {
        return [None; 2];
    }
    // The device offers no checksum and no segmentation: neither a flag nor a type can be negotiated.
    let [flags, gso_type, ..] = bytes;
    let header = (flags != 0 || gso_type != 0).then_some(Rule::HeaderInvalid);
    let frame = len.saturating_sub(NET_HEADER_SIZE as u64);
    let kind = u16::from_be_bytes([bytes[LOOK - 2], bytes[LOOK - 1]]);
    let longest = |mtu: u16| {
        let tag = if TAGGED.contains(&kind) { TAG } else { 0 };
        u64::from(mtu).saturating_add(ETHERNET_HEADER).saturating_add(tag)
    };
    let length = if frame < ETHERNET_HEADER {
        Some(Rule::FrameTooShort)
    } else {
        mtu.filter(|mtu| frame > longest(*mtu)).map(|_| Rule::FrameTooLong)
    };
    [header, length]
}
