//! What a scenario does with a driver that gets no memory: steps that the guest may fail to do, and goes on after.

use super::Run;
use crate::guest::agent::AgentError;
use agent_protocol::{Command, Message};
use anyhow::Result;

/// Why the guest could not do what a step asked for; `None` if it has done it.
pub type Failed = Option<String>;

impl Run {
    /// Lets the allocation of a service's driver fail that follows `after` others.
    pub fn fail_allocation(&mut self, service: &str, after: u32) -> Result<()> {
        let name = format!("no memory for {service} after {after} allocations");
        self.order(name, Command::FailAllocation { service: service.into(), after })
    }

    /// The allocations that have failed because the run wanted it, each in words.
    pub fn failed_allocations(&self) -> Vec<String> {
        let said = self.session.agent.said().into_iter();
        said.filter_map(|said| match said {
            Message::Event { queue, what, .. } if queue == "memory" => Some(what),
            _ => None,
        })
        .collect()
    }

    /// As [`Self::load`], which may fail: then nothing is loaded.
    pub fn try_load(&mut self) -> Result<Failed> {
        let failed = self.attempt("load the drivers", Self::load_now)?;
        if failed.is_some() {
            // a queue may have had a life before another driver failed
            self.look()?;
            self.ended_lives.push(self.session.agent.heard());
            self.unloaded();
        }
        Ok(failed)
    }

    /// As [`Self::power_up`], which may fail: then the device stays without power.
    pub fn try_power_up(&mut self) -> Result<Failed> {
        self.attempt("power up with new queues", Self::power_up_now)
    }

    /// As [`Self::send`], which may fail: then no frame has been given.
    pub fn try_send(&mut self, count: u32) -> Result<Failed> {
        self.attempt(format!("send {count} frames"), |run| {
            let (first, last) = run.take_numbers(count);
            let asked = run.ask(Command::Send { first, count, len: 60, fragments: 1, cancel_id: 0 });
            if asked.is_err() {
                run.give_numbers_back(first);
            }
            asked?;
            Ok(((), format!("numbers {first} to {last}")))
        })
    }

    /// A step that the guest may fail to do, and goes on after.
    fn attempt(
        &mut self,
        name: impl Into<String>,
        act: impl FnOnce(&mut Self) -> Result<((), String)>,
    ) -> Result<Failed> {
        self.step(name, |run| match act(run) {
            Ok(((), detail)) => Ok((None, detail)),
            Err(error) => match error.downcast() {
                Ok(AgentError::Failed(why)) => Ok((Some(why.clone()), format!("it failed: {why}"))),
                Ok(error) => Err(error.into()),
                Err(error) => Err(error),
            },
        })
    }
}
