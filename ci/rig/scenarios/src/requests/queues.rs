//! Manual queues: requests that the driver fetches, gives back, and is told of; and an answer written straight into a
//! program's buffer.

use super::status::{CANCELLED, INVALID_DEVICE_REQUEST, SUCCESS};
use super::waiting::{Calls, await_waiting, wait, wait_settled};
use crate::scenario::{Scenario, on_bench};
use anyhow::{Context, Result, ensure};
use cancelnic_ioctl::bench::{QueueState, action, queue};
use cancelnic_ioctl::log::{LOG_RECORDS, LogAnswer, Record, event};
use cancelnic_ioctl::nic::{self, CancelEvent, behaviour};
use cancelnic_ioctl::relay::{Outcome, Send};
use lab::guest::need::Need;
use lab::run::Run;
use lab::run::programs::Controlling;
use lab::run::requests::Requests;
use zerocopy::FromBytes;

const NO_MORE_ENTRIES: u32 = 0x8000_001A;
const WDF_PAUSED: u32 = 0xC020_0203;
const WDF_BUSY: u32 = 0xC020_0204;

fn expect_calls(run: &mut Run, requests: Requests, expected: &str) -> Result<()> {
    Calls::of_nic(requests.nic).expect(run, expected)
}

fn state(run: &mut Run, requests: Requests, of: u32) -> Result<QueueState> {
    requests.queue(run, of, action::NONE)
}

fn retrieve(run: &mut Run, requests: Requests, expected: u32) -> Result<()> {
    let status = requests.retrieve(run, queue::SECOND, behaviour::NOT_CANCELABLE)?;
    run.expect("retrieve", status, expected)
}

/// Tags of the requests that the driver has been given since the last look.
fn presented(run: &mut Run, requests: Requests) -> Result<Vec<u32>> {
    let log = requests.log(run)?;
    let presented = log.iter().filter(|one| one.record.event == event::PRESENTED);
    Ok(presented.map(|one| one.record.tag).collect())
}

fn ended(run: &mut Run, program: &Controlling, status: u32) -> Result<()> {
    let seen = run.finish_control(program)?.status;
    run.expect("the program's status", seen, status)
}

fn ready(run: &mut Run) -> Result<Requests> {
    run.load()?;
    run.open_requests()
}

/// What is given back goes to the head, so that nothing is reordered; from a stopped queue nothing is fetched; what
/// was cancelled meanwhile ends when it is given back.
fn requeued(run: &mut Run) -> Result<()> {
    let requests = ready(run)?;
    let first = wait_settled(run, requests.nic, 1, behaviour::SECOND_QUEUE, "presented forwarded")?;
    let second = wait_settled(run, requests.nic, 2, behaviour::SECOND_QUEUE, "presented forwarded")?;
    retrieve(run, requests, SUCCESS)?;
    let status = requests.forward(run, 1, queue::SECOND)?;
    run.expect("requeue", status, SUCCESS)?;
    retrieve(run, requests, SUCCESS)?;
    retrieve(run, requests, SUCCESS)?;
    retrieve(run, requests, NO_MORE_ENTRIES)?;
    let tags = presented(run, requests)?;
    run.expect("in the order of their coming", tags, vec![1, 1, 2])?;

    requests.queue(run, queue::SECOND, action::STOP)?;
    let status = requests.forward(run, 2, queue::SECOND)?;
    run.expect("requeue to the stopped queue", status, SUCCESS)?;
    retrieve(run, requests, WDF_PAUSED)?;
    let seen = state(run, requests, queue::SECOND)?;
    run.expect("[queued, owned]", [seen.queued, seen.owned], [1, 1])?;
    requests.queue(run, queue::SECOND, action::START)?;
    let status = requests.retrieve(run, queue::SECOND, behaviour::AT_ONCE)?;
    run.expect("retrieve", status, SUCCESS)?;
    ended(run, &second, SUCCESS)?;

    let ran = run.cancel_control(&first)?;
    run.expect("a cancel routine ran", ran, false)?;
    presented(run, requests)?;
    let status = requests.forward(run, 1, queue::SECOND)?;
    run.expect("requeue of what was cancelled", status, SUCCESS)?;
    ended(run, &first, CANCELLED)?;
    expect_calls(run, requests, "requeued")?;

    // given back where the driver wants to hear of it, it is the driver's to complete
    let third = wait_settled(run, requests.nic, 3, behaviour::THIRD_QUEUE, "presented forwarded")?;
    let status = requests.retrieve(run, queue::THIRD, behaviour::NOT_CANCELABLE)?;
    run.expect("retrieve", status, SUCCESS)?;
    requests.forward(run, 3, queue::THIRD)?;
    presented(run, requests)?;
    let ran = run.cancel_control(&third)?;
    run.expect("a cancel routine ran", ran, true)?;
    ended(run, &third, CANCELLED)?;
    expect_calls(run, requests, "canceled-on-queue completing")?;
    requests.close(run)
}

