//! The local target, the next lower device of the relay's own stack: a bus's device, which takes no control requests.
//! The framework's orders are those of a remote target; what cannot be done is to open, close or delete it.

use super::stage::{Stage, expect_status};
use super::status::{CANCELLED, INVALID_DEVICE_REQUEST, SUCCESS};
use super::waiting::Calls;
use crate::scenario::{Scenario, usual};
use anyhow::{Context, Result, ensure};
use cancelnic_ioctl::nic::behaviour;
use cancelnic_ioctl::relay::{Outcome, option, phase, target, way};
use lab::guest::need::Need;
use lab::run::Run;
use lab::run::requests::{RELAY, Requests};

const STARTED: u32 = 1;
const STOPPED: u32 = 2;
const PURGED: u32 = 6;
/// It waits in the stopped target; it did when that was purged; the target is purged.
const WDF_QUEUED: u32 = 0x4020_0000;
const NOT_SENT: u32 = 0xC020_0206;
const INVALID_DEVICE_STATE: u32 = 0xC000_0184;
/// In 100 ns from now on.
const A_MINUTE: i64 = -600_000_000;

fn ready(run: &mut Run) -> Result<Requests> {
    run.load()?;
    let requests = run.open_requests()?;
    requests.log(run)?;
    Ok(requests)
}

/// A request of the relay's own for the local target.
fn stage(requests: Requests, slot: u32, routine: bool) -> Stage {
    Stage { way: way::BELOW, slot, ..Stage::new(requests, routine, 0) }
}

fn send(run: &mut Run, stage: &Stage, options: u32) -> Result<Outcome> {
    let timeout = if options & option::TIMEOUT != 0 { A_MINUTE } else { 0 };
    stage.requests.send(run, &stage.send_with(behaviour::CANCELABLE, options, timeout))
}

fn expect_calls(run: &mut Run, requests: Requests, expected: &str) -> Result<()> {
    Calls::of_relay(requests.relay).expect(run, expected)
}

/// However it is sent, the answer is the I/O manager's for a driver without a routine for it, and the completion routine
/// runs inside the send.
fn answered(run: &mut Run) -> Result<()> {
    let requests = ready(run)?;
    let ways = [
        0,
        option::TIMEOUT,
        option::IGNORE_TARGET_STATE,
        option::SYNCHRONOUS,
        option::SYNCHRONOUS | option::TIMEOUT,
    ];
    for routine in [true, false] {
        for options in ways {
            let stage = stage(requests, 1, routine);
            requests.create(run, stage.slot)?;
            let sent = send(run, &stage, options)?;
            ensure!(sent.returned == 1, "not sent: {sent:?}");
            let calls = if routine { "sending completion sent" } else { "sending sent" };
            expect_calls(run, requests, calls)?;
            let synchronous = options & option::SYNCHRONOUS != 0;
            if synchronous {
                expect_status("the sender's status", sent.status, INVALID_DEVICE_REQUEST)?;
            }
            if routine || synchronous {
                let state = requests.state(run, stage.slot)?;
                let seen = (state.phase, state.status, state.completions);
                let expected = (phase::DONE, INVALID_DEVICE_REQUEST, u32::from(routine));
                run.expect("[phase, status, completion routines]", seen, expected)?;
            }
            requests.delete(run, stage.slot)?;
        }
    }
    requests.close(run)
}

/// A program's request goes on down the stack, as a filter driver passes what it does not know.
fn passed_on(run: &mut Run) -> Result<()> {
    let requests = ready(run)?;
    for (options, calls) in [
        (0, "sending completion returning sent"),
        (option::SYNCHRONOUS, "sending completion sent returning"),
        (option::SEND_AND_FORGET, "sending sent"),
    ] {
        let stage = stage(requests, 2, true);
        let routine = options != option::SEND_AND_FORGET;
        let program = stage.passing(run, behaviour::CANCELABLE, options, routine)?;
        let status = run.finish_control(&program)?.status;
        run.expect("the program's status", status, INVALID_DEVICE_REQUEST)?;
        expect_calls(run, requests, calls)?;
        if !routine {
            requests.delete(run, stage.slot)?;
        }
    }
    let own = stage(requests, 3, false);
    requests.create(run, own.slot)?;
    let sent = send(run, &own, option::SEND_AND_FORGET)?;
    let refused = (0, INVALID_DEVICE_REQUEST);
    run.expect("[sent, status] of the relay's own, forgotten", (sent.returned, sent.status), refused)?;
    requests.delete(run, own.slot)?;
    requests.close(run)
}

