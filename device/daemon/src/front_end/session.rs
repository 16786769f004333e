//! The requests of the front end, one after the other: what is offered, and what each of them does. Nothing here waits: a
//! delay stops the whole virtual machine.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use rustix::fs::OFlags;
use vhost::vhost_user::message::{FrontendReq, VHOST_USER_CONFIG_SIZE, VhostUserProtocolFeatures};
use virtio_bindings::bindings::{virtio_config, virtio_net, virtio_ring};

use super::doorbells::Doorbells;
use super::memory::{self, Places};
use super::message::{Message, longs, words};
use super::ring::Ring;
use super::{Breach, Channel};
use crate::nic::Nic;

/// VHOST_USER_F_PROTOCOL_FEATURES.
const PROTOCOL_FEATURES: u64 = 1 << 30;

/// The virtio features that are offered. Not among them, on purpose: RING_RESET (QEMU does not
/// forward a queue's reset: the device would go on with the old ring) and ACCESS_PLATFORM (no IOTLB).
const FEATURES: u64 = 1 << virtio_config::VIRTIO_F_VERSION_1
    | 1 << virtio_ring::VIRTIO_RING_F_EVENT_IDX
    | 1 << virtio_ring::VIRTIO_RING_F_INDIRECT_DESC
    | PROTOCOL_FEATURES
    | 1 << virtio_net::VIRTIO_NET_F_MTU
    | 1 << virtio_net::VIRTIO_NET_F_MAC
    | 1 << virtio_net::VIRTIO_NET_F_STATUS
    | 1 << virtio_net::VIRTIO_NET_F_SPEED_DUPLEX;

/// The features of the protocol that are offered. MQ only says how many queues there are (QEMU takes it for one without).
/// Not among them, on purpose: STATUS, whose requests would only repeat what the rings say.
const PROTOCOL: VhostUserProtocolFeatures = VhostUserProtocolFeatures::CONFIG
    .union(VhostUserProtocolFeatures::REPLY_ACK)
    .union(VhostUserProtocolFeatures::MQ)
    .union(VhostUserProtocolFeatures::BACKEND_REQ);

/// Bit of a doorbell's or an interrupt's request: no descriptor comes with it.
const NO_DESCRIPTOR: u64 = 1 << 8;

/// One front end's connection.
pub(crate) struct Session {
    nic: Arc<Nic>,
    stream: UnixStream,
    /// By number.
    rings: Vec<Ring>,
    doorbells: Doorbells,
    places: Places,
    features: u64,
    protocol: VhostUserProtocolFeatures,
}

impl Session {
    /// Over `stream`, with rings of at most `queue_size` entries.
    pub(crate) fn new(nic: Arc<Nic>, stream: UnixStream, queue_size: u16) -> io::Result<Session> {
        let services = nic.clone().services();
        let rings = services.iter().map(|service| Ring::new(service.clone(), queue_size)).collect();
        Ok(Session {
            nic,
            stream,
            rings,
            doorbells: Doorbells::start(services)?,
            places: Places::default(),
            features: 0,
            protocol: VhostUserProtocolFeatures::empty(),
        })
    }

    /// Answers requests until the front end leaves.
    ///
    /// # Errors
    /// The front end does not keep the protocol.
    pub(crate) fn run(&mut self) -> Result<(), Breach> {
        while let Some(mut message) = Message::receive(&self.stream)? {
            let descriptors = std::mem::take(&mut message.descriptors);
            let done = self.carry_out(message.request, &message.body, descriptors);
            let wants = message.needs_reply && self.protocol.contains(VhostUserProtocolFeatures::REPLY_ACK);
            match &done {
                Ok(Some(answer)) => message.answer(&self.stream, answer)?,
                Ok(None) if wants => message.answer(&self.stream, &0u64.to_le_bytes())?,
                Err(_) if wants => message.answer(&self.stream, &1u64.to_le_bytes())?,
                Ok(None) | Err(_) => {}
            }
            done?;
        }
        Ok(())
    }

