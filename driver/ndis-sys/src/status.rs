//! NDIS_STATUS values, with the meaning that they have for sends, OID requests and registration.

use crate::object::NDIS_STATUS;

macro_rules! statuses {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        $(
            $(#[$doc])*
            pub const $name: NDIS_STATUS = ($value as u32).cast_signed();
        )*
    };
}

statuses! {
    /// It has been done.
    NDIS_STATUS_SUCCESS = 0;
    /// It will be completed by another call.
    NDIS_STATUS_PENDING = 0x0000_0103;
    /// It has failed for no cause that has a name.
    NDIS_STATUS_FAILURE = 0xC000_0001;
    /// An argument is not what the function's documentation demands.
    NDIS_STATUS_INVALID_PARAMETER = 0xC000_000D;
    /// The device cannot do this.
    NDIS_STATUS_INVALID_DEVICE_REQUEST = 0xC000_0010;
    /// No memory, or no other resource.
    NDIS_STATUS_RESOURCES = 0xC000_009A;
    /// The request is not supported.
    NDIS_STATUS_NOT_SUPPORTED = 0xC000_00BB;
    /// Not in this state.
    NDIS_STATUS_INVALID_STATE = 0xC000_0184;
    /// The binding is being closed.
    NDIS_STATUS_CLOSING = 0xC001_0002;
    /// The version in the characteristics is not one of NDIS.
    NDIS_STATUS_BAD_VERSION = 0xC001_0004;
    /// The characteristics contradict themselves.
    NDIS_STATUS_BAD_CHARACTERISTICS = 0xC001_0005;
    /// There is no such adapter.
    NDIS_STATUS_ADAPTER_NOT_FOUND = 0xC001_0006;
    /// The multicast list has more addresses than the adapter can take.
    NDIS_STATUS_MULTICAST_FULL = 0xC001_0009;
    /// An OID request was cancelled. Not for sends: see [`NDIS_STATUS_SEND_ABORTED`].
    NDIS_STATUS_REQUEST_ABORTED = 0xC001_000C;
    /// The adapter is not ready.
    NDIS_STATUS_ADAPTER_NOT_READY = 0xC001_0011;
    /// A length is wrong.
    NDIS_STATUS_INVALID_LENGTH = 0xC001_0014;
    /// The buffer is too short for the answer.
    NDIS_STATUS_BUFFER_TOO_SHORT = 0xC001_0016;
    /// There is no such OID.
    NDIS_STATUS_INVALID_OID = 0xC001_0017;
    /// A net buffer list was cancelled by its ID. ntstatus.h calls the same value
    /// STATUS_NDIS_REQUEST_ABORTED, which is not NDIS_STATUS_REQUEST_ABORTED.
    NDIS_STATUS_SEND_ABORTED = 0xC023_000C;
    /// There is no link.
    NDIS_STATUS_MEDIA_DISCONNECTED = 0xC023_001F;
    /// The data path is paused, or on its way there.
    NDIS_STATUS_PAUSED = 0xC023_002A;
    /// There is no such interface.
    NDIS_STATUS_INTERFACE_NOT_FOUND = 0xC023_002B;
    /// The structure's revision is not supported.
    NDIS_STATUS_UNSUPPORTED_REVISION = 0xC023_002C;
    /// There is no such port.
    NDIS_STATUS_INVALID_PORT = 0xC023_002D;
    /// Not in the port's state.
    NDIS_STATUS_INVALID_PORT_STATE = 0xC023_002E;
    /// The adapter is in low power.
    NDIS_STATUS_LOW_POWER_STATE = 0xC023_002F;
}
