//! The I/O targets: cancelnic.sys's device interface, opened by name, and the next lower device of the relay's own stack.

use core::{ptr::null_mut, slice};

use cancelnic_ioctl::{
    Header, NIC_INTERFACE,
    log::event,
    relay::{Target, TargetAnswer, target},
};
use cancelnic_kernel::{check, guid};
use cancelnic_mutants::Mutant;
use wdk_sys::{
    _WDF_IO_TARGET_PURGE_IO_ACTION, _WDF_IO_TARGET_SENT_IO_ACTION, _WDF_IO_TARGET_STATE, GUID, NTSTATUS,
    STATUS_NO_SUCH_DEVICE, STATUS_SUCCESS,
    ntddk::{ExFreePoolWithTag, IoGetDeviceInterfaces},
};

use crate::relay::Relay;

/// The class of cancelnic.sys's interface.
static CLASS: GUID = guid(NIC_INTERFACE);

impl Relay {
    /// Does what a program wants of the target. PASSIVE_LEVEL.
    pub(crate) fn target_action(&self, wanted: Target) -> TargetAnswer {
        use _WDF_IO_TARGET_PURGE_IO_ACTION::{WdfIoTargetPurgeIo, WdfIoTargetPurgeIoAndWait};
        use _WDF_IO_TARGET_SENT_IO_ACTION::{
            WdfIoTargetCancelSentIo, WdfIoTargetLeaveSentIoPending, WdfIoTargetWaitForSentIoToComplete,
        };

        let meant = self.way(wanted.way);
        self.journal.note(event::TARGET, u32::MAX, 0, u64::from(wanted.action));
        let mut status = STATUS_SUCCESS;
        match wanted.action {
            target::OPEN => status = self.open_target().err().unwrap_or(STATUS_SUCCESS),
            target::CLOSE => self.close_target(),
            target::START => status = meant.start(),
            target::STOP_CANCEL => meant.stop(WdfIoTargetCancelSentIo),
            target::STOP_WAIT => meant.stop(WdfIoTargetWaitForSentIoToComplete),
            target::STOP_LEAVE => meant.stop(WdfIoTargetLeaveSentIoPending),
            target::PURGE_WAIT => meant.purge(WdfIoTargetPurgeIoAndWait),
            target::PURGE => meant.purge(WdfIoTargetPurgeIo),
            _ => (),
        }
        let state = meant.state() as u32;
        self.journal.note(event::TARGET_DONE, u32::MAX, status, u64::from(state));
        TargetAnswer { header: Header::of::<TargetAnswer>(), status: status as u32, state }
    }

    /// Opens the first interface of cancelnic.sys. PASSIVE_LEVEL.
    fn open_target(&self) -> Result<(), NTSTATUS> {
        let mut list = null_mut();
        // SAFETY: the class is a static; the list is the system's, from pool, and freed below.
        check(unsafe { IoGetDeviceInterfaces(&raw const CLASS, null_mut(), 0, &raw mut list) })?;
        let mut length = 0;
        let unit = |at: usize| {
            // SAFETY: a list of zero-terminated strings, ended by an empty one: the first string's units up to its end.
            let place = unsafe { list.add(at) };
            // SAFETY: the same unit, which nobody changes.
            unsafe { place.read() }
        };
        while unit(length) != 0 {
            length += 1;
        }
        // SAFETY: as many units are there; the list is not changed.
        let name = unsafe { slice::from_raw_parts(list, length) };
        let opened = if name.is_empty() { Err(STATUS_NO_SUCH_DEVICE) } else { self.open_name(name) };
        // SAFETY: allocated by IoGetDeviceInterfaces for the caller to free, tag 0 as by ExFreePool; not used any more.
        unsafe { ExFreePoolWithTag(list.cast(), 0) };
        opened
    }

    fn open_name(&self, name: &[u16]) -> Result<(), NTSTATUS> {
        self.target.open(name)?;
        // Programs' requests are passed on as they are: they need the target's stack locations below the relay's.
        // SAFETY: the target is open, so its device object is there.
        let needed = unsafe { (*self.target.wdm()).StackSize } + 1;
        // SAFETY: the relay's own device object.
        let own = unsafe { &raw mut (*self.device.wdm()).StackSize };
        // SAFETY: a field of the relay's own device object, which nobody writes meanwhile.
        let present = unsafe { own.read() };
        // SAFETY: the same field.
        unsafe { own.write(present.max(needed)) };
        Ok(())
    }

    /// Closes the target: what is under way is recalled and waited for. PASSIVE_LEVEL.
    pub(crate) fn close_target(&self) {
        if self.target.state() != _WDF_IO_TARGET_STATE::WdfIoTargetClosed {
            self.target.close();
        }
    }

    /// The device goes: the local target goes with it, and what is still with that comes back before. PASSIVE_LEVEL.
    pub(crate) fn purge_below(&self) {
        if self.mutant.is(Mutant::ClosesLocalTarget) {
            // that it is not the driver's to close is the fault
            self.below.close();
        }
        self.below.purge(_WDF_IO_TARGET_PURGE_IO_ACTION::WdfIoTargetPurgeIoAndWait);
    }

    /// Before power goes. PASSIVE_LEVEL.
    pub(crate) fn suspend_target(&self) {
        let started = self.target.state() == _WDF_IO_TARGET_STATE::WdfIoTargetStarted;
        if started && !self.mutant.is(Mutant::LeavesTarget) {
            self.target.stop(_WDF_IO_TARGET_SENT_IO_ACTION::WdfIoTargetLeaveSentIoPending);
        }
    }

    /// After power has come. PASSIVE_LEVEL.
    pub(crate) fn resume_target(&self) -> NTSTATUS {
        if self.target.state() == _WDF_IO_TARGET_STATE::WdfIoTargetStopped {
            return self.target.start();
        }
        STATUS_SUCCESS
    }
}
