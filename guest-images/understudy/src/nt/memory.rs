//! Pool, device memory, and MDLs.
//!
//! The pages of ExAllocatePool2, ExAllocatePoolWithTag, MmMapIoSpaceEx, IoAllocateMdl, MmBuildMdlForNonPagedPool,
//! MmMapLockedPagesSpecifyCache, IoBuildPartialMdl; layout and flags of MDL: wdm.h.

use super::caller::{caller_is_eighth, caller_is_fourth};
use crate::ke::Irql;
use crate::mm;
use crate::verifier::owners::owner_of;
use crate::verifier::pool::{self, Kind};
use crate::verifier::{BugCheck, fault, require_irql, trace};
use alloc::format;
use core::arch::naked_asm;
use core::ffi::c_void;
use core::ptr::null_mut;
use ndis_sys::{MDL, MDL_MAPPED_TO_SYSTEM_VA, MDL_PAGES_LOCKED, MDL_SOURCE_IS_NONPAGED_POOL};
use wdk_offline::{IRP, PHYSICAL_ADDRESS};

/// POOL_FLAG_UNINITIALIZED.
const UNINITIALIZED: u64 = 2;
/// POOL_FLAG_NON_PAGED and POOL_FLAG_NON_PAGED_EXECUTE: what may be used at DISPATCH_LEVEL.
const NON_PAGED: u64 = 0x40 | 0x80;
/// Of a POOL_TYPE: paged, and an exception in place of NULL.
const PAGED_TYPE: u32 = 1;
const RAISE: u32 = 16;
/// PAGE_NOCACHE, and what MmMapIoSpace has for it: MmNonCached.
const NO_CACHE: u32 = 0x200;
const NON_CACHED: u32 = 0;
/// MDL_PARTIAL.
const PARTIAL: i16 = 0x10;
/// Tag of MDLs that IoAllocateMdl gives out.
const MDL_TAG: u32 = u32::from_le_bytes(*b"Mdl ");
const PAGE: usize = 4096;

caller_is_fourth! {
    allocate_pool2 => allocate_pool2_for,
    allocate_with_tag => allocate_with_tag_for,
    allocate_untagged => allocate_untagged_for,
    free_with_tag => free_with_tag_for,
    map_io_space_ex => map_io_space_ex_for,
    map_io_space => map_io_space_for,
}
caller_is_eighth! {
    allocate_mdl => allocate_mdl_for,
}

fn allocate(function: &str, kind: Kind, size: usize, tag: u32, zeroed: bool, caller: u64) -> *mut c_void {
    require_irql(function, Irql::DISPATCH);
    if kind == Kind::Paged {
        require_irql(&format!("{function} of paged pool"), Irql::APC);
    }
    if tag == 0 || size == 0 {
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0, 0, tag.into(), size as u64],
            "PoolAllocation",
            format!("{size} bytes with tag {tag:#x}"),
        );
    }
    pool::alloc_of(kind, owner_of(caller), tag, size, zeroed).cast()
}

/// Of which pool memory of that POOL_TYPE is.
fn kind_of(kind: u32) -> Kind {
    if kind & PAGED_TYPE == 0 { Kind::NonPaged } else { Kind::Paged }
}

/// ExAllocatePool2: up to DISPATCH_LEVEL, of paged pool up to APC_LEVEL.
unsafe extern "win64" fn allocate_pool2_for(flags: u64, size: usize, tag: u32, caller: u64) -> *mut c_void {
    let kind = if flags & NON_PAGED == 0 { Kind::Paged } else { Kind::NonPaged };
    allocate("ExAllocatePool2", kind, size, tag, flags & UNINITIALIZED == 0, caller)
}

/// ExAllocatePoolWithTag: as ExAllocatePool2, with what was there before.
unsafe extern "win64" fn allocate_with_tag_for(kind: u32, size: usize, tag: u32, caller: u64) -> *mut c_void {
    if kind & RAISE != 0 {
        trace::not_offered("ExAllocatePoolWithTag with an exception in place of NULL");
    }
    allocate("ExAllocatePoolWithTag", kind_of(kind), size, tag, false, caller)
}

