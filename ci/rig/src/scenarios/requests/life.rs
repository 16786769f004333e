//! Requests and the life of devices and files around them.

use super::super::{Scenario, good, no_watchdog, usual};
use super::{CANCELLED, SUCCESS};
use crate::run::programs::{Controlling, File};
use crate::run::requests::{RELAY, Requests, read_log};
use crate::run::{Run, WIRE};
use crate::settings::NIC;
use anyhow::{Context, Result, ensure};
use cancelnic_ioctl::nic::{
    self, CancelEvent, Counters, Forward, Mark, QueueAction, Retrieve, RingSnapshot, Wait, behaviour, queue,
};
use cancelnic_ioctl::relay::{self, Pass, Send, Slot, Target, target};
use cancelnic_ioctl::{Header, log};
use zerocopy::{FromBytes, IntoBytes};

/// A program waits for a cancel event, at the NIC or through the relay.
fn wait(run: &mut Run, file: File, tag: u32, behaviour: u32) -> Result<Controlling> {
    let room = size_of::<CancelEvent>() as u32;
    run.begin_control("wait for a cancel event", file, nic::WAIT, Wait::new(tag, behaviour).as_bytes(), room)
}

fn counters(run: &mut Run, nic: File) -> Result<Counters> {
    let answer = run.control("NIC: counters", nic, nic::COUNTERS, &[], size_of::<Counters>() as u32)?;
    Counters::read_from_bytes(&answer.output).ok().context("the counters have another length")
}

/// Waits until as many requests wait at the NIC.
fn await_waiting(run: &mut Run, nic: File, wanted: u64) -> Result<()> {
    let deadline = std::time::Instant::now() + crate::session::LIMIT;
    while counters(run, nic)?.waiting != wanted {
        ensure!(std::time::Instant::now() < deadline, "never as many as {wanted} requests waited");
        std::thread::park_timeout(super::super::PERIOD);
    }
    Ok(())
}

fn words(run: &mut Run, driver: &'static str, file: File, code: u32) -> Result<String> {
    let log = read_log(run, driver, file, code)?;
    Ok(log.iter().map(|logged| logged.what()).collect::<Vec<_>>().join(" "))
}

/// Whoever waits is told when a packet queue's EvtCancel has done its work, with the books of that moment.
fn cancel_event(run: &mut Run) -> Result<()> {
    run.load()?;
    let nic = run.open_nic()?;
    let first = wait(run, nic, 1, behaviour::CANCELABLE)?;
    let second = wait(run, nic, 2, behaviour::NOT_CANCELABLE)?;
    await_waiting(run, nic, 2)?;
    run.hold(WIRE)?;
    run.send(10)?;
    run.await_device("tx0", "10 on the hardware", |tx| tx.available + tx.fetched + tx.on_wire == 10)?;
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
    let waiting = wait(run, nic, 1, behaviour::CANCELABLE)?;
    await_waiting(run, nic, 1)?;
    let ran = run.cancel_control(&waiting)?;
    run.expect("a cancel routine ran", ran, true)?;
    let status = run.finish_control(&waiting)?.status;
    run.expect("status", status, CANCELLED)?;
    run.close(nic)
}

/// The relay's device loses power with a passed request under way, and gets it back.
pub fn power(run: &mut Run) -> Result<()> {
    run.load()?;
    let requests = run.open_requests()?;
    let waiting = pass_one(run, requests)?;
    requests.log(run)?;
    run.power(RELAY, false)?;
    let seen = words(run, RELAY, requests.relay, relay::LOG)?;
    run.expect("calls without power", seen.as_str(), "stop acknowledging")?;
    let state = requests.target(run, target::NONE)?.state;
    if state != 2 {
        return Err(run.found("TargetRunsWithoutPower", "EvtDeviceD0Exit", format!("target state {state}")));
    }
    run.power(RELAY, true)?;
    let seen = words(run, RELAY, requests.relay, relay::LOG)?;
    run.expect("calls with power again", seen.as_str(), "target target-done resume")?;
    let outcome = requests.cancel(run, SLOT)?;
    run.expect("the recall", outcome.returned, 1)?;
    let status = run.finish_control(&waiting)?.status;
    run.expect("status", status, CANCELLED)?;
    close(run, requests)
}

/// Slot of the passed requests here.
const SLOT: u32 = 5;

fn close(run: &mut Run, requests: Requests) -> Result<()> {
    run.close(requests.relay)?;
    run.close(requests.nic)
}