/// Only a manual queue takes a request back; another one accepts what is forwarded, unless it is drained.
fn requeue_refused(run: &mut Run) -> Result<()> {
    let requests = ready(run)?;
    let program = wait(run, requests.nic, 1, behaviour::NOT_CANCELABLE)?;
    await_waiting(run, requests.nic, 1)?;
    let status = requests.forward(run, 1, queue::WAIT)?;
    run.expect("requeue to a parallel queue", status, INVALID_DEVICE_REQUEST)?;
    requests.queue(run, queue::SECOND, action::DRAIN)?;
    let status = requests.forward(run, 1, queue::SECOND)?;
    run.expect("forward to a drained queue", status, WDF_BUSY)?;
    requests.queue(run, queue::SECOND, action::START)?;
    let status = requests.forward(run, 1, queue::SECOND)?;
    run.expect("forward", status, SUCCESS)?;
    retrieve(run, requests, SUCCESS)?;
    presented(run, requests)?;
    let status = requests.forward(run, 1, queue::WAIT)?;
    run.expect("forward to the queue that presented it first", status, SUCCESS)?;
    expect_calls(run, requests, "presented forwarded")?;
    requests.complete(run, 1, SUCCESS)?;
    ended(run, &program, SUCCESS)?;
    requests.close(run)
}

fn notify(run: &mut Run, requests: Requests, of: u32, wanted: u32, expected: u32) -> Result<()> {
    let status = requests.queue(run, of, wanted)?.status;
    run.expect("WdfIoQueueReadyNotify", status, expected)
}

/// The driver is told of a manual queue's first request: when it comes, is given back, or is there when the queue
/// starts or gets power; not of later ones, not while the queue is stopped.
fn told_when_ready(run: &mut Run) -> Result<()> {
    let requests = ready(run)?;
    notify(run, requests, queue::WAIT, action::READY_NOTIFY, INVALID_DEVICE_REQUEST)?;
    notify(run, requests, queue::SECOND, action::READY_FORGET, INVALID_DEVICE_REQUEST)?;
    notify(run, requests, queue::SECOND, action::READY_NOTIFY, SUCCESS)?;
    notify(run, requests, queue::SECOND, action::READY_NOTIFY, INVALID_DEVICE_REQUEST)?;
    let first = wait_settled(run, requests.nic, 1, behaviour::SECOND_QUEUE, "presented ready forwarded")?;
    let second = wait_settled(run, requests.nic, 2, behaviour::SECOND_QUEUE, "presented forwarded")?;
    retrieve(run, requests, SUCCESS)?;
    retrieve(run, requests, SUCCESS)?;
    requests.forward(run, 2, queue::SECOND)?;
    expect_calls(run, requests, "presented presented ready requeued")?;
    notify(run, requests, queue::SECOND, action::READY_FORGET, INVALID_DEVICE_REQUEST)?;
    requests.queue(run, queue::SECOND, action::STOP)?;
    requests.forward(run, 1, queue::SECOND)?;
    expect_calls(run, requests, "requeued")?;
    requests.queue(run, queue::SECOND, action::START)?;
    expect_calls(run, requests, "ready")?;

    run.power_down()?;
    expect_calls(run, requests, "cancel-event cancel-event")?;
    run.power_up()?;
    expect_calls(run, requests, "ready")?;

    requests.queue(run, queue::SECOND, action::STOP)?;
    notify(run, requests, queue::SECOND, action::READY_FORGET, SUCCESS)?;
    requests.queue(run, queue::SECOND, action::START)?;
    expect_calls(run, requests, "")?;
    for program in [&first, &second] {
        let ran = run.cancel_control(program)?;
        run.expect("a cancel routine ran", ran, true)?;
        ended(run, program, CANCELLED)?;
    }
    requests.close(run)
}

