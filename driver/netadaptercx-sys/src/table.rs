//! The class extension's function table, from version 2.0 to 2.5: the index of each function, and
//! the types of those that this project calls, which are all there in 2.1.
//!
//! A later version appends to the table of an earlier one (`NetAdapterCxBindClient` in version.cpp of
//! the published source serves every stable version from one table), so an index holds for each version that
//! has the function. The class extension copies as many entries as the client asks for into an array of the
//! client's. Every function takes the client's globals first.

use core::{ffi::c_void, mem::transmute};

use crate::{
    adapter::{
        NET_ADAPTER_DATAPATH_CALLBACKS, NET_ADAPTER_LINK_LAYER_ADDRESS, NET_ADAPTER_LINK_LAYER_CAPABILITIES,
        NET_ADAPTER_LINK_STATE, NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES, NET_ADAPTER_RX_CAPABILITIES,
        NET_ADAPTER_TX_CAPABILITIES, NET_CONFIGURATION_QUERY_ULONG_FLAGS, NET_DRIVER_GLOBALS,
        NET_PACKET_FILTER_FLAGS, NETADAPTER, NETCONFIGURATION, NETRECEIVEFILTER, PNETADAPTER_INIT,
    },
    extension::{NET_EXTENSION, NET_EXTENSION_QUERY},
    queue::{NET_PACKET_QUEUE_CONFIG, NETPACKETQUEUE, PNETRXQUEUE_INIT, PNETTXQUEUE_INIT},
    ring::NET_RING_COLLECTION,
    wdf::{NTSTATUS, PCUNICODE_STRING, PWDF_OBJECT_ATTRIBUTES, PWDFDEVICE_INIT, ULONG, WDFDEVICE, WDFFUNC},
};

/// Functions in the table of version 2.0.
pub const NET_FUNCTION_COUNT_2_0: usize = 75;
/// Functions in the table of version 2.1, which this project's driver binds.
pub const NET_FUNCTION_COUNT: usize = 80;
/// Functions in the table of version 2.5. How many those of 2.2 to 2.4 have is not published.
pub const NET_FUNCTION_COUNT_2_5: usize = 132;

/// Numbers the functions in the order given, and keeps their names.
macro_rules! indices {
    ($($name:ident,)*) => {
        /// Names of the functions, by index.
        pub const NET_FUNCTION_NAMES: [&str; NET_FUNCTION_COUNT_2_5] = [$(stringify!($name)),*];

        #[repr(usize)]
        enum Position { $($name),* }

        /// Index of each function in the table.
        pub mod index {
            use super::Position;
            $(
                #[doc = concat!("Index of `", stringify!($name), "`.")]
                pub const $name: usize = Position::$name as usize;
            )*
        }
    };
}

