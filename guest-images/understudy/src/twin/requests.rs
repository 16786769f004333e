//! The receiver's side of the cancel path: marks, EvtRequestCancel, completion (`driver/docs/requests.md`, RQ7 to RQ19).

use super::driver::{CANCELLED, Callbacks, Driver, Io, Request, open, status};
use super::machine::{on_a_machine, stops_with};
use super::orders;
use crate::io::file::File;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Event, Irql, irql, lower, raise};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::boxed::Box;
use std::vec::Vec;
use wdk_offline::{NTSTATUS, STATUS_SUCCESS};

/// Holds the request that was presented last, and counts what happens to it.
#[derive(Default)]
struct Parked {
    request: AtomicU64,
    cancels: AtomicU32,
}

impl Parked {
    fn get(&self) -> Request {
        Request(self.request.load(SeqCst))
    }

    fn cancels(&self) -> u32 {
        self.cancels.load(SeqCst)
    }
}

/// A driver that parks what it is given, and does `presented` with it; its EvtRequestCancel counts and does `cancel`.
fn parking(
    presented: impl Fn(Request) + Send + Sync + 'static,
    cancel: impl Fn(Request) + Send + Sync + 'static,
) -> (Driver, Arc<File>, Arc<Parked>) {
    let driver = Driver::load("parking");
    let parked = Arc::new(Parked::default());
    let (keep, count) = (parked.clone(), parked.clone());
    driver.default_queue(Callbacks {
        control: Some(Box::new(move |_, request| {
            keep.request.store(request.0, SeqCst);
            presented(request);
        })),
        cancel: Some(Box::new(move |request| {
            count.cancels.fetch_add(1, SeqCst);
            cancel(request);
        })),
        ..Callbacks::default()
    });
    let file = open(&driver);
    (driver, file, parked)
}

fn complete_cancelled(request: Request) {
    request.complete(CANCELLED);
}

#[test]
fn a_request_ends_with_what_its_driver_completes_it_with() {
    on_a_machine!(|| {
        let (_driver, file, _) = parking(|request| request.complete_with(STATUS_SUCCESS, 5), |_| ());
        assert_eq!(Io::start(&file).outcome(), Some((STATUS_SUCCESS, 5)));
    });
}

#[test]
fn a_marked_request_is_ended_by_its_drivers_callback_before_the_cancel_returns() {
    on_a_machine!(|| {
        let (_driver, file, parked) = parking(Request::mark, complete_cancelled);
        let io = Io::start(&file);
        assert_eq!(io.outcome(), None);
        assert!(io.cancel());
        assert_eq!((io.ended(), parked.cancels()), (CANCELLED, 1));
    });
}

#[test]
fn a_driver_may_end_a_cancelled_request_as_it_likes() {
    on_a_machine!(|| {
        let (_driver, file, _) = parking(Request::mark, |request| request.complete(STATUS_SUCCESS));
        let io = Io::start(&file);
        assert!(io.cancel());
        assert_eq!(io.ended(), STATUS_SUCCESS);
    });
}

#[test]
fn a_request_that_is_not_marked_is_cancelled_by_nobody_and_ends_when_its_driver_is_done() {
    on_a_machine!(|| {
        let (_driver, file, parked) = parking(|_| (), complete_cancelled);
        let io = Io::start(&file);
        assert!(!io.cancel());
        assert_eq!((io.outcome(), parked.cancels()), (None, 0));
        assert!(parked.get().is_cancelled());
        parked.get().complete(STATUS_SUCCESS);
        assert_eq!(io.ended(), STATUS_SUCCESS);
    });
}

#[test]
fn a_mark_of_a_request_that_is_cancelled_already_calls_the_callback_before_it_returns() {
    on_a_machine!(|| {
        let (_driver, file, parked) = parking(|_| (), complete_cancelled);
        let io = Io::start(&file);
        assert!(!io.cancel());
        parked.get().mark();
        assert_eq!((io.ended(), parked.cancels()), (CANCELLED, 1));
    });
}

