//! The sender's side of the cancel path: WdfRequestSend, WdfRequestCancelSentRequest, and what targets do with what they
//! have (`driver/docs/requests.md`, RQ1 to RQ13 and RQ32 to RQ39).

use super::driver::{
    CANCELLED, CODE, Callbacks, Change, Driver, Io, Queue, Request, Target, on_completion, open, status,
};
use super::machine::{on_a_machine, stops_with};
use super::orders;
use super::requests::Slot;
use crate::ke::worker;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::boxed::Box;
use wdk_offline::STATUS_SUCCESS;

const QUEUED: i32 = status(0x4020_0000);
const REMOVED_NOT_SENT: i32 = status(0xC020_0206);
const INVALID_DEVICE_REQUEST: i32 = status(0xC000_0010);
const TIMEOUT: i32 = status(0xC000_00B5);
/// WDF_REQUEST_SEND_OPTION_TIMEOUT, -SYNCHRONOUS, -IGNORE_TARGET_STATE, -SEND_AND_FORGET.
const WITH_TIMEOUT: u32 = 1;
const SYNCHRONOUS: u32 = 2;
const IGNORE_STATE: u32 = 4;
const FORGET: u32 = 8;

/// Two drivers: the sender has a target on the receiver's device, whose one queue is manual.
struct Pair {
    sender: Driver,
    target: Target,
    receiver: Driver,
    queue: Queue,
    completions: Arc<AtomicU32>,
    /// Status of the last completion.
    last: Arc<AtomicU64>,
}

fn pair(slot: &Slot) -> Pair {
    let (sender, receiver) = (Driver::load("sender"), Driver::load("receiver"));
    let take = slot.clone();
    let queue = receiver.manual_queue(
        true,
        Callbacks {
            cancel: Some(Box::new(move |request| {
                if !take.cancelled(request) {
                    request.complete(CANCELLED);
                }
            })),
            ..Callbacks::default()
        },
    );
    let target = sender.target_on(&receiver);
    let (completions, last) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU64::new(0)));
    let (count, keep) = (completions.clone(), last.clone());
    on_completion(move |request| {
        count.fetch_add(1, SeqCst);
        keep.store(u64::from(request.status() as u32), SeqCst);
    });
    Pair { sender, target, receiver, queue, completions, last }
}

impl Pair {
    /// A request of the sender's, formatted for the target.
    fn request(&self) -> Request {
        let request = self.sender.request(self.target);
        assert_eq!(request.format(self.target, CODE), STATUS_SUCCESS);
        request
    }

    /// One that has been sent.
    fn sent(&self) -> Request {
        let request = self.request();
        assert!(request.send(self.target, 0, 0));
        request
    }

    /// How many completion routines have run, and the last one's status.
    fn completed(&self) -> (u32, i32) {
        (self.completions.load(SeqCst), self.last.load(SeqCst) as u32 as i32)
    }
}

#[test]
fn a_sent_request_comes_back_with_the_receivers_status() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let request = pair.sent();
        assert_eq!(pair.completed().0, 0);
        pair.queue.retrieve().unwrap().complete(STATUS_SUCCESS);
        assert_eq!((pair.completed(), request.status()), ((1, STATUS_SUCCESS), STATUS_SUCCESS));
        request.delete();
    });
}

#[test]
fn a_recall_of_what_waits_in_a_queue_completes_it_before_it_returns_true() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let request = pair.sent();
        assert!(request.cancel_sent());
        assert_eq!((pair.completed(), pair.queue.state().1), ((1, CANCELLED), 0));
        request.delete();
    });
}

#[test]
fn a_recall_of_what_is_marked_runs_the_receivers_callback() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let request = pair.sent();
        pair.queue.retrieve().unwrap().mark();
        assert!(request.cancel_sent());
        assert_eq!(pair.completed(), (1, CANCELLED));
        request.delete();
    });
}

#[test]
fn a_recall_of_what_the_receiver_has_returns_false_and_it_ends_when_that_is_done() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let request = pair.sent();
        let received = pair.queue.retrieve().unwrap();
        assert!(!request.cancel_sent());
        assert!(received.is_cancelled());
        received.complete(STATUS_SUCCESS);
        assert_eq!(pair.completed(), (1, STATUS_SUCCESS));
        request.delete();
    });
}