indices! {
    NetAdapterInitAllocate,
    NetAdapterInitFree,
    NetAdapterInitSetDatapathCallbacks,
    NetAdapterCreate,
    NetAdapterStart,
    NetAdapterStop,
    NetAdapterSetLinkLayerCapabilities,
    NetAdapterSetLinkLayerMtuSize,
    NetAdapterPowerOffloadSetArpCapabilities,
    NetAdapterPowerOffloadSetNSCapabilities,
    NetAdapterWakeSetBitmapCapabilities,
    NetAdapterWakeSetMediaChangeCapabilities,
    NetAdapterWakeSetMagicPacketCapabilities,
    NetAdapterWakeSetPacketFilterCapabilities,
    NetAdapterSetDataPathCapabilities,
    NetAdapterSetLinkState,
    NetAdapterGetNetLuid,
    NetAdapterOpenConfiguration,
    NetAdapterSetPermanentLinkLayerAddress,
    NetAdapterSetCurrentLinkLayerAddress,
    NetAdapterOffloadSetChecksumCapabilities,
    NetOffloadIsChecksumIPv4Enabled,
    NetOffloadIsChecksumTcpEnabled,
    NetOffloadIsChecksumUdpEnabled,
    NetAdapterReportWakeReasonPacket,
    NetAdapterReportWakeReasonMediaChange,
    NetAdapterInitGetCreatedAdapter,
    NetAdapterExtensionInitAllocate,
    NetAdapterExtensionInitSetOidRequestPreprocessCallback,
    NetAdapterDispatchPreprocessedOidRequest,
    NetAdapterGetParent,
    NetAdapterGetLinkLayerMtuSize,
    NetAdapterExtensionInitSetNdisPmCapabilities,
    NetAdapterWdmGetNdisHandle,
    NetAdapterDriverWdmGetHandle,
    NetConfigurationClose,
    NetConfigurationOpenSubConfiguration,
    NetConfigurationQueryUlong,
    NetConfigurationQueryString,
    NetConfigurationQueryMultiString,
    NetConfigurationQueryBinary,
    NetConfigurationQueryLinkLayerAddress,
    NetConfigurationAssignUlong,
    NetConfigurationAssignUnicodeString,
    NetConfigurationAssignMultiString,
    NetConfigurationAssignBinary,
    NetDeviceInitConfig,
    NetDeviceOpenConfiguration,
    NetDeviceInitSetPowerPolicyEventCallbacks,
    NetDeviceInitSetResetConfig,
    NetDeviceAssignSupportedOidList,
    NetPowerOffloadGetType,
    NetPowerOffloadGetArpParameters,
    NetPowerOffloadGetNSParameters,
    NetDeviceGetPowerOffloadList,
    NetPowerOffloadListGetCount,
    NetPowerOffloadListGetElement,
    NetAdapterSetReceiveScalingCapabilities,
    NetRxQueueCreate,
    NetRxQueueNotifyMoreReceivedPacketsAvailable,
    NetRxQueueInitGetQueueId,
    NetRxQueueGetRingCollection,
    NetRxQueueGetExtension,
    NetTxQueueCreate,
    NetTxQueueNotifyMoreCompletedPacketsAvailable,
    NetTxQueueInitGetQueueId,
    NetTxQueueGetRingCollection,
    NetTxQueueGetExtension,
    NetWakeSourceGetType,
    NetWakeSourceGetAdapter,
    NetWakeSourceGetBitmapParameters,
    NetWakeSourceGetMediaChangeParameters,
    NetDeviceGetWakeSourceList,
    NetWakeSourceListGetCount,
    NetWakeSourceListGetElement,
    // from version 2.1 on
    NetAdapterWakeSetEapolPacketCapabilities,
    NetAdapterSetReceiveFilterCapabilities,
    NetReceiveFilterGetPacketFilter,
    NetReceiveFilterGetMulticastAddressCount,
    NetReceiveFilterGetMulticastAddressList,
    // from later versions on
    NetDriverExtensionInitialize,
    NetAdapterExtensionInitSetDirectOidRequestPreprocessCallback,
    NetExAdapterInitSetDirectOidPreprocessCallback,
    NetAdapterExtensionInitSetTxPeerDemuxCallback,
    NetAdapterDispatchPreprocessedDirectOidRequest,
    NetExAdapterDispatchPreprocessedDirectOid,
    NetAdapterExtensionSetNdisPmCapabilities,
    NetAdapterInitAllocateContext,
    NetAdapterInitGetTypedContextWorker,
    NetAdapterOffloadSetTxChecksumCapabilities,
    NetOffloadIsTxChecksumIPv4Enabled,
    NetOffloadIsTxChecksumTcpEnabled,
    NetOffloadIsTxChecksumUdpEnabled,
    NetAdapterOffloadSetRxChecksumCapabilities,
    NetOffloadIsRxChecksumIPv4Enabled,
    NetOffloadIsRxChecksumTcpEnabled,
    NetOffloadIsRxChecksumUdpEnabled,
    NetAdapterOffloadSetGsoCapabilities,
    NetOffloadIsLsoIPv4Enabled,
    NetOffloadIsLsoIPv6Enabled,
    NetOffloadIsUsoIPv4Enabled,
    NetOffloadIsUsoIPv6Enabled,
    NetAdapterOffloadSetRscCapabilities,
    NetOffloadIsTcpRscIPv4Enabled,
    NetOffloadIsTcpRscIPv6Enabled,
    NetOffloadIsRscTcpTimestampOptionEnabled,
    NetAdapterOffloadSetIeee8021qTagCapabilities,
    NetAdapterInitAddTxDemux,
    NetAdapterGetTxPeerAddressDemux,
    NetBufferQueueCreate,
    NetBufferQueueGetExtension,
    NetBufferQueueGetRing,
    NetDeviceInitSetResetCapabilities,
    NetDeviceStoreResetDiagnostics,
    NetDeviceRequestReset,
    NetExecutionContextCreate,
    NetExecutionContextTaskCreate,
    NetExecutionContextNotify,
    NetExecutionContextTaskEnqueue,
    NetExecutionContextTaskWaitCompletion,
    NetPowerOffloadGetAdapter,
    NetTxQueueGetDemux8021p,
    NetAdapterExtensionInitSetPowerPolicyCallbacks,
    NetAdapterInitSetSelfManagedPowerReferences,
    NetAdapterLightweightInitAllocate,
    NetAdapterWifiDestroyPeerAddressDatapath,
    NetAdapterPauseOffloadCapabilities,
    NetAdapterResumeOffloadCapabilities,
    NetAdapterQueryWakeReason,
    NetTxQueueGetDemuxWmmInfo,
    NetTxQueueGetDemuxPeerAddress,
    NetOffloadIsUdpRscEnabled,
}

