//! The stop line's exact text, which the rig reads.

use cancelnic_core::counters::{RxCounters, StopLine, TxCounters};
use cancelnic_registers::{Direction, QueueId};

fn queue(direction: Direction, pair: u8) -> QueueId {
    QueueId::new(direction, pair).expect("a pair that there is")
}

#[test]
fn transmit_line() {
    let counters =
        TxCounters { posted: 128, sent: 1, taken_back: 127, never_posted: 72, ..TxCounters::default() };
    assert_eq!(
        StopLine { queue: QueueId::TX0, counters }.to_string(),
        "cancelnic: tx0 stop: posted=128 sent=1 taken_back=127 never_posted=72"
    );
}

#[test]
fn receive_line() {
    let counters = RxCounters { posted: 255, received: 10, returned_empty: 246, malformed: 0 };
    assert_eq!(
        StopLine { queue: QueueId::RX0, counters }.to_string(),
        "cancelnic: rx0 stop: received=10 returned_empty=246"
    );
}

#[test]
fn what_should_not_happen_is_appended_when_it_did() {
    let tx = TxCounters { posted: 3, sent: 1, refused: 1, lost: 1, ..TxCounters::default() };
    assert_eq!(
        StopLine { queue: queue(Direction::Tx, 7), counters: tx }.to_string(),
        "cancelnic: tx7 stop: posted=3 sent=1 taken_back=0 never_posted=0 refused=1 lost=1"
    );
    let rx = RxCounters { posted: 2, received: 0, returned_empty: 2, malformed: 1 };
    assert_eq!(
        StopLine { queue: queue(Direction::Rx, 1), counters: rx }.to_string(),
        "cancelnic: rx1 stop: received=0 returned_empty=2 malformed=1"
    );
}
