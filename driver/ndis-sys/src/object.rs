//! What all NDIS structures have in common: the header, the handle, the numbers of types and revisions.

use core::ffi::c_void;

use crate::{assert_layout, nt::NTSTATUS};

/// An opaque handle of NDIS or of a driver.
pub type NDIS_HANDLE = *mut c_void;
/// Result of an operation; see [`crate::status`].
pub type NDIS_STATUS = NTSTATUS;
/// Number of an object identifier.
pub type NDIS_OID = u32;
/// Number of a port; [`NDIS_DEFAULT_PORT_NUMBER`] where ports are not used.
pub type NDIS_PORT_NUMBER = u32;

/// The port that every adapter has.
pub const NDIS_DEFAULT_PORT_NUMBER: NDIS_PORT_NUMBER = 0;

/// First member of NDIS structures: what follows, in which form.
#[repr(C, align(2))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NDIS_OBJECT_HEADER {
    /// One of the NDIS_OBJECT_TYPE values.
    pub Type: u8,
    /// The structure's revision, from 1.
    pub Revision: u8,
    /// Bytes that the revision has, this header included.
    pub Size: u16,
}
assert_layout!(NDIS_OBJECT_HEADER: 4 align 2 { Type @ 0, Revision @ 1, Size @ 2 });

impl NDIS_OBJECT_HEADER {
    /// A header for a structure of this type, revision and size in bytes.
    #[must_use]
    pub const fn new(Type: u8, Revision: u8, Size: u16) -> Self {
        Self { Type, Revision, Size }
    }
}

/// Structures without a type number of their own.
pub const NDIS_OBJECT_TYPE_DEFAULT: u8 = 0x80;
/// [`crate::NDIS_DEVICE_OBJECT_ATTRIBUTES`].
pub const NDIS_OBJECT_TYPE_DEVICE_OBJECT_ATTRIBUTES: u8 = 0x85;
/// [`crate::NDIS_FILTER_DRIVER_CHARACTERISTICS`].
pub const NDIS_OBJECT_TYPE_FILTER_DRIVER_CHARACTERISTICS: u8 = 0x8B;
/// [`crate::NDIS_FILTER_PARTIAL_CHARACTERISTICS`].
pub const NDIS_OBJECT_TYPE_FILTER_PARTIAL_CHARACTERISTICS: u8 = 0x8C;
/// [`crate::NDIS_FILTER_ATTRIBUTES`].
pub const NDIS_OBJECT_TYPE_FILTER_ATTRIBUTES: u8 = 0x8D;
/// [`crate::NDIS_OID_REQUEST`].
pub const NDIS_OBJECT_TYPE_OID_REQUEST: u8 = 0x96;
/// [`crate::NDIS_STATUS_INDICATION`].
pub const NDIS_OBJECT_TYPE_STATUS_INDICATION: u8 = 0x98;
/// [`crate::NDIS_FILTER_ATTACH_PARAMETERS`].
pub const NDIS_OBJECT_TYPE_FILTER_ATTACH_PARAMETERS: u8 = 0x99;
/// [`crate::NDIS_FILTER_PAUSE_PARAMETERS`].
pub const NDIS_OBJECT_TYPE_FILTER_PAUSE_PARAMETERS: u8 = 0x9A;
/// [`crate::NDIS_FILTER_RESTART_PARAMETERS`].
pub const NDIS_OBJECT_TYPE_FILTER_RESTART_PARAMETERS: u8 = 0x9B;

