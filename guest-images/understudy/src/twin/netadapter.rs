//! NetAdapterCx and the translator: packets through the rings, the way down and up again, and what a driver must not do
//! (`driver/docs/netadaptercx.md`). The driver and its device are this file's.

use super::driver::{Driver, made, wide};
use super::machine::{on_a_machine, stops_with};
use super::orders;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Irql, delay_us, lower, raise, worker};
use crate::ndis::protocol::{self, Frames};
use crate::ndis::stack;
use crate::translator::datapath;
use crate::wdf::{device, dma, driver as kmdf};
use agent_protocol::{Ids, QueueReport};
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::mem::{transmute, zeroed};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use netadaptercx_sys::*;
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;
use understudy_rules::frame;
use wdk_offline::loader::{WDF_CLASS_BIND_INFO, WDF_VERSION};
use wdk_offline::*;

/// What the driver does wrong, or how it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// Everything as it has to be.
    Right,
    TakesFromBehindEnd,
    MovesEnd,
    WritesAFrameworkElement,
    WritesATxPacket,
    WritesATxFragment,
    KeepsTxFragments,
    MarksWhatItWasToIgnore,
    LeavesThePoison,
    NamesNoFragment,
    NamesOneTwice,
    NamesAFragmentThatItKeeps,
    IndicatesMoreThanTheBuffer,
    DamagesFrames,
    SpoilsAnIgnoredPacket,
    MakesNoQueue,
    FailsToMakeAQueue,
    MakesAQueueTwice,
    MakesAQueueWithoutCancel,
    StartsWithoutMtu,
    StartsTwice,
    OffersNoDma,
    OffersNoQueues,
    HasALongAddress,
    HasAnMtuOfNothing,
    HasAnOddHint,
    LiesAboutTheLink,
    OffersFiltersWithoutCallback,
    AsksForAStrangeExtension,
    MixesUpQueues,
    UsesAStrangersGlobals,
    CallsAtDispatch,
    LeavesOutTheConfiguration,
    ForgetsTheCallbacks,
    CreatesTwoFromOneInit,
    HasAnotherVersionsSize,
}

static DOES: IrqLock<Does> = IrqLock::new(Does::Right);

fn does(what: Does) -> bool {
    DOES.with(|does| *does == what)
}

/// The class extension's functions and the driver's globals there.
static TABLE: IrqLock<[usize; NET_FUNCTION_COUNT]> = IrqLock::new([0; NET_FUNCTION_COUNT]);
static GLOBALS: AtomicU64 = AtomicU64::new(0);
static ADAPTER: AtomicU64 = AtomicU64::new(0);

/// A function of the class extension's with the globals as its first argument.
macro_rules! net {
    ($function:ident: $type:ident ( $($argument:expr),* $(,)? )) => {{
        let address = TABLE.with(|table| table[index::$function]);
        let globals = GLOBALS.load(SeqCst) as *mut NET_DRIVER_GLOBALS;
        // SAFETY: the table holds functions of these types; the class extension checks what it is given.
        unsafe { transmute::<usize, $type>(address).expect("it is offered")(globals, $($argument),*) }
    }};
}

fn adapter() -> NETADAPTER {
    ADAPTER.load(SeqCst) as NETADAPTER
}

/// One direction of the device, as its driver sees it.
struct Side {
    queue: u64,
    packets: usize,
    fragments: usize,
    virtual_addresses: (usize, usize),
    armed: bool,
    /// Completions that the driver has not taken yet.
    done: u32,
    /// What came from the wire.
    frames: VecDeque<Vec<u8>>,
    /// Calls of the callbacks.
    calls: Vec<&'static str>,
}

impl Side {
    const fn new() -> Self {
        Self {
            queue: 0,
            packets: 0,
            fragments: 0,
            virtual_addresses: (0, 0),
            armed: false,
            done: 0,
            frames: VecDeque::new(),
            calls: Vec::new(),
        }
    }

    fn packets(&self) -> Ring {
        Ring(self.packets as *mut NET_RING)
    }

    fn fragments(&self) -> Ring {
        Ring(self.fragments as *mut NET_RING)
    }

    /// Changes a packet.
    fn packet<R>(&self, index: u32, change: impl FnOnce(&mut NET_PACKET) -> R) -> R {
        self.packets().element(index, change)
    }

    /// Changes a fragment.
    fn fragment<R>(&self, index: u32, change: impl FnOnce(&mut NET_FRAGMENT) -> R) -> R {
        self.fragments().element(index, change)
    }

