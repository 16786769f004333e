//! The driver of the device: its adapter, its queues, its binding to the class extension.

use super::hardware::*;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Irql, lower, raise};
use crate::translator::datapath;
use crate::twin::driver::{Driver, made, wide};
use crate::wdf::{binding, device, dma};
use core::mem::{transmute, zeroed};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};
use netadaptercx_sys::*;
use std::vec::Vec;
use wdk_offline::loader::{WDF_CLASS_BIND_INFO, WDF_VERSION};
use wdk_offline::*;

pub(super) fn extension(tx: bool, queue: NETPACKETQUEUE) -> (usize, usize) {
    let name = if does(Does::AsksForAStrangeExtension) {
        wide("ms_fragment_strange")
    } else {
        NET_FRAGMENT_EXTENSION_VIRTUAL_ADDRESS_NAME.as_ptr()
    };
    let query = NET_EXTENSION_QUERY {
        Size: size_of::<NET_EXTENSION_QUERY>() as u32,
        Name: name,
        Version: 1,
        Type: NetExtensionTypeFragment,
    };
    let mut answer = NET_EXTENSION::absent();
    if tx {
        net!(NetTxQueueGetExtension: PFN_NETTXQUEUEGETEXTENSION(queue, &raw const query, &raw mut answer));
    } else {
        net!(NetRxQueueGetExtension: PFN_NETRXQUEUEGETEXTENSION(queue, &raw const query, &raw mut answer));
    }
    assert!(answer.Enabled());
    (answer.Reserved[0].addr(), answer.Reserved[1].addr())
}

pub(super) fn keep(
    side: &IrqLock<Side>,
    queue: NETPACKETQUEUE,
    rings: *const NET_RING_COLLECTION,
    at: (usize, usize),
) {
    // SAFETY: the class extension's collection.
    let rings = unsafe { (*rings).Rings };
    side.with(|side| {
        side.queue = queue as u64;
        side.packets = rings[NetRingTypePacket] as usize;
        side.fragments = rings[NetRingTypeFragment] as usize;
        side.virtual_addresses = at;
    });
}

pub(super) unsafe extern "win64" fn create_tx(_adapter: NETADAPTER, init: PNETTXQUEUE_INIT) -> NTSTATUS {
    let cancel: PFN_PACKET_QUEUE_CANCEL = Some(tx_cancel);
    let mut config = NET_PACKET_QUEUE_CONFIG {
        EvtStart: Some(tx_start),
        EvtStop: Some(tx_stop),
        ..NET_PACKET_QUEUE_CONFIG_INIT(
            Some(tx_advance),
            Some(tx_arm),
            cancel.filter(|_| !does(Does::MakesAQueueWithoutCancel)),
        )
    };
    if does(Does::MakesNoQueue) {
        return STATUS_SUCCESS;
    }
    if does(Does::FailsToMakeAQueue) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    assert_eq!(net!(NetTxQueueInitGetQueueId: PFN_NETTXQUEUEINITGETQUEUEID(init)), 0);
    let mut queue = null_mut();
    for _ in 0..=u32::from(does(Does::MakesAQueueTwice)) {
        let status =
            net!(NetTxQueueCreate: PFN_NETTXQUEUECREATE(init, null_mut(), &raw mut config, &raw mut queue));
        assert_eq!(status, STATUS_SUCCESS);
    }
    if does(Does::MixesUpQueues) {
        net!(NetRxQueueGetRingCollection: PFN_NETRXQUEUEGETRINGCOLLECTION(queue));
    }
    let rings = net!(NetTxQueueGetRingCollection: PFN_NETTXQUEUEGETRINGCOLLECTION(queue));
    keep(&TX, queue, rings, extension(true, queue));
    STATUS_SUCCESS
}

pub(super) unsafe extern "win64" fn create_rx(_adapter: NETADAPTER, init: PNETRXQUEUE_INIT) -> NTSTATUS {
    let mut config = NET_PACKET_QUEUE_CONFIG {
        EvtStart: Some(rx_start),
        EvtStop: Some(rx_stop),
        ..NET_PACKET_QUEUE_CONFIG_INIT(Some(rx_advance), Some(rx_arm), Some(rx_cancel))
    };
    assert_eq!(net!(NetRxQueueInitGetQueueId: PFN_NETRXQUEUEINITGETQUEUEID(init)), 0);
    let mut queue = null_mut();
    let status =
        net!(NetRxQueueCreate: PFN_NETRXQUEUECREATE(init, null_mut(), &raw mut config, &raw mut queue));
    assert_eq!(status, STATUS_SUCCESS);
    let rings = net!(NetRxQueueGetRingCollection: PFN_NETRXQUEUEGETRINGCOLLECTION(queue));
    keep(&RX, queue, rings, extension(false, queue));
    STATUS_SUCCESS
}

/// The receive filters that the driver was told to set: flags and how many multicast addresses.
pub(super) static FILTERS: IrqLock<Vec<(i32, usize)>> = IrqLock::new(Vec::new());

