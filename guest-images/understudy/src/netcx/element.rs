//! The rings' elements as values: NET_RING's header, NET_PACKET, NET_FRAGMENT, read from and written to bytes.
//!
//! The byte layout is netadaptercx-sys's; this module turns it into plain fields that rules can compare.

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
    pub const SIZE: usize = 12;

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
        let lengths = u16::from_le_bytes([b[6], b[7]]);
        Self {
            fragment_index: u32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            fragment_count: u16::from_le_bytes([b[4], b[5]]),
            l2_len: (lengths & 0x7f) as u8,
            l3_len: lengths >> 7,
            l4_len: b[8],
            l2_type: b[9] & 0xf,
            l3_type: b[9] >> 4,
            l4_type: b[10] & 0xf,
            layout_reserved: b[10] >> 4,
            ignore: b[11] & 1 != 0,
            scratch: b[11] & 2 != 0,
            reserved: b[11] >> 2,
        }
    }

    /// Writes the first [`Self::SIZE`] bytes of an element.
    pub fn write(&self, element: &mut [u8]) {
        let lengths = u16::from(self.l2_len & 0x7f) | self.l3_len << 7;
        let mut b = [0; Self::SIZE];
        b[0..4].copy_from_slice(&self.fragment_index.to_le_bytes());
        b[4..6].copy_from_slice(&self.fragment_count.to_le_bytes());
        b[6..8].copy_from_slice(&lengths.to_le_bytes());
        b[8] = self.l4_len;
        b[9] = self.l2_type & 0xf | self.l3_type << 4;
        b[10] = self.l4_type & 0xf | self.layout_reserved << 4;
        b[11] = u8::from(self.ignore) | u8::from(self.scratch) << 1 | self.reserved << 2;
        if let Some(place) = element.first_chunk_mut() {
            *place = b;
        }
    }

    /// Poisons the fields that a receiving driver must write, and leaves the rest.
    #[must_use]
    pub fn poisoned(self) -> Self {
        let Self { ignore, scratch, reserved, layout_reserved, .. } = self;
        Self { ignore, scratch, reserved, layout_reserved, ..Self::POISON }
    }

    /// Whether everything that [`Self::poisoned`] writes still stands.
    #[must_use]
    pub fn is_poison(&self) -> bool {
        *self == self.poisoned()
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
    pub const SIZE: usize = 8;
    /// Poison of `valid_length`.
    pub const POISON_LENGTH: u32 = (1 << 26) - 1;
    /// Poison of `offset`.
    pub const POISON_OFFSET: u16 = (1 << 10) - 1;

    /// Reads the first [`Self::SIZE`] bytes of an element; a shorter slice reads as zeros.
    #[must_use]
    pub fn read(element: &[u8]) -> Self {
        let word = u64::from_le_bytes(element.first_chunk().copied().unwrap_or_default());
        Self {
            valid_length: word as u32 & Self::POISON_LENGTH,
            capacity: (word >> 26) as u32 & Self::POISON_LENGTH,
            offset: (word >> 52) as u16 & Self::POISON_OFFSET,
            scratch: word >> 62 & 1 != 0,
            bounced: word >> 63 != 0,
        }
    }

    /// Writes the first [`Self::SIZE`] bytes of an element.
    pub fn write(&self, element: &mut [u8]) {
        let word = u64::from(self.valid_length & Self::POISON_LENGTH)
            | u64::from(self.capacity & Self::POISON_LENGTH) << 26
            | u64::from(self.offset & Self::POISON_OFFSET) << 52
            | u64::from(self.scratch) << 62
            | u64::from(self.bounced) << 63;
        if let Some(place) = element.first_chunk_mut() {
            *place = word.to_le_bytes();
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