    fn buffer(&self, index: u32) -> *mut u8 {
        let (base, stride) = self.virtual_addresses;
        // SAFETY: the fragment's extension.
        unsafe { *((base + stride * index as usize) as *const *mut u8) }
    }

    /// Gives packets from BeginIndex on back, each after a look at it.
    fn give_back(&self, count: u32, mut before: impl FnMut(&mut NET_PACKET)) {
        for _ in 0..count {
            let by = self.packet(self.packets().begin(), |packet| {
                before(packet);
                if packet.Ignore() { 0 } else { u32::from(packet.FragmentCount) }
            });
            if !does(Does::KeepsTxFragments) {
                self.fragments().advance(by);
            }
            self.packets().advance(1);
        }
    }
}

/// A ring of the class extension's, which lives as long as its queue, whose callbacks take turns.
#[derive(Clone, Copy)]
struct Ring(*mut NET_RING);

impl Ring {
    fn begin(self) -> u32 {
        // SAFETY: the ring lives; so for all below.
        unsafe { (*self.0).BeginIndex }
    }

    fn end(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).EndIndex }
    }

    /// From BeginIndex up to NextIndex.
    fn posted(self) -> u32 {
        // SAFETY: as above.
        unsafe { (*self.0).NextIndex.wrapping_sub(self.begin()) & (*self.0).ElementIndexMask }
    }

    /// From BeginIndex up to EndIndex.
    fn held(self) -> u32 {
        // SAFETY: as above.
        unsafe { self.end().wrapping_sub(self.begin()) & (*self.0).ElementIndexMask }
    }

    /// All is posted.
    fn post_all(self) {
        // SAFETY: as above.
        unsafe { (*self.0).NextIndex = self.end() };
    }

    /// BeginIndex goes on.
    fn advance(self, by: u32) {
        // SAFETY: as above.
        unsafe { (*self.0).BeginIndex = self.begin().wrapping_add(by) & (*self.0).ElementIndexMask };
    }

    fn element<E, R>(self, index: u32, change: impl FnOnce(&mut E) -> R) -> R {
        // SAFETY: as above, and its elements are of that type.
        change(unsafe { &mut *NetRingGetElementAtIndex(self.0, index).cast() })
    }
}

static TX: IrqLock<Side> = IrqLock::new(Side::new());
static RX: IrqLock<Side> = IrqLock::new(Side::new());
/// The device sends what it is given at once.
static FAST: AtomicBool = AtomicBool::new(true);

unsafe extern "win64" fn tx_advance(_queue: NETPACKETQUEUE) {
    TX.with(|tx| {
        tx.calls.push("EvtAdvance");
        let ring = tx.packets();
        ring.post_all();
        let posted = ring.posted();
        let back = if FAST.load(SeqCst) { posted } else { core::mem::take(&mut tx.done).min(posted) };
        match DOES.with(|does| *does) {
            Does::TakesFromBehindEnd => ring.advance(ring.held() + 1),
            // SAFETY: the ring lives.
            Does::MovesEnd => unsafe { (*ring.0).EndIndex += 1 },
            Does::WritesAFrameworkElement => tx.packet(ring.end(), |packet| packet.FragmentCount = 9),
            Does::WritesATxPacket => tx.packet(ring.begin(), |packet| packet.FragmentCount += 1),
            Does::WritesATxFragment => {
                tx.fragment(tx.fragments().begin(), |fragment| fragment.set_ValidLength(1));
            }
            _ => tx.give_back(back, |packet| {
                if packet.Ignore() && does(Does::MarksWhatItWasToIgnore) {
                    packet.set_Scratch(true);
                }
            }),
        }
    });
}

unsafe extern "win64" fn tx_cancel(_queue: NETPACKETQUEUE) {
    TX.with(|tx| {
        tx.calls.push("EvtCancel");
        let ring = tx.packets();
        let (held, posted) = (ring.held(), ring.posted());
        let mut at = 0;
        tx.give_back(held, |packet| {
            if !packet.Ignore() {
                packet.set_Scratch(true);
                tx.fragment(packet.FragmentIndex, |first| first.set_Scratch(at < posted));
            }
            at += 1;
        });
        ring.post_all();
    });
}

