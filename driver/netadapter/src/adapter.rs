//! The network adapter: creation, parameters, capabilities, link.

use core::ptr::null_mut;

use cancelnic_core::{CancelForm, identity::Identity};
use cancelnic_kernel::{
    check,
    kmdf::context::{self, Context, ContextType},
    text::{counted, utf16},
};
use cancelnic_mutants::{Mutant, Shown};
use netadaptercx_sys::*;
use wdk_sys::{NT_SUCCESS, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, WDF_NO_OBJECT_ATTRIBUTES, WDFDEVICE};

use crate::{class::net, device::DeviceContext, queue, watchdog};

/// What the driver keeps for the adapter: the way to its device.
pub struct AdapterContext {
    device: WDFDEVICE,
}

static ADAPTER_CONTEXT: ContextType =
    ContextType::new::<AdapterContext>(c"AdapterContext", &raw const ADAPTER_CONTEXT);

// SAFETY: one static, made for this type.
unsafe impl Context for AdapterContext {
    fn context_type() -> &'static ContextType {
        &ADAPTER_CONTEXT
    }
}

/// The device of an adapter.
///
/// # Safety
/// `adapter` was made by [`create`] and is alive.
pub unsafe fn device_of<'a>(adapter: NETADAPTER) -> &'a DeviceContext {
    // SAFETY: the adapter has its context, and its parent, the device, outlives it.
    unsafe { context::get(context::get::<AdapterContext>(adapter.cast()).device.cast()) }
}

/// Destination, source and EtherType.
const ETHERNET_HEADER: u32 = 14;
/// Link speed reported where the device names none, bits a second.
const DEFAULT_SPEED: u64 = 10_000_000_000;
/// Address of an adapter whose device names none: locally administered.
const DEFAULT_MAC: [u8; 6] = [0x02, b'c', b'n', b'i', b'c', 0];
/// Fragments of a transmit packet at most; the system copies together what has more.
const MAXIMUM_FRAGMENTS: u64 = 16;

/// Every kind of frame: the device delivers all of them, and NDIS passes to each protocol those that its filter names. A
/// protocol whose filter the adapter does not have does not bind (OID_GEN_CURRENT_PACKET_FILTER).
const PACKET_FILTERS: NET_PACKET_FILTER_FLAGS = NetPacketFilterFlagDirected
    | NetPacketFilterFlagMulticast
    | NetPacketFilterFlagAllMulticast
    | NetPacketFilterFlagBroadcast
    | NetPacketFilterFlagPromiscuous;
/// Multicast addresses that a protocol may set at once. The driver keeps none of them, so the number is free.
const MULTICAST_ADDRESSES: usize = 32;

/// Makes the adapter in EvtDriverDeviceAdd. PASSIVE_LEVEL.
///
/// # Safety
/// `device` is alive.
pub unsafe fn create(device: WDFDEVICE) -> Result<NETADAPTER, NTSTATUS> {
    // SAFETY: the device is alive; what is passed by address lives over the call; the init
    // structure is freed once, whatever becomes of the adapter.
    unsafe {
        let init = net().NetAdapterInitAllocate(device);
        if init.is_null() {
            return Err(STATUS_INSUFFICIENT_RESOURCES);
        }
        let mut callbacks = NET_ADAPTER_DATAPATH_CALLBACKS_INIT(
            Some(queue::evt_create_tx_queue),
            Some(queue::evt_create_rx_queue),
        );
        net().NetAdapterInitSetDatapathCallbacks(init, &raw mut callbacks);
        let mut attributes = context::attributes::<AdapterContext>();
        let mut adapter = null_mut();
        let status = net().NetAdapterCreate(init, &raw mut attributes, &raw mut adapter);
        net().NetAdapterInitFree(init);
        check(status)?;
        context::address::<AdapterContext>(adapter.cast()).write(AdapterContext { device });
        Ok(adapter)
    }
}

/// The INF's keywords.
pub struct Parameters {
    /// Longest cancel, milliseconds; 0: not watched.
    pub watchdog_milliseconds: u32,
    /// In which form EvtCancel gives elements back.
    pub cancel_form: CancelForm,
    /// Which fault a test build shows.
    pub mutant: Shown,
}

