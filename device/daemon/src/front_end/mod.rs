//! The front end: one connection over vhost-user, from its first message to its last.
//!
//! Two kinds of things come over it. What the *front end* chooses (the messages themselves, features, memory, descriptors)
//! is checked when it comes, and a [`Breach`] ends the connection. What the *guest* chooses (size and addresses of a ring,
//! registers) is never a breach, since the virtual machine would end with the connection: it is stored as it is, and judged by
//! the model when the queue enters service, where the answer is a broken queue.

mod channel;
mod doorbells;
mod memory;
mod message;
mod ring;
mod session;

use std::io;
use std::os::fd::OwnedFd;

use cancelnic_model::Rings;
use thiserror::Error;
use vhost::vhost_user::message::FrontendReq;

pub(crate) use channel::Channel;
pub(crate) use memory::Memory;
pub(crate) use session::Session;

/// What a queue does when the front end starts, stops, enables and disables it. Called from the thread that answers the front
/// end, one call at a time, except where it says more; none may block on the guest, on a gate or on wire time.
pub(crate) trait Service: Send + Sync {
    /// The queue's name, for the log.
    fn name(&self) -> &'static str;
    /// The queue enters service. Rings that cannot be used are the guest's affair: they make it a broken queue.
    fn enter(&self, rings: Rings);
    /// The queue leaves service. Whatever it owes is done before this returns; nothing of its memory is
    /// touched afterwards. Gives the oldest chain without a used element. Harmless if not in service.
    fn leave(&self) -> u16;
    /// Whether it may fetch and receive.
    fn set_enabled(&self, enabled: bool);
    /// Where its interrupts go: a descriptor that never makes a write wait.
    fn set_call(&self, call: Option<OwnedFd>);
    /// Its doorbell was rung. All that is to be done for it now is done before this returns. For the doorbell thread.
    fn doorbell(&self);
    /// It is to run, whether its doorbell was rung or not. For the doorbell thread.
    fn run(&self);
    /// Its doorbell cannot be read: the connection is of no use any more. For the doorbell thread.
    fn doorbell_failed(&self, error: io::Error);
}

/// Why a connection ends before the front end wants it to: the front end does not keep the protocol.
#[derive(Debug, Error)]
pub(crate) enum Breach {
    /// Not a request of vhost-user's first version, or longer than any.
    #[error("a message begins with flags {flags:#x} and a length of {len}")]
    Header { flags: u32, len: u32 },
    /// They are lost, and nothing that follows can be trusted.
    #[error(
        "descriptors came that cannot be received: too many, or not with a message's beginning, or this process has none free"
    )]
    DescriptorsLost,
    /// A request that is not known, or that belongs to a protocol feature that was not accepted.
    #[error("request {0} was not offered")]
    Request(u32),
    /// Not among those that were offered.
    #[error("features {0:#x} were not offered")]
    Features(u64),
    /// Not among those that were offered.
    #[error("protocol features {0:#x} were not offered")]
    ProtocolFeatures(u64),
    /// There are fewer.
    #[error("there is no ring {0}")]
    Ring(u64),
    /// Not of the form that the request has.
    #[error("{0:?} with a body of {1} bytes that it cannot have")]
    Body(FrontendReq, usize),
    /// A descriptor is missing, or one is too many.
    #[error("{0:?} with {1} descriptors")]
    Descriptors(FrontendReq, usize),
    /// It cannot be listened to.
    #[error("a doorbell that cannot be listened to: {0}")]
    Doorbell(io::Error),
    /// It is not a Unix stream socket.
    #[error("a channel that is not a Unix stream socket")]
    Channel,
    /// It cannot be mapped, or regions overlap.
    #[error("guest memory cannot be shared: {0}")]
    Memory(String),
    /// Reading or writing failed.
    #[error("the connection: {0}")]
    Connection(io::Error),
}

impl Breach {
    /// Whether the front end asked for more than there is, as a wrong command line of it would.
    pub(crate) fn is_beyond_the_offer(&self) -> bool {
        matches!(
            self,
            Breach::Request(_) | Breach::Features(_) | Breach::ProtocolFeatures(_) | Breach::Ring(_)
        )
    }
}
