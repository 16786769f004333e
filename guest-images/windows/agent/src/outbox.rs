//! What is to be said on one connection, in order.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use agent_protocol::{Message, Reply};

use crate::guest::Fault;

/// Messages that wait for the port. Closed with its connection: what is said later is dropped.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<Message>,
    closed: bool,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says `message` after all others.
    pub fn say(&self, message: Message) {
        let mut waiting = self.lock();
        if !waiting.closed {
            waiting.messages.push_back(message);
            self.changed.notify_all();
        }
    }

    /// Answers the request `id`.
    pub fn answer(&self, id: u32, result: Result<Reply, Fault>) {
        self.say(match result {
            Ok(reply) => Message::Done { id, reply },
            Err(Fault::Failed(error)) => Message::failed(id, error),
            Err(Fault::Unsupported(why)) => Message::unsupported(id, why),
        });
    }

    /// The next message; waits for one, and is `None` once the outbox is closed.
    pub fn next(&self) -> Option<Message> {
        let mut waiting = self.lock();
        loop {
            if waiting.closed {
                return None;
            }
            if let Some(message) = waiting.messages.pop_front() {
                return Some(message);
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The connection has ended.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.messages.clear();
        self.changed.notify_all();
    }
}
