//! Dispatcher objects as a driver imports their functions: events, mutexes, semaphores, timers, DPCs, threads, and waits.

use super::driver::Driver;
use super::machine::{on_a_machine, stops_with};
use super::ntoskrnl::imported;
use super::orders;
use crate::ke::{Irql, Thread, delay_us, irql, lower, now_us, raise};
use crate::nt;
use alloc::sync::Arc;
use core::ffi::c_void;
use core::ptr::{null, null_mut};
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::boxed::Box;
use std::vec::Vec;

/// Memory for any dispatcher object, a DPC or a fast mutex, at an address that stays.
#[derive(Clone, Copy)]
struct Object(*mut [u64; 8]);

// SAFETY: the functions under test are made for objects that threads share.
unsafe impl Send for Object {}
// SAFETY: as above.
unsafe impl Sync for Object {}

impl Object {
    fn new() -> Self {
        Self(Box::into_raw(Box::new([0x5555_5555_5555_5555; 8])))
    }

    fn event(auto: bool, set: bool) -> Self {
        let this = Self::new();
        imported!(KeInitializeEvent: fn(*mut [u64; 8], i32, u8); this.0, auto.into(), set.into());
        this
    }

    fn mutex() -> Self {
        let this = Self::new();
        imported!(KeInitializeMutex: fn(*mut [u64; 8], u32); this.0, 0);
        this
    }

    fn semaphore(count: i32, limit: i32) -> Self {
        let this = Self::new();
        imported!(KeInitializeSemaphore: fn(*mut [u64; 8], i32, i32); this.0, count, limit);
        this
    }

    fn set(self) -> i32 {
        imported!(KeSetEvent: fn(*mut [u64; 8], i32, u8) -> i32; self.0, 0, 0)
    }

    fn reset(self) -> i32 {
        imported!(KeResetEvent: fn(*mut [u64; 8]) -> i32; self.0)
    }

    fn state(self) -> i32 {
        imported!(KeReadStateEvent: fn(*mut [u64; 8]) -> i32; self.0)
    }

    fn wait(self) -> i32 {
        imported!(KeWaitForSingleObject: fn(*mut [u64; 8], i32, i8, u8, *const i64) -> i32; self.0, 0, 0, 0, null())
    }

    /// Waits for so many units of 100 ns.
    fn wait_for(self, units: i64) -> i32 {
        let timeout = -units;
        imported!(KeWaitForSingleObject: fn(*mut [u64; 8], i32, i8, u8, *const i64) -> i32;
            self.0, 0, 0, 0, &raw const timeout)
    }

    fn release_mutex(self) -> i32 {
        imported!(KeReleaseMutex: fn(*mut [u64; 8], u8) -> i32; self.0, 0)
    }

    fn release_semaphore(self, adjustment: i32) -> i32 {
        imported!(KeReleaseSemaphore: fn(*mut [u64; 8], i32, i32, u8) -> i32; self.0, 0, adjustment, 0)
    }
}

/// KeWaitForMultipleObjects with wait blocks.
fn wait_for(objects: &[Object], any: bool, units: Option<i64>) -> i32 {
    let timeout = units.map(|units| -units);
    let timeout = timeout.as_ref().map_or(null(), core::ptr::from_ref);
    let objects: Vec<_> = objects.iter().map(|object| object.0).collect();
    let mut blocks = [0_u64; 1];
    imported!(KeWaitForMultipleObjects: fn(u32, *const *mut [u64; 8], i32, i32, i8, u8, *const i64, *mut u64) -> i32;
        objects.len() as u32, objects.as_ptr(), any.into(), 0, 0, 0, timeout, blocks.as_mut_ptr())
}

fn spawn(job: impl FnOnce() + Send + 'static) {
    Thread::spawn("other", Box::new(job));
}

const TIMEOUT: i32 = 0x102;

