//! Bringing a virtio-pci device up and down through its common configuration (virtio 1.3 §3.1.1,
//! §4.1.4.3, §4.1.5.1). All at PASSIVE_LEVEL but [`reset`], which the watchdog calls at DISPATCH_LEVEL.

use core::fmt;

use crate::{features::Features, hardware::Mmio, queue::PAIRS};

const DEVICE_FEATURE_SELECT: u32 = 0x00;
const DEVICE_FEATURE: u32 = 0x04;
const DRIVER_FEATURE_SELECT: u32 = 0x08;
const DRIVER_FEATURE: u32 = 0x0c;
const CONFIG_MSIX_VECTOR: u32 = 0x10;
const NUM_QUEUES: u32 = 0x12;
const DEVICE_STATUS: u32 = 0x14;
const CONFIG_GENERATION: u32 = 0x15;
const QUEUE_SELECT: u32 = 0x16;
const QUEUE_SIZE: u32 = 0x18;
const QUEUE_MSIX_VECTOR: u32 = 0x1a;
const QUEUE_ENABLE: u32 = 0x1c;
const QUEUE_NOTIFY_OFF: u32 = 0x1e;
const QUEUE_ADDRESSES: [u32; 3] = [0x20, 0x28, 0x30];

const ACKNOWLEDGE: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
const FAILED: u8 = 128;

const NO_VECTOR: u16 = 0xffff;
const GONE: u8 = 0xff;

/// The one MSI-X vector that configuration changes and all queues share.
pub const VECTOR: u16 = 0;

/// Looks at device_status that [`reset`] takes at most, with a pause after each.
pub const RESET_LOOKS: u32 = 1000;

/// Why the device did not come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportError {
    /// Registers read all ones.
    Gone,
    /// The reset was not answered in time.
    NoReset,
    /// The device does not offer VERSION_1; it offers these features.
    NotModern(u64),
    /// The device rejected these features, a subset of its own.
    FeaturesRejected(u64),
    /// The device has this many queues, fewer than two.
    TooFewQueues(u16),
    /// This queue does not exist.
    NoQueue(u16),
    /// This queue does not take the size wanted, given second.
    QueueSize(u16, u16),
    /// The device has no resources for the interrupt of this queue, or of configuration changes.
    NoVector(Option<u16>),
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("the device is gone: its registers read all ones"),
            Self::NoReset => f.write_str("the device does not answer a reset"),
            Self::NotModern(features) => write!(f, "the device offers no VERSION_1 but {features:#x}"),
            Self::FeaturesRejected(features) => write!(f, "the device rejects features {features:#x}"),
            Self::TooFewQueues(count) => write!(f, "the device has {count} queues; two are needed"),
            Self::NoQueue(queue) => write!(f, "the device has no queue {queue}"),
            Self::QueueSize(queue, size) => write!(f, "queue {queue} does not take {size} descriptors"),
            Self::NoVector(Some(queue)) => write!(f, "the device has no interrupt for queue {queue}"),
            Self::NoVector(None) => f.write_str("the device has no interrupt for configuration changes"),
        }
    }
}

/// What a reset came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "memory that the device may still write must not be freed"]
pub enum Reset {
    /// device_status reads 0: the device touches no memory any more.
    Done,
    /// All ones: the device is gone and touches no memory any more.
    Gone,
    /// Neither, within the bound: the device may still touch memory. Leak it; do not mark queues lost.
    Unanswered,
}

impl Reset {
    /// Whether memory may be freed, and queues marked lost.
    #[must_use]
    pub const fn is_quiet(self) -> bool {
        matches!(self, Self::Done | Self::Gone)
    }
}

/// Writes device_status 0 and waits for it to read 0 (virtio 1.3 §4.1.4.3.2), looking at most
/// [`RESET_LOOKS`] times. `pause` is a short busy wait, e.g. 10 microseconds; at DISPATCH_LEVEL it must
/// not sleep. For D0 exit, and for a device that owes packets.
pub fn reset(common: &impl Mmio, mut pause: impl FnMut()) -> Reset {
    common.write8(DEVICE_STATUS, 0);
    for _ in 0..RESET_LOOKS {
        match common.read8(DEVICE_STATUS) {
            0 => return Reset::Done,
            GONE => return Reset::Gone,
            _ => pause(),
        }
    }
    Reset::Unanswered
}

