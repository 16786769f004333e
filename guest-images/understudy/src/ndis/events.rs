//! Status indications and network events, which travel up, and device events, which travel down.

use super::module::Module;
use super::modules;
use super::violation::stop;
use crate::verifier::trace;
use alloc::{format, sync::Arc};
use core::ffi::c_void;
use ndis_sys::*;
use understudy_rules::ndis::ledger::Party;
use wdk_offline::GUID;

/// NDIS_STATUS_LINK_STATE.
const LINK_STATE: i32 = 0x4001_0017;
/// NetDeviceStateD0 and NetDeviceStateD3.
const D0: i32 = 1;
const D3: i32 = 4;

/// NDIS_LINK_STATE.
#[repr(C)]
struct LinkState {
    header: NDIS_OBJECT_HEADER,
    connect: i32,
    duplex: i32,
    transmit: u64,
    receive: u64,
    pause: i32,
    negotiation: u32,
}

/// The next module that has reserved itself and has the handler.
fn next(
    from: Party,
    up: bool,
    has: impl Fn(&NDIS_FILTER_DRIVER_CHARACTERISTICS) -> bool,
) -> Option<Arc<Module>> {
    let mut at = from;
    loop {
        let module = if up { modules::above(at, |_| true) } else { modules::below(at, |_| true) }?;
        if has(&module.driver.characteristics) {
            return Some(module);
        }
        module.release();
        at = module.party();
    }
}

/// The link's state has changed. Up to DISPATCH_LEVEL.
pub(crate) fn link(connected: bool) {
    let speed = if connected { super::attach::LINK_SPEED } else { u64::MAX };
    let mut state = LinkState {
        header: NDIS_OBJECT_HEADER::new(NDIS_OBJECT_TYPE_DEFAULT, 1, size_of::<LinkState>() as u16),
        connect: if connected { MediaConnectStateConnected } else { 2 },
        duplex: if connected { MediaDuplexStateFull } else { 0 },
        transmit: speed,
        receive: speed,
        pause: 0,
        negotiation: 0,
    };
    let mut indication = NDIS_STATUS_INDICATION {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_STATUS_INDICATION,
            NDIS_STATUS_INDICATION_REVISION_1,
            NDIS_SIZEOF_STATUS_INDICATION_REVISION_1,
        ),
        SourceHandle: super::miniport::get().handle() as NDIS_HANDLE,
        PortNumber: NDIS_DEFAULT_PORT_NUMBER,
        StatusCode: LINK_STATE,
        Flags: 0,
        DestinationHandle: core::ptr::null_mut(),
        RequestId: core::ptr::null_mut(),
        StatusBuffer: (&raw mut state).cast(),
        StatusBufferSize: size_of::<LinkState>() as u32,
        Guid: GUID::default(),
        NdisReserved: [core::ptr::null_mut(); 4],
    };
    status(Party::Miniport, &raw mut indication);
}

/// A status indication goes up from `from`. Up to DISPATCH_LEVEL.
pub(crate) fn status(from: Party, indication: *mut NDIS_STATUS_INDICATION) {
    match next(from, true, |all| all.StatusHandler.is_some()) {
        Some(module) => {
            if let Some(handler) = module.driver.characteristics.StatusHandler {
                // SAFETY: the driver's handler with its module's context and an indication that lives meanwhile.
                module.call("FilterStatus", |context| unsafe { handler(context, indication) });
            }
        }
        None => {
            // SAFETY: whoever indicates keeps the structure alive until this returns.
            let code = unsafe { (*indication).StatusCode };
            trace::note("device", &format!("the protocol sees status {:#010x}", code as u32));
        }
    }
}

/// The adapter's power changes: NetEventSetPower, up to the protocol. PASSIVE_LEVEL.
pub(crate) fn net_power(on: bool) {
    let mut state = if on { D0 } else { D3 };
    let mut event = NET_PNP_EVENT_NOTIFICATION {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_DEFAULT,
            NET_PNP_EVENT_NOTIFICATION_REVISION_2,
            NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_2,
        ),
        PortNumber: NDIS_DEFAULT_PORT_NUMBER,
        NetPnPEvent: NET_PNP_EVENT {
            NetEvent: NetEventSetPower,
            Buffer: (&raw mut state).cast::<c_void>(),
            BufferLength: size_of_val(&state) as u32,
            NdisReserved: [core::ptr::null_mut(); 4],
            TransportReserved: [core::ptr::null_mut(); 4],
            TdiReserved: [core::ptr::null_mut(); 4],
            TdiClientReserved: [core::ptr::null_mut(); 4],
        },
        Flags: 0,
        SwitchId: 0,
        VPortId: 0,
    };
    net(Party::Miniport, &raw mut event);
}

/// A network event goes up from `from`; what the one above says of it. PASSIVE_LEVEL.
pub(crate) fn net(from: Party, event: *mut NET_PNP_EVENT_NOTIFICATION) -> i32 {
    let Some(module) = next(from, true, |all| all.NetPnPEventHandler.is_some()) else {
        // the protocol agrees to everything
        return NDIS_STATUS_SUCCESS;
    };
    let Some(handler) = module.driver.characteristics.NetPnPEventHandler else { return NDIS_STATUS_SUCCESS };
    let (status, passed) = module.call_event("FilterNetPnPEvent", event as usize, |context| {
        // SAFETY: the driver's handler with its module's context and an event that lives meanwhile.
        unsafe { handler(context, event) }
    });
    require_passed("FilterNetPnPEvent", passed);
    status
}

fn require_passed(what: &str, passed: u32) {
    if passed != 1 {
        stop("EventNotPassedOnOnce", format!("{what} passed its event on {passed} times"));
    }
}

/// Filters have come or gone: a device event, down to the miniport. PASSIVE_LEVEL.
pub(crate) fn filter_list_changed() {
    device_event(NdisDevicePnPEventFilterListChanged);
}

/// The device is gone without a warning. PASSIVE_LEVEL.
pub(crate) fn surprise_removed() {
    device_event(NdisDevicePnPEventSurpriseRemoved);
}

fn device_event(what: i32) {
    let mut event = NET_DEVICE_PNP_EVENT {
        Header: NDIS_OBJECT_HEADER::new(
            NDIS_OBJECT_TYPE_DEFAULT,
            NET_DEVICE_PNP_EVENT_REVISION_1,
            NDIS_SIZEOF_NET_DEVICE_PNP_EVENT_REVISION_1,
        ),
        PortNumber: NDIS_DEFAULT_PORT_NUMBER,
        DevicePnPEvent: what,
        InformationBuffer: core::ptr::null_mut(),
        InformationBufferLength: 0,
        NdisReserved: [0; 16],
    };
    device(Party::Protocol, &raw mut event);
}

/// A device event goes down from `from`. PASSIVE_LEVEL.
pub(crate) fn device(from: Party, event: *mut NET_DEVICE_PNP_EVENT) {
    let Some(module) = next(from, false, |all| all.DevicePnPEventNotifyHandler.is_some()) else {
        return;
    };
    let Some(handler) = module.driver.characteristics.DevicePnPEventNotifyHandler else { return };
    let ((), passed) = module.call_event("FilterDevicePnPEventNotify", event as usize, |context| {
        // SAFETY: the driver's handler with its module's context and an event that lives meanwhile.
        unsafe { handler(context, event) }
    });
    require_passed("FilterDevicePnPEventNotify", passed);
}
