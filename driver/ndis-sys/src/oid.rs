//! OID requests: questions and settings that travel down to the adapter.

use core::ffi::c_void;

use crate::{
    assert_layout,
    object::{NDIS_HANDLE, NDIS_OBJECT_HEADER, NDIS_OID, NDIS_PORT_NUMBER},
};

/// Kind of an OID request; values are the NdisRequest constants.
pub type NDIS_REQUEST_TYPE = i32;
/// Asks for a value.
pub const NdisRequestQueryInformation: NDIS_REQUEST_TYPE = 0;
/// Sets a value.
pub const NdisRequestSetInformation: NDIS_REQUEST_TYPE = 1;
/// Asks for a statistic.
pub const NdisRequestQueryStatistics: NDIS_REQUEST_TYPE = 2;
/// Sends a structure and gets one back.
pub const NdisRequestMethod: NDIS_REQUEST_TYPE = 12;

/// A query's or a set's part of a request; a set's BytesRead stands where a query's BytesWritten does.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_OID_REQUEST_INFORMATION {
    /// The object.
    pub Oid: NDIS_OID,
    /// The value.
    pub InformationBuffer: *mut c_void,
    /// Bytes of the buffer.
    pub InformationBufferLength: u32,
    /// Bytes written by a query, read by a set.
    pub BytesTransferred: u32,
    /// Bytes that it takes, where the buffer was too short.
    pub BytesNeeded: u32,
}

/// A method's part of a request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_OID_REQUEST_METHOD {
    /// The object.
    pub Oid: NDIS_OID,
    /// Both structures, one after the other in time.
    pub InformationBuffer: *mut c_void,
    /// Bytes that come in.
    pub InputBufferLength: u32,
    /// Bytes that may go out.
    pub OutputBufferLength: u32,
    /// The method.
    pub MethodId: u32,
    /// Bytes that went out.
    pub BytesWritten: u32,
    /// Bytes that were read.
    pub BytesRead: u32,
    /// Bytes that it takes, where the buffer was too short.
    pub BytesNeeded: u32,
}

/// The part of a request that differs with its type.
#[repr(C)]
#[derive(Clone, Copy)]
pub union NDIS_OID_REQUEST_DATA {
    /// Query, QueryStatistics, Set.
    pub Information: NDIS_OID_REQUEST_INFORMATION,
    /// Method.
    pub Method: NDIS_OID_REQUEST_METHOD,
}

/// An OID request.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NDIS_OID_REQUEST {
    /// Type OID_REQUEST.
    pub Header: NDIS_OBJECT_HEADER,
    /// What kind of request.
    pub RequestType: NDIS_REQUEST_TYPE,
    /// The port.
    pub PortNumber: NDIS_PORT_NUMBER,
    /// Seconds, 0 for none.
    pub Timeout: u32,
    /// What a cancel names.
    pub RequestId: *mut c_void,
    /// The originator's.
    pub RequestHandle: NDIS_HANDLE,
    /// What is asked.
    pub DATA: NDIS_OID_REQUEST_DATA,
    /// NDIS's.
    pub NdisReserved: [*mut c_void; 16],
    /// The miniport driver's.
    pub MiniportReserved: [*mut c_void; 2],
    /// Of whoever sent or cloned this request.
    pub SourceReserved: [*mut c_void; 2],
    /// Highest revision that the handler supports.
    pub SupportedRevision: u8,
    /// Nothing.
    pub Reserved1: u8,
    /// Nothing.
    pub Reserved2: u16,
    /// Virtual switch; since revision 2.
    pub SwitchId: u32,
    /// Virtual port; since revision 2.
    pub VPortId: u32,
    /// Since revision 2.
    pub Flags: u32,
}
assert_layout!(NDIS_OID_REQUEST: 0xF8 align 8 {
    Header @ 0, RequestType @ 4, PortNumber @ 8, Timeout @ 0xC, RequestId @ 0x10, RequestHandle @ 0x18,
    DATA.Information.Oid @ 0x20, DATA.Information.InformationBuffer @ 0x28,
    DATA.Information.InformationBufferLength @ 0x30, DATA.Information.BytesTransferred @ 0x34,
    DATA.Information.BytesNeeded @ 0x38, DATA.Method.Oid @ 0x20, DATA.Method.InformationBuffer @ 0x28,
    DATA.Method.InputBufferLength @ 0x30, DATA.Method.OutputBufferLength @ 0x34, DATA.Method.MethodId @ 0x38,
    DATA.Method.BytesWritten @ 0x3C, DATA.Method.BytesRead @ 0x40, DATA.Method.BytesNeeded @ 0x44,
    NdisReserved @ 0x48, MiniportReserved @ 0xC8, SourceReserved @ 0xD8, SupportedRevision @ 0xE8, SwitchId @ 0xEC,
    VPortId @ 0xF0, Flags @ 0xF4,
});

/// Asked of filters and of the miniport driver while the stack restarts.
pub const OID_GEN_MINIPORT_RESTART_ATTRIBUTES: NDIS_OID = 0x0001_021D;
