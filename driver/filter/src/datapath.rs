//! Sends, their completions and cancels, receives.

use core::ffi::c_void;

use cancelnic_filter_core::Way;
use cancelnic_kernel::clock;
use ndis_sys::{
    NDIS_HANDLE, NDIS_PORT_NUMBER, NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL, NDIS_RECEIVE_FLAGS_RESOURCES,
    NDIS_RETURN_FLAGS_DISPATCH_LEVEL, NET_BUFFER_LIST, NdisFIndicateReceiveNetBufferLists,
    NdisFReturnNetBufferLists,
};

use crate::{
    list::{given, taken},
    module::Filter,
};

/// FilterSendNetBufferLists. At most DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn send(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    port: NDIS_PORT_NUMBER,
    flags: u32,
) {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    // SAFETY: NDIS passes lists that are now this driver's.
    let lists = unsafe { taken(lists) };
    filter.sends.send(lists, Way { port, flags }, clock::milliseconds, filter);
}

/// FilterSendNetBufferListsComplete. At most DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn send_complete(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    flags: u32,
) {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    // SAFETY: NDIS passes lists that are now this driver's.
    let lists = unsafe { taken(lists) };
    filter.sends.complete(lists, flags, filter);
}

/// FilterCancelSendNetBufferLists. At most DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn cancel_send(context: NDIS_HANDLE, id: *mut c_void) {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    filter.sends.cancel(id.addr() as u64, filter);
}

/// FilterReceiveNetBufferLists. At most DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn receive(
    context: NDIS_HANDLE,
    lists: *mut NET_BUFFER_LIST,
    port: NDIS_PORT_NUMBER,
    count: u32,
    flags: u32,
) {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    if filter.sends.receive(u64::from(count)) {
        // SAFETY: the module is attached; what came up goes on up as it is.
        unsafe { NdisFIndicateReceiveNetBufferLists(filter.handle, lists, port, count, flags) };
    } else if flags & NDIS_RECEIVE_FLAGS_RESOURCES == 0 {
        let at_dispatch = flags & NDIS_RECEIVE_FLAGS_DISPATCH_LEVEL != 0;
        let flags = if at_dispatch { NDIS_RETURN_FLAGS_DISPATCH_LEVEL } else { 0 };
        // SAFETY: the lists were this driver's to return, and are so no longer.
        unsafe { NdisFReturnNetBufferLists(filter.handle, lists, flags) };
    }
}

/// FilterReturnNetBufferLists. At most DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn give_back(context: NDIS_HANDLE, lists: *mut NET_BUFFER_LIST, flags: u32) {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    // SAFETY: NDIS passes lists that are now this driver's.
    let lists = unsafe { taken(lists) };
    filter.sends.returned(lists.len() as u64);
    // SAFETY: the lists came from below, through this module.
    unsafe { NdisFReturnNetBufferLists(filter.handle, given(lists), flags) };
}
