//! Requests and the life of devices and files around them.

use super::super::transmit::one_of_ten_off_the_wire;
use super::status::{CANCELLED, SUCCESS};
use super::waiting::{Calls, await_waiting, counters, wait, wait_settled};
use crate::scenario::{Scenario, good, no_watchdog, on_bench, usual};
use anyhow::{Context, Result, ensure};
use cancelnic_ioctl::bench::{self, queue};
use cancelnic_ioctl::nic::{self, CancelEvent, RingSnapshot, behaviour};
use cancelnic_ioctl::relay::{Send, phase, target};
use cancelnic_ioctl::{SET_MUTANT, SetMutant};
use cancelnic_mutants::Mutant;
use lab::base::wait::{LIMIT, PERIOD, until};
use lab::device::control::State;
use lab::guest::need::Need;
use lab::run::programs::Controlling;
use lab::run::requests::{RELAY, Requests};
use lab::run::{Run, TX, WIRE};
use lab::settings::Settings;
use zerocopy::{FromBytes, IntoBytes};

/// Whoever waits is told when a packet queue's EvtCancel has done its work, with the books of that moment.
fn cancel_event(run: &mut Run) -> Result<()> {
    run.load()?;
    let nic = run.open_nic()?;
    let first = wait_settled(run, nic, 1, behaviour::CANCELABLE, "presented marked")?;
    let second = wait(run, nic, 2, behaviour::NOT_CANCELABLE)?;
    await_waiting(run, nic, 2)?;
    run.hold(WIRE)?;
    run.send(10)?;
    run.await_device(TX, "10 on the hardware", |tx| tx.available + tx.fetched + tx.on_wire == 10)?;
    run.pause()?;
    for waiting in [&first, &second] {
        let answer = run.finish_control(waiting)?;
        run.expect("status of a waiter", answer.status, SUCCESS)?;
        let event = CancelEvent::read_from_bytes(&answer.output).ok().context("no event")?;
        run.expect("number and queue of the event", (event.number, event.queue), (1, 0))?;
        run.expect("given to the hardware by then", event.tx.posted, 10)?;
        let accounted = event.tx.sent + event.tx.taken_back + u64::from(event.outstanding);
        run.expect("sent, taken back and outstanding", accounted, 10)?;
    }
    let seen = counters(run, nic)?;
    run.expect("cancels of both queues", seen.cancels, 2)?;
    let fates = (seen.tx.sent, seen.tx.taken_back, run.facts.tx.sent.len(), run.facts.tx.taken_back.len());
    run.expect("the driver's books are the guest's", (fates.0, fates.1), (fates.2, fates.3))?;
    let rings = run.control("NIC: rings", nic, nic::RINGS, &[], size_of::<RingSnapshot>() as u32)?;
    let rings = RingSnapshot::read_from_bytes(&rings.output).ok().context("no rings")?;
    run.expect("both queues have stopped", (rings.tx.started, rings.rx.started), (0, 0))?;
    run.expect("nothing in the transmit ring", rings.tx.begin, rings.tx.end)?;
    run.release(WIRE)?;
    run.close(nic)
}

/// A program's own cancel (CancelIoEx) reaches a request through the relay's sent request.
fn program_cancels(run: &mut Run) -> Result<()> {
    run.load()?;
    let nic = run.open_nic()?;
    let waiting = wait_settled(run, nic, 1, behaviour::CANCELABLE, "presented marked")?;
    let ran = run.cancel_control(&waiting)?;
    run.expect("a cancel routine ran", ran, true)?;
    let status = run.finish_control(&waiting)?.status;
    run.expect("status", status, CANCELLED)?;
    run.close(nic)
}

/// The relay's device loses power with a passed request under way, and gets it back.
pub(super) fn power(run: &mut Run) -> Result<()> {
    run.load()?;
    let requests = run.open_requests()?;
    let waiting = pass_one(run, requests)?;
    let calls = Calls::of_relay(requests.relay);
    run.power(RELAY, false)?;
    calls.expect(run, "stop acknowledging")?;
    let state = requests.target(run, target::NONE)?.state;
    if state != 2 {
        return Err(run.found("TargetRunsWithoutPower", "EvtDeviceD0Exit", format!("target state {state}")));
    }
    run.power(RELAY, true)?;
    calls.expect(run, "target target-done resume")?;
    let outcome = requests.cancel(run, SLOT)?;
    run.expect("the recall", outcome.returned, 1)?;
    let status = run.finish_control(&waiting)?.status;
    run.expect("status", status, CANCELLED)?;
    requests.close(run)
}