/// What is wrong with a frame that the driver indicates.
fn spoil(rx: &Side, index: u32, packet: &mut NET_PACKET) {
    let first = packet.FragmentIndex;
    match DOES.with(|does| *does) {
        Does::LeavesThePoison => packet.FragmentIndex = u32::MAX,
        Does::NamesNoFragment => packet.FragmentCount = 0,
        Does::NamesOneTwice => packet.FragmentIndex = first.saturating_sub(index.min(1)),
        Does::NamesAFragmentThatItKeeps => packet.FragmentIndex = first + 5,
        Does::IndicatesMoreThanTheBuffer => {
            rx.fragment(first, |fragment| fragment.set_ValidLength(fragment.Capacity() + 1));
        }
        // SAFETY: the buffer is the driver's.
        Does::DamagesFrames => unsafe { *rx.buffer(first).add(50) ^= 1 },
        _ => {}
    }
}

unsafe extern "win64" fn rx_advance(_queue: NETPACKETQUEUE) {
    RX.with(|rx| {
        rx.calls.push("EvtAdvance");
        let (packets, fragments) = (rx.packets(), rx.fragments());
        packets.post_all();
        for step in 0..(rx.frames.len() as u32).min(packets.held()) {
            let Some(frame) = rx.frames.pop_front() else { break };
            let first = fragments.begin();
            // SAFETY: a buffer of 1514 bytes or more that the device owns.
            unsafe { core::ptr::copy_nonoverlapping(frame.as_ptr(), rx.buffer(first), frame.len()) };
            rx.fragment(first, |fragment| {
                fragment.set_ValidLength(frame.len() as u32);
                fragment.set_Offset(0);
            });
            rx.packet(packets.begin(), |packet| {
                packet.FragmentIndex = first;
                packet.FragmentCount = 1;
                packet.Layout = NET_PACKET_LAYOUT::default();
                packet.set_Ignore(false);
                spoil(rx, step, packet);
            });
            fragments.advance(1);
            packets.advance(1);
        }
    });
}

unsafe extern "win64" fn rx_cancel(_queue: NETPACKETQUEUE) {
    RX.with(|rx| {
        rx.calls.push("EvtCancel");
        let (packets, fragments) = (rx.packets(), rx.fragments());
        LATE.store(rx.buffer(fragments.begin()) as u64, SeqCst);
        for _ in 0..packets.held() {
            rx.packet(packets.begin(), |packet| {
                packet.set_Ignore(true);
                if does(Does::SpoilsAnIgnoredPacket) {
                    packet.FragmentCount = 3;
                }
            });
            packets.advance(1);
        }
        fragments.advance(fragments.held());
        packets.post_all();
    });
}

/// A receive buffer that the driver has given back.
static LATE: AtomicU64 = AtomicU64::new(0);

unsafe extern "win64" fn rx_stop(_queue: NETPACKETQUEUE) {
    RX.with(|rx| {
        rx.calls.push("EvtStop");
        rx.armed = false;
    });
}

unsafe extern "win64" fn tx_stop(_queue: NETPACKETQUEUE) {
    TX.with(|tx| {
        tx.calls.push("EvtStop");
        (tx.armed, tx.done) = (false, 0);
    });
}

unsafe extern "win64" fn tx_start(_queue: NETPACKETQUEUE) {
    TX.with(|tx| tx.calls.push("EvtStart"));
}

unsafe extern "win64" fn rx_start(_queue: NETPACKETQUEUE) {
    RX.with(|rx| rx.calls.push("EvtStart"));
}

unsafe extern "win64" fn tx_arm(queue: NETPACKETQUEUE, _enabled: u8) {
    let due = TX.with(|tx| {
        tx.armed = tx.done == 0;
        !tx.armed
    });
    if due {
        net!(NetTxQueueNotifyMoreCompletedPacketsAvailable:
             PFN_NETTXQUEUENOTIFYMORECOMPLETEDPACKETSAVAILABLE(queue));
    }
}

unsafe extern "win64" fn rx_arm(queue: NETPACKETQUEUE, _enabled: u8) {
    let due = RX.with(|rx| {
        rx.armed = rx.frames.is_empty();
        !rx.armed
    });
    if due {
        net!(NetRxQueueNotifyMoreReceivedPacketsAvailable: PFN_NETRXQUEUENOTIFYMORERECEIVEDPACKETSAVAILABLE(queue));
    }
}

/// The device has sent so many packets.
fn device_sends(count: u32) {
    TX.with(|tx| {
        tx.done += count;
        if core::mem::take(&mut tx.armed) {
            net!(NetTxQueueNotifyMoreCompletedPacketsAvailable:
                 PFN_NETTXQUEUENOTIFYMORECOMPLETEDPACKETSAVAILABLE(tx.queue as NETPACKETQUEUE));
        }
    });
}

