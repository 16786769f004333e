//! Block devices (13.9).

use crate::{Handle, Result, Status, check, protocol, services};
use core::ptr::{self, NonNull};
use uefi_raw::protocol::block::BlockIoProtocol;

/// LocateHandleBuffer's search by protocol (7.3.15).
const BY_PROTOCOL: i32 = 2;

/// A disk, a disc, or a partition of one. The firmware's own file system goes on using it.
#[derive(Debug)]
pub struct BlockDevice(NonNull<BlockIoProtocol>);

/// What is in a device.
#[derive(Debug, Clone, Copy)]
pub struct Media {
    /// Changes with the medium.
    pub id: u32,
    /// Bytes.
    pub block_size: u32,
    /// Is there any?
    pub present: bool,
    /// Is it a part of another device?
    pub partition: bool,
    /// Can it only be read?
    pub read_only: bool,
}

impl BlockDevice {
    /// All that there are.
    ///
    /// # Errors
    /// The firmware's: `NOT_FOUND` if there is none.
    pub fn all() -> Result<impl Iterator<Item = Result<Self>>> {
        let (mut count, mut handles) = (0, ptr::null_mut());
        let locate = services()?.locate_handle_buffer;
        // SAFETY: the pointers are to locals; a search by protocol has no key.
        check(unsafe { locate(BY_PROTOCOL, &BlockIoProtocol::GUID, ptr::null(), &mut count, &mut handles) })?;
        let handles = NonNull::new(handles).ok_or(Status::NOT_FOUND)?;
        // SAFETY: the firmware has just put so many handles there for this program, which keeps them.
        let handles = unsafe { core::slice::from_raw_parts(handles.as_ptr(), count) };
        Ok(handles.iter().filter_map(|handle| NonNull::new(*handle)).map(|handle| Self::of(Handle(handle))))
    }

    /// The one of a handle.
    ///
    /// # Errors
    /// The firmware's: `UNSUPPORTED` if it is no block device.
    pub fn of(handle: Handle) -> Result<Self> {
        // SAFETY: type and GUID belong together.
        unsafe { protocol(handle, BlockIoProtocol::GUID) }.map(Self)
    }

    /// What is in it.
    #[must_use]
    pub fn media(&self) -> Media {
        // SAFETY: the firmware keeps the protocol while its driver runs, and nothing here ends one; the media that it
        // points to is kept with it.
        unsafe {
            let media = (*self.0.as_ptr()).media;
            Media {
                id: (*media).media_id,
                block_size: (*media).block_size,
                present: (*media).media_present.into(),
                partition: (*media).logical_partition.into(),
                read_only: (*media).read_only.into(),
            }
        }
    }

    /// Reads from a block on, whole blocks.
    ///
    /// # Errors
    /// The firmware's: `BAD_BUFFER_SIZE` if it is not whole blocks, `INVALID_PARAMETER` if it leads out of the device.
    pub fn read(&mut self, block: u64, to: &mut [u8]) -> Result {
        let (this, id) = (self.0.as_ptr(), self.media().id);
        // SAFETY: the protocol is there as `media` says; the buffer has that many bytes.
        check(unsafe { ((*this).read_blocks)(this, id, block, to.len(), to.as_mut_ptr().cast()) })
    }

    /// Writes from a block on, whole blocks.
    ///
    /// # Errors
    /// As [`Self::read`], and `WRITE_PROTECTED`.
    pub fn write(&mut self, block: u64, from: &[u8]) -> Result {
        let (this, id) = (self.0.as_ptr(), self.media().id);
        // SAFETY: the protocol is there as `media` says; the buffer has that many bytes.
        check(unsafe { ((*this).write_blocks)(this, id, block, from.len(), from.as_ptr().cast()) })
    }

    /// Makes what was written stay.
    ///
    /// # Errors
    /// The firmware's.
    pub fn flush(&mut self) -> Result {
        let this = self.0.as_ptr();
        // SAFETY: the protocol is there as `media` says.
        check(unsafe { ((*this).flush_blocks)(this) })
    }
}
