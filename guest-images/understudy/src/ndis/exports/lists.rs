//! Net buffer lists, their pools, their MDLs, their data, and the high byte of cancellation IDs.
//!
//! Rules: NF17, NF24 (`driver/docs/ndis-filter.md`).

use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use crate::ndis::memory::{self, Extent, Pool};
use crate::ndis::violation::{checked, require_irql, stop};
use crate::ndis::{books, modules, nbl};
use crate::verifier::fault;
use alloc::{format, vec::Vec};
use core::arch::naked_asm;
use core::ffi::c_void;
use core::ptr::null_mut;
use ndis_sys::*;
use understudy_rules::ndis::ledger::{List, Party};

const IRQL: &str = "Irql_NetBuffer_Function";
/// Most bytes of alignment that NdisGetDataBuffer gives.
const MOST_ALIGNMENT: u32 = 8192;

/// The bytes that NdisGeneratePartialCancelId has given out.
static GENERATED: IrqLock<Vec<u8>> = IrqLock::new(Vec::new());

/// NdisGeneratePartialCancelId: up to DISPATCH_LEVEL. A counter that starts at 1 and wraps.
pub(super) unsafe extern "win64" fn partial_cancel_id() -> u8 {
    require_irql(IRQL, "NdisGeneratePartialCancelId", Irql::DISPATCH);
    GENERATED.with(|generated| {
        let byte = (generated.len() + 1) as u8;
        generated.push(byte);
        byte
    })
}

/// Stops unless the ID's high byte was generated.
pub(super) fn require_generated(id: u64, function: &str) {
    let byte = (id >> 56) as u8;
    if !GENERATED.with(|generated| generated.contains(&byte)) {
        stop(
            "CancelIdNotOwn",
            format!("{function}: ID {id:#x} has a high byte that NdisGeneratePartialCancelId did not give"),
        );
    }
}

/// Stops unless a list that a filter originates has no ID or one of its own.
pub(super) fn require_own_id(list: List) {
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
        pub(crate) unsafe extern "win64" fn $entry() {
            naked_asm!(concat!("mov ", $register, ", [rsp]"), "jmp {}", sym $function)
        }
    )*};
}
with_caller! {
    allocate_pool, "r8" => allocate_pool_for,
    free, "rdx" => free_for,
    allocate_mdl, "r9" => allocate_mdl_for,
}

/// NdisAllocateNetBufferListPool: up to DISPATCH_LEVEL.
unsafe extern "win64" fn allocate_pool_for(
    handle: NDIS_HANDLE,
    parameters: *mut NET_BUFFER_LIST_POOL_PARAMETERS,
    caller: u64,
) -> NDIS_HANDLE {
    const FUNCTION: &str = "NdisAllocateNetBufferListPool";
    require_irql(IRQL, FUNCTION, Irql::DISPATCH);
    let owner = crate::verifier::owners::owner_of(caller);
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
        crate::verifier::trace::not_offered("net buffer list pools with DataSize");
    }
    let party = modules::party_of(handle, owner, FUNCTION);
    if fault::strikes(owner, FUNCTION) {
        return null_mut();
    }
    memory::new_pool(Pool { party, owner, with_buffers, context }) as NDIS_HANDLE
}

/// NdisFreeNetBufferListPool: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn free_pool(handle: NDIS_HANDLE) {
    require_irql(IRQL, "NdisFreeNetBufferListPool", Irql::DISPATCH);
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
pub(super) unsafe extern "win64" fn allocate_with_buffer(
    handle: NDIS_HANDLE,
    context: u16,
    backfill: u16,
    mdls: *mut MDL,
    offset: u32,
    len: usize,
) -> *mut NET_BUFFER_LIST {
    const FUNCTION: &str = "NdisAllocateNetBufferAndNetBufferList";
    require_irql(IRQL, FUNCTION, Irql::DISPATCH);
    let pool = pool(handle, FUNCTION);
    if !pool.with_buffers || mdls.is_null() && (offset != 0 || len != 0) {
        let place =
            format!("{FUNCTION}: fAllocateNetBuffer {}, MDLs {mdls:p}, {offset} + {len}", pool.with_buffers);
        stop("InvalidPoolParameters", place);
    }
    if fault::strikes(pool.owner, FUNCTION) {
        return null_mut();
    }
    let context = context_size(FUNCTION, pool, context, backfill);
    let list = memory::make_list((handle as u64, pool.party), context, Some((mdls, offset, len as u32)));
    list.map_or(null_mut(), |list| list as *mut NET_BUFFER_LIST)
}

/// In whose name a driver frees a list: its maker's, if that is the driver or a module of it.
fn freeing(list: List, owner: Owner) -> Party {
    let origin = books::with(|ledger| ledger.origin(list));
    let of_driver = match origin {
        Some(Party::Module(number)) => modules::owner_of(number) == Some(owner),
        Some(Party::Driver(number)) => number == owner.number(),
        _ => false,
    };
    origin.filter(|_| of_driver).unwrap_or(Party::Driver(owner.number()))
}

/// NdisFreeNetBufferList: up to DISPATCH_LEVEL.
unsafe extern "win64" fn free_for(list: *mut NET_BUFFER_LIST, caller: u64) {
    require_irql(IRQL, "NdisFreeNetBufferList", Irql::DISPATCH);
    let owner = crate::verifier::owners::owner_of(caller);
    checked(memory::free_list(freeing(list as List, owner), list as List));
}

/// NdisAllocateMdl: up to DISPATCH_LEVEL; the memory is nonpaged.
unsafe extern "win64" fn allocate_mdl_for(
    handle: NDIS_HANDLE,
    address: *mut c_void,
    len: u32,
    caller: u64,
) -> *mut MDL {
    const FUNCTION: &str = "NdisAllocateMdl";
    require_irql(IRQL, FUNCTION, Irql::DISPATCH);
    let owner = crate::verifier::owners::owner_of(caller);
    let party = modules::party_of(handle, owner, FUNCTION);
    if fault::strikes(owner, FUNCTION) {
        return null_mut();
    }
    memory::make_driver_mdl(party, owner, Extent { address: address as usize, len: len as usize })
}

/// NdisFreeMdl: up to DISPATCH_LEVEL.
pub(super) unsafe extern "win64" fn free_mdl(mdl: *mut MDL) {
    require_irql(IRQL, "NdisFreeMdl", Irql::DISPATCH);
    checked(memory::free_driver_mdl(mdl));
}

/// NdisGetDataBuffer: up to DISPATCH_LEVEL. In place where the data lies in one piece and aligned, else copied.
pub(super) unsafe extern "win64" fn data_buffer(
    buffer: *mut NET_BUFFER,
    bytes: u32,
    storage: *mut c_void,
    align: u32,
    align_offset: u32,
) -> *mut c_void {
    const FUNCTION: &str = "NdisGetDataBuffer";
    require_irql(IRQL, FUNCTION, Irql::DISPATCH);
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
