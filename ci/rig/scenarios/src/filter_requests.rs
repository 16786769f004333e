//! Control requests of the filter that it must refuse, that come at the wrong time, or for which there is no memory.

use super::filter::{A, holding, lists};
use super::filter_random::Numbers;
use crate::scenario::{Scenario, usual};
use anyhow::{Context, Result, ensure};
use cancelnic_ioctl::filter::{
    ALL, BYPASS, Bypass, CANCEL, COUNTERS, Cancel, Counters, HELD, HOLD, Held, LONGEST, MOST_GROUPS,
    MOST_OUTSTANDING, RELEASE, Release, SEND, SHORTEST, Select, Send, Sent,
};
use cancelnic_ioctl::{Header, SET_MUTANT, SetMutant, control_code, nic};
use cancelnic_mutants::Mutant;
use lab::device::control::State;
use lab::guest::need::Need;
use lab::run::filter::{FILTER, Filter, select};
use lab::run::programs::Controlling;
use lab::run::{Run, TX};
use zerocopy::IntoBytes;

/// STATUS_INFO_LENGTH_MISMATCH.
const LENGTH: u32 = 0xC000_0004;
/// STATUS_REVISION_MISMATCH.
const VERSION: u32 = 0xC000_0059;
/// STATUS_INVALID_PARAMETER.
const VALUE: u32 = 0xC000_000D;
/// STATUS_BUFFER_TOO_SMALL.
const TOO_SMALL: u32 = 0xC000_0023;
/// STATUS_DEVICE_DOES_NOT_EXIST.
const NO_MODULE: u32 = 0xC000_00C0;
/// STATUS_INVALID_DEVICE_REQUEST.
const NO_CODE: u32 = 0xC000_0010;
/// STATUS_INSUFFICIENT_RESOURCES.
const NO_MEMORY: u32 = 0xC000_009A;
/// STATUS_DEVICE_NOT_READY.
const NOT_READY: u32 = 0xC000_00A3;

/// A control code, the bytes of a good input for it, and the length of its answer.
struct Code {
    name: &'static str,
    code: u32,
    input: Vec<u8>,
    output: usize,
}

fn send() -> Send {
    Send { header: Header::of::<Send>(), module: 0, groups: 1, first: 1 << 40, count: 1, len: 60 }
}

fn release() -> Release {
    Release { header: Header::of::<Release>(), module: 0, reserved: 0, count: ALL }
}

fn cancel(cancel_id: u64) -> Cancel {
    Cancel { header: Header::of::<Cancel>(), module: 0, reserved: 0, cancel_id }
}

fn bypass(on: u32) -> Bypass {
    Bypass { header: Header::of::<Bypass>(), module: 0, on }
}

/// Every code, with an input that would be taken. `own` is an ID of the filter's.
fn codes(own: u64) -> Vec<Code> {
    let code = |name, code, input: &[u8], output| Code { name, code, input: input.to_vec(), output };
    vec![
        code("SEND", SEND, send().as_bytes(), size_of::<Sent>()),
        code("HOLD", HOLD, select().as_bytes(), 0),
        code("RELEASE", RELEASE, release().as_bytes(), 0),
        code("CANCEL", CANCEL, cancel(own).as_bytes(), 0),
        code("COUNTERS", COUNTERS, select().as_bytes(), size_of::<Counters>()),
        code("HELD", HELD, select().as_bytes(), size_of::<Held>()),
        code("BYPASS", BYPASS, bypass(1).as_bytes(), 0),
    ]
}

fn refused(
    run: &mut Run,
    filter: Filter,
    what: &str,
    (code, input, output): (u32, &[u8], usize),
    status: u32,
) -> Result<()> {
    let answer = run.control(what, filter.file, code, input, output as u32)?;
    let seen = (answer.status, answer.information, answer.output.len());
    run.expect(&format!("{what} is refused"), seen, (status, 0, 0))
}

