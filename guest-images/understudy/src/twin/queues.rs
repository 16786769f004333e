//! Queues: how they present, stop, drain and purge, and what a cancel finds on them (`driver/docs/requests.md`, RQ7 and
//! RQ20 to RQ25).

use super::driver::{CANCELLED, Callbacks, Change, Driver, Io, Queue, Request, open, status};
use super::machine::{on_a_machine, stops_with};
use super::orders;
use super::requests::Slot;
use crate::io::file::File;
use crate::ke::irqlock::IrqLock;
use crate::ke::worker;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::boxed::Box;
use std::vec::Vec;
use wdk_offline::STATUS_SUCCESS;

const NO_MORE_ENTRIES: i32 = status(0x8000_001A);
const PAUSED: i32 = status(0xC020_0203);
const INVALID_DEVICE_STATE: i32 = status(0xC000_0184);
/// WdfIoQueueAcceptRequests, -DispatchRequests, -NoRequests, -DriverNoRequests.
const ACCEPTS: i32 = 1;
const DISPATCHES: i32 = 2;

type Given = Arc<IrqLock<Vec<Request>>>;

fn given(all: &Given) -> Vec<Request> {
    all.with(|all| all.clone())
}

/// A driver with a queue of that kind whose callback keeps what it is given.
fn keeping(kind: i32) -> (Driver, Queue, Arc<File>, Given) {
    let driver = Driver::load("keeping");
    let all = Given::default();
    let keep = all.clone();
    let callbacks = Callbacks {
        control: Some(Box::new(move |_, request| keep.with(|all| all.push(request)))),
        cancel: Some(Box::new(|request| request.complete(CANCELLED))),
        ..Callbacks::default()
    };
    let config = wdk_offline::WDF_IO_QUEUE_CONFIG { DefaultQueue: 1, ..Driver::config(kind, &callbacks) };
    let queue = driver.queue_of(config, callbacks).expect("a queue");
    let file = open(&driver);
    (driver, queue, file, all)
}