/// Resets the device and agrees on features: first step of D0 entry.
///
/// # Errors
/// The device stays off; FAILED is set unless it is gone.
pub fn begin(common: &impl Mmio, pause: impl FnMut()) -> Result<Features, TransportError> {
    match reset(common, pause) {
        Reset::Done => {}
        Reset::Gone => return Err(TransportError::Gone),
        Reset::Unanswered => return Err(TransportError::NoReset),
    }
    add_status(common, ACKNOWLEDGE);
    add_status(common, DRIVER);
    let offered = [0, 1].map(|half| {
        common.write32(DEVICE_FEATURE_SELECT, half);
        common.read32(DEVICE_FEATURE)
    });
    let offered = u64::from(offered[0]) | u64::from(offered[1]) << 32;
    let Some(features) = Features::choose(offered) else {
        return Err(failed(common, TransportError::NotModern(offered)));
    };
    for half in [0, 1] {
        common.write32(DRIVER_FEATURE_SELECT, half);
        common.write32(DRIVER_FEATURE, (features.bits() >> (32 * half)) as u32);
    }
    add_status(common, FEATURES_OK);
    if common.read8(DEVICE_STATUS) & FEATURES_OK == 0 {
        return Err(failed(common, TransportError::FeaturesRejected(features.bits())));
    }
    match common.read16(NUM_QUEUES) {
        count if count < 2 * u16::from(PAIRS) => Err(failed(common, TransportError::TooFewQueues(count))),
        _ => Ok(features),
    }
}

/// Most descriptors that `queue` can have, a power of two; what the virtqueue's memory is made for.
///
/// # Errors
/// [`TransportError::NoQueue`].
pub fn queue_capacity(common: &impl Mmio, queue: u16) -> Result<u16, TransportError> {
    common.write16(QUEUE_SELECT, queue);
    match common.read16(QUEUE_SIZE) {
        0 => Err(TransportError::NoQueue(queue)),
        size => Ok(1 << size.ilog2()),
    }
}

/// A number that differs whenever the device-specific configuration has changed (virtio 1.3 §4.1.4.3.1). At most
/// DISPATCH_LEVEL.
pub fn generation(common: &impl Mmio) -> u8 {
    common.read8(CONFIG_GENERATION)
}

/// Binds configuration changes to [`VECTOR`].
///
/// # Errors
/// [`TransportError::NoVector`].
pub fn set_config_vector(common: &impl Mmio) -> Result<(), TransportError> {
    common.write16(CONFIG_MSIX_VECTOR, VECTOR);
    // Only reading it back tells whether the device could (§4.1.5.1.2.1).
    match common.read16(CONFIG_MSIX_VECTOR) {
        VECTOR => Ok(()),
        _ => Err(failed(common, TransportError::NoVector(None))),
    }
}

/// Gives the device a virtqueue of `size` descriptors whose parts lie at `addresses` (see
/// [`crate::virtqueue::Virtqueue::addresses`]). Tells the queue's notify offset.
///
/// # Errors
/// The device does not take it; FAILED is set.
pub fn enable_queue(
    common: &impl Mmio,
    queue: u16,
    size: u16,
    addresses: [u64; 3],
) -> Result<u16, TransportError> {
    common.write16(QUEUE_SELECT, queue);
    common.write16(QUEUE_SIZE, size);
    if common.read16(QUEUE_SIZE) != size {
        return Err(failed(common, TransportError::QueueSize(queue, size)));
    }
    common.write16(QUEUE_MSIX_VECTOR, VECTOR);
    if common.read16(QUEUE_MSIX_VECTOR) == NO_VECTOR {
        return Err(failed(common, TransportError::NoVector(Some(queue))));
    }
    for (at, address) in QUEUE_ADDRESSES.into_iter().zip(addresses) {
        common.write32(at, address as u32);
        common.write32(at + 4, (address >> 32) as u32);
    }
    let notify_off = common.read16(QUEUE_NOTIFY_OFF);
    common.write16(QUEUE_ENABLE, 1);
    Ok(notify_off)
}

/// The device may begin: last step of D0 entry, with all queues enabled.
pub fn driver_ok(common: &impl Mmio) {
    add_status(common, DRIVER_OK);
}

/// The driver gave up on the device. It stays so until the next reset.
pub fn give_up(common: &impl Mmio) {
    add_status(common, FAILED);
}

fn add_status(common: &impl Mmio, bit: u8) {
    let status = common.read8(DEVICE_STATUS);
    if status != GONE {
        common.write8(DEVICE_STATUS, status | bit);
    }
}

fn failed(common: &impl Mmio, error: TransportError) -> TransportError {
    if common.read8(DEVICE_STATUS) == GONE {
        return TransportError::Gone;
    }
    give_up(common);
    error
}
