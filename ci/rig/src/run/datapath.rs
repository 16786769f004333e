//! The data path up and down: pause, power, removal, and what must hold on the way.

use super::{Lives, Pending, Run};
use crate::agent::AgentError;
use crate::control::{COMPLETE, FETCH, QueueId, State, WIRE};
use crate::facts::Stretch;
use crate::guest::Need;
use crate::reports::describe;
use crate::settings::Wire;
use crate::verdict::violation;
use crate::wait::Look;
use agent_protocol::Command;
use anyhow::Result;
use std::time::{Duration, Instant};

/// Between two looks at the device.
const LOOK: Duration = Duration::from_millis(5);

/// How long a guest that disables a device may let its queues run on before it counts as one that waits for its lists.
const HESITATION: Duration = Duration::from_secs(2);

/// A pause that has been asked for and not been waited for.
#[derive(Debug)]
#[must_use = "a pause has to be finished"]
pub struct Pausing {
    pending: Pending,
    since: Instant,
    /// Cancels that transmit and receive had taken before.
    cancels: [u64; 2],
}

impl Run {
    /// Loads the driver and brings its data path up.
    pub fn load(&mut self) -> Result<()> {
        self.step("load the drivers", |run| {
            run.ask(Command::Load)?;
            run.loaded = true;
            run.up()?;
            Ok(((), "both queues run".into()))
        })
    }

    /// Takes the data path down: cancel, drain, stop. A guest that has no pause by itself disables the device.
    pub fn pause(&mut self) -> Result<()> {
        self.pause_cancelling(1)
    }

    /// The same with EvtCancel called `cancels` times for each queue.
    pub fn pause_cancelling(&mut self, cancels: u32) -> Result<()> {
        let pausing = self.begin_pause(cancels)?;
        self.finish_pause(&pausing)
    }

    /// Asks for a pause and does not wait for its end.
    pub fn begin_pause(&mut self, cancels: u32) -> Result<Pausing> {
        let (name, command) = match self.pauses_by_disabling() && cancels == 1 {
            true => ("disable the device: cancel both queues", Command::PowerDown),
            false => ("pause: cancel both queues", Command::Pause { cancels }),
        };
        self.step(name, |run| {
            if run.has_device_files() {
                run.require(Need::Pause)?;
            }
            run.down()?;
            Ok((run.begin_down(command)?, String::new()))
        })
    }

    fn begin_down(&mut self, command: Command) -> Result<Pausing> {
        self.gates_opened = false;
        let cancels = self.cancels()?;
        Ok(Pausing { pending: self.begin(command)?, since: Instant::now(), cancels })
    }

    /// Cancels that transmit and receive have taken.
    fn cancels(&mut self) -> Result<[u64; 2]> {
        let seen = self.session.control.stats().map_err(|error| self.session.explain(error))?;
        Ok([QueueId::TX0, QueueId::RX0].map(|queue| seen.queue(queue).map_or(0, |queue| queue.cancels)))
    }

    fn finish_down(&mut self, pausing: &Pausing, lives: Lives) -> Result<()> {
        if self.pauses_by_disabling() {
            self.wait_for_lists(pausing)?;
        }
        self.collect(&pausing.pending, lives)?;
        self.settle()
    }

    /// Waits until a queue is being cancelled. A guest may let its lists come back before; then nothing is waited for.
    pub fn await_cancelling(&mut self, pausing: &Pausing, queue: &'static str) -> Result<()> {
        if !self.pauses_by_disabling() {
            return self
                .await_device(queue, "CANCELLING", |queue| queue.state == State::Cancelling)
                .map(drop);
        }
        self.step(format!("wait for {queue} CANCELLING"), |run| {
            let seen = run.wait(&format!("{queue} CANCELLING"), |run| {
                let seen =
                    run.session.control.queue(queue.parse()?).map_err(|error| run.session.explain(error))?;
                Ok(if seen.state == State::Cancelling {
                    Look::Found(seen.describe())
                } else if run.open_gates_for_lists(pausing)? {
                    Look::Found("not before its lists have come back".into())
                } else {
                    Look::NotYet(seen.describe())
                })
            })?;
            Ok(((), seen))
        })
    }

    /// Waits for the end of a pause: every packet and buffer is back, both queues have stopped.
    pub fn finish_pause(&mut self, pausing: &Pausing) -> Result<()> {
        self.step("every packet back, queues stopped", |run| {
            run.finish_down(pausing, Lives::GoOn)?;
            run.expect_stopped()?;
            if run.pauses_by_disabling() {
                run.expect_cancelled(pausing)?;
            }
            let seen = describe(&run.facts.tx, &run.facts.rx);
            Ok(((), if run.gates_opened { format!("{seen}; lists first, gates opened") } else { seen }))
        })
    }

    fn pauses_by_disabling(&self) -> bool {
        self.settings.home.lacks(Need::Pause).is_some()
    }

    /// Until the command is answered, or has taken so long that the usual end of patience will judge it.
    fn wait_for_lists(&mut self, pausing: &Pausing) -> Result<()> {
        while pausing.since.elapsed() < self.patience {
            match self.session.agent.finish(&pausing.pending, LOOK) {
                Err(AgentError::TimedOut(_)) => _ = self.open_gates_for_lists(pausing)?,
                _ => break,
            }
        }
        Ok(())
    }

