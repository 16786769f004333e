//! Whether a queue is in service, and its ring while it is.

use cancelnic_registers::CommandResult;
use vm_memory::GuestMemory;

use crate::ring::Ring;
use crate::{Broken, Rings};

/// Work that one `run` does, so that nobody waits long for the queue's lock: a step of the pipeline, a descriptor looked at
/// and [`BYTES_PER_WORK`] bytes copied count 1 each. The last chain may exceed it, by a ring's worth of descriptors.
pub(crate) const WORK_PER_RUN: usize = 1024;
/// Bytes that cost as much as a descriptor.
pub(crate) const BYTES_PER_WORK: usize = 512;

/// A queue's service.
#[derive(Debug)]
pub(crate) enum Service {
    /// Before the first time, or after GET_VRING_BASE: guest memory is not touched.
    Out { base: u16 },
    /// In service.
    In { ring: Ring, broken: Option<Broken> },
    /// In service by name, with rings that cannot be used.
    Unusable { base: u16, why: Broken },
}

impl Service {
    /// Enters service; the reason if the rings cannot be used.
    pub(crate) fn enter<M: GuestMemory>(&mut self, memory: &M, rings: &Rings) -> Option<Broken> {
        match Ring::enter(memory, rings) {
            Ok(ring) => {
                *self = Service::In { ring, broken: None };
                None
            }
            Err(why) => {
                *self = Service::Unusable { base: rings.base, why };
                Some(why)
            }
        }
    }

    /// Leaves service, with `outstanding` chains taken and not completed.
    pub(crate) fn leave(&mut self, outstanding: usize) -> u16 {
        let base = match self {
            Service::Out { base } | Service::Unusable { base, .. } => *base,
            // At most a ring's worth of chains is outstanding on a ring that keeps the rules; on any other
            // the base means nothing.
            Service::In { ring, .. } => {
                ring.next_index().wrapping_sub(u16::try_from(outstanding).unwrap_or(u16::MAX))
            }
        };
        *self = Service::Out { base };
        base
    }

    pub(crate) fn is_in(&self) -> bool {
        !matches!(self, Service::Out { .. })
    }

    pub(crate) fn broken(&self) -> Option<Broken> {
        match self {
            Service::Out { .. } => None,
            Service::In { broken, .. } => *broken,
            Service::Unusable { why, .. } => Some(*why),
        }
    }

    /// Marks the queue broken; the reason, if it was not broken before.
    pub(crate) fn mark_broken(&mut self, why: Broken) -> Option<Broken> {
        match self {
            Service::In { broken: broken @ None, .. } => {
                *broken = Some(why);
                Some(why)
            }
            _ => None,
        }
    }

    /// What a command on the queue is answered with, if it cannot be carried out.
    pub(crate) fn health(&self) -> Result<(), CommandResult> {
        match self {
            Service::Out { .. } => Err(CommandResult::NotInService),
            Service::In { broken: None, .. } => Ok(()),
            Service::In { .. } | Service::Unusable { .. } => Err(CommandResult::Broken),
        }
    }

    /// The ring to take chains from.
    pub(crate) fn source(&mut self) -> Option<&mut Ring> {
        match self {
            Service::In { ring, broken: None } => Some(ring),
            _ => None,
        }
    }

    /// The ring to complete chains on: a broken queue still writes the used elements it owes.
    pub(crate) fn ring(&mut self) -> Option<&mut Ring> {
        match self {
            Service::In { ring, .. } => Some(ring),
            _ => None,
        }
    }

    /// Chains available now; 0 if that cannot be said.
    pub(crate) fn available<M: GuestMemory>(&self, memory: &M) -> u64 {
        match self {
            Service::In { ring, broken: None } => ring.available(memory).map_or(0, u64::from),
            _ => 0,
        }
    }
}