pub(super) unsafe extern "win64" fn set_filter(_adapter: NETADAPTER, filter: NETRECEIVEFILTER) {
    let flags = net!(NetReceiveFilterGetPacketFilter: PFN_NETRECEIVEFILTERGETPACKETFILTER(filter));
    let count = net!(
        NetReceiveFilterGetMulticastAddressCount: PFN_NETRECEIVEFILTERGETMULTICASTADDRESSCOUNT(filter)
    );
    let list =
        net!(NetReceiveFilterGetMulticastAddressList: PFN_NETRECEIVEFILTERGETMULTICASTADDRESSLIST(filter));
    assert_eq!(list.is_null(), count == 0);
    FILTERS.with(|filters| filters.push((flags, count)));
}

pub(super) fn address(len: u16) -> NET_ADAPTER_LINK_LAYER_ADDRESS {
    let mut address = NET_ADAPTER_LINK_LAYER_ADDRESS { Length: len, Address: [0; 32] };
    address.Address[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    address
}

pub(super) fn set_data_path(device: WDFDEVICE) {
    let mut enabler = null_mut();
    let mut config = WDF_DMA_ENABLER_CONFIG {
        Size: size_of::<WDF_DMA_ENABLER_CONFIG>() as u32,
        Profile: 6,
        MaximumLength: 65536,
        WdmDmaVersionOverride: 3,
        // SAFETY: numbers and nullable function pointers.
        ..unsafe { zeroed() }
    };
    // SAFETY: KMDF checks the handle; the structures live meanwhile.
    let status =
        unsafe { dma::enabler_create(null_mut(), device, &raw mut config, null_mut(), &raw mut enabler) };
    assert_eq!(status, STATUS_SUCCESS);
    let mut capabilities = NET_ADAPTER_DMA_CAPABILITIES_INIT(enabler);
    let mut tx = NET_ADAPTER_TX_CAPABILITIES_INIT_FOR_DMA(&raw mut capabilities, 1);
    let mut rx = NET_ADAPTER_RX_CAPABILITIES_INIT_SYSTEM_MANAGED_DMA(&raw mut capabilities, 1514, 1);
    match DOES.with(|does| *does) {
        Does::OffersNoDma => tx.DmaCapabilities = null_mut(),
        Does::OffersNoQueues => rx.MaximumNumberOfQueues = 0,
        Does::HasAnOddHint => tx.FragmentRingNumberOfElementsHint = 3,
        Does::HasAnotherVersionsSize => rx.Size += 8,
        _ => {}
    }
    net!(NetAdapterSetDataPathCapabilities:
         PFN_NETADAPTERSETDATAPATHCAPABILITIES(adapter(), &raw mut tx, &raw mut rx));
}

pub(super) fn set_link(connected: bool) {
    let state = if connected { MediaConnectStateConnected } else { MediaConnectStateDisconnected };
    let mut state = NET_ADAPTER_LINK_STATE {
        MediaConnectState: if does(Does::LiesAboutTheLink) { 7 } else { state },
        ..NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED()
    };
    net!(NetAdapterSetLinkState: PFN_NETADAPTERSETLINKSTATE(adapter(), &raw mut state));
}

pub(super) unsafe extern "win64" fn prepare(
    device: WDFDEVICE,
    _raw: WDFCMRESLIST,
    _translated: WDFCMRESLIST,
) -> NTSTATUS {
    let mut link = NET_ADAPTER_LINK_LAYER_CAPABILITIES_INIT(1_000_000_000, 1_000_000_000);
    net!(NetAdapterSetLinkLayerCapabilities:
         PFN_NETADAPTERSETLINKLAYERCAPABILITIES(adapter(), &raw mut link));
    if !does(Does::StartsWithoutMtu) {
        let mtu = if does(Does::HasAnMtuOfNothing) { 0 } else { 1500 };
        net!(NetAdapterSetLinkLayerMtuSize: PFN_NETADAPTERSETLINKLAYERMTUSIZE(adapter(), mtu));
    }
    let mut own = address(if does(Does::HasALongAddress) { 33 } else { 6 });
    net!(NetAdapterSetPermanentLinkLayerAddress:
         PFN_NETADAPTERSETPERMANENTLINKLAYERADDRESS(adapter(), &raw mut own));
    net!(NetAdapterSetCurrentLinkLayerAddress:
         PFN_NETADAPTERSETCURRENTLINKLAYERADDRESS(adapter(), &raw mut own));
    let callback: PFN_NET_ADAPTER_SET_RECEIVE_FILTER = Some(set_filter);
    let mut filters = NET_ADAPTER_RECEIVE_FILTER_CAPABILITIES_INIT(
        callback.filter(|_| !does(Does::OffersFiltersWithoutCallback)),
    );
    filters.SupportedPacketFilters =
        NetPacketFilterFlagDirected | NetPacketFilterFlagMulticast | NetPacketFilterFlagBroadcast;
    filters.MaximumMulticastAddresses = 4;
    net!(NetAdapterSetReceiveFilterCapabilities:
         PFN_NETADAPTERSETRECEIVEFILTERCAPABILITIES(adapter(), &raw mut filters));
    set_data_path(device);
    set_link(true);
    let raised = does(Does::CallsAtDispatch).then(|| raise(Irql::DISPATCH));
    for _ in 0..u32::from(does(Does::StartsTwice)) {
        net!(NetAdapterStart: PFN_NETADAPTERSTART(adapter()));
    }
    let status = net!(NetAdapterStart: PFN_NETADAPTERSTART(adapter()));
    raised.into_iter().for_each(lower);
    status
}

pub(super) unsafe extern "win64" fn release(_device: WDFDEVICE, _translated: WDFCMRESLIST) -> NTSTATUS {
    net!(NetAdapterStop: PFN_NETADAPTERSTOP(adapter()));
    STATUS_SUCCESS
}

pub(super) unsafe extern "win64" fn device_add(_driver: WDFDRIVER, mut init: PWDFDEVICE_INIT) -> NTSTATUS {
    if does(Does::UsesAStrangersGlobals) {
        GLOBALS.store(0x1234, SeqCst);
    }
    if !does(Does::LeavesOutTheConfiguration) {
        assert_eq!(net!(NetDeviceInitConfig: PFN_NETDEVICEINITCONFIG(init)), STATUS_SUCCESS);
    }
    if does(Does::SetsCharacteristicsLate) {
        // SAFETY: KMDF checks what it is given.
        unsafe { device::set_characteristics(null_mut(), init, 0x100, 1) };
    }
    let mut callbacks = WDF_PNPPOWER_EVENT_CALLBACKS {
        Size: size_of::<WDF_PNPPOWER_EVENT_CALLBACKS>() as u32,
        EvtDevicePrepareHardware: Some(prepare),
        EvtDeviceReleaseHardware: Some(release),
        // SAFETY: nullable function pointers.
        ..unsafe { zeroed() }
    };
    let mut device = null_mut();
    // SAFETY: KMDF checks what it is given; the structures live meanwhile.
    unsafe {
        device::set_pnp_power_event_callbacks(null_mut(), init, &raw mut callbacks);
        let globals = KMDF.load(SeqCst) as *mut WDF_DRIVER_GLOBALS;
        let status = device::device_create(globals, &raw mut init, null_mut(), &raw mut device);
        assert_eq!(status, STATUS_SUCCESS);
    }
    made(device);
    let init = net!(NetAdapterInitAllocate: PFN_NETADAPTERINITALLOCATE(device));
    let mut callbacks = NET_ADAPTER_DATAPATH_CALLBACKS_INIT(Some(create_tx), Some(create_rx));
    if !does(Does::ForgetsTheCallbacks) {
        net!(NetAdapterInitSetDatapathCallbacks:
             PFN_NETADAPTERINITSETDATAPATHCALLBACKS(init, &raw mut callbacks));
    }
    let mut adapter = null_mut();
    for _ in 0..=u32::from(does(Does::CreatesTwoFromOneInit)) {
        let status = net!(NetAdapterCreate: PFN_NETADAPTERCREATE(init, null_mut(), &raw mut adapter));
        assert_eq!(status, STATUS_SUCCESS);
    }
    net!(NetAdapterInitFree: PFN_NETADAPTERINITFREE(init));
    ADAPTER.store(adapter as u64, SeqCst);
    STATUS_SUCCESS
}

pub(super) static KMDF: AtomicU64 = AtomicU64::new(0);

pub(super) fn bind_class(globals: *mut WDF_DRIVER_GLOBALS) {
    KMDF.store(globals as u64, SeqCst);
    let mut table = [0; NET_FUNCTION_COUNT];
    let mut net: u64 = 0;
    let mut class = WDF_CLASS_BIND_INFO {
        Size: size_of::<WDF_CLASS_BIND_INFO>() as u32,
        ClassName: wide("NetAdapterCx"),
        Version: WDF_VERSION { Major: 2, Minor: 1, Build: 0 },
        FunctionTable: (&raw mut table).cast(),
        FunctionTableCount: NET_FUNCTION_COUNT as u32,
        ClassBindInfo: (&raw mut net).cast(),
        ClientBindClass: null_mut(),
        ClientUnbindClass: null_mut(),
        ClassModule: null_mut(),
    };
    // SAFETY: what the loader's stub does, with structures that live meanwhile.
    let bound = unsafe { binding::version_bind_class(null_mut(), globals, &raw mut class) };
    assert_eq!(bound, STATUS_SUCCESS);
    TABLE.with(|slot| *slot = table);
    GLOBALS.store(net, SeqCst);
}

/// A driver whose device is there and not started.
pub(super) fn added(what: Does) -> Driver {
    crate::translator::start();
    DOES.with(|does| *does = what);
    Driver::add("nic", device_add, bind_class)
}

/// A driver whose data path runs.
pub(super) fn up(what: Does) -> Driver {
    let driver = added(what);
    driver.node.start().expect("the device starts");
    assert!(datapath::is_running());
    driver
}