/// Slot of the request that [`pass_one`] passes on.
pub(super) const SLOT: u32 = 5;

/// Passes a program's request on, cancelable, and waits until the relay has seen its send return: everything on the way
/// down is over by then, and in the relay's log.
pub(super) fn pass_one(run: &mut Run, requests: Requests) -> Result<Controlling> {
    requests.pass(run, SLOT, 0, true)?;
    let waiting = wait(run, requests.relay, 9, behaviour::CANCELABLE)?;
    Calls::of_relay(requests.relay).expect(run, "target target-done sending sent")?;
    Ok(waiting)
}

/// The relay's device is removed with a passed request under way: EvtIoStop(Purge) recalls it.
pub(super) fn removal(run: &mut Run) -> Result<()> {
    run.load()?;
    let requests = run.open_requests()?;
    let waiting = pass_one(run, requests)?;
    run.remove(RELAY, false)?;
    let status = run.finish_control(&waiting)?.status;
    run.expect("status", status, CANCELLED)?;
    Calls::of_nic(requests.nic).expect(run, "presented marked cancel-callback completing cleanup")?;
    run.close(requests.nic)
}

/// The NIC is gone with requests under way at its interface: of a program, cancelable and not, of the relay, and one
/// that waits in the relay's stopped target. Each ends, and the relay's target is closed.
fn nic_gone(run: &mut Run) -> Result<()> {
    const NOT_SENT: u32 = 0xC020_0206;
    const INVALID_DEVICE_STATE: u32 = 0xC000_0184;
    let (sent, parked) = (1, 2);

    run.load()?;
    let requests = run.open_requests()?;
    // no cancel of a packet queue comes any more, which would tell those who wait
    run.pause()?;
    Calls::of_nic(requests.nic).expect(run, "cancel-event cancel-event")?;
    let cancelable = wait_settled(run, requests.nic, 1, behaviour::CANCELABLE, "presented marked")?;
    let queued = wait_settled(run, requests.nic, 3, behaviour::SECOND_QUEUE, "presented forwarded")?;
    let kept = wait(run, requests.nic, 2, behaviour::NOT_CANCELABLE)?;
    let send = |slot, tag| Send { slot, tag, ..Send::waiting(behaviour::CANCELABLE) };
    for slot in [sent, parked] {
        requests.create(run, slot)?;
    }
    ensure!(requests.send(run, &send(sent, 4))?.returned == 1, "not sent");
    await_waiting(run, requests.nic, 3)?;
    requests.target(run, target::STOP_LEAVE)?;
    ensure!(requests.send(run, &send(parked, 5))?.returned == 1, "not parked");
    run.remove_nic(true)?;
    for waiting in [&cancelable, &kept, &queued] {
        let status = run.finish_control(waiting)?.status;
        run.expect("status", status, CANCELLED)?;
    }
    for (slot, status) in [(sent, CANCELLED), (parked, NOT_SENT)] {
        let state = requests.state(run, slot)?;
        let seen = (state.phase, state.status, state.completions);
        run.expect("[phase, status, completion routines]", seen, (phase::DONE, status, 1))?;
    }
    let state = requests.target(run, target::NONE)?.state;
    run.expect("the target's state: closed", state, 4)?;
    requests.reuse(run, sent)?;
    let refused = requests.send(run, &send(sent, 6))?;
    run.expect("sent nowhere", (refused.returned, refused.status), (0, INVALID_DEVICE_STATE))?;
    run.close(requests.relay)
}