#[test]
fn a_recall_of_what_is_back_returns_false() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let request = pair.sent();
        pair.queue.retrieve().unwrap().complete(STATUS_SUCCESS);
        assert!(!request.cancel_sent());
        assert_eq!(pair.completed().0, 1);
        request.delete();
    });
}

#[test]
fn a_request_that_was_recalled_before_it_was_sent_is_not_sent() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let request = pair.request();
        assert!(!request.cancel_sent());
        assert!(!request.send(pair.target, 0, 0));
        assert_eq!((request.status(), pair.completed().0, pair.queue.state().1), (CANCELLED, 0, 0));
        assert_eq!(request.reuse(), STATUS_SUCCESS);
        assert_eq!(request.format(pair.target, CODE), STATUS_SUCCESS);
        assert!(request.send(pair.target, 0, 0), "reuse takes the mark off");
        pair.queue.retrieve().unwrap().complete(STATUS_SUCCESS);
        request.delete();
    });
}

#[test]
fn a_stopped_target_parks_what_is_sent_and_a_recall_of_it_returns_true() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        pair.target.stop(3);
        let (first, second) = (pair.sent(), pair.sent());
        assert_eq!((first.status(), pair.queue.state().1), (QUEUED, 0));
        assert!(first.cancel_sent());
        assert_eq!(pair.completed(), (1, CANCELLED));
        assert_eq!(pair.target.start(), STATUS_SUCCESS);
        assert_eq!(pair.queue.state().1, 1);
        pair.queue.retrieve().unwrap().complete(STATUS_SUCCESS);
        assert_eq!(pair.completed(), (2, STATUS_SUCCESS));
        first.delete();
        second.delete();
    });
}

#[test]
fn a_stop_that_cancels_waits_until_all_are_back() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let (first, second) = (pair.sent(), pair.sent());
        let received = pair.queue.retrieve().unwrap();
        worker::run(Box::new(move || {
            crate::ke::delay_us(1_000);
            received.complete(STATUS_SUCCESS);
        }));
        pair.target.stop(1);
        assert_eq!(pair.completed().0, 2);
        first.delete();
        second.delete();
    });
}

#[test]
fn a_purged_target_fails_what_is_parked_and_refuses_what_comes() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        pair.target.stop(3);
        let parked = pair.sent();
        pair.target.purge(1);
        assert_eq!(pair.completed(), (1, REMOVED_NOT_SENT));
        let late = pair.request();
        assert!(!late.send(pair.target, 0, 0));
        parked.delete();
        late.delete();
    });
}

#[test]
fn a_closed_target_has_cancelled_what_was_sent() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let request = pair.sent();
        pair.target.close();
        assert_eq!(pair.completed(), (1, CANCELLED));
        request.delete();
    });
}

#[test]
fn requests_that_ignore_the_targets_state_are_left_alone_by_stop_and_purge() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        pair.target.stop(3);
        let request = pair.request();
        assert!(request.send(pair.target, IGNORE_STATE, 0));
        assert_eq!(pair.queue.state().1, 1);
        pair.target.purge(1);
        assert_eq!(pair.completed().0, 0);
        pair.queue.retrieve().unwrap().complete(STATUS_SUCCESS);
        assert_eq!(pair.completed(), (1, STATUS_SUCCESS));
        request.delete();
    });
}

#[test]
fn a_request_with_a_time_limit_is_recalled_when_that_is_over() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let request = pair.request();
        assert!(request.send(pair.target, WITH_TIMEOUT, -10_000));
        crate::ke::delay_us(500);
        assert_eq!(pair.completed().0, 0);
        crate::ke::delay_us(2_000);
        assert_eq!(pair.completed(), (1, TIMEOUT));
        request.delete();
    });
}

#[test]
fn a_time_limit_that_the_receiver_keeps_has_no_effect() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let request = pair.request();
        assert!(request.send(pair.target, WITH_TIMEOUT, -10_000));
        pair.queue.retrieve().unwrap().complete(STATUS_SUCCESS);
        crate::ke::delay_us(5_000);
        assert_eq!(pair.completed(), (1, STATUS_SUCCESS));
        request.delete();
    });
}

