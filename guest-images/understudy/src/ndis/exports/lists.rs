//! Net buffer lists, their pools, their MDLs, their data, and the high byte of cancellation IDs.

use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use crate::ndis::ledger::{List, Party};
use crate::ndis::memory::{self, Extent, Pool};
use crate::ndis::violation::{checked, require_irql, stop};
use crate::ndis::{books, nbl, stack};
use alloc::{format, vec::Vec};
use core::arch::naked_asm;
use core::ffi::c_void;
use core::ptr::null_mut;
use ndis_sys::*;

const IRQL: &str = "Irql_NetBuffer_Function";
/// Most bytes of alignment that NdisGetDataBuffer gives.
const MOST_ALIGNMENT: u32 = 8192;

/// The bytes that NdisGeneratePartialCancelId has given out.
static GENERATED: IrqLock<Vec<u8>> = IrqLock::new(Vec::new());

/// NdisGeneratePartialCancelId: up to DISPATCH_LEVEL. A counter that starts at 1 and wraps.
pub unsafe extern "win64" fn partial_cancel_id() -> u8 {
    require_irql(IRQL, "NdisGeneratePartialCancelId", 2);
    GENERATED.with(|generated| {
        let byte = (generated.len() + 1) as u8;
        generated.push(byte);
        byte
    })
}

/// Stops unless the ID's high byte was generated.
pub fn require_generated(id: u64, function: &str) {
    let byte = (id >> 56) as u8;
    if !GENERATED.with(|generated| generated.contains(&byte)) {
        stop(
            "CancelIdNotOwn",
            format!("{function}: ID {id:#x} has a high byte that NdisGeneratePartialCancelId did not give"),
        );
    }
}

/// Stops unless a list that a filter originates has no ID or one of its own.
pub fn require_own_id(list: List) {
    let id = books::live(list).cancel_id();
    if id != 0 {
        require_generated(id, "NdisFSendNetBufferLists");
    }
}

/// Functions whose caller is not told by a handle: the return address goes into the next free register.
macro_rules! with_caller {
    ($($entry:ident, $register:literal => $function:ident,)*) => {$(
        #[doc = concat!("Passes the caller's address on to `", stringify!($function), "`.")]
        #[unsafe(naked)]
        pub unsafe extern "win64" fn $entry() {
            naked_asm!(concat!("mov ", $register, ", [rsp]"), "jmp {}", sym $function)
        }
    )*};
}
with_caller! {
    allocate_pool, "r8" => allocate_pool_for,
    free, "rdx" => free_for,
    free_clone, "r8" => free_clone_for,
    allocate_mdl, "r9" => allocate_mdl_for,
}

/// NdisAllocateNetBufferListPool: up to DISPATCH_LEVEL.
unsafe extern "win64" fn allocate_pool_for(
    handle: NDIS_HANDLE,
    parameters: *mut NET_BUFFER_LIST_POOL_PARAMETERS,
    caller: u64,
) -> NDIS_HANDLE {
    const FUNCTION: &str = "NdisAllocateNetBufferListPool";
    require_irql(IRQL, FUNCTION, 2);
    let owner = crate::pnp::owner_of(caller);
    // SAFETY: the driver passes parameters of revision 1 at least; the last field is not read.
    let (header, with_buffers, context, tag, data) = unsafe {
        let given = parameters;
        (
            (*given).Header,
            (*given).fAllocateNetBuffer != 0,
            (*given).ContextSize,
            (*given).PoolTag,
            (*given).DataSize,
        )
    };
    if header.Type != NDIS_OBJECT_TYPE_DEFAULT
        || !(1..=2).contains(&header.Revision)
        || header.Size < NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1
    {
        stop("InvalidObjectHeader", format!("{FUNCTION}: {header:?}"));
    }
    if tag == 0 || !context.is_multiple_of(16) || data != 0 && !with_buffers {
        let place = format!("{FUNCTION}: tag {tag:#x}, ContextSize {context}, DataSize {data}");
        stop("InvalidPoolParameters", place);
    }
    if data != 0 {
        crate::agent::trace::not_offered("net buffer list pools with DataSize");
    }
    let party = stack::party_of(handle, owner, FUNCTION);
    memory::new_pool(Pool { party, owner, with_buffers, context }) as NDIS_HANDLE
}

