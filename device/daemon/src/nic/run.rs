//! Who runs the queues. The thread that hears a doorbell does what it was rung for. What wire time asks for, what a command
//! leaves over, and what is more than a few turns is done by the worker thread. While doorbells come so close upon each
//! other that waiting for the next one would cost more than looking for it, the worker asks for none and looks: it polls.

use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cancelnic_model::Turn;
use cancelnic_registers::{Direction, QueueId};

use super::Nic;
use super::slot::{Slot, State};

/// Turns that a thread does for itself before it leaves the rest to the worker: a guest that publishes as fast as we fetch
/// must not hold the thread that hears its doorbells.
const TURNS: usize = 2;

/// When and for how long the worker polls.
#[derive(Debug)]
pub(crate) struct Polling {
    /// How long it goes on without finding work, and how close two doorbells come upon each other before it begins. Zero:
    /// never.
    patience: Duration,
    is_wanted: AtomicBool,
    is_on: AtomicBool,
}

impl Polling {
    /// Not begun.
    pub(crate) fn new(patience: Duration) -> Polling {
        Polling { patience, is_wanted: AtomicBool::new(false), is_on: AtomicBool::new(false) }
    }
}

impl Nic {
    /// The guest has rung a queue's doorbell: the judge hears of it, and the queue runs.
    pub(crate) fn doorbell(&self, queue: QueueId) {
        let Some(slot) = self.slot(queue) else { return };
        let Polling { patience, is_wanted, is_on } = &self.polling;
        let mut state = slot.lock();
        state.doorbell(|state| state.queue.doorbell(&*self.memory(), self.clock.now()));
        let close = state.doorbell_came_within(*patience);
        if is_on.load(Ordering::SeqCst) {
            // The worker looks once more after it has ended this.
            return;
        }
        if close {
            is_wanted.store(true, Ordering::SeqCst);
            drop(state);
            self.run_later();
            return;
        }
        self.run_locked(slot, state);
    }

    /// Something has changed for a queue other than by a doorbell.
    pub(crate) fn run(&self, queue: QueueId) {
        if let Some(slot) = self.slot(queue) {
            self.run_locked(slot, slot.lock());
        }
    }

    /// The worker is to run all queues: something has changed for one, in a thread that somebody waits for.
    pub(super) fn run_later(&self) {
        self.clock.wake_at(Duration::ZERO);
    }

    /// Lets the queue do what it can in one turn; the rest is the worker's. For the thread that answers the front end.
    pub(super) fn run_briefly(&self, state: MutexGuard<'_, State>) {
        if self.turn(state).moved {
            self.run_later();
        }
    }

    /// Lets the queue do what there is to do, and hands over what came back on the wire.
    pub(super) fn run_locked<'a>(&self, slot: &'a Slot, state: MutexGuard<'a, State>) {
        self.turns(slot, state);
        let back = slot.id().opposite();
        if back.direction() == Direction::Rx
            && let Some(slot) = self.slot(back)
        {
            self.turns(slot, slot.lock());
        }
    }

    fn turns<'a>(&self, slot: &'a Slot, mut state: MutexGuard<'a, State>) {
        for _ in 0..TURNS {
            let turn = self.turn(state);
            if !turn.again {
                return;
            }
            slot.give_way();
            state = slot.lock();
        }
        // More than this at once: more is likely to follow.
        self.polling.is_wanted.store(true, Ordering::SeqCst);
        self.run_later();
    }

    /// One turn of a queue. What it asks for is done, but for [`Turn::again`].
    fn turn(&self, mut state: MutexGuard<'_, State>) -> Turn {
        state.exchange(&self.ether);
        if !state.queue.is_in_service() {
            return Turn::default();
        }
        let now = self.clock.now();
        let turn = {
            let State { queue, hand, .. } = &mut *state;
            queue.run(&*self.memory(), now, &mut self.ether.line(hand))
        };
        state.exchange(&self.ether);
        state.deliver(&turn);
        drop(state);
        match turn.deadline {
            Some(deadline) if deadline > now => self.clock.wake_at(deadline),
            Some(_) => return Turn { moved: true, again: true, ..turn },
            None => {}
        }
        turn
    }

    /// Waits until the worker has something to do. For the worker.
    pub(crate) fn wait_for_work(&self) {
        self.clock.wait();
    }

    /// Does it. For the worker.
    pub(crate) fn work(&self) {
        let Polling { patience, is_wanted, .. } = &self.polling;
        if is_wanted.swap(false, Ordering::SeqCst) && !patience.is_zero() {
            self.poll();
        }
        self.wire_time_passed();
    }

    /// Runs what wire time asks for.
    pub(crate) fn wire_time_passed(&self) {
        for slot in self.queues.iter().filter(|slot| slot.id().direction() == Direction::Tx) {
            self.run_locked(slot, slot.lock());
        }
    }

    /// Runs the queues until none has found anything to do for a while. Doorbells come to nobody meanwhile.
    fn poll(&self) {
        self.polling.is_on.store(true, Ordering::SeqCst);
        let mut last = Instant::now();
        loop {
            let mut moved = false;
            // Transmit first: what comes back is received in the same round.
            for slot in self.queues.iter().rev() {
                let mut state = slot.lock();
                state.queue.set_polled(true);
                moved |= self.turn(state).moved;
                slot.give_way();
            }
            if moved {
                last = Instant::now();
            } else if last.elapsed() >= self.polling.patience || self.stop.asked() {
                break;
            } else {
                std::hint::spin_loop();
            }
        }
        self.polling.is_on.store(false, Ordering::SeqCst);
        for slot in &self.queues {
            let mut state = slot.lock();
            state.queue.set_polled(false);
            self.run_locked(slot, state);
        }
    }
}