#[test]
fn a_synchronous_send_returns_when_the_request_is_back() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let (request, queue) = (pair.request(), pair.queue);
        worker::run(Box::new(move || {
            crate::ke::delay_us(1_000);
            queue.retrieve().unwrap().complete(STATUS_SUCCESS);
        }));
        assert!(request.send(pair.target, SYNCHRONOUS, 0));
        assert_eq!((request.status(), crate::ke::now_us() >= 1_000), (STATUS_SUCCESS, true));
        request.delete();
    });
}

#[test]
fn a_synchronous_send_with_a_time_limit_recalls_the_request_itself() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let request = pair.request();
        assert!(request.send(pair.target, SYNCHRONOUS | WITH_TIMEOUT, -10_000));
        assert_eq!((request.status(), pair.queue.state().1), (TIMEOUT, 0));
        request.delete();
    });
}

#[test]
fn what_is_sent_down_the_drivers_own_stack_comes_back_unserved() {
    on_a_machine!(|| {
        let driver = Driver::load("alone");
        let target = driver.local_target();
        let request = driver.request(target);
        assert_eq!(request.format(target, CODE), STATUS_SUCCESS);
        assert!(request.send(target, 0, 0));
        assert_eq!(request.status(), INVALID_DEVICE_REQUEST);
        request.delete();
    });
}

#[test]
fn a_request_is_passed_down_the_stack_and_forgotten() {
    on_a_machine!(|| {
        let driver = Driver::load("forgetting");
        let target = driver.local_target();
        driver.default_queue(Callbacks {
            control: Some(Box::new(move |_, request| assert!(request.send(target, FORGET, 0)))),
            ..Callbacks::default()
        });
        let file = open(&driver);
        assert_eq!(Io::start(&file).ended(), INVALID_DEVICE_REQUEST);
    });
}

#[test]
fn a_received_request_is_sent_on_and_completed_by_who_received_it() {
    on_a_machine!(|| {
        let driver = Driver::load("passing");
        let target = driver.local_target();
        driver.default_queue(Callbacks {
            control: Some(Box::new(move |_, request| {
                request.format_as_it_came();
                assert!(request.send(target, 0, 0));
            })),
            ..Callbacks::default()
        });
        on_completion(|request| request.complete(request.status()));
        let file = open(&driver);
        assert_eq!(Io::start(&file).ended(), INVALID_DEVICE_REQUEST);
    });
}

/// In every order of a recall and of what `other` does in the receiver, the sender's completion routine runs once.
fn every_order_of_recall_and(prepare: fn(&Pair, &Slot), other: fn(Queue, &Slot)) {
    let slot = Slot::default();
    let pair = pair(&slot);
    orders::both_ways(|race| {
        let before = pair.completed().0;
        let request = pair.sent();
        prepare(&pair, &slot);
        let (queue, shared) = (pair.queue, slot.clone());
        let recall = Box::new(move || {
            request.cancel_sent();
        });
        let act = Box::new(move || other(queue, &shared));
        race(recall, act);
        let (after, last) = pair.completed();
        assert_eq!(after - before, 1, "one completion");
        assert!([STATUS_SUCCESS, CANCELLED].contains(&last), "{last:#x}");
        assert_eq!((pair.queue.state().1, pair.queue.state().2), (0, 0));
        pair.queue.start();
        request.delete();
    });
}

#[test]
fn in_every_order_of_recall_and_retrieve_the_request_comes_back_once() {
    on_a_machine!(|| every_order_of_recall_and(
        |_, _| (),
        |queue, _| {
            if let Ok(request) = queue.retrieve() {
                request.complete(STATUS_SUCCESS);
            }
        }
    ));
}

#[test]
fn in_every_order_of_recall_and_completion_the_request_comes_back_once() {
    on_a_machine!(|| every_order_of_recall_and(
        |pair, slot| slot.keep(pair.queue.retrieve().unwrap()),
        |_, slot| slot.finish()
    ));
}

#[test]
fn in_every_order_of_recall_and_purge_the_request_comes_back_once() {
    on_a_machine!(|| every_order_of_recall_and(|_, _| (), |queue, _| queue.change(Change::Purge, false)));
}

#[test]
fn in_every_order_of_recall_and_purge_of_a_marked_request_it_comes_back_once() {
    on_a_machine!(|| every_order_of_recall_and(
        |pair, _| pair.queue.retrieve().unwrap().mark(),
        |queue, _| queue.change(Change::Purge, false)
    ));
}

