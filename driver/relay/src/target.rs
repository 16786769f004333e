//! The I/O targets: cancelnic.sys's device interface, opened by name, and the next lower device of the relay's own stack.

use core::{mem::size_of, ptr::null_mut, slice};

use cancelnic_ioctl::{
    Guid, Header, NIC_INTERFACE,
    log::event,
    relay::{Target, TargetAnswer, target, way},
};
use cancelnic_kernel::{check, text::counted};
use cancelnic_mutants::Mutant;
use wdk_sys::{
    _WDF_IO_TARGET_OPEN_TYPE, _WDF_IO_TARGET_PURGE_IO_ACTION, _WDF_IO_TARGET_SENT_IO_ACTION,
    _WDF_IO_TARGET_STATE, FILE_OPEN, FILE_SHARE_READ, FILE_SHARE_WRITE, GENERIC_READ, GENERIC_WRITE, GUID,
    NTSTATUS, STATUS_NO_SUCH_DEVICE, STATUS_SUCCESS, ULONG, WDF_IO_TARGET_OPEN_PARAMS, WDFIOTARGET,
    call_unsafe_wdf_function_binding,
    ntddk::{ExFreePoolWithTag, IoGetDeviceInterfaces},
};

use crate::device::Relay;

/// The class of cancelnic.sys's interface.
static CLASS: GUID = {
    let Guid(first, second, third, rest) = NIC_INTERFACE;
    GUID { Data1: first, Data2: second, Data3: third, Data4: rest }
};

/// A target's state, as the framework numbers them.
fn state(target: WDFIOTARGET) -> i32 {
    // SAFETY: the relay's targets live as long as the device.
    unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetGetState, target) }
}

/// Stops a target. PASSIVE_LEVEL.
fn stop(target: WDFIOTARGET, action: _WDF_IO_TARGET_SENT_IO_ACTION::Type) {
    // SAFETY: as above.
    unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetStop, target, action) };
}

/// Purges a target. PASSIVE_LEVEL.
fn purge(target: WDFIOTARGET, action: _WDF_IO_TARGET_PURGE_IO_ACTION::Type) {
    // SAFETY: as above.
    unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetPurge, target, action) };
}

impl Relay {
    /// The target that a program means by one of [`way`].
    pub fn way(&self, way: u32) -> WDFIOTARGET {
        if way == way::BELOW { self.below } else { self.target }
    }

    /// Does what a program wants of the target. PASSIVE_LEVEL.
    pub fn target_action(&self, wanted: Target) -> TargetAnswer {
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
            // SAFETY: the target lives as long as the device.
            target::START => unsafe {
                status = call_unsafe_wdf_function_binding!(WdfIoTargetStart, meant);
            },
            target::STOP_CANCEL => stop(meant, WdfIoTargetCancelSentIo),
            target::STOP_WAIT => stop(meant, WdfIoTargetWaitForSentIoToComplete),
            target::STOP_LEAVE => stop(meant, WdfIoTargetLeaveSentIoPending),
            target::PURGE_WAIT => purge(meant, WdfIoTargetPurgeIoAndWait),
            target::PURGE => purge(meant, WdfIoTargetPurgeIo),
            _ => (),
        }
        let state = state(meant) as u32;
        self.journal.note(event::TARGET_DONE, u32::MAX, status, u64::from(state));
        TargetAnswer { header: Header::of::<TargetAnswer>(), status: status as u32, state }
    }

    /// Opens the first interface of cancelnic.sys. PASSIVE_LEVEL.
    fn open_target(&self) -> Result<(), NTSTATUS> {
        let mut list = null_mut();
        // SAFETY: the class is a static; the list is the system's, from pool, and freed below.
        check(unsafe { IoGetDeviceInterfaces(&raw const CLASS, null_mut(), 0, &raw mut list) })?;
        // SAFETY: a list of zero-terminated strings, ended by an empty one.
        let name = unsafe {
            let mut length = 0;
            while *list.add(length) != 0 {
                length += 1;
            }
            slice::from_raw_parts(list, length)
        };
        let opened = if name.is_empty() { Err(STATUS_NO_SUCH_DEVICE) } else { self.open_name(name) };
        // SAFETY: allocated by IoGetDeviceInterfaces for the caller to free, tag 0 as by ExFreePool; not used any more.
        unsafe { ExFreePoolWithTag(list.cast(), 0) };
        opened
    }

    fn open_name(&self, name: &[u16]) -> Result<(), NTSTATUS> {
        let mut parameters = WDF_IO_TARGET_OPEN_PARAMS {
            Size: size_of::<WDF_IO_TARGET_OPEN_PARAMS>() as ULONG,
            Type: _WDF_IO_TARGET_OPEN_TYPE::WdfIoTargetOpenByName,
            TargetDeviceName: counted(name),
            DesiredAccess: GENERIC_READ | GENERIC_WRITE,
            ShareAccess: FILE_SHARE_READ | FILE_SHARE_WRITE,
            CreateDisposition: FILE_OPEN,
            ..WDF_IO_TARGET_OPEN_PARAMS::default()
        };
        // SAFETY: the target lives as long as the device; name and parameters live over the call.
        check(unsafe {
            call_unsafe_wdf_function_binding!(WdfIoTargetOpen, self.target, &raw mut parameters)
        })?;
        // SAFETY: the target is open, so its device object is there; the relay's lives as long as the device.
        unsafe {
            let below = call_unsafe_wdf_function_binding!(WdfIoTargetWdmGetTargetDeviceObject, self.target);
            let own = call_unsafe_wdf_function_binding!(WdfDeviceWdmGetDeviceObject, self.device);
            // programs' requests are passed on as they are: they need the target's stack locations below the relay's
            (*own).StackSize = (*own).StackSize.max((*below).StackSize + 1);
        }
        Ok(())
    }

    /// Closes the target: what is under way is recalled and waited for. PASSIVE_LEVEL.
    pub fn close_target(&self) {
        if state(self.target) != _WDF_IO_TARGET_STATE::WdfIoTargetClosed {
            // SAFETY: the target lives as long as the device.
            unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetClose, self.target) };
        }
    }

    /// The device goes: the local target goes with it, and what is still with that comes back before. PASSIVE_LEVEL.
    pub fn purge_below(&self) {
        if self.mutant.is(Mutant::ClosesLocalTarget) {
            // SAFETY: the target lives as long as the device; that it is not the driver's to close is the fault.
            unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetClose, self.below) };
        }
        purge(self.below, _WDF_IO_TARGET_PURGE_IO_ACTION::WdfIoTargetPurgeIoAndWait);
    }

    /// Before power goes. PASSIVE_LEVEL.
    pub fn suspend_target(&self) {
        let started = state(self.target) == _WDF_IO_TARGET_STATE::WdfIoTargetStarted;
        if started && !self.mutant.is(Mutant::LeavesTarget) {
            stop(self.target, _WDF_IO_TARGET_SENT_IO_ACTION::WdfIoTargetLeaveSentIoPending);
        }
    }

    /// After power has come. PASSIVE_LEVEL.
    pub fn resume_target(&self) -> NTSTATUS {
        if state(self.target) == _WDF_IO_TARGET_STATE::WdfIoTargetStopped {
            // SAFETY: the target lives as long as the device.
            return unsafe { call_unsafe_wdf_function_binding!(WdfIoTargetStart, self.target) };
        }
        STATUS_SUCCESS
    }
}