/// A stop that waits for what is sent is over when the completion routine of the last one is.
fn stop_waits(run: &mut Run) -> Result<()> {
    const STOPPED: u32 = 2;
    run.load()?;
    let requests = run.open_requests()?;
    requests.create(run, 1)?;
    let sent = requests.send(run, &Send { slot: 1, tag: 4, ..Send::waiting(behaviour::CANCELABLE) })?;
    ensure!(sent.returned == 1, "not sent");
    await_waiting(run, requests.nic, 1)?;
    let stopping = requests.begin_target(run, target::STOP_WAIT)?;
    let stopped =
        until(LIMIT, PERIOD, || Ok((requests.target(run, target::NONE)?.state == STOPPED).then_some(())))?;
    stopped.context("the target is not stopped")?;
    requests.log(run)?;
    requests.complete(run, 4, SUCCESS)?;
    ensure!(run.finish_control(&stopping)?.status == SUCCESS, "not stopped");
    Calls::of_relay(requests.relay).expect(run, "completion target-done")?;
    requests.delete(run, 1)?;
    run.close(requests.relay)?;
    run.close(requests.nic)
}

/// The NIC is pulled out under traffic. NetAdapterCx takes the packet queues down on a thread of its own, for which D0Exit
/// does not wait: here EvtCancel comes after it.
fn nic_gone_before_cancel(run: &mut Run) -> Result<()> {
    const WINDOW: &str = "ndis.pause.filters-paused";
    run.facts.device_given_up = true;
    run.load()?;
    run.hold(WIRE)?;
    run.send(200)?;
    run.await_device(TX, "all on the hardware", |tx| tx.available + tx.fetched == 200)?;
    let removing = run.hold_at(WINDOW, Run::begin_surprise_removal_of_nic)?;
    run.await_callback("EvtDeviceD0Exit")?;
    run.release_window(WINDOW)?;
    run.finish_removal_of_nic(&removing)?;
    nothing_is_kept(run)
}

/// As above, but that the queues are waiting for the device when D0Exit comes: nothing of it will ever wake them.
fn nic_gone_in_cancel(run: &mut Run) -> Result<()> {
    const WINDOW: &str = "wdf.power.holding";
    run.facts.device_given_up = true;
    run.load()?;
    one_of_ten_off_the_wire(run)?;
    let removing = run.hold_at(WINDOW, Run::begin_surprise_removal_of_nic)?;
    run.await_device(TX, "CANCELLING", |tx| tx.state == State::Cancelling)?;
    run.release_window(WINDOW)?;
    run.finish_removal_of_nic(&removing)?;
    nothing_is_kept(run)
}

fn nothing_is_kept(run: &mut Run) -> Result<()> {
    run.await_guest("nothing kept", |tx, rx| tx.outstanding.is_empty() && rx.held == 0)
}

/// A file is closed with requests under way, one cancelable, one not, one passed on.
fn close_with_requests(run: &mut Run) -> Result<()> {
    run.load()?;
    let requests = run.open_requests()?;
    let passed = pass_one(run, requests)?;
    run.close(requests.relay)?;
    let status = run.finish_control(&passed)?.status;
    run.expect("status of the passed one", status, CANCELLED)?;
    Calls::of_nic(requests.nic).expect(run, "presented marked cancel-callback completing")?;
    let other = run.open_nic()?;
    let cancelable = wait_settled(run, other, 1, behaviour::CANCELABLE, "presented marked")?;
    let queued = wait_settled(run, other, 3, behaviour::SECOND_QUEUE, "presented forwarded")?;
    let kept = wait(run, other, 2, behaviour::NOT_CANCELABLE)?;
    await_waiting(run, requests.nic, 2)?;
    let third = requests.queue(run, queue::SECOND, bench::action::NONE)?;
    run.expect("in the second queue", third.queued, 1)?;
    run.close(other)?;
    for waiting in [&cancelable, &kept, &queued] {
        let status = run.finish_control(waiting)?.status;
        run.expect("status", status, CANCELLED)?;
    }
    run.close(requests.nic)
}

/// The NIC loses power with requests waiting that came after its queues had stopped, and gets it back.
fn nic_power(run: &mut Run) -> Result<()> {
    run.load()?;
    let nic = run.open_nic()?;
    run.pause()?;
    let calls = Calls::of_nic(nic);
    calls.expect(run, "cancel-event cancel-event")?;
    let waiting = wait_settled(run, nic, 1, behaviour::CANCELABLE, "presented marked")?;
    run.power_down()?;
    let late = wait(run, nic, 2, behaviour::CANCELABLE)?;
    calls.expect(run, "stop acknowledging")?;
    run.power_up()?;
    calls.expect(run, "resume presented marked")?;
    run.pause()?;
    for waiting in [&waiting, &late] {
        let status = run.finish_control(waiting)?.status;
        run.expect("status", status, SUCCESS)?;
    }
    run.close(nic)
}

