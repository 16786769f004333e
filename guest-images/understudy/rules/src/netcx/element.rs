//! The rings' elements as values: NET_RING's header, NET_PACKET, NET_FRAGMENT, read from and written to bytes.
//!
//! The byte layout is netadaptercx-sys's; this module turns it into plain fields that rules can compare.
//!
//! Rules: CX15, CX16, CX28 (`driver/docs/netadaptercx.md`).

use netadaptercx_sys::{NET_FRAGMENT, NET_PACKET, NET_PACKET_LAYOUT};

/// NET_RING without its elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingHeader {
    /// ElementStride, bytes.
    pub stride: u16,
    /// NumberOfElements, a power of two.
    pub count: u32,
    /// ElementIndexMask.
    pub mask: u32,
    /// EndIndex: the framework's.
    pub end: u32,
    /// BeginIndex: the driver's.
    pub begin: u32,
    /// NextIndex: private to the driver.
    pub next: u32,
    /// OSReserved1 and the OSReserved0/2 area.
    pub reserved: (u16, [u64; 4]),
}

impl RingHeader {
    /// Elements from `from` up to `to`, going upwards.
    #[must_use]
    pub fn distance(&self, from: u32, to: u32) -> u32 {
        to.wrapping_sub(from) & self.mask
    }

    /// Name of the first field in front of BeginIndex that differs.
    #[must_use]
    pub fn changed_before_begin(&self, after: &Self) -> Option<&'static str> {
        let fields = [
            (self.stride != after.stride, "ElementStride"),
            (self.count != after.count, "NumberOfElements"),
            (self.mask != after.mask, "ElementIndexMask"),
            (self.end != after.end, "EndIndex"),
            (self.reserved != after.reserved, "OSReserved"),
        ];
        fields.into_iter().find(|field| field.0).map(|field| field.1)
    }
}

/// NET_PACKET without its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Packet {
    /// Index of the first fragment in the fragment ring.
    pub fragment_index: u32,
    /// Number of fragments.
    pub fragment_count: u16,
    /// Layout.Layer2HeaderLength, 7 bits.
    pub l2_len: u8,
    /// Layout.Layer3HeaderLength, 9 bits.
    pub l3_len: u16,
    /// Layout.Layer4HeaderLength.
    pub l4_len: u8,
    /// Layout.Layer2Type, 4 bits.
    pub l2_type: u8,
    /// Layout.Layer3Type, 4 bits.
    pub l3_type: u8,
    /// Layout.Layer4Type, 4 bits.
    pub l4_type: u8,
    /// Layout.Reserved0, 4 bits.
    pub layout_reserved: u8,
    /// Ignore.
    pub ignore: bool,
    /// Scratch: the driver's.
    pub scratch: bool,
    /// Reserved1, 6 bits.
    pub reserved: u8,
}

impl Packet {
    /// Bytes of a NET_PACKET.
    pub const SIZE: usize = size_of::<NET_PACKET>();

    /// What the framework's verifier writes into a packet that it gives to a receive queue.
    pub const POISON: Self = Self {
        fragment_index: u32::MAX,
        fragment_count: u16::MAX,
        l2_len: 0x7f,
        l3_len: 0x1ff,
        l4_len: 0xff,
        l2_type: 0xf,
        l3_type: 0xf,
        l4_type: 0xf,
        layout_reserved: 0,
        ignore: false,
        scratch: false,
        reserved: 0,
    };

    /// Reads the first [`Self::SIZE`] bytes of an element; a shorter slice reads as zeros.
    #[must_use]
    pub fn read(element: &[u8]) -> Self {
        let b: [u8; Self::SIZE] = element.first_chunk().copied().unwrap_or_default();
        let raw = NET_PACKET {
            FragmentIndex: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            FragmentCount: u16::from_le_bytes([b[4], b[5]]),
            Layout: NET_PACKET_LAYOUT { Bits: [b[6], b[7], b[8], b[9], b[10]] },
            Bits: b[11],
        };
        Self {
            fragment_index: raw.FragmentIndex,
            fragment_count: raw.FragmentCount,
            l2_len: raw.Layout.Layer2HeaderLength(),
            l3_len: raw.Layout.Layer3HeaderLength(),
            l4_len: raw.Layout.Layer4HeaderLength(),
            l2_type: raw.Layout.Layer2Type(),
            l3_type: raw.Layout.Layer3Type(),
            l4_type: raw.Layout.Layer4Type(),
            layout_reserved: raw.Layout.Reserved0(),
            ignore: raw.Ignore(),
            scratch: raw.Scratch(),
            reserved: raw.Reserved1(),
        }
    }