/// Frames of those numbers come from the wire, and are seen to.
fn wire_brings(numbers: core::ops::Range<u64>) {
    frames_come(numbers);
    delay_us(1000);
}

/// Frames of those numbers come from the wire.
fn frames_come(numbers: core::ops::Range<u64>) {
    RX.with(|rx| {
        rx.frames.extend(numbers.map(|number| frame::build(number, 200, [2, 0, 0, 0, 0, 9])));
        if core::mem::take(&mut rx.armed) {
            net!(NetRxQueueNotifyMoreReceivedPacketsAvailable:
                 PFN_NETRXQUEUENOTIFYMORERECEIVEDPACKETSAVAILABLE(rx.queue as NETPACKETQUEUE));
        }
    });
}

fn extension(tx: bool, queue: NETPACKETQUEUE) -> (usize, usize) {
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

fn keep(side: &IrqLock<Side>, queue: NETPACKETQUEUE, rings: *const NET_RING_COLLECTION, at: (usize, usize)) {
    // SAFETY: the class extension's collection.
    let rings = unsafe { (*rings).Rings };
    side.with(|side| {
        side.queue = queue as u64;
        side.packets = rings[NetRingTypePacket] as usize;
        side.fragments = rings[NetRingTypeFragment] as usize;
        side.virtual_addresses = at;
    });
}

unsafe extern "win64" fn create_tx(_adapter: NETADAPTER, init: PNETTXQUEUE_INIT) -> NTSTATUS {
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

unsafe extern "win64" fn create_rx(_adapter: NETADAPTER, init: PNETRXQUEUE_INIT) -> NTSTATUS {
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
static FILTERS: IrqLock<Vec<(i32, usize)>> = IrqLock::new(Vec::new());

unsafe extern "win64" fn set_filter(_adapter: NETADAPTER, filter: NETRECEIVEFILTER) {
    let flags = net!(NetReceiveFilterGetPacketFilter: PFN_NETRECEIVEFILTERGETPACKETFILTER(filter));
    let count = net!(
        NetReceiveFilterGetMulticastAddressCount: PFN_NETRECEIVEFILTERGETMULTICASTADDRESSCOUNT(filter)
    );
    let list =
        net!(NetReceiveFilterGetMulticastAddressList: PFN_NETRECEIVEFILTERGETMULTICASTADDRESSLIST(filter));
    assert_eq!(list.is_null(), count == 0);
    FILTERS.with(|filters| filters.push((flags, count)));
}

fn address(len: u16) -> NET_ADAPTER_LINK_LAYER_ADDRESS {
    let mut address = NET_ADAPTER_LINK_LAYER_ADDRESS { Length: len, Address: [0; 32] };
    address.Address[..6].copy_from_slice(&[2, 0, 0, 0, 0, 1]);
    address
}

fn set_data_path(device: WDFDEVICE) {
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

fn set_link(connected: bool) {
    let state = if connected { MediaConnectStateConnected } else { MediaConnectStateDisconnected };
    let mut state = NET_ADAPTER_LINK_STATE {
        MediaConnectState: if does(Does::LiesAboutTheLink) { 7 } else { state },
        ..NET_ADAPTER_LINK_STATE_INIT_DISCONNECTED()
    };
    net!(NetAdapterSetLinkState: PFN_NETADAPTERSETLINKSTATE(adapter(), &raw mut state));
}

unsafe extern "win64" fn prepare(
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

unsafe extern "win64" fn release(_device: WDFDEVICE, _translated: WDFCMRESLIST) -> NTSTATUS {
    net!(NetAdapterStop: PFN_NETADAPTERSTOP(adapter()));
    STATUS_SUCCESS
}

unsafe extern "win64" fn device_add(_driver: WDFDRIVER, mut init: PWDFDEVICE_INIT) -> NTSTATUS {
    if does(Does::UsesAStrangersGlobals) {
        GLOBALS.store(0x1234, SeqCst);
    }
    if !does(Does::LeavesOutTheConfiguration) {
        assert_eq!(net!(NetDeviceInitConfig: PFN_NETDEVICEINITCONFIG(init)), STATUS_SUCCESS);
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

static KMDF: AtomicU64 = AtomicU64::new(0);

fn bind_class(globals: *mut WDF_DRIVER_GLOBALS) {
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
    let bound = unsafe { kmdf::version_bind_class(null_mut(), globals, &raw mut class) };
    assert_eq!(bound, STATUS_SUCCESS);
    TABLE.with(|slot| *slot = table);
    GLOBALS.store(net, SeqCst);
}

/// A driver whose device is there and not started.
fn added(what: Does) -> Driver {
    crate::translator::start();
    DOES.with(|does| *does = what);
    Driver::add("nic", device_add, bind_class)
}

/// A driver whose data path runs.
fn up(what: Does) -> Driver {
    let driver = added(what);
    driver.node.start().expect("the device starts");
    assert!(datapath::is_running());
    driver
}

fn send_frames(first: u64, count: u32, len: usize) {
    protocol::send(Frames { first, count, len, parts: 2, cancel_id: 0 }).expect("the protocol sends");
    delay_us(1000);
}

/// How the protocol's frames ended: success, aborted, paused, failed, outstanding.
fn account() -> [usize; 5] {
    let report = protocol::report();
    [report.success, report.aborted, report.paused, report.failed, report.outstanding]
        .map(|ids| ids.iter().count())
}

fn report(queue: usize) -> QueueReport {
    datapath::report().swap_remove(queue)
}

fn count(ids: &Ids) -> usize {
    ids.iter().count()
}

fn calls(side: &IrqLock<Side>) -> Vec<&'static str> {
    let mut calls = side.with(|side| core::mem::take(&mut side.calls));
    calls.dedup();
    calls
}

#[test]
fn what_is_sent_goes_through_the_ring_and_comes_back() {
    on_a_machine!(|| {
        up(Does::Right);
        send_frames(1, 300, 100);
        assert_eq!(account(), [300, 0, 0, 0, 0]);
        let tx = report(0);
        assert_eq!((count(&tx.posted), count(&tx.sent), count(&tx.outstanding)), (300, 300, 0));
    });
}

#[test]
fn sends_wait_for_the_device_and_its_interrupt() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 5, 100);
        assert_eq!(account(), [0, 0, 0, 0, 5]);
        device_sends(2);
        delay_us(1000);
        assert_eq!(account(), [2, 0, 0, 0, 3]);
        device_sends(3);
        delay_us(1000);
        assert_eq!(account(), [5, 0, 0, 0, 0]);
    });
}

#[test]
fn more_than_the_ring_holds_waits_in_front_of_it() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 400, 100);
        let tx = report(0);
        assert_eq!((count(&tx.outstanding), count(&tx.queued)), (255, 145));
        device_sends(255);
        delay_us(1000);
        device_sends(145);
        delay_us(1000);
        assert_eq!(account(), [400, 0, 0, 0, 0]);
    });
}

