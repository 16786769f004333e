//! The steady clock.

use wdk_sys::{LARGE_INTEGER, ntddk::KeQueryPerformanceCounter};

const MICROSECONDS: u64 = 1_000_000;

/// Microseconds since some moment of the past. Any IRQL.
pub fn microseconds() -> u64 {
    let mut frequency = LARGE_INTEGER::default();
    // SAFETY: the frequency is written by the call; both unions are read as the number they hold.
    let (ticks, frequency) = unsafe {
        let ticks = KeQueryPerformanceCounter(&raw mut frequency);
        (ticks.QuadPart as u64, frequency.QuadPart as u64)
    };
    let frequency = frequency.max(1);
    // in two parts, so that no product overflows
    ticks / frequency * MICROSECONDS + ticks % frequency * MICROSECONDS / frequency
}

/// The same in milliseconds. Any IRQL.
pub fn milliseconds() -> u64 {
    microseconds() / 1000
}