    /// Carries out one request. The body of its answer, if it has one.
    fn carry_out(
        &mut self,
        request: u32,
        body: &[u8],
        mut descriptors: Vec<OwnedFd>,
    ) -> Result<Option<Vec<u8>>, Breach> {
        use FrontendReq as Req;
        let not_offered = || Breach::Request(request);
        let request = Req::try_from(request).map_err(|_| not_offered())?;
        let form = || Breach::Body(request, body.len());
        let many = descriptors.len();
        let number = || longs(body).map(|[number]| number).ok_or_else(form);
        let about_ring = || words(body).map(|[ring, value]| (u64::from(ring), value)).ok_or_else(form);
        let nothing = || if body.is_empty() { Ok(()) } else { Err(form()) };
        let descriptors_fit = match request {
            Req::SET_MEM_TABLE => true,
            Req::SET_VRING_KICK | Req::SET_VRING_CALL | Req::SET_VRING_ERR => {
                (number()? & NO_DESCRIPTOR == 0) == (many == 1) && many <= 1
            }
            Req::SET_BACKEND_REQ_FD => many == 1,
            _ => many == 0,
        };
        if !descriptors_fit {
            return Err(Breach::Descriptors(request, many));
        }
        let needed = match request {
            Req::GET_CONFIG | Req::SET_CONFIG => VhostUserProtocolFeatures::CONFIG,
            Req::GET_QUEUE_NUM => VhostUserProtocolFeatures::MQ,
            Req::SET_BACKEND_REQ_FD => VhostUserProtocolFeatures::BACKEND_REQ,
            _ => VhostUserProtocolFeatures::empty(),
        };
        if !self.protocol.contains(needed) {
            return Err(not_offered());
        }
        let answer = |number: u64| Ok(Some(number.to_le_bytes().to_vec()));
        match request {
            Req::SET_OWNER => nothing()?,
            Req::RESET_OWNER => {
                nothing()?;
                (self.features, self.protocol) = (0, VhostUserProtocolFeatures::empty());
            }
            Req::GET_FEATURES => return nothing().and_then(|()| answer(FEATURES)),
            Req::SET_FEATURES => self.set_features(number()?)?,
            Req::GET_PROTOCOL_FEATURES => return nothing().and_then(|()| answer(PROTOCOL.bits())),
            Req::SET_PROTOCOL_FEATURES => {
                let features = number()?;
                let accepted = VhostUserProtocolFeatures::from_bits(features);
                self.protocol = accepted
                    .filter(|accepted| PROTOCOL.contains(*accepted))
                    .ok_or(Breach::ProtocolFeatures(features & !PROTOCOL.bits()))?;
            }
            Req::GET_QUEUE_NUM => return nothing().and_then(|()| answer(self.rings.len() as u64)),
            Req::SET_MEM_TABLE => {
                let (memory, places) = memory::map(body, descriptors)?;
                tracing::debug!("guest memory shared");
                self.nic.share_memory(memory);
                self.places = places;
            }
            Req::SET_VRING_NUM => {
                let (ring, size) = about_ring()?;
                self.change(ring, |ring, places| ring.change(places, |said| said.size = Some(size)))?;
            }
            Req::SET_VRING_ADDR => {
                // ring and flags (only for logging, which is not offered), then where the parts are
                let [ring, desc, used, avail, _log] = longs(body).ok_or_else(form)?;
                let addresses = Some([desc, avail, used]);
                let ring = ring & u64::from(u32::MAX);
                self.change(ring, |ring, places| ring.change(places, |said| said.addresses = addresses))?;
            }
            Req::SET_VRING_BASE => {
                let (ring, base) = about_ring()?;
                // An index has 16 bits.
                let base = (base & u32::from(u16::MAX)) as u16;
                self.change(ring, |ring, places| ring.change(places, |said| said.base = base))?;
            }
            Req::GET_VRING_BASE => {
                let (number, _) = about_ring()?;
                let mut base = 0;
                self.change(number, |ring, _| {
                    base = ring.leave();
                    ring.kick = None;
                    ring.service().set_call(None);
                })?;
                return answer(number | u64::from(base) << 32);
            }
            Req::SET_VRING_KICK => {
                let kick = descriptors.pop().map(|kick| Arc::new(without_blocking(kick)));
                self.change(number()? & !NO_DESCRIPTOR, |ring, places| {
                    ring.kick = kick;
                    ring.enter(places);
                })?;
            }
            Req::SET_VRING_CALL => {
                let call = descriptors.pop().map(without_blocking);
                self.change(number()? & !NO_DESCRIPTOR, |ring, places| {
                    ring.service().set_call(call);
                    ring.enter(places);
                })?;
            }
            // There is nothing to tell the front end on it.
            Req::SET_VRING_ERR => self.change(number()? & !NO_DESCRIPTOR, |_, _| {})?,
            Req::SET_VRING_ENABLE => {
                let (ring, enabled) = about_ring()?;
                if self.features & PROTOCOL_FEATURES == 0 || enabled > 1 {
                    return Err(form());
                }
                self.change(ring, |ring, _| ring.set_enabled(enabled == 1))?;
            }
            Req::SET_BACKEND_REQ_FD => {
                let channel = descriptors.pop().map(Channel::try_from).transpose()?;
                self.nic.set_channel(channel);
            }
            Req::GET_CONFIG => return self.config(body).ok_or_else(form).map(Some),
            Req::SET_CONFIG => {
                let (offset, bytes) = config_part(body).ok_or_else(form)?;
                self.nic.write_config(offset, bytes);
            }
            _ => return Err(not_offered()),
        }
        Ok(None)
    }