#[test]
fn a_pause_has_the_driver_cancel_what_the_ring_holds_and_completes_the_rest_as_paused() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 400, 100);
        calls(&TX);
        stack::pause(1);
        assert_eq!(account(), [255, 0, 145, 0, 0]);
        let tx = report(0);
        assert_eq!((count(&tx.taken_back), count(&tx.paused), count(&tx.sent)), (255, 145, 0));
        assert_eq!(calls(&TX), ["EvtCancel", "EvtStop"]);
    });
}

#[test]
fn a_cancel_that_comes_twice_finds_nothing_the_second_time() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 10, 100);
        stack::pause(2);
        assert_eq!(count(&report(0).taken_back), 10);
    });
}

#[test]
fn a_restart_after_a_pause_begins_with_empty_rings() {
    on_a_machine!(|| {
        up(Does::Right);
        for round in 0..5 {
            send_frames(1 + round * 10, 10, 100);
            stack::pause(1);
            assert!(!datapath::is_running());
            calls(&TX);
            calls(&RX);
            stack::start();
            assert_eq!(calls(&TX)[0], "EvtStart");
            assert_eq!(calls(&RX)[0], "EvtStart");
        }
        assert_eq!(account(), [50, 0, 0, 0, 0]);
    });
}

#[test]
fn what_is_sent_to_a_paused_data_path_ends_paused() {
    on_a_machine!(|| {
        up(Does::Right);
        stack::pause(1);
        send_frames(1, 3, 100);
        assert_eq!(account(), [0, 0, 3, 0, 0]);
    });
}

#[test]
fn a_frame_in_many_parts_goes_through_a_bounce_buffer_and_one_that_is_too_long_is_ignored() {
    on_a_machine!(|| {
        up(Does::Right);
        let many = Frames { first: 1, count: 3, len: 1000, parts: 20, cancel_id: 0 };
        protocol::send(many).unwrap();
        send_frames(4, 2, frame::TOO_LONG);
        send_frames(6, 1, frame::LONGEST);
        let tx = report(0);
        assert_eq!((count(&tx.sent), count(&tx.skipped)), (4, 2));
        assert_eq!(account()[4], 0);
    });
}

