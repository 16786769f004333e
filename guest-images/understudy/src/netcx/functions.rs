//! NetAdapterCx 2.1's function table, and the functions of packet queues in it.

use super::adapter;
use super::config;
use super::queue::{Queue, QueueInit};
use super::require::{self, client_is_2_2, enter, require_not_null, require_size, violation};
use crate::ke::Irql;
use crate::verifier::{fault, trace};
use crate::wdf::class::ClassExtension;
use crate::wdf::object::{self, Attributes, get, get_ptr};
use alloc::{format, string::String, sync::Arc, vec::Vec};
use cancelnic_registers::Direction;
use netadaptercx_sys::{
    NET_DRIVER_GLOBALS, NET_EXTENSION, NET_EXTENSION_QUERY, NET_FUNCTION_COUNT, NET_FUNCTION_COUNT_2_0,
    NET_FUNCTION_COUNT_2_5, NET_FUNCTION_NAMES, NET_PACKET_QUEUE_CONFIG, NET_PACKET_QUEUE_CONFIG_2_5,
    NET_RING_COLLECTION, NETPACKETQUEUE, PNETRXQUEUE_INIT, PNETTXQUEUE_INIT, index,
};
use spin::Once;
use understudy_rules::netcx::element::{Fragment, Packet};
use wdk_offline::loader::WDF_VERSION;
use wdk_offline::{NTSTATUS, STATUS_INSUFFICIENT_RESOURCES, STATUS_SUCCESS, WDF_OBJECT_ATTRIBUTES};

/// NetAdapterCx as WDFLDR binds drivers to it: versions 2.0 and 2.1.
pub(crate) struct NetAdapterCx;

impl ClassExtension for NetAdapterCx {
    fn name(&self) -> &'static str {
        "NetAdapterCx"
    }

    fn functions(&self, version: WDF_VERSION) -> Option<usize> {
        let (newest, retarget) = crate::settings::class_version();
        if (version.Major, version.Build) != (2, 0) || version.Minor > newest {
            return None;
        }
        match version.Minor {
            older if retarget && older < newest => None,
            0 => Some(NET_FUNCTION_COUNT_2_0),
            1 => Some(NET_FUNCTION_COUNT),
            _ => Some(NET_FUNCTION_COUNT_2_5),
        }
    }

    fn versions(&self) -> String {
        match crate::settings::class_version() {
            (newest, true) => format!("2.{newest}, as clients of earlier ones have to be retargeted"),
            (newest, false) => format!("2.0 to 2.{newest}"),
        }
    }

    fn bound(&self, version: WDF_VERSION) {
        require::client_is(version.Minor);
    }

    fn offered(&self) -> &'static [(usize, usize)] {
        static OFFERED: Once<[(usize, usize); 30]> = Once::new();
        OFFERED.call_once(offered)
    }

    fn function_name(&self, index: usize) -> &'static str {
        NET_FUNCTION_NAMES.get(index).copied().unwrap_or("a function past the table's end")
    }
}

/// The address of a function after its type has been compared with the published one.
macro_rules! typed {
    ($pfn:ident, $function:expr) => {{
        let function: netadaptercx_sys::$pfn = Some($function);
        function.map_or(0, |function| function as usize)
    }};
}

