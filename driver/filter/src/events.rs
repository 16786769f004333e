//! Status indications and Plug and Play events pass through.

use ndis_sys::{
    NDIS_HANDLE, NDIS_STATUS, NDIS_STATUS_INDICATION, NET_DEVICE_PNP_EVENT, NET_PNP_EVENT_NOTIFICATION,
    NdisFDevicePnPEventNotify, NdisFIndicateStatus, NdisFNetPnPEvent,
};

use crate::module::Filter;

/// FilterStatus: goes on up. At most DISPATCH_LEVEL.
pub(crate) unsafe extern "win64" fn status(context: NDIS_HANDLE, indication: *mut NDIS_STATUS_INDICATION) {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    // SAFETY: the module is attached; NDIS's indication lives over the call.
    unsafe { NdisFIndicateStatus(filter.handle, indication) };
}

/// FilterDevicePnPEventNotify: goes on down. PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn device(context: NDIS_HANDLE, event: *mut NET_DEVICE_PNP_EVENT) {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    // SAFETY: the module is attached; NDIS's event lives over the call.
    unsafe { NdisFDevicePnPEventNotify(filter.handle, event) };
}

/// FilterNetPnPEvent: goes on up. PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn network(
    context: NDIS_HANDLE,
    event: *mut NET_PNP_EVENT_NOTIFICATION,
) -> NDIS_STATUS {
    // SAFETY: NDIS passes the context of an attached module.
    let filter = unsafe { Filter::of(context) };
    // SAFETY: the module is attached; NDIS's event lives over the call.
    unsafe { NdisFNetPnPEvent(filter.handle, event) }
}
