//! What the run asks of the guest's agent, and what is kept of the answers.

use super::{Lives, Run};
use crate::base::wait::{InVain, Limits, Look};
use crate::device::{RX, TX};
use crate::facts::reports::{join, join_lists};
use crate::guest::agent::{AgentError, Pending};
use crate::guest::need::Need;
use crate::run::trouble::Trouble;
use agent_protocol::{Command, IoResult, Reply};
use anyhow::Result;
use std::time::Duration;

/// How long one look for an answer of the guest may take: in between is looked whether it can still come.
const ANSWER: Duration = Duration::from_millis(20);

impl Run {
    /// Sends a command, waits for its answer, keeps what it says of the queues.
    pub(crate) fn ask(&mut self, command: Command) -> Result<Option<IoResult>> {
        let pending = self.begin(command)?;
        self.collect(&pending, Lives::GoOn)
    }

    pub(crate) fn begin(&mut self, command: Command) -> Result<Pending> {
        if let Some(need) = Need::of(&command) {
            self.require(need)?;
        }
        self.session.agent.begin(command).map_err(|error| self.session.explain(error))
    }

    pub(crate) fn collect(&mut self, pending: &Pending, lives: Lives) -> Result<Option<IoResult>> {
        let answered = self.wait_at_most(Limits::of(self.patience), "the guest's answer", |run| {
            match run.session.agent.finish(pending, ANSWER) {
                Err(AgentError::TimedOut(_)) => Ok(Look::NotYet(format!(
                    "{}; {} callbacks over",
                    run.device_line()?,
                    run.session.agent.events()
                ))),
                answered => Ok(Look::Found(answered)),
            }
        });
        let mut reply = match answered {
            Ok(answered) => answered.map_err(|error| self.session.explain(error))?,
            Err(error) => match error.downcast::<InVain>() {
                Ok(in_vain) => {
                    self.trouble = Some(Trouble::Silent);
                    return Err(self.find_kept(in_vain.how.waited()));
                }
                Err(error) => return Err(error),
            },
        };
        let io = reply.io.take();
        self.keep(reply);
        if lives == Lives::End {
            self.ended_lives.push(self.session.agent.heard());
        }
        Ok(io)
    }

    pub(crate) fn keep(&mut self, reply: Reply) {
        if let Some(lists) = reply.lists {
            self.facts.lists = Some(join_lists(&self.earlier_lists, lists));
        }
        for report in reply.queues {
            match report.queue.parse() {
                Ok(TX) => self.facts.tx = join(&self.earlier[0], report),
                Ok(RX) => self.facts.rx = join(&self.earlier[1], report),
                _ => {}
            }
        }
    }
}
