//! The data path up and down: pause, power, removal, and what must hold on the way.

use super::{Lives, Pending, Run};
use crate::device::control::State;
use crate::device::{RX, TX};
use crate::facts::Stretch;
use crate::facts::reports::describe;
use crate::guest::need::Need;
use crate::settings::Wire;
use crate::verdict::violation;
use agent_protocol::Command;
use anyhow::Result;
use cancelnic_registers::QueueId;
use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

/// A pause that has been asked for and not been waited for.
#[derive(Debug)]
#[must_use = "a pause has to be finished"]
pub struct Pausing {
    pub(crate) pending: Pending,
    pub(crate) since: Instant,
    /// Cancels that transmit and receive had taken before.
    pub(crate) cancels: [u64; 2],
    /// Whether gates were opened on the way down, as the guest waited for its lists.
    pub(crate) gates_opened: Cell<bool>,
}

impl Run {
    /// Loads the driver and brings its data path up.
    pub fn load(&mut self) -> Result<()> {
        self.step("load the drivers", Self::load_now)
    }

    pub(super) fn load_now(&mut self) -> Result<((), String)> {
        self.ask(Command::Load)?;
        self.loaded = true;
        self.up()?;
        let up = if self.facts.other_device { "their devices are up" } else { "both queues run" };
        Ok(((), up.into()))
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
        let (name, command) = self.guest.pause(cancels);
        self.step(name, |run| {
            if run.has_device_files() {
                run.require(Need::Pause)?;
            }
            run.down()?;
            Ok((run.begin_down(command)?, String::new()))
        })
    }

    fn begin_down(&mut self, command: Command) -> Result<Pausing> {
        let cancels = self.cancels()?;
        Ok(Pausing {
            pending: self.begin(command)?,
            since: Instant::now(),
            cancels,
            gates_opened: Cell::new(false),
        })
    }

    /// Cancels that transmit and receive have taken.
    pub(crate) fn cancels(&mut self) -> Result<[u64; 2]> {
        let seen = self.session.control.stats().map_err(|error| self.session.explain(error))?;
        Ok([TX, RX].map(|name| seen.queue(name).map_or(0, |queue| queue.cancels)))
    }

    fn finish_down(&mut self, pausing: &Pausing, lives: Lives) -> Result<()> {
        let guest = Arc::clone(&self.guest);
        guest.help_down(self, pausing)?;
        self.collect(&pausing.pending, lives)?;
        guest.close_books(self)
    }

    /// Waits until a queue is being cancelled. A guest may let its lists come back before; then nothing is waited for.
    pub fn await_cancelling(&mut self, pausing: &Pausing, queue: QueueId) -> Result<()> {
        Arc::clone(&self.guest).await_cancelling(self, pausing, queue)
    }

    /// Waits for the end of a pause: every packet and buffer is back, both queues have stopped.
    pub fn finish_pause(&mut self, pausing: &Pausing) -> Result<()> {
        self.step("every packet back, queues stopped", |run| {
            run.finish_down(pausing, Lives::GoOn)?;
            run.expect_stopped()?;
            let noted = Arc::clone(&run.guest).check_down(run, pausing)?;
            Ok(((), describe(&run.facts.tx, &run.facts.rx) + noted))
        })
    }

    /// A pause may only be over when the device can touch nothing of the queue any more.
    fn expect_stopped(&mut self) -> Result<()> {
        for queue in [TX, RX] {
            if queue == TX && !self.settings.device.tx_cancel {
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
        let (name, command) = self.guest.restart();
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
        self.step("power up with new queues", Self::power_up_now)
    }

    pub(super) fn power_up_now(&mut self) -> Result<((), String)> {
        self.ask(Command::PowerUp)?;
        self.up()?;
        Ok(((), "both queues run".into()))
    }

    /// Removes the device and unloads the driver.
    pub fn unload(&mut self) -> Result<()> {
        self.step("unload the drivers", |run| {
            run.down()?;
            let pausing = run.begin_down(Command::Unload)?;
            run.finish_down(&pausing, Lives::End)?;
            run.unloaded();
            Ok(((), "nothing of them is left".into()))
        })
    }

    /// The drivers are gone, and the guest has reported what their queues did: the next ones begin at nothing.
    pub(super) fn unloaded(&mut self) {
        self.loaded = false;
        self.earlier = [self.facts.tx.clone(), self.facts.rx.clone()];
        self.earlier_lists = self.facts.lists.clone().unwrap_or_default();
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
        let dropped = seen.queue(RX).map_or(0, |rx| rx.dropped);
        self.receiving = seen.queue(TX).map(|tx| (tx.sent + tx.off_wire, dropped));
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
        if let (Some(tx), Some(rx)) = (seen.queue(TX), seen.queue(RX)) {
            let to = (tx.sent + tx.off_wire).saturating_sub(rx.pending + rx.writing).max(from);
            let dropped = rx.dropped - dropped_before;
            self.facts.must_arrive.push(Stretch { from, to, dropped });
        }
        Ok(())
    }
}