    /// NDIS may pause filters and protocols, which wait for their lists, before it turns to the miniport; then no queue
    /// is cancelled while a gate holds frames. Once that shows, the gates of transmit open; whether they did.
    fn open_gates_for_lists(&mut self, pausing: &Pausing) -> Result<bool> {
        let tx = self.session.control.queue(QueueId::TX0).map_err(|error| self.session.explain(error))?;
        let owed = tx.available + tx.fetched + tx.on_wire + tx.off_wire;
        let waits = tx.cancels == pausing.cancels[0] && owed > 0;
        if !waits || pausing.since.elapsed() < HESITATION {
            return Ok(false);
        }
        self.facts.lists_first = true;
        self.gates_opened = true;
        for gate in [FETCH, WIRE, COMPLETE] {
            let opened = self.session.control.set_gate(gate, true);
            opened.map_err(|error| self.session.explain(error))?;
        }
        Ok(true)
    }

    /// A device that is disabled could be reset in place of a cancel: each queue that can be cancelled has been.
    fn expect_cancelled(&mut self, pausing: &Pausing) -> Result<()> {
        let [tx, rx] = self.cancels()?;
        let missed = if self.settings.device.tx_cancel && tx == pausing.cancels[0] {
            "tx0"
        } else if rx == pausing.cancels[1] {
            "rx0"
        } else {
            return Ok(());
        };
        let place = format!("{missed}: stopped without CANCEL");
        Err(self.fault(violation("QueueNotCancelled", "EvtCancel", place)))
    }

    /// A pause may only be over when the device can touch nothing of the queue any more.
    fn expect_stopped(&mut self) -> Result<()> {
        for queue in [QueueId::TX0, QueueId::RX0] {
            if queue == QueueId::TX0 && !self.settings.device.tx_cancel {
                continue;
            }
            let seen = self.session.control.queue(queue);
            let seen = seen.map_err(|error| self.session.explain(error))?;
            if seen.in_service && (seen.state != State::Stopped || seen.writing != 0) {
                let place = format!("{queue}: {}", seen.describe());
                return Err(self.fault(violation("ReturnedBeforeStopped", "EvtCancel", place)));
            }
        }
        Ok(())
    }

    /// Starts the stopped data path again.
    pub fn restart(&mut self) -> Result<()> {
        let (name, command) = match self.pauses_by_disabling() {
            true => ("enable the device", Command::PowerUp),
            false => ("restart both queues", Command::Restart),
        };
        self.step(name, |run| {
            run.ask(command)?;
            run.up()?;
            Ok(((), "both queues run".into()))
        })
    }

    /// Leaves D0; the packet queues are destroyed.
    pub fn power_down(&mut self) -> Result<()> {
        self.step("power down", |run| {
            if run.has_device_files() {
                run.require(Need::Sleep)?;
            }
            run.down()?;
            let pausing = run.begin_down(Command::PowerDown)?;
            run.finish_down(&pausing, Lives::End)?;
            Ok(((), describe(&run.facts.tx, &run.facts.rx)))
        })
    }

    /// Enters D0 again, with new packet queues.
    pub fn power_up(&mut self) -> Result<()> {
        self.step("power up with new queues", |run| {
            run.ask(Command::PowerUp)?;
            run.up()?;
            Ok(((), "both queues run".into()))
        })
    }

    /// Removes the device and unloads the driver.
    pub fn unload(&mut self) -> Result<()> {
        self.step("unload the drivers", |run| {
            run.down()?;
            let pausing = run.begin_down(Command::Unload)?;
            run.finish_down(&pausing, Lives::End)?;
            run.loaded = false;
            run.earlier = [run.facts.tx.clone(), run.facts.rx.clone()];
            run.earlier_lists = run.facts.lists.clone().unwrap_or_default();
            Ok(((), "nothing of them is left".into()))
        })
    }

    /// Stops the virtual machine's processor.
    pub fn stop_machine(&mut self) -> Result<()> {
        self.step("stop the virtual machine", |run| Ok((run.session.monitor.stop()?, String::new())))
    }

    /// Lets the virtual machine go on.
    pub fn continue_machine(&mut self) -> Result<()> {
        self.step("let the virtual machine go on", |run| Ok((run.session.monitor.cont()?, String::new())))
    }

    /// Both queues must run after a start; from here on what is sent has to arrive.
    pub(super) fn up(&mut self) -> Result<()> {
        let seen = self.session.control.stats();
        let seen = seen.map_err(|error| self.session.explain(error))?;
        for queue in &seen.queues {
            if queue.state != State::Running {
                let place = format!("{}: STATE is {} after the start", queue.queue, queue.state);
                return Err(self.fault(violation("QueueNotResumed", "EvtStart", place)));
            }
        }
        let dropped = seen.queue(QueueId::RX0).map_or(0, |rx| rx.dropped);
        self.receiving = seen.queue(QueueId::TX0).map(|tx| (tx.sent + tx.off_wire, dropped));
        Ok(())
    }

    /// Receive goes down: what left the wire since it came up must arrive, but for what still waits at the device.
    pub(super) fn down(&mut self) -> Result<()> {
        let Some((from, dropped_before)) = self.receiving.take() else { return Ok(()) };
        // The device's counts are places in the capture only if all frames are ours.
        if self.settings.device.wire == Wire::Null || self.facts.fates_untold {
            return Ok(());
        }
        let seen = self.session.control.stats();
        let seen = seen.map_err(|error| self.session.explain(error))?;
        if let (Some(tx), Some(rx)) = (seen.queue(QueueId::TX0), seen.queue(QueueId::RX0)) {
            let to = (tx.sent + tx.off_wire).saturating_sub(rx.pending + rx.writing).max(from);
            let dropped = rx.dropped - dropped_before;
            self.facts.must_arrive.push(Stretch { from, to, dropped });
        }
        Ok(())
    }
}