/// Filter characteristics of NDIS 6.0.
pub const NDIS_FILTER_CHARACTERISTICS_REVISION_1: u8 = 1;
/// Filter characteristics of NDIS 6.1 to 6.70.
pub const NDIS_FILTER_CHARACTERISTICS_REVISION_2: u8 = 2;
/// Filter characteristics of NDIS 6.80 and later.
pub const NDIS_FILTER_CHARACTERISTICS_REVISION_3: u8 = 3;
/// Bytes of [`crate::NDIS_FILTER_DRIVER_CHARACTERISTICS`] in revision 1.
pub const NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_1: u16 = 0xC8;
/// Bytes of [`crate::NDIS_FILTER_DRIVER_CHARACTERISTICS`] in revision 2.
pub const NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_2: u16 = 0xE0;
/// Bytes of [`crate::NDIS_FILTER_DRIVER_CHARACTERISTICS`] in revision 3.
pub const NDIS_SIZEOF_FILTER_DRIVER_CHARACTERISTICS_REVISION_3: u16 = 0xF0;
/// The only revision of [`crate::NDIS_FILTER_ATTRIBUTES`].
pub const NDIS_FILTER_ATTRIBUTES_REVISION_1: u8 = 1;
/// The only revision of [`crate::NDIS_FILTER_PARTIAL_CHARACTERISTICS`].
pub const NDIS_FILTER_PARTIAL_CHARACTERISTICS_REVISION_1: u8 = 1;
/// Attach parameters of NDIS 6.30 and later.
pub const NDIS_FILTER_ATTACH_PARAMETERS_REVISION_4: u8 = 4;
/// Bytes of [`crate::NDIS_FILTER_ATTACH_PARAMETERS`] in revision 1.
pub const NDIS_SIZEOF_FILTER_ATTACH_PARAMETERS_REVISION_1: u16 = 0xA4;
/// Bytes of [`crate::NDIS_FILTER_ATTACH_PARAMETERS`] in revision 2.
pub const NDIS_SIZEOF_FILTER_ATTACH_PARAMETERS_REVISION_2: u16 = 0xB0;
/// Bytes of [`crate::NDIS_FILTER_ATTACH_PARAMETERS`] in revision 3.
pub const NDIS_SIZEOF_FILTER_ATTACH_PARAMETERS_REVISION_3: u16 = 0xC8;
/// Bytes of [`crate::NDIS_FILTER_ATTACH_PARAMETERS`] in revision 4.
pub const NDIS_SIZEOF_FILTER_ATTACH_PARAMETERS_REVISION_4: u16 = 0xE0;
/// The only revision of [`crate::NDIS_FILTER_PAUSE_PARAMETERS`].
pub const NDIS_FILTER_PAUSE_PARAMETERS_REVISION_1: u8 = 1;
/// The only revision of [`crate::NDIS_FILTER_RESTART_PARAMETERS`].
pub const NDIS_FILTER_RESTART_PARAMETERS_REVISION_1: u8 = 1;
/// Bytes of [`crate::NDIS_FILTER_RESTART_PARAMETERS`] in revision 1.
pub const NDIS_SIZEOF_FILTER_RESTART_PARAMETERS_REVISION_1: u16 = 0x2C;
/// Pool parameters of NDIS 6.0 to 6.86.
pub const NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1: u8 = 1;
/// Bytes of [`crate::NET_BUFFER_LIST_POOL_PARAMETERS`] in revision 1.
pub const NDIS_SIZEOF_NET_BUFFER_LIST_POOL_PARAMETERS_REVISION_1: u16 = 0x10;
/// OID requests of NDIS 6.0 to 6.40.
pub const NDIS_OID_REQUEST_REVISION_1: u8 = 1;
/// OID requests of NDIS 6.50 and later.
pub const NDIS_OID_REQUEST_REVISION_2: u8 = 2;
/// Bytes of [`crate::NDIS_OID_REQUEST`] in revision 1.
pub const NDIS_SIZEOF_OID_REQUEST_REVISION_1: u16 = 0xEC;
/// Bytes of [`crate::NDIS_OID_REQUEST`] in revision 2.
pub const NDIS_SIZEOF_OID_REQUEST_REVISION_2: u16 = 0xF8;
/// The only revision of [`crate::NDIS_STATUS_INDICATION`].
pub const NDIS_STATUS_INDICATION_REVISION_1: u8 = 1;
/// Bytes of [`crate::NDIS_STATUS_INDICATION`] in revision 1.
pub const NDIS_SIZEOF_STATUS_INDICATION_REVISION_1: u16 = 0x70;
/// Plug and Play notifications of NDIS 6.0 to 6.40.
pub const NET_PNP_EVENT_NOTIFICATION_REVISION_1: u8 = 1;
/// Plug and Play notifications of NDIS 6.50 and later.
pub const NET_PNP_EVENT_NOTIFICATION_REVISION_2: u8 = 2;
/// Bytes of [`crate::NET_PNP_EVENT_NOTIFICATION`] in revision 1.
pub const NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_1: u16 = 0xA4;
/// Bytes of [`crate::NET_PNP_EVENT_NOTIFICATION`] in revision 2.
pub const NDIS_SIZEOF_NET_PNP_EVENT_NOTIFICATION_REVISION_2: u16 = 0xAC;
/// The only revision of [`crate::NET_DEVICE_PNP_EVENT`].
pub const NET_DEVICE_PNP_EVENT_REVISION_1: u8 = 1;
/// Bytes of [`crate::NET_DEVICE_PNP_EVENT`] in revision 1.
pub const NDIS_SIZEOF_NET_DEVICE_PNP_EVENT_REVISION_1: u16 = 0x2C;
/// The only revision of [`crate::NDIS_DEVICE_OBJECT_ATTRIBUTES`].
pub const NDIS_DEVICE_OBJECT_ATTRIBUTES_REVISION_1: u8 = 1;
