//! What a filter module is told of the adapter: parameters of FilterAttach and FilterRestart.
//!
//! Rules: NF4, NF5, NF12, NF13 (`driver/docs/ndis-filter.md`).

use super::miniport;
use super::module::Module;
use crate::mm::leak_unicode;
use alloc::boxed::Box;
use ndis_sys::*;
use spin::Once;
use wdk_offline::UNICODE_STRING;

/// IfType 6 (Ethernet) in bits 63..48, an index of its own in bits 47..24.
const ETHERNET: u64 = 6 << 48;
/// Interface index of the adapter; a module's is above it.
const ADAPTER_INDEX: u32 = 2;
/// Bits a second.
const SPEED: u64 = 10_000_000_000;

/// Names that stay for ever.
struct Names {
    module: UNICODE_STRING,
    instance: UNICODE_STRING,
    adapter: UNICODE_STRING,
}

// SAFETY: the strings are leaked and not written.
unsafe impl Send for Names {}
// SAFETY: as above.
unsafe impl Sync for Names {}

static NAMES: Once<Names> = Once::new();

fn names() -> &'static Names {
    NAMES.call_once(|| Names {
        module: leak_unicode(
            "{4e1f0d3a-5d2b-4f0e-9c61-6c6e69630001}-{4e1f0d3a-5d2b-4f0e-9c61-6c6e69630002}-0000",
        ),
        instance: leak_unicode("Cancelnic Virtual NIC"),
        adapter: leak_unicode("\\DEVICE\\{4E1F0D3A-5D2B-4F0E-9C61-6C6E69630001}"),
    })
}

/// Parameters of one FilterAttach; they live until it returns.
pub(super) struct Parameters(Box<NDIS_FILTER_ATTACH_PARAMETERS>);

impl Parameters {
    /// For the driver.
    pub(super) fn pointer(&mut self) -> *mut NDIS_FILTER_ATTACH_PARAMETERS {
        &raw mut *self.0
    }
}

fn luid(index: u32) -> u64 {
    ETHERNET | u64::from(index) << 24
}

/// What `module` is told.
pub(super) fn parameters(module: &Module) -> Parameters {
    let (mac, connected) = (miniport::get().mac(), miniport::get().is_connected());
    let string = |name: &'static UNICODE_STRING| core::ptr::from_ref(name).cast_mut();
    let mut address = [0; NDIS_MAX_PHYS_ADDRESS_LENGTH];
    address[..mac.len()].copy_from_slice(&mac);
    let index = ADAPTER_INDEX + module.number;
    Parameters(Box::new(NDIS_FILTER_ATTACH_PARAMETERS {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_FILTER_ATTACH_PARAMETERS,
            NDIS_FILTER_ATTACH_PARAMETERS_REVISION_4,
            NDIS_SIZEOF_FILTER_ATTACH_PARAMETERS_REVISION_4,
        ),
        IfIndex: index,
        NetLuid: luid(index),
        FilterModuleGuidName: string(&names().module),
        BaseMiniportIfIndex: ADAPTER_INDEX,
        BaseMiniportInstanceName: string(&names().instance),
        BaseMiniportName: string(&names().adapter),
        MediaConnectState: if connected { MediaConnectStateConnected } else { 2 },
        MediaDuplexState: MediaDuplexStateFull,
        XmitLinkSpeed: SPEED,
        RcvLinkSpeed: SPEED,
        MiniportMediaType: NdisMedium802_3,
        MiniportPhysicalMediaType: NdisPhysicalMedium802_3,
        MiniportMediaSpecificAttributes: core::ptr::null_mut(),
        DefaultOffloadConfiguration: core::ptr::null_mut(),
        MacAddressLength: mac.len() as u16,
        CurrentMacAddress: address,
        BaseMiniportNetLuid: luid(ADAPTER_INDEX),
        LowerIfIndex: ADAPTER_INDEX,
        LowerIfNetLuid: luid(ADAPTER_INDEX),
        Flags: 0,
        HDSplitCurrentConfig: core::ptr::null_mut(),
        ReceiveFilterCapabilities: core::ptr::null_mut(),
        MiniportPhysicalDeviceObject: core::ptr::null_mut(),
        NicSwitchCapabilities: core::ptr::null_mut(),
        BaseMiniportIfConnectorPresent: 1,
        SriovCapabilities: core::ptr::null_mut(),
        NicSwitchArray: core::ptr::null_mut(),
    }))
}

/// What a module is told at a restart: no attribute has changed.
pub(super) fn restart_parameters() -> NDIS_FILTER_RESTART_PARAMETERS {
    NDIS_FILTER_RESTART_PARAMETERS {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_FILTER_RESTART_PARAMETERS,
            NDIS_FILTER_RESTART_PARAMETERS_REVISION_1,
            NDIS_SIZEOF_FILTER_RESTART_PARAMETERS_REVISION_1,
        ),
        MiniportMediaType: NdisMedium802_3,
        MiniportPhysicalMediaType: NdisPhysicalMedium802_3,
        RestartAttributes: core::ptr::null_mut(),
        LowerIfIndex: ADAPTER_INDEX,
        LowerIfNetLuid: luid(ADAPTER_INDEX),
        Flags: 0,
    }
}

/// Bits a second of the link.
pub(super) const LINK_SPEED: u64 = SPEED;
