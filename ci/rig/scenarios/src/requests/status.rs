//! NTSTATUS values of requests.

pub(super) const SUCCESS: u32 = 0;
pub(super) const CANCELLED: u32 = 0xC000_0120;
pub(super) const IO_TIMEOUT: u32 = 0xC000_00B5;
pub(super) const INVALID_DEVICE_REQUEST: u32 = 0xC000_0010;