/// The driver finds nothing to fetch, as a canceller has the only request in its hands; the next one, though not the
/// first on the queue, is told of, else nobody would ever fetch it.
fn told_behind_a_cancelled_one(run: &mut Run) -> Result<()> {
    const TAKEN: &str = "wdf.cancel.routine-taken";
    const SLOT: u32 = 1;
    let requests = ready(run)?;
    notify(run, requests, queue::SECOND, action::READY_NOTIFY, SUCCESS)?;
    requests.create(run, SLOT)?;
    let send = Send { slot: SLOT, tag: 1, ..Send::waiting(behaviour::SECOND_QUEUE) };
    ensure!(requests.send(run, &send)?.returned == 1, "not sent");
    expect_calls(run, requests, "presented ready forwarded")?;
    let recalling = run.hold_at(TAKEN, |run| requests.begin_cancel(run, SLOT))?;
    retrieve(run, requests, NO_MORE_ENTRIES)?;
    let program = wait_settled(run, requests.nic, 2, behaviour::SECOND_QUEUE, "presented ready forwarded")?;
    run.release_window(TAKEN)?;
    let recalled: Outcome = requests.finish(run, &recalling)?;
    run.expect("the recall", recalled.returned, 1)?;
    retrieve(run, requests, SUCCESS)?;
    requests.complete(run, 2, SUCCESS)?;
    ended(run, &program, SUCCESS)?;
    requests.close(run)
}

/// The log's records come straight into the program's buffer, and are those that the buffered code would have given.
fn direct(run: &mut Run) -> Result<()> {
    const TOO_SMALL: u32 = 0xC000_0023;
    let requests = ready(run)?;
    requests.log(run)?;
    let room = size_of::<CancelEvent>() as u32;
    let wait = nic::Wait::new(7, behaviour::AT_ONCE);
    let input = zerocopy::IntoBytes::as_bytes(&wait);
    run.control("an answer at once", requests.nic, nic::WAIT, input, room)?;
    let small = size_of::<LogAnswer>() as u32 - 1;
    for len in [0, small] {
        let answer = run.control("log, no room", requests.nic, nic::LOG_DIRECT, &[], len)?;
        run.expect("status", answer.status, TOO_SMALL)?;
    }
    let room = (size_of::<LogAnswer>() + LOG_RECORDS * size_of::<Record>()) as u32;
    let answer = run.control("log, direct", requests.nic, nic::LOG_DIRECT, &[], room)?;
    run.expect("status", answer.status, SUCCESS)?;
    let (head, rest) = LogAnswer::read_from_prefix(&answer.output).ok().context("no head")?;
    run.expect("records", head.count, 2)?;
    run.expect("bytes", rest.len(), 2 * size_of::<Record>())?;
    let record =
        |at: usize| Record::read_from_bytes(&rest[at * size_of::<Record>()..][..size_of::<Record>()]);
    let events = [0, 1].map(|at| record(at).map_or((0, 0), |record| (record.event, record.tag)));
    run.expect("events", events, [(event::PRESENTED, 7), (event::COMPLETING, 7)])?;
    let log = requests.log(run)?;
    run.expect("left for the buffered code", log.len(), 0)?;
    let answer = run.control("log, direct, through the relay", requests.relay, nic::LOG_DIRECT, &[], room)?;
    run.expect("[status, bytes]", (answer.status, answer.output.len()), (SUCCESS, size_of::<LogAnswer>()))?;
    requests.close(run)
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        on_bench(
            "manual-queue-retrieve-and-requeue",
            "requests are fetched from a manual queue, given back to its head, and not reordered",
            requeued,
        ),
        on_bench(
            "requeue-to-another-kind-of-queue",
            "only a manual queue takes a request back; others refuse it",
            requeue_refused,
        ),
        on_bench(
            "manual-queue-tells-when-ready",
            "a manual queue tells of its first request, and of no later one",
            told_when_ready,
        )
        .needs(&[Need::Sleep]),
        on_bench(
            "manual-queue-ready-behind-a-cancelled-request",
            "a manual queue tells of a request behind one that is being cancelled",
            told_behind_a_cancelled_one,
        )
        .needs(&[Need::HoldPoints]),
        on_bench(
            "direct-control-code",
            "a METHOD_OUT_DIRECT answer is written straight into the program's buffer",
            direct,
        ),
    ]
}
