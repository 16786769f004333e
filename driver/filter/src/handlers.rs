//! The tables of the handlers that NDIS calls, and the one handler that hands such a table over.

use cancelnic_kernel::text::{counted, utf16};
use ndis_sys::{
    NDIS_FILTER_CHARACTERISTICS_REVISION_3, NDIS_FILTER_DRIVER_CHARACTERISTICS,
    NDIS_FILTER_PARTIAL_CHARACTERISTICS, NDIS_FILTER_PARTIAL_CHARACTERISTICS_REVISION_1, NDIS_HANDLE,
    NDIS_OBJECT_HEADER, NDIS_OBJECT_TYPE_FILTER_DRIVER_CHARACTERISTICS,
    NDIS_OBJECT_TYPE_FILTER_PARTIAL_CHARACTERISTICS, NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_3,
    NDIS_STATUS, NDIS_STATUS_SUCCESS, NdisSetOptionalHandlers,
};

use crate::{
    datapath, events,
    module::{self, Filter},
    requests,
};

/// NDIS version of the characteristics: that of Windows 10 2004, on which the NIC's driver begins too.
const NDIS_VERSION: (u8, u8) = (6, 84);
/// Version of this driver, as NDIS keeps it.
const VERSION: (u8, u8) = (0, 1);

static FRIENDLY_NAME: [u16; 32] = utf16(b"cancelnic cancel-by-ID filter");
const FRIENDLY_NAME_LENGTH: usize = b"cancelnic cancel-by-ID filter".len();
/// NetCfgInstanceId of the INF.
static UNIQUE_NAME: [u16; 38] = utf16(b"{d1a5c0f2-7b64-4b0e-9a57-3c1f8e6b2d40}");
static SERVICE_NAME: [u16; 13] = utf16(b"cancelnic-lwf");

/// Everything that NDIS calls.
pub(crate) fn characteristics() -> NDIS_FILTER_DRIVER_CHARACTERISTICS {
    NDIS_FILTER_DRIVER_CHARACTERISTICS {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_FILTER_DRIVER_CHARACTERISTICS,
            NDIS_FILTER_CHARACTERISTICS_REVISION_3,
            NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_3,
        ),
        MajorNdisVersion: NDIS_VERSION.0,
        MinorNdisVersion: NDIS_VERSION.1,
        MajorDriverVersion: VERSION.0,
        MinorDriverVersion: VERSION.1,
        Flags: 0,
        FriendlyName: counted(&FRIENDLY_NAME[..FRIENDLY_NAME_LENGTH]),
        UniqueName: counted(&UNIQUE_NAME),
        ServiceName: counted(&SERVICE_NAME),
        SetOptionsHandler: None,
        SetFilterModuleOptionsHandler: Some(set_options),
        AttachHandler: Some(module::attach),
        DetachHandler: Some(module::detach),
        RestartHandler: Some(module::restart),
        PauseHandler: Some(module::pause),
        SendNetBufferListsHandler: Some(datapath::send),
        SendNetBufferListsCompleteHandler: Some(datapath::send_complete),
        CancelSendNetBufferListsHandler: Some(datapath::cancel_send),
        ReceiveNetBufferListsHandler: Some(datapath::receive),
        ReturnNetBufferListsHandler: Some(datapath::give_back),
        OidRequestHandler: Some(requests::request),
        OidRequestCompleteHandler: Some(requests::complete),
        CancelOidRequestHandler: Some(requests::cancel),
        DevicePnPEventNotifyHandler: Some(events::device),
        NetPnPEventHandler: Some(events::network),
        StatusHandler: Some(events::status),
        // NDIS takes these past the filter
        DirectOidRequestHandler: None,
        DirectOidRequestCompleteHandler: None,
        CancelDirectOidRequestHandler: None,
        SynchronousOidRequestHandler: None,
        SynchronousOidRequestCompleteHandler: None,
    }
}

/// The handlers of the data path of a module that lists pass through, or of one that they go past.
fn partial(bypassed: bool) -> NDIS_FILTER_PARTIAL_CHARACTERISTICS {
    let none = NDIS_FILTER_PARTIAL_CHARACTERISTICS {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_FILTER_PARTIAL_CHARACTERISTICS,
            NDIS_FILTER_PARTIAL_CHARACTERISTICS_REVISION_1,
            size_of::<NDIS_FILTER_PARTIAL_CHARACTERISTICS>() as u16,
        ),
        Flags: 0,
        SendNetBufferListsHandler: None,
        SendNetBufferListsCompleteHandler: None,
        CancelSendNetBufferListsHandler: None,
        ReceiveNetBufferListsHandler: None,
        ReturnNetBufferListsHandler: None,
    };
    if bypassed {
        return none;
    }
    NDIS_FILTER_PARTIAL_CHARACTERISTICS {
        SendNetBufferListsHandler: Some(datapath::send),
        SendNetBufferListsCompleteHandler: Some(datapath::send_complete),
        CancelSendNetBufferListsHandler: Some(datapath::cancel_send),
        ReceiveNetBufferListsHandler: Some(datapath::receive),
        ReturnNetBufferListsHandler: Some(datapath::give_back),
        ..none
    }
}

/// FilterSetModuleOptions: before a restart, the module says which handlers lists take. PASSIVE_LEVEL.
unsafe extern "win64" fn set_options(context: NDIS_HANDLE) -> NDIS_STATUS {
    // SAFETY: NDIS passes the context of an attached module, which is paused.
    let filter = unsafe { Filter::of(context) };
    let bypassed = filter.wants_bypass();
    let mut handlers = partial(bypassed);
    // SAFETY: inside FilterSetModuleOptions, with the module's handle; NDIS copies the handlers.
    let status = unsafe { NdisSetOptionalHandlers(filter.handle, (&raw mut handlers).cast()) };
    if status == NDIS_STATUS_SUCCESS {
        filter.set_bypassed(bypassed);
    }
    status
}