#[test]
fn a_notification_event_lets_every_waiter_go_and_stays_set() {
    on_a_machine!(|| {
        let (event, gone) = (Object::event(false, false), Arc::new(AtomicU32::new(0)));
        for _ in 0..3 {
            let gone = gone.clone();
            spawn(move || {
                assert_eq!(event.wait(), 0);
                gone.fetch_add(1, SeqCst);
            });
        }
        delay_us(10);
        assert_eq!((event.set(), event.set()), (0, 1));
        delay_us(10);
        assert_eq!((gone.load(SeqCst), event.state(), event.reset(), event.state()), (3, 1, 1, 0));
    });
}

#[test]
fn a_synchronization_event_lets_one_waiter_go_and_is_clear_again() {
    on_a_machine!(|| {
        let (event, gone) = (Object::event(true, false), Arc::new(AtomicU32::new(0)));
        for _ in 0..3 {
            let gone = gone.clone();
            spawn(move || {
                event.wait();
                gone.fetch_add(1, SeqCst);
            });
        }
        delay_us(10);
        for expected in 1..=3 {
            event.set();
            delay_us(10);
            assert_eq!((gone.load(SeqCst), event.state()), (expected, 0));
        }
        event.set();
        assert_eq!((event.wait(), event.state()), (0, 0), "nobody waited: the next one does not");
    });
}

#[test]
fn a_wait_with_a_timeout_ends_then_and_one_of_zero_at_once() {
    on_a_machine!(|| {
        let event = Object::event(false, false);
        let before = now_us();
        assert_eq!(event.wait_for(10_000), TIMEOUT);
        assert!((1000..1100).contains(&(now_us() - before)));
        let before = now_us();
        assert_eq!((event.wait_for(0), now_us()), (TIMEOUT, before));
        event.set();
        assert_eq!(event.wait_for(0), 0);
    });
}

#[test]
fn a_wait_that_has_timed_out_takes_nothing_later() {
    on_a_machine!(|| {
        let event = Object::event(true, false);
        event.wait_for(10);
        event.set();
        assert_eq!(event.state(), 1, "the wait is over");
    });
}

#[test]
fn at_dispatch_level_one_may_look_and_an_interrupt_routine_may_set() {
    on_a_machine!(|| {
        let event = Object::event(true, true);
        let old = raise(Irql::DISPATCH);
        assert_eq!((event.wait_for(0), event.wait_for(0), event.set()), (0, TIMEOUT, 0));
        lower(old);
    });
}

#[test]
fn a_wait_for_an_event_at_dispatch_level_is_named() {
    stops_with!("WaitAtDispatch", || {
        let event = Object::event(true, true);
        raise(Irql::DISPATCH);
        event.wait_for(10);
    });
}

#[test]
fn a_wait_until_a_time_of_day_is_refused_by_name() {
    stops_with!("NotOffered", || {
        Object::event(true, true).wait_for(-10);
    });
}

#[test]
fn a_wait_for_what_is_no_object_is_named() {
    stops_with!("DispatcherObjectNotInitialized", || {
        Object::new().wait();
    });
}

#[test]
fn an_event_that_is_a_mutex_is_named() {
    stops_with!("DispatcherObjectNotInitialized", || {
        Object::mutex().set();
    });
}

#[test]
fn a_mutex_is_one_threads_as_often_as_it_takes_it() {
    on_a_machine!(|| {
        let (mutex, got) = (Object::mutex(), Arc::new(AtomicU32::new(0)));
        assert_eq!((mutex.wait(), mutex.wait()), (0, 0));
        let taken = got.clone();
        spawn(move || {
            assert_eq!(mutex.wait_for(0), TIMEOUT);
            mutex.wait();
            taken.store(1, SeqCst);
            mutex.release_mutex();
        });
        delay_us(10);
        assert_eq!((mutex.release_mutex(), got.load(SeqCst)), (-1, 0));
        delay_us(10);
        assert_eq!(got.load(SeqCst), 0);
        assert_eq!(mutex.release_mutex(), 0);
        delay_us(10);
        assert_eq!((got.load(SeqCst), mutex.wait_for(0)), (1, 0));
    });
}

