//! The NIC as the vhost-user library wants it: features, configuration space, doorbells. Nothing here
//! fails or waits: an error ends the connection, and a delay stops the whole virtual machine.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use cancelnic_registers::QueueId;
use vhost::vhost_user::Backend as LibraryChannel;
use vhost::vhost_user::message::VhostUserProtocolFeatures;
use vhost_user_backend::VhostUserBackend;
use virtio_bindings::bindings::{virtio_config, virtio_net, virtio_ring};
use vmm_sys_util::epoll::EventSet;
use vmm_sys_util::event::{EventConsumer, EventFlag, EventNotifier, new_event_consumer_and_notifier};

use crate::channel::Channel;
use crate::nic::{Nic, offered};
use crate::vring::{Memory, Vring};

/// Bit of VHOST_USER_F_PROTOCOL_FEATURES.
const PROTOCOL_FEATURES: u32 = 30;

/// The virtio feature bits that are offered. Not among them, on purpose: RING_RESET (QEMU does not
/// forward a queue's reset: the device would go on with the old ring) and ACCESS_PLATFORM (no IOTLB).
const FEATURES: u64 = 1 << virtio_config::VIRTIO_F_VERSION_1
    | 1 << virtio_ring::VIRTIO_RING_F_EVENT_IDX
    | 1 << virtio_ring::VIRTIO_RING_F_INDIRECT_DESC
    | 1 << PROTOCOL_FEATURES
    | 1 << virtio_net::VIRTIO_NET_F_MTU
    | 1 << virtio_net::VIRTIO_NET_F_MAC
    | 1 << virtio_net::VIRTIO_NET_F_STATUS
    | 1 << virtio_net::VIRTIO_NET_F_SPEED_DUPLEX;

/// What the library calls.
pub(crate) struct Backend {
    nic: Arc<Nic>,
    queue_size: u16,
    /// Ends the library's thread for doorbells; handed over once.
    exit: Mutex<Option<(EventConsumer, EventNotifier)>>,
}

impl Backend {
    /// For `nic`, with rings of at most `queue_size` entries.
    pub(crate) fn new(nic: Arc<Nic>, queue_size: u16) -> io::Result<Backend> {
        let exit = new_event_consumer_and_notifier(EventFlag::NONBLOCK | EventFlag::CLOEXEC)?;
        Ok(Backend { nic, queue_size, exit: Mutex::new(Some(exit)) })
    }
}

impl VhostUserBackend for Backend {
    type Bitmap = ();
    type Vring = Vring;

    fn num_queues(&self) -> usize {
        offered().count()
    }

    fn max_queue_size(&self) -> usize {
        self.queue_size.into()
    }

    fn features(&self) -> u64 {
        FEATURES
    }

    fn acked_features(&self, features: u64) {
        tracing::debug!(features = format_args!("{features:#x}"), "features accepted");
        self.nic.negotiated(features);
    }

    /// MQ only says how many queues there are (QEMU takes it for one without); STATUS breaks the
    /// connection (the library does not know SET_STATUS).
    fn protocol_features(&self) -> VhostUserProtocolFeatures {
        VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::BACKEND_REQ
    }

    fn set_backend_req_fd(&self, library: LibraryChannel) {
        let channel = Channel::take(library);
        if channel.is_none() {
            tracing::warn!(
                "the front end's channel is not among the sockets: the link's state cannot change"
            );
        }
        self.nic.set_channel(channel);
    }

    /// The queues are told through their vrings.
    fn set_event_idx(&self, _: bool) {}

    fn get_config(&self, offset: u32, size: u32) -> Vec<u8> {
        self.nic.read_config(offset, size)
    }

    fn set_config(&self, offset: u32, bytes: &[u8]) -> io::Result<()> {
        self.nic.write_config(offset, bytes);
        Ok(())
    }

    /// The vrings hold the memory and look at it anew each time.
    fn update_memory(&self, _: Memory) -> io::Result<()> {
        tracing::debug!("guest memory shared");
        Ok(())
    }

    fn exit_event(&self, _: usize) -> Option<(EventConsumer, EventNotifier)> {
        self.exit.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// A queue is to run; its doorbells do not come here (see [`Vring`]).
    fn handle_event(&self, event: u16, _: EventSet, _: &[Vring], _: usize) -> io::Result<()> {
        if let Some(queue) = QueueId::from_virtqueue(event) {
            self.nic.run(queue);
        }
        Ok(())
    }
}
