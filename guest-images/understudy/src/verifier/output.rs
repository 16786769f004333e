//! What the rig is told: lines wait in one queue, in order, and a thread of its own writes them to COM2.

use crate::hal::cpu::without_interrupts;
use crate::hal::serial;
use crate::ke::Event;
use crate::ke::irqlock::IrqLock;
use agent_protocol::Message;
use alloc::{collections::VecDeque, string::String};
use spin::Once;

static WAITING: IrqLock<VecDeque<Message>> = IrqLock::new(VecDeque::new());
static WRITER: Once<Event> = Once::new();
/// Events that wait no longer than this, in microseconds.
const BATCH_US: u64 = 20_000;

/// Queues a message. Any IRQL; what is not an answer may wait a little, so that the driver is not slowed down.
pub(crate) fn push(message: Message) {
    let answer = matches!(message, Message::Hello { .. } | Message::Done { .. } | Message::Failed { .. });
    WAITING.with(|waiting| waiting.push_back(message));
    if answer && let Some(event) = WRITER.get() {
        event.set();
    }
}

/// Writes out all that waits. Lines are whole: interrupts are off during each.
pub(crate) fn flush() {
    while let Some(message) = WAITING.with(VecDeque::pop_front) {
        match serde_json::to_string(&message) {
            Ok(line) => without_interrupts(|| serial::write_line(&line)),
            Err(error) => crate::log!("a message cannot be written: {error}"),
        }
    }
}

/// The writer thread.
pub(crate) fn writer() {
    let event = WRITER.call_once(Event::auto);
    loop {
        event.wait_timeout(BATCH_US);
        flush();
    }
}

/// What a driver printed last.
static LAST_DEBUG_LINE: IrqLock<String> = IrqLock::new(String::new());

/// A line that the driver printed. Any IRQL.
pub(crate) fn debug_line(text: &str) {
    let text = String::from(text.trim_end_matches(['\r', '\n']));
    let kept = text.clone();
    let old = LAST_DEBUG_LINE.with(|last| core::mem::replace(last, kept));
    drop(old);
    push(Message::Debug { text });
}

/// What a driver printed last. Any IRQL.
pub(crate) fn last_debug_line() -> String {
    let taken = LAST_DEBUG_LINE.with(core::mem::take);
    let kept = taken.clone();
    LAST_DEBUG_LINE.with(|last| *last = kept);
    taken
}