#[test]
fn a_mutex_that_another_thread_has_is_not_to_be_released() {
    stops_with!("MutexNotOwned", || {
        let mutex = Object::mutex();
        spawn(move || {
            mutex.wait();
            delay_us(1_000);
        });
        delay_us(10);
        mutex.release_mutex();
    });
}

#[test]
fn a_semaphore_lets_as_many_go_as_its_count() {
    on_a_machine!(|| {
        let (semaphore, gone) = (Object::semaphore(1, 3), Arc::new(AtomicU32::new(0)));
        for _ in 0..4 {
            let gone = gone.clone();
            spawn(move || {
                semaphore.wait();
                gone.fetch_add(1, SeqCst);
            });
        }
        delay_us(10);
        assert_eq!(gone.load(SeqCst), 1);
        assert_eq!(semaphore.release_semaphore(2), 0);
        delay_us(10);
        assert_eq!((gone.load(SeqCst), semaphore.state()), (3, 0));
        semaphore.release_semaphore(1);
        delay_us(10);
        assert_eq!(semaphore.release_semaphore(3), 0);
        assert_eq!((gone.load(SeqCst), semaphore.state()), (4, 3));
    });
}

#[test]
fn a_semaphore_above_its_limit_is_named() {
    stops_with!("SemaphoreLimitExceeded", || {
        Object::semaphore(1, 1).release_semaphore(1);
    });
}

#[test]
fn a_wait_for_any_says_which_and_takes_that_one_alone() {
    on_a_machine!(|| {
        let events = [false, true, true].map(|set| Object::event(true, set));
        assert_eq!(wait_for(&events, true, None), 1);
        assert_eq!(events.map(Object::state), [0, 0, 1]);
        assert_eq!(wait_for(&events, true, Some(0)), 2);
        assert_eq!(wait_for(&events, true, Some(100)), TIMEOUT);
    });
}

#[test]
fn a_wait_for_all_takes_none_before_it_can_have_all() {
    on_a_machine!(|| {
        let (events, done) =
            ([true, false].map(|set| Object::event(true, set)), Arc::new(AtomicI32::new(-1)));
        let ended = done.clone();
        spawn(move || ended.store(wait_for(&events, false, None), SeqCst));
        delay_us(10);
        assert_eq!((done.load(SeqCst), events.map(Object::state)), (-1, [1, 0]));
        events[1].set();
        delay_us(10);
        assert_eq!((done.load(SeqCst), events.map(Object::state)), (0, [0, 0]));
    });
}

#[test]
fn more_than_three_objects_need_wait_blocks() {
    stops_with!("WaitObjectsExceeded", || {
        let events = [true; 4].map(|set| Object::event(true, set).0);
        imported!(KeWaitForMultipleObjects: fn(u32, *const *mut [u64; 8], i32, i32, i8, u8, *const i64, *mut u64) -> i32;
            4, events.as_ptr(), 1, 0, 0, 0, null(), null_mut());
    });
}

#[test]
fn a_wait_and_the_set_that_ends_it_meet_in_every_order() {
    on_a_machine!(|| {
        let rounds = orders::every(3, || {
            let (event, taken) = (Object::event(true, false), Arc::new(AtomicU32::new(0)));
            let waits = || {
                let taken = taken.clone();
                Box::new(move || {
                    if event.wait_for(1_000) == 0 {
                        taken.fetch_add(1, SeqCst);
                    }
                })
            };
            orders::race(
                Box::new(move || {
                    event.set();
                    event.set();
                }),
                waits(),
            );
            let left = event.state() as u32;
            let taken = taken.load(SeqCst);
            assert!(taken == 1 && left <= 1, "one wait has had it, and at most one set is left: {left}");
        });
        assert!(rounds > 20, "{rounds} orders");
    });
}

#[test]
fn a_mutex_lets_two_threads_in_one_after_the_other_in_every_order() {
    on_a_machine!(|| {
        orders::both_ways(|race| {
            let (mutex, inside) = (Object::mutex(), Arc::new(AtomicU32::new(0)));
            let job = || {
                let inside = inside.clone();
                Box::new(move || {
                    mutex.wait();
                    assert_eq!(inside.fetch_add(1, SeqCst), 0);
                    Object::event(false, true).wait_for(0);
                    inside.fetch_sub(1, SeqCst);
                    mutex.release_mutex();
                })
            };
            race(job(), job());
        });
    });
}

