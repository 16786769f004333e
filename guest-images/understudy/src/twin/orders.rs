//! Every order of two threads: wherever an interrupt could come to one of them, it is pre-empted once, and so on for as
//! many pre-emptions as asked for. The points are the ends of the sections with interrupts off, below DISPATCH_LEVEL.

use crate::hal::cpu;
use crate::ke::thread::idle;
use crate::ke::vectors::request_dispatch;
use crate::ke::{Event, Irql, lower, raise, worker};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::boxed::Box;
use std::sync::Mutex;
use std::vec::Vec;

/// Points are counted: two threads race.
static ARMED: AtomicBool = AtomicBool::new(false);
/// Points of this race so far at which somebody else could run.
static SEEN: AtomicUsize = AtomicUsize::new(0);
/// The points at which the running thread is pre-empted.
static PLAN: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// An interrupt could come here.
pub(super) fn point() {
    if !ARMED.load(SeqCst) {
        return;
    }
    cpu::interrupts_off();
    if idle::ready() != 0 {
        let at = SEEN.fetch_add(1, SeqCst);
        if PLAN.lock().expect("nobody panics with it").contains(&at) {
            request_dispatch(true);
        }
    }
    cpu::interrupts_on();
}

/// What one of the two threads does.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Lets two jobs race, in the order of this round. Returns when both have ended.
pub(super) fn race(first: Job, second: Job) {
    let done = Arc::new((Event::auto(), AtomicUsize::new(0)));
    let with_end = |job: Job| {
        let done = done.clone();
        Box::new(move || {
            job();
            if done.1.fetch_add(1, SeqCst) == 1 {
                ARMED.store(false, SeqCst);
                done.0.set();
            }
        })
    };
    // both are ready before either runs; whoever was made ready last is first
    let old = raise(Irql::DISPATCH);
    worker::run(with_end(second));
    worker::run(with_end(first));
    SEEN.store(0, SeqCst);
    ARMED.store(true, SeqCst);
    lower(old);
    done.0.wait();
}

/// Runs the round, which has one [`race`], for every choice of at most `preemptions` points. Returns how many rounds.
pub(super) fn every(preemptions: usize, mut round: impl FnMut()) -> usize {
    // workers that have run once are there from the beginning
    race(Box::new(|| ()), Box::new(|| ()));
    walk(&mut Vec::new(), preemptions, &mut round)
}

/// Fewest rounds of a race that has points at which something can come between.
const FEWEST: usize = 100;

/// Runs the round for every choice of at most two points, with either job of its race ahead. The round is given the race.
pub(super) fn both_ways(mut round: impl FnMut(&dyn Fn(Job, Job))) {
    for swapped in [false, true] {
        let race = |first, second| if swapped { race(second, first) } else { race(first, second) };
        let rounds = every(2, || round(&race));
        assert!(rounds > FEWEST, "{rounds} orders");
    }
}

fn walk(plan: &mut Vec<usize>, left: usize, round: &mut impl FnMut()) -> usize {
    PLAN.lock().expect("nobody panics with it").clone_from(plan);
    round();
    let (points, mut rounds) = (SEEN.load(SeqCst), 1);
    if left > 0 {
        for next in plan.last().map_or(0, |last| last + 1)..points {
            plan.push(next);
            rounds += walk(plan, left - 1, round);
            plan.pop();
        }
    }
    rounds
}