#[test]
fn received_frames_go_up_and_their_buffers_come_back() {
    on_a_machine!(|| {
        up(Does::Right);
        for round in 0..20 {
            wire_brings(round * 50..round * 50 + 50);
        }
        assert_eq!(count(&report(1).received), 1000);
        assert_eq!(count(&protocol::report().received), 1000);
        stack::pause(1);
        let rx = report(1);
        assert_eq!(rx.held, 0);
    });
}

#[test]
fn frames_that_come_behind_a_closed_gate_are_counted_and_dropped() {
    on_a_machine!(|| {
        up(Does::Right);
        wire_brings(0..10);
        stack::unbind().unwrap();
        stack::bind().unwrap();
        wire_brings(10..20);
        assert_eq!(count(&protocol::report().received), 20);
    });
}

#[test]
fn the_protocols_receive_filter_reaches_the_driver() {
    on_a_machine!(|| {
        up(Does::Right);
        let set = FILTERS.with(|filters| filters.clone());
        let supported =
            NetPacketFilterFlagDirected | NetPacketFilterFlagMulticast | NetPacketFilterFlagBroadcast;
        assert_eq!(set.last(), Some(&(supported, 1)), "all that the protocol wants: {set:?}");
    });
}

#[test]
fn a_device_that_leaves_d0_has_no_queues_and_gets_new_ones() {
    on_a_machine!(|| {
        let driver = up(Does::Right);
        send_frames(1, 10, 100);
        for round in 0..3 {
            driver.node.leave_d0(3).unwrap();
            assert!(!datapath::exists());
            driver.node.enter_d0(3).unwrap();
            send_frames(11 + round * 10, 10, 100);
        }
        assert_eq!(count(&report(0).sent), 40, "the books go on");
        driver.node.remove(false, &[]);
        assert!(!datapath::exists());
    });
}

#[test]
fn a_surprise_removal_takes_the_data_path_down_with_sends_in_the_ring() {
    on_a_machine!(|| {
        let driver = up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 20, 100);
        driver.node.remove(true, &[]);
        assert_eq!(account(), [20, 0, 0, 0, 0]);
        assert_eq!(count(&report(0).taken_back), 20);
    });
}

#[test]
fn sends_race_with_a_pause_and_none_is_lost() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        for round in 0..10 {
            let done = Arc::new(Event::auto());
            let set = done.clone();
            worker::run(Box::new(move || {
                for burst in 0..5 {
                    send_frames(1 + round * 100 + burst * 20, 20, 100);
                    device_sends(7);
                }
                set.set();
            }));
            delay_us(round * 700);
            stack::pause(1);
            stack::start();
            done.wait();
        }
        stack::pause(1);
        let all = account();
        assert_eq!((all[1], all[3], all[4]), (0, 0, 0));
        assert_eq!(all[0] + all[2], 1000);
        let tx = report(0);
        assert_eq!(count(&tx.sent) + count(&tx.taken_back) + count(&tx.paused), 1000);
    });
}

/// Sends of five frames each against what the second thread does, in every order; the data path is paused after each
/// round, and every frame must have ended well or paused.
fn every_order(first: impl Fn(u64) + Send + Clone + 'static, second: impl Fn() + Send + Clone + 'static) {
    up(Does::Right);
    FAST.store(false, SeqCst);
    let mut round = 0;
    let rounds = orders::every(1, || {
        round += 1;
        let (first, second) = (first.clone(), second.clone());
        orders::race(Box::new(move || first(round)), Box::new(second));
        if datapath::is_running() {
            stack::pause(1);
        }
        let all = account();
        assert_eq!((all[1], all[3], all[4]), (0, 0, 0), "round {round}");
        let tx = report(0);
        assert_eq!(
            all[0],
            count(&tx.sent) + count(&tx.taken_back) + count(&tx.never_posted),
            "round {round}"
        );
        assert_eq!(report(1).held, 0, "round {round}");
        stack::start();
    });
    assert!(rounds > 20, "{rounds} orders");
    std::println!("{rounds} orders");
}

fn five(round: u64) {
    let frames = Frames { first: 1 + 5 * round, count: 5, len: 100, parts: 2, cancel_id: 0 };
    protocol::send(frames).expect("the protocol sends");
}

#[test]
fn sends_against_a_pause_in_every_order() {
    on_a_machine!(|| every_order(five, || stack::pause(1)));
}

