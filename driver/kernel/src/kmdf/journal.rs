//! The log of a driver: [`crate::log::Log`] under a lock, with the circumstances filled in.

use core::{
    arch::{asm, x86_64::_rdtsc},
    ptr::null_mut,
    slice,
};

use cancelnic_ioctl::log::{LOG_RECORDS, Record};
use wdk_sys::{
    _POOL_TYPE, NTSTATUS, WDFOBJECT, call_unsafe_wdf_function_binding, ntddk::PsGetCurrentThreadId,
};

use super::{context, lock::Locked};
use crate::{check, log::Log};

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
    /// Makes an empty log whose lock and memory are children of `parent`, in pool under `tag`. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// `parent` is alive and outlives the value.
    ///
    /// # Errors
    /// A status, for want of memory.
    pub unsafe fn new(parent: WDFOBJECT, tag: u32) -> Result<Self, NTSTATUS> {
        let mut attributes = context::plain_attributes();
        attributes.ParentObject = parent;
        let (mut memory, mut buffer) = (null_mut(), null_mut());
        // SAFETY: the parent is alive; handle and address are written on success.
        check(unsafe {
            call_unsafe_wdf_function_binding!(
                WdfMemoryCreate,
                &raw mut attributes,
                _POOL_TYPE::NonPagedPoolNx,
                tag,
                LOG_RECORDS * size_of::<Record>(),
                &raw mut memory,
                &raw mut buffer
            )
        })?;
        let first = buffer.cast::<Record>();
        // SAFETY: the memory was just made, is aligned to 16 bytes, lives as long as the parent, hence longer than
        // this value, and nobody else knows it.
        let records = unsafe {
            first.write_bytes(0, LOG_RECORDS);
            slice::from_raw_parts_mut(first, LOG_RECORDS)
        };
        // SAFETY: as the caller vouches.
        Ok(Self(unsafe { Locked::new(parent, Log::new(records)) }?))
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