#[test]
fn mark_ex_of_a_cancelled_request_says_so_and_calls_nobody() {
    on_a_machine!(|| {
        let (_driver, file, parked) = parking(|_| (), complete_cancelled);
        let io = Io::start(&file);
        assert!(!io.cancel());
        assert_eq!(parked.get().mark_ex(), CANCELLED);
        assert_eq!((io.outcome(), parked.cancels()), (None, 0));
        parked.get().complete(CANCELLED);
        assert_eq!(io.ended(), CANCELLED);
    });
}

#[test]
fn an_unmarked_request_is_the_drivers_and_no_callback_comes() {
    on_a_machine!(|| {
        let (_driver, file, parked) = parking(Request::mark, complete_cancelled);
        let io = Io::start(&file);
        assert_eq!(parked.get().unmark(), STATUS_SUCCESS);
        assert!(!io.cancel());
        assert_eq!(parked.cancels(), 0);
        parked.get().complete(STATUS_SUCCESS);
        assert_eq!(io.ended(), STATUS_SUCCESS);
    });
}

#[test]
fn a_request_can_be_marked_again_after_it_was_unmarked() {
    on_a_machine!(|| {
        let (_driver, file, parked) = parking(Request::mark, complete_cancelled);
        let io = Io::start(&file);
        assert_eq!(parked.get().unmark(), STATUS_SUCCESS);
        assert_eq!(parked.get().mark_ex(), STATUS_SUCCESS);
        assert!(io.cancel());
        assert_eq!((io.ended(), parked.cancels()), (CANCELLED, 1));
    });
}

#[test]
fn unmark_in_the_cancel_callback_says_that_the_cancel_came_first() {
    on_a_machine!(|| {
        let answer = Arc::new(IrqLock::new(0));
        let kept = answer.clone();
        let (_driver, file, _) = parking(Request::mark, move |request| {
            let status = request.unmark();
            kept.with(|slot| *slot = status);
            request.complete(CANCELLED);
        });
        let io = Io::start(&file);
        assert!(io.cancel());
        assert_eq!((io.ended(), answer.with(|answer| *answer)), (CANCELLED, CANCELLED));
    });
}

#[test]
fn a_second_cancel_finds_nothing_to_run() {
    on_a_machine!(|| {
        let (_driver, file, parked) = parking(Request::mark, |_| ());
        let io = Io::start(&file);
        assert!(io.cancel());
        assert!(!io.cancel());
        assert_eq!(parked.cancels(), 1);
        parked.get().complete(CANCELLED);
        assert_eq!(io.ended(), CANCELLED);
        assert!(!io.cancel(), "it is over");
    });
}

#[test]
fn the_cancel_callback_runs_at_the_irql_of_the_canceller() {
    on_a_machine!(|| {
        let seen = Arc::new(IrqLock::new(Vec::new()));
        let kept = seen.clone();
        let (_driver, file, _) = parking(Request::mark, move |request| {
            let now = irql();
            kept.with(|seen| seen.push(now));
            request.complete(CANCELLED);
        });
        for level in [Irql::PASSIVE, Irql::DISPATCH] {
            let io = Io::start(&file);
            let old = raise(level);
            assert!(io.cancel());
            lower(old);
            assert_eq!(io.ended(), CANCELLED);
        }
        assert_eq!(seen.with(|seen| seen.clone()), [Irql::PASSIVE, Irql::DISPATCH]);
    });
}

#[test]
fn statuses_of_the_framework_itself_are_translated_for_the_program() {
    for (given, outside) in [
        (0xC020_0203, 0x8000_0011),
        (0xC020_0204, 0x8000_0011),
        (0xC020_0201, 0xC000_00E5),
        (0xC020_0206, 0xC000_0010),
        (0xC000_0120, 0xC000_0120),
    ] {
        assert_eq!(crate::wdf::request::outward(status(given)), status(outside), "{given:#x}");
    }
}

