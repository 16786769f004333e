//! Finding virtio's structures in PCI configuration space, and the memory that they lie in.
//!
//! Windows hands a driver its memory resources without the number of the BAR each belongs to, and in
//! no promised order. So a BAR is matched with a resource by its address, never by position.

use core::fmt;

/// Vendor of every virtio device.
pub const VENDOR: u16 = 0x1af4;
/// A modern virtio-net device (virtio 1.3 §4.1.2: 0x1040 + device id 1).
pub const DEVICE_NET: u16 = 0x1041;
/// Bytes of configuration space that hold the header and the capability list.
pub const CONFIG_LEN: usize = 256;

const STATUS: usize = 0x06;
const STATUS_HAS_LIST: u16 = 1 << 4;
const FIRST_BAR: usize = 0x10;
const BARS: u8 = 6;
const LIST_POINTER: usize = 0x34;
/// No capability fits below this offset, and none is shorter than 4 bytes: what bounds the walk.
const FIRST_CAPABILITY: usize = 0x40;
const MOST_CAPABILITIES: usize = (CONFIG_LEN - FIRST_CAPABILITY) / 4;
const VENDOR_SPECIFIC: u8 = 0x09;

const CFG_COMMON: u8 = 1;
const CFG_NOTIFY: u8 = 2;
const CFG_DEVICE: u8 = 4;

/// Least bytes of each structure that the driver uses.
const COMMON_LEN: u32 = 0x38;
const DEVICE_LEN: u32 = cancelnic_registers::SPACE_SIZE as u32;
const DOORBELL_LEN: u32 = 2;

/// Why the device cannot be driven over PCI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PciError {
    /// Configuration space reads all ones.
    Gone,
    /// Not virtio-net: vendor and device as read.
    WrongDevice(u16, u16),
    /// There is no capability list, or it has a loop.
    BadList,
    /// The list lacks the structure of this name.
    Missing(&'static str),
    /// The structure of this name is shorter than the driver needs.
    TooShort(&'static str, u32),
    /// A structure names this BAR, which does not exist or is no memory BAR.
    BadBar(u8),
    /// No memory resource begins at this BAR's address, given second, and is long enough.
    NoResource(u8, u64),
}

impl fmt::Display for PciError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the device is gone: its PCI configuration space reads all ones"),
            Self::WrongDevice(vendor, device) => {
                write!(f, "PCI device {vendor:04x}:{device:04x} is no virtio-net device")
            }
            Self::BadList => f.write_str("the PCI capability list is missing or has a loop"),
            Self::Missing(name) => write!(f, "the device has no virtio {name} structure"),
            Self::TooShort(name, len) => write!(f, "the virtio {name} structure has only {len} bytes"),
            Self::BadBar(bar) => write!(f, "a virtio structure lies in BAR {bar}, which is no memory BAR"),
            Self::NoResource(bar, address) => {
                write!(f, "no memory resource holds BAR {bar} at {address:#x}")
            }
        }
    }
}

/// A structure's place (virtio 1.3 §4.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Number of the BAR, 0..=5.
    pub bar: u8,
    /// Bytes from the BAR's start.
    pub offset: u32,
    /// Bytes.
    pub len: u32,
}

/// The structures that the driver uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Structures {
    /// Common configuration.
    pub common: Region,
    /// Doorbells.
    pub notify: Region,
    /// Bytes between two queues' doorbells, times the queue's notify offset.
    pub notify_multiplier: u32,
    /// Device-specific configuration.
    pub device: Region,
}

impl Structures {
    /// Where a queue's doorbell is, bytes from the notify structure's start; `None` if outside it.
    #[must_use]
    pub fn doorbell(&self, notify_off: u16) -> Option<u32> {
        let offset = self.notify_multiplier.checked_mul(u32::from(notify_off))?;
        (offset.checked_add(DOORBELL_LEN)? <= self.notify.len).then_some(offset)
    }
}

/// Configuration space with reads that cannot leave it.
struct Config<'c>(&'c [u8; CONFIG_LEN]);

impl Config<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.0.get(at).copied().unwrap_or(u8::MAX)
    }

    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes([self.byte(at), self.byte(at + 1)])
    }

    fn word(&self, at: usize) -> u32 {
        u32::from(self.half(at)) | u32::from(self.half(at + 2)) << 16
    }
}