/// Every code with an input of every wrong length, version and size, for modules that there are not, with too little
/// room for its answer.
fn malformed_heads(run: &mut Run, filter: Filter, own: u64) -> Result<()> {
    for Code { name, code, input, output } in codes(own) {
        let with = |at: usize, value: u32| {
            let mut input = input.clone();
            input[at..at + 4].copy_from_slice(&value.to_le_bytes());
            input
        };
        let longer = [&input[..], &[0]].concat();
        let shorter = [0, 1, 7, 8, input.len() - 1].map(|len| input[..len].to_vec());
        for input in shorter.into_iter().chain([longer]) {
            let what = format!("{name} of {} bytes", input.len());
            refused(run, filter, &what, (code, &input, output), LENGTH)?;
        }
        for version in [0, 2, u32::MAX] {
            let what = format!("{name} in version {version}");
            refused(run, filter, &what, (code, &with(0, version), output), VERSION)?;
        }
        let len = input.len() as u32;
        for size in [0, len - 1, len + 1, u32::MAX] {
            let what = format!("{name} that says {size} bytes");
            refused(run, filter, &what, (code, &with(4, size), output), VALUE)?;
        }
        for module in [1, 2, 0x7fff_ffff, u32::MAX] {
            let what = format!("{name} of module {module}");
            refused(run, filter, &what, (code, &with(8, module), output), NO_MODULE)?;
        }
        for output in [0, output.saturating_sub(1)].into_iter().filter(|&short| short < output) {
            let what = format!("{name} with room for {output} bytes");
            refused(run, filter, &what, (code, &input, output), TOO_SMALL)?;
        }
    }
    Ok(())
}

/// Values outside their ranges.
fn malformed_values(run: &mut Run, filter: Filter, own: u64) -> Result<()> {
    let sends = [
        Send { groups: MOST_GROUPS as u32 + 1, ..send() },
        Send { groups: u32::MAX, ..send() },
        Send { count: 0, ..send() },
        Send { count: MOST_OUTSTANDING + 1, ..send() },
        Send { count: u32::MAX, ..send() },
        Send { len: 0, ..send() },
        Send { len: SHORTEST - 1, ..send() },
        Send { len: LONGEST + 1, ..send() },
        Send { len: u32::MAX, ..send() },
        Send { first: u64::MAX, ..send() },
    ];
    for send in sends {
        let what = format!(
            "SEND of {} in {} groups from {:#x}, {} long",
            send.count, send.groups, send.first, send.len
        );
        refused(run, filter, &what, (SEND, send.as_bytes(), size_of::<Sent>()), VALUE)?;
    }
    for (what, code) in [("HOLD", HOLD), ("COUNTERS", COUNTERS), ("HELD", HELD)] {
        let select = Select { reserved: 1, ..select() };
        refused(run, filter, &format!("{what}, reserved"), (code, select.as_bytes(), 4096), VALUE)?;
    }
    let nothing = Release { count: 0, ..release() };
    refused(run, filter, "RELEASE of nothing", (RELEASE, nothing.as_bytes(), 0), VALUE)?;
    let reserved = Release { reserved: u32::MAX, ..release() };
    refused(run, filter, "RELEASE, reserved", (RELEASE, reserved.as_bytes(), 0), VALUE)?;
    for (what, input) in [
        ("CANCEL of NULL", cancel(0)),
        ("CANCEL of another driver's ID", cancel(own ^ 1 << 63)),
        ("CANCEL, reserved", Cancel { reserved: 1, ..cancel(own) }),
    ] {
        refused(run, filter, what, (CANCEL, input.as_bytes(), 0), VALUE)?;
    }
    for on in [2, u32::MAX] {
        refused(run, filter, &format!("BYPASS {on}"), (BYPASS, bypass(on).as_bytes(), 0), VALUE)?;
    }
    Ok(())
}

/// Requests of random bytes, half of them behind a good header.
fn noise(run: &mut Run, filter: Filter, own: u64) -> Result<()> {
    let codes = codes(own);
    let mut numbers = Numbers(run.facts.seed);
    for round in 0..200 {
        let Code { name, code, .. } = codes[numbers.below(codes.len() as u64) as usize];
        let len = numbers.below(48) as usize;
        let mut bytes: Vec<u8> = (0..len).map(|_| numbers.next() as u8).collect();
        if round % 2 == 0 && len >= 8 {
            bytes[..8].copy_from_slice(&[1, 0, 0, 0, len as u8, 0, 0, 0]);
        }
        let room = numbers.below(200) as u32;
        let answer = run.control(&format!("{name} of noise {round}"), filter.file, code, &bytes, room)?;
        ensure!(answer.status >= 0xC000_0000, "noise {round} is taken as {name}: {bytes:02x?}");
    }
    Ok(())
}