/// Stop parks, a recall takes one out, Start sends the others in their order, Purge completes what is parked and
/// refuses what comes.
fn stopped(run: &mut Run) -> Result<()> {
    let requests = ready(run)?;
    let stages = [1, 2, 3].map(|slot| stage(requests, slot, true));
    let seen = requests.target_below(run, target::STOP_CANCEL)?.state;
    run.expect("state", seen, STOPPED)?;
    for stage in &stages {
        requests.create(run, stage.slot)?;
        ensure!(send(run, stage, 0)?.returned == 1, "not parked");
        let state = requests.state(run, stage.slot)?;
        run.expect("[phase, status]", (state.phase, state.status), (phase::SENT, WDF_QUEUED))?;
    }
    let ignoring = stage(requests, 4, true);
    requests.create(run, ignoring.slot)?;
    ensure!(send(run, &ignoring, option::IGNORE_TARGET_STATE)?.returned == 1, "not sent");
    expect_over(run, requests, ignoring.slot, INVALID_DEVICE_REQUEST)?;
    let recalled = requests.cancel(run, stages[1].slot)?;
    run.expect("[recalled, completion routines inside]", [recalled.returned, recalled.completions], [1, 1])?;
    expect_over(run, requests, stages[1].slot, CANCELLED)?;
    requests.log(run)?;
    expect_status("start", requests.target_below(run, target::START)?.status, SUCCESS)?;
    let log = requests.log(run)?;
    let back: Vec<u32> =
        log.iter().filter(|one| one.what() == "completion").map(|one| one.record.tag).collect();
    run.expect("sent in their order", back, vec![stages[0].slot, stages[2].slot])?;
    for stage in [&stages[0], &stages[2]] {
        expect_over(run, requests, stage.slot, INVALID_DEVICE_REQUEST)?;
        requests.reuse(run, stage.slot)?;
    }
    requests.target_below(run, target::STOP_LEAVE)?;
    ensure!(send(run, &stages[0], 0)?.returned == 1, "not parked");
    let seen = requests.target_below(run, target::PURGE_WAIT)?.state;
    run.expect("state", seen, PURGED)?;
    expect_over(run, requests, stages[0].slot, NOT_SENT)?;
    let refused = send(run, &stages[2], 0)?;
    run.expect("refused", (refused.returned, refused.status), (0, INVALID_DEVICE_STATE))?;
    let seen = requests.target_below(run, target::START)?.state;
    run.expect("state", seen, STARTED)?;
    requests.close(run)
}

fn expect_over(run: &mut Run, requests: Requests, slot: u32, status: u32) -> Result<()> {
    let state = requests.state(run, slot)?;
    run.expect("[phase, status]", (state.phase, state.status), (phase::DONE, status))
}

/// Power goes and comes: the driver stops its remote target, and what waits in the local one waits on. Then the device
/// goes, and what waits there comes back first.
fn life(run: &mut Run) -> Result<()> {
    let requests = ready(run)?;
    let own = stage(requests, 1, true);
    let passed = stage(requests, 2, true);
    requests.target_below(run, target::STOP_LEAVE)?;
    requests.create(run, own.slot)?;
    ensure!(send(run, &own, 0)?.returned == 1, "not parked");
    expect_calls(run, requests, "target target-done sending sent")?;
    let program = passed.passing(run, behaviour::CANCELABLE, 0, true)?;
    expect_calls(run, requests, "sending sent")?;
    run.power(RELAY, false)?;
    expect_calls(run, requests, "stop acknowledging")?;
    run.power(RELAY, true)?;
    expect_calls(run, requests, "resume")?;
    let states = [requests.target(run, target::NONE)?.state, requests.target_below(run, target::NONE)?.state];
    run.expect("states of both targets", states, [STARTED, STOPPED])?;
    run.remove(RELAY, false)?;
    let status = run.finish_control(&program).context("the program's request")?.status;
    run.expect("the program's status", status, CANCELLED)?;
    run.close(requests.nic)
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        usual(
            "local-target-answers",
            "requests to the local I/O target are answered in each way of sending",
            answered,
        ),
        usual(
            "local-target-requests-passed-on",
            "a program's requests are passed down the stack to the local I/O target",
            passed_on,
        ),
        usual(
            "local-target-stopped-and-purged",
            "a stopped local I/O target parks requests, and a purged one refuses them",
            stopped,
        ),
        usual(
            "local-target-power-and-removal",
            "what waits in the local I/O target waits through a power cycle and ends at removal",
            life,
        )
        .needs(&[Need::Sleep]),
    ]
}