/// Reads the capability list. Of several structures of one kind the first that lies in a BAR counts:
/// the device lists them in its order of preference (virtio 1.3 §4.1.4.1).
///
/// # Errors
/// The device is none that this driver can drive.
pub fn find_structures(config: &[u8; CONFIG_LEN]) -> Result<Structures, PciError> {
    let config = Config(config);
    match (config.half(0), config.half(2)) {
        (u16::MAX, u16::MAX) => return Err(PciError::Gone),
        (VENDOR, DEVICE_NET) => {}
        (vendor, device) => return Err(PciError::WrongDevice(vendor, device)),
    }
    if config.half(STATUS) & STATUS_HAS_LIST == 0 {
        return Err(PciError::BadList);
    }
    let (mut common, mut notify, mut device) = (None, None, None);
    let mut at = usize::from(config.byte(LIST_POINTER) & !3);
    for _ in 0..MOST_CAPABILITIES {
        if at < FIRST_CAPABILITY {
            break;
        }
        if config.byte(at) == VENDOR_SPECIFIC {
            let region =
                Region { bar: config.byte(at + 4), offset: config.word(at + 8), len: config.word(at + 12) };
            // A driver ignores BAR numbers that are reserved (§4.1.4).
            if region.bar < BARS {
                match config.byte(at + 3) {
                    CFG_COMMON => _ = common.get_or_insert(region),
                    CFG_NOTIFY => _ = notify.get_or_insert((region, config.word(at + 16))),
                    CFG_DEVICE => _ = device.get_or_insert(region),
                    _ => {}
                }
            }
        }
        at = usize::from(config.byte(at + 1) & !3);
    }
    if at >= FIRST_CAPABILITY {
        return Err(PciError::BadList);
    }
    let long_enough = |name, region: Option<Region>, least| {
        let region = region.ok_or(PciError::Missing(name))?;
        if region.len < least { Err(PciError::TooShort(name, region.len)) } else { Ok(region) }
    };
    let notify_multiplier = notify.map_or(0, |(_, multiplier)| multiplier);
    Ok(Structures {
        common: long_enough("common configuration", common, COMMON_LEN)?,
        notify: long_enough("notification", notify.map(|(region, _)| region), DOORBELL_LEN)?,
        notify_multiplier,
        device: long_enough("device configuration", device, DEVICE_LEN)?,
    })
}

/// The address that firmware or the system gave a memory BAR (PCI 3.0 §6.2.5.1).
///
/// # Errors
/// [`PciError::BadBar`] if there is no such memory BAR.
pub fn bar_address(config: &[u8; CONFIG_LEN], bar: u8) -> Result<u64, PciError> {
    const IO: u32 = 1;
    const TYPE: u32 = 6;
    const TYPE_64: u32 = 4;
    let config = Config(config);
    if bar >= BARS {
        return Err(PciError::BadBar(bar));
    }
    let at = FIRST_BAR + 4 * usize::from(bar);
    let low = config.word(at);
    let high = match low & (TYPE | IO) {
        TYPE_64 if bar + 1 < BARS => config.word(at + 4),
        0 => 0,
        _ => return Err(PciError::BadBar(bar)),
    };
    match u64::from(high) << 32 | u64::from(low & !0xf) {
        0 => Err(PciError::BadBar(bar)),
        address => Ok(address),
    }
}

/// Which of `resources` (start on the bus and length of each raw memory resource, in the system's order) is
/// the BAR that holds `region`: its position in `resources`.
///
/// # Errors
/// [`PciError::BadBar`], or [`PciError::NoResource`] if none begins at the BAR's address and reaches
/// the region's end.
pub fn match_bar(
    config: &[u8; CONFIG_LEN],
    region: Region,
    resources: impl Iterator<Item = (u64, u64)>,
) -> Result<usize, PciError> {
    let address = bar_address(config, region.bar)?;
    let end = u64::from(region.offset) + u64::from(region.len);
    resources
        .enumerate()
        .find(|(_, (start, len))| *start == address && *len >= end)
        .map(|(position, _)| position)
        .ok_or(PciError::NoResource(region.bar, address))
}
