//! What the driver tells people: lines for a debugger, entries in the system's event log.

use core::{
    fmt,
    mem::{offset_of, size_of},
};

use cancelnic_kernel::{
    kmdf::device::Device,
    print::{self, Level, Line},
};
use wdk_sys::{
    IO_ERROR_LOG_PACKET, NTSTATUS,
    ntddk::{IoAllocateErrorLogEntry, IoWriteErrorLogEntry},
};

/// Tag of this driver's pool allocations: `cnic` as it reads in memory.
pub(crate) const POOL_TAG: u32 = u32::from_le_bytes(*b"cnic");

/// Prints one line that begins with the driver's name. Any IRQL up to DISPATCH_LEVEL.
pub(crate) fn line(level: Level, arguments: fmt::Arguments<'_>) {
    print::line(level, format_args!("cancelnic: {arguments}"));
}

/// An entry in the event log; the numbers are those of netevent.dll's messages, which the INF names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Event {
    /// 5002: the adapter is not functioning properly.
    HardwareFailure = 0xC000_138A,
    /// 5009: the configuration is not supported.
    Unsupported = 0xC000_1391,
}

/// Longest reason in an entry, UTF-16 units.
const REASON: usize = 90;

/// Writes an entry with a reason, and prints the reason. At most DISPATCH_LEVEL.
pub(crate) fn event(device: Device, event: Event, status: NTSTATUS, reason: fmt::Arguments<'_>) {
    let text = Line::of(reason);
    line(Level::Error, format_args!("{reason} (status {status:#010x})"));

    const STRING: usize = offset_of!(IO_ERROR_LOG_PACKET, DumpData);
    const _: () = assert!(STRING + (REASON + 1) * 2 <= 240, "the log takes no longer entry");
    let units = text.text().len().min(REASON);
    let size = (STRING + (units + 1) * size_of::<u16>()).max(size_of::<IO_ERROR_LOG_PACKET>());
    // SAFETY: the device is alive, and so is its device object.
    let entry = unsafe { IoAllocateErrorLogEntry(device.wdm().cast(), size as u8) };
    if entry.is_null() {
        return;
    }
    let packet = IO_ERROR_LOG_PACKET {
        ErrorCode: event as u32 as NTSTATUS,
        FinalStatus: status,
        NumberOfStrings: 1,
        StringOffset: STRING as u16,
        ..IO_ERROR_LOG_PACKET::default()
    };
    // SAFETY: the entry has `size` bytes, zeroed and aligned for the packet.
    unsafe { entry.cast::<IO_ERROR_LOG_PACKET>().write(packet) };
    // SAFETY: the string begins inside the entry, which has room for these units and the zero behind them.
    let units_at = unsafe { entry.byte_add(STRING) }.cast::<u16>();
    for (at, unit) in text.text().iter().take(units).map(|byte| u16::from(*byte)).chain([0]).enumerate() {
        // SAFETY: one of the units that there is room for.
        let place = unsafe { units_at.add(at) };
        // SAFETY: the same place, aligned for a unit as STRING is even.
        unsafe { place.write(unit) };
    }
    // SAFETY: an entry from IoAllocateErrorLogEntry, filled in; this gives it away.
    unsafe { IoWriteErrorLogEntry(entry) };
}
