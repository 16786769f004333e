//! What the device-specific configuration space says about the device, read once at D0 entry: whether
//! it has the cancel block, what that can do, and virtio-net's own fields.

use core::fmt;

use cancelnic_registers::{CAPS_OFFSET, Caps, ID, ID_OFFSET, REVISION_OFFSET, Revision};

use crate::{
    features::{Features, NET_F_MAC, NET_F_MTU, NET_F_SPEED_DUPLEX, NET_F_STATUS},
    hardware::Registers,
};

/// Why the driver does not start this device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The configuration space reads all ones.
    Gone,
    /// No cancel block: the ID register reads this instead.
    NoCancelBlock(u32),
    /// A major revision that this driver does not know.
    UnknownRevision(Revision),
    /// Receive buffers could never be taken back, so that no receive queue could ever stop.
    NoRxCancel,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the device is gone: its configuration space reads all ones"),
            Self::NoCancelBlock(word) => {
                write!(f, "the device has no cancel block: ID reads {word:#010x}, not {ID:#010x}")
            }
            Self::UnknownRevision(revision) => write!(
                f,
                "the device's interface is revision {}.{}; this driver knows {}.x",
                revision.major(),
                revision.minor(),
                Revision::CURRENT.major()
            ),
            Self::NoRxCancel => f.write_str("the device cannot cancel receive queues (CAPS.RX_CANCEL is 0)"),
        }
    }
}

/// A device that the driver can drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// What the cancel block can do; RX_CANCEL is among it.
    pub caps: Caps,
    /// The device's MAC address, if it tells one.
    pub mac: Option<[u8; 6]>,
    /// Largest MTU, bytes without the Ethernet header; 1500 if the device does not say.
    pub mtu: u16,
    /// The link at that moment.
    pub link: Link,
}

/// The link at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whether there is one; a device that does not say has one.
    pub up: bool,
    /// Bits a second, if known.
    pub speed: Option<u64>,
    /// Whether it is known to be full duplex.
    pub full_duplex: bool,
}

impl Link {
    /// Reads it. At most DISPATCH_LEVEL, after FEATURES_OK. `None` from a device that is gone.
    #[must_use]
    pub fn read(registers: &impl Registers, features: Features) -> Option<Self> {
        let high = registers.read(MAC_HIGH_STATUS);
        if high == u32::MAX && registers.read(ID_OFFSET as u32) == u32::MAX {
            return None;
        }
        let (speed, duplex) = if features.has(NET_F_SPEED_DUPLEX) {
            (registers.read(SPEED), registers.read(DUPLEX) & 0xff)
        } else {
            (u32::MAX, 0xff)
        };
        Some(Self {
            up: !features.has(NET_F_STATUS) || high >> 16 & STATUS_LINK_UP != 0,
            // Megabits a second, up to 2^31 - 1; anything else is "unknown".
            speed: (1..=0x7fff_ffff).contains(&speed).then(|| u64::from(speed) * 1_000_000),
            full_duplex: duplex == 1,
        })
    }
}

/// virtio_net_config (virtio 1.3 §5.1.4), in words: mac and status, max_virtqueue_pairs and mtu, speed,
/// duplex.
const MAC_LOW: u32 = 0;
const MAC_HIGH_STATUS: u32 = 4;
const PAIRS_MTU: u32 = 8;
const SPEED: u32 = 12;
const DUPLEX: u32 = 16;

const STATUS_LINK_UP: u32 = 1;
/// Smallest MTU of IPv4 (RFC 791); a device that says less says nothing.
const SMALLEST_MTU: u16 = 68;
const DEFAULT_MTU: u16 = 1500;

/// Reads what the device is. PASSIVE_LEVEL, after FEATURES_OK.
///
/// # Errors
/// The driver must not start it, for the reason given.
pub fn examine(registers: &impl Registers, features: Features) -> Result<Identity, Refusal> {
    let read = |offset: usize| registers.read(offset as u32);
    let id = read(ID_OFFSET);
    if id == u32::MAX {
        return Err(Refusal::Gone);
    }
    if id != ID {
        return Err(Refusal::NoCancelBlock(id));
    }
    let revision = Revision::from_bits(read(REVISION_OFFSET));
    if revision.major() != Revision::CURRENT.major() {
        return Err(Refusal::UnknownRevision(revision));
    }
    let caps = Caps::from_bits(read(CAPS_OFFSET));
    if !caps.rx_cancel() {
        return Err(Refusal::NoRxCancel);
    }

    let (low, high) = (registers.read(MAC_LOW).to_le_bytes(), registers.read(MAC_HIGH_STATUS));
    let [m4, m5, ..] = high.to_le_bytes();
    let [m0, m1, m2, m3] = low;
    let mtu = if features.has(NET_F_MTU) { (registers.read(PAIRS_MTU) >> 16) as u16 } else { DEFAULT_MTU };
    Ok(Identity {
        caps,
        mac: features.has(NET_F_MAC).then_some([m0, m1, m2, m3, m4, m5]),
        mtu: if mtu < SMALLEST_MTU { DEFAULT_MTU } else { mtu },
        link: Link::read(registers, features).ok_or(Refusal::Gone)?,
    })
}