/// Passes a program's request on, cancelable, and waits until it waits.
fn pass_one(run: &mut Run, requests: Requests) -> Result<Controlling> {
    requests.pass(run, SLOT, 0, true)?;
    let waiting = wait(run, requests.relay, 9, behaviour::CANCELABLE)?;
    await_waiting(run, requests.nic, 1)?;
    // the relay has seen its send return: everything on the way down is over
    await_sent(run, requests)?;
    Ok(waiting)
}

fn await_sent(run: &mut Run, requests: Requests) -> Result<()> {
    let deadline = std::time::Instant::now() + crate::session::LIMIT;
    while !words(run, RELAY, requests.relay, relay::LOG)?.contains("sent") {
        ensure!(std::time::Instant::now() < deadline, "the relay's send has not returned");
        std::thread::park_timeout(super::super::PERIOD);
    }
    Ok(())
}

/// The relay's device is removed with a passed request under way: EvtIoStop(Purge) recalls it.
pub fn removal(run: &mut Run) -> Result<()> {
    run.load()?;
    let requests = run.open_requests()?;
    let waiting = pass_one(run, requests)?;
    run.remove(RELAY, false)?;
    let status = run.finish_control(&waiting)?.status;
    run.expect("status", status, CANCELLED)?;
    let seen = words(run, NIC, requests.nic, nic::LOG)?;
    run.expect("calls at the NIC", seen.as_str(), "presented marked cancel-callback completing cleanup")?;
    run.close(requests.nic)
}

/// A file is closed with requests under way, one cancelable, one not, one passed on.
fn close_with_requests(run: &mut Run) -> Result<()> {
    run.load()?;
    let requests = run.open_requests()?;
    let passed = pass_one(run, requests)?;
    run.close(requests.relay)?;
    let status = run.finish_control(&passed)?.status;
    run.expect("status of the passed one", status, CANCELLED)?;
    let other = run.open_nic()?;
    let cancelable = wait(run, other, 1, behaviour::CANCELABLE)?;
    let kept = wait(run, other, 2, behaviour::NOT_CANCELABLE)?;
    let queued = wait(run, other, 3, behaviour::SECOND_QUEUE)?;
    await_waiting(run, requests.nic, 2)?;
    let third = requests.queue(run, queue::SECOND, nic::action::NONE)?;
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
    let waiting = wait(run, nic, 1, behaviour::CANCELABLE)?;
    await_waiting(run, nic, 1)?;
    words(run, NIC, nic, nic::LOG)?;
    run.power_down()?;
    let late = wait(run, nic, 2, behaviour::CANCELABLE)?;
    let seen = words(run, NIC, nic, nic::LOG)?;
    run.expect("calls without power", seen.as_str(), "stop acknowledging")?;
    run.power_up()?;
    await_waiting(run, nic, 2)?;
    let seen = words(run, NIC, nic, nic::LOG)?;
    run.expect("calls with power again", seen.as_str(), "resume presented marked")?;
    run.pause()?;
    for waiting in [&waiting, &late] {
        let status = run.finish_control(waiting)?.status;
        run.expect("status", status, SUCCESS)?;
    }
    run.close(nic)
}