/// NdisFreeNetBufferListPool: up to DISPATCH_LEVEL.
pub unsafe extern "win64" fn free_pool(handle: NDIS_HANDLE) {
    require_irql(IRQL, "NdisFreeNetBufferListPool", 2);
    checked(memory::free_pool(handle as u64));
}

fn pool(handle: NDIS_HANDLE, function: &str) -> Pool {
    memory::pool(handle as u64)
        .unwrap_or_else(|| stop("InvalidPoolHandle", format!("{function}: {handle:p} is no pool")))
}

fn context_size(function: &str, pool: Pool, asked: u16, backfill: u16) -> u16 {
    if !asked.is_multiple_of(16) || !backfill.is_multiple_of(16) {
        stop("InvalidPoolParameters", format!("{function}: ContextSize {asked}, ContextBackFill {backfill}"));
    }
    pool.context.max(asked + backfill)
}

/// NdisAllocateNetBufferAndNetBufferList: up to DISPATCH_LEVEL.
pub unsafe extern "win64" fn allocate_with_buffer(
    handle: NDIS_HANDLE,
    context: u16,
    backfill: u16,
    mdls: *mut MDL,
    offset: u32,
    len: usize,
) -> *mut NET_BUFFER_LIST {
    const FUNCTION: &str = "NdisAllocateNetBufferAndNetBufferList";
    require_irql(IRQL, FUNCTION, 2);
    let pool = pool(handle, FUNCTION);
    if !pool.with_buffers || mdls.is_null() && (offset != 0 || len != 0) {
        let place =
            format!("{FUNCTION}: fAllocateNetBuffer {}, MDLs {mdls:p}, {offset} + {len}", pool.with_buffers);
        stop("InvalidPoolParameters", place);
    }
    let context = context_size(FUNCTION, pool, context, backfill);
    let list = memory::make_list((handle as u64, pool.party), context, Some((mdls, offset, len as u32)));
    list.map_or(null_mut(), |list| list as *mut NET_BUFFER_LIST)
}

/// NdisAllocateNetBufferList: up to DISPATCH_LEVEL.
pub unsafe extern "win64" fn allocate(
    handle: NDIS_HANDLE,
    context: u16,
    backfill: u16,
) -> *mut NET_BUFFER_LIST {
    const FUNCTION: &str = "NdisAllocateNetBufferList";
    require_irql(IRQL, FUNCTION, 2);
    let pool = pool(handle, FUNCTION);
    let context = context_size(FUNCTION, pool, context, backfill);
    let data = pool.with_buffers.then_some((null_mut(), 0, 0));
    let list = memory::make_list((handle as u64, pool.party), context, data);
    list.map_or(null_mut(), |list| list as *mut NET_BUFFER_LIST)
}

/// In whose name a driver frees a list: its maker's, if that is the driver or a module of it.
fn freeing(list: List, owner: Owner) -> Party {
    let origin = books::with(|ledger| ledger.origin(list));
    let of_driver = match origin {
        Some(Party::Module(number)) => stack::owner_of(number) == Some(owner),
        Some(Party::Driver(number)) => number == owner.number(),
        _ => false,
    };
    origin.filter(|_| of_driver).unwrap_or(Party::Driver(owner.number()))
}

/// NdisFreeNetBufferList: up to DISPATCH_LEVEL.
unsafe extern "win64" fn free_for(list: *mut NET_BUFFER_LIST, caller: u64) {
    require_irql(IRQL, "NdisFreeNetBufferList", 2);
    let owner = crate::pnp::owner_of(caller);
    checked(memory::free_list(freeing(list as List, owner), list as List));
}

