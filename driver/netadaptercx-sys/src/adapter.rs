//! Adapters: handles, callbacks, and the structures that describe one to the class extension.

use crate::{
    assert_layout, handle,
    queue::{PNETRXQUEUE_INIT, PNETTXQUEUE_INIT},
    wdf::{NTSTATUS, PHYSICAL_ADDRESS, WDFDMAENABLER},
};

handle! {
    /// A network adapter.
    NETADAPTER, NETADAPTER__
}
handle! {
    /// What an adapter is made from.
    PNETADAPTER_INIT, NETADAPTER_INIT
}
handle! {
    /// An open registry configuration.
    NETCONFIGURATION, NETCONFIGURATION__
}

/// What the class extension hands to a client when it binds; passed first in every call.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NET_DRIVER_GLOBALS {
    /// Nothing for the client in it.
    pub Unused: u32,
}
assert_layout!(NET_DRIVER_GLOBALS: 4 align 4 { Unused @ 0 });

/// Create a transmit queue with NetTxQueueCreate, on this very thread. PASSIVE_LEVEL.
pub type PFN_NET_ADAPTER_CREATE_TXQUEUE =
    Option<unsafe extern "win64" fn(Adapter: NETADAPTER, TxQueueInit: PNETTXQUEUE_INIT) -> NTSTATUS>;
/// Create a receive queue with NetRxQueueCreate, on this very thread. PASSIVE_LEVEL.
pub type PFN_NET_ADAPTER_CREATE_RXQUEUE =
    Option<unsafe extern "win64" fn(Adapter: NETADAPTER, RxQueueInit: PNETRXQUEUE_INIT) -> NTSTATUS>;

/// The adapter's callbacks.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_DATAPATH_CALLBACKS {
    /// Size of this structure.
    pub Size: u32,
    /// Required.
    pub EvtAdapterCreateTxQueue: PFN_NET_ADAPTER_CREATE_TXQUEUE,
    /// Required.
    pub EvtAdapterCreateRxQueue: PFN_NET_ADAPTER_CREATE_RXQUEUE,
}
assert_layout!(NET_ADAPTER_DATAPATH_CALLBACKS: 24 align 8 {
    Size @ 0, EvtAdapterCreateTxQueue @ 8, EvtAdapterCreateRxQueue @ 0x10,
});

/// The adapter's callbacks, both required.
#[must_use]
pub const fn NET_ADAPTER_DATAPATH_CALLBACKS_INIT(
    EvtAdapterCreateTxQueue: PFN_NET_ADAPTER_CREATE_TXQUEUE,
    EvtAdapterCreateRxQueue: PFN_NET_ADAPTER_CREATE_RXQUEUE,
) -> NET_ADAPTER_DATAPATH_CALLBACKS {
    NET_ADAPTER_DATAPATH_CALLBACKS {
        Size: size_of::<NET_ADAPTER_DATAPATH_CALLBACKS>() as u32,
        EvtAdapterCreateTxQueue,
        EvtAdapterCreateRxQueue,
    }
}

/// Longest link-layer address.
pub const NDIS_MAX_PHYS_ADDRESS_LENGTH: usize = 32;

/// A link-layer (MAC) address.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NET_ADAPTER_LINK_LAYER_ADDRESS {
    /// Bytes used of `Address`.
    pub Length: u16,
    /// The address, zeros behind it.
    pub Address: [u8; NDIS_MAX_PHYS_ADDRESS_LENGTH],
}
assert_layout!(NET_ADAPTER_LINK_LAYER_ADDRESS: 34 align 2 { Length @ 0, Address @ 2 });

/// An address of six bytes.
#[must_use]
pub fn NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(mac: [u8; 6]) -> NET_ADAPTER_LINK_LAYER_ADDRESS {
    let mut Address = [0; NDIS_MAX_PHYS_ADDRESS_LENGTH];
    Address[..mac.len()].copy_from_slice(&mac);
    NET_ADAPTER_LINK_LAYER_ADDRESS { Length: mac.len() as u16, Address }
}

