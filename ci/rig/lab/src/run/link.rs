//! The device's link, what the device does wrong on request, and drivers that do not start.

use super::Run;
use crate::base::wait::{Limits, Look};
use crate::device::control::{Fault, QueueId};
use crate::guest::need::Need;
use agent_protocol::{Command, Message};
use anyhow::{Result, bail};
use std::time::Duration;

/// Within this a driver that looks at the link has reported it, many times over.
const REPORTED: Duration = Duration::from_secs(4);

impl Run {
    /// The device's link goes down or comes up.
    pub fn set_link(&mut self, up: bool) -> Result<()> {
        let name = if up { "the device's link comes up" } else { "the device's link goes down" };
        self.step(name, |run| {
            run.session.control.set_link(up).map_err(|error| run.session.explain(error))?;
            Ok(((), String::new()))
        })
    }

    /// The device is to go wrong so many times from now on; at a queue, if it is a queue's fault.
    pub fn arm_fault(&mut self, fault: Fault, queue: Option<QueueId>, count: u64) -> Result<()> {
        let at = queue.map_or_else(String::new, |queue| format!(" at {queue}"));
        self.step(format!("the device is to go wrong: {count} times {fault}{at}"), |run| {
            let armed = run.session.control.arm_fault(fault, queue, count);
            armed.map_err(|error| run.session.explain(error))?;
            Ok(((), String::new()))
        })
    }

    /// The device has gone wrong in this way.
    pub fn expect_fault(&mut self, fault: Fault) -> Result<()> {
        let stats = self.session.control.stats().map_err(|error| self.session.explain(error))?;
        let happened = stats.faults.iter().filter(|state| state.fault == fault && state.happened > 0).count();
        self.expect("kinds of faults that happened", happened, 1)
    }

    /// Waits until the driver's last word on the link is this.
    pub fn await_link(&mut self, up: bool) -> Result<()> {
        self.require(Need::Callbacks)?;
        let wanted = if up { "link up" } else { "link down" };
        self.step(format!("the driver reports {wanted}"), |run| {
            run.wait_at_most(Limits::of(REPORTED), &format!("the driver's report of {wanted}"), |run| {
                run.ask(Command::Report)?;
                let last = run.session.agent.said().into_iter().rev().find_map(|said| match said {
                    Message::Event { what, .. } if what.starts_with("link ") => Some(what),
                    _ => None,
                });
                let last = last.unwrap_or_else(|| "nothing".into());
                Ok(if last == wanted {
                    Look::Found(())
                } else {
                    Look::NotYet(format!("it has reported {last}"))
                })
            })?;
            Ok(((), String::new()))
        })
    }

    /// Loads the drivers, which must fail for this reason.
    pub fn load_refused(&mut self, why: &str) -> Result<()> {
        self.step("load the drivers, which is refused", |run| match run.ask(Command::Load) {
            Ok(_) => bail!("they were loaded"),
            Err(error) if error.to_string().contains(why) => {
                run.facts.load_refused = true;
                Ok(((), error.to_string()))
            }
            Err(error) => Err(error.context(format!("not for the reason {why:?}"))),
        })
    }
}
