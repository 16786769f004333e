//! NETADAPTER: from the init structure over its capabilities to start and stop.
//!
//! Rules: CX32, CX33 (`driver/docs/netadaptercx.md`).

use super::overlying;
use super::require::{enter, require_not_null, require_size, violation};
use crate::ke::Irql;
use crate::ke::irqlock::IrqLock;
use crate::verifier::{fault, trace};
use crate::wdf::bus::Stage;
use crate::wdf::object::{self, Attributes, Typed, get_ptr};
use crate::wdf::{device, dma};
use alloc::{format, sync::Arc, vec::Vec};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use netadaptercx_sys::{
    NET_ADAPTER_DATAPATH_CALLBACKS, NET_ADAPTER_DMA_CAPABILITIES, NET_ADAPTER_LINK_LAYER_ADDRESS,
    NET_ADAPTER_LINK_LAYER_CAPABILITIES, NET_ADAPTER_LINK_STATE, NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES,
    NET_ADAPTER_RX_CAPABILITIES, NET_ADAPTER_TX_CAPABILITIES, NET_DRIVER_GLOBALS, NET_PACKET_FILTER_FLAGS,
    NETADAPTER, NETRECEIVEFILTER, NetMemoryMappingRequirementDmaMapped,
    NetRxFragmentBufferAllocationModeSystem, NetRxFragmentBufferAttachmentModeSystem,
    PFN_NET_ADAPTER_SET_RECEIVE_FILTER, PNETADAPTER_INIT,
};
use understudy_rules::receive_filter::{self, Filter};
use understudy_rules::wdf::table::Handle;
use wdk_offline::{
    NTSTATUS, PWDFDEVICE_INIT, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_DEVICE_REQUEST,
    STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_SUCCESS, WDF_OBJECT_ATTRIBUTES, WDFDEVICE,
};

/// What an adapter is made from.
#[derive(Default)]
pub(crate) struct AdapterInit {
    device: u64,
    callbacks: IrqLock<Option<NET_ADAPTER_DATAPATH_CALLBACKS>>,
    used: AtomicBool,
}

impl Typed for AdapterInit {
    const KIND: &'static str = "NETADAPTER_INIT";
}

impl Default for IrqLock<Option<NET_ADAPTER_DATAPATH_CALLBACKS>> {
    fn default() -> Self {
        Self::new(None)
    }
}

/// What the driver has told about its data path.
#[derive(Clone, Copy)]
pub(crate) struct Capabilities {
    tx_ring_hint: u32,
    tx_fragments: u64,
    rx_frame: u64,
}

/// The receive filters that the driver offers.
#[derive(Clone, Copy)]
struct Filtering {
    supported: NET_PACKET_FILTER_FLAGS,
    multicast_addresses: usize,
    callback: PFN_NET_ADAPTER_SET_RECEIVE_FILTER,
}

/// A filter on its way to the driver: a NETRECEIVEFILTER points to one.
struct Handed {
    flags: NET_PACKET_FILTER_FLAGS,
    multicast: Vec<NET_ADAPTER_LINK_LAYER_ADDRESS>,
    thread: u64,
}

/// An adapter.
pub(crate) struct Adapter {
    /// Queue creation callbacks.
    pub callbacks: NET_ADAPTER_DATAPATH_CALLBACKS,
    capabilities: IrqLock<Option<Capabilities>>,
    filtering: IrqLock<Option<Filtering>>,
    link_layer: AtomicBool,
    mtu: AtomicU32,
    permanent: IrqLock<Option<NET_ADAPTER_LINK_LAYER_ADDRESS>>,
    current: IrqLock<Option<NET_ADAPTER_LINK_LAYER_ADDRESS>>,
    /// NetAdapterStart has been called and NetAdapterStop has not.
    pub started: AtomicBool,
    /// MediaConnectState is connected.
    pub connected: AtomicBool,
}

impl Typed for Adapter {
    const KIND: &'static str = "NETADAPTER";

    /// Allowed as long as it has not been started.
    fn require_deletable(&self, raw: u64, function: &str) {
        if self.started.load(Relaxed) || HANDLE.load(Relaxed) != raw {
            crate::verifier::violation(
                "ObjectNotDeletable",
                3,
                raw,
                format!("{function} of a {}", Self::KIND),
            );
        }
        forget();
    }
}

