//! One queue's place in the process: the model's queue, and what its turns ask for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use cancelnic_model::Turn;
use vmm_sys_util::event::EventNotifier;

use crate::log::OncePerSecond;

/// A queue of the model behind its lock.
pub struct Slot<Q> {
    state: Mutex<State<Q>>,
    /// Threads that want the lock and must not wait long.
    urgent: AtomicUsize,
}

/// What the lock guards.
pub struct State<Q> {
    /// The model's queue.
    pub queue: Q,
    /// Where interrupts go.
    pub call: Option<EventNotifier>,
    name: &'static str,
    complaints: OncePerSecond,
}

impl<Q> Slot<Q> {
    /// For `queue`, called `name` in the log.
    pub fn new(name: &'static str, queue: Q) -> Slot<Q> {
        let state = State { queue, call: None, name, complaints: OncePerSecond::default() };
        Slot { state: Mutex::new(state), urgent: AtomicUsize::new(0) }
    }

    /// The queue, for the thread that answers the front end: a thread in the middle of its turns lets it in.
    pub fn lock(&self) -> MutexGuard<'_, State<Q>> {
        self.urgent.fetch_add(1, Ordering::SeqCst);
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        self.urgent.fetch_sub(1, Ordering::SeqCst);
        state
    }

    /// Between two turns: lets those in who must not wait long.
    pub fn give_way(&self) {
        if self.urgent.load(Ordering::SeqCst) > 0 {
            std::thread::yield_now();
        }
    }
}

impl<Q> State<Q> {
    /// Does what `turn` asks of this queue alone: the interrupt, and a word in the log. Called after the
    /// model's call has returned, under the same lock: by then the status word is readable (C7).
    pub fn settle(&mut self, turn: &Turn) {
        self.signal(turn.signal);
        if let Some(why) = turn.broke {
            tracing::warn!(queue = self.name, "broken until it leaves service: {why}");
        }
        if turn.refused > 0 && self.complaints.now() {
            tracing::warn!(
                queue = self.name,
                "the driver posts malformed chains (said once a second at most)"
            );
        }
    }

    /// Writes the call descriptor, if `wanted` and there is one.
    pub fn signal(&self, wanted: bool) {
        let Some(call) = self.call.as_ref().filter(|_| wanted) else { return };
        match call.notify() {
            // Full: nobody has read it yet, so nobody has missed it.
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => tracing::warn!(queue = self.name, %error, "an interrupt is lost"),
            Ok(()) => {}
        }
    }
}
