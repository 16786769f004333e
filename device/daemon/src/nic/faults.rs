//! What goes wrong because somebody asked for it over the control socket: the queues' own faults are the model's, those of
//! interrupts, registers and link are here.

use cancelnic_model as model;
use cancelnic_model::Armed;
use cancelnic_registers::QueueId;
use control_protocol::{Fault, FaultState, QueueName};
use thiserror::Error;

use super::{Nic, NotTold};

/// Why a fault is not armed.
#[derive(Debug, Error)]
pub(crate) enum NotArmed {
    /// It is a queue's.
    #[error("`queue` is needed: {0} is a fault of a queue")]
    OfAQueue(Fault),
    /// It is the device's.
    #[error("`queue` must be left out: {0} is a fault of the whole device")]
    OfTheDevice(Fault),
    /// The link cannot flap.
    #[error(transparent)]
    Link(#[from] NotTold),
}

/// A fault by who does it wrong.
enum Kind {
    Queue(model::Fault),
    Interrupt,
    Spurious,
    Registers,
    Link,
}

fn kind(fault: Fault) -> Kind {
    match fault {
        Fault::StuckInCancelling => Kind::Queue(model::Fault::StuckInCancelling),
        Fault::CompletionWithheld => Kind::Queue(model::Fault::CompletionWithheld),
        Fault::CompletionDoubled => Kind::Queue(model::Fault::CompletionDoubled),
        Fault::CompletionAfterStopped => Kind::Queue(model::Fault::CompletionAfterStopped),
        Fault::CompletionOfAnother => Kind::Queue(model::Fault::CompletionOfAnother),
        Fault::InterruptLost => Kind::Interrupt,
        Fault::InterruptSpurious => Kind::Spurious,
        Fault::RegistersAllOnes => Kind::Registers,
        Fault::LinkFlap => Kind::Link,
    }
}

fn named(fault: model::Fault) -> Fault {
    match fault {
        model::Fault::StuckInCancelling => Fault::StuckInCancelling,
        model::Fault::CompletionWithheld => Fault::CompletionWithheld,
        model::Fault::CompletionDoubled => Fault::CompletionDoubled,
        model::Fault::CompletionAfterStopped => Fault::CompletionAfterStopped,
        model::Fault::CompletionOfAnother => Fault::CompletionOfAnother,
    }
}

/// The faults of the whole device.
#[derive(Debug, Default)]
pub(super) struct DeviceFaults {
    /// Reads of the configuration space that find all ones.
    pub(super) registers: Armed,
    flaps: Armed,
}

/// The faults of a queue's interrupts.
#[derive(Debug, Default)]
pub(super) struct InterruptFaults {
    pub(super) lost: Armed,
    pub(super) spurious: Armed,
}

impl Nic {
    /// The fault is to happen `count` times from now on, at `queue` if it is a queue's. The device has that queue.
    pub(crate) fn arm_fault(&self, fault: Fault, queue: Option<QueueId>, count: u64) -> Result<(), NotArmed> {
        let kind = kind(fault);
        if matches!(kind, Kind::Registers | Kind::Link) && queue.is_some() {
            return Err(NotArmed::OfTheDevice(fault));
        }
        let of_a_queue = || queue.and_then(|queue| self.slot(queue)).ok_or(NotArmed::OfAQueue(fault));
        match kind {
            Kind::Queue(fault) => of_a_queue()?.lock().queue.arm_fault(fault, count),
            Kind::Interrupt => of_a_queue()?.lock().faults.lost.arm(count),
            Kind::Spurious => {
                let mut state = of_a_queue()?.lock();
                state.faults.spurious.arm(count);
                state.signal_without_cause();
            }
            Kind::Registers => self.faults().registers.arm(count),
            Kind::Link => {
                self.faults().flaps.arm(count);
                while self.faults().flaps.strikes() {
                    let up = self.config().link_is_up();
                    let flapped = self.set_link(!up).and_then(|()| self.set_link(up));
                    flapped.inspect_err(|_| self.faults().flaps.left = 0)?;
                }
            }
        }
        tracing::info!(%fault, queue = queue.map(QueueId::name), count, "fault armed");
        Ok(())
    }

    /// Nothing goes wrong from now on.
    pub(crate) fn clear_faults(&self) {
        self.faults().registers.left = 0;
        for slot in &self.queues {
            let mut state = slot.lock();
            state.queue.clear_faults();
            state.faults.lost.left = 0;
            self.run_locked(slot, state);
        }
        tracing::info!("faults cleared");
    }

    /// The faults that were ever armed.
    pub(crate) fn all_faults(&self) -> Vec<FaultState> {
        let mut all = Vec::new();
        let mut add = |fault, queue: Option<QueueId>, Armed { left, happened }: Armed| {
            if left > 0 || happened > 0 {
                all.push(FaultState { fault, queue: queue.map(QueueName), left, happened });
            }
        };
        for slot in &self.queues {
            let state = slot.lock();
            let queue = Some(slot.id());
            state.queue.faults().for_each(|(fault, armed)| add(named(fault), queue, armed));
            add(Fault::InterruptLost, queue, state.faults.lost);
            add(Fault::InterruptSpurious, queue, state.faults.spurious);
        }
        let device = self.faults();
        add(Fault::RegistersAllOnes, None, device.registers);
        add(Fault::LinkFlap, None, device.flaps);
        all
    }
}
