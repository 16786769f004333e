//! The steady clock.

use wdk_sys::{LARGE_INTEGER, ntddk::KeQueryPerformanceCounter};

const MICROSECONDS: u64 = 1_000_000;

/// Microseconds since some moment of the past. Any IRQL.
#[must_use]
pub fn microseconds() -> u64 {
    let mut frequency = LARGE_INTEGER::default();
    // SAFETY: the frequency lives over the call, which writes it.
    let ticks = unsafe { KeQueryPerformanceCounter(&raw mut frequency) };
    let number = |value: LARGE_INTEGER| {
        // SAFETY: a number in whichever form.
        (unsafe { value.QuadPart }) as u64
    };
    let (ticks, frequency) = (number(ticks), number(frequency));
    let frequency = frequency.max(1);
    // in two parts, so that no product overflows
    ticks / frequency * MICROSECONDS + ticks % frequency * MICROSECONDS / frequency
}

/// The same in milliseconds. Any IRQL.
#[must_use]
pub fn milliseconds() -> u64 {
    microseconds() / 1000
}
