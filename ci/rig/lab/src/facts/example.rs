//! A run's facts for the tests, here and in the crates above.

use super::{Facts, Step, Stretch};
use crate::device::capture::Capture;
use crate::device::control::{Queue, Stats};
use crate::device::{RX, TX};
use agent_protocol::Ids;
use std::time::Duration;

fn ids(text: &[(u64, u64)]) -> Ids {
    Ids(text.to_vec())
}

/// Ten frames: 1, 2 sent and received, 3 to 6 taken back, 7 to 10 never posted.
pub fn good() -> Facts {
    let mut facts = Facts { offered: ids(&[(1, 10)]), ..Facts::default() };
    facts.tx.posted = ids(&[(1, 10)]);
    facts.tx.sent = ids(&[(1, 2)]);
    facts.tx.taken_back = ids(&[(3, 6)]);
    facts.tx.never_posted = ids(&[(7, 10)]);
    facts.rx.received = ids(&[(1, 2)]);
    facts.rx.returned_empty = 250;
    facts.driver.line("cancelnic: tx0 stop: posted=6 sent=2 taken_back=4 never_posted=4");
    facts.driver.line("cancelnic: rx0 stop: received=2 returned_empty=250");
    facts.capture = Capture {
        outbound: vec![1, 2],
        taken_back: vec![3, 4, 5, 6],
        inbound: vec![1, 2],
        ..Capture::default()
    };
    facts.must_arrive = vec![Stretch { from: 0, to: 2, dropped: 0 }];
    let tx = Queue { sent: 2, taken_back: 4, ..Queue::new(TX) };
    let rx = Queue { received: 2, returned: 240, ..Queue::new(RX) };
    facts.device = Stats { queues: vec![rx, tx], ..Stats::default() };
    facts.steps = vec![Step {
        name: "load".into(),
        ok: true,
        at: Duration::ZERO,
        took: Duration::from_millis(3),
        detail: String::new(),
    }];
    facts
}
