//! What a filter driver imports from NDIS.SYS, by name.

mod device;
mod filter;
mod lists;
mod system;

use crate::pe::{Export, exports};
use alloc::vec::Vec;

/// Every function.
pub(crate) fn all() -> Vec<Export> {
    exports! {
        "NdisFRegisterFilterDriver" => filter::register,
        "NdisFDeregisterFilterDriver" => filter::deregister,
        "NdisFSetAttributes" => filter::set_attributes,
        "NdisSetOptionalHandlers" => filter::set_optional_handlers,
        "NdisFRestartFilter" => filter::restart_filter,
        "NdisFPauseComplete" => filter::pause_complete,
        "NdisFSendNetBufferLists" => filter::send,
        "NdisFSendNetBufferListsComplete" => filter::send_complete,
        "NdisFCancelSendNetBufferLists" => filter::cancel_send,
        "NdisFIndicateReceiveNetBufferLists" => filter::indicate,
        "NdisFReturnNetBufferLists" => filter::give_back,
        "NdisFOidRequest" => filter::oid_request,
        "NdisFOidRequestComplete" => filter::oid_request_complete,
        "NdisFCancelOidRequest" => filter::cancel_oid_request,
        "NdisAllocateCloneOidRequest" => filter::clone_oid_request,
        "NdisFreeCloneOidRequest" => filter::free_clone_oid_request,
        "NdisFIndicateStatus" => filter::indicate_status,
        "NdisFDevicePnPEventNotify" => filter::device_event,
        "NdisFNetPnPEvent" => filter::net_event,
        "NdisGeneratePartialCancelId" => lists::partial_cancel_id,
        "NdisAllocateNetBufferListPool" => lists::allocate_pool,
        "NdisFreeNetBufferListPool" => lists::free_pool,
        "NdisAllocateNetBufferAndNetBufferList" => lists::allocate_with_buffer,
        "NdisFreeNetBufferList" => lists::free,
        "NdisAllocateMdl" => lists::allocate_mdl,
        "NdisFreeMdl" => lists::free_mdl,
        "NdisGetDataBuffer" => lists::data_buffer,
        "NdisAllocateMemoryWithTagPriority" => system::allocate_memory,
        "NdisFreeMemory" => system::free_memory,
        "NdisInitializeEvent" => system::initialize_event,
        "NdisSetEvent" => system::set_event,
        "NdisWaitEvent" => system::wait_event,
        "NdisRegisterDeviceEx" => device::register,
        "NdisDeregisterDeviceEx" => device::deregister,
        "NdisGetDeviceReservedExtension" => device::reserved_extension,
        "NdisResetEvent" => system::reset_event,
        "NdisMSleep" => system::sleep,
        "NdisGetVersion" => system::version,
        "NdisOpenConfigurationEx" => system::open_configuration,
        "NdisCloseConfiguration" => system::close_configuration,
    }
}