/// Highest link speeds, in the form of versions 2.0 and 2.1.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NET_ADAPTER_LINK_LAYER_CAPABILITIES {
    /// Size of this structure.
    pub Size: u32,
    /// Bits a second.
    pub MaxTxLinkSpeed: u64,
    /// Bits a second.
    pub MaxRxLinkSpeed: u64,
}
assert_layout!(NET_ADAPTER_LINK_LAYER_CAPABILITIES: 24 align 8 {
    Size @ 0, MaxTxLinkSpeed @ 8, MaxRxLinkSpeed @ 0x10,
});

/// Highest link speeds, bits a second.
#[must_use]
pub const fn NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(
    MaxTxLinkSpeed: u64,
    MaxRxLinkSpeed: u64,
) -> NET_ADAPTER_LINK_LAYER_CAPABILITIES {
    NET_ADAPTER_LINK_LAYER_CAPABILITIES {
        Size: size_of::<NET_ADAPTER_LINK_LAYER_CAPABILITIES>() as u32,
        MaxTxLinkSpeed,
        MaxRxLinkSpeed,
    }
}

handle! {
    /// A receive filter that the system wants, alive in EvtSetReceiveFilter alone.
    NETRECEIVEFILTER, NETRECEIVEFILTER__
}

/// Kinds of frame that a receive filter lets through; a set of flags.
pub type NET_PACKET_FILTER_FLAGS = i32;
/// Frames to the adapter's own address.
pub const NetPacketFilterFlagDirected: NET_PACKET_FILTER_FLAGS = 1;
/// Frames to an address of the multicast list.
pub const NetPacketFilterFlagMulticast: NET_PACKET_FILTER_FLAGS = 2;
/// Frames to any multicast address.
pub const NetPacketFilterFlagAllMulticast: NET_PACKET_FILTER_FLAGS = 4;
/// Frames to the broadcast address.
pub const NetPacketFilterFlagBroadcast: NET_PACKET_FILTER_FLAGS = 8;
/// Every frame.
pub const NetPacketFilterFlagPromiscuous: NET_PACKET_FILTER_FLAGS = 0x20;

/// Filter received frames as the handle describes from now on. PASSIVE_LEVEL.
pub type PFN_NET_ADAPTER_SET_RECEIVE_FILTER =
    Option<unsafe extern "win64" fn(Adapter: NETADAPTER, ReceiveFilter: NETRECEIVEFILTER)>;

/// The receive filters that an adapter has, from version 2.1 on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES {
    /// Size of this structure.
    pub Size: u32,
    /// What the adapter can filter by. Without a flag the system cannot set it, and an upper layer that needs it does
    /// not bind.
    pub SupportedPacketFilters: NET_PACKET_FILTER_FLAGS,
    /// Places in the multicast list; not 0 if and only if the Multicast flag is set.
    pub MaximumMulticastAddresses: usize,
    /// Required if any flag is set.
    pub EvtSetReceiveFilter: PFN_NET_ADAPTER_SET_RECEIVE_FILTER,
}
assert_layout!(NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES: 24 align 8 {
    Size @ 0, SupportedPacketFilters @ 4, MaximumMulticastAddresses @ 8, EvtSetReceiveFilter @ 0x10,
});

/// No flags and no multicast list yet.
#[must_use]
pub const fn NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES_INIT(
    EvtSetReceiveFilter: PFN_NET_ADAPTER_SET_RECEIVE_FILTER,
) -> NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES {
    NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES {
        Size: size_of::<NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES>() as u32,
        SupportedPacketFilters: 0,
        MaximumMulticastAddresses: 0,
        EvtSetReceiveFilter,
    }
}

/// Whether there is a link.
pub type NET_IF_MEDIA_CONNECT_STATE = i32;
/// Not known.
pub const MediaConnectStateUnknown: NET_IF_MEDIA_CONNECT_STATE = 0;
/// Link up.
pub const MediaConnectStateConnected: NET_IF_MEDIA_CONNECT_STATE = 1;
/// Link down.
pub const MediaConnectStateDisconnected: NET_IF_MEDIA_CONNECT_STATE = 2;

/// Whether both sides may send at a time.
pub type NET_IF_MEDIA_DUPLEX_STATE = i32;
/// Not known.
pub const MediaDuplexStateUnknown: NET_IF_MEDIA_DUPLEX_STATE = 0;
/// One at a time.
pub const MediaDuplexStateHalf: NET_IF_MEDIA_DUPLEX_STATE = 1;
/// Both.
pub const MediaDuplexStateFull: NET_IF_MEDIA_DUPLEX_STATE = 2;