/// ExInitializeFastMutex, as wdm.h has it.
fn fast_mutex() -> Object {
    let this = Object::new();
    // SAFETY: fresh memory of that size.
    unsafe { this.0.write([1, 0, 0, 0, 0, 0, 0, 0]) };
    let event = this.0.cast::<u64>().wrapping_add(3).cast::<[u64; 8]>();
    imported!(KeInitializeEvent: fn(*mut [u64; 8], i32, u8); event, 1, 0);
    this
}

fn acquire_fast(mutex: Object) {
    imported!(ExAcquireFastMutex: fn(*mut [u64; 8]); mutex.0);
}

fn release_fast(mutex: Object) {
    imported!(ExReleaseFastMutex: fn(*mut [u64; 8]); mutex.0);
}

#[test]
fn a_fast_mutex_raises_to_apc_level_and_keeps_others_out() {
    on_a_machine!(|| {
        let (mutex, got) = (fast_mutex(), Arc::new(AtomicU32::new(0)));
        acquire_fast(mutex);
        assert_eq!(irql(), Irql::APC);
        let taken = got.clone();
        spawn(move || {
            assert_eq!(imported!(ExTryToAcquireFastMutex: fn(*mut [u64; 8]) -> u8; mutex.0), 0);
            acquire_fast(mutex);
            taken.store(1, SeqCst);
            release_fast(mutex);
        });
        delay_us(10);
        assert_eq!(got.load(SeqCst), 0);
        release_fast(mutex);
        assert_eq!(irql(), Irql::PASSIVE);
        delay_us(10);
        assert_eq!(got.load(SeqCst), 1);
        assert_eq!(imported!(ExTryToAcquireFastMutex: fn(*mut [u64; 8]) -> u8; mutex.0), 1);
        release_fast(mutex);
    });
}

#[test]
fn a_fast_mutex_that_the_thread_has_is_not_acquired_again() {
    stops_with!("FastMutexAcquiredTwice", || {
        let mutex = fast_mutex();
        acquire_fast(mutex);
        acquire_fast(mutex);
    });
}

static RAN: AtomicU32 = AtomicU32::new(0);
static LAST: [AtomicU64; 3] = [const { AtomicU64::new(0) }; 3];

unsafe extern "win64" fn count(_dpc: *mut c_void, context: u64, first: u64, second: u64) {
    assert_eq!(irql(), Irql::DISPATCH);
    RAN.fetch_add(1, SeqCst);
    for (slot, value) in LAST.iter().zip([context, first, second]) {
        slot.store(value, SeqCst);
    }
}

type Deferred = unsafe extern "win64" fn(*mut c_void, u64, u64, u64);

fn dpc(routine: Deferred, context: u64) -> Object {
    let this = Object::new();
    imported!(KeInitializeDpc: fn(*mut [u64; 8], Deferred, u64); this.0, routine, context);
    this
}

fn queue_dpc(dpc: Object, first: u64, second: u64) -> u8 {
    imported!(KeInsertQueueDpc: fn(*mut [u64; 8], u64, u64) -> u8; dpc.0, first, second)
}

#[test]
fn a_drivers_dpc_runs_once_with_what_it_was_queued_with_first() {
    on_a_machine!(|| {
        let _driver = Driver::load("dpc");
        let dpc = dpc(count, 7);
        let old = raise(Irql::DISPATCH);
        assert_eq!((queue_dpc(dpc, 1, 2), queue_dpc(dpc, 3, 4)), (1, 0));
        assert_eq!(RAN.load(SeqCst), 0);
        lower(old);
        assert_eq!(RAN.load(SeqCst), 1);
        assert_eq!(LAST.each_ref().map(|slot| slot.load(SeqCst)), [7, 1, 2]);
    });
}