impl Adapter {
    /// Elements of the Tx fragment ring for a packet ring of `packets`.
    pub(crate) fn tx_fragment_ring(&self, packets: u32) -> u32 {
        let hint = self
            .capabilities
            .with(|capabilities| capabilities.map_or(0, |capabilities| capabilities.tx_ring_hint));
        if hint == 0 { packets * 2 } else { hint.max(packets) }
    }

    /// Most fragments that a Tx packet may have.
    pub(crate) fn tx_fragments(&self) -> usize {
        let most = self
            .capabilities
            .with(|capabilities| capabilities.map_or(1, |capabilities| capabilities.tx_fragments));
        most.min(8) as usize
    }

    /// Capacity of a receive buffer.
    pub(crate) fn rx_capacity(&self) -> u32 {
        let frame = self
            .capabilities
            .with(|capabilities| capabilities.map_or(0, |capabilities| capabilities.rx_frame));
        frame.min(crate::mm::buffers::SIZE as u64) as u32
    }

    /// Bytes of payload of the longest frame.
    pub(crate) fn mtu(&self) -> u32 {
        self.mtu.load(Relaxed)
    }

    /// The packet filters that the driver offers; 0 without NetAdapterSetReceiveFilterCapabilities.
    pub(crate) fn supported_filters(&self) -> NET_PACKET_FILTER_FLAGS {
        self.filtering.with(|filtering| filtering.map_or(0, |filtering| filtering.supported))
    }

    /// How many addresses the multicast list may have.
    pub(crate) fn multicast_addresses(&self) -> usize {
        self.filtering.with(|filtering| filtering.map_or(0, |filtering| filtering.multicast_addresses))
    }

    /// Sets the receive filter, as OID_GEN_CURRENT_PACKET_FILTER and OID_802_3_MULTICAST_LIST ask. PASSIVE_LEVEL.
    pub(crate) fn set_receive_filter(&self, handle: Handle, filter: &Filter) -> NTSTATUS {
        let filtering = self.filtering.with(|filtering| *filtering);
        let supported = filtering.map_or(0, |filtering| filtering.supported);
        let callback = filtering.and_then(|filtering| filtering.callback);
        let Some(callback) = callback.filter(|_| receive_filter::can_set(supported, filter.flags)) else {
            return STATUS_NOT_SUPPORTED;
        };
        let address = |mac: &receive_filter::Mac| {
            let mut address = NET_ADAPTER_LINK_LAYER_ADDRESS { Length: mac.len() as u16, Address: [0; 32] };
            address.Address[..mac.len()].copy_from_slice(mac);
            address
        };
        let handed = Handed {
            flags: filter.flags,
            multicast: filter.multicast.iter().map(address).collect(),
            thread: crate::ke::current_thread(),
        };
        let raw = (&raw const handed).cast_mut().cast();
        trace::callback("device", "EvtSetReceiveFilter", || {
            // SAFETY: the driver's callback with its adapter; the filter lives until the callback has returned.
            unsafe { callback(handle.raw() as NETADAPTER, raw) }
        });
        STATUS_SUCCESS
    }

    /// The address that frames come from.
    pub(crate) fn mac(&self) -> [u8; 6] {
        let address =
            self.current.with(|address| *address).or_else(|| self.permanent.with(|address| *address));
        address.and_then(|address| address.Address.first_chunk().copied()).unwrap_or_default()
    }
}

/// The one adapter's handle; 0 before NetAdapterCreate.
static HANDLE: AtomicU64 = AtomicU64::new(0);

/// The adapter, if there is one.
pub(crate) fn current() -> Option<(Handle, Arc<Adapter>)> {
    let raw = HANDLE.load(Relaxed);
    (raw != 0).then(|| (Handle::from_raw(raw), object::get::<Adapter>(raw, "NetAdapterCx")))
}

/// The adapter's handle as SourceHandle of what is indicated; 0 without one.
pub(crate) fn handle() -> u64 {
    HANDLE.load(Relaxed)
}

/// Forgets the adapter: its device is about to be deleted.
pub(crate) fn forget() {
    HANDLE.store(0, Relaxed);
}

