//! Lists of the filter's own: a pool, lists kept for the next send, frames.

use core::{
    ffi::c_void,
    ptr::{self, NonNull},
};

use cancelnic_filter_core::{Chain, List, Lock as _};
use cancelnic_ioctl::filter::{LONGEST, MOST_GROUPS, NO_NUMBER, Send};
use ndis_sys::{
    MDL, NDIS_HANDLE, NDIS_SET_NET_BUFFER_LIST_CANCEL_ID, NET_BUFFER_LIST, NET_BUFFER_LIST_POOL_PARAMETERS,
    NdisAllocateMdl, NdisAllocateMemoryWithTagPriority, NdisAllocateNetBufferAndNetBufferList,
    NdisAllocateNetBufferListPool, NdisFreeMdl, NdisFreeMemory, NdisFreeNetBufferList,
    NdisFreeNetBufferListPool, NdisGetDataBuffer, NormalPoolPriority,
};
use numbered_frame::{EVERYONE, HEADER};

use crate::{ids, list::Nbl, lock::SpinLock, report::POOL_TAG};

/// Bytes of an Ethernet address.
pub(crate) const ADDRESS_LENGTH: usize = 6;
/// Lists that are kept for the next send.
const SPARE: usize = 64;

/// What a module needs to send frames of its own.
pub(crate) struct OwnLists {
    /// Handle of the module: whose lists they are.
    source: NDIS_HANDLE,
    pool: NDIS_HANDLE,
    /// The adapter's address.
    address: [u8; ADDRESS_LENGTH],
    spare: SpinLock<Chain<Nbl>>,
}

// SAFETY: both handles may be used from any processor.
unsafe impl Sync for OwnLists {}

impl OwnLists {
    /// Makes the pool; `None` without memory. At most DISPATCH_LEVEL.
    ///
    /// # Safety
    /// `source` is the handle of a module that outlives this.
    pub(crate) unsafe fn new(source: NDIS_HANDLE, address: [u8; ADDRESS_LENGTH]) -> Option<Self> {
        let mut parameters = NET_BUFFER_LIST_POOL_PARAMETERS::with_net_buffers(POOL_TAG);
        // SAFETY: the handle is the caller's to vouch for; the parameters live over the call.
        let pool = unsafe { NdisAllocateNetBufferListPool(source, &raw mut parameters) };
        if pool.is_null() {
            return None;
        }
        Some(Self { source, pool, address, spare: SpinLock::new(Chain::new()) })
    }

    /// Makes all lists of a send, frame i marked with ID i modulo the count of groups; `None`, and nothing made,
    /// without memory. At most DISPATCH_LEVEL.
    pub(crate) fn make(&self, send: &Send, ids: &[u64; MOST_GROUPS]) -> Option<Chain<Nbl>> {
        let mut lists = Chain::new();
        for at in 0..send.count {
            let Some(list) = self.spare.with(Chain::pop).or_else(|| self.allocate()) else {
                self.unmark_and_give_back(lists);
                return None;
            };
            let id = at.checked_rem(send.groups).and_then(|group| ids.get(group as usize));
            // SAFETY: the list is this module's, not sent, with a net buffer over a buffer of LONGEST bytes.
            unsafe { self.fill(list, send.first + u64::from(at), send.len as usize) };
            if let Some(id) = id {
                // SAFETY: the list is this module's, and not sent.
                unsafe { NDIS_SET_NET_BUFFER_LIST_CANCEL_ID(list.as_ptr(), ids::pointer(*id)) };
            }
            lists.push(list);
        }
        Some(lists)
    }

    /// Takes lists that are over or were never sent: keeps some, frees the rest. At most DISPATCH_LEVEL.
    pub(crate) fn give_back(&self, mut lists: Chain<Nbl>) {
        while let Some(list) = lists.pop() {
            let kept = self.spare.with(|spare| {
                let room = spare.len() < SPARE;
                if room {
                    spare.push(list);
                }
                room
            });
            if !kept {
                // SAFETY: this module's list, which is nowhere else any more.
                unsafe { free(list) };
            }
        }
    }

    /// Takes lists that were marked and not sent. At most DISPATCH_LEVEL.
    pub(crate) fn unmark_and_give_back(&self, lists: Chain<Nbl>) {
        lists.iter().for_each(List::clear_cancel_id);
        self.give_back(lists);
    }