#[test]
fn a_dpc_that_is_removed_does_not_run() {
    on_a_machine!(|| {
        let dpc = dpc(count, 0);
        let old = raise(Irql::DISPATCH);
        let remove = || imported!(KeRemoveQueueDpc: fn(*mut [u64; 8]) -> u8; dpc.0);
        queue_dpc(dpc, 0, 0);
        assert_eq!((remove(), remove()), (1, 0));
        lower(old);
        imported!(KeFlushQueuedDpcs: fn(););
        assert_eq!(RAN.load(SeqCst), 0);
        queue_dpc(dpc, 0, 0);
        assert_eq!(RAN.load(SeqCst), 1);
    });
}

#[test]
fn a_dpc_that_was_not_initialized_is_named() {
    stops_with!("DispatcherObjectNotInitialized", || {
        queue_dpc(Object::new(), 0, 0);
    });
}

fn timer(synchronization: bool) -> Object {
    let this = Object::new();
    imported!(KeInitializeTimerEx: fn(*mut [u64; 8], i32); this.0, synchronization.into());
    this
}

fn set_timer(timer: Object, units: i64, period: i32, dpc: *mut [u64; 8]) -> u8 {
    imported!(KeSetTimerEx: fn(*mut [u64; 8], i64, i32, *mut [u64; 8]) -> u8; timer.0, -units, period, dpc)
}

fn cancel_timer(timer: Object) -> u8 {
    imported!(KeCancelTimer: fn(*mut [u64; 8]) -> u8; timer.0)
}

#[test]
fn a_timer_is_signalled_when_it_is_due_and_its_dpc_runs() {
    on_a_machine!(|| {
        let (timer, dpc) = (timer(false), dpc(count, 0));
        assert_eq!((set_timer(timer, 10_000, 0, dpc.0), timer.state()), (0, 0));
        let before = now_us();
        assert_eq!(timer.wait(), 0);
        assert!((1000..1100).contains(&(now_us() - before)));
        delay_us(1);
        assert_eq!((RAN.load(SeqCst), timer.state(), cancel_timer(timer)), (1, 1, 0));
    });
}

#[test]
fn a_timer_that_is_set_again_is_due_then_and_one_that_is_cancelled_never() {
    on_a_machine!(|| {
        let timer = timer(false);
        set_timer(timer, 10_000, 0, null_mut());
        assert_eq!(set_timer(timer, 50_000, 0, null_mut()), 1);
        delay_us(2_000);
        assert_eq!((timer.state(), cancel_timer(timer), cancel_timer(timer)), (0, 1, 0));
        delay_us(10_000);
        assert_eq!(timer.state(), 0);
    });
}

#[test]
fn a_periodic_timer_fires_each_period_until_it_is_cancelled() {
    on_a_machine!(|| {
        let (timer, dpc) = (timer(true), dpc(count, 0));
        set_timer(timer, 10_000, 2, dpc.0);
        for due in [1_000, 3_000, 5_000] {
            timer.wait();
            assert!((due..due + 200).contains(&now_us()), "{due}: {}", now_us());
        }
        cancel_timer(timer);
        delay_us(10_000);
        assert_eq!(RAN.load(SeqCst), 3);
    });
}

#[test]
fn a_timer_that_is_set_when_its_driver_goes_is_named() {
    stops_with!("TimerOrDpcInUse", || {
        let driver = Driver::load("timer");
        set_timer(timer(false), 10_000_000, 0, null_mut());
        driver.unload();
    });
}

type Start = unsafe extern "win64" fn(u64);

fn create_thread(start: Start, context: u64) -> u64 {
    let mut handle = 0_u64;
    let status = imported!(PsCreateSystemThread: fn(*mut u64, u32, u64, u64, u64, Start, u64) -> i32;
        &raw mut handle, 0x1f_ffff, 0, 0, 0, start, context);
    assert_eq!(status, 0);
    handle
}

