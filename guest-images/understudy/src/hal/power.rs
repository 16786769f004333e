//! The chipset's power management block (ICH9, LPC bridge 00:1f.0): a timer that always runs, and the way off.

use super::port::{read32, write16, write32};

/// Steps of the timer per second, and its width.
pub const FREQUENCY: u64 = 3_579_545;
const MASK: u32 = 0xff_ffff;
/// Offsets in the block: ACPI's PM1_CNT and PM_TMR.
const CONTROL: u16 = 4;
const TIMER: u16 = 8;
/// PM1_CNT: enter the sleeping state whose type, in bits 10 to 12, is 0: on this chipset as QEMU makes it, off.
const SLEEP: u16 = 0x2000;

/// Where the firmware has put the block; `None` if it has not switched it on.
fn block() -> Option<u16> {
    let read = |offset: u32| {
        write32(0xcf8, 0x8000_f800 | offset);
        read32(0xcfc)
    };
    let (base, on) = (read(0x40) & 0xff80, read(0x44) & 0x80 != 0);
    (on && base != 0).then_some(base as u16)
}

/// Steps of the timer since some moment, for differences of less than four seconds.
pub struct Timer(u16);

impl Timer {
    /// The timer, where there is one.
    pub fn find() -> Option<Self> {
        Some(Self(block()? + TIMER))
    }

    /// Now.
    pub fn read(&self) -> u32 {
        read32(self.0) & MASK
    }

    /// Steps between two moments.
    pub fn between(from: u32, to: u32) -> u64 {
        u64::from(to.wrapping_sub(from) & MASK)
    }
}

/// Switches the machine off. Returns if it cannot.
pub fn off() {
    if let Some(block) = block() {
        write16(block + CONTROL, SLEEP);
    }
}