/// Declares a function's pointer type and the method that calls it through the table.
macro_rules! functions {
    ($($(#[$doc:meta])* $name:ident as $pfn:ident ($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)?;)*) => {
        $(
            #[doc = concat!("Pointer to `", stringify!($name), "`.")]
            pub type $pfn = Option<
                unsafe extern "win64" fn(DriverGlobals: *mut NET_DRIVER_GLOBALS $(, $argument: $type)*) $(-> $result)?,
            >;
        )*

        impl NetFunctions<'_> {
            $(
                $(#[$doc])*
                ///
                /// # Safety
                /// The table was filled by the class extension; the arguments are as its documentation
                /// demands, the caller's IRQL too.
                // a call through the table, as the kit's inline functions make it
                #[inline(always)]
                pub unsafe fn $name(&self $(, $argument: $type)*) $(-> $result)? {
                    // SAFETY: the entry at this index has this type, and both are function pointers or null.
                    let function = unsafe { transmute::<WDFFUNC, $pfn>(self.table[index::$name]) };
                    let Some(function) = function else { missing() };
                    // SAFETY: the caller vouches for the table and for the arguments.
                    unsafe { function(self.globals $(, $argument)*) }
                }
            )*
        }
    };
}

#[cold]
fn missing() -> ! {
    panic!("a NetAdapterCx function was called before the table was bound")
}

/// The client's copy of the table together with its globals.
#[derive(Clone, Copy)]
pub struct NetFunctions<'t> {
    table: &'t [WDFFUNC; NET_FUNCTION_COUNT],
    globals: *mut NET_DRIVER_GLOBALS,
}

impl<'t> NetFunctions<'t> {
    /// Joins what the class extension filled in.
    #[must_use]
    pub const fn new(table: &'t [WDFFUNC; NET_FUNCTION_COUNT], globals: *mut c_void) -> Self {
        Self { table, globals: globals.cast() }
    }
}

functions! {
    /// Prepares a device for adapters. PASSIVE_LEVEL, before WdfDeviceCreate.
    NetDeviceInitConfig as PFN_NETDEVICEINITCONFIG(DeviceInit: PWDFDEVICE_INIT) -> NTSTATUS;
    /// Null if there is no memory. PASSIVE_LEVEL.
    NetAdapterInitAllocate as PFN_NETADAPTERINITALLOCATE(Device: WDFDEVICE) -> PNETADAPTER_INIT;
    /// PASSIVE_LEVEL.
    NetAdapterInitFree as PFN_NETADAPTERINITFREE(AdapterInit: PNETADAPTER_INIT);
    /// PASSIVE_LEVEL.
    NetAdapterInitSetDatapathCallbacks as PFN_NETADAPTERINITSETDATAPATHCALLBACKS(
        AdapterInit: PNETADAPTER_INIT, DatapathCallbacks: *mut NET_ADAPTER_DATAPATH_CALLBACKS);
    /// PASSIVE_LEVEL.
    NetAdapterCreate as PFN_NETADAPTERCREATE(
        AdapterInit: PNETADAPTER_INIT, AdapterAttributes: PWDF_OBJECT_ATTRIBUTES, Adapter: *mut NETADAPTER,
    ) -> NTSTATUS;
    /// PASSIVE_LEVEL, from PrepareHardware on.
    NetAdapterStart as PFN_NETADAPTERSTART(Adapter: NETADAPTER) -> NTSTATUS;
    /// PASSIVE_LEVEL.
    NetAdapterStop as PFN_NETADAPTERSTOP(Adapter: NETADAPTER);
    /// PASSIVE_LEVEL, before NetAdapterStart.
    NetAdapterSetLinkLayerCapabilities as PFN_NETADAPTERSETLINKLAYERCAPABILITIES(
        Adapter: NETADAPTER, LinkLayerCapabilities: *mut NET_ADAPTER_LINK_LAYER_CAPABILITIES);
    /// PASSIVE_LEVEL. Bytes, without the Ethernet header.
    NetAdapterSetLinkLayerMtuSize as PFN_NETADAPTERSETLINKLAYERMTUSIZE(Adapter: NETADAPTER, MtuSize: ULONG);
    /// PASSIVE_LEVEL, before NetAdapterStart.
    NetAdapterSetDataPathCapabilities as PFN_NETADAPTERSETDATAPATHCAPABILITIES(
        Adapter: NETADAPTER, TxCapabilities: *mut NET_ADAPTER_TX_CAPABILITIES,
        RxCapabilities: *mut NET_ADAPTER_RX_CAPABILITIES);
    /// At most DISPATCH_LEVEL.
    NetAdapterSetLinkState as PFN_NETADAPTERSETLINKSTATE(Adapter: NETADAPTER, State: *mut NET_ADAPTER_LINK_STATE);
    /// PASSIVE_LEVEL, before NetAdapterStart.
    NetAdapterSetPermanentLinkLayerAddress as PFN_NETADAPTERSETPERMANENTLINKLAYERADDRESS(
        Adapter: NETADAPTER, LinkLayerAddress: *mut NET_ADAPTER_LINK_LAYER_ADDRESS);
    /// PASSIVE_LEVEL.
    NetAdapterSetCurrentLinkLayerAddress as PFN_NETADAPTERSETCURRENTLINKLAYERADDRESS(
        Adapter: NETADAPTER, LinkLayerAddress: *mut NET_ADAPTER_LINK_LAYER_ADDRESS);
    /// PASSIVE_LEVEL, before NetAdapterStart.
    NetAdapterSetReceiveFilterCapabilities as PFN_NETADAPTERSETRECEIVEFILTERCAPABILITIES(
        Adapter: NETADAPTER, ReceiveFilter: *const NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES);
    /// At most DISPATCH_LEVEL, in EvtSetReceiveFilter on its thread.
    NetReceiveFilterGetPacketFilter as PFN_NETRECEIVEFILTERGETPACKETFILTER(
        ReceiveFilter: NETRECEIVEFILTER) -> NET_PACKET_FILTER_FLAGS;
    /// At most DISPATCH_LEVEL, in EvtSetReceiveFilter on its thread.
    NetReceiveFilterGetMulticastAddressCount as PFN_NETRECEIVEFILTERGETMULTICASTADDRESSCOUNT(
        ReceiveFilter: NETRECEIVEFILTER) -> usize;
    /// At most DISPATCH_LEVEL, in EvtSetReceiveFilter on its thread. Null if there is none.
    NetReceiveFilterGetMulticastAddressList as PFN_NETRECEIVEFILTERGETMULTICASTADDRESSLIST(
        ReceiveFilter: NETRECEIVEFILTER) -> *const NET_ADAPTER_LINK_LAYER_ADDRESS;
    /// PASSIVE_LEVEL.
    NetAdapterOpenConfiguration as PFN_NETADAPTEROPENCONFIGURATION(
        Adapter: NETADAPTER, ConfigurationAttributes: PWDF_OBJECT_ATTRIBUTES, Configuration: *mut NETCONFIGURATION,
    ) -> NTSTATUS;
    /// PASSIVE_LEVEL.
    NetConfigurationQueryUlong as PFN_NETCONFIGURATIONQUERYULONG(
        Configuration: NETCONFIGURATION, Flags: NET_CONFIGURATION_QUERY_ULONG_FLAGS,
        ValueName: PCUNICODE_STRING, Value: *mut ULONG,
    ) -> NTSTATUS;
    /// PASSIVE_LEVEL.
    NetConfigurationClose as PFN_NETCONFIGURATIONCLOSE(Configuration: NETCONFIGURATION);
    /// PASSIVE_LEVEL, in EvtAdapterCreateTxQueue on its thread.
    NetTxQueueCreate as PFN_NETTXQUEUECREATE(
        NetTxQueueInit: PNETTXQUEUE_INIT, TxQueueAttributes: PWDF_OBJECT_ATTRIBUTES,
        Configuration: *mut NET_PACKET_QUEUE_CONFIG, TxQueue: *mut NETPACKETQUEUE,
    ) -> NTSTATUS;
    /// PASSIVE_LEVEL.
    NetTxQueueInitGetQueueId as PFN_NETTXQUEUEINITGETQUEUEID(NetTxQueueInit: PNETTXQUEUE_INIT) -> ULONG;
    /// At most DISPATCH_LEVEL.
    NetTxQueueGetRingCollection as PFN_NETTXQUEUEGETRINGCOLLECTION(
        NetTxQueue: NETPACKETQUEUE) -> *const NET_RING_COLLECTION;
    /// PASSIVE_LEVEL.
    NetTxQueueGetExtension as PFN_NETTXQUEUEGETEXTENSION(
        NetTxQueue: NETPACKETQUEUE, Query: *const NET_EXTENSION_QUERY, Extension: *mut NET_EXTENSION);
    /// Any IRQL.
    NetTxQueueNotifyMoreCompletedPacketsAvailable as PFN_NETTXQUEUENOTIFYMORECOMPLETEDPACKETSAVAILABLE(
        TxQueue: NETPACKETQUEUE);
    /// PASSIVE_LEVEL, in EvtAdapterCreateRxQueue on its thread.
    NetRxQueueCreate as PFN_NETRXQUEUECREATE(
        NetRxQueueInit: PNETRXQUEUE_INIT, RxQueueAttributes: PWDF_OBJECT_ATTRIBUTES,
        Configuration: *mut NET_PACKET_QUEUE_CONFIG, RxQueue: *mut NETPACKETQUEUE,
    ) -> NTSTATUS;
    /// PASSIVE_LEVEL.
    NetRxQueueInitGetQueueId as PFN_NETRXQUEUEINITGETQUEUEID(NetRxQueueInit: PNETRXQUEUE_INIT) -> ULONG;
    /// At most DISPATCH_LEVEL.
    NetRxQueueGetRingCollection as PFN_NETRXQUEUEGETRINGCOLLECTION(
        NetRxQueue: NETPACKETQUEUE) -> *const NET_RING_COLLECTION;
    /// PASSIVE_LEVEL.
    NetRxQueueGetExtension as PFN_NETRXQUEUEGETEXTENSION(
        NetRxQueue: NETPACKETQUEUE, Query: *const NET_EXTENSION_QUERY, Extension: *mut NET_EXTENSION);
    /// Any IRQL.
    NetRxQueueNotifyMoreReceivedPacketsAvailable as PFN_NETRXQUEUENOTIFYMORERECEIVEDPACKETSAVAILABLE(
        RxQueue: NETPACKETQUEUE);
}
