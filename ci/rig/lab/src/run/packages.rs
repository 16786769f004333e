//! What any driver can be asked for, whatever its device: by the name of its service.

use super::Run;
use crate::base::files::Subject;
use crate::guest::need::Need;
use agent_protocol::Command;
use anyhow::{Result, bail};

/// How a load ended that may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// The drivers are loaded; whether the allocation failed that was to fail.
    Done(bool),
    /// A driver refused, and what had been loaded is gone.
    Refused,
}

impl Run {
    /// The drivers that are judged. These scenarios are for understudy.
    ///
    /// # Errors
    /// The guest is another one.
    pub fn subjects(&mut self) -> Result<Vec<Subject>> {
        self.require(Need::OwnKernel)?;
        Ok(self.settings.files.subjects().cloned().collect())
    }

    /// Whether one of them is a network adapter.
    pub fn has_nic(&self) -> bool {
        self.settings.files.subjects().any(|subject| subject.net)
    }

    /// Pulls out the device of a service, and unloads what is left.
    pub fn pull_out(&mut self, service: &str) -> Result<()> {
        self.down()?;
        self.remove(service, true)?;
        self.ended_lives.push(self.session.agent.heard());
        if self.settings.files.drivers.len() > 1 {
            return self.unload();
        }
        // nothing is left to unload; the books are
        self.ask(Command::Report)?;
        self.unloaded();
        Ok(())
    }

    /// Loads the drivers while the allocation of `service` fails that follows `after` others of it.
    pub fn load_without_memory(&mut self, service: &str, after: u32) -> Result<Load> {
        self.fail_allocation(service, after)?;
        let before = self.failed_allocations().len();
        let refused = self.try_load()?;
        let failed = self.failed_allocations().len() > before;
        match refused {
            None => Ok(Load::Done(failed)),
            Some(_) if failed => Ok(Load::Refused),
            Some(why) => bail!("{why}, though every allocation succeeded"),
        }
    }

    /// Whether frames that leave the card are lost from now on.
    pub fn silence_wire(&mut self, silent: bool) -> Result<()> {
        let name = if silent { "the wire falls silent" } else { "the wire carries frames again" };
        self.step(name, |run| {
            let Some(wire) = &run.session.wire else { bail!("the device has no wire") };
            wire.set_silent(silent);
            Ok(((), String::new()))
        })
    }
}