/// The driver that ships waits and counts, and refuses what only its test bench does.
fn shipped(run: &mut Run) -> Result<()> {
    const UNKNOWN: u32 = 0xC000_0010;
    const PARAMETER: u32 = 0xC000_000D;

    run.load()?;
    let nic = run.open_nic()?;
    let room = size_of::<CancelEvent>() as u32;
    for (code, input) in [
        (bench::MARK, bench::Mark::new(1, true).as_bytes()),
        (bench::COMPLETE, bench::Complete::new(1, SUCCESS).as_bytes()),
        (bench::FORWARD, bench::Forward::new(1, queue::SECOND).as_bytes()),
        (bench::RETRIEVE, bench::Retrieve::new(queue::SECOND, 0).as_bytes()),
        (bench::QUEUE, bench::QueueAction::new(queue::WAIT, 0).as_bytes()),
        (SET_MUTANT, SetMutant::new(Mutant::CompletesRequestTwice.number()).as_bytes()),
    ] {
        let status = run.control("a code of the test bench", nic, code, input, room)?.status;
        run.expect("status", status, UNKNOWN)?;
    }
    for other in 1..=behaviour::LAST {
        let wait = nic::Wait::new(1, other);
        let status =
            run.control("a behaviour of the test bench", nic, nic::WAIT, wait.as_bytes(), room)?.status;
        run.expect("status", status, PARAMETER)?;
    }
    await_waiting(run, nic, 0)?;
    run.close(nic)
}

fn bench_without_watchdog(settings: &mut Settings) {
    no_watchdog(settings);
    settings.bench = true;
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        good(
            "queue-cancel-tells-those-who-wait",
            "programs that wait are told when EvtCancel has done its work, with its counts",
            bench_without_watchdog,
            cancel_event,
        )
        .needs(&[Need::Pause]),
        usual(
            "bench-is-not-shipped",
            "the shipped NIC driver refuses every code and behaviour of the test bench, and mutants",
            shipped,
        ),
        usual(
            "request-cancelled-by-its-program",
            "a program's CancelIoEx reaches its request through the relay's sent request",
            program_cancels,
        ),
        usual(
            "relay-power-down-with-a-request-pending",
            "the relay loses power with a passed request under way, and gets it back",
            power,
        )
        .needs(&[Need::Sleep]),
        usual(
            "relay-removal-with-a-request-pending",
            "the relay is removed with a passed request under way, which is recalled",
            removal,
        ),
        usual(
            "nic-power-down-with-requests-pending",
            "the NIC loses power with requests waiting at it, and gets it back",
            nic_power,
        )
        .needs(&[Need::Pause, Need::Sleep]),
        on_bench(
            "nic-surprise-removal-with-requests-pending",
            "the NIC is pulled out with requests of four kinds under way: each ends",
            nic_gone,
        )
        .needs(&[Need::Pause, Need::Surprise]),
        usual(
            "nic-surprise-removal-before-its-queues-are-cancelled",
            "the NIC is pulled out under traffic: EvtCancel comes after D0Exit",
            nic_gone_before_cancel,
        )
        .needs(&[Need::HoldPoints, Need::Fates, Need::Surprise]),
        good(
            "nic-surprise-removal-while-its-queues-are-cancelled",
            "the NIC is pulled out while its queues wait for the device in a cancel",
            no_watchdog,
            nic_gone_in_cancel,
        )
        .needs(&[Need::HoldPoints, Need::Fates, Need::Surprise]),
        on_bench(
            "target-stop-waits-for-the-completion-routine",
            "a target's stop waits for the completion routine of the last request",
            stop_waits,
        ),
        on_bench(
            "file-closed-with-requests-outstanding",
            "closing a file ends its requests: cancelable, not cancelable, passed on",
            close_with_requests,
        ),
    ]
}
