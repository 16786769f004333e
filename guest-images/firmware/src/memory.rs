//! Memory of the firmware (7.2), and the way out of its boot services (7.4.6).

use crate::{PAGE, ResetType, Result, Status, TABLE, check, image, reset, reset_by, services, table};
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use core::sync::atomic::Ordering;
use uefi_raw::table::boot::AllocateType;

pub use uefi_raw::table::boot::{MemoryDescriptor, MemoryType};

/// Where memory is to be, by physical addresses, which are the program's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Wherever the firmware has some.
    Anywhere,
    /// No byte above this address.
    UpTo(u64),
    /// At this address, a page's.
    At(u64),
}

/// Takes whole pages for `bytes`, zeroed, which are never given back.
///
/// # Errors
/// The firmware's: `OUT_OF_RESOURCES` or `NOT_FOUND` if there is no such memory.
pub fn pages(place: Place, kind: MemoryType, bytes: usize) -> Result<&'static mut [u8]> {
    let (how, mut address) = match place {
        Place::Anywhere => (AllocateType::ANY_PAGES, 0),
        Place::UpTo(last) => (AllocateType::MAX_ADDRESS, last),
        Place::At(address) => (AllocateType::ADDRESS, address),
    };
    let count = bytes.div_ceil(PAGE).max(1);
    // SAFETY: the address is a local.
    check(unsafe { (services()?.allocate_pages)(how, kind, count, &mut address) })?;
    // A slice cannot be at 0, which firmware may give.
    let first = NonNull::new(address as *mut u8).ok_or(Status::OUT_OF_RESOURCES)?;
    // SAFETY: the firmware has just given these pages to this program, which never gives them back; zeros are bytes.
    Ok(unsafe {
        first.write_bytes(0, bytes);
        core::slice::from_raw_parts_mut(first.as_ptr(), bytes)
    })
}

/// A global allocator on the firmware's pool. It has nothing that wants more than the pool's alignment of 8 bytes, and
/// nothing once boot services have been left.
#[derive(Debug)]
pub struct Pool;

// SAFETY: the firmware's pool gives each block once, at a multiple of 8 bytes (7.2.4), and keeps it until it is freed.
unsafe impl GlobalAlloc for Pool {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut block = ptr::null_mut();
        if let (Ok(services), 1..=8) = (services(), layout.align()) {
            // SAFETY: the pointer is to a local.
            let status =
                unsafe { (services.allocate_pool)(MemoryType::LOADER_DATA, layout.size(), &mut block) };
            if check(status).is_err() {
                return ptr::null_mut();
            }
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        if let Ok(services) = services() {
            // SAFETY: by this trait's contract the block is from `alloc`, that is from the pool, and nobody uses it.
            // The firmware refuses it only if that does not hold.
            let _ = unsafe { (services.free_pool)(block) };
        }
    }
}

/// The firmware's last word on what memory is for.
#[derive(Debug)]
pub struct MemoryMap {
    descriptors: &'static [u8],
    /// Bytes from one to the next: more than a [`MemoryDescriptor`] where firmware is newer.
    stride: usize,
}

impl MemoryMap {
    /// Its ranges, in the firmware's order.
    pub fn ranges(&self) -> impl Iterator<Item = MemoryDescriptor> {
        self.descriptors.chunks_exact(self.stride).map(|descriptor| {
            assert!(descriptor.len() >= size_of::<MemoryDescriptor>());
            // SAFETY: the firmware has put a descriptor there, and every bit pattern is one.
            unsafe { descriptor.as_ptr().cast::<MemoryDescriptor>().read_unaligned() }
        })
    }
}

/// Leaves boot services for good. A firmware that does not let the program go is reset.
///
/// # Safety
/// The caller must have no further use for what boot services gave but memory: not for files, not for block devices.
#[must_use]
pub unsafe fn exit_boot_services() -> MemoryMap {
    let table = table();
    // SAFETY: by this function's contract.
    match (unsafe { leave() }, table) {
        (Ok(map), _) => map,
        // SAFETY: `start` was given the firmware's table.
        (Err(why), Ok(table)) => unsafe { reset_by(table, ResetType::COLD, why) },
        (Err(_), Err(_)) => reset(ResetType::COLD),
    }
}

/// # Safety
/// As [`exit_boot_services`].
unsafe fn leave() -> Result<MemoryMap> {
    // The services' table goes away with them.
    let (get, exit) = services().map(|services| (services.get_memory_map, services.exit_boot_services))?;
    let (mut bytes, mut key, mut stride, mut version) = (0, 0, 0, 0);
    // SAFETY: the pointers are to locals; there is no room to write to, which is how to ask how much it takes.
    let status = unsafe { get(&mut bytes, ptr::null_mut(), &mut key, &mut stride, &mut version) };
    if status != Status::BUFFER_TOO_SMALL {
        return Err(status);
    }
    // This changes the map, as does what others do when they hear of the end: a page more holds some 80 ranges.
    let room = pages(Place::Anywhere, MemoryType::LOADER_DATA, bytes + PAGE)?;
    // From here on nothing else may use the services.
    TABLE.store(ptr::null_mut(), Ordering::Relaxed);
    // The key is of an older map if others changed it at the first attempt, after which only these two may be called.
    let mut attempts = 2;
    loop {
        bytes = room.len();
        // SAFETY: the room has that many bytes, and is a page's start; the other pointers are to locals.
        let status =
            unsafe { get(&mut bytes, room.as_mut_ptr().cast(), &mut key, &mut stride, &mut version) };
        check(status)?;
        // SAFETY: by this function's contract.
        let status = unsafe { exit(image(), key) };
        attempts -= 1;
        if status.is_success() {
            return Ok(MemoryMap { descriptors: &room[..bytes], stride });
        }
        if attempts == 0 {
            return Err(status);
        }
    }
}
