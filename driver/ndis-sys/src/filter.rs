//! Filter drivers and filter modules: characteristics, callbacks, parameters.

use core::ffi::c_void;

use crate::{
    assert_layout,
    event::{NDIS_STATUS_INDICATION, NET_DEVICE_PNP_EVENT, NET_PNP_EVENT_NOTIFICATION},
    nbl::NET_BUFFER_LIST,
    nt::{PUNICODE_STRING, UNICODE_STRING},
    object::{NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OID, NDIS_PORT_NUMBER, NDIS_STATUS},
    oid::NDIS_OID_REQUEST,
};

/// NdisMedium802_3: Ethernet.
pub const NdisMedium802_3: i32 = 0;
/// NdisPhysicalMedium802_3: Ethernet over its own wire.
pub const NdisPhysicalMedium802_3: i32 = 14;
/// The link is up.
pub const MediaConnectStateConnected: i32 = 1;
/// Both directions at once.
pub const MediaDuplexStateFull: i32 = 2;
/// Room for an address in attach parameters, in bytes.
pub const NDIS_MAX_PHYS_ADDRESS_LENGTH: usize = 32;

/// Declares types of callbacks, all nullable function pointers.
macro_rules! callbacks {
    ($($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        $(
            $(#[$doc])*
            pub type $name = Option<unsafe extern "win64" fn($($argument: $type),*) $(-> $result)?>;
        )*
    };
}

callbacks! {
    /// Registers optional handlers, inside NdisFRegisterFilterDriver. PASSIVE_LEVEL.
    SET_OPTIONS_HANDLER(NdisDriverHandle: NDIS_HANDLE, DriverContext: NDIS_HANDLE) -> NDIS_STATUS;
    /// May change a module's partial characteristics, before each restart. PASSIVE_LEVEL.
    FILTER_SET_FILTER_MODULE_OPTIONS_HANDLER(FilterModuleContext: NDIS_HANDLE) -> NDIS_STATUS;
    /// A module comes into being; it must call NdisFSetAttributes and is then Paused. PASSIVE_LEVEL.
    FILTER_ATTACH_HANDLER(
        NdisFilterHandle: NDIS_HANDLE,
        FilterDriverContext: NDIS_HANDLE,
        AttachParameters: *mut NDIS_FILTER_ATTACH_PARAMETERS,
    ) -> NDIS_STATUS;
    /// A paused module ends; cannot fail. PASSIVE_LEVEL.
    FILTER_DETACH_HANDLER(FilterModuleContext: NDIS_HANDLE);
    /// Paused to Running. PASSIVE_LEVEL.
    FILTER_RESTART_HANDLER(
        FilterModuleContext: NDIS_HANDLE,
        RestartParameters: *mut NDIS_FILTER_RESTART_PARAMETERS,
    ) -> NDIS_STATUS;
    /// Running to Paused; SUCCESS or PENDING only. PASSIVE_LEVEL.
    FILTER_PAUSE_HANDLER(
        FilterModuleContext: NDIS_HANDLE,
        PauseParameters: *mut NDIS_FILTER_PAUSE_PARAMETERS,
    ) -> NDIS_STATUS;
    /// Overlying drivers send. At most DISPATCH_LEVEL.
    FILTER_SEND_NET_BUFFER_LISTS_HANDLER(
        FilterModuleContext: NDIS_HANDLE,
        NetBufferLists: *mut NET_BUFFER_LIST,
        PortNumber: NDIS_PORT_NUMBER,
        SendFlags: u32,
    );
    /// What was passed down comes back. At most DISPATCH_LEVEL.
    FILTER_SEND_NET_BUFFER_LISTS_COMPLETE_HANDLER(
        FilterModuleContext: NDIS_HANDLE,
        NetBufferLists: *mut NET_BUFFER_LIST,
        SendCompleteFlags: u32,
    );
    /// An overlying driver cancels its sends by ID. At most DISPATCH_LEVEL.
    FILTER_CANCEL_SEND_HANDLER(FilterModuleContext: NDIS_HANDLE, CancelId: *mut c_void);
    /// Underlying drivers indicate. At most DISPATCH_LEVEL.
    FILTER_RECEIVE_NET_BUFFER_LISTS_HANDLER(
        FilterModuleContext: NDIS_HANDLE,
        NetBufferLists: *mut NET_BUFFER_LIST,
        PortNumber: NDIS_PORT_NUMBER,
        NumberOfNetBufferLists: u32,
        ReceiveFlags: u32,
    );
    /// What was indicated comes back. At most DISPATCH_LEVEL.
    FILTER_RETURN_NET_BUFFER_LISTS_HANDLER(
        FilterModuleContext: NDIS_HANDLE,
        NetBufferLists: *mut NET_BUFFER_LIST,
        ReturnFlags: u32,
    );
    /// An OID request comes down; one at a time for each module. At most DISPATCH_LEVEL.
    FILTER_OID_REQUEST_HANDLER(FilterModuleContext: NDIS_HANDLE, OidRequest: *mut NDIS_OID_REQUEST) -> NDIS_STATUS;
    /// A request that was passed down comes back. At most DISPATCH_LEVEL.
    FILTER_OID_REQUEST_COMPLETE_HANDLER(
        FilterModuleContext: NDIS_HANDLE,
        OidRequest: *mut NDIS_OID_REQUEST,
        Status: NDIS_STATUS,
    );
    /// Requests with this ID are cancelled. At most DISPATCH_LEVEL.
    FILTER_CANCEL_OID_REQUEST_HANDLER(FilterModuleContext: NDIS_HANDLE, RequestId: *mut c_void);
    /// A device event travels down; must be passed on. PASSIVE_LEVEL.
    FILTER_DEVICE_PNP_EVENT_NOTIFY_HANDLER(
        FilterModuleContext: NDIS_HANDLE,
        NetDevicePnPEvent: *mut NET_DEVICE_PNP_EVENT,
    );
    /// A network event travels up. PASSIVE_LEVEL.
    FILTER_NET_PNP_EVENT_HANDLER(
        FilterModuleContext: NDIS_HANDLE,
        NetPnPEventNotification: *mut NET_PNP_EVENT_NOTIFICATION,
    ) -> NDIS_STATUS;
    /// A status indication travels up. At most DISPATCH_LEVEL.
    FILTER_STATUS_HANDLER(FilterModuleContext: NDIS_HANDLE, StatusIndication: *mut NDIS_STATUS_INDICATION);
    /// An OID request that must not be pended; not serialised. At most DISPATCH_LEVEL.
    FILTER_SYNCHRONOUS_OID_REQUEST_HANDLER(
        FilterModuleContext: NDIS_HANDLE,
        OidRequest: *mut NDIS_OID_REQUEST,
        CallContext: *mut *mut c_void,
    ) -> NDIS_STATUS;
    /// The way back of such a request. At most DISPATCH_LEVEL.
    FILTER_SYNCHRONOUS_OID_REQUEST_COMPLETE_HANDLER(
        FilterModuleContext: NDIS_HANDLE,
        OidRequest: *mut NDIS_OID_REQUEST,
        Status: *mut NDIS_STATUS,
        CallContext: *mut c_void,
    );
}

/// What a filter driver registers with NdisFRegisterFilterDriver, in revision 3 (NDIS 6.80 and later).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_FILTER_DRIVER_CHARACTERISTICS {
    /// Type FILTER_DRIVER_CHARACTERISTICS; the revision is that of the version below.
    pub Header: NDIS_OBJECT_HEADER,
    /// NDIS version.
    pub MajorNdisVersion: u8,
    /// NDIS version.
    pub MinorNdisVersion: u8,
    /// Version of the driver.
    pub MajorDriverVersion: u8,
    /// Version of the driver.
    pub MinorDriverVersion: u8,
    /// NDIS_FILTER_DRIVER_ flags.
    pub Flags: u32,
    /// Name for people.
    pub FriendlyName: UNICODE_STRING,
    /// NetCfgInstanceId of the INF: a GUID in braces.
    pub UniqueName: UNICODE_STRING,
    /// Name of the service.
    pub ServiceName: UNICODE_STRING,
    /// Optional.
    pub SetOptionsHandler: SET_OPTIONS_HANDLER,
    /// Optional.
    pub SetFilterModuleOptionsHandler: FILTER_SET_FILTER_MODULE_OPTIONS_HANDLER,
    /// Required.
    pub AttachHandler: FILTER_ATTACH_HANDLER,
    /// Required.
    pub DetachHandler: FILTER_DETACH_HANDLER,
    /// Required.
    pub RestartHandler: FILTER_RESTART_HANDLER,
    /// Required.
    pub PauseHandler: FILTER_PAUSE_HANDLER,
    /// Absent: sends go by.
    pub SendNetBufferListsHandler: FILTER_SEND_NET_BUFFER_LISTS_HANDLER,
    /// Required of whoever sends.
    pub SendNetBufferListsCompleteHandler: FILTER_SEND_NET_BUFFER_LISTS_COMPLETE_HANDLER,
    /// Required of whoever holds sends back.
    pub CancelSendNetBufferListsHandler: FILTER_CANCEL_SEND_HANDLER,
    /// Absent: indications go by.
    pub ReceiveNetBufferListsHandler: FILTER_RECEIVE_NET_BUFFER_LISTS_HANDLER,
    /// Required of whoever indicates.
    pub ReturnNetBufferListsHandler: FILTER_RETURN_NET_BUFFER_LISTS_HANDLER,
    /// Absent: requests go by.
    pub OidRequestHandler: FILTER_OID_REQUEST_HANDLER,
    /// Required with the former.
    pub OidRequestCompleteHandler: FILTER_OID_REQUEST_COMPLETE_HANDLER,
    /// Optional.
    pub CancelOidRequestHandler: FILTER_CANCEL_OID_REQUEST_HANDLER,
    /// Optional.
    pub DevicePnPEventNotifyHandler: FILTER_DEVICE_PNP_EVENT_NOTIFY_HANDLER,
    /// Optional.
    pub NetPnPEventHandler: FILTER_NET_PNP_EVENT_HANDLER,
    /// Required with the receive handlers.
    pub StatusHandler: FILTER_STATUS_HANDLER,
    /// Optional; since revision 2.
    pub DirectOidRequestHandler: FILTER_OID_REQUEST_HANDLER,
    /// Optional; since revision 2.
    pub DirectOidRequestCompleteHandler: FILTER_OID_REQUEST_COMPLETE_HANDLER,
    /// Optional; since revision 2.
    pub CancelDirectOidRequestHandler: FILTER_CANCEL_OID_REQUEST_HANDLER,
    /// Optional; since revision 3.
    pub SynchronousOidRequestHandler: FILTER_SYNCHRONOUS_OID_REQUEST_HANDLER,
    /// Optional; since revision 3.
    pub SynchronousOidRequestCompleteHandler: FILTER_SYNCHRONOUS_OID_REQUEST_COMPLETE_HANDLER,
}
assert_layout!(NDIS_FILTER_DRIVER_CHARACTERISTICS: 0xF0 align 8 {
    Header @ 0, MajorNdisVersion @ 4, MinorNdisVersion @ 5, MajorDriverVersion @ 6, MinorDriverVersion @ 7,
    Flags @ 8, FriendlyName @ 0x10, UniqueName @ 0x20, ServiceName @ 0x30, SetOptionsHandler @ 0x40,
    SetFilterModuleOptionsHandler @ 0x48, AttachHandler @ 0x50, DetachHandler @ 0x58, RestartHandler @ 0x60,
    PauseHandler @ 0x68, SendNetBufferListsHandler @ 0x70, SendNetBufferListsCompleteHandler @ 0x78,
    CancelSendNetBufferListsHandler @ 0x80, ReceiveNetBufferListsHandler @ 0x88, ReturnNetBufferListsHandler @ 0x90,
    OidRequestHandler @ 0x98, OidRequestCompleteHandler @ 0xA0, CancelOidRequestHandler @ 0xA8,
    DevicePnPEventNotifyHandler @ 0xB0, NetPnPEventHandler @ 0xB8, StatusHandler @ 0xC0,
    DirectOidRequestHandler @ 0xC8, DirectOidRequestCompleteHandler @ 0xD0, CancelDirectOidRequestHandler @ 0xD8,
    SynchronousOidRequestHandler @ 0xE0, SynchronousOidRequestCompleteHandler @ 0xE8,
});

/// Adapters without this filter do not run.
pub const NDIS_FILTER_DRIVER_MANDATORY: u32 = 1;
/// The filter copes with a changed MAC address.
pub const NDIS_FILTER_DRIVER_SUPPORTS_CURRENT_MAC_ADDRESS_CHANGE: u32 = 2;
/// The filter copes with a changed MTU (NDIS 6.50).
pub const NDIS_FILTER_DRIVER_SUPPORTS_L2_MTU_SIZE_CHANGE: u32 = 4;

/// Data handlers that a module changes at a restart.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_FILTER_PARTIAL_CHARACTERISTICS {
    /// Type FILTER_PARTIAL_CHARACTERISTICS.
    pub Header: NDIS_OBJECT_HEADER,
    /// Zero.
    pub Flags: u32,
    /// As in the characteristics.
    pub SendNetBufferListsHandler: FILTER_SEND_NET_BUFFER_LISTS_HANDLER,
    /// As in the characteristics.
    pub SendNetBufferListsCompleteHandler: FILTER_SEND_NET_BUFFER_LISTS_COMPLETE_HANDLER,
    /// As in the characteristics.
    pub CancelSendNetBufferListsHandler: FILTER_CANCEL_SEND_HANDLER,
    /// As in the characteristics.
    pub ReceiveNetBufferListsHandler: FILTER_RECEIVE_NET_BUFFER_LISTS_HANDLER,
    /// As in the characteristics.
    pub ReturnNetBufferListsHandler: FILTER_RETURN_NET_BUFFER_LISTS_HANDLER,
}
assert_layout!(NDIS_FILTER_PARTIAL_CHARACTERISTICS: 0x30 align 8 {
    Header @ 0, Flags @ 4, SendNetBufferListsHandler @ 8, SendNetBufferListsCompleteHandler @ 0x10,
    CancelSendNetBufferListsHandler @ 0x18, ReceiveNetBufferListsHandler @ 0x20, ReturnNetBufferListsHandler @ 0x28,
});

