//! NetAdapterCx's packet queues: the functions that it has twice, for transmit and for receive, as one.

use core::ptr::null_mut;

use cancelnic_core::Rings;
use cancelnic_kernel::check;
use cancelnic_registers::{Direction, QueueId};
use netadaptercx_sys::*;
use wdk_sys::{NTSTATUS, STATUS_INVALID_PARAMETER, ULONG, WDF_OBJECT_ATTRIBUTES, WDFOBJECT};

use crate::class::net;

/// What a packet queue is made from.
///
/// The holder is in EvtAdapterCreateTxQueue or EvtAdapterCreateRxQueue, on its thread; the pointer is that callback's.
pub(crate) enum Init {
    /// A transmit queue.
    Tx(PNETTXQUEUE_INIT),
    /// A receive queue.
    Rx(PNETRXQUEUE_INIT),
}

impl Init {
    fn pair(&self) -> ULONG {
        match self {
            // SAFETY: this type's own condition: the callback that the pointer belongs to still runs.
            Self::Tx(init) => unsafe { net().NetTxQueueInitGetQueueId(*init) },
            // SAFETY: as for a transmit queue.
            Self::Rx(init) => unsafe { net().NetRxQueueInitGetQueueId(*init) },
        }
    }

    /// Which queue is to be made; `None` if the cancel block has no registers for it.
    pub(crate) fn id(&self) -> Option<QueueId> {
        let direction = match self {
            Self::Tx(_) => Direction::Tx,
            Self::Rx(_) => Direction::Rx,
        };
        QueueId::new(direction, u8::try_from(self.pair()).ok()?)
    }
}

/// A packet queue of NetAdapterCx.
///
/// The holder is in one of the queue's own callbacks, or in the callback that creates it, or has seen its EvtStart and not
/// yet its EvtStop: in all of them the handle is valid and belongs to a queue of this direction.
#[derive(Clone, Copy)]
pub(crate) struct PacketQueue {
    id: QueueId,
    handle: NETPACKETQUEUE,
}

// SAFETY: a framework handle may be used in any thread.
unsafe impl Send for PacketQueue {}

impl PacketQueue {
    /// Makes the queue. PASSIVE_LEVEL.
    ///
    /// # Safety
    /// `attributes` are those of a context that is valid with zeros in it.
    pub(crate) unsafe fn create(
        init: Init,
        id: QueueId,
        mut config: NET_PACKET_QUEUE_CONFIG,
        mut attributes: WDF_OBJECT_ATTRIBUTES,
    ) -> Result<Self, NTSTATUS> {
        let (config, attributes) = (&raw mut config, &raw mut attributes);
        let mut handle = null_mut();
        check(match init {
            // SAFETY: `Init`: in the callback that creates the queue; both structures live over the call, the handle is
            // written on success.
            Init::Tx(init) => unsafe { net().NetTxQueueCreate(init, attributes, config, &raw mut handle) },
            // SAFETY: as for a transmit queue.
            Init::Rx(init) => unsafe { net().NetRxQueueCreate(init, attributes, config, &raw mut handle) },
        })?;
        Ok(Self { id, handle })
    }

    /// The queue that a callback is called for.
    ///
    /// # Safety
    /// `handle` is the argument of a callback of queue `id`, and the value is used until that returns, or from EvtStart
    /// to EvtStop.
    pub(crate) const unsafe fn of_callback(id: QueueId, handle: NETPACKETQUEUE) -> Self {
        Self { id, handle }
    }

    /// The framework's object.
    pub(crate) fn object(self) -> WDFOBJECT {
        self.handle.cast()
    }

    /// The queue's rings, which live as long as the queue. PASSIVE_LEVEL.
    pub(crate) fn rings(self) -> Result<Rings, NTSTATUS> {
        let collection = match self.id.direction() {
            // SAFETY: this type's own condition: a live transmit queue.
            Direction::Tx => unsafe { net().NetTxQueueGetRingCollection(self.handle) },
            // SAFETY: the same: a live receive queue.
            Direction::Rx => unsafe { net().NetRxQueueGetRingCollection(self.handle) },
        };
        // SAFETY: collection and extension are this queue's and live as long as it does; only its callbacks, which do not
        // overlap, use what is made of them.
        let rings = unsafe { Rings::new(collection, self.logical_addresses()) };
        rings.ok_or(STATUS_INVALID_PARAMETER)
    }

    /// The fragments' addresses as the device sees them.
    fn logical_addresses(self) -> NET_EXTENSION {
        let query = NET_EXTENSION_QUERY_INIT(
            &NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_NAME,
            NET_FRAGMENT_EXTENSION_LOGICAL_ADDRESS_VERSION_1,
            NetExtensionTypeFragment,
        );
        let (query, mut extension) = (&raw const query, NET_EXTENSION::absent());
        match self.id.direction() {
            // SAFETY: a live transmit queue; query and extension live over the call.
            Direction::Tx => unsafe { net().NetTxQueueGetExtension(self.handle, query, &raw mut extension) },
            // SAFETY: a live receive queue; query and extension live over the call.
            Direction::Rx => unsafe { net().NetRxQueueGetExtension(self.handle, query, &raw mut extension) },
        }
        extension
    }

    /// Wakes the queue. Any IRQL.
    pub(crate) fn notify(self) {
        match self.id.direction() {
            // SAFETY: this type's own condition: a live transmit queue.
            Direction::Tx => unsafe { net().NetTxQueueNotifyMoreCompletedPacketsAvailable(self.handle) },
            // SAFETY: the same: a live receive queue.
            Direction::Rx => unsafe { net().NetRxQueueNotifyMoreReceivedPacketsAvailable(self.handle) },
        }
    }
}