/// A driver must not unmark a request that its EvtRequestCancel has completed: both take it from here, under the driver's
/// lock.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<AtomicU64>);

impl Slot {
    /// Marks a request that is kept here.
    pub(super) fn keep(&self, request: Request) {
        self.0.store(request.0, SeqCst);
        request.mark();
    }

    /// For EvtRequestCancel: completes what is here; whether it is this request.
    pub(super) fn cancelled(&self, request: Request) -> bool {
        let ours = self.0.compare_exchange(request.0, 0, SeqCst, SeqCst).is_ok();
        if ours {
            request.complete(CANCELLED);
        }
        ours
    }

    /// Unmarks and completes what is here, unless a cancel has been first.
    pub(super) fn finish(&self) {
        let old = raise(Irql::DISPATCH);
        let request = Request(self.0.load(SeqCst));
        let ours = request.0 != 0 && request.unmark() == STATUS_SUCCESS;
        if ours {
            self.0.store(0, SeqCst);
        }
        lower(old);
        if ours {
            request.complete(STATUS_SUCCESS);
        }
    }
}

/// Every order of a cancel and of a driver that unmarks and completes: whoever is first, the request ends once, and the
/// callback runs if and only if the cancel was first.
#[test]
fn in_every_order_of_cancel_and_completion_the_request_ends_once() {
    on_a_machine!(|| {
        let slot = Slot::default();
        let (keep, take) = (slot.clone(), slot.clone());
        let (_driver, file, parked) = parking(
            move |request| keep.keep(request),
            move |request| {
                take.cancelled(request);
            },
        );
        let (mut by_cancel, mut by_driver) = (0, 0);
        orders::both_ways(|race| {
            let before = parked.cancels();
            let io = Io::start(&file);
            let (cancelled, slot) = (io.clone(), slot.clone());
            let cancel = Box::new(move || {
                cancelled.cancel();
            });
            let finish = Box::new(move || slot.finish());
            race(cancel, finish);
            match (io.ended(), parked.cancels() - before) {
                (CANCELLED, 1) => by_cancel += 1,
                (STATUS_SUCCESS, 0) => by_driver += 1,
                other => panic!("status and callbacks: {other:x?}"),
            }
        });
        assert!(by_cancel > 10 && by_driver > 10, "{by_cancel} by the cancel, {by_driver} by the driver");
    });
}

/// Every order of a cancel and of a driver that marks: the request is cancelled in all of them.
fn every_order_of_cancel_and(mark: fn(Request)) {
    let (_driver, file, parked) = parking(|_| (), complete_cancelled);
    orders::both_ways(|race| {
        let io = Io::start(&file);
        let (cancelled, request) = (io.clone(), parked.get());
        let cancel = Box::new(move || {
            cancelled.cancel();
        });
        let mark = Box::new(move || mark(request));
        race(cancel, mark);
        assert_eq!(io.ended(), CANCELLED);
    });
}

#[test]
fn in_every_order_of_cancel_and_mark_the_callback_ends_the_request() {
    on_a_machine!(|| every_order_of_cancel_and(Request::mark));
}

#[test]
fn in_every_order_of_cancel_and_mark_ex_somebody_ends_the_request() {
    on_a_machine!(|| every_order_of_cancel_and(|request| {
        if request.mark_ex() == CANCELLED {
            request.complete(CANCELLED);
        }
    }));
}

#[test]
fn in_every_order_of_two_cancels_the_callback_runs_once() {
    on_a_machine!(|| {
        let (_driver, file, parked) = parking(Request::mark, complete_cancelled);
        orders::every(2, || {
            let before = parked.cancels();
            let io = Io::start(&file);
            let job = || {
                let io = io.clone();
                Box::new(move || {
                    io.cancel();
                })
            };
            orders::race(job(), job());
            assert_eq!((io.ended(), parked.cancels() - before), (CANCELLED, 1));
        });
    });
}

