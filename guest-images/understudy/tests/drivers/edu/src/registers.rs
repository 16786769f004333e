//! The device's registers, of 32 bits each, as QEMU's docs/specs/edu.rst describes them.

use core::ptr::NonNull;
use wdk_sys::{
    CM_PARTIAL_RESOURCE_DESCRIPTOR, CmResourceTypeMemory, NTSTATUS, PAGE_NOCACHE, PAGE_READWRITE,
    STATUS_DEVICE_CONFIGURATION_ERROR, STATUS_INSUFFICIENT_RESOURCES, WDFCMRESLIST,
    call_unsafe_wdf_function_binding,
    ntddk::{MmMapIoSpaceEx, MmUnmapIoSpace},
};

/// What is mapped: all registers but those of DMA.
const LENGTH: u64 = 0x80;

const ID: usize = 0x00;
const LIVENESS: usize = 0x04;
const FACTORIAL: usize = 0x08;
const STATUS: usize = 0x20;
const RAISED: usize = 0x24;
const ACKNOWLEDGE: usize = 0x64;

/// The identity's lower half: the upper one is a version.
const EDU: u32 = 0x00ed;
/// Of STATUS: the device computes; it raises an interrupt when it is done.
const COMPUTES: u32 = 1;
const INTERRUPT_WHEN_DONE: u32 = 0x80;

/// The mapped registers, which unmap themselves.
pub(crate) struct Registers(NonNull<u32>);

// SAFETY: registers, which any thread may use.
unsafe impl Send for Registers {}
// SAFETY: each access is one to the device.
unsafe impl Sync for Registers {}

impl Registers {
    /// Maps BAR 0, the first memory resource. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// The list is the translated one of EvtDevicePrepareHardware, which still runs.
    pub(crate) unsafe fn map(list: WDFCMRESLIST) -> Result<Self, NTSTATUS> {
        // SAFETY: the caller vouches for the list.
        let count = unsafe { call_unsafe_wdf_function_binding!(WdfCmResourceListGetCount, list) };
        // SAFETY: the caller vouches for the list, and for its descriptors meanwhile.
        let of = |index| unsafe { descriptor(list, index) };
        let memory = (0..count).filter_map(of).find(|found| u32::from(found.Type) == CmResourceTypeMemory);
        let memory = memory.ok_or(STATUS_DEVICE_CONFIGURATION_ERROR)?;
        // SAFETY: a memory descriptor.
        let memory = unsafe { memory.u.Memory };
        if u64::from(memory.Length) < LENGTH {
            return Err(STATUS_DEVICE_CONFIGURATION_ERROR);
        }
        // SAFETY: a memory resource assigned to this device.
        let base = unsafe { MmMapIoSpaceEx(memory.Start, LENGTH, PAGE_READWRITE | PAGE_NOCACHE) };
        NonNull::new(base.cast()).map(Self).ok_or(STATUS_INSUFFICIENT_RESOURCES)
    }

    fn read(&self, offset: usize) -> u32 {
        // SAFETY: one of the registers above, all inside the mapping.
        let at = unsafe { self.0.byte_add(offset) };
        // SAFETY: a mapped register.
        unsafe { at.read_volatile() }
    }

    fn write(&self, offset: usize, value: u32) {
        // SAFETY: one of the registers above, all inside the mapping.
        let at = unsafe { self.0.byte_add(offset) };
        // SAFETY: a mapped register.
        unsafe { at.write_volatile(value) };
    }

    /// Whether the device is there, and answers.
    pub(crate) fn is_alive(&self) -> bool {
        self.write(LIVENESS, 0x1234_5678);
        self.read(ID) & 0xffff == EDU && self.read(LIVENESS) == !0x1234_5678
    }

    /// Lets it compute a factorial, and raise an interrupt when it is done.
    pub(crate) fn compute(&self, of: u32) {
        self.write(STATUS, INTERRUPT_WHEN_DONE);
        self.write(FACTORIAL, of);
    }

    /// The factorial; `None` while it computes.
    pub(crate) fn result(&self) -> Option<u32> {
        (self.read(STATUS) & COMPUTES == 0).then(|| self.read(FACTORIAL))
    }

    /// Acknowledges the interrupt that the device has raised; whether it had.
    pub(crate) fn acknowledge(&self) -> bool {
        let raised = self.read(RAISED);
        if raised != 0 {
            self.write(ACKNOWLEDGE, raised);
        }
        raised != 0
    }

    /// No interrupt from now on.
    pub(crate) fn quiet(&self) {
        self.write(STATUS, 0);
        self.acknowledge();
    }
}

impl Drop for Registers {
    fn drop(&mut self) {
        // SAFETY: mapped by `map` with this length; nothing uses it any more.
        unsafe { MmUnmapIoSpace(self.0.as_ptr().cast(), LENGTH) };
    }
}

/// A descriptor of a list.
///
/// # Safety
/// The list is one that EvtDevicePrepareHardware got, and that callback still runs.
unsafe fn descriptor(list: WDFCMRESLIST, index: u32) -> Option<CM_PARTIAL_RESOURCE_DESCRIPTOR> {
    // SAFETY: the caller vouches for the list.
    let found = unsafe { call_unsafe_wdf_function_binding!(WdfCmResourceListGetDescriptor, list, index) };
    // SAFETY: a descriptor of the list, of any alignment.
    NonNull::new(found).map(|found| unsafe { found.as_ptr().read_unaligned() })
}
