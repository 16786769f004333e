//! Packet queues: handles, callbacks and the structure that creates one.

use crate::{assert_layout, handle};

handle! {
    /// A transmit or receive queue.
    NETPACKETQUEUE, NETPACKETQUEUE__
}
handle! {
    /// What a transmit queue is made from, inside EvtAdapterCreateTxQueue.
    PNETTXQUEUE_INIT, NETTXQUEUE_INIT
}
handle! {
    /// What a receive queue is made from, inside EvtAdapterCreateRxQueue.
    PNETRXQUEUE_INIT, NETRXQUEUE_INIT
}
handle! {
    /// An execution context; clients of version 2.0 make none.
    NETEXECUTIONCONTEXT, NETEXECUTIONCONTEXT__
}

/// The queue begins a life: its rings stand at 0. PASSIVE_LEVEL.
pub type PFN_PACKET_QUEUE_START = Option<unsafe extern "win64" fn(PacketQueue: NETPACKETQUEUE)>;
/// The queue's life ends; nothing is outstanding. PASSIVE_LEVEL.
pub type PFN_PACKET_QUEUE_STOP = Option<unsafe extern "win64" fn(PacketQueue: NETPACKETQUEUE)>;
/// Move packets between the rings and the hardware. At most DISPATCH_LEVEL.
pub type PFN_PACKET_QUEUE_ADVANCE = Option<unsafe extern "win64" fn(PacketQueue: NETPACKETQUEUE)>;
/// Notify when there is work; only ever called with TRUE. At most DISPATCH_LEVEL.
pub type PFN_PACKET_QUEUE_SET_NOTIFICATION_ENABLED =
    Option<unsafe extern "win64" fn(PacketQueue: NETPACKETQUEUE, NotificationEnabled: u8)>;
/// Give back what is outstanding. PASSIVE_LEVEL; DISPATCH_LEVEL under the verifier: no waiting.
pub type PFN_PACKET_QUEUE_CANCEL = Option<unsafe extern "win64" fn(PacketQueue: NETPACKETQUEUE)>;

/// A queue's callbacks, in the form of versions 2.0 and 2.1.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_PACKET_QUEUE_CONFIG {
    /// Size of this structure; the class extension refuses another version's.
    pub Size: u32,
    /// Optional.
    pub EvtStart: PFN_PACKET_QUEUE_START,
    /// Optional.
    pub EvtStop: PFN_PACKET_QUEUE_STOP,
    /// Required.
    pub EvtAdvance: PFN_PACKET_QUEUE_ADVANCE,
    /// Required.
    pub EvtSetNotificationEnabled: PFN_PACKET_QUEUE_SET_NOTIFICATION_ENABLED,
    /// Required.
    pub EvtCancel: PFN_PACKET_QUEUE_CANCEL,
}
assert_layout!(NET_PACKET_QUEUE_CONFIG: 48 align 8 {
    Size @ 0, EvtStart @ 8, EvtStop @ 0x10, EvtAdvance @ 0x18, EvtSetNotificationEnabled @ 0x20, EvtCancel @ 0x28,
});

/// The same for a client of version 2.2 or later.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct NET_PACKET_QUEUE_CONFIG_2_5 {
    /// What it has in common with earlier versions; its `Size` is this structure's.
    pub Earlier: NET_PACKET_QUEUE_CONFIG,
    /// NETEXECUTIONCONTEXT of the client's, or null.
    pub ExecutionContext: *mut core::ffi::c_void,
}
assert_layout!(NET_PACKET_QUEUE_CONFIG_2_5: 56 align 8 { Earlier.Size @ 0, Earlier.EvtCancel @ 0x28, ExecutionContext @ 0x30 });

/// A configuration with the three required callbacks; EvtStart and EvtStop absent.
#[must_use]
pub const fn NET_PACKET_QUEUE_CONFIG_INIT(
    EvtAdvance: PFN_PACKET_QUEUE_ADVANCE,
    EvtSetNotificationEnabled: PFN_PACKET_QUEUE_SET_NOTIFICATION_ENABLED,
    EvtCancel: PFN_PACKET_QUEUE_CANCEL,
) -> NET_PACKET_QUEUE_CONFIG {
    NET_PACKET_QUEUE_CONFIG {
        Size: size_of::<NET_PACKET_QUEUE_CONFIG>() as u32,
        EvtStart: None,
        EvtStop: None,
        EvtAdvance,
        EvtSetNotificationEnabled,
        EvtCancel,
    }
}