/// Pause frames that the adapter understands.
pub type NET_ADAPTER_PAUSE_FUNCTION_TYPE = i32;
/// None.
pub const NetAdapterPauseFunctionTypeUnsupported: NET_ADAPTER_PAUSE_FUNCTION_TYPE = 0;
/// Sent only.
pub const NetAdapterPauseFunctionTypeSendOnly: NET_ADAPTER_PAUSE_FUNCTION_TYPE = 1;
/// Received only.
pub const NetAdapterPauseFunctionTypeReceiveOnly: NET_ADAPTER_PAUSE_FUNCTION_TYPE = 2;
/// Both.
pub const NetAdapterPauseFunctionTypeSendAndReceive: NET_ADAPTER_PAUSE_FUNCTION_TYPE = 3;
/// Not known.
pub const NetAdapterPauseFunctionTypeUnknown: NET_ADAPTER_PAUSE_FUNCTION_TYPE = 4;

/// What was negotiated automatically; 0 for nothing.
pub type NET_ADAPTER_AUTO_NEGOTIATION_FLAGS = i32;
/// Nothing.
pub const NetAdapterAutoNegotiationFlagNone: NET_ADAPTER_AUTO_NEGOTIATION_FLAGS = 0;

/// A link speed that is not known.
pub const NDIS_LINK_SPEED_UNKNOWN: u64 = u64::MAX;

/// The link's state.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NET_ADAPTER_LINK_STATE {
    /// Size of this structure.
    pub Size: u32,
    /// Bits a second, or [`NDIS_LINK_SPEED_UNKNOWN`].
    pub TxLinkSpeed: u64,
    /// Bits a second, or [`NDIS_LINK_SPEED_UNKNOWN`].
    pub RxLinkSpeed: u64,
    /// Up or down.
    pub MediaConnectState: NET_IF_MEDIA_CONNECT_STATE,
    /// Duplex.
    pub MediaDuplexState: NET_IF_MEDIA_DUPLEX_STATE,
    /// Pause frames.
    pub SupportedPauseFunctions: NET_ADAPTER_PAUSE_FUNCTION_TYPE,
    /// Negotiated.
    pub AutoNegotiationFlags: NET_ADAPTER_AUTO_NEGOTIATION_FLAGS,
}
assert_layout!(NET_ADAPTER_LINK_STATE: 40 align 8 {
    Size @ 0, TxLinkSpeed @ 8, RxLinkSpeed @ 0x10, MediaConnectState @ 0x18, MediaDuplexState @ 0x1c,
    SupportedPauseFunctions @ 0x20, AutoNegotiationFlags @ 0x24,
});

/// A link with one speed in both directions, bits a second.
#[must_use]
pub const fn NET_ADAPTER_LINK_STATE_INIT(
    LinkSpeed: u64,
    MediaConnectState: NET_IF_MEDIA_CONNECT_STATE,
    MediaDuplexState: NET_IF_MEDIA_DUPLEX_STATE,
    SupportedPauseFunctions: NET_ADAPTER_PAUSE_FUNCTION_TYPE,
    AutoNegotiationFlags: NET_ADAPTER_AUTO_NEGOTIATION_FLAGS,
) -> NET_ADAPTER_LINK_STATE {
    NET_ADAPTER_LINK_STATE {
        Size: size_of::<NET_ADAPTER_LINK_STATE>() as u32,
        TxLinkSpeed: LinkSpeed,
        RxLinkSpeed: LinkSpeed,
        MediaConnectState,
        MediaDuplexState,
        SupportedPauseFunctions,
        AutoNegotiationFlags,
    }
}

/// No link.
#[must_use]
pub const fn NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED() -> NET_ADAPTER_LINK_STATE {
    NET_ADAPTER_LINK_STATE_INIT(
        NDIS_LINK_SPEED_UNKNOWN,
        MediaConnectStateDisconnected,
        MediaDuplexStateUnknown,
        NetAdapterPauseFunctionTypeUnsupported,
        NetAdapterAutoNegotiationFlagNone,
    )
}

