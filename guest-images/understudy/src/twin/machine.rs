//! A machine for one test, in a process of its own.

use super::orders;
use crate::hal::{apic, cpu, power};
use crate::ke::thread::idle;
use crate::ke::vectors::{CLOCK_VECTOR, request_dispatch};
use crate::ke::{Irql, Registers, Thread, dispatch, interrupt, now_us};
use crate::verifier::bugcheck::EXIT_BUG_CHECK;
use agent_protocol::Message;
use core::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::process::{Command, Output};
use std::time::Duration;
use std::{boxed::Box, env, format, panic, string::String, thread};

/// Tells the process which test it is for.
const CHILD: &str = "UNDERSTUDY_TWIN";
/// Exit value of a process whose test has come to its end: one that has run no test at all ends with another.
const ENDED: i32 = 77;
/// Exit value of a process that was there for too long.
const HANGS: i32 = 102;
/// How long a process may be there: a test that goes on without letting time pass, or whose threads give the processor
/// to one another for ever, ends by no other clock.
const PATIENCE: Duration = Duration::from_secs(300);
/// A machine whose threads do nothing but look at the time for so long has a test that never ends, in microseconds.
const LONGEST_US: u64 = 3_600_000_000;

/// The name of the test that the macro stands in.
macro_rules! this_test {
    () => {{
        fn here() {}
        let path = core::any::type_name_of_val(&here);
        path.strip_suffix("::here").and_then(|path| path.split_once("::")).expect("a function of the crate").1
    }};
}
pub(super) use this_test;

/// Runs the block on a machine: it must come to its end.
macro_rules! on_a_machine {
    ($body:expr) => {
        $crate::twin::machine::run($crate::twin::machine::this_test!(), $body)
    };
}
pub(super) use on_a_machine;

/// Runs the block on a machine, which must stop with that rule.
macro_rules! stops_with {
    ($rule:expr, $body:expr) => {
        $crate::twin::machine::run_to_a_bug_check($crate::twin::machine::this_test!(), $rule, $body)
    };
}
pub(super) use stops_with;

/// As [`on_a_machine`], for the test of that name.
pub(super) fn run(test: &str, body: impl FnOnce() + Send + 'static) {
    if is_child(test) {
        boot(PATIENCE, body);
    }
    let output = child(test);
    assert!(output.status.code() == Some(ENDED), "{}", text(&output));
}

/// As [`stops_with`], for the test of that name.
pub(super) fn run_to_a_bug_check(test: &str, rule: &str, body: impl FnOnce() + Send + 'static) {
    if is_child(test) {
        boot(PATIENCE, body);
    }
    let output = child(test);
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let stopped = lines.lines().find_map(|line| match serde_json::from_str(&line[line.find('{')?..]) {
        Ok(Message::BugCheck { violation, .. }) => Some(violation.rule),
        _ => None,
    });
    let code = output.status.code();
    assert!(
        code == Some(EXIT_BUG_CHECK.into()) && stopped.as_deref() == Some(rule),
        "stopped with {stopped:?}\n{}",
        text(&output)
    );
}

fn is_child(test: &str) -> bool {
    env::var(CHILD).is_ok_and(|name| name == test)
}

fn child(test: &str) -> Output {
    let program = env::current_exe().expect("the test program has a path");
    let mut command = Command::new(program);
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env(CHILD, test);
    command.output().expect("the test program starts again")
}

fn text(output: &Output) -> String {
    let part = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}{}", output.status, part(&output.stdout), part(&output.stderr))
}

static DONE: AtomicBool = AtomicBool::new(false);

/// Brings the machine up, runs the body on a thread of it, and idles until that has ended: then the process ends.
fn boot(patience: Duration, body: impl FnOnce() + Send + 'static) -> ! {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        usual(info);
        // whoever panicked had the baton, and nobody else would get it
        std::process::exit(101);
    }));
    thread::spawn(move || {
        thread::sleep(patience);
        std::eprintln!("the test is not at its end after {patience:?}");
        std::process::exit(HANGS);
    });
    cpu::install(serve, orders::point);
    crate::settings::start("", &[]).expect("an empty command line");
    crate::verifier::start();
    crate::netcx::start();
    crate::ke::thread::start();
    Thread::spawn(
        "test",
        Box::new(move || {
            body();
            DONE.store(true, SeqCst);
        }),
    );
    crate::ke::lower(Irql::PASSIVE);
    cpu::interrupts_on();
    while !DONE.load(SeqCst) {
        if idle::ready() != 0 {
            request_dispatch(true);
            continue;
        }
        let Some(next) = [idle::deadline(), dispatch::next_timer()].into_iter().flatten().min() else {
            power::fatal(&format!("every thread waits for ever: {}", idle::waiting()));
        };
        assert!(next < LONGEST_US, "the test does not end: {}", idle::waiting());
        cpu::pass(next.saturating_sub(now_us()));
        apic::request(CLOCK_VECTOR);
    }
    std::process::exit(ENDED);
}

fn serve(vector: u8) {
    interrupt::serve(vector, &|irql| Registers { irql, ..Registers::here() });
}

#[test]
#[should_panic(expected = "exit status: 0")]
fn a_process_that_has_run_no_test_is_no_success() {
    run("twin::machine::no_test_has_this_name", || ());
}

#[test]
fn a_test_in_which_no_time_passes_is_ended() {
    let test = this_test!();
    if is_child(test) {
        boot(Duration::from_millis(50), || {
            loop {
                core::hint::spin_loop();
            }
        });
    }
    let output = child(test);
    assert_eq!(output.status.code(), Some(HANGS), "{}", text(&output));
}