/// Reads the INF's keywords. PASSIVE_LEVEL.
///
/// # Safety
/// `adapter` is alive.
pub unsafe fn read_parameters(adapter: NETADAPTER) -> Result<Parameters, NTSTATUS> {
    let mut configuration = null_mut();
    // SAFETY: the adapter is alive; the configuration is closed below.
    check(unsafe {
        net().NetAdapterOpenConfiguration(adapter, WDF_NO_OBJECT_ATTRIBUTES, &raw mut configuration)
    })?;
    let parameters = Parameters {
        watchdog_milliseconds: query(configuration, &WATCHDOG_MS).unwrap_or(watchdog::DEFAULT_MILLISECONDS),
        cancel_form: CancelForm::from_number(query(configuration, &CANCEL_FORM).unwrap_or(0)),
        mutant: Shown::numbered(|| query(configuration, &MUTANT).unwrap_or(0)),
    };
    // SAFETY: opened above.
    unsafe { net().NetConfigurationClose(configuration) };
    Ok(parameters)
}

/// `WatchdogMs`
const WATCHDOG_MS: [u16; 10] = utf16(b"WatchdogMs");
/// `CancelForm`
const CANCEL_FORM: [u16; 10] = utf16(b"CancelForm");
/// `Mutant`
const MUTANT: [u16; 6] = utf16(b"Mutant");

/// One number of the configuration, if it is there.
fn query(configuration: NETCONFIGURATION, name: &[u16]) -> Option<u32> {
    let name = counted(name);
    let mut value = 0;
    // SAFETY: the configuration is open; name and value live over the call, the name is only read.
    let status = unsafe {
        net().NetConfigurationQueryUlong(
            configuration,
            NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS,
            &raw const name,
            &raw mut value,
        )
    };
    NT_SUCCESS(status).then_some(value)
}

/// Tells NetAdapterCx what the adapter can do, and starts it, in PrepareHardware. PASSIVE_LEVEL.
pub fn start(context: &DeviceContext, identity: &Identity) -> Result<(), NTSTATUS> {
    let adapter = context.adapter();
    let speed = identity.speed.unwrap_or(DEFAULT_SPEED);
    let mtu = u32::from(identity.mtu);
    let mut link_layer = NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(speed, speed);
    let mut address = NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(identity.mac.unwrap_or(DEFAULT_MAC));
    let mut dma = NET_ADAPTER_DMA_CAPABILITIES_INIT(context.dma());
    let mut tx = NET_ADAPTER_TX_CAPABILITIES_INIT_FOR_DMA(&raw mut dma, 1);
    tx.MaximumNumberOfFragments = MAXIMUM_FRAGMENTS;
    let frame = u64::from(mtu + ETHERNET_HEADER);
    let mut rx = NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED_DMA(&raw mut dma, frame, 1);
    let mut filter = NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES_INIT(Some(evt_set_receive_filter));
    filter.SupportedPacketFilters = PACKET_FILTERS;
    filter.MaximumMulticastAddresses = MULTICAST_ADDRESSES;
    let mut link = if identity.link_up {
        let duplex = if identity.full_duplex { MediaDuplexStateFull } else { MediaDuplexStateUnknown };
        NET_ADAPTER_LINK_STATE_INIT(
            speed,
            MediaConnectStateConnected,
            duplex,
            NetAdapterPauseFunctionTypeUnsupported,
            NetAdapterAutoNegotiationFlagNone,
        )
    } else {
        NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED()
    };
    // SAFETY: the adapter is alive and not started; the structures live over the calls.
    unsafe {
        net().NetAdapterSetLinkLayerCapabilities(adapter, &raw mut link_layer);
        net().NetAdapterSetLinkLayerMtuSize(adapter, mtu);
        net().NetAdapterSetPermanentLinkLayerAddress(adapter, &raw mut address);
        net().NetAdapterSetCurrentLinkLayerAddress(adapter, &raw mut address);
        net().NetAdapterSetDataPathCapabilities(adapter, &raw mut tx, &raw mut rx);
        if !context.mutant().is(Mutant::OffersNoReceiveFilter) {
            net().NetAdapterSetReceiveFilterCapabilities(adapter, &raw const filter);
        }
        net().NetAdapterSetLinkState(adapter, &raw mut link);
        check(net().NetAdapterStart(adapter))
    }
}

/// EvtSetReceiveFilter. PASSIVE_LEVEL. The device has no filter to set: it delivers every frame that its link carries, which
/// every filter allows.
unsafe extern "win64" fn evt_set_receive_filter(_adapter: NETADAPTER, _filter: NETRECEIVEFILTER) {}
