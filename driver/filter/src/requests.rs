//! OID requests pass through as clones.

use core::{ffi::c_void, ptr::null_mut};

use cancelnic_filter_core::Lock as _;
use ndis_sys::{
    NDIS_HANDLE, NDIS_OID_REQUEST, NDIS_STATUS, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS,
    NdisAllocateCloneOidRequest, NdisFCancelOidRequest, NdisFOidRequest, NdisFOidRequestComplete,
    NdisFreeCloneOidRequest, NdisRequestMethod,
};

use crate::{module::Filter, report::POOL_TAG};

/// FilterOidRequest: sends a clone down. At most DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn request(
    context: NDIS_HANDLE,
    original: *mut NDIS_OID_REQUEST,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    let mut clone = null_mut();
    // SAFETY: the request is NDIS's and lives until it is completed; the clone is written on success.
    let status = unsafe { NdisAllocateCloneOidRequest(filter.handle, original, POOL_TAG, &raw mut clone) };
    if status != NDIS_STATUS_SUCCESS {
        return status;
    }
    // SAFETY: the request is NDIS's and lives until it is completed.
    let id = unsafe { (*original).RequestId };
    // SAFETY: the clone is this driver's until it is sent.
    unsafe { (*clone).RequestId = id };
    // SAFETY: the same; SourceReserved is for whoever made it.
    unsafe { (*clone).SourceReserved[0] = original.cast() };
    filter.pending_request.with(|pending| *pending = original);
    // SAFETY: the module is attached, the clone whole.
    let status = unsafe { NdisFOidRequest(filter.handle, clone) };
    if status != NDIS_STATUS_PENDING {
        // SAFETY: the request is over: it will not come back another time.
        unsafe { end(filter, clone) };
    }
    status
}

/// FilterOidRequestComplete: the clone is back. At most DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn complete(
    context: NDIS_HANDLE,
    clone: *mut NDIS_OID_REQUEST,
    status: NDIS_STATUS,
) {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    // SAFETY: NDIS passes a request that this driver has sent, a clone, and that is over.
    let original = unsafe { end(filter, clone) };
    // SAFETY: the module is attached; the original waits for its end.
    unsafe { NdisFOidRequestComplete(filter.handle, original, status) };
}

/// FilterCancelOidRequest. At most DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn cancel(context: NDIS_HANDLE, id: *mut c_void) {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    let ours = filter.pending_request.with(|pending| {
        // SAFETY: a pending request is completed only after it has been taken from here, under this lock.
        !pending.is_null() && unsafe { (**pending).RequestId } == id
    });
    if ours {
        // SAFETY: the clone has the same ID; if it is over meanwhile, no request has it.
        unsafe { NdisFCancelOidRequest(filter.handle, id) };
    }
}

/// Tells the original what became of its clone, frees the clone and gives the original.
///
/// # Safety
/// `clone` was made by [`request`] of this module and is over.
unsafe fn end(filter: &Filter, clone: *mut NDIS_OID_REQUEST) -> *mut NDIS_OID_REQUEST {
    filter.pending_request.with(|pending| *pending = null_mut());
    // SAFETY: the caller vouches for the clone, which nobody else uses.
    let over = unsafe { &*clone };
    let original = over.SourceReserved[0].cast::<NDIS_OID_REQUEST>();
    // SAFETY: `request` has noted the original, which waits for its clone and has the same type.
    let told = unsafe { &mut (*original).DATA };
    if over.RequestType == NdisRequestMethod {
        // SAFETY: of the union's members, the type's own.
        let from = unsafe { over.DATA.Method };
        // SAFETY: of the union's members, the type's own.
        let to = unsafe { &mut told.Method };
        to.OutputBufferLength = from.OutputBufferLength;
        to.BytesWritten = from.BytesWritten;
        to.BytesRead = from.BytesRead;
        to.BytesNeeded = from.BytesNeeded;
    } else {
        // SAFETY: of the union's members, the type's own.
        let from = unsafe { over.DATA.Information };
        // SAFETY: of the union's members, the type's own.
        let to = unsafe { &mut told.Information };
        to.BytesTransferred = from.BytesTransferred;
        to.BytesNeeded = from.BytesNeeded;
    }
    // SAFETY: made by `request` for this module, freed once.
    unsafe { NdisFreeCloneOidRequest(filter.handle, clone) };
    original
}
