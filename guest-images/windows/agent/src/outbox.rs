//! What is to be said on one connection, in order.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
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
    /// One has been taken out and is being written.
    writing: bool,
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

    /// The next message, to be written; waits for one, and is `None` once the outbox is closed.
    pub fn next(&self) -> Option<Message> {
        self.next_within(Duration::MAX)
    }

    /// The same, and `None` also if there is none within `limit`.
    pub fn next_within(&self, limit: Duration) -> Option<Message> {
        let nothing = |waiting: &mut Waiting| !waiting.closed && waiting.messages.is_empty();
        let waited = self.changed.wait_timeout_while(self.lock(), limit, nothing);
        let mut waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        let message = waiting.messages.pop_front();
        waiting.writing = message.is_some();
        message
    }

    /// The message that [`Outbox::next`] gave has been written.
    pub fn written(&self) {
        self.lock().writing = false;
        self.changed.notify_all();
    }

    /// Waits until all that was said has been written or never will be, at most for `limit`; whether that is so.
    pub fn await_written(&self, limit: Duration) -> bool {
        let under_way =
            |waiting: &mut Waiting| !waiting.closed && (waiting.writing || !waiting.messages.is_empty());
        let waited = self.changed.wait_timeout_while(self.lock(), limit, under_way);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// The connection has ended.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.messages.clear();
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_written_is_not_written_yet() {
        let outbox = Outbox::default();
        assert!(outbox.await_written(Duration::ZERO));
        outbox.answer(1, Ok(Reply::default()));
        assert!(!outbox.await_written(Duration::ZERO), "said");
        outbox.next();
        assert!(!outbox.await_written(Duration::ZERO), "being written");
        outbox.written();
        assert!(outbox.await_written(Duration::ZERO));
    }

    #[test]
    fn nobody_waits_for_what_a_lost_port_had() {
        let outbox = Outbox::default();
        outbox.answer(1, Ok(Reply::default()));
        outbox.next();
        outbox.close();
        assert!(outbox.await_written(Duration::MAX));
    }
}