#[test]
fn sends_against_completions_in_every_order() {
    on_a_machine!(|| every_order(five, || {
        device_sends(2);
        device_sends(3);
    }));
}

#[test]
fn completions_against_a_pause_in_every_order() {
    on_a_machine!(|| {
        let completions = |round| {
            five(round);
            device_sends(3);
        };
        every_order(completions, || stack::pause(2));
    });
}

#[test]
fn received_frames_against_a_pause_in_every_order() {
    on_a_machine!(|| every_order(|round| frames_come(5 * round..5 * round + 5), || stack::pause(1)));
}

#[test]
fn received_frames_against_an_unbinding_of_the_protocol_in_every_order() {
    on_a_machine!(|| {
        let rebind = || {
            stack::unbind().unwrap();
            stack::bind().unwrap();
        };
        every_order(|round| frames_come(5 * round..5 * round + 5), rebind);
    });
}

#[test]
fn the_link_goes_down_and_up() {
    on_a_machine!(|| {
        up(Does::Right);
        set_link(false);
        assert!(!crate::ndis::miniport::get().is_connected());
        set_link(true);
        assert!(crate::ndis::miniport::get().is_connected());
    });
}

#[test]
fn queues_can_be_looked_at_while_they_hold_packets() {
    on_a_machine!(|| {
        up(Does::Right);
        FAST.store(false, SeqCst);
        send_frames(1, 5, 100);
        let views = datapath::inspect();
        assert_eq!(views[0].packets.owned(), 5);
        assert_eq!((views[0].queue.as_str(), views[1].queue.as_str()), ("tx0", "rx0"));
        assert!(views[0].asleep && !views[0].cancelled);
    });
}

fn refused(what: Does) -> String {
    added(what).node.start().unwrap_err()
}

#[test]
fn a_device_whose_queues_cannot_be_made_does_not_start() {
    on_a_machine!(|| assert!(refused(Does::FailsToMakeAQueue).contains("0xc000009a")));
}

#[test]
fn a_callback_that_succeeds_without_a_queue_fails_the_device() {
    on_a_machine!(|| assert!(refused(Does::MakesNoQueue).contains("succeeded without a queue")));
}

#[test]
fn an_adapter_without_an_mtu_does_not_start() {
    on_a_machine!(|| assert!(refused(Does::StartsWithoutMtu).contains("EvtDevicePrepareHardware")));
}

/// What a driver does wrong until its data path runs.
fn started(what: Does) -> impl FnOnce() + Send + 'static {
    move || drop(up(what))
}

/// What it does wrong with packets to be sent.
fn sending(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(what);
        send_frames(1, 4, 100);
    }
}

/// What it does wrong with received frames.
fn receiving(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(what);
        wire_brings(0..4);
    }
}

/// What it does wrong in a pause.
fn pausing(what: Does) -> impl FnOnce() + Send + 'static {
    move || {
        up(what);
        send_frames(1, 4, 100);
        stack::pause(1);
    }
}

/// One test each: the rule that what the driver does breaks.
macro_rules! broken {
    ($($name:ident: $how:ident($what:ident) => $rule:literal;)*) => {
        $(
            #[test]
            fn $name() {
                stops_with!($rule, $how(Does::$what));
            }
        )*
    };
}