/// What a module learns of its adapter, in revision 4 (NDIS 6.30 and later).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_FILTER_ATTACH_PARAMETERS {
    /// Type FILTER_ATTACH_PARAMETERS.
    pub Header: NDIS_OBJECT_HEADER,
    /// Index of the module's interface.
    pub IfIndex: u32,
    /// LUID of the module's interface.
    pub NetLuid: u64,
    /// Name of the module.
    pub FilterModuleGuidName: PUNICODE_STRING,
    /// Index of the adapter's interface.
    pub BaseMiniportIfIndex: u32,
    /// Name of the adapter for people.
    pub BaseMiniportInstanceName: PUNICODE_STRING,
    /// Name of the adapter.
    pub BaseMiniportName: PUNICODE_STRING,
    /// Link up or down.
    pub MediaConnectState: i32,
    /// One direction at a time or both.
    pub MediaDuplexState: i32,
    /// Bits a second.
    pub XmitLinkSpeed: u64,
    /// Bits a second.
    pub RcvLinkSpeed: u64,
    /// NdisMedium value.
    pub MiniportMediaType: i32,
    /// NdisPhysicalMedium value.
    pub MiniportPhysicalMediaType: i32,
    /// Of the medium.
    pub MiniportMediaSpecificAttributes: NDIS_HANDLE,
    /// Offloads that are on.
    pub DefaultOffloadConfiguration: *mut c_void,
    /// Bytes of the address.
    pub MacAddressLength: u16,
    /// The address.
    pub CurrentMacAddress: [u8; NDIS_MAX_PHYS_ADDRESS_LENGTH],
    /// LUID of the adapter's interface.
    pub BaseMiniportNetLuid: u64,
    /// Index of the interface below.
    pub LowerIfIndex: u32,
    /// LUID of the interface below.
    pub LowerIfNetLuid: u64,
    /// [`NDIS_FILTER_ATTACH_FLAGS_IGNORE_MANDATORY`].
    pub Flags: u32,
    /// Since revision 2.
    pub HDSplitCurrentConfig: *mut c_void,
    /// Since revision 3.
    pub ReceiveFilterCapabilities: *mut c_void,
    /// Since revision 3.
    pub MiniportPhysicalDeviceObject: *mut c_void,
    /// Since revision 3.
    pub NicSwitchCapabilities: *mut c_void,
    /// Since revision 4.
    pub BaseMiniportIfConnectorPresent: u8,
    /// Since revision 4.
    pub SriovCapabilities: *mut c_void,
    /// Since revision 4.
    pub NicSwitchArray: *mut c_void,
}
assert_layout!(NDIS_FILTER_ATTACH_PARAMETERS: 0xE0 align 8 {
    Header @ 0, IfIndex @ 4, NetLuid @ 8, FilterModuleGuidName @ 0x10, BaseMiniportIfIndex @ 0x18,
    BaseMiniportInstanceName @ 0x20, BaseMiniportName @ 0x28, MediaConnectState @ 0x30, MediaDuplexState @ 0x34,
    XmitLinkSpeed @ 0x38, RcvLinkSpeed @ 0x40, MiniportMediaType @ 0x48, MiniportPhysicalMediaType @ 0x4C,
    MiniportMediaSpecificAttributes @ 0x50, DefaultOffloadConfiguration @ 0x58, MacAddressLength @ 0x60,
    CurrentMacAddress @ 0x62, BaseMiniportNetLuid @ 0x88, LowerIfIndex @ 0x90, LowerIfNetLuid @ 0x98, Flags @ 0xA0,
    HDSplitCurrentConfig @ 0xA8, ReceiveFilterCapabilities @ 0xB0, MiniportPhysicalDeviceObject @ 0xB8,
    NicSwitchCapabilities @ 0xC0, BaseMiniportIfConnectorPresent @ 0xC8, SriovCapabilities @ 0xD0,
    NicSwitchArray @ 0xD8,
});

