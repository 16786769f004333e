//! Rules of the framework that are about no request: objects, locks, timers, memory, PnP's orders, what is left behind.

use super::driver::{CANCELLED, Callbacks, Driver, Io, Request, open};
use super::machine::{on_a_machine, stops_with};
use crate::ke::irqlock::IrqLock;
use crate::ke::{Irql, irql, lower, raise};
use crate::netcx::ring::RingMemory;
use crate::verifier::{fault, pool, trace, window};
use crate::wdf::{bus::Bus as _, bus::Stage, lock, memory, object, timer};
use alloc::sync::Arc;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::boxed::Box;
use std::string::String;
use std::vec::Vec;
use wdk_offline::*;

/// WdfPowerDeviceD3.
const D3: i32 = 4;

fn new_lock(driver: &Driver) -> WDFSPINLOCK {
    let mut made = null_mut();
    // SAFETY: KMDF checks what it is given; so for all below.
    let status = unsafe { lock::spin_lock_create(driver.globals(), null_mut(), &raw mut made) };
    assert_eq!(status, STATUS_SUCCESS);
    made
}

fn acquire(lock: WDFSPINLOCK) {
    // SAFETY: as above.
    unsafe { lock::spin_lock_acquire(null_mut(), lock) };
}

fn release(lock: WDFSPINLOCK) {
    // SAFETY: as above.
    unsafe { lock::spin_lock_release(null_mut(), lock) };
}

fn delete(handle: u64) {
    // SAFETY: as above.
    unsafe { object::object_delete(null_mut(), handle as WDFOBJECT) };
}

#[test]
fn a_spin_lock_raises_irql_and_gives_it_back() {
    on_a_machine!(|| {
        let driver = Driver::load("locking");
        let lock = new_lock(&driver);
        acquire(lock);
        assert_eq!(irql(), Irql::DISPATCH);
        release(lock);
        assert_eq!(irql(), Irql::PASSIVE);
        delete(lock as u64);
    });
}

#[test]
fn a_spin_lock_acquired_twice_is_named() {
    stops_with!("SpinLockAcquiredTwice", || {
        let lock = new_lock(&Driver::load("locking"));
        acquire(lock);
        acquire(lock);
    });
}

#[test]
fn a_spin_lock_released_that_is_not_held_is_named() {
    stops_with!("SpinLockNotHeld", || release(new_lock(&Driver::load("locking"))));
}

#[test]
fn a_spin_lock_deleted_while_it_is_held_is_named() {
    stops_with!("SpinLockHeldAtDelete", || {
        let lock = new_lock(&Driver::load("locking"));
        acquire(lock);
        delete(lock as u64);
    });
}

#[test]
fn a_callback_that_keeps_a_spin_lock_is_named() {
    stops_with!("SpinLockHeldAfterCallback", || {
        let driver = Driver::load("locking");
        let lock = new_lock(&driver) as u64;
        driver.default_queue(Callbacks {
            control: Some(Box::new(move |_, _| {
                acquire(lock as WDFSPINLOCK);
                lower(Irql::PASSIVE);
            })),
            ..Callbacks::default()
        });
        Io::start(&open(&driver));
    });
}

#[test]
fn a_device_is_not_the_drivers_to_delete() {
    stops_with!("ObjectNotDeletable", || delete(Driver::load("deleting").device() as u64));
}

#[test]
fn a_local_target_is_not_the_drivers_to_delete() {
    stops_with!("ObjectNotDeletable", || delete(Driver::load("deleting").local_target().0));
}

#[test]
fn a_handle_of_another_kind_is_named() {
    stops_with!("InvalidHandle", || acquire(Driver::load("confused").device() as WDFSPINLOCK));
}

#[test]
fn a_handle_that_was_deleted_is_named() {
    stops_with!("InvalidHandle", || {
        let lock = new_lock(&Driver::load("late"));
        delete(lock as u64);
        acquire(lock);
    });
}

#[test]
fn globals_of_no_client_are_named() {
    stops_with!("InvalidGlobals", || {
        let mut made = null_mut();
        // SAFETY: as above.
        unsafe { lock::spin_lock_create(0x10 as *mut _, null_mut(), &raw mut made) };
    });
}