/// What understudy offers, by index.
fn offered() -> [(usize, usize); 30] {
    [
        (index::NetDeviceInitConfig, typed!(PFN_NETDEVICEINITCONFIG, adapter::device_init_config)),
        (index::NetAdapterInitAllocate, typed!(PFN_NETADAPTERINITALLOCATE, adapter::init_allocate)),
        (index::NetAdapterInitFree, typed!(PFN_NETADAPTERINITFREE, adapter::init_free)),
        (
            index::NetAdapterInitSetDatapathCallbacks,
            typed!(PFN_NETADAPTERINITSETDATAPATHCALLBACKS, adapter::set_datapath_callbacks),
        ),
        (index::NetAdapterCreate, typed!(PFN_NETADAPTERCREATE, adapter::create)),
        (index::NetAdapterStart, typed!(PFN_NETADAPTERSTART, adapter::start)),
        (index::NetAdapterStop, typed!(PFN_NETADAPTERSTOP, adapter::stop)),
        (
            index::NetAdapterSetLinkLayerCapabilities,
            typed!(PFN_NETADAPTERSETLINKLAYERCAPABILITIES, adapter::set_link_layer_capabilities),
        ),
        (index::NetAdapterSetLinkLayerMtuSize, typed!(PFN_NETADAPTERSETLINKLAYERMTUSIZE, adapter::set_mtu)),
        (
            index::NetAdapterSetDataPathCapabilities,
            typed!(PFN_NETADAPTERSETDATAPATHCAPABILITIES, adapter::set_datapath_capabilities),
        ),
        (
            index::NetAdapterSetReceiveFilterCapabilities,
            typed!(PFN_NETADAPTERSETRECEIVEFILTERCAPABILITIES, adapter::set_receive_filter_capabilities),
        ),
        (
            index::NetReceiveFilterGetPacketFilter,
            typed!(PFN_NETRECEIVEFILTERGETPACKETFILTER, adapter::packet_filter),
        ),
        (
            index::NetReceiveFilterGetMulticastAddressCount,
            typed!(PFN_NETRECEIVEFILTERGETMULTICASTADDRESSCOUNT, adapter::multicast_count),
        ),
        (
            index::NetReceiveFilterGetMulticastAddressList,
            typed!(PFN_NETRECEIVEFILTERGETMULTICASTADDRESSLIST, adapter::multicast_list),
        ),
        (index::NetAdapterSetLinkState, typed!(PFN_NETADAPTERSETLINKSTATE, adapter::set_link_state)),
        (
            index::NetAdapterSetPermanentLinkLayerAddress,
            typed!(PFN_NETADAPTERSETPERMANENTLINKLAYERADDRESS, adapter::set_permanent_address),
        ),
        (
            index::NetAdapterSetCurrentLinkLayerAddress,
            typed!(PFN_NETADAPTERSETCURRENTLINKLAYERADDRESS, adapter::set_current_address),
        ),
        (index::NetAdapterOpenConfiguration, typed!(PFN_NETADAPTEROPENCONFIGURATION, config::open)),
        (index::NetConfigurationQueryUlong, typed!(PFN_NETCONFIGURATIONQUERYULONG, config::query_ulong)),
        (index::NetConfigurationClose, typed!(PFN_NETCONFIGURATIONCLOSE, config::close)),
        (index::NetTxQueueCreate, typed!(PFN_NETTXQUEUECREATE, tx_create)),
        (index::NetTxQueueInitGetQueueId, typed!(PFN_NETTXQUEUEINITGETQUEUEID, tx_id)),
        (index::NetTxQueueGetRingCollection, typed!(PFN_NETTXQUEUEGETRINGCOLLECTION, tx_rings)),
        (index::NetTxQueueGetExtension, typed!(PFN_NETTXQUEUEGETEXTENSION, tx_extension)),
        (
            index::NetTxQueueNotifyMoreCompletedPacketsAvailable,
            typed!(PFN_NETTXQUEUENOTIFYMORECOMPLETEDPACKETSAVAILABLE, tx_notify),
        ),
        (index::NetRxQueueCreate, typed!(PFN_NETRXQUEUECREATE, rx_create)),
        (index::NetRxQueueInitGetQueueId, typed!(PFN_NETRXQUEUEINITGETQUEUEID, rx_id)),
        (index::NetRxQueueGetRingCollection, typed!(PFN_NETRXQUEUEGETRINGCOLLECTION, rx_rings)),
        (index::NetRxQueueGetExtension, typed!(PFN_NETRXQUEUEGETEXTENSION, rx_extension)),
        (
            index::NetRxQueueNotifyMoreReceivedPacketsAvailable,
            typed!(PFN_NETRXQUEUENOTIFYMORERECEIVEDPACKETSAVAILABLE, rx_notify),
        ),
    ]
}

/// The init structure, of the right direction, on the right thread.
fn queue_init(function: &str, raw: u64, direction: Direction) -> Arc<QueueInit> {
    let init = get::<QueueInit>(raw, function);
    if init.direction != direction {
        violation(
            20,
            "InvalidQueueInitSignature",
            raw,
            0,
            format!("{function}: the init is of the other direction"),
        );
    }
    if init.thread != crate::ke::current_thread() {
        violation(21, "QueueCreatedOnOtherThread", 0, 0, function.into());
    }
    init
}

