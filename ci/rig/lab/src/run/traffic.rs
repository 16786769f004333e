//! Traffic and what holds it up: frames out and in, the device's gates and clock, and waiting for what becomes of them.

use super::Run;
use crate::base::wait::Look;
use crate::device::RX;
use crate::device::control::{AdvanceClock, Gate, Inject, Queue};
use crate::facts::Facts;
use crate::facts::reports::{describe, sizes};
use crate::guest::need::Need;
use crate::verdict::runs;
use agent_protocol::{Command, Ids, QueueReport};
use anyhow::{Result, bail};
use cancelnic_registers::QueueId;
use std::sync::Arc;

/// How many frames in all are waited for: sets only grow, and what has met another fate will not be sent.
#[derive(Debug, Clone, Copy, Default)]
struct Goal {
    sent: Option<u64>,
    received: Option<u64>,
}

impl Goal {
    /// Why it cannot be reached any more; `None` while it can.
    fn out_of_reach(self, facts: &Facts) -> Option<String> {
        let (tx, rx) = (&facts.tx, &facts.rx);
        if let Some(sent) = self.sent {
            if tx.sent.len() > sent {
                return Some(format!("{} are sent where {sent} were to be", tx.sent.len()));
            }
            let ended = [&facts.originated_ended, &tx.paused, &tx.skipped, &tx.taken_back, &tx.never_posted];
            let left = facts.offered.len().saturating_sub(ended.into_iter().map(Ids::len).sum());
            if left < sent {
                return Some(format!(
                    "{sent} were to be sent, and {} of the {} frames given have met another fate: taken back {}, \
                     never posted {}",
                    facts.offered.len() - left,
                    facts.offered.len(),
                    runs(&tx.taken_back),
                    runs(&tx.never_posted)
                ));
            }
        }
        let received = self.received.filter(|received| rx.received.len() > *received)?;
        Some(format!("{} are received where {received} were to be", rx.received.len()))
    }
}

impl Run {
    /// Closes a gate.
    pub fn hold(&mut self, gate: Gate) -> Result<()> {
        self.gate(format!("hold the {} gate of {}", gate.1, gate.0), gate, false)
    }

    /// Opens a gate.
    pub fn release(&mut self, gate: Gate) -> Result<()> {
        self.gate(format!("open the {} gate of {}", gate.1, gate.0), gate, true)
    }

    fn gate(&mut self, name: String, gate: Gate, open: bool) -> Result<()> {
        self.step(name, |run| {
            let set = run.session.control.set_gate(gate, open);
            set.map_err(|error| run.session.explain(error))?;
            Ok(((), String::new()))
        })
    }

    /// Lets `count` frames pass a closed gate.
    pub fn let_pass(&mut self, gate: Gate, count: u64) -> Result<()> {
        self.step(format!("let {count} pass the {} gate of {}", gate.1, gate.0), |run| {
            let stepped = run.session.control.step_gate(gate, count);
            stepped.map_err(|error| run.session.explain(error))?;
            Ok(((), String::new()))
        })
    }

    /// Moves the device's manual clock on.
    pub fn advance_clock(&mut self, us: u64) -> Result<()> {
        self.step(format!("advance the device's clock by {us} us"), |run| {
            let moved = run.session.control.call(&AdvanceClock { us: us.try_into()? });
            moved.map_err(|error| run.session.explain(error))?;
            Ok(((), String::new()))
        })
    }

    /// Hands `count` frames of 60 bytes in one fragment to the sender.
    pub fn send(&mut self, count: u32) -> Result<()> {
        self.send_as(count, 60, 1)
    }

    /// Hands `count` frames to the sender: a protocol driver over the adapter, or on a guest that has none of ours the
    /// filter.
    pub fn send_as(&mut self, count: u32, len: u32, fragments: u32) -> Result<()> {
        if (len, fragments) == (60, 1) {
            return Arc::clone(&self.guest).send(self, count);
        }
        self.give(count, len, fragments, 0)
    }

    pub(crate) fn give(&mut self, count: u32, len: u32, fragments: u32, cancel_id: u64) -> Result<()> {
        if count == 0 {
            return Ok(());
        }
        let marked = if cancel_id == 0 { String::new() } else { format!(" with ID {cancel_id:#x}") };
        self.step(format!("send {count} frames{marked}"), |run| {
            let (first, last) = run.take_numbers(count);
            run.ask(Command::Send { first, count, len, fragments, cancel_id })?;
            Ok(((), format!("numbers {first} to {last}")))
        })
    }

    /// Numbers for `count` more frames, first to last, noted as given to a sender above the ring.
    pub(super) fn take_numbers(&mut self, count: u32) -> (u64, u64) {
        let (first, last) = (self.next, self.next + u64::from(count) - 1);
        self.next = last + 1;
        self.facts.offered.0.push((first, last));
        (first, last)
    }

    /// The numbers taken last, from `first` on, have been given to nobody.
    pub(super) fn give_numbers_back(&mut self, first: u64) {
        self.next = first;
        self.facts.offered.0.retain(|&(begin, _)| begin < first);
        self.facts.originated.0.retain(|&(begin, _)| begin < first);
    }

    /// Lets `count` frames of 60 bytes to everyone arrive at the device from outside.
    pub fn inject(&mut self, count: u32) -> Result<()> {
        self.inject_to(count, "ffffffffffff")
    }

