//! The dispatcher itself: IRQL, DPCs, timers, events, threads.

use super::machine::{on_a_machine, stops_with};
use super::orders;
use crate::hal::apic;
use crate::ke::irqlock::IrqLock;
use crate::ke::{Dpc, Event, Irql, Thread, Timer, interrupt, irql, lower, now_us, raise, worker};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::boxed::Box;
use std::vec::Vec;

fn journal() -> Arc<IrqLock<Vec<&'static str>>> {
    Arc::new(IrqLock::new(Vec::new()))
}

#[test]
fn a_thread_begins_at_passive_level_with_time_at_zero() {
    on_a_machine!(|| assert_eq!((irql(), now_us()), (Irql::PASSIVE, 0)));
}

#[test]
fn a_dpc_waits_until_irql_falls_below_dispatch_level() {
    on_a_machine!(|| {
        let said = journal();
        let dpc = {
            let said = said.clone();
            Dpc::new(Box::new(move || {
                said.with(|said| said.push(if irql() == Irql::DISPATCH { "dpc" } else { "?" }))
            }))
        };
        let old = raise(Irql::DISPATCH);
        assert!(dpc.queue());
        assert!(!dpc.queue(), "it is queued already");
        said.with(|said| said.push("queued"));
        lower(old);
        assert_eq!(said.with(|said| said.clone()), ["queued", "dpc"]);
    });
}

#[test]
fn a_dpc_below_dispatch_level_runs_at_once() {
    on_a_machine!(|| {
        let ran = Arc::new(AtomicU32::new(0));
        let counted = ran.clone();
        let dpc = Dpc::new(Box::new(move || {
            counted.fetch_add(1, SeqCst);
        }));
        dpc.queue();
        assert_eq!(ran.load(SeqCst), 1);
    });
}

#[test]
fn an_event_wakes_whoever_waits_and_an_auto_event_only_one() {
    on_a_machine!(|| {
        let event = Arc::new(Event::auto());
        let woken = Arc::new(AtomicU32::new(0));
        for _ in 0..3 {
            let (event, woken) = (event.clone(), woken.clone());
            Thread::spawn(
                "waiter",
                Box::new(move || {
                    event.wait();
                    woken.fetch_add(1, SeqCst);
                }),
            );
        }
        crate::ke::delay_us(10);
        event.set();
        crate::ke::delay_us(10);
        assert_eq!(woken.load(SeqCst), 1);
        event.set();
        event.set();
        crate::ke::delay_us(10);
        assert_eq!(woken.load(SeqCst), 3);
    });
}

#[test]
fn a_wait_ends_at_its_limit_and_takes_no_longer() {
    on_a_machine!(|| {
        let event = Event::manual();
        assert!(!event.wait_timeout(5_000_000));
        assert_eq!(now_us(), 5_000_000);
        event.set();
        assert!(event.wait_timeout(0) && event.wait_timeout(1));
        event.reset();
        assert!(!event.wait_timeout(0));
    });
}

#[test]
fn a_timer_fires_once_and_one_that_is_stopped_never() {
    on_a_machine!(|| {
        let fired = Arc::new(AtomicU32::new(0));
        let counted = fired.clone();
        let timer = Timer::new(Box::new(move || {
            counted.fetch_add(1, SeqCst);
        }));
        timer.start(100);
        timer.start(300);
        crate::ke::delay_us(200);
        assert_eq!(fired.load(SeqCst), 0, "a later start replaces the earlier time");
        crate::ke::delay_us(1_000);
        assert_eq!(fired.load(SeqCst), 1);
        timer.start(100);
        timer.stop();
        crate::ke::delay_us(1_000);
        assert_eq!(fired.load(SeqCst), 1);
    });
}

#[test]
fn jobs_in_order_keep_it_although_one_of_them_waits() {
    on_a_machine!(|| {
        let (said, done) = (journal(), Arc::new(Event::auto()));
        for (at, word) in ["first", "second", "third"].into_iter().enumerate() {
            let (said, done) = (said.clone(), done.clone());
            worker::in_order(Box::new(move || {
                crate::ke::delay_us(if at == 0 { 1_000 } else { 1 });
                said.with(|said| said.push(word));
                if at == 2 {
                    done.set();
                }
            }));
        }
        done.wait();
        assert_eq!(said.with(|said| said.clone()), ["first", "second", "third"]);
    });
}

#[test]
fn a_job_that_waits_keeps_no_other_one_waiting() {
    on_a_machine!(|| {
        let (gate, done) = (Arc::new(Event::manual()), Arc::new(Event::auto()));
        let (wait, set) = (gate.clone(), done.clone());
        worker::run(Box::new(move || {
            wait.wait();
            set.set();
        }));
        worker::run(Box::new(move || gate.set()));
        assert!(done.wait_timeout(1_000));
    });
}

#[test]
fn a_wait_at_dispatch_level_is_named() {
    stops_with!("WaitAtDispatch", || {
        raise(Irql::DISPATCH);
        Event::manual().wait();
    });
}

#[test]
fn raising_to_a_lower_irql_is_named() {
    stops_with!("IrqlRaisedToLower", || {
        raise(Irql::DISPATCH);
        raise(Irql::PASSIVE);
    });
}

#[test]
fn threads_that_two_others_start_at_the_same_time_both_run_in_every_order() {
    on_a_machine!(|| {
        let rounds = orders::every(1, || {
            let ran = Arc::new(AtomicU32::new(0));
            let job = || {
                let ran = ran.clone();
                Box::new(move || {
                    Thread::spawn(
                        "started",
                        Box::new(move || {
                            ran.fetch_add(1, SeqCst);
                        }),
                    );
                })
            };
            orders::race(job(), job());
            crate::ke::delay_us(1);
            assert_eq!(ran.load(SeqCst), 2);
        });
        assert!(rounds > 2, "{rounds} orders");
    });
}

#[test]
fn two_threads_that_count_without_a_lock_lose_a_count_in_some_order_and_with_one_in_none() {
    on_a_machine!(|| {
        let mut lost = 0;
        let rounds = orders::every(1, || {
            let counts = Arc::new((AtomicU32::new(0), IrqLock::new(0)));
            let job = || {
                let counts = counts.clone();
                let point = IrqLock::new(());
                Box::new(move || {
                    let seen = counts.0.load(SeqCst);
                    point.with(|()| ());
                    counts.0.store(seen + 1, SeqCst);
                    counts.1.with(|count| *count += 1);
                })
            };
            orders::race(job(), job());
            lost += u32::from(counts.0.load(SeqCst) != 2);
            assert_eq!(counts.1.with(|count| *count), 2);
        });
        assert!(lost > 0 && rounds > 2, "{lost} of {rounds} rounds");
    });
}

#[test]
fn an_interrupt_that_nobody_has_connected_ends_the_run() {
    stops_with!("UnexpectedInterrupt", || apic::request(0x55));
}

#[test]
fn an_interrupt_that_was_on_its_way_when_it_was_disconnected_is_over() {
    on_a_machine!(|| {
        interrupt::connect(0x55, Box::new(|| true));
        interrupt::disconnect(0x55);
        apic::request(0x55);
        assert_eq!(irql(), Irql::PASSIVE);
    });
}