/// In every order of a recall and of a change of the target, the completion routine runs once.
fn every_order_of_recall_and_target(parked: bool, change: fn(Target)) {
    let pair = pair(&Slot::default());
    orders::both_ways(|race| {
        let before = pair.completed().0;
        if parked {
            pair.target.stop(3);
        }
        let (request, target) = (pair.sent(), pair.target);
        let recall = Box::new(move || {
            request.cancel_sent();
        });
        let act = Box::new(move || change(target));
        race(recall, act);
        while let Ok(request) = pair.queue.retrieve() {
            request.complete(STATUS_SUCCESS);
        }
        assert_eq!(pair.completed().0 - before, 1);
        request.delete();
        pair.target.start();
    });
}

#[test]
fn in_every_order_of_recall_and_start_a_parked_request_comes_back_once() {
    on_a_machine!(|| every_order_of_recall_and_target(true, |target| {
        target.start();
    }));
}

#[test]
fn in_every_order_of_recall_and_purge_of_the_target_a_parked_request_comes_back_once() {
    on_a_machine!(|| every_order_of_recall_and_target(true, |target| target.purge(2)));
}

#[test]
fn in_every_order_of_recall_and_stop_with_cancel_a_sent_request_comes_back_once() {
    on_a_machine!(|| every_order_of_recall_and_target(false, |target| target.stop(1)));
}

#[test]
fn in_every_order_of_send_and_recall_the_request_comes_back_once_or_was_never_sent() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        orders::both_ways(|race| {
            let before = pair.completed().0;
            let (request, target) = (pair.request(), pair.target);
            let sent = Arc::new(AtomicU32::new(0));
            let flag = sent.clone();
            let send = Box::new(move || flag.store(request.send(target, 0, 0).into(), SeqCst));
            let recall = Box::new(move || {
                request.cancel_sent();
            });
            race(send, recall);
            assert_eq!(pair.completed().0 - before, sent.load(SeqCst));
            assert_eq!((request.status(), pair.queue.state().1), (CANCELLED, 0));
            request.delete();
        });
    });
}

#[test]
fn a_recall_without_a_reference_is_named() {
    stops_with!("CancelledWithoutReference", || {
        let pair = pair(&Slot::default());
        let request = pair.sent();
        // SAFETY: KMDF checks the handle.
        unsafe { crate::wdf::request::cancel::cancel_sent_request(core::ptr::null_mut(), request.raw()) };
    });
}

#[test]
fn sending_a_request_that_is_sent_is_named() {
    stops_with!("RequestAlreadySent", || {
        let pair = pair(&Slot::default());
        let request = pair.sent();
        request.send(pair.target, 0, 0);
    });
}

#[test]
fn sending_a_request_again_without_reuse_is_named() {
    stops_with!("RequestNotReused", || {
        let pair = pair(&Slot::default());
        let request = pair.sent();
        pair.queue.retrieve().unwrap().complete(STATUS_SUCCESS);
        request.send(pair.target, 0, 0);
    });
}

#[test]
fn deleting_a_request_that_is_sent_is_named() {
    stops_with!("RequestDeletedWhileSent", || {
        let pair = pair(&Slot::default());
        pair.sent().delete();
    });
}

#[test]
fn reusing_a_request_that_is_sent_is_named() {
    stops_with!("RequestReusedWhileSent", || {
        let pair = pair(&Slot::default());
        pair.sent().reuse();
    });
}

#[test]
fn a_request_that_the_receiver_keeps_is_named_when_the_target_closes() {
    stops_with!("SentRequestNotReturned", || {
        let pair = pair(&Slot::default());
        pair.sent();
        pair.queue.retrieve().unwrap();
        pair.target.close();
    });
}

#[test]
fn a_receiver_that_goes_closes_the_senders_target_with_all_that_was_sent() {
    on_a_machine!(|| {
        let pair = pair(&Slot::default());
        let request = pair.sent();
        let targets = crate::wdf::io_target::pnp::query_remove(pair.receiver.object()).unwrap();
        assert_eq!((targets.len(), pair.completed()), (1, (1, CANCELLED)));
        pair.receiver.node.remove(false, &targets);
        request.delete();
    });
}