#[test]
fn a_file_that_closes_waits_for_its_drivers_request() {
    on_a_machine!(|| {
        let (_driver, file, parked) = parking(Request::mark, complete_cancelled);
        let io = Io::start(&file);
        let closed = Arc::new(Event::auto());
        let (closing, set) = (file.clone(), closed.clone());
        crate::ke::worker::run(Box::new(move || {
            closing.close();
            set.set();
        }));
        assert!(!closed.wait_timeout(1_000));
        parked.get().unmark();
        parked.get().complete(STATUS_SUCCESS);
        assert!(closed.wait_timeout(1_000));
        assert_eq!(io.ended(), STATUS_SUCCESS);
    });
}

#[test]
fn a_request_that_its_driver_forgets_is_named_after_its_files_cleanup() {
    stops_with!("RequestNeverCompleted", || {
        let (_driver, file, _) = parking(|_| (), |_| ());
        Io::start(&file);
        file.close();
    });
}

/// What a driver does with a request that it must not, by the rule that names it.
fn breaks(presented: impl Fn(Request) + Send + Sync + 'static) -> impl FnOnce() + Send + 'static {
    move || {
        let (_driver, file, _) = parking(presented, complete_cancelled);
        Io::start(&file).cancel();
    }
}

#[test]
fn a_second_completion_is_named() {
    stops_with!(
        "RequestCompletedTwice",
        breaks(|request| {
            request.complete(STATUS_SUCCESS);
            request.complete(STATUS_SUCCESS);
        })
    );
}

#[test]
fn completing_a_request_that_is_marked_is_named() {
    stops_with!(
        "RequestCompletedWhileCancelable",
        breaks(|request| {
            request.mark();
            request.complete(STATUS_SUCCESS);
        })
    );
}

#[test]
fn marking_twice_is_named() {
    stops_with!(
        "RequestNotMarkable",
        breaks(|request| {
            request.mark();
            request.mark();
        })
    );
}

#[test]
fn unmarking_what_is_not_marked_is_named() {
    stops_with!(
        "RequestNotMarkable",
        breaks(|request| {
            request.unmark();
        })
    );
}

#[test]
fn more_information_than_the_buffer_has_room_for_is_named() {
    stops_with!("RequestInformationTooLong", breaks(|request| request.complete_with(STATUS_SUCCESS, 9)));
}

#[test]
fn deleting_a_received_request_is_named() {
    stops_with!("ObjectNotDeletable", breaks(Request::delete));
}

#[test]
fn a_use_after_completion_is_named() {
    stops_with!(
        "RequestUsedAfterCompletion",
        breaks(|request| {
            request.reference();
            request.complete(STATUS_SUCCESS);
            request.is_cancelled();
        })
    );
}

#[test]
fn a_reference_too_many_given_back_is_named() {
    stops_with!("ObjectDereferencedTooOften", breaks(Request::dereference));
}

#[test]
fn a_completion_above_dispatch_level_is_named() {
    stops_with!(
        "IrqlTooHigh",
        breaks(|request| {
            let old = raise(Irql::new(7));
            request.complete(STATUS_SUCCESS);
            lower(old);
        })
    );
}

#[test]
fn a_callback_that_returns_at_another_irql_is_named() {
    stops_with!(
        "IrqlNotRestored",
        breaks(|_| {
            raise(Irql::DISPATCH);
        })
    );
}

#[test]
fn a_handle_of_no_request_is_named() {
    stops_with!("InvalidHandle", breaks(|_| Request(0x1234).mark()));
}

/// The status by which a driver refuses.
const REFUSED: NTSTATUS = status(0xC000_0010);

#[test]
fn a_request_that_no_queue_takes_is_refused_by_the_framework() {
    on_a_machine!(|| {
        let driver = Driver::load("without-queue");
        let file = open(&driver);
        assert_eq!(Io::start(&file).ended(), REFUSED);
    });
}