broken! {
    begin_index_past_end_index_is_named: sending(TakesFromBehindEnd) => "InvalidRingBeginIndex";
    end_index_is_the_frameworks: sending(MovesEnd) => "InvalidRingImmutable";
    elements_of_the_frameworks_must_not_be_written:
        sending(WritesAFrameworkElement) => "InvalidRingImmutableFrameworkElement";
    packets_to_be_sent_must_not_be_written: sending(WritesATxPacket) => "InvalidRingImmutableDriverTxPacket";
    fragments_to_be_sent_must_not_be_written:
        sending(WritesATxFragment) => "InvalidRingImmutableDriverTxFragment";
    fragments_that_stay_behind_are_named_at_the_stop: pausing(KeepsTxFragments) => "TxFragmentsNotReturned";
    a_received_packet_that_still_holds_poison_is_named:
        receiving(LeavesThePoison) => "InvalidRingUnmodifiedRxPacket";
    a_received_packet_without_fragments_is_named:
        receiving(NamesNoFragment) => "InvalidRingFragmentCountZero";
    a_fragment_in_two_packets_is_named: receiving(NamesOneTwice) => "InvalidRingFragmentCountOverlap";
    a_fragment_that_the_driver_keeps_is_named:
        receiving(NamesAFragmentThatItKeeps) => "InvalidRingFragmentIndexOutOfPostRange";
    a_frame_longer_than_its_buffer_is_named:
        receiving(IndicatesMoreThanTheBuffer) => "InvalidRingFragmentLengthInvalid";
    a_damaged_frame_is_named: receiving(DamagesFrames) => "RxFrameDamaged";
    an_ignored_packet_must_not_be_written:
        pausing(SpoilsAnIgnoredPacket) => "InvalidRingImmutableDriverRxPacketIgnore";
    a_second_queue_from_one_callback_is_named: started(MakesAQueueTwice) => "QueueAlreadyCreated";
    a_queue_without_evt_cancel_is_named:
        started(MakesAQueueWithoutCancel) => "InvalidQueueConfiguration";
    an_adapter_that_is_started_twice_is_named: started(StartsTwice) => "AdapterAlreadyStarted";
    dma_without_an_enabler_is_named: started(OffersNoDma) => "InvalidTxCapabilities";
    no_receive_queue_at_all_is_named: started(OffersNoQueues) => "InvalidRxCapabilities";
    a_hint_that_is_no_power_of_two_is_named: started(HasAnOddHint) => "NotPowerOfTwo";
    another_versions_structure_is_named: started(HasAnotherVersionsSize) => "InvalidStructTypeSize";
    an_address_that_is_too_long_is_named: started(HasALongAddress) => "InvalidLinkLayerAddress";
    an_mtu_of_nothing_is_named: started(HasAnMtuOfNothing) => "MtuMustBeGreaterThanZero";
    a_link_state_that_does_not_exist_is_named: started(LiesAboutTheLink) => "InvalidLinkState";
    receive_filters_without_a_callback_are_named:
        started(OffersFiltersWithoutCallback) => "InvalidSetReceiveFilterCallBack";
    an_extension_that_does_not_exist_is_named:
        started(AsksForAStrangeExtension) => "InvalidNetExtensionName";
    a_transmit_queue_for_a_receive_queue_is_named: started(MixesUpQueues) => "InvalidQueueHandle";
    globals_that_nobody_gave_out_are_named: started(UsesAStrangersGlobals) => "CorruptedPrivateGlobals";
    a_start_at_dispatch_level_is_named: started(CallsAtDispatch) => "IrqlIsNotPassive";
    a_device_that_was_not_configured_is_named:
        started(LeavesOutTheConfiguration) => "NetDeviceInitConfigMissing";
    an_adapter_without_datapath_callbacks_is_named:
        started(ForgetsTheCallbacks) => "InvalidDatapathCallbacks";
    two_adapters_from_one_init_are_named: started(CreatesTwoFromOneInit) => "AdapterInitAlreadyUsed";
}

#[test]
fn a_mark_on_a_packet_that_was_to_be_ignored_is_named() {
    stops_with!("IgnoredPacketMarked", || {
        up(Does::MarksWhatItWasToIgnore);
        send_frames(1, 1, frame::TOO_LONG);
    });
}

#[test]
fn a_notification_that_nobody_asked_for_is_named() {
    stops_with!("NotifyWithoutArm", || {
        up(Does::Right);
        let queue = RX.with(|rx| rx.queue) as NETPACKETQUEUE;
        for _ in 0..2 {
            net!(NetRxQueueNotifyMoreReceivedPacketsAvailable:
                 PFN_NETRXQUEUENOTIFYMORERECEIVEDPACKETSAVAILABLE(queue));
        }
    });
}

#[test]
fn a_notification_after_evt_stop_is_named() {
    stops_with!("NotifyAfterStop", || {
        up(Does::Right);
        stack::pause(1);
        let queue = TX.with(|tx| tx.queue) as NETPACKETQUEUE;
        net!(NetTxQueueNotifyMoreCompletedPacketsAvailable:
             PFN_NETTXQUEUENOTIFYMORECOMPLETEDPACKETSAVAILABLE(queue));
    });
}

#[test]
fn a_receive_buffer_that_is_written_after_its_return_is_named() {
    stops_with!("RxBufferWrittenAfterReturn", || {
        up(Does::Right);
        delay_us(1000);
        stack::pause(1);
        let late = LATE.load(SeqCst) as *mut u8;
        // SAFETY: the pool's buffer, which is not the driver's any more: that is what is to be seen.
        unsafe { *late = 1 };
        stack::start();
        delay_us(1000);
        wire_brings(0..200);
        stack::pause(1);
    });
}
