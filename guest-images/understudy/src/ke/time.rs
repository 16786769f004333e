//! Time: the processor's counter, measured once against the HPET.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counter value at the kernel's first Rust instruction.
static START: AtomicU64 = AtomicU64::new(0);
/// Counter steps per millisecond.
static PER_MS: AtomicU64 = AtomicU64::new(1_000_000);
const HPET: usize = 0xfed0_0000;
/// Length of the measurement, microseconds.
const MEASURE_US: u64 = 5_000;

/// The processor's counter.
pub fn counter() -> u64 {
    // SAFETY: every 64-bit processor has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Remembers the start and measures the counter's speed.
pub fn start() {
    START.store(counter(), Relaxed);
    let read = |offset: usize| {
        // SAFETY: q35 has an HPET at this fixed place, identity mapped.
        unsafe { ((HPET + offset) as *const u64).read_volatile() }
    };
    let period_fs = read(0) >> 32;
    if period_fs == 0 || period_fs > 100_000_000 {
        crate::log!("no HPET: time is a guess");
        return;
    }
    // SAFETY: as above: the enable bit.
    unsafe { ((HPET + 0x10) as *mut u64).write_volatile(1) };
    let (from, counted) = (read(0xf0), counter());
    while (read(0xf0) - from) * period_fs < MEASURE_US * 1_000_000_000 {
        core::hint::spin_loop();
    }
    let (to, counted) = (read(0xf0), counter() - counted);
    let us = ((to - from) * period_fs / 1_000_000_000).max(1);
    PER_MS.store((counted * 1000 / us).max(1000), Relaxed);
}

/// Counter steps per second.
pub fn frequency() -> u64 {
    PER_MS.load(Relaxed) * 1000
}

/// Microseconds since the first instruction.
pub fn now_us() -> u64 {
    let steps = counter().wrapping_sub(START.load(Relaxed));
    (u128::from(steps) * 1000 / u128::from(PER_MS.load(Relaxed))) as u64
}

/// Waits without giving the processor away. Any IRQL.
pub fn stall_us(us: u64) {
    let until = now_us() + us;
    while now_us() < until {
        core::hint::spin_loop();
    }
}

/// Sleeps. PASSIVE_LEVEL.
pub fn delay_us(us: u64) {
    super::Event::manual().wait_timeout(us.max(1));
}