fn create(
    function: &'static str,
    init: u64,
    direction: Direction,
    attributes: *mut WDF_OBJECT_ATTRIBUTES,
    configuration: *mut NET_PACKET_QUEUE_CONFIG,
    queue: *mut NETPACKETQUEUE,
) -> NTSTATUS {
    let init = queue_init(function, init, direction);
    if init.made.with(|made| made.is_some()) {
        violation(24, "QueueAlreadyCreated", 0, 0, function.into());
    }
    require_not_null(function, configuration);
    require_not_null(function, queue);
    let size = if client_is_2_2() {
        size_of::<NET_PACKET_QUEUE_CONFIG_2_5>()
    } else {
        size_of::<NET_PACKET_QUEUE_CONFIG>()
    };
    // SAFETY: checked for NULL.
    require_size(function, unsafe { (*configuration).Size }, size);
    if client_is_2_2() {
        // SAFETY: a client from 2.2 on has the longer structure, as its size was checked.
        let context = unsafe { (*configuration.cast::<NET_PACKET_QUEUE_CONFIG_2_5>()).ExecutionContext };
        if !context.is_null() {
            trace::not_offered("an execution context of the driver's");
        }
    }
    // SAFETY: checked for NULL; the structure is the driver's, and begins as it did in 2.0.
    let configuration = unsafe { *configuration };
    let missing = [
        (configuration.EvtAdvance.is_none(), 2, "EvtAdvance"),
        (configuration.EvtCancel.is_none() && direction == Direction::Rx, 3, "EvtCancel"),
        (
            configuration.EvtCancel.is_none() || configuration.EvtSetNotificationEnabled.is_none(),
            0,
            "a callback",
        ),
    ];
    if let Some((_, which, name)) = missing.iter().find(|missing| missing.0) {
        violation(22, "InvalidQueueConfiguration", *which, 0, format!("{function}: {name} is missing"));
    }
    let attributes = match Attributes::read(attributes, function) {
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    if attributes.parent().is_some() {
        violation(23, "ParentObjectNotNull", 0, 0, function.into());
    }
    let Some((adapter_handle, adapter)) = adapter::current() else {
        violation(20, "InvalidQueueInitSignature", 0, 0, format!("{function}: no adapter"));
    };
    if fault::strikes(object::owner(adapter_handle.raw(), function), function) {
        return STATUS_INSUFFICIENT_RESOURCES;
    }
    let made = Queue::new(direction, configuration, &adapter, init.above.clone());
    let handle = object::create(function, made.clone(), Some(adapter_handle), attributes);
    made.set_handle(handle.raw());
    init.made.with(|slot| *slot = Some(made));
    // SAFETY: checked for NULL.
    unsafe { *queue = handle.raw() as NETPACKETQUEUE };
    STATUS_SUCCESS
}

/// The queue, of the right direction: else code 44.
fn queue(function: &str, handle: NETPACKETQUEUE, direction: Direction) -> Arc<Queue> {
    let queue = get_ptr::<Queue, _>(handle, function);
    if queue.direction != direction {
        let given = u64::from(queue.direction == Direction::Rx);
        violation(
            44,
            "InvalidQueueHandle",
            given,
            0,
            format!("{function} with the handle of {}", queue.name),
        );
    }
    queue
}

/// Extension names with this prefix are the system's.
const PREFIX: &str = "ms_";
/// Names that exist, of which this version registers the first two where DMA is used.
const KNOWN: [&str; 11] = [
    "ms_fragment_virtualaddress",
    "ms_fragment_logicaladdress",
    "ms_fragment_mdl",
    "ms_fragment_returncontext",
    "ms_packet_checksum",
    "ms_packet_gso",
    "ms_packet_rsc",
    "ms_packet_rsc_timestamp",
    "ms_packet_ieee8021q",
    "ms_packet_hash",
    "ms_fragment_netmemory",
];

fn extension(function: &str, queue: &Queue, query: *const NET_EXTENSION_QUERY, answer: *mut NET_EXTENSION) {
    require_not_null(function, query);
    require_not_null(function, answer);
    // SAFETY: checked for NULL.
    let query = unsafe { *query };
    require_size(function, query.Size, size_of::<NET_EXTENSION_QUERY>());
    let name = if query.Name.is_null() {
        String::new()
    } else {
        // SAFETY: zero-terminated by contract; at most 64 units are read.
        let units: Vec<u16> =
            (0..64).map(|at| unsafe { query.Name.add(at).read() }).take_while(|&unit| unit != 0).collect();
        String::from_utf16_lossy(&units)
    };
    if name.is_empty() || name.starts_with(PREFIX) && !KNOWN.contains(&name.as_str()) {
        violation(27, "InvalidNetExtensionName", 0, 0, format!("{function}: {name:?}"));
    }
    if query.Version == 0 {
        violation(28, "InvalidNetExtensionVersion", 0, 0, format!("{function}: {name}"));
    }
    if !(1..=3).contains(&query.Type) {
        violation(29, "InvalidNetExtensionType", query.Type as u64, 0, format!("{function}: {name}"));
    }
    let offset = match (name.as_str(), query.Version, query.Type) {
        ("ms_fragment_virtualaddress", 1, 2) => Some(queue.layout.virtual_address),
        ("ms_fragment_logicaladdress", 1, 2) => Some(queue.layout.logical_address),
        _ => None,
    };
    let mut filled = NET_EXTENSION::absent();
    if let Some(offset) = offset {
        filled.Reserved[0] = queue.fragments.element_base(offset).cast();
        filled.Reserved[1] = queue.fragments.stride() as *mut _;
        filled.u.Enabled = 1;
    }
    // SAFETY: checked for NULL.
    unsafe { *answer = filled };
}

macro_rules! queue_functions {
    ($direction:expr, $init:ty, $notify_name:literal, $create_name:literal, $id_name:literal, $rings_name:literal,
     $extension_name:literal => $create:ident, $id:ident, $rings:ident, $extension:ident, $notify:ident) => {
        unsafe extern "win64" fn $create(
            globals: *mut NET_DRIVER_GLOBALS,
            init: $init,
            attributes: *mut WDF_OBJECT_ATTRIBUTES,
            configuration: *mut NET_PACKET_QUEUE_CONFIG,
            queue: *mut NETPACKETQUEUE,
        ) -> NTSTATUS {
            enter($create_name, globals, Irql::PASSIVE);
            create($create_name, init as u64, $direction, attributes, configuration, queue)
        }

        unsafe extern "win64" fn $id(globals: *mut NET_DRIVER_GLOBALS, init: $init) -> u32 {
            enter($id_name, globals, Irql::PASSIVE);
            queue_init($id_name, init as u64, $direction).id
        }

        unsafe extern "win64" fn $rings(
            globals: *mut NET_DRIVER_GLOBALS,
            handle: NETPACKETQUEUE,
        ) -> *const NET_RING_COLLECTION {
            enter($rings_name, globals, Irql::DISPATCH);
            queue($rings_name, handle, $direction).collection()
        }

        unsafe extern "win64" fn $extension(
            globals: *mut NET_DRIVER_GLOBALS,
            handle: NETPACKETQUEUE,
            query: *const NET_EXTENSION_QUERY,
            answer: *mut NET_EXTENSION,
        ) {
            enter($extension_name, globals, Irql::PASSIVE);
            extension($extension_name, &queue($extension_name, handle, $direction), query, answer);
        }

        unsafe extern "win64" fn $notify(globals: *mut NET_DRIVER_GLOBALS, handle: NETPACKETQUEUE) {
            enter($notify_name, globals, Irql::HIGH);
            queue($notify_name, handle, $direction).notify();
        }
    };
}

queue_functions!(
    Direction::Tx, PNETTXQUEUE_INIT, "NetTxQueueNotifyMoreCompletedPacketsAvailable", "NetTxQueueCreate",
    "NetTxQueueInitGetQueueId", "NetTxQueueGetRingCollection", "NetTxQueueGetExtension"
    => tx_create, tx_id, tx_rings, tx_extension, tx_notify
);
queue_functions!(
    Direction::Rx, PNETRXQUEUE_INIT, "NetRxQueueNotifyMoreReceivedPacketsAvailable", "NetRxQueueCreate",
    "NetRxQueueInitGetQueueId", "NetRxQueueGetRingCollection", "NetRxQueueGetExtension"
    => rx_create, rx_id, rx_rings, rx_extension, rx_notify
);

/// The base structures must fit in front of the extensions.
const _: () = assert!(Fragment::SIZE == 8 && Packet::SIZE <= 16);
