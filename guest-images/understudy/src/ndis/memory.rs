//! Pools of net buffer lists, the lists themselves with their NET_BUFFERs and MDLs, and who has not freed what.
//!
//! All of it stands in pool memory with guards; what is freed is filled, so that a late use shows.

use super::books;
use super::nbl;
use crate::ke::irqlock::IrqLock;
use crate::mm::Owner;
use alloc::{collections::BTreeMap, format, string::String, vec::Vec};
use core::ptr::null_mut;
use ndis_sys::{
    MDL, MDL_SOURCE_IS_NONPAGED_POOL, NDIS_SIZEOF_PRIVATE_NET_BUFFER_LIST, NET_BUFFER, NET_BUFFER_LIST,
    NET_BUFFER_LIST_CONTEXT,
};
use understudy_rules::ndis::ledger::{Broken, List, Party};

/// Tag of lists and net buffers in the pool: `NDnb`.
const LIST_TAG: u32 = u32::from_le_bytes(*b"NDnb");
/// Tag of MDLs in the pool: `NDmd`.
const MDL_TAG: u32 = u32::from_le_bytes(*b"NDmd");
/// Handles of pools are no addresses.
const POOL_HANDLES: u64 = 0x5d0b_4e50_0000_0000;
/// The pool of understudy's own lists.
pub(crate) const OWN_POOL: u64 = POOL_HANDLES;

/// A run of memory that an MDL is to describe.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    /// First byte.
    pub address: usize,
    /// Bytes.
    pub len: usize,
}

/// A pool of a driver's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pool {
    /// Whose it is: a module's if it was made with a module's handle, else its driver's.
    pub party: Party,
    /// The driver.
    pub owner: Owner,
    /// Its lists come with a NET_BUFFER.
    pub with_buffers: bool,
    /// Bytes of context with each list.
    pub context: u16,
}

static POOLS: IrqLock<BTreeMap<u64, Pool>> = IrqLock::new(BTreeMap::new());

/// An MDL that a driver made.
#[derive(Debug, Clone, Copy)]
struct DriverMdl {
    party: Party,
    owner: Owner,
}

static MDLS: IrqLock<BTreeMap<usize, DriverMdl>> = IrqLock::new(BTreeMap::new());

/// Registers a pool; its handle.
pub(crate) fn new_pool(pool: Pool) -> u64 {
    POOLS.with(|pools| {
        let last = pools.last_key_value().map_or(OWN_POOL, |(&handle, _)| handle);
        pools.insert(last + 0x10, pool);
        last + 0x10
    })
}

/// The pool behind a handle.
pub(crate) fn pool(handle: u64) -> Option<Pool> {
    POOLS.with(|pools| pools.get(&handle).copied())
}

/// Takes a pool away.
///
/// # Errors
/// It is none, or lists of it live.
pub(crate) fn free_pool(handle: u64) -> Result<(), Broken> {
    let left = books::with(|ledger| ledger.from_pool(handle));
    if left != 0 {
        return Err(Broken::new(
            "NetBufferListLeaked",
            format!("{left} lists of pool {handle:#x} are not freed"),
        ));
    }
    let gone = POOLS.with(|pools| pools.remove(&handle));
    gone.map(|_| ()).ok_or_else(|| Broken::new("InvalidPoolHandle", format!("{handle:#x} is no pool")))
}

fn zeroed<T>(tag: u32, size: usize) -> *mut T {
    crate::verifier::pool::alloc(Owner::UNDERSTUDY, tag, size, true).cast()
}

fn release<T>(block: *mut T, tag: u32) -> Result<(), Broken> {
    crate::verifier::pool::free(block.cast(), tag).map_err(|place| Broken::new("BadPoolFree", place))
}