/// ExAllocatePool: as ExAllocatePoolWithTag with the tag that Windows has for it.
unsafe extern "win64" fn allocate_untagged_for(
    kind: u32,
    size: usize,
    _unused: u64,
    caller: u64,
) -> *mut c_void {
    allocate("ExAllocatePool", kind_of(kind), size, u32::from_le_bytes(*b"None"), false, caller)
}

/// ExFreePool: ExFreePoolWithTag with no tag, which matches any.
#[unsafe(naked)]
pub(super) unsafe extern "win64" fn free() {
    naked_asm!("mov r9, [rsp]", "xor edx, edx", "jmp {}", sym free_with_tag_for)
}

/// ExFreePoolWithTag: up to DISPATCH_LEVEL.
unsafe extern "win64" fn free_with_tag_for(block: *mut c_void, tag: u32, _unused: u64, caller: u64) {
    require_irql("ExFreePoolWithTag", Irql::DISPATCH);
    if pool::is_paged(block.cast()) {
        require_irql("ExFreePoolWithTag of paged pool", Irql::APC);
    }
    if let Err(place) = pool::free_by(block.cast(), tag, caller) {
        trace::stop(BugCheck::BAD_POOL_CALLER, [7, 0, tag.into(), block as u64], "BadPoolFree", place);
    }
}

/// MmMapIoSpaceEx: up to DISPATCH_LEVEL.
unsafe extern "win64" fn map_io_space_ex_for(
    address: PHYSICAL_ADDRESS,
    size: usize,
    protect: u32,
    caller: u64,
) -> *mut c_void {
    map("MmMapIoSpaceEx", address, size, (protect & NO_CACHE != 0, protect), caller)
}

/// MmMapIoSpace: as MmMapIoSpaceEx, with a MEMORY_CACHING_TYPE.
unsafe extern "win64" fn map_io_space_for(
    address: PHYSICAL_ADDRESS,
    size: usize,
    cache: u32,
    caller: u64,
) -> *mut c_void {
    map("MmMapIoSpace", address, size, (cache == NON_CACHED, cache), caller)
}

fn map(
    function: &str,
    address: PHYSICAL_ADDRESS,
    size: usize,
    (uncached, said): (bool, u32),
    caller: u64,
) -> *mut c_void {
    require_irql(function, Irql::DISPATCH);
    // SAFETY: every member of the union is plain numbers.
    let address = unsafe { address.QuadPart } as u64;
    if size == 0 || !uncached || !mm::is_device_memory(address, size) {
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0x83, address, size as u64, said.into()],
            "MapOfForeignMemory",
            format!(
                "{size:#x} bytes at {address:#x}, protection {said:#x}: not in the device's resources, or cached"
            ),
        );
    }
    let owner = owner_of(caller);
    if fault::strikes(owner, function) {
        return null_mut();
    }
    mm::map_mmio(address, size, owner) as *mut c_void
}

/// MmUnmapIoSpace: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn unmap_io_space(address: *mut c_void, size: usize) {
    require_irql("MmUnmapIoSpace", Irql::DISPATCH);
    if let Err(place) = mm::unmap_mmio(address as usize, size) {
        trace::stop(
            BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION,
            [0x84, address as u64, size as u64, 0],
            "BadUnmap",
            place,
        );
    }
}

/// The physical address behind a virtual one; 0 where nothing is.
fn physical(address: usize) -> u64 {
    mm::watched::physical(address).or_else(|| mm::mapped(address)).unwrap_or_default()
}

/// MmGetPhysicalAddress: any IRQL; 0 where nothing is.
pub(super) unsafe extern "win64" fn physical_address(address: *mut c_void) -> PHYSICAL_ADDRESS {
    PHYSICAL_ADDRESS { QuadPart: physical(address as usize) as i64 }
}