/// Any memory node will do (`MM_ANY_NODE_OK`).
pub const MM_ANY_NODE_OK: u32 = 0x8000_0000;

/// What the adapter needs of memory that its device accesses.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_DMA_CAPABILITIES {
    /// Size of this structure.
    pub Size: u32,
    /// The device's DMA enabler.
    pub DmaEnabler: WDFDMAENABLER,
    /// Highest address that the device reaches; 0: no bound.
    pub MaximumPhysicalAddress: PHYSICAL_ADDRESS,
    /// Whether receive buffers are cached, a WDF_TRI_STATE.
    pub CacheEnabled: i32,
    /// Memory node of receive buffers.
    pub PreferredNode: u32,
}
assert_layout!(NET_ADAPTER_DMA_CAPABILITIES: 32 align 8 {
    Size @ 0, DmaEnabler @ 8, MaximumPhysicalAddress @ 0x10, CacheEnabled @ 0x18, PreferredNode @ 0x1c,
});

/// Capabilities of `DmaEnabler`, everything else by default.
#[must_use]
pub const fn NET_ADAPTER_DMA_CAPABILITIES_INIT(DmaEnabler: WDFDMAENABLER) -> NET_ADAPTER_DMA_CAPABILITIES {
    NET_ADAPTER_DMA_CAPABILITIES {
        Size: size_of::<NET_ADAPTER_DMA_CAPABILITIES>() as u32,
        DmaEnabler,
        MaximumPhysicalAddress: PHYSICAL_ADDRESS { QuadPart: 0 },
        CacheEnabled: 2, // WdfUseDefault
        PreferredNode: MM_ANY_NODE_OK,
    }
}

/// Whether the framework maps buffers for a device.
pub type NET_MEMORY_MAPPING_REQUIREMENT = i32;
/// It does not.
pub const NetMemoryMappingRequirementNone: NET_MEMORY_MAPPING_REQUIREMENT = 0;
/// For DMA.
pub const NetMemoryMappingRequirementDmaMapped: NET_MEMORY_MAPPING_REQUIREMENT = 1;

/// Who allocates receive buffers.
pub type NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE = i32;
/// The framework.
pub const NetRxFragmentBufferAllocationModeSystem: NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE = 0;
/// The driver.
pub const NetRxFragmentBufferAllocationModeDriver: NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE = 1;

/// Who attaches receive buffers to fragments.
pub type NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE = i32;
/// The framework.
pub const NetRxFragmentBufferAttachmentModeSystem: NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE = 0;
/// The driver.
pub const NetRxFragmentBufferAttachmentModeDriver: NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE = 1;

/// What the adapter's transmit side can do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_TX_CAPABILITIES {
    /// Size of this structure.
    pub Size: u32,
    /// Whether fragments are mapped.
    pub MappingRequirement: NET_MEMORY_MAPPING_REQUIREMENT,
    /// Free bytes wanted in front of each frame.
    pub PayloadBackfill: u64,
    /// Most fragments in a packet.
    pub MaximumNumberOfFragments: u64,
    /// Alignment of each fragment, a power of two.
    pub FragmentBufferAlignment: u64,
    /// Wanted size of the fragment ring; 0: any.
    pub FragmentRingNumberOfElementsHint: u32,
    /// Most queues, from 1.
    pub MaximumNumberOfQueues: u64,
    /// How fragments are mapped.
    pub DmaCapabilities: *mut NET_ADAPTER_DMA_CAPABILITIES,
}
assert_layout!(NET_ADAPTER_TX_CAPABILITIES: 56 align 8 {
    Size @ 0, MappingRequirement @ 4, PayloadBackfill @ 8, MaximumNumberOfFragments @ 0x10,
    FragmentBufferAlignment @ 0x18, FragmentRingNumberOfElementsHint @ 0x20, MaximumNumberOfQueues @ 0x28,
    DmaCapabilities @ 0x30,
});