/// Makes a list of `pool` for `origin`, with a NET_BUFFER over `mdls` if `data` gives its start and length.
pub(crate) fn make_list(
    (pool, origin): (u64, Party),
    context: u16,
    data: Option<(*mut MDL, u32, u32)>,
) -> Option<List> {
    let list: *mut NET_BUFFER_LIST = zeroed(LIST_TAG, NDIS_SIZEOF_PRIVATE_NET_BUFFER_LIST);
    if list.is_null() {
        return None;
    }
    // SAFETY: fresh, zeroed, of the private size, and nobody else knows it.
    unsafe {
        nbl::poison_private(list);
        (*list).NdisPoolHandle = pool as *mut _;
        (*list).Status = understudy_rules::ndis::ledger::STATUS_POISON;
    }
    let complete = context == 0 || add_context(list, context);
    let complete = complete && data.is_none_or(|data| add_buffer(list, pool, data));
    if !complete {
        drop(free_memory(list));
        return None;
    }
    books::with(|ledger| ledger.made(list as List, origin, pool));
    Some(list as List)
}

fn add_context(list: *mut NET_BUFFER_LIST, size: u16) -> bool {
    let context: *mut NET_BUFFER_LIST_CONTEXT =
        zeroed(LIST_TAG, size_of::<NET_BUFFER_LIST_CONTEXT>() + usize::from(size));
    if !context.is_null() {
        // SAFETY: both are fresh; the list is not known to anybody else yet.
        unsafe {
            (*context).Size = size;
            (*list).Context = context;
        }
    }
    !context.is_null()
}

fn add_buffer(list: *mut NET_BUFFER_LIST, pool: u64, (mdls, offset, len): (*mut MDL, u32, u32)) -> bool {
    let buffer: *mut NET_BUFFER = zeroed(LIST_TAG, size_of::<NET_BUFFER>());
    if buffer.is_null() {
        return false;
    }
    // SAFETY: both are fresh; the MDLs are the caller's and live.
    unsafe {
        (*buffer).NdisPoolHandle = pool as *mut _;
        (*buffer).MdlChain = mdls;
        (*buffer).DataOffset = offset;
        (*buffer).DataLength = len as usize;
        let (mut mdl, mut before) = (mdls, 0);
        while !mdl.is_null() && before + (*mdl).ByteCount <= offset && !(*mdl).Next.is_null() {
            before += (*mdl).ByteCount;
            mdl = (*mdl).Next;
        }
        (*buffer).CurrentMdl = mdl;
        (*buffer).CurrentMdlOffset = offset - before;
        (*list).FirstNetBuffer = buffer;
    }
    true
}

/// Frees a list's memory: itself, contexts, NET_BUFFERs.
fn free_memory(list: *mut NET_BUFFER_LIST) -> Result<(), Broken> {
    // SAFETY: the caller has taken it out of the books, or nobody knows it yet.
    unsafe {
        let mut context = (*list).Context;
        while !context.is_null() {
            let next = (*context).Next;
            release(context, LIST_TAG)?;
            context = next;
        }
        let mut buffer = (*list).FirstNetBuffer;
        while !buffer.is_null() {
            let next = (*buffer).Next;
            release(buffer, LIST_TAG)?;
            buffer = next;
        }
    }
    release(list, LIST_TAG)
}

/// Frees a list that `by` has made; MDLs stay with whoever made them.
///
/// # Errors
/// It is not `by`'s to free, or its memory was damaged.
pub(crate) fn free_list(by: Party, list: List) -> Result<(), Broken> {
    let known = books::with(|ledger| ledger.knows(list));
    let id = if known { books::live(list).cancel_id() } else { 0 };
    books::with(|ledger| ledger.freed(list, by, id))?;
    free_memory(list as *mut NET_BUFFER_LIST)
}

/// Makes an MDL over nonpaged memory.
pub(crate) fn make_mdl(extent: Extent) -> *mut MDL {
    let mdl: *mut MDL = zeroed(MDL_TAG, size_of::<MDL>());
    if !mdl.is_null() {
        // SAFETY: fresh, and nobody else knows it.
        unsafe {
            (*mdl).Size = size_of::<MDL>() as i16;
            (*mdl).MdlFlags = MDL_SOURCE_IS_NONPAGED_POOL;
            (*mdl).MappedSystemVa = extent.address as *mut _;
            (*mdl).StartVa = (extent.address & !0xfff) as *mut _;
            (*mdl).ByteOffset = (extent.address & 0xfff) as u32;
            (*mdl).ByteCount = extent.len as u32;
        }
    }
    mdl
}