/// Pages that `len` bytes from `address` on lie in: ADDRESS_AND_SIZE_TO_SPAN_PAGES.
fn pages(address: usize, len: u32) -> usize {
    (address % PAGE + len as usize).div_ceil(PAGE)
}

/// The numbers of an MDL's pages: MmGetMdlPfnArray.
fn numbers(mdl: *mut MDL) -> *mut u64 {
    mdl.wrapping_add(1).cast()
}

/// IoAllocateMdl: up to DISPATCH_LEVEL. It describes nothing yet.
unsafe extern "win64" fn allocate_mdl_for(
    address: *mut c_void,
    len: u32,
    secondary: u8,
    _charge: u8,
    irp: *mut IRP,
    _unused: u64,
    _unused_either: u64,
    caller: u64,
) -> *mut MDL {
    const FUNCTION: &str = "IoAllocateMdl";
    require_irql(FUNCTION, Irql::DISPATCH);
    let size = size_of::<MDL>() + 8 * pages(address as usize, len);
    let Ok(whole) = i16::try_from(size) else { return null_mut() };
    let mdl = pool::alloc(owner_of(caller), MDL_TAG, size, true).cast::<MDL>();
    if mdl.is_null() {
        return mdl;
    }
    // SAFETY: a fresh block of that size.
    unsafe {
        (*mdl).Size = whole;
        (*mdl).StartVa = (address as usize & !(PAGE - 1)) as *mut c_void;
        (*mdl).ByteOffset = (address as usize % PAGE) as u32;
        (*mdl).ByteCount = len;
    }
    // SAFETY: the driver passes NULL or an IRP of its own, with its chain of MDLs.
    unsafe {
        if let Some(irp) = irp.as_mut() {
            let mut last = (&raw mut irp.MdlAddress).cast::<*mut MDL>();
            while secondary != 0 && !(*last).is_null() {
                last = &raw mut (**last).Next;
            }
            *last = mdl;
        }
    }
    mdl
}

fn broken(rule: &str, mdl: *mut MDL, place: alloc::string::String) -> ! {
    let code = BugCheck::DRIVER_VERIFIER_DETECTED_VIOLATION;
    trace::stop(code, [0x140, mdl as u64, 0, 0], rule, place)
}

/// IoFreeMdl: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn free_mdl(mdl: *mut MDL) {
    const FUNCTION: &str = "IoFreeMdl";
    require_irql(FUNCTION, Irql::DISPATCH);
    // SAFETY: the driver passes its MDL.
    let flags = unsafe { (*mdl).MdlFlags };
    if flags & MDL_PAGES_LOCKED != 0 {
        broken("MdlFreedLocked", mdl, format!("{FUNCTION} of {mdl:p}, whose pages are locked"));
    }
    if let Err(place) = pool::free(mdl.cast(), MDL_TAG) {
        trace::stop(BugCheck::BAD_POOL_CALLER, [7, 0, MDL_TAG.into(), mdl as u64], "BadPoolFree", place);
    }
}

/// The first byte that an MDL describes.
fn described(mdl: &MDL) -> usize {
    mdl.StartVa as usize + mdl.ByteOffset as usize
}

/// Writes down which pages the memory has.
///
/// # Safety
/// `mdl` is one of [`allocate_mdl`], with room for the pages that it spans.
unsafe fn fill(mdl: *mut MDL) {
    // SAFETY: by contract.
    unsafe {
        let start = (*mdl).StartVa as usize;
        for page in 0..pages(described(&*mdl), (*mdl).ByteCount) {
            numbers(mdl).add(page).write(physical(start + page * PAGE) / PAGE as u64);
        }
    }
}

/// MmBuildMdlForNonPagedPool: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn build_mdl(mdl: *mut MDL) {
    require_irql("MmBuildMdlForNonPagedPool", Irql::DISPATCH);
    // SAFETY: the driver passes an MDL of IoAllocateMdl.
    unsafe {
        fill(mdl);
        (*mdl).MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
        (*mdl).MappedSystemVa = described(&*mdl) as *mut c_void;
    }
}

