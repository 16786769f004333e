//! Time: the processor's counter, measured once against ACPI's timer.

pub(crate) use crate::hal::cpu::counter;
#[cfg(target_os = "none")]
use crate::hal::power::{FREQUENCY, Timer};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counter value at the kernel's first Rust instruction.
static START: AtomicU64 = AtomicU64::new(0);
/// Counter steps per millisecond.
static PER_MS: AtomicU64 = AtomicU64::new(1_000_000);
/// Length of the measurement, microseconds.
#[cfg(target_os = "none")]
const MEASURE_US: u64 = 5_000;
/// Readings of which the tightest counts.
#[cfg(target_os = "none")]
const READINGS: u32 = 8;

/// Remembers the start and measures the counter's speed.
#[cfg(target_os = "none")]
pub(crate) fn start() {
    START.store(counter(), Relaxed);
    let Some(timer) = Timer::find() else {
        crate::log!("no ACPI timer: time is a guess");
        return;
    };
    let (from, counted) = moment(&timer);
    while Timer::between(from, timer.read()) * 1_000_000 < MEASURE_US * FREQUENCY {}
    let (to, counted_to) = moment(&timer);
    let steps = Timer::between(from, to);
    let counted = counted_to.saturating_sub(counted);
    PER_MS.store((counted * FREQUENCY / (steps * 1000)).max(1000), Relaxed);
}

/// Timer and counter at one moment: the host may take the processor away between two readings, so it is the tightest of
/// several.
#[cfg(target_os = "none")]
fn moment(timer: &Timer) -> (u32, u64) {
    let read = |_| {
        let before = counter();
        let steps = timer.read();
        let took = counter().saturating_sub(before);
        (took, steps, before + took / 2)
    };
    let (_, steps, counted) =
        (1..READINGS).map(read).fold(read(0), |best, next| if next.0 < best.0 { next } else { best });
    (steps, counted)
}

/// Counter steps per second.
pub(crate) fn frequency() -> u64 {
    PER_MS.load(Relaxed) * 1000
}

/// Microseconds since the first instruction.
pub(crate) fn now_us() -> u64 {
    let steps = counter().wrapping_sub(START.load(Relaxed));
    (u128::from(steps) * 1000 / u128::from(PER_MS.load(Relaxed))) as u64
}

/// Waits without giving the processor away. Any IRQL.
pub(crate) fn stall_us(us: u64) {
    let until = now_us() + us;
    while now_us() < until {
        crate::hal::cpu::spin();
    }
}
