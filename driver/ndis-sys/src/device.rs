//! Control devices and events to wait on.

use core::ffi::c_void;

use crate::{
    assert_layout,
    nt::{GUID, PDRIVER_DISPATCH, PUNICODE_STRING},
    object::NDIS_OBJECT_HEADER,
};

/// Entries of a table of dispatch routines: IRP_MJ_MAXIMUM_FUNCTION and those before it.
pub const DISPATCH_ROUTINES: usize = 0x1B + 1;

/// What NdisRegisterDeviceEx makes a device of. NDIS copies it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_DEVICE_OBJECT_ATTRIBUTES {
    /// Type DEVICE_OBJECT_ATTRIBUTES.
    pub Header: NDIS_OBJECT_HEADER,
    /// Name in `\Device`.
    pub DeviceName: PUNICODE_STRING,
    /// Name in `\DosDevices`.
    pub SymbolicName: PUNICODE_STRING,
    /// [`DISPATCH_ROUTINES`] entries, by IRP_MJ_ value.
    pub MajorFunctions: *mut PDRIVER_DISPATCH,
    /// Bytes that NdisGetDeviceReservedExtension gives; the device extension itself is NDIS's.
    pub ExtensionSize: u32,
    /// Who may open it.
    pub DefaultSDDLString: PUNICODE_STRING,
    /// Null, or the class under which an administrator can override the security.
    pub DeviceClassGuid: *const GUID,
}
assert_layout!(NDIS_DEVICE_OBJECT_ATTRIBUTES: 0x38 align 8 {
    Header @ 0, DeviceName @ 8, SymbolicName @ 0x10, MajorFunctions @ 0x18, ExtensionSize @ 0x20,
    DefaultSDDLString @ 0x28, DeviceClassGuid @ 0x30,
});

/// An event of NDIS: a kernel event object inside.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_EVENT {
    /// The kernel's.
    pub Event: [*mut c_void; 3],
}
assert_layout!(NDIS_EVENT: 0x18 align 8 { Event @ 0 });

/// A spin lock with the IRQL before it was taken.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_SPIN_LOCK {
    /// The kernel's.
    pub SpinLock: u64,
    /// IRQL to return to.
    pub OldIrql: u8,
}
assert_layout!(NDIS_SPIN_LOCK: 0x10 align 8 { SpinLock @ 0, OldIrql @ 8 });

/// Priority of NdisAllocateMemoryWithTagPriority.
pub type EX_POOL_PRIORITY = i32;
/// May fail when memory is scarce.
pub const LowPoolPriority: EX_POOL_PRIORITY = 0;
/// The usual.
pub const NormalPoolPriority: EX_POOL_PRIORITY = 16;
/// Fails only when there is nothing left.
pub const HighPoolPriority: EX_POOL_PRIORITY = 32;
