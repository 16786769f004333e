//! Functions of NDIS.SYS that a filter driver imports. The image names the module; no import library.

use core::ffi::c_void;

use crate::{
    device::{EX_POOL_PRIORITY, NDIS_DEVICE_OBJECT_ATTRIBUTES, NDIS_EVENT},
    event::{NDIS_STATUS_INDICATION, NET_DEVICE_PNP_EVENT, NET_PNP_EVENT_NOTIFICATION},
    filter::{NDIS_FILTER_ATTRIBUTES, NDIS_FILTER_DRIVER_CHARACTERISTICS},
    nbl::{MDL, NET_BUFFER, NET_BUFFER_LIST, NET_BUFFER_LIST_POOL_PARAMETERS},
    nt::{DEVICE_OBJECT, DRIVER_OBJECT},
    object::{NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_PORT_NUMBER, NDIS_STATUS},
    oid::NDIS_OID_REQUEST,
};

#[link(name = "NDIS.SYS", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "win64" {
    /// PASSIVE_LEVEL. FilterAttach may be called before this returns.
    pub fn NdisFRegisterFilterDriver(
        DriverObject: *mut DRIVER_OBJECT,
        FilterDriverContext: NDIS_HANDLE,
        FilterDriverCharacteristics: *mut NDIS_FILTER_DRIVER_CHARACTERISTICS,
        NdisFilterDriverHandle: *mut NDIS_HANDLE,
    ) -> NDIS_STATUS;
    /// PASSIVE_LEVEL. Detaches what is still attached.
    pub fn NdisFDeregisterFilterDriver(NdisFilterDriverHandle: NDIS_HANDLE);
    /// PASSIVE_LEVEL, from FilterAttach only.
    pub fn NdisFSetAttributes(
        NdisFilterHandle: NDIS_HANDLE,
        FilterModuleContext: NDIS_HANDLE,
        FilterAttributes: *mut NDIS_FILTER_ATTRIBUTES,
    ) -> NDIS_STATUS;
    /// PASSIVE_LEVEL, for a module from FilterSetModuleOptions, with
    /// [`crate::NDIS_FILTER_PARTIAL_CHARACTERISTICS`].
    pub fn NdisSetOptionalHandlers(
        NdisHandle: NDIS_HANDLE,
        OptionalHandlers: *mut NDIS_OBJECT_HEADER,
    ) -> NDIS_STATUS;
    /// At most DISPATCH_LEVEL. Only schedules a pause and a restart.
    pub fn NdisFRestartFilter(NdisFilterHandle: NDIS_HANDLE) -> NDIS_STATUS;
    /// At most DISPATCH_LEVEL, once for a FilterPause that returns NDIS_STATUS_PENDING.
    pub fn NdisFPauseComplete(NdisFilterHandle: NDIS_HANDLE);
    /// At most DISPATCH_LEVEL.
    pub fn NdisFSendNetBufferLists(
        NdisFilterHandle: NDIS_HANDLE,
        NetBufferLists: *mut NET_BUFFER_LIST,
        PortNumber: NDIS_PORT_NUMBER,
        SendFlags: u32,
    );
    /// At most DISPATCH_LEVEL.
    pub fn NdisFSendNetBufferListsComplete(
        NdisFilterHandle: NDIS_HANDLE,
        NetBufferLists: *mut NET_BUFFER_LIST,
        SendCompleteFlags: u32,
    );
    /// At most DISPATCH_LEVEL.
    pub fn NdisFCancelSendNetBufferLists(NdisFilterHandle: NDIS_HANDLE, CancelId: *mut c_void);
    /// At most DISPATCH_LEVEL.
    pub fn NdisFIndicateReceiveNetBufferLists(
        NdisFilterHandle: NDIS_HANDLE,
        NetBufferLists: *mut NET_BUFFER_LIST,
        PortNumber: NDIS_PORT_NUMBER,
        NumberOfNetBufferLists: u32,
        ReceiveFlags: u32,
    );
    /// At most DISPATCH_LEVEL.
    pub fn NdisFReturnNetBufferLists(
        NdisFilterHandle: NDIS_HANDLE,
        NetBufferLists: *mut NET_BUFFER_LIST,
        ReturnFlags: u32,
    );
    /// At most DISPATCH_LEVEL.
    pub fn NdisFOidRequest(NdisFilterHandle: NDIS_HANDLE, OidRequest: *mut NDIS_OID_REQUEST) -> NDIS_STATUS;
    /// At most DISPATCH_LEVEL.
    pub fn NdisFOidRequestComplete(
        NdisFilterHandle: NDIS_HANDLE,
        OidRequest: *mut NDIS_OID_REQUEST,
        Status: NDIS_STATUS,
    );
    /// At most DISPATCH_LEVEL. The ID is the request's RequestId.
    pub fn NdisFCancelOidRequest(NdisFilterHandle: NDIS_HANDLE, RequestId: *mut c_void);
    /// At most DISPATCH_LEVEL.
    pub fn NdisFIndicateStatus(NdisFilterHandle: NDIS_HANDLE, StatusIndication: *mut NDIS_STATUS_INDICATION);
    /// PASSIVE_LEVEL.
    pub fn NdisFDevicePnPEventNotify(
        NdisFilterHandle: NDIS_HANDLE,
        NetDevicePnPEvent: *mut NET_DEVICE_PNP_EVENT,
    );
    /// PASSIVE_LEVEL.
    pub fn NdisFNetPnPEvent(
        NdisFilterHandle: NDIS_HANDLE,
        NetPnPEventNotification: *mut NET_PNP_EVENT_NOTIFICATION,
    ) -> NDIS_STATUS;
    /// At most DISPATCH_LEVEL. The high-order byte of cancellation IDs.
    pub fn NdisGeneratePartialCancelId() -> u8;
    /// At most DISPATCH_LEVEL. Null if there is no memory.
    pub fn NdisAllocateNetBufferListPool(
        NdisHandle: NDIS_HANDLE,
        Parameters: *mut NET_BUFFER_LIST_POOL_PARAMETERS,
    ) -> NDIS_HANDLE;
    /// At most DISPATCH_LEVEL, once all its lists are freed.
    pub fn NdisFreeNetBufferListPool(PoolHandle: NDIS_HANDLE);
    /// At most DISPATCH_LEVEL. Null if there is no memory.
    pub fn NdisAllocateNetBufferAndNetBufferList(
        PoolHandle: NDIS_HANDLE,
        ContextSize: u16,
        ContextBackFill: u16,
        MdlChain: *mut MDL,
        DataOffset: u32,
        DataLength: usize,
    ) -> *mut NET_BUFFER_LIST;
    /// At most DISPATCH_LEVEL.
    pub fn NdisFreeNetBufferList(NetBufferList: *mut NET_BUFFER_LIST);
    /// At most DISPATCH_LEVEL.
    pub fn NdisAllocateCloneOidRequest(
        SourceHandle: NDIS_HANDLE,
        OidRequest: *mut NDIS_OID_REQUEST,
        PoolTag: u32,
        ClonedOidRequest: *mut *mut NDIS_OID_REQUEST,
    ) -> NDIS_STATUS;
    /// At most DISPATCH_LEVEL.
    pub fn NdisFreeCloneOidRequest(SourceHandle: NDIS_HANDLE, Request: *mut NDIS_OID_REQUEST);
    /// At most DISPATCH_LEVEL. The memory is nonpaged. Null if there is no memory.
    pub fn NdisAllocateMdl(NdisHandle: NDIS_HANDLE, VirtualAddress: *mut c_void, Length: u32) -> *mut MDL;
    /// At most DISPATCH_LEVEL.
    pub fn NdisFreeMdl(Mdl: *mut MDL);
    /// At most DISPATCH_LEVEL. The data in one piece: in place or copied to `Storage`; null if it is shorter.
    pub fn NdisGetDataBuffer(
        NetBuffer: *mut NET_BUFFER,
        BytesNeeded: u32,
        Storage: *mut c_void,
        AlignMultiple: u32,
        AlignOffset: u32,
    ) -> *mut c_void;
    /// At most DISPATCH_LEVEL. Nonpaged; null if there is no memory.
    pub fn NdisAllocateMemoryWithTagPriority(
        NdisHandle: NDIS_HANDLE,
        Length: u32,
        Tag: u32,
        Priority: EX_POOL_PRIORITY,
    ) -> *mut c_void;
    /// At most DISPATCH_LEVEL. With no flags the length is not looked at.
    pub fn NdisFreeMemory(VirtualAddress: *mut c_void, Length: u32, MemoryFlags: u32);
    /// PASSIVE_LEVEL, with the handle of a registered driver.
    pub fn NdisRegisterDeviceEx(
        NdisHandle: NDIS_HANDLE,
        DeviceObjectAttributes: *mut NDIS_DEVICE_OBJECT_ATTRIBUTES,
        pDeviceObject: *mut *mut DEVICE_OBJECT,
        NdisDeviceHandle: *mut NDIS_HANDLE,
    ) -> NDIS_STATUS;
    /// PASSIVE_LEVEL.
    pub fn NdisDeregisterDeviceEx(NdisDeviceHandle: NDIS_HANDLE);
    /// At most DISPATCH_LEVEL.
    pub fn NdisInitializeEvent(Event: *mut NDIS_EVENT);
    /// At most DISPATCH_LEVEL.
    pub fn NdisSetEvent(Event: *mut NDIS_EVENT);
    /// PASSIVE_LEVEL. Milliseconds; 0 waits for ever. Nonzero if the event was set.
    pub fn NdisWaitEvent(Event: *mut NDIS_EVENT, MsToWait: u32) -> u8;
}