    /// Does something to the ring of that number; listens to its doorbell afterwards as it then needs.
    fn change(&mut self, number: u64, change: impl FnOnce(&mut Ring, &Places)) -> Result<(), Breach> {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let ring = self.rings.get_mut(at).ok_or(Breach::Ring(number))?;
        change(ring, &self.places);
        self.doorbells.set(at, ring.bell()).map_err(Breach::Doorbell)
    }

    fn set_features(&mut self, features: u64) -> Result<(), Breach> {
        if features & !FEATURES != 0 {
            return Err(Breach::Features(features & !FEATURES));
        }
        tracing::debug!(features = format_args!("{features:#x}"), "features accepted");
        self.features = features;
        let event_idx = features & 1 << virtio_ring::VIRTIO_RING_F_EVENT_IDX != 0;
        for number in 0..self.rings.len() {
            self.change(number as u64, |ring, places| {
                ring.change(places, |said| said.event_idx = event_idx);
                // Without protocol features rings cannot be enabled by a request.
                if features & PROTOCOL_FEATURES == 0 {
                    ring.set_enabled(true);
                }
            })?;
        }
        self.nic.negotiated(features);
        Ok(())
    }

    /// The answer to GET_CONFIG: offset, size and flags as they came, and the bytes.
    fn config(&self, body: &[u8]) -> Option<Vec<u8>> {
        let (offset, bytes) = config_part(body)?;
        let size = u32::try_from(bytes.len()).ok()?;
        let head = body.split_at_checked(body.len().checked_sub(bytes.len())?)?.0;
        Some([head, &self.nic.read_config(offset, size)].concat())
    }
}

/// Offset and bytes of a part of the configuration space: offset, size, flags, bytes. `None` if no space has that part.
fn config_part(body: &[u8]) -> Option<(u32, &[u8])> {
    let (head, bytes) = body.split_first_chunk::<12>()?;
    let [offset, size, _flags] = words(head)?;
    let fits = offset.checked_add(size).is_some_and(|end| end <= VHOST_USER_CONFIG_SIZE) && size > 0;
    (fits && usize::try_from(size) == Ok(bytes.len())).then_some((offset, bytes))
}

/// A descriptor of the front end's that can never make us wait.
fn without_blocking(descriptor: OwnedFd) -> OwnedFd {
    let flags = rustix::fs::fcntl_getfl(descriptor.as_fd());
    if let Err(error) = flags.and_then(|flags| rustix::fs::fcntl_setfl(&descriptor, flags | OFlags::NONBLOCK))
    {
        tracing::debug!(%error, "an event descriptor stays blocking");
    }
    descriptor
}
