//! Inputs that are not as they should be: each is refused with its status, and nothing is done.

use crate::scenario::{Scenario, on_bench};
use anyhow::Result;
use cancelnic_ioctl::bench::{self, Forward, Mark, QueueAction, Retrieve, queue};
use cancelnic_ioctl::nic::{self, Wait, behaviour};
use cancelnic_ioctl::relay::{self, Pass, Send, Slot, Target, option, target, way};
use cancelnic_ioctl::{Header, SET_MUTANT, log};
use lab::run::Run;
use lab::run::programs::File;
use zerocopy::IntoBytes;

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
    let send = Send::waiting(behaviour::CANCELABLE);
    let pass =
        Pass { header: Header::of::<Pass>(), slot: 0, options: 0, timeout: 0, routine: 1, way: way::NIC };
    let codes: Vec<(File, u32, Vec<u8>)> = vec![
        (nic, nic::WAIT, Wait::new(1, 0).as_bytes().to_vec()),
        (nic, bench::MARK, Mark::new(1, true).as_bytes().to_vec()),
        (nic, bench::COMPLETE, bench::Complete::new(1, 0).as_bytes().to_vec()),
        (nic, bench::FORWARD, Forward::new(1, queue::SECOND).as_bytes().to_vec()),
        (nic, bench::RETRIEVE, Retrieve::new(queue::SECOND, 0).as_bytes().to_vec()),
        (nic, bench::QUEUE, QueueAction::new(queue::WAIT, 0).as_bytes().to_vec()),
        (relay, relay::TARGET, Target::new(way::NIC, 0).as_bytes().to_vec()),
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
    let mut out_of_range: Vec<(File, u32, Vec<u8>)> = vec![
        (nic, nic::WAIT, Wait::new(1, behaviour::LAST + 1).as_bytes().to_vec()),
        (nic, bench::FORWARD, Forward::new(1, queue::CONTROL).as_bytes().to_vec()),
        (nic, bench::RETRIEVE, Retrieve::new(queue::WAIT, 0).as_bytes().to_vec()),
        (nic, bench::RETRIEVE, Retrieve::new(queue::SECOND, behaviour::THIRD_QUEUE).as_bytes().to_vec()),
        (nic, bench::QUEUE, QueueAction::new(queue::CONTROL, 0).as_bytes().to_vec()),
        (nic, bench::QUEUE, QueueAction::new(queue::WAIT, bench::action::LAST + 1).as_bytes().to_vec()),
        (relay, relay::TARGET, Target::new(way::NIC, target::LAST + 1).as_bytes().to_vec()),
        (relay, relay::CREATE, Slot::new(relay::SLOTS).as_bytes().to_vec()),
        (relay, relay::STATE, Slot::new(u32::MAX).as_bytes().to_vec()),
        (relay, relay::TARGET, Target::new(way::BELOW + 1, target::NONE).as_bytes().to_vec()),
        (relay, relay::TARGET, Target::new(way::BELOW, target::OPEN).as_bytes().to_vec()),
        (relay, relay::TARGET, Target::new(way::BELOW, target::CLOSE).as_bytes().to_vec()),
        (relay, relay::SEND, Send { options: 16, ..send }.as_bytes().to_vec()),
        (relay, relay::SEND, Send { way: way::BELOW + 1, ..send }.as_bytes().to_vec()),
        (relay, relay::SEND, Send { options: option::TIMEOUT, timeout: 1, ..send }.as_bytes().to_vec()),
        (relay, relay::PASS, Pass { way: way::BELOW + 1, ..pass }.as_bytes().to_vec()),
        (relay, relay::PASS, Pass { options: option::TIMEOUT, timeout: 1, ..pass }.as_bytes().to_vec()),
        (nic, bench::MARK, Mark { ex: 2, ..Mark::new(1, true) }.as_bytes().to_vec()),
        (relay, relay::SEND, Send { routine: 2, ..send }.as_bytes().to_vec()),
        (relay, relay::PASS, Pass { slot: relay::SLOTS, ..pass }.as_bytes().to_vec()),
    ];
    for code in [relay::CREATE, relay::CANCEL, relay::REUSE, relay::DELETE, relay::STATE] {
        out_of_range.push((relay, code, Slot { reserved: 1, ..Slot::new(0) }.as_bytes().to_vec()));
    }
    for (file, code, input) in &out_of_range {
        refused(run, *file, *code, input, 256, PARAMETER)?;
    }
    for (file, codes) in
        [(nic, [0, !3, SET_MUTANT, relay::SEND]), (relay, [0, !3, SET_MUTANT, nic::WAIT | 3 << 24])]
    {
        for code in codes {
            refused(run, file, code, &[], 256, UNKNOWN)?;
        }
    }
    for (file, code) in [(nic, nic::LOG), (relay, relay::LOG), (nic, nic::COUNTERS), (nic, nic::RINGS)] {
        refused(run, file, code, &[], size_of::<log::LogAnswer>() as u32 - 1, TOO_SMALL)?;
    }
    // the same functions by another transfer method are other codes, and nobody looks at their buffers
    for (file, code) in codes.iter().map(|(file, code, _)| (*file, *code)).chain([(nic, nic::COUNTERS)]) {
        for method in 1..=3 {
            refused(run, file, code | method, &[0; 16], 256, UNKNOWN)?;
        }
    }
    let log = requests.log(run)?;
    run.expect("nothing was done", log.len(), 0)?;
    requests.close(run)
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

pub(crate) fn all() -> Vec<Scenario> {
    vec![on_bench(
        "malformed-requests-are-refused",
        "control requests of every wrong length, version and value are refused and change nothing",
        malformed,
    )]
}
