//! Constants that wdk-sys carries itself rather than in generated files, so that code written
//! against [`crate`] alone has them by the same names.

use crate::types::{GUID, NTSTATUS, POOL_FLAGS, PVOID, PWDF_OBJECT_ATTRIBUTES};

/// The operation succeeded.
pub const STATUS_SUCCESS: NTSTATUS = 0;
/// Unspecific failure.
pub const STATUS_UNSUCCESSFUL: NTSTATUS = 0xC000_0001_u32 as i32;
/// A structure's Size field is wrong.
pub const STATUS_INFO_LENGTH_MISMATCH: NTSTATUS = 0xC000_0004_u32 as i32;
/// A handle or number is wrong.
pub const STATUS_INVALID_PARAMETER: NTSTATUS = 0xC000_000D_u32 as i32;
/// The object has no such entry.
pub const STATUS_NOT_FOUND: NTSTATUS = 0xC000_0225_u32 as i32;
/// No such named object.
pub const STATUS_OBJECT_NAME_NOT_FOUND: NTSTATUS = 0xC000_0034_u32 as i32;
/// The buffer is too small for the answer or the value.
pub const STATUS_BUFFER_TOO_SMALL: NTSTATUS = 0xC000_0023_u32 as i32;
/// No memory.
pub const STATUS_INSUFFICIENT_RESOURCES: NTSTATUS = 0xC000_009A_u32 as i32;
/// The device or interface cannot do this.
pub const STATUS_NOT_SUPPORTED: NTSTATUS = 0xC000_00BB_u32 as i32;
/// The device is in the wrong state for the request.
pub const STATUS_INVALID_DEVICE_REQUEST: NTSTATUS = 0xC000_0010_u32 as i32;
/// The resources assigned do not fit the device.
pub const STATUS_DEVICE_CONFIGURATION_ERROR: NTSTATUS = 0xC000_0182_u32 as i32;
/// The device answers wrongly.
pub const STATUS_DEVICE_HARDWARE_ERROR: NTSTATUS = 0xC000_0483_u32 as i32;
/// The two sides speak different revisions.
pub const STATUS_REVISION_MISMATCH: NTSTATUS = 0xC000_0059_u32 as i32;

/// Non-paged, non-executable pool, zeroed.
pub const POOL_FLAG_NON_PAGED: POOL_FLAGS = 0x40;
/// Do not zero the allocation.
pub const POOL_FLAG_UNINITIALIZED: POOL_FLAGS = 0x2;

/// No attributes for a new object.
pub const WDF_NO_OBJECT_ATTRIBUTES: PWDF_OBJECT_ATTRIBUTES = core::ptr::null_mut();
/// No handle wanted.
pub const WDF_NO_HANDLE: PVOID = core::ptr::null_mut();

/// The interface by which a function driver reads its device's configuration space.
pub const GUID_BUS_INTERFACE_STANDARD: GUID = GUID {
    Data1: 0x496B_8280,
    Data2: 0x6F25,
    Data3: 0x11D0,
    Data4: [0xBE, 0xAF, 0x08, 0x00, 0x2B, 0xE2, 0x09, 0x2F],
};

/// Whether `status` is a success or an informational value.
#[must_use]
#[expect(non_snake_case, reason = "the kit's own name")]
pub const fn NT_SUCCESS(status: NTSTATUS) -> bool {
    status >= 0
}