/// MmMapLockedPagesSpecifyCache: up to DISPATCH_LEVEL; for the kernel, where all that a driver can lock has an address.
pub(super) unsafe extern "win64" fn map_locked_pages(
    mdl: *mut MDL,
    mode: i8,
    _cache: u32,
    _requested: *mut c_void,
    _bug_check: u32,
    _priority: u32,
) -> *mut c_void {
    const FUNCTION: &str = "MmMapLockedPagesSpecifyCache";
    require_irql(FUNCTION, Irql::DISPATCH);
    if mode != 0 {
        trace::not_offered(&format!("{FUNCTION} for a program"));
    }
    // SAFETY: the driver passes its MDL.
    unsafe {
        let known = MDL_PAGES_LOCKED | MDL_SOURCE_IS_NONPAGED_POOL | PARTIAL | MDL_MAPPED_TO_SYSTEM_VA;
        if (*mdl).MdlFlags & known == 0 {
            broken("MdlNotLocked", mdl, format!("{FUNCTION} of {mdl:p}, whose pages are not locked"));
        }
        if (*mdl).MdlFlags & (MDL_SOURCE_IS_NONPAGED_POOL | MDL_MAPPED_TO_SYSTEM_VA) == 0 {
            (*mdl).MappedSystemVa = described(&*mdl) as *mut c_void;
            (*mdl).MdlFlags |= MDL_MAPPED_TO_SYSTEM_VA;
        }
        (*mdl).MappedSystemVa
    }
}

/// MmUnmapLockedPages: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn unmap_locked_pages(address: *mut c_void, mdl: *mut MDL) {
    const FUNCTION: &str = "MmUnmapLockedPages";
    require_irql(FUNCTION, Irql::DISPATCH);
    // SAFETY: the driver passes its MDL.
    unsafe {
        if (*mdl).MdlFlags & MDL_MAPPED_TO_SYSTEM_VA == 0 || (*mdl).MappedSystemVa != address {
            broken("MdlNotLocked", mdl, format!("{FUNCTION} of {mdl:p}, which is not mapped at {address:p}"));
        }
        (*mdl).MdlFlags &= !MDL_MAPPED_TO_SYSTEM_VA;
    }
}

/// IoBuildPartialMdl: up to DISPATCH_LEVEL. `len` 0: up to the end of the source.
pub(super) unsafe extern "win64" fn build_partial_mdl(
    source: *mut MDL,
    target: *mut MDL,
    address: *mut c_void,
    len: u32,
) {
    const FUNCTION: &str = "IoBuildPartialMdl";
    require_irql(FUNCTION, Irql::DISPATCH);
    // SAFETY: the driver passes two MDLs; the target has room for the pages of its part.
    unsafe {
        let (start, address) = (described(&*source), address as usize);
        let end = start + (*source).ByteCount as usize;
        let len = if len == 0 { end.saturating_sub(address) as u32 } else { len };
        let room = ((*target).Size as usize - size_of::<MDL>()) / 8;
        if address < start || address + len as usize > end || pages(address, len) > room {
            let place = format!("{FUNCTION}: {len} bytes at {address:#x} are not in the source, or too many");
            broken("MdlPartOutside", target, place);
        }
        let first = (address & !(PAGE - 1)) - (*source).StartVa as usize;
        for page in 0..pages(address, len) {
            numbers(target).add(page).write(numbers(source).add(first / PAGE + page).read());
        }
        (*target).StartVa = (address & !(PAGE - 1)) as *mut c_void;
        (*target).ByteOffset = (address % PAGE) as u32;
        (*target).ByteCount = len;
        let mapped = MDL_MAPPED_TO_SYSTEM_VA | MDL_SOURCE_IS_NONPAGED_POOL;
        (*target).MdlFlags = PARTIAL;
        if (*source).MdlFlags & mapped != 0 {
            (*target).MappedSystemVa = ((*source).MappedSystemVa as usize + (address - start)) as *mut c_void;
            (*target).MdlFlags |= MDL_SOURCE_IS_NONPAGED_POOL;
        }
    }
}
