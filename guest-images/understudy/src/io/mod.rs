//! The I/O manager: device objects, names, files, I/O request packets, cancellation.
//!
//! Device objects of every driver are here, whoever made them: KMDF ([`device::Dispatch::Framework`]), a driver with a
//! dispatch table of its own ([`device::Dispatch::Table`], as NdisRegisterDeviceEx has it), or one that fills
//! DRIVER_OBJECT.MajorFunction and calls IoCreateDevice. IRPs are the real structures, as drivers look inside.

pub(crate) mod api;
pub(crate) mod device;
pub(crate) mod file;
pub(crate) mod interface;
pub(crate) mod irp;
pub(crate) mod names;
pub(crate) mod pdo;
pub(crate) mod registry;
mod transfer;

pub(crate) use irp::Irp;
pub(crate) use transfer::mdl_over;

use wdk_offline::NTSTATUS;

/// Statuses of the I/O manager's own.
pub(crate) const STATUS_PENDING: NTSTATUS = 0x103;
/// A completion routine takes the IRP back.
pub(crate) const STATUS_MORE_PROCESSING_REQUIRED: NTSTATUS = 0xC000_0016_u32 as i32;
/// The request was cancelled.
pub(crate) const STATUS_CANCELLED: NTSTATUS = 0xC000_0120_u32 as i32;
/// The device is not in a state to accept it.
pub(crate) const STATUS_INVALID_DEVICE_STATE: NTSTATUS = 0xC000_0184_u32 as i32;
/// The device is gone.
pub(crate) const STATUS_NO_SUCH_DEVICE: NTSTATUS = 0xC000_000E_u32 as i32;
/// A name that is taken.
pub(crate) const STATUS_OBJECT_NAME_COLLISION: NTSTATUS = 0xC000_0035_u32 as i32;

/// IRP_MJ_CREATE, _CLOSE, _CLEANUP, _DEVICE_CONTROL, _INTERNAL_DEVICE_CONTROL.
pub(crate) const MJ_CREATE: u8 = 0;
/// IRP_MJ_CLOSE.
pub(crate) const MJ_CLOSE: u8 = 2;
/// IRP_MJ_READ.
pub(crate) const MJ_READ: u8 = 3;
/// IRP_MJ_WRITE.
pub(crate) const MJ_WRITE: u8 = 4;
/// IRP_MJ_DEVICE_CONTROL.
pub(crate) const MJ_DEVICE_CONTROL: u8 = 14;
/// IRP_MJ_INTERNAL_DEVICE_CONTROL.
pub(crate) const MJ_INTERNAL_DEVICE_CONTROL: u8 = 15;
/// IRP_MJ_CLEANUP.
pub(crate) const MJ_CLEANUP: u8 = 18;