impl Default for IrqLock<Vec<Request>> {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

const SEQUENTIAL: i32 = 1;
const PARALLEL: i32 = 2;
const MANUAL: i32 = 3;

fn start(file: &Arc<File>, count: usize) -> Vec<Io> {
    (0..count).map(|_| Io::start(file)).collect()
}

#[test]
fn a_sequential_queue_presents_the_next_request_when_the_last_is_completed() {
    on_a_machine!(|| {
        let (_driver, queue, file, all) = keeping(SEQUENTIAL);
        let ios = start(&file, 3);
        assert_eq!((given(&all).len(), queue.state().1, queue.state().2), (1, 2, 1));
        for at in 0..3 {
            given(&all)[at].complete(STATUS_SUCCESS);
        }
        assert!(ios.iter().all(|io| io.ended() == STATUS_SUCCESS));
    });
}

#[test]
fn a_parallel_queue_presents_all_and_a_manual_one_none() {
    on_a_machine!(|| {
        let (_driver, queue, file, all) = keeping(PARALLEL);
        start(&file, 3);
        assert_eq!((given(&all).len(), queue.state().1, queue.state().2), (3, 0, 3));
    });
}

#[test]
fn a_manual_queue_gives_its_requests_in_order_to_whoever_retrieves() {
    on_a_machine!(|| {
        let (_driver, queue, file, _) = keeping(MANUAL);
        let ios = start(&file, 2);
        for io in &ios {
            queue.retrieve().unwrap().complete(STATUS_SUCCESS);
            assert_eq!(io.ended(), STATUS_SUCCESS);
        }
        assert_eq!(queue.retrieve(), Err(NO_MORE_ENTRIES));
    });
}

#[test]
fn a_request_that_waits_on_a_queue_is_cancelled_by_the_framework_and_the_driver_never_sees_it() {
    on_a_machine!(|| {
        let (_driver, queue, file, all) = keeping(MANUAL);
        let ios = start(&file, 3);
        assert!(ios[1].cancel());
        assert_eq!((ios[1].ended(), queue.state().1), (CANCELLED, 2));
        assert!(given(&all).is_empty());
        for at in [0, 2] {
            queue.retrieve().unwrap().complete(STATUS_SUCCESS);
            assert_eq!(ios[at].ended(), STATUS_SUCCESS);
        }
    });
}

#[test]
fn a_requeued_request_is_at_the_head_again() {
    on_a_machine!(|| {
        let (_driver, queue, file, _) = keeping(MANUAL);
        let ios = start(&file, 2);
        let first = queue.retrieve().unwrap();
        assert_eq!(first.requeue(), STATUS_SUCCESS);
        assert_eq!(queue.retrieve(), Ok(first));
        first.complete(STATUS_SUCCESS);
        assert_eq!((ios[0].ended(), ios[1].outcome()), (STATUS_SUCCESS, None));
    });
}

#[test]
fn a_driver_that_had_a_request_before_hears_that_it_was_cancelled_on_a_queue() {
    on_a_machine!(|| {
        let driver = Driver::load("told");
        let told = Arc::new(AtomicU32::new(0));
        let count = told.clone();
        let queue = driver.manual_queue(
            true,
            Callbacks {
                canceled_on_queue: Some(Box::new(move |request| {
                    count.fetch_add(1, SeqCst);
                    request.complete(CANCELLED);
                })),
                ..Callbacks::default()
            },
        );
        let file = open(&driver);
        let ios = start(&file, 2);
        let first = queue.retrieve().unwrap();
        assert_eq!(first.requeue(), STATUS_SUCCESS);
        assert!(ios[0].cancel() && ios[1].cancel());
        assert_eq!((ios[0].ended(), ios[1].ended()), (CANCELLED, CANCELLED));
        assert_eq!(told.load(SeqCst), 1, "of the request that the driver had had");
    });
}

#[test]
fn a_stopped_queue_accepts_and_presents_nothing_until_it_is_started() {
    on_a_machine!(|| {
        let (_driver, queue, file, all) = keeping(PARALLEL);
        queue.change(Change::Stop, false);
        assert_eq!(queue.state().0 & (ACCEPTS | DISPATCHES), ACCEPTS);
        let ios = start(&file, 2);
        assert_eq!((given(&all).len(), queue.state().1), (0, 2));
        queue.start();
        assert_eq!(given(&all).len(), 2);
        given(&all).into_iter().for_each(|request| request.complete(STATUS_SUCCESS));
        assert!(ios.iter().all(|io| io.ended() == STATUS_SUCCESS));
    });
}

#[test]
fn a_purged_queue_cancels_what_it_holds_and_what_is_marked_and_refuses_what_comes() {
    on_a_machine!(|| {
        let (_driver, queue, file, all) = keeping(SEQUENTIAL);
        let ios = start(&file, 3);
        given(&all)[0].mark();
        queue.change(Change::Purge, false);
        assert!(ios.iter().all(|io| io.ended() == CANCELLED));
        assert_eq!(Io::start(&file).ended(), INVALID_DEVICE_STATE);
        queue.start();
        Io::start(&file);
        assert_eq!(given(&all).len(), 2);
    });
}

#[test]
fn a_drained_queue_presents_what_it_holds_and_refuses_what_comes() {
    on_a_machine!(|| {
        let (_driver, queue, file, all) = keeping(SEQUENTIAL);
        let ios = start(&file, 2);
        queue.change(Change::Drain, false);
        assert_eq!(Io::start(&file).ended(), INVALID_DEVICE_STATE);
        given(&all)[0].complete(STATUS_SUCCESS);
        given(&all)[1].complete(STATUS_SUCCESS);
        assert!(ios.iter().all(|io| io.ended() == STATUS_SUCCESS));
    });
}

#[test]
fn what_a_driver_marks_while_its_queue_is_purged_counts_as_cancelled() {
    on_a_machine!(|| {
        let (_driver, queue, file, all) = keeping(PARALLEL);
        let ios = start(&file, 2);
        queue.change(Change::Purge, false);
        given(&all)[0].mark();
        assert_eq!(ios[0].ended(), CANCELLED);
        assert_eq!(given(&all)[1].mark_ex(), CANCELLED);
        given(&all)[1].complete(CANCELLED);
        assert_eq!(ios[1].ended(), CANCELLED);
    });
}

#[test]
fn a_stopped_queue_leaves_marked_requests_alone() {
    on_a_machine!(|| {
        let (_driver, queue, file, all) = keeping(PARALLEL);
        let ios = start(&file, 1);
        given(&all)[0].mark();
        queue.change(Change::Stop, false);
        assert_eq!(ios[0].outcome(), None);
        assert!(ios[0].cancel());
        assert_eq!(ios[0].ended(), CANCELLED);
    });
}

/// Counts the state callbacks of a queue whose driver keeps what it is given.
fn notified(change: Change) -> (u32, u32) {
    let driver = Driver::load("notified");
    let (all, calls) = (Given::default(), Arc::new(AtomicU32::new(0)));
    let (keep, count) = (all.clone(), calls.clone());
    let queue = driver.default_queue(Callbacks {
        control: Some(Box::new(move |_, request| keep.with(|all| all.push(request)))),
        state: Some(Box::new(move |_| {
            count.fetch_add(1, SeqCst);
        })),
        ..Callbacks::default()
    });
    let file = open(&driver);
    start(&file, 1);
    queue.change(change, true);
    let before = calls.load(SeqCst);
    given(&all)[0].complete(STATUS_SUCCESS);
    (before, calls.load(SeqCst))
}

#[test]
fn a_state_callback_comes_once_when_the_driver_has_no_request_any_more() {
    on_a_machine!(|| {
        for change in [Change::Stop, Change::StopAndPurge, Change::Drain, Change::Purge] {
            assert_eq!(notified(change), (0, 1), "{change:?}");
        }
    });
}

#[test]
fn the_forms_that_wait_return_when_the_driver_has_completed_its_last_request() {
    on_a_machine!(|| {
        for change in [Change::Stop, Change::StopAndPurge, Change::Drain, Change::Purge] {
            let (_driver, queue, file, all) = keeping(PARALLEL);
            let io = Io::start(&file);
            let request = given(&all)[0];
            worker::run(Box::new(move || {
                crate::ke::delay_us(1_000);
                request.complete(STATUS_SUCCESS);
            }));
            queue.change_and_wait(change);
            assert_eq!(io.ended(), STATUS_SUCCESS, "{change:?}");
        }
    });
}

#[test]
fn a_request_that_the_driver_forgets_is_named_by_a_purge_that_waits() {
    stops_with!("RequestNeverCompleted", || {
        let (_driver, queue, file, _) = keeping(PARALLEL);
        Io::start(&file);
        queue.change_and_wait(Change::Purge);
    });
}

#[test]
fn a_second_stop_callback_while_one_is_due_is_fatal() {
    stops_with!("QueueFatalError", || {
        let (_driver, queue, file, _) = keeping(PARALLEL);
        Io::start(&file);
        queue.change(Change::Stop, true);
        queue.change(Change::Stop, true);
    });
}

#[test]
fn retrieving_from_a_stopped_queue_says_that_it_is_paused() {
    on_a_machine!(|| {
        let (_driver, queue, file, _) = keeping(MANUAL);
        Io::start(&file);
        queue.change(Change::Stop, false);
        assert_eq!(queue.retrieve(), Err(PAUSED));
        queue.start();
        queue.retrieve().unwrap().complete(STATUS_SUCCESS);
    });
}

#[test]
fn a_ready_callback_comes_for_the_first_request_of_an_empty_queue_only() {
    on_a_machine!(|| {
        let driver = Driver::load("ready");
        let calls = Arc::new(AtomicU32::new(0));
        let count = calls.clone();
        let queue = driver.manual_queue(
            true,
            Callbacks {
                state: Some(Box::new(move |_| {
                    count.fetch_add(1, SeqCst);
                })),
                ..Callbacks::default()
            },
        );
        assert_eq!(queue.ready_notify(), STATUS_SUCCESS);
        let file = open(&driver);
        start(&file, 2);
        assert_eq!(calls.load(SeqCst), 1);
        while let Ok(request) = queue.retrieve() {
            request.complete(STATUS_SUCCESS);
        }
        start(&file, 1);
        assert_eq!(calls.load(SeqCst), 2);
    });
}

#[test]
fn a_forwarded_request_is_cancelled_where_it_waits() {
    on_a_machine!(|| {
        let driver = Driver::load("forwarding");
        let parked = driver.manual_queue(false, Callbacks::default());
        driver.default_queue(Callbacks {
            control: Some(Box::new(move |_, request| {
                assert_eq!(request.forward(parked), STATUS_SUCCESS);
            })),
            ..Callbacks::default()
        });
        let file = open(&driver);
        let ios = start(&file, 2);
        assert_eq!(parked.state().1, 2);
        assert!(ios[0].cancel());
        assert_eq!((ios[0].ended(), parked.state().1), (CANCELLED, 1));
        parked.retrieve().unwrap().complete(STATUS_SUCCESS);
        assert_eq!(ios[1].ended(), STATUS_SUCCESS);
    });
}

/// Each io has ended once, by the driver or by a cancel.
fn all_ended(ios: &[Io]) {
    for io in ios {
        assert!([STATUS_SUCCESS, CANCELLED].contains(&io.ended()), "{:#x}", io.ended());
    }
}

#[test]
fn in_every_order_of_cancel_and_retrieve_the_request_ends_once() {
    on_a_machine!(|| {
        let (_driver, queue, file, _) = keeping(MANUAL);
        orders::both_ways(|race| {
            let io = Io::start(&file);
            let cancelled = io.clone();
            let cancel = Box::new(move || {
                cancelled.cancel();
            });
            let retrieve = Box::new(move || {
                if let Ok(request) = queue.retrieve() {
                    request.complete(STATUS_SUCCESS);
                }
            });
            race(cancel, retrieve);
            all_ended(&[io]);
            assert_eq!((queue.state().1, queue.state().2), (0, 0));
        });
    });
}

/// In every order of a purge and of what `other` does with two requests that the driver has, the first of them marked,
/// each request ends once and the queue works again.
fn every_order_of_purge_and(other: fn(&Io, &Slot, Request)) {
    let driver = Driver::load("purged");
    let (all, slot) = (Given::default(), Slot::default());
    let (keep, take) = (all.clone(), slot.clone());
    let queue = driver.default_queue(Callbacks {
        control: Some(Box::new(move |_, request| keep.with(|all| all.push(request)))),
        cancel: Some(Box::new(move |request| {
            if !take.cancelled(request) {
                request.complete(CANCELLED);
            }
        })),
        ..Callbacks::default()
    });
    let file = open(&driver);
    orders::both_ways(|race| {
        all.with(Vec::clear);
        let ios = start(&file, 2);
        let requests = given(&all);
        slot.keep(requests[0]);
        let (first, kept, shared) = (ios[0].clone(), requests[1], slot.clone());
        let purge = Box::new(move || queue.change(Change::Purge, false));
        let act = Box::new(move || other(&first, &shared, kept));
        race(purge, act);
        if ios[1].outcome().is_none() {
            kept.complete(CANCELLED);
        }
        all_ended(&ios);
        queue.start();
        assert_eq!((queue.state().1, queue.state().2), (0, 0));
    });
}

#[test]
fn in_every_order_of_purge_and_cancel_each_request_ends_once() {
    on_a_machine!(|| every_order_of_purge_and(|io, _, _| {
        io.cancel();
    }));
}

#[test]
fn in_every_order_of_purge_and_completion_each_request_ends_once() {
    on_a_machine!(|| every_order_of_purge_and(|_, slot, _| slot.finish()));
}

#[test]
fn in_every_order_of_purge_and_mark_each_request_ends_once() {
    on_a_machine!(|| every_order_of_purge_and(|_, _, kept| {
        if kept.mark_ex() == CANCELLED {
            kept.complete(CANCELLED);
        }
    }));
}

#[test]
fn in_every_order_of_stop_and_a_new_request_it_is_presented_after_the_start_at_the_latest() {
    on_a_machine!(|| {
        let (_driver, queue, file, all) = keeping(SEQUENTIAL);
        orders::both_ways(|race| {
            all.with(Vec::clear);
            let made: Arc<IrqLock<Option<Io>>> = Arc::new(IrqLock::new(None));
            let (slot, opened) = (made.clone(), file.clone());
            let come = Box::new(move || {
                let io = Io::start(&opened);
                slot.with(|slot| *slot = Some(io));
            });
            let stop = Box::new(move || queue.change(Change::Stop, false));
            race(stop, come);
            queue.start();
            given(&all)[0].complete(STATUS_SUCCESS);
            let io = made.with(Option::take).expect("it was started");
            assert_eq!(io.ended(), STATUS_SUCCESS);
        });
    });
}

#[test]
fn a_queue_without_a_callback_is_refused_unless_it_is_manual() {
    on_a_machine!(|| {
        let driver = Driver::load("refused");
        for (kind, answer) in [(SEQUENTIAL, Some(0xC020_020B)), (PARALLEL, Some(0xC020_020B)), (MANUAL, None)]
        {
            let callbacks = Callbacks::default();
            let made = driver.queue_of(Driver::config(kind, &callbacks), callbacks);
            assert_eq!(made.err(), answer.map(status), "{kind}");
        }
    });
}

#[test]
fn a_second_default_queue_is_refused() {
    on_a_machine!(|| {
        let driver = Driver::load("refused");
        driver.manual_queue(true, Callbacks::default());
        let callbacks = Callbacks::default();
        let config =
            wdk_offline::WDF_IO_QUEUE_CONFIG { DefaultQueue: 1, ..Driver::config(MANUAL, &callbacks) };
        assert_eq!(driver.queue_of(config, callbacks).err(), Some(status(0xC000_0001)));
    });
}