/// NdisAllocateCloneNetBufferList: up to DISPATCH_LEVEL. MDLs of the clone describe the used data of the original.
pub unsafe extern "win64" fn allocate_clone(
    original: *mut NET_BUFFER_LIST,
    lists: NDIS_HANDLE,
    buffers: NDIS_HANDLE,
    flags: u32,
) -> *mut NET_BUFFER_LIST {
    const FUNCTION: &str = "NdisAllocateCloneNetBufferList";
    require_irql(IRQL, FUNCTION, 2);
    if lists.is_null() || !buffers.is_null() || flags != 0 {
        crate::agent::trace::not_offered("clones from default pools, from a NET_BUFFER pool, or with flags");
    }
    let pool = pool(lists, FUNCTION);
    let originals = checked(books::live(checked_list(original, FUNCTION)).buffers());
    let [one] = originals[..] else {
        crate::agent::trace::not_offered("clones of lists with more than one NET_BUFFER")
    };
    let mut chain: *mut MDL = null_mut();
    let mut len = 0;
    for piece in checked(one.pieces()).into_iter().rev() {
        let mdl = memory::make_mdl(Extent { address: piece.address, len: piece.len });
        if mdl.is_null() {
            free_mdls(chain);
            return null_mut();
        }
        // SAFETY: fresh, and nobody else knows it.
        unsafe { (*mdl).Next = chain };
        chain = mdl;
        len += piece.len as u32;
    }
    let Some(list) = memory::make_list((lists as u64, pool.party), 0, Some((chain, 0, len))) else {
        free_mdls(chain);
        return null_mut();
    };
    list as *mut NET_BUFFER_LIST
}

fn free_mdls(mut mdl: *mut MDL) {
    while !mdl.is_null() {
        // SAFETY: MDLs of a clone are NDIS's own and live until here.
        let next = unsafe { (*mdl).Next };
        checked(memory::free_mdl(mdl));
        mdl = next;
    }
}

fn checked_list(list: *mut NET_BUFFER_LIST, function: &str) -> List {
    if !books::with(|ledger| ledger.knows(list as List)) {
        stop("NotANetBufferList", format!("{function}: {list:p} is no net buffer list that lives"));
    }
    list as List
}

/// NdisFreeCloneNetBufferList: up to DISPATCH_LEVEL.
unsafe extern "win64" fn free_clone_for(clone: *mut NET_BUFFER_LIST, _flags: u32, caller: u64) {
    const FUNCTION: &str = "NdisFreeCloneNetBufferList";
    require_irql(IRQL, FUNCTION, 2);
    let list = checked_list(clone, FUNCTION);
    let buffers = checked(books::live(list).buffers());
    // SAFETY: the list lives and is the caller's, as freeing it demands below.
    let chains: Vec<*mut MDL> =
        buffers.into_iter().map(|buffer| unsafe { (*buffer.pointer()).MdlChain }).collect();
    checked(memory::free_list(freeing(list, crate::pnp::owner_of(caller)), list));
    chains.into_iter().for_each(free_mdls);
}

/// NdisCopySendNetBufferListInfo: up to DISPATCH_LEVEL; the cancellation ID is copied as well.
pub unsafe extern "win64" fn copy_send_info(to: *mut NET_BUFFER_LIST, from: *mut NET_BUFFER_LIST) {
    const FUNCTION: &str = "NdisCopySendNetBufferListInfo";
    require_irql(IRQL, FUNCTION, 2);
    checked_list(to, FUNCTION);
    checked_list(from, FUNCTION);
    // SAFETY: both live; the private slots lie behind the ones that are copied.
    unsafe { (*to).NetBufferListInfo = (*from).NetBufferListInfo };
}

/// NdisAllocateMdl: up to DISPATCH_LEVEL; the memory is nonpaged.
unsafe extern "win64" fn allocate_mdl_for(
    handle: NDIS_HANDLE,
    address: *mut c_void,
    len: u32,
    caller: u64,
) -> *mut MDL {
    const FUNCTION: &str = "NdisAllocateMdl";
    require_irql(IRQL, FUNCTION, 2);
    let owner = crate::pnp::owner_of(caller);
    let party = stack::party_of(handle, owner, FUNCTION);
    memory::make_driver_mdl(party, owner, Extent { address: address as usize, len: len as usize })
}