/// Whatever is wrong with a request, it is refused with the status that the interface's documentation names, and the
/// module is as it was.
fn malformed(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    let own = filter.send(run, 2, 1)?;
    run.send_marked(2, A)?;
    let before = (filter.counters(run)?, filter.held(run)?);

    malformed_heads(run, filter, own.ids[0])?;
    malformed_values(run, filter, own.ids[0])?;
    noise(run, filter, own.ids[0])?;
    let select = select();
    for (what, code) in [
        ("the code before the first", control_code(0x80F)),
        ("the code behind the last", control_code(0x818)),
        ("cancelnic.sys's code", nic::WAIT),
        ("code 0", 0),
        ("a code that has no access", SEND & !0xC000),
        ("its code with METHOD_IN_DIRECT", COUNTERS | 1),
        ("its code with METHOD_OUT_DIRECT", COUNTERS | 2),
        ("its code with METHOD_NEITHER", COUNTERS | 3),
    ] {
        refused(run, filter, what, (code, select.as_bytes(), 4096), NO_CODE)?;
    }
    let fault = SetMutant::new(Mutant::CompletesListTwice.number());
    refused(run, filter, "a fault of a driver that ships", (SET_MUTANT, fault.as_bytes(), 0), NO_CODE)?;

    let after = (filter.counters(run)?, filter.held(run)?);
    run.expect("the module is as it was", after, before)?;
    filter.cancel(run, own.ids[0])?;
    filter.note_ended(run, own.numbers());
    run.cancel_send(A)?;
    let aborted = lists(run)?.aborted.len();
    run.expect("aborted", aborted, 2)?;
    run.close(filter.file)
}

/// As many lists as may be outstanding, and one more.
fn most_outstanding(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    let own = filter.send(run, MOST_OUTSTANDING, MOST_GROUPS as u32)?;
    let status = filter.try_send(run, 1)?;
    run.expect("one more", status, NO_MEMORY)?;
    for id in &own.ids {
        filter.cancel(run, *id)?;
    }
    filter.note_ended(run, own.numbers());
    let counters = filter.counters(run)?;
    let seen = [counters.own_originated, counters.own_aborted, counters.own_outstanding];
    run.expect("[made, aborted, out]", seen, [u64::from(MOST_OUTSTANDING), u64::from(MOST_OUTSTANDING), 0])?;
    run.close(filter.file)
}

/// Allocations that a frame of the filter's own takes: its memory, MDL, list.
const PER_FRAME: u32 = 3;

/// Without memory a send is refused whole, wherever in it memory ends; without memory for a module the stack goes on
/// without the filter.
fn without_memory(run: &mut Run) -> Result<()> {
    run.load()?;
    let filter = run.open_filter()?;
    for after in 0..3 * PER_FRAME {
        run.fail_allocation(FILTER, after)?;
        // what was made before memory ended is kept for the next send: more than that is needed each time
        let status = filter.try_send(run, 32)?;
        run.expect(&format!("status without memory after {after} allocations"), status, NO_MEMORY)?;
    }
    let own = filter.send(run, 4, 2)?;
    run.await_guest("four sent", |tx, rx| tx.sent.len() == 4 && rx.received.len() == 4)?;
    let counters = filter.await_counters(run, "own lists back", |counters| counters.own_outstanding == 0)?;
    let seen = [counters.own_originated, counters.own_success];
    run.expect("own [made, sent]", seen, [u64::from(own.count); 2])?;

    run.detach_filter()?;
    // the pool of its lists, then the module itself
    for after in [0, 1] {
        run.fail_allocation(FILTER, after)?;
        run.attach_filter()?;
        let late = filter.try_cancel(run, own.ids[0])?;
        run.expect("no module", late.status, NO_MODULE)?;
    }
    run.send_marked(2, A)?;
    run.await_guest("six sent", |tx, rx| tx.sent.len() == 6 && rx.received.len() == 6)?;
    run.attach_filter()?;
    filter.hold(run)?;
    run.send_marked(2, A)?;
    run.cancel_send(A)?;
    let aborted = lists(run)?.aborted.len();
    run.expect("aborted", aborted, 2)?;
    run.close(filter.file)
}

const PASSED_ON: &str = "ndis.cancel.passed-on";
const DETACHING: &str = "ndis.detach.before-filter";

