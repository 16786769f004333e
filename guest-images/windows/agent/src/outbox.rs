//! What is to be said on one connection, in order.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
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
    /// Which rig is at the other end, counted.
    rig: u64,
    /// One has been taken out and is being written.
    writing: bool,
    closed: bool,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says `message` after all others, whoever is at the other end.
    pub fn say(&self, message: Message) {
        let waiting = self.lock();
        self.put(waiting, message);
    }

    fn put(&self, mut waiting: MutexGuard<'_, Waiting>, message: Message) {
        if !waiting.closed {
            waiting.messages.push_back(message);
            self.changed.notify_all();
        }
    }

    /// The rig that is at the other end now.
    pub fn rig(self: &Arc<Self>) -> Asker {
        Asker { outbox: Arc::clone(self), rig: self.lock().rig }
    }

    /// Another rig is at the other end from now on: what was to be said to the one before it is dropped.
    pub fn next_rig(self: &Arc<Self>) -> Asker {
        let mut waiting = self.lock();
        waiting.rig += 1;
        waiting.messages.clear();
        Asker { outbox: Arc::clone(self), rig: waiting.rig }
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

    /// The connection has ended.
    pub fn close(&self) {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.messages.clear();
        self.changed.notify_all();
    }
}

/// A rig that has asked for something. What is said to one that is no longer at the other end is dropped.
#[derive(Debug, Clone)]
pub struct Asker {
    outbox: Arc<Outbox>,
    rig: u64,
}

impl Asker {
    /// Says `message` after all others.
    pub fn say(&self, message: Message) {
        let waiting = self.outbox.lock();
        if waiting.rig == self.rig {
            self.outbox.put(waiting, message);
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

    /// Waits until all that was said has been written or never will be, at most for `limit`; whether that is so.
    pub fn await_written(&self, limit: Duration) -> bool {
        let under_way =
            |waiting: &mut Waiting| !waiting.closed && (waiting.writing || !waiting.messages.is_empty());
        let waited = self.outbox.changed.wait_timeout_while(self.outbox.lock(), limit, under_way);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_written_is_not_written_yet() {
        let outbox = Arc::new(Outbox::default());
        let rig = outbox.rig();
        assert!(rig.await_written(Duration::ZERO));
        rig.answer(1, Ok(Reply::default()));
        assert!(!rig.await_written(Duration::ZERO), "said");
        outbox.next();
        assert!(!rig.await_written(Duration::ZERO), "being written");
        outbox.written();
        assert!(rig.await_written(Duration::ZERO));
    }

    #[test]
    fn nobody_waits_for_what_a_lost_port_had() {
        let outbox = Arc::new(Outbox::default());
        let rig = outbox.rig();
        rig.answer(1, Ok(Reply::default()));
        outbox.next();
        outbox.close();
        assert!(rig.await_written(Duration::MAX));
    }

    #[test]
    fn an_answer_is_for_the_rig_that_asked() {
        let outbox = Arc::new(Outbox::default());
        let first = outbox.rig();
        first.answer(1, Ok(Reply::default()));
        let second = outbox.next_rig();
        first.answer(2, Ok(Reply::default()));
        second.answer(3, Ok(Reply::default()));
        outbox.rig().answer(4, Ok(Reply::default()));
        for id in [3, 4] {
            assert_eq!(outbox.next(), Some(Message::Done { id, reply: Reply::default() }));
        }
        assert_eq!(outbox.next_within(Duration::ZERO), None);
    }
}
