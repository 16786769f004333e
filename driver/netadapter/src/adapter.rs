//! The network adapter: creation, parameters, capabilities, link.

use core::ptr::null_mut;

use cancelnic_core::{
    CancelForm,
    identity::{Identity, Link},
};
use cancelnic_kernel::{
    check,
    kmdf::{
        context::{self, Context, ContextType},
        device::Device,
    },
    text::{counted, utf16},
};
use cancelnic_mutants::{Mutant, Shown};
use netadaptercx_sys::*;
use wdk_sys::{NT_SUCCESS, NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, WDF_NO_OBJECT_ATTRIBUTES};

use crate::{class::net, context::DeviceContext, queue, watchdog};

/// What the driver keeps for the adapter: the way to its device.
pub(crate) struct AdapterContext {
    device: Device,
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
pub(crate) unsafe fn device_of<'a>(adapter: NETADAPTER) -> &'a DeviceContext {
    // SAFETY: the caller vouches for the adapter, which has this context.
    let context = unsafe { context::get::<AdapterContext>(adapter.cast()) };
    // SAFETY: the adapter's parent, the device, outlives it; its context is filled in before the adapter starts.
    unsafe { context::get(context.device.object()) }
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
pub(crate) fn create(device: Device) -> Result<NETADAPTER, NTSTATUS> {
    // SAFETY: the device is alive.
    let init = unsafe { net().NetAdapterInitAllocate(device.handle()) };
    if init.is_null() {
        return Err(STATUS_INSUFFICIENT_RESOURCES);
    }
    let mut callbacks = NET_ADAPTER_DATAPATH_CALLBACKS_INIT(
        Some(queue::evt_create_tx_queue),
        Some(queue::evt_create_rx_queue),
    );
    // SAFETY: the init structure was just made; the callbacks live over the call.
    unsafe { net().NetAdapterInitSetDatapathCallbacks(init, &raw mut callbacks) };
    let mut attributes = context::attributes::<AdapterContext>();
    let mut adapter = null_mut();
    // SAFETY: the init structure is whole; attributes and handle live over the call.
    let status = unsafe { net().NetAdapterCreate(init, &raw mut attributes, &raw mut adapter) };
    // SAFETY: made above, and freed once, whatever became of the adapter.
    unsafe { net().NetAdapterInitFree(init) };
    check(status)?;
    // SAFETY: the adapter was made with this context.
    let place = unsafe { context::address::<AdapterContext>(adapter.cast()) };
    // SAFETY: the context's own memory, of which nobody knows yet.
    unsafe { place.write(AdapterContext { device }) };
    Ok(adapter)
}

/// The INF's keywords.
pub(crate) struct Parameters {
    /// Longest cancel, milliseconds; 0: not watched.
    pub watchdog_milliseconds: u32,
    /// In which form EvtCancel gives elements back.
    pub cancel_form: CancelForm,
    /// Which fault a test build shows.
    pub mutant: Shown,
}

/// Reads the INF's keywords. PASSIVE_LEVEL. The adapter is alive.
pub(crate) fn read_parameters(adapter: NETADAPTER) -> Result<Parameters, NTSTATUS> {
    let keywords = Configuration::of(adapter)?;
    Ok(Parameters {
        watchdog_milliseconds: keywords.query(&WATCHDOG_MS).unwrap_or(watchdog::DEFAULT_MILLISECONDS),
        cancel_form: CancelForm::from_number(keywords.query(&CANCEL_FORM).unwrap_or(0)),
        mutant: Shown::numbered(|| keywords.query(&MUTANT).unwrap_or(0)),
    })
}

/// `WatchdogMs`
const WATCHDOG_MS: [u16; 10] = utf16(b"WatchdogMs");
/// `CancelForm`
const CANCEL_FORM: [u16; 10] = utf16(b"CancelForm");
/// `Mutant`
const MUTANT: [u16; 6] = utf16(b"Mutant");

/// The adapter's part of the registry, open as long as the value lives.
struct Configuration(NETCONFIGURATION);

impl Configuration {
    /// Opens it. PASSIVE_LEVEL.
    fn of(adapter: NETADAPTER) -> Result<Self, NTSTATUS> {
        let mut configuration = null_mut();
        // SAFETY: the adapter is alive; the handle is written on success.
        check(unsafe {
            net().NetAdapterOpenConfiguration(adapter, WDF_NO_OBJECT_ATTRIBUTES, &raw mut configuration)
        })?;
        Ok(Self(configuration))
    }

    /// One number, if it is there. PASSIVE_LEVEL.
    fn query(&self, name: &[u16]) -> Option<u32> {
        let name = counted(name);
        let mut value = 0;
        // SAFETY: the configuration is open; name and value live over the call, the name is only read.
        let status = unsafe {
            net().NetConfigurationQueryUlong(
                self.0,
                NET_CONFIGURATION_QUERY_ULONG_NO_FLAGS,
                &raw const name,
                &raw mut value,
            )
        };
        NT_SUCCESS(status).then_some(value)
    }
}

impl Drop for Configuration {
    fn drop(&mut self) {
        // SAFETY: opened by `of`, closed once.
        unsafe { net().NetConfigurationClose(self.0) };
    }
}

/// Tells NetAdapterCx what the adapter can do, and starts it, in PrepareHardware. PASSIVE_LEVEL.
pub(crate) fn start(context: &DeviceContext, identity: &Identity) -> Result<(), NTSTATUS> {
    let adapter = context.adapter;
    let speed = speed(&identity.link);
    let mtu = u32::from(identity.mtu);
    let mut link_layer = NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(speed, speed);
    let mut address = NET_ADAPTER_LINK_LAYER_ADDRESS_INIT(identity.mac.unwrap_or(DEFAULT_MAC));
    let mut dma = NET_ADAPTER_DMA_CAPABILITIES_INIT(context.dma);
    let mut tx = NET_ADAPTER_TX_CAPABILITIES_INIT_FOR_DMA(&raw mut dma, 1);
    tx.MaximumNumberOfFragments = MAXIMUM_FRAGMENTS;
    let frame = u64::from(mtu + ETHERNET_HEADER);
    let mut rx = NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED_DMA(&raw mut dma, frame, 1);
    let mut filter = NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES_INIT(Some(evt_set_receive_filter));
    filter.SupportedPacketFilters = PACKET_FILTERS;
    filter.MaximumMulticastAddresses = MULTICAST_ADDRESSES;
    // SAFETY: the adapter is alive and not started; the capabilities live over the call.
    unsafe { net().NetAdapterSetLinkLayerCapabilities(adapter, &raw mut link_layer) };
    // SAFETY: the adapter is alive and not started.
    unsafe { net().NetAdapterSetLinkLayerMtuSize(adapter, mtu) };
    // SAFETY: the adapter is alive and not started; the address lives over the call.
    unsafe { net().NetAdapterSetPermanentLinkLayerAddress(adapter, &raw mut address) };
    // SAFETY: the adapter is alive and not started; the address lives over the call.
    unsafe { net().NetAdapterSetCurrentLinkLayerAddress(adapter, &raw mut address) };
    // SAFETY: the adapter is alive and not started; both capabilities, and the DMA's in them, live over the call.
    unsafe { net().NetAdapterSetDataPathCapabilities(adapter, &raw mut tx, &raw mut rx) };
    if !context.mutant.is(Mutant::OffersNoReceiveFilter) {
        // SAFETY: the adapter is alive and not started; the capabilities live over the call.
        unsafe { net().NetAdapterSetReceiveFilterCapabilities(adapter, &raw const filter) };
    }
    set_link(context, &identity.link);
    // SAFETY: the adapter is alive, not started, and has its capabilities.
    check(unsafe { net().NetAdapterStart(adapter) })
}

const fn speed(link: &Link) -> u64 {
    match link.speed {
        Some(speed) => speed,
        None => DEFAULT_SPEED,
    }
}

/// Tells NetAdapterCx of the link. At most DISPATCH_LEVEL.
pub(crate) fn set_link(context: &DeviceContext, link: &Link) {
    let mut state = if link.up {
        let duplex = if link.full_duplex { MediaDuplexStateFull } else { MediaDuplexStateUnknown };
        NET_ADAPTER_LINK_STATE_INIT(
            speed(link),
            MediaConnectStateConnected,
            duplex,
            NetAdapterPauseFunctionTypeUnsupported,
            NetAdapterAutoNegotiationFlagNone,
        )
    } else {
        NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED()
    };
    // SAFETY: the adapter is alive; the state lives over the call.
    unsafe { net().NetAdapterSetLinkState(context.adapter, &raw mut state) };
}

/// EvtSetReceiveFilter. PASSIVE_LEVEL. The device has no filter to set: it delivers every frame that its link carries, which
/// every filter allows.
unsafe extern "win64" fn evt_set_receive_filter(_adapter: NETADAPTER, _filter: NETRECEIVEFILTER) {}