fn reference(handle: u64) -> Result<Object, i32> {
    let kind = nt::resolve("ntoskrnl.exe", "PsThreadType").expect("an export") as *const u64;
    let mut object = null_mut();
    // SAFETY: the export is a pointer.
    let kind = unsafe { *kind };
    let status = imported!(ObReferenceObjectByHandle: fn(u64, u32, u64, i8, *mut *mut [u64; 8], u64) -> i32;
        handle, 0, kind, 0, &raw mut object, 0);
    if status == 0 { Ok(Object(object)) } else { Err(status) }
}

fn close(handle: u64) -> i32 {
    imported!(ZwClose: fn(u64) -> i32; handle)
}

unsafe extern "win64" fn returns(context: u64) {
    assert_eq!(irql(), Irql::PASSIVE);
    delay_us(context);
    RAN.fetch_add(1, SeqCst);
}

unsafe extern "win64" fn terminates(context: u64) {
    // SAFETY: as above.
    unsafe { returns(context) };
    imported!(PsTerminateSystemThread: fn(i32) -> i32; 0);
    RAN.fetch_add(100, SeqCst);
}

#[test]
fn a_drivers_thread_ends_whether_it_returns_or_terminates_and_its_object_is_signalled() {
    on_a_machine!(|| {
        for start in [returns as Start, terminates] {
            RAN.store(0, SeqCst);
            let driver = Driver::load("thread");
            let handle = create_thread(start, 1_000);
            let object = reference(handle).expect("a handle of a thread");
            assert_eq!((close(handle), close(handle)), (0, 0xC000_0008_u32 as i32));
            assert_eq!((object.wait_for(0), object.wait(), RAN.load(SeqCst)), (TIMEOUT, 0, 1));
            assert_eq!(object.wait_for(0), 0, "it stays signalled");
            assert_eq!(imported!(ObfDereferenceObject: fn(*mut [u64; 8]) -> i64; object.0), 0);
            driver.unload();
        }
    });
}

#[test]
fn threads_that_have_ended_make_room_for_others() {
    on_a_machine!(|| {
        let _driver = Driver::load("threads");
        for _ in 0..20 {
            let handle = create_thread(terminates, 0);
            let object = reference(handle).expect("a handle of a thread");
            object.wait();
            imported!(ObfDereferenceObject: fn(*mut [u64; 8]) -> i64; object.0);
            close(handle);
        }
        let number = Arc::new(AtomicU64::new(u64::MAX));
        let own = number.clone();
        spawn(move || own.store(crate::ke::current_thread(), SeqCst));
        delay_us(10);
        assert!(number.load(SeqCst) < 10, "{number:?}");
    });
}

#[test]
fn a_thread_that_was_not_made_so_is_not_terminated() {
    on_a_machine!(|| {
        assert_eq!(imported!(PsTerminateSystemThread: fn(i32) -> i32; 0), 0xC000_000D_u32 as i32);
    });
}

unsafe extern "win64" fn never_ends(_context: u64) {
    loop {
        delay_us(1_000);
    }
}

#[test]
fn a_thread_that_never_ends_is_named_at_unload() {
    stops_with!("ThreadLeaked", || {
        let driver = Driver::load("thread");
        close(create_thread(never_ends, 0));
        driver.unload();
    });
}

#[test]
fn a_handle_that_is_left_open_is_named_at_unload() {
    stops_with!("HandleLeaked", || {
        let driver = Driver::load("thread");
        create_thread(returns, 0);
        delay_us(1_000);
        driver.unload();
    });
}

#[test]
fn a_reference_that_is_not_given_back_is_named_at_unload() {
    stops_with!("ReferenceLeaked", || {
        let driver = Driver::load("thread");
        let handle = create_thread(returns, 0);
        reference(handle).expect("a handle of a thread").wait();
        close(handle);
        driver.unload();
    });
}

#[test]
fn a_reference_too_many_is_named() {
    stops_with!("ObjectDereferencedTooOften", || {
        let handle = create_thread(returns, 1_000);
        let object = reference(handle).expect("a handle of a thread");
        imported!(ObfDereferenceObject: fn(*mut [u64; 8]) -> i64; object.0);
        imported!(ObfDereferenceObject: fn(*mut [u64; 8]) -> i64; object.0);
    });
}
