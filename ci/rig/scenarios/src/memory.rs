//! Every allocation of a driver fails in turn: whatever the driver was at, it reports that there is no memory, leaves
//! nothing behind, and the next life of all drivers is whole.

use crate::scenario::{Scenario, usual};
use anyhow::{Result, bail, ensure};
use cancelnic_ioctl::Header;
use cancelnic_ioctl::nic::behaviour;
use cancelnic_ioctl::relay::{self, Outcome, Send, Slot, target};
use lab::base::files::NIC;
use lab::guest::need::Need;
use lab::run::Run;
use lab::run::filter::FILTER;
use lab::run::memory::Failed;
use lab::run::programs::File;
use lab::run::requests::{RELAY, Requests};
use zerocopy::{Immutable, IntoBytes};

/// More allocations than a life has.
const MOST: u32 = 400;
/// Frames that are sent at a time.
const FRAMES: u32 = 8;

fn traffic(run: &mut Run) -> Result<Failed> {
    run.look()?;
    let (sent, received) = (run.facts.tx.sent.len(), run.facts.rx.received.len());
    let failed = run.try_send(FRAMES)?;
    if failed.is_none() {
        let more = u64::from(FRAMES);
        run.await_traffic("frames sent and received", sent + more, received + more)?;
    }
    Ok(failed)
}

fn stop_and_start(run: &mut Run) -> Result<Failed> {
    run.pause()?;
    run.restart()?;
    Ok(None)
}

/// Sends of the filter's own.
fn own_sends(run: &mut Run) -> Result<Failed> {
    let filter = run.open_filter()?;
    run.look()?;
    let sent = run.facts.tx.sent.len();
    let status = filter.try_send(run, FRAMES)?;
    if status == 0 {
        run.await_sent("own frames sent", sent + u64::from(FRAMES))?;
    }
    run.close(filter.file)?;
    Ok((status != 0).then(|| format!("filter: send: status {status:#010x}")))
}

/// A request of the relay's slot; the reason, if it was not successful.
fn ask(
    run: &mut Run,
    relay: File,
    what: &str,
    code: u32,
    input: &(impl IntoBytes + Immutable),
) -> Result<Failed> {
    let what = format!("relay: {what}");
    let answer = run.control(&what, relay, code, input.as_bytes(), size_of::<Outcome>() as u32)?;
    Ok((answer.status != 0).then(|| format!("{what}: status {:#010x}", answer.status)))
}

/// A request that the relay makes, sends, recalls and deletes.
fn recall(run: &mut Run) -> Result<Failed> {
    let slot = Slot::new(0);
    let send = Send {
        header: Header::of::<Send>(),
        routine: 1,
        tag: 1,
        behaviour: behaviour::CANCELABLE,
        ..Send::default()
    };
    let requests = Requests { nic: run.open_nic()?, relay: run.open_relay()? };
    let opened = requests.target(run, target::OPEN)?;
    let mut failed = (opened.status != 0).then(|| format!("WdfIoTargetOpen: {:#010x}", opened.status));
    if failed.is_none() {
        failed = ask(run, requests.relay, "create a request", relay::CREATE, &slot)?;
        if failed.is_none() {
            failed = ask(run, requests.relay, "send it", relay::SEND, &send)?;
            if failed.is_none() {
                failed = ask(run, requests.relay, "recall it", relay::CANCEL, &slot)?;
            }
            let deleted = ask(run, requests.relay, "delete it", relay::DELETE, &slot)?;
            failed = failed.or(deleted);
        }
        requests.target(run, target::CLOSE)?;
    }
    requests.close(run)?;
    Ok(failed)
}

/// One life of all drivers; what failed in it. After a failure all goes on that still can.
fn life(run: &mut Run) -> Result<Vec<String>> {
    if let Some(why) = run.try_load()? {
        return Ok(vec![why]);
    }
    let mut failed = Vec::new();
    for act in [traffic, stop_and_start, traffic, own_sends, recall] {
        failed.extend(act(run)?);
    }
    run.power_down()?;
    match run.try_power_up()? {
        None => failed.extend(traffic(run)?),
        why => failed.extend(why),
    }
    run.unload()?;
    Ok(failed)
}

/// Lives of which in the first the driver's first allocation fails, in the second its second, until none is left.
fn sweep(run: &mut Run, service: &str) -> Result<()> {
    for after in 0..MOST {
        let before = run.failed_allocations().len();
        run.fail_allocation(service, after)?;
        let failed = life(run)?;
        let Some(what) = run.failed_allocations().into_iter().nth(before) else {
            run.expect("what fails with memory", failed, Vec::new())?;
            ensure!(after > 0, "no allocation of {service} was seen");
            return Ok(());
        };
        run.step(what, |_| match failed.is_empty() {
            true => bail!("nobody was told of it"),
            false => Ok(((), failed.join("; "))),
        })?;
    }
    bail!("{service} has more than {MOST} allocations")
}

fn without_memory(
    name: &'static str,
    description: &'static str,
    body: fn(&mut Run) -> Result<()>,
) -> Scenario {
    usual(name, description, body).needs(&[Need::NoMemory])
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        without_memory(
            "without-memory-cancelnic",
            "every allocation of cancelnic.sys fails in turn, from its load to its unload",
            |run| sweep(run, NIC),
        ),
        without_memory(
            "without-memory-cancelnic-lwf",
            "every allocation of cancelnic-lwf.sys fails in turn, from its load to its unload",
            |run| sweep(run, FILTER),
        ),
        without_memory(
            "without-memory-cancelnic-relay",
            "every allocation of cancelnic-relay.sys fails in turn, from its load to its unload",
            |run| sweep(run, RELAY),
        ),
    ]
}