    /// The same with the Ethernet address in hexadecimal that the frames go to.
    pub fn inject_to(&mut self, count: u32, to: &str) -> Result<()> {
        let (first, last) = (self.next, self.next + u64::from(count) - 1);
        self.step(format!("{count} frames arrive at the device"), |run| {
            run.next = last + 1;
            run.facts.injected.0.push((first, last));
            let (count, len, to) = (u64::from(count).try_into()?, 60.try_into()?, Some(to.parse()?));
            let injected = run.session.control.call(&Inject { queue: RX, first, count, len, to });
            injected.map_err(|error| run.session.explain(error))?;
            Ok(((), format!("numbers {first} to {last}")))
        })
    }

    /// Waits until the device's view of a queue is as wanted.
    pub fn await_device(
        &mut self,
        queue: QueueId,
        what: &str,
        mut holds: impl FnMut(&Queue) -> bool,
    ) -> Result<Queue> {
        self.step(format!("wait for {what}"), |run| {
            let seen = run.wait(what, |run| {
                let seen = run.session.control.queue(queue).map_err(|error| run.session.explain(error))?;
                let far = format!("{queue}: {}", seen.describe());
                Ok(if holds(&seen) { Look::Found(seen) } else { Look::NotYet(far) })
            })?;
            let detail = format!("{queue}: {}", seen.describe());
            Ok((seen, detail))
        })
    }

    /// Waits until that many frames in all have been sent, and that many received.
    pub fn await_traffic(&mut self, what: &str, sent: u64, received: u64) -> Result<()> {
        // What left the wire in place of being taken back came in again, or found no buffer.
        let surplus = self.facts.sent_instead;
        let goal = Goal { sent: Some(sent + surplus), received: (surplus == 0).then_some(received) };
        self.await_look(what, goal, move |tx, rx| {
            let got = rx.received.len();
            tx.sent.len() == sent + surplus && (got == received || got > received && surplus > 0)
        })
    }

    /// Waits until that many frames in all have been sent.
    pub fn await_sent(&mut self, what: &str, sent: u64) -> Result<()> {
        let sent = sent + self.facts.sent_instead;
        let goal = Goal { sent: Some(sent), ..Goal::default() };
        self.await_look(what, goal, move |tx, _| tx.sent.len() == sent)
    }

    /// Waits until that many frames in all have been received.
    pub fn await_received(&mut self, what: &str, received: u64) -> Result<()> {
        let goal = Goal { received: Some(received), ..Goal::default() };
        self.await_look(what, goal, move |_, rx| rx.received.len() == received)
    }

    /// Waits until every frame that was given has met its fate.
    pub fn await_accounted(&mut self) -> Result<()> {
        let given = self.facts.offered.len();
        self.await_look("every frame accounted for", Goal::default(), move |tx, _| {
            let fates = sizes(tx).iter().sum::<u64>() + tx.paused.len();
            tx.outstanding.is_empty() && tx.queued.is_empty() && fates == given
        })
    }

    /// Waits until the guest's own view of both queues (tx, rx) is as wanted.
    pub fn await_guest(
        &mut self,
        what: &str,
        holds: impl FnMut(&QueueReport, &QueueReport) -> bool,
    ) -> Result<()> {
        self.require(Need::Fates)?;
        self.await_look(what, Goal::default(), holds)
    }

    fn await_look(
        &mut self,
        what: &str,
        goal: Goal,
        mut holds: impl FnMut(&QueueReport, &QueueReport) -> bool,
    ) -> Result<()> {
        self.step(format!("wait for {what}"), |run| {
            run.wait(what, |run| {
                run.look()?;
                let (tx, rx) = (&run.facts.tx, &run.facts.rx);
                if holds(tx, rx) {
                    return Ok(Look::Found(()));
                }
                if let Some(why) = goal.out_of_reach(&run.facts) {
                    bail!("waited for {what}, which cannot come any more: {why}; {}", describe(tx, rx));
                }
                let far = describe(tx, rx);
                Ok(Look::NotYet(format!("{far}; device: {}", run.device_line()?)))
            })?;
            Ok(((), describe(&run.facts.tx, &run.facts.rx)))
        })
    }

    /// Looks at both queues once: the guest tells, or else the device has seen it.
    pub fn look(&mut self) -> Result<()> {
        Arc::clone(&self.guest).look(self)
    }

    /// Checks how many frames were sent, were taken back by the hardware, and never came there. A guest that lets all
    /// lists come back before it takes the data path down has sent those that were on the hardware and waited.
    pub fn expect_fates(&mut self, expected: [u64; 3]) -> Result<()> {
        Arc::clone(&self.guest).expect_fates(self, expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten frames given: 1 to 4 sent and received, 5 taken back.
    fn facts() -> Facts {
        let mut facts = Facts { offered: Ids(vec![(1, 10)]), ..Facts::default() };
        facts.tx.sent = Ids(vec![(1, 4)]);
        facts.tx.taken_back = Ids(vec![(5, 5)]);
        facts.rx.received = Ids(vec![(1, 4)]);
        facts
    }

    #[test]
    fn a_frame_that_was_taken_back_will_not_be_sent() {
        let goal = |sent| Goal { sent: Some(sent), received: None };
        assert_eq!(goal(9).out_of_reach(&facts()), None);
        let why = goal(10).out_of_reach(&facts()).unwrap();
        assert!(why.starts_with("10 were to be sent, and 1 of the 10 frames given"), "{why}");
        assert!(why.contains("taken back 5,"), "{why}");
    }

    #[test]
    fn a_count_that_was_passed_does_not_come_back() {
        let why = Goal { sent: Some(3), received: None }.out_of_reach(&facts());
        assert_eq!(why.unwrap(), "4 are sent where 3 were to be");
        let why = Goal { sent: None, received: Some(3) }.out_of_reach(&facts());
        assert_eq!(why.unwrap(), "4 are received where 3 were to be");
        assert_eq!(Goal { sent: Some(4), received: Some(4) }.out_of_reach(&facts()), None);
    }
}