/// NdisFreeMdl: up to DISPATCH_LEVEL.
pub unsafe extern "win64" fn free_mdl(mdl: *mut MDL) {
    require_irql(IRQL, "NdisFreeMdl", 2);
    checked(memory::free_driver_mdl(mdl));
}

/// NdisRetreatNetBufferDataStart: up to DISPATCH_LEVEL; only into room that the MDLs have.
pub unsafe extern "win64" fn retreat(
    buffer: *mut NET_BUFFER,
    delta: u32,
    _backfill: u32,
    _allocate: *mut c_void,
) -> i32 {
    require_irql(IRQL, "NdisRetreatNetBufferDataStart", 2);
    // SAFETY: the driver passes a NET_BUFFER that it holds.
    let offset = unsafe { (*buffer).DataOffset };
    if offset < delta {
        crate::agent::trace::not_offered("NdisRetreatNetBufferDataStart beyond the MDLs");
    }
    // SAFETY: as above; the start lies within the chain.
    unsafe { set_start(buffer, offset - delta, (*buffer).DataLength + delta as usize) };
    NDIS_STATUS_SUCCESS
}

/// NdisAdvanceNetBufferDataStart: up to DISPATCH_LEVEL; MDLs stay.
pub unsafe extern "win64" fn advance(buffer: *mut NET_BUFFER, delta: u32, _free: u8, _routine: *mut c_void) {
    const FUNCTION: &str = "NdisAdvanceNetBufferDataStart";
    require_irql(IRQL, FUNCTION, 2);
    // SAFETY: the driver passes a NET_BUFFER that it holds.
    let (offset, len) = unsafe { ((*buffer).DataOffset, (*buffer).DataLength) };
    if delta as usize > len {
        stop("InvalidNetBuffer", format!("{FUNCTION}: {delta} bytes of {len}"));
    }
    // SAFETY: as above.
    unsafe { set_start(buffer, offset + delta, len - delta as usize) };
}

/// Moves the start of the used data.
///
/// # Safety
/// The NET_BUFFER and its MDLs live, and the start lies within them or at their end.
unsafe fn set_start(buffer: *mut NET_BUFFER, offset: u32, len: usize) {
    // SAFETY: by contract.
    unsafe {
        let (mut mdl, mut before) = ((*buffer).MdlChain, 0);
        while !(*mdl).Next.is_null() && before + (*mdl).ByteCount <= offset {
            before += (*mdl).ByteCount;
            mdl = (*mdl).Next;
        }
        (*buffer).CurrentMdl = mdl;
        (*buffer).CurrentMdlOffset = offset - before;
        (*buffer).DataOffset = offset;
        (*buffer).DataLength = len;
    }
}

/// NdisGetDataBuffer: up to DISPATCH_LEVEL. In place where the data lies in one piece and aligned, else copied.
pub unsafe extern "win64" fn data_buffer(
    buffer: *mut NET_BUFFER,
    bytes: u32,
    storage: *mut c_void,
    align: u32,
    align_offset: u32,
) -> *mut c_void {
    const FUNCTION: &str = "NdisGetDataBuffer";
    require_irql(IRQL, FUNCTION, 2);
    if !align.is_power_of_two() || align > MOST_ALIGNMENT {
        stop("InvalidAlignment", format!("{FUNCTION}: AlignMultiple {align}"));
    }
    // SAFETY: the driver passes a NET_BUFFER that it holds.
    let data = unsafe { nbl::Buffer::new(buffer) };
    let pieces = checked(data.pieces());
    let wanted = bytes as usize;
    if bytes == 0 || pieces.iter().map(|piece| piece.len).sum::<usize>() < wanted {
        return null_mut();
    }
    let aligned = |address: usize| address % align as usize == (align_offset % align) as usize;
    if let Some(first) = pieces.first().filter(|first| first.len >= wanted && aligned(first.address)) {
        return first.address as *mut c_void;
    }
    if storage.is_null() {
        return null_mut();
    }
    let data = checked(data.copy());
    // SAFETY: the driver's storage has room for the bytes that it asks for.
    unsafe { core::ptr::copy_nonoverlapping(data.as_ptr(), storage.cast(), wanted) };
    storage
}
