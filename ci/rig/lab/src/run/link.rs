//! The device's link, and drivers that do not start.

use super::Run;
use crate::base::wait::{Limits, Look};
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
