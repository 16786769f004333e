//! A cell's stage: its request, what is done with it, and what was seen of it.

use anyhow::{Context, Result, ensure};
use cancelnic_ioctl::nic::{self, CancelEvent, Wait};
use cancelnic_ioctl::relay::{Outcome, Send, phase, way};
use lab::base::wait::{LIMIT, PERIOD, until};
use lab::run::Run;
use lab::run::programs::Controlling;
use lab::run::requests::{Logged, Requests};
use zerocopy::IntoBytes;

/// Brings a cell about.
pub(super) type Act = fn(&mut Run, &mut Stage) -> Result<()>;

/// One cell's request, and what was seen of it.
pub(super) struct Stage {
    pub requests: Requests,
    /// Whether it is sent with a completion routine.
    pub routine: bool,
    /// The relay's target that it goes to.
    pub way: u32,
    /// The relay's slot.
    pub slot: u32,
    /// The request's tag at the NIC.
    pub tag: u32,
    /// What the recall returned.
    pub returned: Option<bool>,
    /// Final status.
    pub status: Option<u32>,
    /// Both drivers' logs.
    pub log: Vec<Logged>,
}

impl Stage {
    pub(super) fn new(requests: Requests, routine: bool, number: u32) -> Self {
        Self {
            requests,
            routine,
            way: way::NIC,
            slot: 3,
            tag: number,
            returned: None,
            status: None,
            log: Vec::new(),
        }
    }

    /// A send of the slot's request.
    pub(super) fn send_with(&self, behaviour: u32, options: u32, timeout: i64) -> Send {
        let Self { slot, way, tag, .. } = *self;
        Send { slot, options, timeout, routine: self.routine.into(), way, tag, ..Send::waiting(behaviour) }
    }

    /// Makes the request and sends it, asynchronously; it must be sent.
    pub(super) fn sent(&self, run: &mut Run, behaviour: u32) -> Result<()> {
        self.requests.create(run, self.slot)?;
        let sent = self.requests.send(run, &self.send_with(behaviour, 0, 0))?;
        ensure!(sent.returned == 1, "not sent: {sent:?}");
        Ok(())
    }

    /// Makes the request and begins to send it.
    pub(super) fn sending(
        &self,
        run: &mut Run,
        behaviour: u32,
        options: u32,
        timeout: i64,
    ) -> Result<Controlling> {
        self.requests.create(run, self.slot)?;
        self.requests.begin_send(run, &self.send_with(behaviour, options, timeout))
    }

    pub(super) fn recall(&mut self, run: &mut Run) -> Result<()> {
        let outcome = self.requests.cancel(run, self.slot)?;
        self.returned = Some(outcome.returned == 1);
        ensure!(outcome.irql == 0, "recalled at IRQL {}", outcome.irql);
        Ok(())
    }

    pub(super) fn recalled(&mut self, run: &mut Run, recalling: &Controlling) -> Result<()> {
        let outcome: Outcome = self.requests.finish(run, recalling)?;
        self.returned = Some(outcome.returned == 1);
        Ok(())
    }

    /// Takes what the logs have by now.
    pub(super) fn take_log(&mut self, run: &mut Run) -> Result<()> {
        self.log.extend(self.requests.log(run)?);
        self.log.sort_by_key(|logged| logged.record.at);
        Ok(())
    }

    /// Waits until something stands in the logs.
    pub(super) fn await_logged(&mut self, run: &mut Run, what: &str) -> Result<()> {
        let logged = until(LIMIT, PERIOD, || {
            self.take_log(run)?;
            Ok(self.log.iter().any(|logged| logged.what() == what).then_some(()))
        })?;
        logged.with_context(|| format!("no {what} in the logs"))
    }

    /// The end: the logs, the final status, and that the completion routine ran as often as it should.
    pub(super) fn over(&mut self, run: &mut Run) -> Result<()> {
        self.take_log(run)?;
        let state = self.requests.state(run, self.slot)?;
        self.status = Some(state.status);
        if self.routine {
            ensure!(state.phase == phase::DONE, "the request has not ended: {state:?}");
        }
        Ok(())
    }

    /// Leaves nothing behind.
    pub(super) fn clear(&self, run: &mut Run) -> Result<()> {
        if self.requests.state(run, self.slot)?.phase != phase::EMPTY {
            self.requests.delete(run, self.slot)?;
        }
        Ok(())
    }

    /// Runs `first` until it waits at `window`, then `then`, then lets it go on and waits for its end.
    pub(super) fn race(
        &mut self,
        run: &mut Run,
        window: &str,
        first: impl FnOnce(&mut Run, &mut Self) -> Result<Controlling>,
        then: impl FnOnce(&mut Run, &mut Self) -> Result<()>,
    ) -> Result<Controlling> {
        let begun = run.hold_at(window, |run| first(run, self))?;
        then(run, self)?;
        run.release_window(window)?;
        Ok(begun)
    }

    /// Recalls the request; `then` happens while the recall waits at `window`.
    pub(super) fn recall_held(
        &mut self,
        run: &mut Run,
        window: &str,
        then: impl FnOnce(&mut Run, &mut Self) -> Result<()>,
    ) -> Result<()> {
        let begin = |run: &mut Run, stage: &mut Self| stage.requests.begin_cancel(run, stage.slot);
        let recalling = self.race(run, window, begin, then)?;
        self.recalled(run, &recalling)
    }

    /// Begins a program's request that the relay passes on.
    pub(super) fn passing(
        &self,
        run: &mut Run,
        behaviour: u32,
        options: u32,
        routine: bool,
    ) -> Result<Controlling> {
        self.requests.pass_to(run, self.way, self.slot, options, routine)?;
        let wait = Wait::new(self.tag, behaviour);
        let room = size_of::<CancelEvent>() as u32;
        run.begin_control("a program's request", self.requests.relay, nic::WAIT, wait.as_bytes(), room)
    }
}

/// What is asked for at the wrong time must be refused, and with this status.
pub(super) fn expect_refused<T>(what: &str, answer: Result<T>, status: u32) -> Result<()> {
    let error = answer.err().with_context(|| format!("{what}: it was not refused"))?;
    let expected = format!("status {status:#010x}");
    ensure!(error.to_string() == expected, "{what}: {error:#}, expected {expected}");
    Ok(())
}

/// A mark that is made late must come out as expected.
pub(super) fn expect_status(what: &str, seen: u32, expected: u32) -> Result<()> {
    ensure!(seen == expected, "{what}: {seen:#010x}, expected {expected:#010x}");
    Ok(())
}
