//! The log of a driver: [`crate::log::Log`] under a lock, with the circumstances filled in.

use core::arch::{asm, x86_64::_rdtsc};

use cancelnic_ioctl::log::{LOG_RECORDS, Record};
use wdk_sys::{NTSTATUS, ntddk::PsGetCurrentThreadId};

use super::{device::Device, lock::Locked, memory};
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
        let records = memory::values(device, tag, LOG_RECORDS, Record::default)?;
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
