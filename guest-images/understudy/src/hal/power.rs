//! The chipset's power management block (ICH9, LPC bridge 00:1f.0): a timer that always runs, and the way off.

use super::port::{read32, write8, write16, write32};
use super::serial;

/// Steps of the timer per second, and its width.
pub(crate) const FREQUENCY: u64 = 3_579_545;
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
pub(crate) struct Timer(u16);

impl Timer {
    /// The timer, where there is one.
    pub(crate) fn find() -> Option<Self> {
        Some(Self(block()? + TIMER))
    }

    /// Now.
    pub(crate) fn read(&self) -> u32 {
        read32(self.0) & MASK
    }

    /// Steps between two moments.
    pub(crate) fn between(from: u32, to: u32) -> u64 {
        u64::from(to.wrapping_sub(from) & MASK)
    }
}

/// Switches the machine off. Returns if it cannot.
pub(crate) fn off() {
    if let Some(block) = block() {
        write16(block + CONTROL, SLEEP);
    }
}

/// Values for the debug-exit device: QEMU ends with `2 * value + 1`. An orderly end.
const EXIT_ORDERLY: u8 = 0x10;
/// A fault of understudy itself.
pub(crate) const EXIT_INTERNAL: u8 = 0x30;
const DEBUG_EXIT: u16 = 0xf4;

/// Ends the run, once everything that was said is out: a machine that has the debug-exit device goes with this value,
/// in another one nothing runs any more.
pub(crate) fn exit(value: u8) -> ! {
    serial::drain();
    write8(DEBUG_EXIT, value);
    loop {
        super::cpu::interrupts_off();
        super::cpu::halt();
    }
}

/// Ends the run in order: the machine is off.
pub(crate) fn off_in_order() -> ! {
    serial::drain();
    write8(DEBUG_EXIT, EXIT_ORDERLY);
    off();
    exit(EXIT_ORDERLY)
}

/// Ends the run for a fault of understudy itself.
pub(crate) fn fatal(what: &str) -> ! {
    super::cpu::interrupts_off();
    crate::log!("understudy: {what}");
    exit(EXIT_INTERNAL)
}