#[test]
fn an_object_stays_until_its_last_reference_is_given_back() {
    on_a_machine!(|| {
        let driver = Driver::load("referencing");
        let lock = Request(new_lock(&driver) as u64);
        lock.reference();
        delete(lock.0);
        let left = |driver: &Driver| object::live(driver.service.owner).len();
        let before = left(&driver);
        lock.dereference();
        assert_eq!(before - left(&driver), 1);
    });
}

fn memory_of(driver: &Driver, len: usize) -> (WDFMEMORY, *mut u8) {
    let (mut made, mut buffer) = (null_mut(), null_mut());
    // SAFETY: as above.
    let status = unsafe {
        memory::create(driver.globals(), null_mut(), 0x40, 0x6b6e_7275, len, &raw mut made, &raw mut buffer)
    };
    assert_eq!(status, STATUS_SUCCESS);
    (made, buffer.cast())
}

#[test]
fn memory_written_past_its_end_is_named_when_it_goes() {
    stops_with!("MemoryOverrun", || {
        let driver = Driver::load("overrunning");
        let (memory, buffer) = memory_of(&driver, 12);
        // SAFETY: behind the buffer is the guard that is to be hit.
        unsafe { buffer.add(12).write(1) };
        delete(memory as u64);
    });
}

#[test]
fn memory_is_as_long_as_it_was_asked_for_and_can_be_written_whole() {
    on_a_machine!(|| {
        let driver = Driver::load("writing");
        let (memory, buffer) = memory_of(&driver, 12);
        // SAFETY: twelve bytes are the driver's.
        unsafe { core::ptr::write_bytes(buffer, 0xab, 12) };
        delete(memory as u64);
    });
}

static FIRED: AtomicU32 = AtomicU32::new(0);

unsafe extern "win64" fn evt_timer(_timer: WDFTIMER) {
    assert_eq!(irql(), Irql::DISPATCH);
    FIRED.fetch_add(1, SeqCst);
}

fn new_timer(driver: &Driver) -> WDFTIMER {
    let mut made = null_mut();
    let mut config = WDF_TIMER_CONFIG {
        Size: size_of::<WDF_TIMER_CONFIG>() as u32,
        EvtTimerFunc: Some(evt_timer),
        // SAFETY: numbers.
        ..unsafe { core::mem::zeroed() }
    };
    let mut attributes = WDF_OBJECT_ATTRIBUTES {
        Size: size_of::<WDF_OBJECT_ATTRIBUTES>() as u32,
        ExecutionLevel: 1,
        SynchronizationScope: 1,
        ParentObject: driver.device() as WDFOBJECT,
        // SAFETY: numbers and nullable pointers.
        ..unsafe { core::mem::zeroed() }
    };
    config.AutomaticSerialization = 0;
    // SAFETY: as above.
    let status =
        unsafe { timer::create(driver.globals(), &raw mut config, &raw mut attributes, &raw mut made) };
    assert_eq!(status, STATUS_SUCCESS);
    made
}

#[test]
fn a_timer_fires_at_dispatch_level_once_its_time_has_come() {
    on_a_machine!(|| {
        let timer = new_timer(&Driver::load("timing"));
        // SAFETY: as above; a relative time in units of 100 ns.
        unsafe { timer::start(null_mut(), timer, -10_000) };
        crate::ke::delay_us(900);
        assert_eq!(FIRED.load(SeqCst), 0);
        crate::ke::delay_us(200);
        assert_eq!(FIRED.load(SeqCst), 1);
    });
}

#[test]
fn waiting_for_a_timer_above_passive_level_is_named() {
    stops_with!("WaitAtDispatch", || {
        let timer = new_timer(&Driver::load("timing"));
        raise(Irql::DISPATCH);
        // SAFETY: as above.
        unsafe { timer::stop(null_mut(), timer, 1) };
    });
}

