//! Queues that are not given back: what is still owned, and by whom.

use super::{LAST_WORDS, Run};
use crate::base::wait::Look;
use crate::device::TX;
use crate::device::control::State;
use crate::facts::hang::Hang;
use crate::facts::reports::describe;
use crate::guest::agent::AgentError;
use crate::guest::need::Need;
use crate::verdict::{runs, violation};
use agent_protocol::{Command, QueueView};
use anyhow::{Context, Result, anyhow};
use cancelnic_registers::QueueId;
use std::sync::Arc;
use std::time::Duration;

impl Run {
    /// A command does not end: shows every queue that is cancelled and not given back, and names the packets that the
    /// driver keeps although the device has given all back.
    pub(super) fn find_kept(&mut self, limit: Duration) -> anyhow::Error {
        let report = self.session.agent.call(Command::Report, self.patience.min(LAST_WORDS));
        self.mute = report.is_err();
        let (Ok(report), Ok(hangs)) = (report, self.hangs()) else {
            return Arc::clone(&self.guest).explain_silence(self, limit);
        };
        self.keep(report);
        self.facts.hangs.extend(hangs);
        match self.session.control.queue(TX) {
            Ok(seen) => {
                let outstanding = &self.facts.tx.outstanding;
                let owed = seen.available + seen.fetched + seen.on_wire + seen.off_wire;
                if !outstanding.is_empty() && seen.state == State::Stopped && owed == 0 {
                    let place = format!("tx0: frames {}", runs(outstanding));
                    return self.fault(violation("PacketKept", "EvtCancel", place));
                }
                anyhow!(
                    "not done within {} ms: {}; device: {}",
                    limit.as_millis(),
                    describe(&self.facts.tx, &self.facts.rx),
                    seen.describe()
                )
            }
            Err(_) => self.session.explain(AgentError::TimedOut(limit)),
        }
    }

    /// Every queue that is cancelled and not given back at this moment.
    fn hangs(&mut self) -> Result<Vec<Hang>, AgentError> {
        let inspected = self.session.agent.call(Command::Inspect, self.patience.min(LAST_WORDS))?;
        let kept = |view: &&QueueView| view.packets.owned() != 0 || view.fragments.owned() != 0;
        let hanging = inspected.views.iter().filter(|view| view.cancelled).filter(kept);
        Ok(hanging.map(|view| self.hang(view)).collect())
    }

    /// The same as a step, for a pause that a scenario keeps from ending.
    pub fn look_for_hangs(&mut self) -> Result<Vec<Hang>> {
        self.step("look for queues not given back", |run| {
            run.require(Need::Views)?;
            let hangs = run.hangs().map_err(|error| run.session.explain(error))?;
            let detail = hangs.iter().map(Hang::title).collect::<Vec<_>>().join(", ");
            Ok((hangs, detail))
        })
    }

    /// Waits until a queue sleeps: nothing polls it until it is woken.
    pub fn await_asleep(&mut self, queue: QueueId) -> Result<()> {
        self.step(format!("wait until {queue} sleeps"), |run| {
            run.require(Need::Views)?;
            run.wait(&format!("{queue} to sleep"), |run| {
                let inspected = run.session.agent.call(Command::Inspect, run.patience);
                let inspected = inspected.map_err(|error| run.session.explain(error))?;
                let view = inspected.views.iter().find(|view| view.queue == queue.name());
                let view = view.with_context(|| format!("the guest has no queue {queue}"))?;
                let seen = format!("{}, after {} polls", view.last_callback, view.polls);
                Ok(if view.asleep { Look::Found(()) } else { Look::NotYet(seen) })
            })?;
            Ok(((), String::new()))
        })
    }

    /// The device's word on a queue that hangs, beside the guest's.
    pub(super) fn hang(&mut self, view: &QueueView) -> Hang {
        let device = view.queue.parse().ok().and_then(|queue| self.session.control.queue(queue).ok());
        Hang { view: view.clone(), device }
    }
}