/// Every code with every length but the right one, wrong versions and sizes, and values out of range: refused, and
/// nothing is changed.
fn malformed(run: &mut Run) -> Result<()> {
    const LENGTH: u32 = 0xC000_0004;
    const REVISION: u32 = 0xC000_0059;
    const PARAMETER: u32 = 0xC000_000D;
    const TOO_SMALL: u32 = 0xC000_0023;
    const UNKNOWN: u32 = 0xC000_0010;

    run.load()?;
    let requests = run.open_requests()?;
    let (nic, relay) = (requests.nic, requests.relay);
    requests.log(run)?;
    let header = Header::of::<Send>();
    let send =
        Send { header, slot: 0, options: 0, timeout: 0, routine: 1, reserved: 0, tag: 1, behaviour: 0 };
    let pass =
        Pass { header: Header::of::<Pass>(), slot: 0, options: 0, timeout: 0, routine: 1, reserved: 0 };
    let codes: Vec<(File, u32, Vec<u8>)> = vec![
        (nic, nic::WAIT, Wait::new(1, 0).as_bytes().to_vec()),
        (nic, nic::MARK, Mark::new(1, true).as_bytes().to_vec()),
        (nic, nic::COMPLETE, nic::Complete::new(1, 0).as_bytes().to_vec()),
        (nic, nic::FORWARD, Forward::new(1, queue::SECOND).as_bytes().to_vec()),
        (nic, nic::RETRIEVE, Retrieve::new(queue::SECOND, 0).as_bytes().to_vec()),
        (nic, nic::QUEUE, QueueAction::new(queue::WAIT, 0).as_bytes().to_vec()),
        (relay, relay::TARGET, Target::new(0).as_bytes().to_vec()),
        (relay, relay::CREATE, Slot::new(0).as_bytes().to_vec()),
        (relay, relay::SEND, send.as_bytes().to_vec()),
        (relay, relay::CANCEL, Slot::new(0).as_bytes().to_vec()),
        (relay, relay::REUSE, Slot::new(0).as_bytes().to_vec()),
        (relay, relay::DELETE, Slot::new(0).as_bytes().to_vec()),
        (relay, relay::STATE, Slot::new(0).as_bytes().to_vec()),
        (relay, relay::PASS, pass.as_bytes().to_vec()),
    ];
    for (file, code, good) in &codes {
        for length in [0, 1, 7, 8, good.len() - 1, good.len() + 1] {
            let mut input = good.clone();
            input.resize(length, 0);
            refused(run, *file, *code, &input, 256, LENGTH)?;
        }
        for (at, status) in [(0, REVISION), (4, PARAMETER)] {
            let mut input = good.clone();
            input[at] ^= 1;
            refused(run, *file, *code, &input, 256, status)?;
        }
        if *code != relay::PASS {
            refused(run, *file, *code, good, 3, TOO_SMALL)?;
        }
    }
    let out_of_range: Vec<(File, u32, Vec<u8>)> = vec![
        (nic, nic::WAIT, Wait::new(1, behaviour::LAST + 1).as_bytes().to_vec()),
        (nic, nic::FORWARD, Forward::new(1, queue::CONTROL).as_bytes().to_vec()),
        (nic, nic::RETRIEVE, Retrieve::new(queue::WAIT, 0).as_bytes().to_vec()),
        (nic, nic::RETRIEVE, Retrieve::new(queue::SECOND, behaviour::THIRD_QUEUE).as_bytes().to_vec()),
        (nic, nic::QUEUE, QueueAction::new(queue::CONTROL, 0).as_bytes().to_vec()),
        (nic, nic::QUEUE, QueueAction::new(queue::WAIT, nic::action::LAST + 1).as_bytes().to_vec()),
        (relay, relay::TARGET, Target::new(target::LAST + 1).as_bytes().to_vec()),
        (relay, relay::CREATE, Slot::new(relay::SLOTS).as_bytes().to_vec()),
        (relay, relay::STATE, Slot::new(u32::MAX).as_bytes().to_vec()),
        (relay, relay::SEND, Send { options: 16, ..send }.as_bytes().to_vec()),
        (relay, relay::SEND, Send { routine: 2, ..send }.as_bytes().to_vec()),
        (relay, relay::PASS, Pass { slot: relay::SLOTS, ..pass }.as_bytes().to_vec()),
    ];
    for (file, code, input) in &out_of_range {
        refused(run, *file, *code, input, 256, PARAMETER)?;
    }
    for (file, codes) in [
        (nic, [0, !3, nic::SET_MUTANT, relay::SEND]),
        (relay, [0, !3, relay::SET_MUTANT, nic::WAIT | 3 << 24]),
    ] {
        for code in codes {
            refused(run, file, code, &[], 256, UNKNOWN)?;
        }
    }
    for (file, code) in [(nic, nic::LOG), (relay, relay::LOG), (nic, nic::COUNTERS), (nic, nic::RINGS)] {
        refused(run, file, code, &[], size_of::<log::LogAnswer>() as u32 - 1, TOO_SMALL)?;
    }
    let log = requests.log(run)?;
    run.expect("nothing was done", log.len(), 0)?;
    close(run, requests)
}

fn refused(run: &mut Run, file: File, code: u32, input: &[u8], output: u32, status: u32) -> Result<()> {
    let what = format!("code {code:#010x} with {} bytes for {output}", input.len());
    let answer = run.control(&what, file, code, input, output)?;
    if answer.status == status {
        return Ok(());
    }
    let place = format!("{what}: {:#010x} instead of {status:#010x}", answer.status);
    Err(run.found("MalformedRequestTaken", "EvtIoDeviceControl", place))
}

pub fn all() -> Vec<Scenario> {
    vec![
        good("queue-cancel-tells-those-who-wait", no_watchdog, cancel_event),
        usual("request-cancelled-by-its-program", program_cancels),
        usual("relay-power-down-with-a-request-pending", power),
        usual("relay-removal-with-a-request-pending", removal),
        usual("nic-power-down-with-requests-pending", nic_power),
        usual("file-closed-with-requests-outstanding", close_with_requests),
        usual("malformed-requests-are-refused", malformed),
    ]
}
