//! One queue's place in the process: the model's queue behind its lock, and what its turns ask for.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cancelnic_model::{Queue, Turn};
use cancelnic_registers::{CommandWord, QueueId};
use rustix::io::Errno;
use serde_json::Value;

use super::faults::InterruptFaults;
use super::rows::Rows;
use super::wire::{Ether, Hand};
use crate::log::OncePerSecond;
use crate::trace::Trace;

/// How often a thread lets others run before it goes on all the same: threads that come again and again must not keep it
/// from its work.
const PATIENCE: usize = 100;

/// A queue of the model behind its lock.
pub(crate) struct Slot {
    id: QueueId,
    state: Mutex<State>,
    /// Threads that wait for the lock.
    waiting: AtomicUsize,
}

/// What the lock guards.
pub(crate) struct State {
    /// The model's queue.
    pub(crate) queue: Queue,
    /// Where interrupts go.
    pub(crate) call: Option<OwnedFd>,
    /// What goes wrong with interrupts.
    pub(super) faults: InterruptFaults,
    complaints: OncePerSecond,
    rows: Option<Rows>,
    /// When the doorbell was rung last.
    rang: Option<Instant>,
    /// Its frames between it and the wire.
    pub(crate) hand: Hand,
}

impl Slot {
    /// For `queue`, which has its rows in `trace`.
    pub(crate) fn new(queue: Queue, trace: Option<Arc<Trace>>) -> Slot {
        let id = queue.id();
        let rows = trace.map(|trace| Rows::new(id, trace));
        let (call, complaints) = (None, OncePerSecond::default());
        let (faults, hand) = (InterruptFaults::default(), Hand::default());
        let state = State { queue, call, faults, complaints, rows, rang: None, hand };
        Slot { id, state: Mutex::new(state), waiting: AtomicUsize::new(0) }
    }

    /// Which queue it is.
    pub(crate) fn id(&self) -> QueueId {
        self.id
    }

    /// The queue. A thread in the middle of its turns lets others in, such as the one that answers the front end.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        state
    }

    /// Between two turns: lets those in who wait. The lock itself would go to whoever asks first, which is us.
    pub(crate) fn give_way(&self) {
        for _ in 0..PATIENCE {
            if self.waiting.load(Ordering::SeqCst) == 0 {
                return;
            }
            std::thread::yield_now();
        }
    }
}

impl State {
    /// Does what `turn` asks of this queue alone: the interrupt, and a line in the log. Called after the
    /// model's call has returned, under the same lock: by then the status word is readable (C7).
    pub(crate) fn deliver(&mut self, turn: &Turn) {
        self.follow();
        self.signal(turn.signal);
        let queue = self.queue.id().name();
        if let Some(why) = turn.broke {
            tracing::warn!(queue, "broken until it leaves service: {why}");
        }
        if turn.refused > 0 && self.complaints.now() {
            tracing::warn!(queue, "the driver posts malformed chains (reported once a second at most)");
        }
    }

    /// Writes the call descriptor, if `wanted` and there is one.
    pub(crate) fn signal(&mut self, wanted: bool) {
        if wanted && self.call.is_some() && !self.faults.lost.strikes() {
            self.interrupt();
        }
    }

    /// Writes it for each spurious interrupt that is armed.
    pub(super) fn signal_without_cause(&mut self) {
        while self.faults.spurious.strikes() {
            self.interrupt();
        }
    }

    fn interrupt(&mut self) {
        let Some(call) = self.call.as_ref() else { return };
        let began = Instant::now();
        match rustix::io::write(call, &1u64.to_ne_bytes()) {
            // Full: nobody has read it yet, so nobody has missed it.
            Err(Errno::AGAIN) => {}
            Err(error) => tracing::warn!(queue = self.queue.id().name(), %error, "an interrupt is lost"),
            Ok(_) => {
                if let Some(rows) = &mut self.rows {
                    rows.interrupt(began);
                }
            }
        }
    }

    /// The driver rings: `act` is what the queue's judge makes of it.
    pub(crate) fn doorbell(&mut self, act: impl FnOnce(&mut Self)) {
        let began = Instant::now();
        act(self);
        self.follow();
        if let Some(rows) = &mut self.rows {
            rows.doorbell(began);
        }
    }

    /// Whether the doorbell was rung within `limit` before now as well. Called once for each.
    pub(crate) fn doorbell_came_within(&mut self, limit: Duration) -> bool {
        let now = Instant::now();
        let last = self.rang.replace(now);
        last.is_some_and(|last| now.saturating_duration_since(last) < limit)
    }

    /// Hands over what was sent, and takes in what came back on the wire.
    pub(crate) fn exchange(&mut self, ether: &Ether) {
        ether.exchange(self.queue.id(), &mut self.hand);
        for frame in self.hand.arrived.drain(..) {
            // A frame without room is counted as dropped by the queue.
            let _fits: bool = self.queue.inject(frame);
        }
    }

    /// The driver gives the command `word`: `act` carries it out under the queue's lock.
    pub(crate) fn command(&mut self, word: CommandWord, act: impl FnOnce(&mut Self) -> Turn) {
        let began = Instant::now();
        if let Some(rows) = &mut self.rows {
            rows.command_begins(word, began);
        }
        let turn = act(self);
        self.deliver(&turn);
        if let Some(rows) = &self.rows {
            rows.command_ends(word, began, self.queue.status().read());
        }
    }

    /// The queue enters or leaves service.
    pub(crate) fn mark(&self, name: &str, args: Value) {
        if let Some(rows) = &self.rows {
            rows.mark(name, args);
        }
    }

    /// Brings the trace up to date with the queue's state, its counters and its judge.
    pub(crate) fn follow(&mut self) {
        if let Some(rows) = &mut self.rows {
            rows.follow(&self.queue);
        }
    }
}
