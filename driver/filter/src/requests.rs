//! OID requests pass through as clones.

use core::{ffi::c_void, ptr::null_mut};

use cancelnic_filter_core::Lock as _;
use ndis_sys::{
    NDIS_HANDLE, NDIS_OID_REQUEST, NDIS_STATUS, NDIS_STATUS_PENDING, NDIS_STATUS_SUCCESS,
    NdisAllocateCloneOidRequest, NdisFCancelOidRequest, NdisFOidRequest, NdisFOidRequestComplete,
    NdisFreeCloneOidRequest, NdisRequestMethod,
};

use crate::{driver::POOL_TAG, module::Filter};

/// FilterOidRequest: sends a clone down. At most DISPATCH_LEVEL.
pub unsafe extern "win64" fn request(context: NDIS_HANDLE, original: *mut NDIS_OID_REQUEST) -> NDIS_STATUS {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    let mut clone = null_mut();
    // SAFETY: the request is NDIS's and lives until it is completed; the clone is written on success.
    let status = unsafe { NdisAllocateCloneOidRequest(filter.handle, original, POOL_TAG, &raw mut clone) };
    if status != NDIS_STATUS_SUCCESS {
        return status;
    }
    // SAFETY: the clone is this driver's until it is sent; SourceReserved is for whoever made it.
    unsafe {
        (*clone).RequestId = (*original).RequestId;
        (*clone).SourceReserved[0] = original.cast();
    }
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
pub unsafe extern "win64" fn complete(
    context: NDIS_HANDLE,
    clone: *mut NDIS_OID_REQUEST,
    status: NDIS_STATUS,
) {
    // SAFETY: NDIS passes the context of an attached module and a request that this driver has sent: a clone.
    unsafe {
        let filter = Filter::of(context);
        let original = end(filter, clone);
        NdisFOidRequestComplete(filter.handle, original, status);
    }
}

/// FilterCancelOidRequest. At most DISPATCH_LEVEL.
pub unsafe extern "win64" fn cancel(context: NDIS_HANDLE, id: *mut c_void) {
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
    // SAFETY: the original waits for its clone; both have the same type. The clone is freed once.
    unsafe {
        let original = (*clone).SourceReserved[0].cast::<NDIS_OID_REQUEST>();
        if (*clone).RequestType == NdisRequestMethod {
            let from = (*clone).DATA.Method;
            let to = &raw mut (*original).DATA.Method;
            (*to).OutputBufferLength = from.OutputBufferLength;
            (*to).BytesWritten = from.BytesWritten;
            (*to).BytesRead = from.BytesRead;
            (*to).BytesNeeded = from.BytesNeeded;
        } else {
            let from = (*clone).DATA.Information;
            let to = &raw mut (*original).DATA.Information;
            (*to).BytesTransferred = from.BytesTransferred;
            (*to).BytesNeeded = from.BytesNeeded;
        }
        NdisFreeCloneOidRequest(filter.handle, clone);
        original
    }
}
