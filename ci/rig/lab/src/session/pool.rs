//! Machines of an image that have run a scenario well and may run another: one boot for many.
//!
//! Only a machine that nothing is left in is kept: no driver loaded, no frame at the device, no finding of its judge, no
//! file open. What it counts begins anew. A scenario that goes wrong takes its machine with it.

use super::Session;
use crate::settings::{Device, Settings};
use anyhow::Result;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What scenarios on one machine have in common. Its order is of no meaning, but that alike ones stand together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct MachineKind {
    device: Device,
    parameters: BTreeMap<&'static str, u32>,
}

impl MachineKind {
    /// The machine that these settings need.
    pub fn of(settings: &Settings) -> Self {
        Self { device: settings.device.clone(), parameters: settings.parameters() }
    }
}

#[derive(Debug)]
struct Idle {
    kind: MachineKind,
    session: Session,
}

/// The machines that wait for a scenario.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Mutex<Vec<Idle>>,
}

impl Pool {
    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A machine for these settings. If there is none but one of another kind, that one is switched off to make room.
    pub fn take(&self, settings: &Settings) -> Result<Option<Session>> {
        let (found, other) = {
            let mut idle = self.idle();
            let kind = MachineKind::of(settings);
            match idle.iter().position(|idle| idle.kind == kind) {
                Some(at) => (Some(idle.swap_remove(at).session), None),
                None => (None, idle.pop()),
            }
        };
        if let Some(mut other) = other {
            other.session.end()?;
        }
        Ok(found)
    }

    /// Keeps a machine that has run well with these settings, or switches it off if something is left in it.
    pub fn keep(&self, settings: &Settings, mut session: Session) -> Result<()> {
        if session.renew(settings.name)? {
            self.idle().push(Idle { kind: MachineKind::of(settings), session });
            return Ok(());
        }
        session.end()
    }

    /// Switches off those that still wait.
    pub fn end(&self) -> Result<()> {
        let idle = std::mem::take(&mut *self.idle());
        idle.into_iter().try_for_each(|mut idle| idle.session.end())
    }
}
