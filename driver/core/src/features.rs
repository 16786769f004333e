//! Feature bits: which the driver accepts (virtio 1.3 §5.1.3, §6).

/// The device tells its maximum MTU.
pub const NET_F_MTU: u64 = 1 << 3;
/// The device tells its MAC address.
pub const NET_F_MAC: u64 = 1 << 5;
/// The device tells the link's state.
pub const NET_F_STATUS: u64 = 1 << 16;
/// Both sides say from which index on they want to be told.
pub const RING_EVENT_IDX: u64 = 1 << 29;
/// The device is no legacy device.
pub const VERSION_1: u64 = 1 << 32;
/// The device tells speed and duplex.
pub const NET_F_SPEED_DUPLEX: u64 = 1 << 63;

/// All that the driver knows how to use. Never accepted: INDIRECT_DESC, whose tables would need memory
/// for every chain, and every offload.
pub const KNOWN: u64 = NET_F_MTU | NET_F_MAC | NET_F_STATUS | RING_EVENT_IDX | VERSION_1 | NET_F_SPEED_DUPLEX;

/// The features that driver and device agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(u64);

impl Features {
    /// Chooses from what the device offers; `None` without VERSION_1.
    #[must_use]
    pub const fn choose(offered: u64) -> Option<Self> {
        if offered & VERSION_1 == 0 { None } else { Some(Self(offered & KNOWN)) }
    }

    /// Those that were agreed on before, by their bits.
    #[must_use]
    pub const fn agreed(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether all of `bits` were agreed on.
    #[must_use]
    pub const fn has(self, bits: u64) -> bool {
        self.0 & bits == bits
    }
}
