//! Deadlines of both queues on one timer, the clock being a number.

use cancelnic_core::{
    outcome::Waiting,
    watchdog::{Expiry, Watchdog},
};
use cancelnic_registers::QueueId;

#[test]
fn a_queue_that_owes_past_its_deadline_resets_the_device() {
    let watchdog = Watchdog::new(2000);
    assert_eq!(watchdog.note(QueueId::TX0, Waiting::Began, 1000), Some(2000));
    assert_eq!(watchdog.expired(2999), Expiry::Rearm(1));
    assert_eq!(watchdog.expired(3000), Expiry::Reset(QueueId::TX0));
}

#[test]
fn nobody_waiting_means_nothing_to_do() {
    let watchdog = Watchdog::new(2000);
    assert_eq!(watchdog.note(QueueId::RX0, Waiting::Unchanged, 0), None);
    assert_eq!(watchdog.note(QueueId::RX0, Waiting::Began, 0), Some(2000));
    assert_eq!(watchdog.note(QueueId::RX0, Waiting::Ended, 10), None);
    assert_eq!(watchdog.expired(2000), Expiry::Idle);
}

#[test]
fn progress_puts_the_deadline_off_without_a_new_timer() {
    let watchdog = Watchdog::new(2000);
    assert_eq!(watchdog.note(QueueId::TX0, Waiting::Began, 0), Some(2000));
    assert_eq!(watchdog.note(QueueId::TX0, Waiting::Began, 1500), None);
    assert_eq!(watchdog.expired(2000), Expiry::Rearm(1500));
}

#[test]
fn each_queue_has_its_own_deadline() {
    let watchdog = Watchdog::new(2000);
    assert_eq!(watchdog.note(QueueId::TX0, Waiting::Began, 0), Some(2000));
    assert_eq!(watchdog.note(QueueId::RX0, Waiting::Began, 1900), Some(2000));
    assert_eq!(watchdog.note(QueueId::TX0, Waiting::Ended, 1950), None);
    assert_eq!(watchdog.expired(2000), Expiry::Rearm(1900), "not Rx's, though Tx's time is over");
    assert_eq!(watchdog.expired(3900), Expiry::Reset(QueueId::RX0));
    watchdog.clear();
    assert_eq!(watchdog.expired(3900), Expiry::Idle);
}

#[test]
fn of_two_queues_past_their_deadlines_the_one_that_owes_longer_is_named() {
    let watchdog = Watchdog::new(2000);
    assert_eq!(watchdog.note(QueueId::RX0, Waiting::Began, 0), Some(2000));
    assert_eq!(watchdog.note(QueueId::TX0, Waiting::Began, 1), Some(2000));
    assert_eq!(watchdog.expired(5000), Expiry::Reset(QueueId::RX0));
}

#[test]
fn a_period_of_zero_waits_for_ever() {
    let watchdog = Watchdog::new(0);
    assert_eq!(watchdog.note(QueueId::TX0, Waiting::Began, 0), None);
    assert_eq!(watchdog.expired(u64::MAX - 1), Expiry::Idle);
}
