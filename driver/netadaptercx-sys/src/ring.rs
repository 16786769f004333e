//! Packet and fragment rings: the memory that the class extension and a client driver share.
//!
//! A ring's elements from BeginIndex up to EndIndex belong to the driver, the others to the
//! framework; one is always kept empty. EndIndex is the framework's to move and BeginIndex the
//! driver's, both only while no callback of the queue runs or inside one. NextIndex and every
//! `Scratch` are the driver's own. No framework type is used here.

use core::ffi::c_void;

use crate::assert_layout;

/// Words that belong to the framework.
#[repr(C)]
#[derive(Clone, Copy)]
pub union NET_RING_RESERVED {
    /// The framework's.
    pub OSReserved0: u32,
    /// The framework's.
    pub OSReserved2: [*mut c_void; 4],
}

/// A ring's header; the elements follow at [`NET_RING::Buffer`], which is longer than declared.
///
/// A pointer to an element must be derived from a pointer to the whole ring, never from a reference
/// to this structure, see [`NetRingGetElementAtIndex`].
#[repr(C, align(64))]
pub struct NET_RING {
    /// The framework's.
    pub OSReserved1: u16,
    /// Bytes from one element to the next.
    pub ElementStride: u16,
    /// Elements in the ring, a power of two.
    pub NumberOfElements: u32,
    /// NumberOfElements - 1.
    pub ElementIndexMask: u32,
    /// One behind the last element that the driver owns. Written by the framework.
    pub EndIndex: u32,
    /// The framework's.
    pub u: NET_RING_RESERVED,
    /// First element that the driver owns. Written by the driver; the framework sets 0 at start.
    pub BeginIndex: u32,
    /// The driver's own; the framework sets 0 at start.
    pub NextIndex: u32,
    /// The driver's own.
    pub Scratch: *mut c_void,
    /// First byte of the elements.
    pub Buffer: [u8; 1],
}
assert_layout!(NET_RING: 128 align 64 {
    OSReserved1 @ 0, ElementStride @ 2, NumberOfElements @ 4, ElementIndexMask @ 8, EndIndex @ 0xc,
    u @ 0x10, u.OSReserved0 @ 0x10, u.OSReserved2 @ 0x10, BeginIndex @ 0x30, NextIndex @ 0x34,
    Scratch @ 0x38, Buffer @ 0x40,
});

/// Number of rings in a collection; clients of version 2.0 use the first two.
pub const NET_RING_TYPE_COUNT: usize = 3;
/// Index of the packet ring in [`NET_RING_COLLECTION::Rings`].
pub const NetRingTypePacket: usize = 0;
/// Index of the fragment ring in [`NET_RING_COLLECTION::Rings`].
pub const NetRingTypeFragment: usize = 1;
/// Index of the data-buffer ring, present only where the driver attaches system buffers itself.
pub const NetRingTypeDataBuffer: usize = 2;

/// The rings of one packet queue.
#[repr(C)]
pub struct NET_RING_COLLECTION {
    /// By `NetRingType...`.
    pub Rings: [*mut NET_RING; NET_RING_TYPE_COUNT],
}
assert_layout!(NET_RING_COLLECTION: 24 align 8 { Rings @ 0 });

/// Address of element `Index` (taken modulo the ring's size).
///
/// # Safety
/// `Ring` points to a whole ring, header and elements, and may access all of it.
#[must_use]
pub const unsafe fn NetRingGetElementAtIndex(Ring: *mut NET_RING, Index: u32) -> *mut c_void {
    // SAFETY: the caller vouches for the ring's header.
    let stride = unsafe { (*Ring).ElementStride } as usize;
    // SAFETY: the caller vouches for the ring's header.
    let mask = unsafe { (*Ring).ElementIndexMask };
    // SAFETY: the caller vouches for the ring's header. The pointer keeps the whole ring's provenance.
    let first = unsafe { &raw mut (*Ring).Buffer }.cast::<u8>();
    // SAFETY: the masked index times the stride stays within the ring's elements.
    unsafe { first.add((Index & mask) as usize * stride) }.cast()
}

/// `from`, moved by `by` upwards, in a ring whose mask is `mask`.
#[must_use]
pub const fn NetRingAdvanceIndex(mask: u32, from: u32, by: u32) -> u32 {
    from.wrapping_add(by) & mask
}

/// Elements from `from` up to, not including, `to`, in a ring whose mask is `mask`.
#[must_use]
pub const fn NetRingGetRangeCount(mask: u32, from: u32, to: u32) -> u32 {
    to.wrapping_sub(from) & mask
}

/// Lengths and types of a frame's headers: 40 bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NET_PACKET_LAYOUT {
    /// The bit fields, as they lie in memory; use the methods.
    pub Bits: [u8; 5],
}
assert_layout!(NET_PACKET_LAYOUT: 5 align 1 { Bits @ 0 });