#[test]
fn a_device_goes_through_its_stages_and_its_queues_hold_still_without_power() {
    on_a_machine!(|| {
        let driver = Driver::load("powered");
        let (presented, stops) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU32::new(0)));
        let (keep, count) = (presented.clone(), stops.clone());
        let callbacks = Callbacks {
            control: Some(Box::new(move |_, request| keep.store(request.0, SeqCst))),
            stop: Some(Box::new(move |request, _| {
                count.fetch_add(1, SeqCst);
                // SAFETY: as above: kept, the device may go.
                unsafe { crate::wdf::request::cancel::stop_acknowledge(null_mut(), request.raw(), 0) };
            })),
            ..Callbacks::default()
        };
        let config =
            WDF_IO_QUEUE_CONFIG { DefaultQueue: 1, PowerManaged: 1, ..Driver::config(2, &callbacks) };
        let queue = driver.queue_of(config, callbacks).unwrap();
        assert_eq!(driver.node.stage(), Stage::Working);
        let file = open(&driver);
        let first = Io::start(&file);
        driver.node.leave_d0(D3).unwrap();
        assert_eq!((driver.node.stage(), stops.load(SeqCst)), (Stage::Prepared, 1));
        let second = Io::start(&file);
        assert_eq!(queue.state().1, 1, "nothing is presented without power");
        driver.node.enter_d0(D3).unwrap();
        assert_eq!(queue.state().1, 0);
        Request(presented.load(SeqCst)).complete(STATUS_SUCCESS);
        assert_eq!((second.ended(), first.outcome()), (STATUS_SUCCESS, None));
    });
}

#[test]
fn a_stop_that_nobody_acknowledges_is_named() {
    stops_with!("StopNotAcknowledged", || {
        let driver = Driver::load("deaf");
        let callbacks = Callbacks {
            control: Some(Box::new(|_, _| ())),
            stop: Some(Box::new(|_, _| ())),
            ..Callbacks::default()
        };
        let config =
            WDF_IO_QUEUE_CONFIG { DefaultQueue: 1, PowerManaged: 1, ..Driver::config(2, &callbacks) };
        driver.queue_of(config, callbacks).unwrap();
        Io::start(&open(&driver));
        driver.node.leave_d0(D3).unwrap();
    });
}

#[test]
fn a_removal_cancels_what_waits_and_takes_the_device_away() {
    on_a_machine!(|| {
        let driver = Driver::load("going");
        driver.manual_queue(true, Callbacks::default());
        let io = Io::start(&open(&driver));
        driver.node.remove(false, &[]);
        assert_eq!(io.ended(), CANCELLED);
        assert!(driver.node.device().is_none());
    });
}

#[test]
fn pool_memory_has_guards_a_tag_and_an_owner() {
    on_a_machine!(|| {
        let owner = Driver::load("pooling").service.owner;
        let block = pool::alloc(owner, u32::from_le_bytes(*b"Test"), 24, true);
        // SAFETY: 24 bytes of the block.
        assert!(unsafe { core::slice::from_raw_parts(block, 24) }.iter().all(|&byte| byte == 0));
        assert_eq!(pool::report(owner), ["24 bytes, tag Test"]);
        assert!(pool::free(block, u32::from_le_bytes(*b"Else")).unwrap_err().contains("freed with Else"));
        assert!(pool::report(owner).is_empty());
        assert!(pool::free(block, 0).unwrap_err().contains("freed twice"));
        let block = pool::alloc(owner, 1, 24, false);
        // SAFETY: the guard behind the block, which is to be hit.
        unsafe { block.add(24).write(0) };
        assert!(pool::free(block, 1).unwrap_err().contains("a guard was written"));
    });
}

#[test]
fn a_freed_block_that_was_written_is_named_at_the_next_unload() {
    stops_with!("FreedPoolWritten", || {
        let driver = Driver::load("late");
        let block = pool::alloc(driver.service.owner, u32::from_le_bytes(*b"Test"), 24, true);
        pool::free(block, 0).unwrap();
        pool::check_freed();
        // SAFETY: freed memory that is kept, which is to be hit.
        unsafe { block.add(23).write(1) };
        pool::check_freed();
    });
}