/// The device that the adapter is of, if there is an adapter. Any IRQL.
pub(crate) fn device() -> Option<Arc<device::Device>> {
    let parent = current().and_then(|(handle, _)| object::parent(handle.raw(), "NetAdapterCx"));
    parent.map(|parent| object::get(parent.raw(), "NetAdapterCx"))
}

/// NetDeviceInitConfig: PASSIVE_LEVEL, in EvtDriverDeviceAdd.
pub(crate) unsafe extern "win64" fn device_init_config(
    globals: *mut NET_DRIVER_GLOBALS,
    init: PWDFDEVICE_INIT,
) -> NTSTATUS {
    const FUNCTION: &str = "NetDeviceInitConfig";
    enter(FUNCTION, globals, Irql::PASSIVE);
    let init = get_ptr::<device::DeviceInit, _>(init, FUNCTION);
    if fault::strikes(init.bus.service().owner, FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    init.net.store(true, Relaxed);
    STATUS_SUCCESS
}

/// NetAdapterInitAllocate: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn init_allocate(
    globals: *mut NET_DRIVER_GLOBALS,
    device: WDFDEVICE,
) -> PNETADAPTER_INIT {
    const FUNCTION: &str = "NetAdapterInitAllocate";
    enter(FUNCTION, globals, Irql::PASSIVE);
    if !get_ptr::<device::Device, _>(device, FUNCTION).net {
        crate::verifier::violation("NetDeviceInitConfigMissing", 0, 0, FUNCTION.into());
    }
    let init = AdapterInit { device: device as u64, ..AdapterInit::default() };
    let owner = object::owner(device as u64, FUNCTION);
    if fault::strikes(owner, FUNCTION) {
        return core::ptr::null_mut();
    }
    let payload = Arc::new(init);
    let handle = object::create_for(owner, FUNCTION, payload, None, Attributes::NONE);
    handle.raw() as PNETADAPTER_INIT
}

/// NetAdapterInitFree: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn init_free(globals: *mut NET_DRIVER_GLOBALS, init: PNETADAPTER_INIT) {
    const FUNCTION: &str = "NetAdapterInitFree";
    enter(FUNCTION, globals, Irql::PASSIVE);
    get_ptr::<AdapterInit, _>(init, FUNCTION);
    object::delete(Handle::from_raw(init as u64));
}

/// NetAdapterInitSetDatapathCallbacks: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn set_datapath_callbacks(
    globals: *mut NET_DRIVER_GLOBALS,
    init: PNETADAPTER_INIT,
    callbacks: *mut NET_ADAPTER_DATAPATH_CALLBACKS,
) {
    const FUNCTION: &str = "NetAdapterInitSetDatapathCallbacks";
    enter(FUNCTION, globals, Irql::PASSIVE);
    require_not_null(FUNCTION, callbacks);
    let init = get_ptr::<AdapterInit, _>(init, FUNCTION);
    // SAFETY: checked for NULL; the structure is the driver's.
    let callbacks = unsafe { *callbacks };
    require_size(FUNCTION, callbacks.Size, size_of::<NET_ADAPTER_DATAPATH_CALLBACKS>());
    if callbacks.EvtAdapterCreateTxQueue.is_none() || callbacks.EvtAdapterCreateRxQueue.is_none() {
        violation(
            38,
            "InvalidDatapathCallbacks",
            0,
            0,
            format!("{FUNCTION}: a create-queue callback is missing"),
        );
    }
    init.callbacks.with(|slot| *slot = Some(callbacks));
}

