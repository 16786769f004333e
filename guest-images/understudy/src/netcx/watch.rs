//! What understudy itself reads of the device: its status byte and the cancel block's STATE, to judge the driver by, and
//! the virtqueues' indices for reports.
//!
//! Reading changes nothing in the device. A device without the cancel block is not judged.

use crate::ke::irqlock::IrqLock;
use agent_protocol::{DeviceView, VirtqueueView};
use cancelnic_registers::{Direction, ID, ID_OFFSET, QueueId, State, StatusWord};
use core::sync::atomic::Ordering::Relaxed;

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
#[derive(Clone, Copy)]
struct Places {
    common: usize,
    device: usize,
}

static PLACES: IrqLock<Option<Places>> = IrqLock::new(None);

/// Learns where the device's common and device configuration are mapped; forgets it for `None`.
pub(crate) fn set(common_and_device: Option<(usize, usize)>) {
    let places = common_and_device.map(|(common, device)| Places { common, device }).filter(|places| {
        // SAFETY: PnP mapped both areas, uncached, for as long as the device is there.
        unsafe { ((places.device + ID_OFFSET) as *const u32).read_volatile() == ID }
    });
    PLACES.with(|slot| *slot = places);
}

/// The direction's queue 0.
fn queue(direction: Direction) -> QueueId {
    match direction {
        Direction::Tx => QueueId::TX0,
        Direction::Rx => QueueId::RX0,
    }
}

/// The status register of the direction's queue 0, if the device is set up and has the block.
fn status(direction: Direction) -> Option<StatusWord> {
    let places = PLACES.with(|slot| *slot)?;
    let status_at = places.device + queue(direction).status_offset();
    // SAFETY: as in `set`; reads have no side effects.
    let (device_status, status) = unsafe {
        let device_status = ((places.common + DEVICE_STATUS) as *const u8).read_volatile();
        (device_status, StatusWord::from_bits((status_at as *const u32).read_volatile()))
    };
    (is_set_up(device_status) && !status.is_gone()).then_some(status)
}

/// Whether device_status is that of a device which is there and set up.
fn is_set_up(device_status: u8) -> bool {
    device_status != 0xff && device_status & DRIVER_OK != 0
}

/// The direction's queue 0 as the guest sees it, if there is a device with the block.
pub(crate) fn view(direction: Direction) -> Option<DeviceView> {
    let places = PLACES.with(|slot| *slot)?;
    let (command_at, status_at) = (queue(direction).command_offset(), queue(direction).status_offset());
    // SAFETY: as in `set`; reads have no side effects.
    let (device_status, command, status) = unsafe {
        (
            ((places.common + DEVICE_STATUS) as *const u8).read_volatile(),
            ((places.device + command_at) as *const u32).read_volatile(),
            ((places.device + status_at) as *const u32).read_volatile(),
        )
    };
    let virtqueue = is_set_up(device_status).then(|| virtqueue(places.common, direction)).flatten();
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
    let number = queue(direction).virtqueue();
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
pub(crate) fn ring_index(ring: u64) -> Option<u16> {
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
pub(crate) fn used_ring(direction: Direction) -> Option<u64> {
    status(direction)?;
    let [_, used] = place(PLACES.with(|slot| *slot)?.common, direction)?.rings;
    ring_index(used).map(|_| used)
}

/// The state's name if the device may still write this queue's buffers, else `None`.
pub(crate) fn may_write(direction: Direction) -> Option<&'static str> {
    match status(direction)?.state() {
        Some(State::Stopped) => None,
        Some(State::Running) => Some("RUNNING"),
        Some(State::Cancelling) => Some("CANCELLING"),
        Some(State::Draining) => Some("DRAINING"),
        None => Some("unknown"),
    }
}

/// Whether the device is set up and the queue is STOPPED.
pub(crate) fn is_stopped(direction: Direction) -> bool {
    status(direction).is_some_and(|status| status.state() == Some(State::Stopped))
}

/// Whether nothing will come from the device for this queue any more: STOPPED, reset or gone. Without the cancel block
/// nobody knows: `false`.
pub(crate) fn is_quiet(direction: Direction) -> bool {
    let known = PLACES.with(|slot| slot.is_some());
    known && status(direction).is_none_or(|status| status.state() == Some(State::Stopped))
}

/// Whether the driver has reported its device as failed: notifications without arming are then its last word.
pub(crate) fn device_failed() -> bool {
    super::adapter::device().is_some_and(|device| device.failed.load(Relaxed))
}
