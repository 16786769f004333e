//! What the guest said, put on the rig's clock.

use crate::facts::{Callback, Facts, Print, Warning};
use crate::session::Session;
use agent_protocol::Message;
use std::time::{Duration, Instant};

/// Reads the guest's record into the callbacks, the drivers' lines and the driver's counts. `ended_lives` are the places in
/// the record at which the packet queues had been destroyed.
pub(super) fn collect(session: &Session, started: Instant, ended_lives: &[usize], facts: &mut Facts) {
    let mut ended_lives = ended_lives.iter().peekable();
    for (place, (when, said)) in session.agent.said_when().into_iter().enumerate() {
        while ended_lives.next_if(|&&end| end <= place).is_some() {
            facts.driver.queues_destroyed();
        }
        match said {
            Message::Debug { text } => {
                facts.driver.line(&text);
                facts.prints.push(Print { at: when.saturating_duration_since(started), text });
            }
            Message::Event { us, took_us, queue, what, irql } => facts.callbacks.push(Callback {
                at: session.greeting.since(started, us),
                took: Duration::from_micros(took_us),
                queue,
                what,
                irql,
            }),
            Message::Warning { us, violation } => {
                facts.warnings.push(Warning { at: session.greeting.since(started, us), violation });
            }
            _ => {}
        }
    }
}