/// `Layer2Type`: not told; the framework parses the frame itself.
pub const NetPacketLayer2TypeUnspecified: u8 = 0;
/// `Layer2Type`: no layer 2 header.
pub const NetPacketLayer2TypeNull: u8 = 1;
/// `Layer2Type`: Ethernet.
pub const NetPacketLayer2TypeEthernet: u8 = 2;
/// `Layer2Type`: IEEE 802.11.
pub const NetPacketLayer2TypeIeee80211: u8 = 3;
/// `Layer3Type`: not told.
pub const NetPacketLayer3TypeUnspecified: u8 = 0;
/// `Layer3Type`: IPv4, options not looked for.
pub const NetPacketLayer3TypeIPv4UnspecifiedOptions: u8 = 1;
/// `Layer3Type`: IPv4 with options.
pub const NetPacketLayer3TypeIPv4WithOptions: u8 = 2;
/// `Layer3Type`: IPv4 without options.
pub const NetPacketLayer3TypeIPv4NoOptions: u8 = 3;
/// `Layer3Type`: IPv6, extensions not looked for.
pub const NetPacketLayer3TypeIPv6UnspecifiedExtensions: u8 = 4;
/// `Layer3Type`: IPv6 with extensions.
pub const NetPacketLayer3TypeIPv6WithExtensions: u8 = 5;
/// `Layer3Type`: IPv6 without extensions.
pub const NetPacketLayer3TypeIPv6NoExtensions: u8 = 6;
/// `Layer4Type`: not told.
pub const NetPacketLayer4TypeUnspecified: u8 = 0;
/// `Layer4Type`: TCP.
pub const NetPacketLayer4TypeTcp: u8 = 1;
/// `Layer4Type`: UDP.
pub const NetPacketLayer4TypeUdp: u8 = 2;
/// `Layer4Type`: a fragment of an IP datagram.
pub const NetPacketLayer4TypeIPFragment: u8 = 3;
/// `Layer4Type`: not a fragment, otherwise not told.
pub const NetPacketLayer4TypeIPNotFragment: u8 = 4;

impl NET_PACKET_LAYOUT {
    const fn lengths(self) -> u16 {
        u16::from_le_bytes([self.Bits[0], self.Bits[1]])
    }

    const fn set_lengths(&mut self, lengths: u16) {
        [self.Bits[0], self.Bits[1]] = lengths.to_le_bytes();
    }

    /// Length of the layer 2 header, 0..=127 bytes.
    #[must_use]
    pub const fn Layer2HeaderLength(self) -> u8 {
        (self.lengths() & 0x7f) as u8
    }

    /// See [`Self::Layer2HeaderLength`]; bits beyond the field are cut off.
    pub const fn set_Layer2HeaderLength(&mut self, length: u8) {
        self.set_lengths(self.lengths() & !0x7f | (length & 0x7f) as u16);
    }

    /// Length of the layer 3 header, 0..=511 bytes.
    #[must_use]
    pub const fn Layer3HeaderLength(self) -> u16 {
        self.lengths() >> 7
    }

    /// See [`Self::Layer3HeaderLength`]; bits beyond the field are cut off.
    pub const fn set_Layer3HeaderLength(&mut self, length: u16) {
        self.set_lengths(self.lengths() & 0x7f | length << 7);
    }

    /// Length of the layer 4 header, bytes.
    #[must_use]
    pub const fn Layer4HeaderLength(self) -> u8 {
        self.Bits[2]
    }

    /// See [`Self::Layer4HeaderLength`].
    pub const fn set_Layer4HeaderLength(&mut self, length: u8) {
        self.Bits[2] = length;
    }

    /// One of `NetPacketLayer2Type...`.
    #[must_use]
    pub const fn Layer2Type(self) -> u8 {
        self.Bits[3] & 0xf
    }

    /// See [`Self::Layer2Type`]; bits beyond the field are cut off.
    pub const fn set_Layer2Type(&mut self, kind: u8) {
        self.Bits[3] = self.Bits[3] & 0xf0 | kind & 0xf;
    }

    /// One of `NetPacketLayer3Type...`.
    #[must_use]
    pub const fn Layer3Type(self) -> u8 {
        self.Bits[3] >> 4
    }

    /// See [`Self::Layer3Type`]; bits beyond the field are cut off.
    pub const fn set_Layer3Type(&mut self, kind: u8) {
        self.Bits[3] = self.Bits[3] & 0xf | kind << 4;
    }

    /// One of `NetPacketLayer4Type...`.
    #[must_use]
    pub const fn Layer4Type(self) -> u8 {
        self.Bits[4] & 0xf
    }

