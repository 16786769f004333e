//! The log of a driver: [`crate::log::Log`] under a lock, with the circumstances filled in.

use core::{
    arch::{asm, x86_64::_rdtsc},
    slice,
};

use cancelnic_ioctl::log::{LOG_RECORDS, Record};
use wdk_sys::{NTSTATUS, ntddk::PsGetCurrentThreadId};

use super::{device::Device, lock::Locked, memory::Memory};
use crate::log::Log;

/// A driver's log.
pub struct Journal(Locked<Log<&'static mut [Record]>>);

/// The processor's IRQL.
#[must_use]
pub fn irql() -> u32 {
    let level: u64;
    // SAFETY: in kernel mode CR8 holds the IRQL; reading it changes nothing.
    unsafe { asm!("mov {}, cr8", out(reg) level, options(nomem, nostack, preserves_flags)) };
    level as u32
}

impl Journal {
    /// Makes an empty log whose lock and memory are children of `device`, in pool under `tag`. PASSIVE_LEVEL.
    ///
    /// # Errors
    /// A status, for want of memory.
    pub fn new(device: Device, tag: u32) -> Result<Self, NTSTATUS> {
        // SAFETY: the device is alive.
        let memory = unsafe { Memory::new(device.object(), tag, LOG_RECORDS * size_of::<Record>()) }?;
        let first = memory.start.cast::<Record>();
        // SAFETY: the memory has room for as many records, is aligned to 16 bytes, and nobody else knows it.
        unsafe { first.write_bytes(0, LOG_RECORDS) };
        // SAFETY: the same memory, whose zeros are records; it lives as long as the device, hence longer than this value.
        let records = unsafe { slice::from_raw_parts_mut(first.as_ptr(), LOG_RECORDS) };
        Ok(Self(Locked::new(device, Log::new(records))?))
    }

    /// Writes a record: one of [`cancelnic_ioctl::log::event`] of request `tag`. At most DISPATCH_LEVEL.
    pub fn note(&self, event: u32, tag: u32, status: NTSTATUS, value: u64) {
        let record = Record {
            event,
            tag,
            status: status as u32,
            value,
            irql: irql(),
            // SAFETY: allowed at any IRQL up to DISPATCH_LEVEL.
            thread: unsafe { PsGetCurrentThreadId() } as u64,
            ..Record::default()
        };
        // SAFETY: every x64 processor has the instruction.
        self.0.with(|log| log.push(Record { at: unsafe { _rdtsc() }, ..record }));
    }

    /// Answers a program: what fits is taken out of the log. The length of the answer. At most DISPATCH_LEVEL.
    pub fn read(&self, output: &mut [u8]) -> usize {
        self.0.with(|log| log.read(output))
    }
}