/// The adapter runs even if this module, of a mandatory filter, does not attach.
pub const NDIS_FILTER_ATTACH_FLAGS_IGNORE_MANDATORY: u32 = 1;

/// What a module sets of itself with NdisFSetAttributes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_FILTER_ATTRIBUTES {
    /// Type FILTER_ATTRIBUTES.
    pub Header: NDIS_OBJECT_HEADER,
    /// Zero.
    pub Flags: u32,
}
assert_layout!(NDIS_FILTER_ATTRIBUTES: 8 align 4 { Header @ 0, Flags @ 4 });

/// Why a module is paused.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_FILTER_PAUSE_PARAMETERS {
    /// Type FILTER_PAUSE_PARAMETERS.
    pub Header: NDIS_OBJECT_HEADER,
    /// Zero.
    pub Flags: u32,
    /// [`NDIS_PAUSE_NDIS_INTERNAL`] since NDIS 6.40.
    pub PauseReason: u32,
}
assert_layout!(NDIS_FILTER_PAUSE_PARAMETERS: 0xC align 4 { Header @ 0, Flags @ 4, PauseReason @ 8 });

/// The one reason that is still given.
pub const NDIS_PAUSE_NDIS_INTERNAL: u32 = 1;

/// What a module learns at a restart.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_FILTER_RESTART_PARAMETERS {
    /// Type FILTER_RESTART_PARAMETERS.
    pub Header: NDIS_OBJECT_HEADER,
    /// NdisMedium value.
    pub MiniportMediaType: i32,
    /// NdisPhysicalMedium value.
    pub MiniportPhysicalMediaType: i32,
    /// What the adapter can do now.
    pub RestartAttributes: *mut NDIS_RESTART_ATTRIBUTES,
    /// Index of the interface below.
    pub LowerIfIndex: u32,
    /// LUID of the interface below.
    pub LowerIfNetLuid: u64,
    /// Zero.
    pub Flags: u32,
}
assert_layout!(NDIS_FILTER_RESTART_PARAMETERS: 0x30 align 8 {
    Header @ 0, MiniportMediaType @ 4, MiniportPhysicalMediaType @ 8, RestartAttributes @ 0x10, LowerIfIndex @ 0x18,
    LowerIfNetLuid @ 0x20, Flags @ 0x28,
});

/// One of the adapter's properties at a restart; its data follows at [`Self::Data`].
#[repr(C, align(16))]
#[derive(Clone, Copy)]
pub struct NDIS_RESTART_ATTRIBUTES {
    /// The next one.
    pub Next: *mut NDIS_RESTART_ATTRIBUTES,
    /// Which property.
    pub Oid: NDIS_OID,
    /// Bytes of data.
    pub DataLength: u32,
    /// First byte of the data.
    pub Data: [u8; 1],
}
assert_layout!(NDIS_RESTART_ATTRIBUTES: 0x20 align 16 { Next @ 0, Oid @ 8, DataLength @ 0xC, Data @ 0x10 });
