//! What the driver tells people: lines for a debugger, entries in the system's event log.

use core::{
    fmt,
    mem::{offset_of, size_of},
};

use cancelnic_kernel::print::{self, Level, Line};
use wdk_sys::{
    IO_ERROR_LOG_PACKET, NTSTATUS, WDFDEVICE, call_unsafe_wdf_function_binding,
    ntddk::{IoAllocateErrorLogEntry, IoWriteErrorLogEntry},
};

/// Tag of this driver's pool allocations: `cnic` as it reads in memory.
pub const POOL_TAG: u32 = u32::from_le_bytes(*b"cnic");

/// Prints one line that begins with the driver's name. Any IRQL up to DISPATCH_LEVEL.
pub fn line(level: Level, arguments: fmt::Arguments<'_>) {
    print::line(level, format_args!("cancelnic: {arguments}"));
}

/// An entry in the event log; the numbers are those of netevent.dll's messages, which the INF names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Event {
    /// 5002: the adapter is not functioning properly.
    HardwareFailure = 0xC000_138A,
    /// 5009: the configuration is not supported.
    Unsupported = 0xC000_1391,
}

/// Longest reason in an entry, UTF-16 units.
const REASON: usize = 90;

/// Writes an entry with a reason, and prints the reason. At most DISPATCH_LEVEL.
///
/// # Safety
/// `device` is alive.
pub unsafe fn event(device: WDFDEVICE, event: Event, status: NTSTATUS, reason: fmt::Arguments<'_>) {
    let text = Line::of(reason);
    line(Level::Error, format_args!("{reason} (status {status:#010x})"));

    const STRING: usize = offset_of!(IO_ERROR_LOG_PACKET, DumpData);
    const _: () = assert!(STRING + (REASON + 1) * 2 <= 240, "the log takes no longer entry");
    let units = text.text().len().min(REASON);
    let size = (STRING + (units + 1) * size_of::<u16>()).max(size_of::<IO_ERROR_LOG_PACKET>());
    // SAFETY: the device is alive, so is its device object.
    let entry = unsafe {
        let object = call_unsafe_wdf_function_binding!(WdfDeviceWdmGetDeviceObject, device);
        IoAllocateErrorLogEntry(object.cast(), size as u8)
    };
    if entry.is_null() {
        return;
    }
    // SAFETY: the entry has `size` bytes, zeroed, aligned for the packet; writing it gives it away.
    unsafe {
        entry.cast::<IO_ERROR_LOG_PACKET>().write(IO_ERROR_LOG_PACKET {
            ErrorCode: event as u32 as NTSTATUS,
            FinalStatus: status,
            NumberOfStrings: 1,
            StringOffset: STRING as u16,
            ..IO_ERROR_LOG_PACKET::default()
        });
        let units_at = entry.byte_add(STRING).cast::<u16>();
        for (at, byte) in text.text().iter().take(units).enumerate() {
            units_at.add(at).write(u16::from(*byte));
        }
        units_at.add(units).write(0);
        IoWriteErrorLogEntry(entry);
    }
}