    /// A list with a net buffer over a buffer of [`LONGEST`] bytes.
    fn allocate(&self) -> Option<Nbl> {
        // SAFETY: the module's handle; null is handled.
        let memory =
            unsafe { NdisAllocateMemoryWithTagPriority(self.source, LONGEST, POOL_TAG, NormalPoolPriority) };
        if memory.is_null() {
            return None;
        }
        // SAFETY: the memory has as many bytes; null is handled.
        let mdl = unsafe { NdisAllocateMdl(self.source, memory, LONGEST) };
        if mdl.is_null() {
            // SAFETY: allocated above, and known to nobody.
            unsafe { NdisFreeMemory(memory, 0, 0) };
            return None;
        }
        // SAFETY: the module's pool; the MDL describes as many bytes; null is handled.
        let list =
            unsafe { NdisAllocateNetBufferAndNetBufferList(self.pool, 0, 0, mdl, 0, LONGEST as usize) };
        let Some(list) = NonNull::new(list) else {
            // SAFETY: allocated above, and known to nobody.
            unsafe { NdisFreeMdl(mdl) };
            // SAFETY: allocated above, and no MDL describes it any more.
            unsafe { NdisFreeMemory(memory, 0, 0) };
            return None;
        };
        // SAFETY: the list was just made.
        unsafe { (*list.as_ptr()).SourceHandle = self.source };
        // SAFETY: this module's own list.
        Some(unsafe { Nbl::new(list) })
    }

    /// Writes a frame: broadcast from the adapter's address, the number, filler from the number.
    ///
    /// # Safety
    /// The list is from [`Self::allocate`] and not sent; `length` is at least [`HEADER`] and at most [`LONGEST`].
    unsafe fn fill(&self, list: Nbl, number: u64, length: usize) {
        // SAFETY: a list from `allocate` has one net buffer.
        let buffer = unsafe { (*list.as_ptr()).FirstNetBuffer };
        // SAFETY: the net buffer is this module's until the list is sent.
        unsafe { (*buffer).DataLength = length };
        // SAFETY: the net buffer has one MDL.
        let mdl = unsafe { (*buffer).MdlChain };
        // SAFETY: the MDL describes a buffer of LONGEST bytes, which is mapped.
        let start = unsafe { (*mdl).MappedSystemVa };
        // SAFETY: the caller vouches for the length; nobody else uses the buffer until the list is sent.
        let frame = unsafe { core::slice::from_raw_parts_mut(start.cast::<u8>(), length) };
        for (byte, value) in frame.iter_mut().zip(numbered_frame::bytes(number, self.address, EVERYONE)) {
            *byte = value;
        }
    }
}

impl Drop for OwnLists {
    fn drop(&mut self) {
        let mut spare = self.spare.with(Chain::take);
        while let Some(list) = spare.pop() {
            // SAFETY: this module's list, which is nowhere else.
            unsafe { free(list) };
        }
        // SAFETY: made in `new`; its lists are freed, as none is out when a module goes.
        unsafe { NdisFreeNetBufferListPool(self.pool) };
    }
}

/// Frees a list with its buffer.
///
/// # Safety
/// It is from [`OwnLists::allocate`] and nowhere in use.
unsafe fn free(list: Nbl) {
    let list: *mut NET_BUFFER_LIST = list.as_ptr();
    // SAFETY: the caller vouches for the list, which has one net buffer.
    let buffer = unsafe { (*list).FirstNetBuffer };
    // SAFETY: the net buffer has one MDL.
    let mdl: *mut MDL = unsafe { (*buffer).MdlChain };
    // SAFETY: the MDL describes one buffer.
    let memory: *mut c_void = unsafe { (*mdl).MappedSystemVa };
    // SAFETY: the caller vouches that nobody uses the list.
    unsafe { NdisFreeNetBufferList(list) };
    // SAFETY: the list that used it is gone.
    unsafe { NdisFreeMdl(mdl) };
    // SAFETY: the MDL that described it is gone.
    unsafe { NdisFreeMemory(memory, 0, 0) };
}

/// The number in a list's first frame; [`NO_NUMBER`] if the frame is of another kind. At most DISPATCH_LEVEL.
///
/// # Safety
/// This driver holds the list.
pub(crate) unsafe fn number_of(list: Nbl) -> u64 {
    let mut storage = [0_u8; HEADER];
    // SAFETY: the list is held, so its net buffers stay.
    let buffer = unsafe { (*list.as_ptr()).FirstNetBuffer };
    if buffer.is_null() {
        return NO_NUMBER;
    }
    // SAFETY: the net buffer and its memory stay; the storage is as long as is asked for.
    let data = unsafe { NdisGetDataBuffer(buffer, HEADER as u32, storage.as_mut_ptr().cast(), 1, 0) };
    if data.is_null() {
        return NO_NUMBER;
    }
    // SAFETY: as many bytes as were asked for are there, in the storage or in the net buffer's memory.
    let header = unsafe { ptr::read(data.cast::<[u8; HEADER]>()) };
    numbered_frame::number(&header).unwrap_or(NO_NUMBER)
}