/// Makes an MDL for a driver.
pub(crate) fn make_driver_mdl(party: Party, owner: Owner, extent: Extent) -> *mut MDL {
    let mdl = make_mdl(extent);
    if !mdl.is_null() {
        MDLS.with(|mdls| mdls.insert(mdl as usize, DriverMdl { party, owner }));
    }
    mdl
}

/// Frees a driver's MDL.
///
/// # Errors
/// It is none.
pub(crate) fn free_driver_mdl(mdl: *mut MDL) -> Result<(), Broken> {
    let known = MDLS.with(|mdls| mdls.remove(&(mdl as usize)));
    if known.is_none() {
        let place = format!("{mdl:p} is no MDL of NdisAllocateMdl (freed already?)");
        return Err(Broken::new("NdisAllocateMdl", place));
    }
    release(mdl, MDL_TAG)
}

/// Makes one of understudy's own lists: a NET_BUFFER over `extents`, whose data starts `lead` bytes into the first.
pub(crate) fn make(origin: Party, source: u64, extents: &[Extent], lead: u32) -> Option<List> {
    let mdls: Vec<*mut MDL> = extents.iter().map(|&extent| make_mdl(extent)).collect();
    let whole: usize = extents.iter().map(|extent| extent.len).sum();
    let complete = mdls.iter().all(|mdl| !mdl.is_null());
    for pair in mdls.windows(2).filter(|_| complete) {
        // SAFETY: both are fresh.
        unsafe { (*pair[0]).Next = pair[1] };
    }
    let first = mdls.first().copied().unwrap_or(null_mut());
    let data = (first, lead, whole as u32 - lead);
    let list = if complete { make_list((OWN_POOL, origin), 0, Some(data)) } else { None };
    match list {
        Some(list) => books::live(list).set_source(source),
        None => mdls.into_iter().filter(|mdl| !mdl.is_null()).for_each(|mdl| drop(release(mdl, MDL_TAG))),
    }
    list
}

/// Frees one of understudy's own lists with its MDLs.
///
/// # Errors
/// It is not `by`'s to free, or its memory was damaged.
pub(crate) fn free(by: Party, list: List) -> Result<(), Broken> {
    let mut mdls = Vec::new();
    for buffer in books::live(list).buffers()? {
        // SAFETY: the list is home: its buffers and MDLs are the caller's.
        let mut mdl = unsafe { (*buffer.pointer()).MdlChain };
        while !mdl.is_null() {
            mdls.push(mdl);
            // SAFETY: as above.
            mdl = unsafe { (*mdl).Next };
        }
    }
    free_list(by, list)?;
    mdls.into_iter().try_for_each(|mdl| release(mdl, MDL_TAG))
}

/// What a module (`party`) or a driver (`owner`, any party) has not freed, by rule and in words.
pub(crate) fn left(belongs: impl Fn(Party, Owner) -> bool) -> Vec<(&'static str, String)> {
    let mut found = Vec::new();
    let pools: Vec<(u64, Pool)> =
        POOLS.with(|pools| pools.iter().map(|(&handle, &pool)| (handle, pool)).collect());
    for (handle, _) in pools.into_iter().filter(|(_, pool)| belongs(pool.party, pool.owner)) {
        let lists = books::with(|ledger| ledger.from_pool(handle));
        if lists != 0 {
            found.push(("NetBufferListLeaked", format!("{lists} lists of pool {handle:#x}")));
        }
        found.push(("NetBufferListPoolLeaked", format!("pool {handle:#x}")));
    }
    let mdls = MDLS.with(|mdls| mdls.values().filter(|mdl| belongs(mdl.party, mdl.owner)).count());
    if mdls != 0 {
        found.push(("NdisAllocateMdl", format!("{mdls} MDLs")));
    }
    found
}