#[test]
fn a_ring_that_is_written_after_its_queues_end_is_named() {
    stops_with!("FreedPoolWritten", || {
        let ring = RingMemory::new(8, 32);
        let late = ring.pointer();
        drop(ring);
        // SAFETY: freed memory that is kept, which is to be hit.
        unsafe { (*late).BeginIndex = 1 };
        pool::check_freed();
    });
}

#[test]
fn a_freed_block_that_was_written_is_named_when_it_has_been_kept_for_long() {
    stops_with!("FreedPoolWritten", || {
        let owner = Driver::load("later").service.owner;
        let block = pool::alloc(owner, 1, 4096, false);
        pool::free(block, 0).unwrap();
        // SAFETY: freed memory that is kept, which is to be hit.
        unsafe { block.write(1) };
        for _ in 0..200 {
            pool::free(pool::alloc(owner, 1, 4096, false), 0).unwrap();
        }
    });
}

#[test]
fn a_block_that_was_freed_twice_tells_what_it_was() {
    on_a_machine!(|| {
        let owner = Driver::load("twice").service.owner;
        let block = pool::alloc(owner, u32::from_le_bytes(*b"Test"), 24, true);
        pool::free(block, 0).unwrap();
        let told = pool::free(block, 0).unwrap_err();
        assert!(told.ends_with("(freed twice): 24 bytes, tag Test, freed in no callback"), "{told}");
        // SAFETY: inside the block that is kept.
        let told = pool::free(unsafe { block.add(8) }, 0).unwrap_err();
        assert!(told.contains("inside one that is gone: 24 bytes, tag Test"), "{told}");
    });
}

#[test]
fn one_allocation_of_a_driver_fails_when_the_rig_wants_it() {
    on_a_machine!(|| {
        let owner = Driver::load("starved").service.owner;
        fault::arm("starved".into(), 1);
        let got: Vec<bool> = (0..3).map(|_| !pool::alloc(owner, 1, 8, false).is_null()).collect();
        assert_eq!(got, [true, false, true]);
    });
}

#[test]
fn a_held_window_keeps_the_next_thread_until_it_is_released() {
    on_a_machine!(|| {
        let passed = Arc::new(AtomicU32::new(0));
        window::hold("wdf.send.counted").unwrap();
        for _ in 0..2 {
            let passed = passed.clone();
            crate::ke::worker::run(Box::new(move || {
                window::SEND_COUNTED.pass();
                passed.fetch_add(1, SeqCst);
            }));
        }
        crate::ke::delay_us(1_000);
        assert_eq!(passed.load(SeqCst), 1, "the second one passes");
        window::release("wdf.send.counted").unwrap();
        crate::ke::delay_us(1_000);
        assert_eq!(passed.load(SeqCst), 2);
        assert!(window::hold("wdf.nowhere").unwrap_err().contains("wdf.send.counted"));
    });
}

#[test]
fn a_window_at_dispatch_level_holds_nobody() {
    on_a_machine!(|| {
        window::hold("wdf.send.counted").unwrap();
        let old = raise(Irql::DISPATCH);
        window::SEND_COUNTED.pass();
        lower(old);
    });
}

#[test]
fn a_callback_that_goes_on_for_too_long_is_named_by_the_clock() {
    stops_with!("CallbackDoesNotReturn", || {
        trace::callback("device", "EvtSomething", || {
            // the clock ticks while the callback runs
            for _ in 0..1_000 {
                crate::hal::cpu::pass(10_000);
                crate::hal::apic::request(crate::ke::vectors::CLOCK_VECTOR);
            }
        });
    });
}

#[test]
fn the_innermost_callback_of_each_thread_is_known() {
    on_a_machine!(|| {
        let names: Arc<IrqLock<Vec<String>>> = Arc::new(IrqLock::new(Vec::new()));
        let note = || {
            let now = trace::current();
            names.with(|names| names.push(now));
        };
        note();
        trace::quick_callback("a", "outer", || {
            note();
            trace::quick_callback("b", "inner", note);
            note();
        });
        assert_eq!(names.with(|names| names.clone()), ["none", "a outer", "b inner", "a outer"]);
    });
}