/// NetAdapterCreate: PASSIVE_LEVEL. The init structure stays the driver's to free.
pub(crate) unsafe extern "win64" fn create(
    globals: *mut NET_DRIVER_GLOBALS,
    init: PNETADAPTER_INIT,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    adapter: *mut NETADAPTER,
) -> NTSTATUS {
    const FUNCTION: &str = "NetAdapterCreate";
    enter(FUNCTION, globals, Irql::PASSIVE);
    let init = get_ptr::<AdapterInit, _>(init, FUNCTION);
    if init.used.swap(true, Relaxed) {
        violation(40, "AdapterInitAlreadyUsed", 0, 0, FUNCTION.into());
    }
    let attributes = match Attributes::read(attributes, FUNCTION) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if attributes.parent().is_some() {
        violation(23, "ParentObjectNotNull", 0, 0, FUNCTION.into());
    }
    let Some(callbacks) = init.callbacks.with(|slot| *slot) else {
        violation(38, "InvalidDatapathCallbacks", 0, 0, format!("{FUNCTION}: no datapath callbacks"));
    };
    if current().is_some() {
        trace::not_offered("a second adapter");
    }
    if fault::strikes(object::owner(init.device, FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = Adapter {
        callbacks,
        capabilities: IrqLock::new(None),
        filtering: IrqLock::new(None),
        link_layer: AtomicBool::new(false),
        mtu: AtomicU32::new(0),
        permanent: IrqLock::new(None),
        current: IrqLock::new(None),
        started: AtomicBool::new(false),
        connected: AtomicBool::new(false),
    };
    let handle = object::create(FUNCTION, Arc::new(made), Some(Handle::from_raw(init.device)), attributes);
    HANDLE.store(handle.raw(), Relaxed);
    // SAFETY: the driver passes the place for its handle.
    unsafe { *adapter = handle.raw() as NETADAPTER };
    STATUS_SUCCESS
}

/// The adapter, not yet started: else code 3.
fn before_start(function: &str, adapter: NETADAPTER) -> Arc<Adapter> {
    let adapter = get_ptr::<Adapter, _>(adapter, function);
    if adapter.started.load(Relaxed) {
        violation(3, "AdapterAlreadyStarted", 0, 0, function.into());
    }
    adapter
}

/// NetAdapterSetLinkLayerCapabilities: PASSIVE_LEVEL, before the start.
pub(crate) unsafe extern "win64" fn set_link_layer_capabilities(
    globals: *mut NET_DRIVER_GLOBALS,
    adapter: NETADAPTER,
    capabilities: *mut NET_ADAPTER_LINK_LAYER_CAPABILITIES,
) {
    const FUNCTION: &str = "NetAdapterSetLinkLayerCapabilities";
    enter(FUNCTION, globals, Irql::PASSIVE);
    let adapter = before_start(FUNCTION, adapter);
    require_not_null(FUNCTION, capabilities);
    // SAFETY: checked for NULL.
    require_size(FUNCTION, unsafe { (*capabilities).Size }, size_of::<NET_ADAPTER_LINK_LAYER_CAPABILITIES>());
    adapter.link_layer.store(true, Relaxed);
}

/// NetAdapterSetReceiveFilterCapabilities: PASSIVE_LEVEL, before the start. Codes 11 and 12.
pub(crate) unsafe extern "win64" fn set_receive_filter_capabilities(
    globals: *mut NET_DRIVER_GLOBALS,
    adapter: NETADAPTER,
    capabilities: *const NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES,
) {
    const FUNCTION: &str = "NetAdapterSetReceiveFilterCapabilities";
    enter(FUNCTION, globals, Irql::PASSIVE);
    require_not_null(FUNCTION, capabilities);
    // SAFETY: checked for NULL.
    let given = unsafe { *capabilities };
    require_size(FUNCTION, given.Size, size_of::<NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES>());
    let adapter = before_start(FUNCTION, adapter);
    let (flags, addresses) = (given.SupportedPacketFilters, given.MaximumMulticastAddresses);
    if let Err(wrong) = receive_filter::check(flags, addresses, given.EvtSetReceiveFilter.is_some()) {
        let (code, rule) = wrong.code();
        let place = format!("{FUNCTION}: {wrong:?}: filters {flags:#x}, {addresses} multicast addresses");
        violation(code, rule, flags as u64, addresses as u64, place);
    }
    let offered =
        Filtering { supported: flags, multicast_addresses: addresses, callback: given.EvtSetReceiveFilter };
    adapter.filtering.with(|slot| *slot = Some(offered));
}

/// What a NETRECEIVEFILTER stands for; code 13 on another thread than that of EvtSetReceiveFilter.
fn handed<'a>(function: &str, filter: NETRECEIVEFILTER) -> &'a Handed {
    require_not_null(function, filter);
    // SAFETY: checked for NULL; the driver passes the handle that its running EvtSetReceiveFilter was given.
    let filter = unsafe { &*filter.cast::<Handed>() };
    if filter.thread != crate::ke::current_thread() {
        violation(13, "SetReceiveFilterFromWrongThread", 0, 0, function.into());
    }
    filter
}

/// NetReceiveFilterGetPacketFilter: up to DISPATCH_LEVEL, in EvtSetReceiveFilter.
pub(crate) unsafe extern "win64" fn packet_filter(
    globals: *mut NET_DRIVER_GLOBALS,
    filter: NETRECEIVEFILTER,
) -> NET_PACKET_FILTER_FLAGS {
    const FUNCTION: &str = "NetReceiveFilterGetPacketFilter";
    enter(FUNCTION, globals, Irql::DISPATCH);
    handed(FUNCTION, filter).flags
}

/// NetReceiveFilterGetMulticastAddressCount: up to DISPATCH_LEVEL, in EvtSetReceiveFilter.
pub(crate) unsafe extern "win64" fn multicast_count(
    globals: *mut NET_DRIVER_GLOBALS,
    filter: NETRECEIVEFILTER,
) -> usize {
    const FUNCTION: &str = "NetReceiveFilterGetMulticastAddressCount";
    enter(FUNCTION, globals, Irql::DISPATCH);
    handed(FUNCTION, filter).multicast.len()
}

/// NetReceiveFilterGetMulticastAddressList: up to DISPATCH_LEVEL, in EvtSetReceiveFilter. NULL for an empty list.
pub(crate) unsafe extern "win64" fn multicast_list(
    globals: *mut NET_DRIVER_GLOBALS,
    filter: NETRECEIVEFILTER,
) -> *const NET_ADAPTER_LINK_LAYER_ADDRESS {
    const FUNCTION: &str = "NetReceiveFilterGetMulticastAddressList";
    enter(FUNCTION, globals, Irql::DISPATCH);
    let list = &handed(FUNCTION, filter).multicast;
    if list.is_empty() { core::ptr::null() } else { list.as_ptr() }
}

/// NetAdapterSetLinkLayerMtuSize: PASSIVE_LEVEL, any time.
pub(crate) unsafe extern "win64" fn set_mtu(globals: *mut NET_DRIVER_GLOBALS, adapter: NETADAPTER, mtu: u32) {
    const FUNCTION: &str = "NetAdapterSetLinkLayerMtuSize";
    enter(FUNCTION, globals, Irql::PASSIVE);
    let adapter = get_ptr::<Adapter, _>(adapter, FUNCTION);
    if mtu == 0 {
        violation(19, "MtuMustBeGreaterThanZero", 0, 0, FUNCTION.into());
    }
    adapter.mtu.store(mtu, Relaxed);
}

fn require_dma(function: &str, code: u64, rule: &str, dma: *const NET_ADAPTER_DMA_CAPABILITIES) {
    // SAFETY: the driver passes NULL or its structure.
    let Some(dma) = (unsafe { dma.as_ref() }) else {
        violation(code, rule, 0, 1, format!("{function}: DmaMapped without DmaCapabilities"));
    };
    require_size(function, dma.Size, size_of::<NET_ADAPTER_DMA_CAPABILITIES>());
    if dma.DmaEnabler.is_null() {
        violation(code, rule, 0, 1, format!("{function}: DmaMapped without a DMA enabler"));
    }
    if !get_ptr::<dma::Enabler, _>(dma.DmaEnabler, function).version3 {
        violation(code, rule, 0, 2, format!("{function}: the DMA enabler does not use DMA version 3"));
    }
}

/// NetAdapterSetDataPathCapabilities: PASSIVE_LEVEL, before the start. Codes 26, 32 and 33.
pub(crate) unsafe extern "win64" fn set_datapath_capabilities(
    globals: *mut NET_DRIVER_GLOBALS,
    adapter: NETADAPTER,
    tx: *mut NET_ADAPTER_TX_CAPABILITIES,
    rx: *mut NET_ADAPTER_RX_CAPABILITIES,
) {
    const FUNCTION: &str = "NetAdapterSetDataPathCapabilities";
    const TX: &str = "InvalidTxCapabilities";
    const RX: &str = "InvalidRxCapabilities";
    enter(FUNCTION, globals, Irql::PASSIVE);
    let adapter = before_start(FUNCTION, adapter);
    require_not_null(FUNCTION, tx);
    require_not_null(FUNCTION, rx);
    // SAFETY: checked for NULL; the structures are the driver's.
    let (tx, rx) = unsafe { (*tx, *rx) };
    require_size(FUNCTION, tx.Size, size_of::<NET_ADAPTER_TX_CAPABILITIES>());
    require_size(FUNCTION, rx.Size, size_of::<NET_ADAPTER_RX_CAPABILITIES>());
    if tx.MappingRequirement == NetMemoryMappingRequirementDmaMapped {
        require_dma(FUNCTION, 32, TX, tx.DmaCapabilities);
    } else {
        trace::not_offered("Tx capabilities that are not DmaMapped");
    }
    if tx.MaximumNumberOfQueues == 0 {
        violation(32, TX, 0, 3, format!("{FUNCTION}: MaximumNumberOfQueues is 0"));
    }
    if !tx.FragmentBufferAlignment.is_power_of_two() {
        violation(32, TX, tx.FragmentBufferAlignment, 4, format!("{FUNCTION}: FragmentBufferAlignment"));
    }
    if tx.FragmentBufferAlignment != 1 || tx.PayloadBackfill != 0 {
        trace::not_offered("Tx FragmentBufferAlignment or PayloadBackfill");
    }
    for (hint, which) in
        [(tx.FragmentRingNumberOfElementsHint, "Tx"), (rx.FragmentRingNumberOfElementsHint, "Rx")]
    {
        if hint != 0 && !hint.is_power_of_two() {
            let place = format!("{FUNCTION}: {which} FragmentRingNumberOfElementsHint");
            violation(26, "NotPowerOfTwo", hint.into(), 5, place);
        }
    }
    if rx.AllocationMode != NetRxFragmentBufferAllocationModeSystem
        || rx.AttachmentMode != NetRxFragmentBufferAttachmentModeSystem
    {
        trace::not_offered("receive buffers that the driver allocates or attaches");
    }
    // SAFETY: System/System: the union holds the system buffers' form.
    let system = unsafe { rx.u.System };
    if system.MappingRequirement == NetMemoryMappingRequirementDmaMapped {
        require_dma(FUNCTION, 33, RX, system.DmaCapabilities);
    }
    if rx.MaximumNumberOfQueues == 0 {
        violation(33, RX, 0, 3, format!("{FUNCTION}: MaximumNumberOfQueues is 0"));
    }
    if !system.FragmentBufferAlignment.is_power_of_two() {
        violation(
            26,
            "NotPowerOfTwo",
            system.FragmentBufferAlignment,
            4,
            format!("{FUNCTION}: Rx FragmentBufferAlignment"),
        );
    }
    let capabilities = Capabilities {
        tx_ring_hint: tx.FragmentRingNumberOfElementsHint,
        tx_fragments: tx.MaximumNumberOfFragments,
        rx_frame: rx.MaximumFrameSize,
    };
    adapter.capabilities.with(|slot| *slot = Some(capabilities));
}

/// NetAdapterSetLinkState: up to DISPATCH_LEVEL, any time. Code 14.
pub(crate) unsafe extern "win64" fn set_link_state(
    globals: *mut NET_DRIVER_GLOBALS,
    adapter: NETADAPTER,
    state: *mut NET_ADAPTER_LINK_STATE,
) {
    const FUNCTION: &str = "NetAdapterSetLinkState";
    enter(FUNCTION, globals, Irql::DISPATCH);
    let adapter = get_ptr::<Adapter, _>(adapter, FUNCTION);
    require_not_null(FUNCTION, state);
    // SAFETY: checked for NULL.
    let state = unsafe { *state };
    require_size(FUNCTION, state.Size, size_of::<NET_ADAPTER_LINK_STATE>());
    let fields = [
        (!(0..=2).contains(&state.MediaConnectState), state.MediaConnectState),
        (!(0..=2).contains(&state.MediaDuplexState), state.MediaDuplexState),
        (!(0..=4).contains(&state.SupportedPauseFunctions), state.SupportedPauseFunctions),
        (state.AutoNegotiationFlags & !0x1f != 0, state.AutoNegotiationFlags),
    ];
    if let Some(field) = fields.iter().position(|field| field.0) {
        violation(14, "InvalidLinkState", field as u64, fields[field].1 as u64, FUNCTION.into());
    }
    adapter.connected.store(state.MediaConnectState == 1, Relaxed);
    if let Some(above) = overlying::get() {
        above.link(state.MediaConnectState == 1);
    }
    trace::note("device", if state.MediaConnectState == 1 { "link up" } else { "link down" });
}

fn address(function: &str, address: *const NET_ADAPTER_LINK_LAYER_ADDRESS) -> NET_ADAPTER_LINK_LAYER_ADDRESS {
    require_not_null(function, address);
    // SAFETY: checked for NULL.
    let address = unsafe { *address };
    if address.Length > 32 {
        violation(10, "InvalidLinkLayerAddress", address.Length.into(), 0, function.into());
    }
    address
}

/// NetAdapterSetPermanentLinkLayerAddress: PASSIVE_LEVEL, before the start.
pub(crate) unsafe extern "win64" fn set_permanent_address(
    globals: *mut NET_DRIVER_GLOBALS,
    adapter: NETADAPTER,
    given: *mut NET_ADAPTER_LINK_LAYER_ADDRESS,
) {
    const FUNCTION: &str = "NetAdapterSetPermanentLinkLayerAddress";
    enter(FUNCTION, globals, Irql::PASSIVE);
    let adapter = before_start(FUNCTION, adapter);
    let given = address(FUNCTION, given);
    adapter.permanent.with(|slot| *slot = Some(given));
}

/// NetAdapterSetCurrentLinkLayerAddress: PASSIVE_LEVEL, any time.
pub(crate) unsafe extern "win64" fn set_current_address(
    globals: *mut NET_DRIVER_GLOBALS,
    adapter: NETADAPTER,
    given: *mut NET_ADAPTER_LINK_LAYER_ADDRESS,
) {
    const FUNCTION: &str = "NetAdapterSetCurrentLinkLayerAddress";
    enter(FUNCTION, globals, Irql::PASSIVE);
    let adapter = get_ptr::<Adapter, _>(adapter, FUNCTION);
    let given = address(FUNCTION, given);
    adapter.current.with(|slot| *slot = Some(given));
}

/// NetAdapterStart: PASSIVE_LEVEL, from EvtDevicePrepareHardware on.
pub(crate) unsafe extern "win64" fn start(globals: *mut NET_DRIVER_GLOBALS, handle: NETADAPTER) -> NTSTATUS {
    const FUNCTION: &str = "NetAdapterStart";
    enter(FUNCTION, globals, Irql::PASSIVE);
    let adapter = before_start(FUNCTION, handle);
    if device().is_none_or(|device| device.bus.stage() < Stage::Preparing) {
        return STATUS_INVALID_DEVICE_REQUEST;
    }
    let lengths = (
        adapter.permanent.with(|address| address.map(|address| address.Length)),
        adapter.current.with(|address| address.map(|address| address.Length)),
    );
    let missing = [
        (adapter.capabilities.with(|slot| slot.is_none()), "datapath capabilities"),
        (!adapter.link_layer.load(Relaxed), "link layer capabilities"),
        (adapter.mtu.load(Relaxed) == 0, "MTU"),
        (lengths.0.zip(lengths.1).is_some_and(|(a, b)| a != b), "matching address lengths"),
    ];
    if let Some((_, what)) = missing.iter().find(|missing| missing.0) {
        crate::log!("{FUNCTION}: {what} missing");
        return STATUS_INVALID_PARAMETER;
    }
    if fault::strikes(object::owner(handle as u64, FUNCTION), FUNCTION) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    adapter.started.store(true, Relaxed);
    STATUS_SUCCESS
}

/// NetAdapterStop: PASSIVE_LEVEL.
pub(crate) unsafe extern "win64" fn stop(globals: *mut NET_DRIVER_GLOBALS, adapter: NETADAPTER) {
    const FUNCTION: &str = "NetAdapterStop";
    enter(FUNCTION, globals, Irql::PASSIVE);
    let adapter = get_ptr::<Adapter, _>(adapter, FUNCTION);
    if let Some(above) = overlying::get() {
        above.stops();
    }
    adapter.started.store(false, Relaxed);
    if super::require::client_is_2_2() {
        return;
    }
    // before 2.2 the framework forgets the capabilities
    adapter.capabilities.with(|slot| *slot = None);
    adapter.filtering.with(|slot| *slot = None);
    adapter.link_layer.store(false, Relaxed);
}
