//! Status indications (travel up), device events (travel down), network events (travel up).

use core::ffi::c_void;

use crate::{
    assert_layout,
    nt::GUID,
    object::{NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_PORT_NUMBER, NDIS_STATUS},
};

/// A change of state that a lower driver makes known.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_STATUS_INDICATION {
    /// Type STATUS_INDICATION.
    pub Header: NDIS_OBJECT_HEADER,
    /// Handle of whoever indicates.
    pub SourceHandle: NDIS_HANDLE,
    /// The port.
    pub PortNumber: NDIS_PORT_NUMBER,
    /// What has changed.
    pub StatusCode: NDIS_STATUS,
    /// Flags.
    pub Flags: u32,
    /// Handle of the one for whom it is, or null.
    pub DestinationHandle: NDIS_HANDLE,
    /// The OID request that it answers, or null.
    pub RequestId: *mut c_void,
    /// The new state.
    pub StatusBuffer: *mut c_void,
    /// Bytes of the buffer.
    pub StatusBufferSize: u32,
    /// Custom event.
    pub Guid: GUID,
    /// NDIS's.
    pub NdisReserved: [*mut c_void; 4],
}
assert_layout!(NDIS_STATUS_INDICATION: 0x70 align 8 {
    Header @ 0, SourceHandle @ 8, PortNumber @ 0x10, StatusCode @ 0x14, Flags @ 0x18, DestinationHandle @ 0x20,
    RequestId @ 0x28, StatusBuffer @ 0x30, StatusBufferSize @ 0x38, Guid @ 0x3C, NdisReserved @ 0x50,
});

/// A network event without its envelope.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_PNP_EVENT {
    /// One of the NetEvent values.
    pub NetEvent: i32,
    /// What belongs to it.
    pub Buffer: *mut c_void,
    /// Bytes of the buffer.
    pub BufferLength: u32,
    /// NDIS's.
    pub NdisReserved: [*mut c_void; 4],
    /// The transport's.
    pub TransportReserved: [*mut c_void; 4],
    /// Client's.
    pub TdiReserved: [*mut c_void; 4],
    /// Client's.
    pub TdiClientReserved: [*mut c_void; 4],
}
assert_layout!(NET_PNP_EVENT: 0x98 align 8 { NetEvent @ 0, Buffer @ 8, BufferLength @ 0x10, NdisReserved @ 0x18 });

/// The power state changes.
pub const NetEventSetPower: i32 = 0;
/// May the power state change?
pub const NetEventQueryPower: i32 = 1;
/// May the device go?
pub const NetEventQueryRemoveDevice: i32 = 2;
/// The device does not go after all.
pub const NetEventCancelRemoveDevice: i32 = 3;
/// The configuration has changed.
pub const NetEventReconfigure: i32 = 4;
/// The order of bindings has changed.
pub const NetEventBindList: i32 = 5;
/// All bindings stand.
pub const NetEventBindsComplete: i32 = 6;
/// Power capabilities have changed.
pub const NetEventPnPCapabilities: i32 = 7;
/// The data path is about to pause.
pub const NetEventPause: i32 = 8;
/// The data path runs again.
pub const NetEventRestart: i32 = 9;
/// A filter is about to be detached.
pub const NetEventFilterPreDetach: i32 = 15;
/// First value that is none.
pub const NetEventMaximum: i32 = 22;

/// A network event.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_PNP_EVENT_NOTIFICATION {
    /// Type DEFAULT.
    pub Header: NDIS_OBJECT_HEADER,
    /// The port.
    pub PortNumber: NDIS_PORT_NUMBER,
    /// The event.
    pub NetPnPEvent: NET_PNP_EVENT,
    /// Flags.
    pub Flags: u32,
    /// Virtual switch; since revision 2.
    pub SwitchId: u32,
    /// Virtual port; since revision 2.
    pub VPortId: u32,
}
assert_layout!(NET_PNP_EVENT_NOTIFICATION: 0xB0 align 8 {
    Header @ 0, PortNumber @ 4, NetPnPEvent @ 8, Flags @ 0xA0, SwitchId @ 0xA4, VPortId @ 0xA8,
});

/// The device has been removed.
pub const NdisDevicePnPEventRemoved: i32 = 1;
/// The device is gone without a warning.
pub const NdisDevicePnPEventSurpriseRemoved: i32 = 2;
/// Mains or battery.
pub const NdisDevicePnPEventPowerProfileChanged: i32 = 5;
/// Filters have come or gone.
pub const NdisDevicePnPEventFilterListChanged: i32 = 6;

/// A device event.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_DEVICE_PNP_EVENT {
    /// Type DEFAULT.
    pub Header: NDIS_OBJECT_HEADER,
    /// The port.
    pub PortNumber: NDIS_PORT_NUMBER,
    /// One of the NdisDevicePnPEvent values.
    pub DevicePnPEvent: i32,
    /// What belongs to it.
    pub InformationBuffer: *mut c_void,
    /// Bytes of the buffer.
    pub InformationBufferLength: u32,
    /// NDIS's.
    pub NdisReserved: [u8; 16],
}
assert_layout!(NET_DEVICE_PNP_EVENT: 0x30 align 8 {
    Header @ 0, PortNumber @ 4, DevicePnPEvent @ 8, InformationBuffer @ 0x10, InformationBufferLength @ 0x18,
    NdisReserved @ 0x1C,
});
