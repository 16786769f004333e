//! What understudy itself reads of the device: its status byte and the cancel block's STATE, to judge the driver by, and
//! the virtqueues' indices for reports.
//!
//! Reading changes nothing in the device. A device without the cancel block is not judged.

use crate::ke::irqlock::IrqLock;
use agent_protocol::{DeviceView, VirtqueueView};
use core::sync::atomic::Ordering::Relaxed;
use understudy_rules::netcx::verifier::Direction;

/// ID register and its value, the bytes `C I N C`.
const ID: (usize, u32) = (0x40, 0x434E_4943);
/// Status registers of queue 0.
const TX_STAT: usize = 0x84;
const RX_STAT: usize = 0xC4;
/// virtio device_status: the driver has set everything up.
const DRIVER_OK: u8 = 4;
/// virtio common configuration: offset of device_status.
const DEVICE_STATUS: usize = 0x14;
/// virtio common configuration (virtio 1.3 section 4.1.4.3): the selected queue's fields.
const QUEUE_SELECT: usize = 0x16;
const QUEUE_SIZE: usize = 0x18;
const QUEUE_ENABLE: usize = 0x1c;
const QUEUE_AVAILABLE: usize = 0x28;
const QUEUE_USED: usize = 0x30;
/// Where the index stands in an available or used ring (section 2.7).
const RING_INDEX: u64 = 2;
/// STATE values by number.
const STATES: [&str; 4] = ["RUNNING", "CANCELLING", "DRAINING", "STOPPED"];

#[derive(Clone, Copy)]
struct Places {
    common: usize,
    device: usize,
}

static PLACES: IrqLock<Option<Places>> = IrqLock::new(None);

/// Learns where the device's common and device configuration are mapped; forgets it for `None`.
pub fn set(common_and_device: Option<(usize, usize)>) {
    let places = common_and_device.map(|(common, device)| Places { common, device }).filter(|places| {
        // SAFETY: PnP mapped both areas, uncached, for as long as the device is there.
        unsafe { ((places.device + ID.0) as *const u32).read_volatile() == ID.1 }
    });
    PLACES.with(|slot| *slot = places);
}

/// STATE of the direction's queue 0, if the device is set up and has the block.
fn state(direction: Direction) -> Option<usize> {
    let places = PLACES.with(|slot| *slot)?;
    // SAFETY: as in `set`; reads have no side effects.
    let (status, stat) = unsafe {
        let stat = places.device + if direction == Direction::Tx { TX_STAT } else { RX_STAT };
        (((places.common + DEVICE_STATUS) as *const u8).read_volatile(), (stat as *const u32).read_volatile())
    };
    if status == 0xff || status & DRIVER_OK == 0 || stat == u32::MAX {
        return None;
    }
    Some((stat >> 20 & 0xf) as usize)
}

/// The direction's queue 0 as the guest sees it, if there is a device with the block.
pub fn view(direction: Direction) -> Option<DeviceView> {
    let places = PLACES.with(|slot| *slot)?;
    let status_at = places.device + if direction == Direction::Tx { TX_STAT } else { RX_STAT };
    // SAFETY: as in `set`; reads have no side effects; the command register stands before the status register.
    let (device_status, command, status) = unsafe {
        (
            ((places.common + DEVICE_STATUS) as *const u8).read_volatile(),
            ((status_at - 4) as *const u32).read_volatile(),
            (status_at as *const u32).read_volatile(),
        )
    };
    let there = device_status != 0xff && device_status & DRIVER_OK != 0;
    let virtqueue = there.then(|| virtqueue(places.common, direction)).flatten();
    Some(DeviceView { device_status, command, status, virtqueue })
}

/// Where queue 0's virtqueue lies, by what the driver told the device.
struct Place {
    size: u16,
    /// Addresses of the available and the used ring.
    rings: [u64; 2],
}

/// The place of queue 0's virtqueue, if the driver has enabled it.
fn place(common: usize, direction: Direction) -> Option<Place> {
    let number: u16 = if direction == Direction::Tx { 1 } else { 0 };
    // the driver's selection is put back before anything else can run
    let (size, enabled, rings) = crate::hal::cpu::without_interrupts(|| {
        let select = (common + QUEUE_SELECT) as *mut u16;
        // SAFETY: the common configuration is mapped (`set`); each field is read by its own width, addresses by halves.
        unsafe {
            let before = select.read_volatile();
            select.write_volatile(number);
            let word = |at: usize| ((common + at) as *const u16).read_volatile();
            let half = |at: usize| u64::from(((common + at) as *const u32).read_volatile());
            let address = |at: usize| half(at) | half(at + 4) << 32;
            let rings = [address(QUEUE_AVAILABLE), address(QUEUE_USED)];
            let seen = (word(QUEUE_SIZE), word(QUEUE_ENABLE), rings);
            select.write_volatile(before);
            seen
        }
    });
    (enabled == 1).then_some(Place { size, rings })
}

/// The index of an available or used ring in the driver's memory; `None` if no such ring can be at that address.
pub fn ring_index(ring: u64) -> Option<u16> {
    let at = ring.checked_add(RING_INDEX).filter(|&at| at % 2 == 0 && crate::mm::is_ram(at, 2))?;
    // SAFETY: RAM, which is mapped there for ever, and aligned.
    Some(unsafe { ((crate::mm::DIRECT + at as usize) as *const u16).read_volatile() })
}

/// The indices of queue 0's virtqueue.
fn virtqueue(common: usize, direction: Direction) -> Option<VirtqueueView> {
    let Place { size, rings: [available, used] } = place(common, direction)?;
    Some(VirtqueueView { size, available: ring_index(available)?, used: ring_index(used)? })
}

/// Address of the used ring of the direction's queue 0, for [`ring_index`]; it stays until the device is reset.
pub fn used_ring(direction: Direction) -> Option<u64> {
    state(direction)?;
    let [_, used] = place(PLACES.with(|slot| *slot)?.common, direction)?.rings;
    ring_index(used).map(|_| used)
}

/// The state's name if the device may still write this queue's buffers, else `None`.
pub fn may_write(direction: Direction) -> Option<&'static str> {
    let state = state(direction)?;
    (state != 3).then(|| STATES.get(state).copied().unwrap_or("unknown"))
}

/// Whether the device is set up and the queue is STOPPED.
pub fn is_stopped(direction: Direction) -> bool {
    state(direction) == Some(3)
}

/// Whether nothing will come from the device for this queue any more: STOPPED, reset or gone. Without the cancel block
/// nobody knows: `false`.
pub fn is_quiet(direction: Direction) -> bool {
    let known = PLACES.with(|slot| slot.is_some());
    known && state(direction).is_none_or(|state| state == 3)
}

/// Whether the driver has reported its device as failed: notifications without arming are then its last word.
pub fn device_failed() -> bool {
    super::adapter::device().is_some_and(|device| device.failed.load(Relaxed))
}