/// Two lists of the filter's own wait at its gate, and will not get past it; their ID.
fn holding_own(run: &mut Run) -> Result<(Filter, u64)> {
    let filter = holding(run)?;
    let own = filter.send(run, 2, 1)?;
    filter.note_ended(run, own.numbers());
    Ok((filter, own.ids[0]))
}

/// A cancel by ID that is inside NDIS, for a program's request.
fn begin_cancel(run: &mut Run, filter: Filter, id: u64) -> Result<Controlling> {
    run.hold_at(PASSED_ON, |run| {
        run.begin_control("filter: cancel", filter.file, CANCEL, cancel(id).as_bytes(), 0)
    })
}

fn finish_cancel(run: &mut Run, cancelling: &Controlling) -> Result<()> {
    run.release_window(PASSED_ON)?;
    let cancelled = run.finish_control(cancelling)?;
    run.expect("the request's status", cancelled.status, 0)
}

/// A cancel that is inside the module keeps its pause from ending.
fn paused_under_a_request(run: &mut Run) -> Result<()> {
    let (filter, id) = holding_own(run)?;
    let cancelling = begin_cancel(run, filter, id)?;
    let pausing = run.begin_pause(1)?;
    filter.await_counters(run, "the pause", |counters| counters.running == 0)?;
    let tx = run.session.control.queue(TX)?;
    run.expect("the queue's state, which is paused after the filter", tx.state, State::Running)?;
    finish_cancel(run, &cancelling)?;
    run.finish_pause(&pausing)?;
    run.close(filter.file)
}

/// A request that is inside a paused module keeps FilterDetach from ending; later ones find no module.
fn detached_under_a_request(run: &mut Run) -> Result<()> {
    let (filter, id) = holding_own(run)?;
    let detaching = run.hold_at(DETACHING, Run::begin_detach_filter)?;
    let cancelling = begin_cancel(run, filter, id)?;
    run.release_window(DETACHING)?;
    filter.await_gone(run)?;
    finish_cancel(run, &cancelling)?;
    run.finish_detach_filter(&detaching)?;
    run.attach_filter()?;
    filter.counters(run).context("a new module is there")?;
    run.close(filter.file)
}

/// A module that nothing reaches any more, and that has not been told of its detach, answers all the same.
fn asked_before_detach(run: &mut Run) -> Result<()> {
    let (filter, id) = holding_own(run)?;
    let detaching = run.hold_at(DETACHING, Run::begin_detach_filter)?;
    let status = filter.try_send(run, 1)?;
    run.expect("it does not send", status, NOT_READY)?;
    filter.hold(run)?;
    filter.release(run, 1)?;
    filter.release_all(run)?;
    filter.cancel(run, id)?;
    let held = filter.held(run)?;
    run.expect("nothing is held", held, Vec::new())?;
    let counters = filter.counters(run)?;
    let seen = [counters.own_paused, counters.own_outstanding, u64::from(counters.running)];
    run.expect("[own paused, out, running]", seen, [2, 0, 0])?;
    filter.bypass(run, true)?;
    run.release_window(DETACHING)?;
    run.finish_detach_filter(&detaching)?;
    run.close(filter.file)
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        usual(
            "filter-refuses-malformed-requests",
            "malformed control requests are refused with their status and change nothing",
            malformed,
        )
        .needs(&[Need::Protocol]),
        usual(
            "filter-most-lists-outstanding",
            "as many own lists as may be outstanding are sent, and one more is refused",
            most_outstanding,
        ),
        usual(
            "filter-without-memory",
            "without memory a send is refused whole, wherever in it memory ends",
            without_memory,
        )
        .needs(&[Need::Fates, Need::Protocol, Need::NoMemory]),
        usual(
            "filter-paused-under-a-request",
            "the filter is paused while a program's request is inside it",
            paused_under_a_request,
        )
        .needs(&[Need::HoldPoints]),
        usual(
            "filter-detached-under-a-request",
            "the filter is detached while a program's request is inside it",
            detached_under_a_request,
        )
        .needs(&[Need::HoldPoints]),
        usual(
            "filter-asked-before-its-detach",
            "a program's request that reached the filter before its detach ends well",
            asked_before_detach,
        )
        .needs(&[Need::HoldPoints]),
    ]
}
