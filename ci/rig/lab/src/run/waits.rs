//! How a run waits: each look is followed by a check of whether the goal can still be reached.
//!
//! The mechanism of time and progress is [`crate::base::wait`]'s. Here are the facts that make every goal unreachable: the
//! guest has stopped, the driver has given the device up, the device's judge has found a fault, a queue is broken, the
//! machine is not running any more.

use super::Run;
use crate::base::wait::{LIMIT, Limits, Look, follow};
use crate::device::TX;
use crate::device::control::Stats;
use crate::guest::agent::AgentError;
use crate::session::GIVEN_UP;
use crate::verdict::{self, fault_of};
use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Between two looks.
const PERIOD: Duration = Duration::from_millis(1);
/// Between two questions to the device that only serve the check.
const ASK_DEVICE: Duration = Duration::from_millis(20);
/// Between two questions to QEMU.
const ASK_QEMU: Duration = Duration::from_secs(1);

/// When the parties were asked last whether the goal of a wait can still be reached.
#[derive(Debug)]
pub(super) struct Hopes {
    device: Option<Instant>,
    qemu: Instant,
}

impl Hopes {
    /// A wait begins. QEMU is asked only if it lasts.
    pub(super) fn new() -> Self {
        Self { device: None, qemu: Instant::now() }
    }
}

impl Run {
    /// Waits, as a part of a step, until `look` finds what is waited for. Every look that has not found it describes
    /// how far it has come. The wait ends at once when the goal cannot be reached any more.
    pub fn wait<T>(&mut self, what: &str, look: impl FnMut(&mut Self) -> Result<Look<T>>) -> Result<T> {
        self.wait_at_most(Limits::of(LIMIT), what, look)
    }

    /// The same with other limits.
    pub(super) fn wait_at_most<T>(
        &mut self,
        limits: Limits,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Result<Look<T>>,
    ) -> Result<T> {
        let mut hopes = Hopes::new();
        follow(what, limits, PERIOD, || {
            let seen = look(self)?;
            if matches!(seen, Look::NotYet(_)) {
                self.check_hopes(&mut hopes)?;
            }
            Ok(seen)
        })
    }

    /// Fails if nothing that a scenario can wait for will come any more.
    fn check_hopes(&mut self, hopes: &mut Hopes) -> Result<()> {
        if let Some(bug_check) = self.session.agent.bug_check() {
            return Err(bug_check.into());
        }
        if self.session.agent.has_ended() {
            return Err(self.session.explain(AgentError::Gone));
        }
        self.check_driver()?;
        let now = Instant::now();
        if hopes.device.is_none_or(|asked| now.saturating_duration_since(asked) >= ASK_DEVICE) {
            hopes.device = Some(now);
            let seen = self.session.control.stats().map_err(|error| self.session.explain(error))?;
            if let Err(fault) = self.check_device(&seen) {
                // kept: the device may be gone when the run ends
                self.facts.device = seen;
                return Err(fault);
            }
        }
        if now.saturating_duration_since(hopes.qemu) >= ASK_QEMU {
            hopes.qemu = now;
            let status = self.session.monitor.status().map_err(|error| self.session.explain(error))?;
            if GIVEN_UP.contains(&status.as_str()) {
                bail!("QEMU reports that the machine has stopped: {status}");
            }
        }
        Ok(())
    }

    /// The driver resets the device when it gives up waiting for it: what was under way is lost, and no later step can
    /// make up for that. A scenario that waits for the watchdog expects it.
    pub(super) fn check_driver(&mut self) -> Result<()> {
        if self.facts.device_given_up {
            return Ok(());
        }
        for text in self.session.agent.prints_from(&mut self.prints_read) {
            self.given_up = self.given_up.take().or_else(|| verdict::given_up(&text));
        }
        match &self.given_up {
            Some(fault) => bail!("{}", fault_of(fault)),
            None => Ok(()),
        }
    }

    fn check_device(&self, seen: &Stats) -> Result<()> {
        if let Some(fault) = verdict::device_faults(seen, self.facts.device_given_up).first() {
            bail!("{}", fault_of(fault));
        }
        // The driver's fates were reported before the device was asked, whose counts only grow.
        let told = !self.facts.device_given_up && !self.facts.fates_untold;
        let Some(tx) = seen.queue(TX).filter(|_| told) else { return Ok(()) };
        for (fate, reported, counted) in [
            ("sent", self.facts.tx.sent.len(), tx.sent),
            ("taken back", self.facts.tx.taken_back.len(), tx.taken_back),
        ] {
            if reported > counted {
                bail!("tx0: the driver reports {reported} frames {fate}, the device has {counted}");
            }
        }
        Ok(())
    }

    /// The numbers of the device's queues at this moment, for the description of how far a wait has come.
    pub(super) fn device_line(&mut self) -> Result<String> {
        let seen = self.session.control.stats().map_err(|error| self.session.explain(error))?;
        let line = seen.queues.iter().rev().map(|queue| format!("{} {}", queue.queue, queue.describe()));
        Ok(line.collect::<Vec<_>>().join("; "))
    }
}