/// Transmit capabilities of an adapter whose device reads the fragments itself.
#[must_use]
pub const fn NET_ADAPTER_TX_CAPABILITIES_INIT_FOR_DMA(
    DmaCapabilities: *mut NET_ADAPTER_DMA_CAPABILITIES,
    MaximumNumberOfQueues: u64,
) -> NET_ADAPTER_TX_CAPABILITIES {
    NET_ADAPTER_TX_CAPABILITIES {
        Size: size_of::<NET_ADAPTER_TX_CAPABILITIES>() as u32,
        MappingRequirement: NetMemoryMappingRequirementDmaMapped,
        PayloadBackfill: 0,
        MaximumNumberOfFragments: u64::MAX,
        FragmentBufferAlignment: 1,
        FragmentRingNumberOfElementsHint: 0,
        MaximumNumberOfQueues,
        DmaCapabilities,
    }
}

/// How the system maps the receive buffers that it allocates.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_RX_SYSTEM_BUFFERS {
    /// Whether buffers are mapped.
    pub MappingRequirement: NET_MEMORY_MAPPING_REQUIREMENT,
    /// Alignment of each buffer, a power of two.
    pub FragmentBufferAlignment: u64,
    /// How buffers are mapped.
    pub DmaCapabilities: *mut NET_ADAPTER_DMA_CAPABILITIES,
}

/// The part of the receive capabilities that depends on who allocates the buffers.
#[repr(C)]
#[derive(Clone, Copy)]
pub union NET_ADAPTER_RX_BUFFERS {
    /// The driver does: it takes a buffer back.
    pub EvtAdapterReturnRxBuffer: Option<unsafe extern "win64" fn()>,
    /// The system does.
    pub System: NET_ADAPTER_RX_SYSTEM_BUFFERS,
}

/// What the adapter's receive side can do.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_ADAPTER_RX_CAPABILITIES {
    /// Size of this structure.
    pub Size: u32,
    /// Who allocates buffers.
    pub AllocationMode: NET_RX_FRAGMENT_BUFFER_ALLOCATION_MODE,
    /// Who attaches buffers.
    pub AttachmentMode: NET_RX_FRAGMENT_BUFFER_ATTACHMENT_MODE,
    /// Wanted size of the fragment ring, a power of two; 0: any.
    pub FragmentRingNumberOfElementsHint: u32,
    /// Longest frame, which is the size of each buffer, bytes.
    pub MaximumFrameSize: u64,
    /// Most queues, from 1.
    pub MaximumNumberOfQueues: u64,
    /// By allocation mode.
    pub u: NET_ADAPTER_RX_BUFFERS,
}
assert_layout!(NET_ADAPTER_RX_CAPABILITIES: 56 align 8 {
    Size @ 0, AllocationMode @ 4, AttachmentMode @ 8, FragmentRingNumberOfElementsHint @ 0xc,
    MaximumFrameSize @ 0x10, MaximumNumberOfQueues @ 0x18, u @ 0x20, u.EvtAdapterReturnRxBuffer @ 0x20,
    u.System.MappingRequirement @ 0x20, u.System.FragmentBufferAlignment @ 0x28, u.System.DmaCapabilities @ 0x30,
});

/// Receive capabilities of an adapter whose device writes into buffers of the system.
#[must_use]
pub const fn NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED_DMA(
    DmaCapabilities: *mut NET_ADAPTER_DMA_CAPABILITIES,
    MaximumFrameSize: u64,
    MaximumNumberOfQueues: u64,
) -> NET_ADAPTER_RX_CAPABILITIES {
    NET_ADAPTER_RX_CAPABILITIES {
        Size: size_of::<NET_ADAPTER_RX_CAPABILITIES>() as u32,
        AllocationMode: NetRxFragmentBufferAllocationModeSystem,
        AttachmentMode: NetRxFragmentBufferAttachmentModeSystem,
        FragmentRingNumberOfElementsHint: 0,
        MaximumFrameSize,
        MaximumNumberOfQueues,
        u: NET_ADAPTER_RX_BUFFERS {
            System: NET_ADAPTER_RX_SYSTEM_BUFFERS {
                MappingRequirement: NetMemoryMappingRequirementDmaMapped,
                FragmentBufferAlignment: 1,
                DmaCapabilities,
            },
        },
    }
}

/// How a configuration value is looked up; 0 for plainly.
pub type NET_CONFIGURATION_QUERY_ULONG_FLAGS = i32;
/// Plainly.
pub const NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS: NET_CONFIGURATION_QUERY_ULONG_FLAGS = 0;