    /// See [`Self::Layer4Type`]; bits beyond the field are cut off.
    pub const fn set_Layer4Type(&mut self, kind: u8) {
        self.Bits[4] = self.Bits[4] & 0xf0 | kind & 0xf;
    }

    /// The framework's.
    #[must_use]
    pub const fn Reserved0(self) -> u8 {
        self.Bits[4] >> 4
    }

    /// For the framework's side only.
    pub const fn set_Reserved0(&mut self, bits: u8) {
        self.Bits[4] = self.Bits[4] & 0xf | bits << 4;
    }
}

/// An element of the packet ring: one frame, or one place for a frame.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NET_PACKET {
    /// Index of the first fragment in the fragment ring.
    pub FragmentIndex: u32,
    /// Number of fragments, consecutive in the fragment ring.
    pub FragmentCount: u16,
    /// The frame's headers.
    pub Layout: NET_PACKET_LAYOUT,
    /// Ignore, Scratch and Reserved1, as they lie in memory; use the methods.
    pub Bits: u8,
}
assert_layout!(NET_PACKET: 12 align 4 { FragmentIndex @ 0, FragmentCount @ 4, Layout @ 6, Bits @ 0xb });

const fn with_bit(bits: u8, mask: u8, value: bool) -> u8 {
    if value { bits | mask } else { bits & !mask }
}

impl NET_PACKET {
    /// The packet holds no frame. Set by the framework on transmit, by the driver on receive.
    #[must_use]
    pub const fn Ignore(&self) -> bool {
        self.Bits & 1 != 0
    }

    /// See [`Self::Ignore`].
    pub const fn set_Ignore(&mut self, value: bool) {
        self.Bits = with_bit(self.Bits, 1, value);
    }

    /// The driver's own bit.
    #[must_use]
    pub const fn Scratch(&self) -> bool {
        self.Bits & 2 != 0
    }

    /// See [`Self::Scratch`].
    pub const fn set_Scratch(&mut self, value: bool) {
        self.Bits = with_bit(self.Bits, 2, value);
    }

    /// The framework's six bits.
    #[must_use]
    pub const fn Reserved1(&self) -> u8 {
        self.Bits >> 2
    }

    /// For the framework's side only.
    pub const fn set_Reserved1(&mut self, bits: u8) {
        self.Bits = self.Bits & 3 | bits << 2;
    }
}

/// An element of the fragment ring: a piece of a frame, or a buffer for one.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NET_FRAGMENT {
    /// The bit fields, as they lie in memory; use the methods.
    pub Bits: u64,
}
assert_layout!(NET_FRAGMENT: 8 align 8 { Bits @ 0 });

impl NET_FRAGMENT {
    const LENGTH: u64 = (1 << 26) - 1;
    const OFFSET: u64 = (1 << 10) - 1;

    const fn set(&mut self, mask: u64, shift: u32, value: u64) {
        self.Bits = self.Bits & !(mask << shift) | (value & mask) << shift;
    }

    /// Bytes of the frame in this fragment, 0..2^26.
    #[must_use]
    pub const fn ValidLength(&self) -> u32 {
        (self.Bits & Self::LENGTH) as u32
    }

    /// See [`Self::ValidLength`]; bits beyond the field are cut off.
    pub const fn set_ValidLength(&mut self, bytes: u32) {
        self.set(Self::LENGTH, 0, bytes as u64);
    }

    /// Bytes of the buffer, 0..2^26.
    #[must_use]
    pub const fn Capacity(&self) -> u32 {
        (self.Bits >> 26 & Self::LENGTH) as u32
    }

    /// See [`Self::Capacity`]; bits beyond the field are cut off.
    pub const fn set_Capacity(&mut self, bytes: u32) {
        self.set(Self::LENGTH, 26, bytes as u64);
    }

    /// Bytes from the buffer's start to the frame's, 0..=1023.
    #[must_use]
    pub const fn Offset(&self) -> u16 {
        (self.Bits >> 52 & Self::OFFSET) as u16
    }

    /// See [`Self::Offset`]; bits beyond the field are cut off.
    pub const fn set_Offset(&mut self, bytes: u16) {
        self.set(Self::OFFSET, 52, bytes as u64);
    }

    /// The driver's own bit.
    #[must_use]
    pub const fn Scratch(&self) -> bool {
        self.Bits >> 62 & 1 != 0
    }

    /// See [`Self::Scratch`].
    pub const fn set_Scratch(&mut self, value: bool) {
        self.set(1, 62, value as u64);
    }

    /// The framework copied the data into a buffer of its own.
    #[must_use]
    pub const fn OsReserved_Bounced(&self) -> bool {
        self.Bits >> 63 != 0
    }

    /// For the framework's side only.
    pub const fn set_OsReserved_Bounced(&mut self, value: bool) {
        self.set(1, 63, value as u64);
    }
}
