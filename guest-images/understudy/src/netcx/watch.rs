//! What understudy itself reads of the device: its status byte and the cancel block's STATE, to judge the driver by.
//!
//! Reading changes nothing in the device. A device without the cancel block is not judged.

use super::verifier::Direction;
use crate::ke::irqlock::IrqLock;
use core::sync::atomic::Ordering::Relaxed;

/// ID register and its value, the bytes `C I N C`.
const ID: (usize, u32) = (0x40, 0x434E_4943);
/// Status registers of queue 0.
const TX_STAT: usize = 0x84;
const RX_STAT: usize = 0xC4;
/// virtio device_status: the driver has set everything up.
const DRIVER_OK: u8 = 4;
/// virtio common configuration: offset of device_status.
const DEVICE_STATUS: usize = 0x14;
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
    crate::pnp::nic().and_then(|node| node.device()).is_some_and(|(_, device)| device.failed.load(Relaxed))
}