    /// Writes the first [`Self::SIZE`] bytes of an element.
    pub fn write(&self, element: &mut [u8]) {
        let mut raw = NET_PACKET {
            FragmentIndex: self.fragment_index,
            FragmentCount: self.fragment_count,
            ..NET_PACKET::default()
        };
        raw.Layout.set_Layer2HeaderLength(self.l2_len);
        raw.Layout.set_Layer3HeaderLength(self.l3_len);
        raw.Layout.set_Layer4HeaderLength(self.l4_len);
        raw.Layout.set_Layer2Type(self.l2_type);
        raw.Layout.set_Layer3Type(self.l3_type);
        raw.Layout.set_Layer4Type(self.l4_type);
        raw.Layout.set_Reserved0(self.layout_reserved);
        raw.set_Ignore(self.ignore);
        raw.set_Scratch(self.scratch);
        raw.set_Reserved1(self.reserved);
        if let Some(place) = element.first_chunk_mut::<{ Self::SIZE }>() {
            place[0..4].copy_from_slice(&raw.FragmentIndex.to_le_bytes());
            place[4..6].copy_from_slice(&raw.FragmentCount.to_le_bytes());
            place[6..11].copy_from_slice(&raw.Layout.Bits);
            place[11] = raw.Bits;
        }
    }

    /// Poisons the fields that a receiving driver must write, and leaves the rest.
    #[must_use]
    pub fn poisoned(self) -> Self {
        let Self { ignore, scratch, reserved, layout_reserved, .. } = self;
        Self { ignore, scratch, reserved, layout_reserved, ..Self::POISON }
    }

    /// Equal in all that a receiving driver may not write in a packet which it ignores.
    #[must_use]
    pub fn same_but_ignored(&self, was: &Self) -> bool {
        *self == Self { ignore: self.ignore, scratch: self.scratch, ..*was }
    }

    /// Whether a field that each returned receive packet must have set is still poison.
    #[must_use]
    pub fn any_required_is_poison(&self) -> bool {
        self.fragment_index == Self::POISON.fragment_index
            || self.fragment_count == Self::POISON.fragment_count
            || [self.l2_type, self.l3_type, self.l4_type].contains(&0xf)
    }

    /// Equal in all that a transmitting driver may not write.
    #[must_use]
    pub fn same_but_scratch(&self, other: &Self) -> bool {
        *self == Self { scratch: self.scratch, ..*other }
    }
}

/// NET_FRAGMENT without its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fragment {
    /// ValidLength, 26 bits.
    pub valid_length: u32,
    /// Capacity, 26 bits.
    pub capacity: u32,
    /// Offset, 10 bits.
    pub offset: u16,
    /// Scratch: the driver's.
    pub scratch: bool,
    /// OsReserved_Bounced.
    pub bounced: bool,
}

impl Fragment {
    /// Bytes of a NET_FRAGMENT.
    pub const SIZE: usize = size_of::<NET_FRAGMENT>();
    /// Poison of `valid_length`.
    pub const POISON_LENGTH: u32 = (1 << 26) - 1;
    /// Poison of `offset`.
    pub const POISON_OFFSET: u16 = (1 << 10) - 1;

    /// Reads the first [`Self::SIZE`] bytes of an element; a shorter slice reads as zeros.
    #[must_use]
    pub fn read(element: &[u8]) -> Self {
        let raw =
            NET_FRAGMENT { Bits: u64::from_le_bytes(element.first_chunk().copied().unwrap_or_default()) };
        Self {
            valid_length: raw.ValidLength(),
            capacity: raw.Capacity(),
            offset: raw.Offset(),
            scratch: raw.Scratch(),
            bounced: raw.OsReserved_Bounced(),
        }
    }

    /// Writes the first [`Self::SIZE`] bytes of an element.
    pub fn write(&self, element: &mut [u8]) {
        let mut raw = NET_FRAGMENT::default();
        raw.set_ValidLength(self.valid_length);
        raw.set_Capacity(self.capacity);
        raw.set_Offset(self.offset);
        raw.set_Scratch(self.scratch);
        raw.set_OsReserved_Bounced(self.bounced);
        if let Some(place) = element.first_chunk_mut() {
            *place = raw.Bits.to_le_bytes();
        }
    }

    /// Poisons what a receiving driver must write into a system-attached fragment.
    #[must_use]
    pub fn poisoned(self) -> Self {
        Self { valid_length: Self::POISON_LENGTH, offset: Self::POISON_OFFSET, ..self }
    }

    /// Equal in all that a transmitting driver may not write.
    #[must_use]
    pub fn same_but_scratch(&self, other: &Self) -> bool {
        *self == Self { scratch: self.scratch, ..*other }
    }
}
