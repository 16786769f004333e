//! The filter under requests that nobody chose: malformed ones, and ten thousand sends with cancels at random.

use super::filter::{A, B, C, holding, lists};
use super::{Scenario, usual};
use crate::run::Run;
use crate::run::filter::{Filter, select};
use crate::run::programs::Answer;
use anyhow::{Result, bail};
use cancelnic_ioctl::Header;
use cancelnic_ioctl::filter::{
    CANCEL, COUNTERS, Cancel, HELD, HOLD, RELEASE, Release, SEND, SET_MUTANT, Send,
};
use std::collections::BTreeMap;
use zerocopy::IntoBytes as _;

/// Numbers from a seed (SplitMix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// Below `end`, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// One request that must be refused so.
fn refused(run: &mut Run, filter: Filter, what: &str, code: u32, input: &[u8], status: u32) -> Result<()> {
    let Answer { status: seen, information, .. } = run.control(what, filter.file, code, input, 256)?;
    run.expect(&format!("refusal of: {what}"), (seen, information), (status, 0))
}

/// Length, version, size, reserved field, index and values of each request: whatever is wrong is refused and changes
/// nothing.
fn garbage(run: &mut Run) -> Result<()> {
    const LENGTH: u32 = 0xC000_0004;
    const VERSION: u32 = 0xC000_0059;
    const VALUE: u32 = 0xC000_000D;
    const NO_MODULE: u32 = 0xC000_00C0;
    const TOO_SMALL: u32 = 0xC000_0023;
    const NO_SUCH_CODE: u32 = 0xC000_0010;

    let filter = holding(run)?;
    run.send_marked(3, A)?;
    let send = Send { header: Header::of::<Send>(), module: 0, groups: 1, first: 1 << 40, count: 1, len: 60 };
    let release = Release { header: Header::of::<Release>(), module: 0, reserved: 0, count: 1 };
    let cancel = Cancel { header: Header::of::<Cancel>(), module: 0, reserved: 0, cancel_id: 1 << 60 };
    let requests = [
        (SEND, send.as_bytes().to_vec()),
        (HOLD, select().as_bytes().to_vec()),
        (RELEASE, release.as_bytes().to_vec()),
        (CANCEL, cancel.as_bytes().to_vec()),
        (COUNTERS, select().as_bytes().to_vec()),
        (HELD, select().as_bytes().to_vec()),
    ];
    for (code, good) in &requests {
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        for length in [0, 1, 7, 8, good.len() - 1] {
            refused(run, filter, &format!("{code:#x} cut to {length}"), *code, &good[..length], LENGTH)?;
        }
        refused(run, filter, &format!("{code:#x} too long"), *code, &[&good[..], &[0]].concat(), LENGTH)?;
        refused(run, filter, &format!("{code:#x} of version 2"), *code, &with(0, 2), VERSION)?;
        refused(run, filter, &format!("{code:#x} of another size"), *code, &with(4, 8), VALUE)?;
        // CANCEL looks at the ID first
        let status = if *code == CANCEL { VALUE } else { NO_MODULE };
        refused(run, filter, &format!("{code:#x} for module 7"), *code, &with(8, 7), status)?;
        if *code != SEND {
            refused(run, filter, &format!("{code:#x} with a reserved field"), *code, &with(12, 1), VALUE)?;
        }
    }
    for (what, wrong) in [
        ("too many subgroups", Send { groups: 9, ..send }),
        ("no frame", Send { count: 0, ..send }),
        ("too many frames", Send { count: 16_385, ..send }),
        ("a short frame", Send { len: 59, ..send }),
        ("a long frame", Send { len: 1515, ..send }),
        ("numbers beyond the last", Send { first: u64::MAX, ..send }),
    ] {
        refused(run, filter, what, SEND, wrong.as_bytes(), VALUE)?;
    }
    refused(run, filter, "a cancel of NULL", CANCEL, Cancel { cancel_id: 0, ..cancel }.as_bytes(), VALUE)?;
    refused(run, filter, "a release of none", RELEASE, Release { count: 0, ..release }.as_bytes(), VALUE)?;
    // The fault build alone has the last of these.
    for code in [COUNTERS + 0x400, COUNTERS ^ 1 << 16, 0, 0xFFFF_FFFC, SET_MUTANT] {
        refused(run, filter, &format!("code {code:#x}"), code, select().as_bytes(), NO_SUCH_CODE)?;
    }
    for (code, room) in [(COUNTERS, 143), (HELD, 23), (SEND, 71)] {
        let input = if code == SEND { send.as_bytes().to_vec() } else { select().as_bytes().to_vec() };
        let answer = run.control("an answer without room", filter.file, code, &input, room)?;
        run.expect("refusal", answer.status, TOO_SMALL)?;
    }

    let mut numbers = Numbers(run.facts.seed);
    for round in 0..200 {
        let (code, _) = requests[numbers.below(6) as usize];
        let length = numbers.below(48) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| numbers.next() as u8).collect();
        // half of them get past the header
        if round % 2 == 0 && length >= 8 {
            bytes[..8].copy_from_slice(&[1, 0, 0, 0, length as u8, 0, 0, 0]);
        }
        let room = numbers.below(200) as u32;
        let answer = run.control(&format!("noise {round}"), filter.file, code, &bytes, room)?;
        if answer.status < 0xC000_0000 {
            bail!("noise {round} for {code:#x} is taken: {bytes:02x?}");
        }
    }
    let counters = filter.counters(run)?;
    let seen =
        [counters.held_now, counters.own_originated, counters.cancel_calls, counters.gate_closed.into()];
    run.expect("nothing has changed: [held, own, cancels, gate]", seen, [3, 0, 0, 1])?;
    filter.release_all(run)?;
    run.await_guest("three sent", |tx, rx| tx.sent.len() == 3 && rx.received.len() == 3)?;
    run.close(filter.file)
}

/// Sends in all.
const SENDS: u64 = 10_000;

/// Sends, own and others', holds, releases and cancels from the seed; every list is accounted for.
fn ten_thousand(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    let mut numbers = Numbers(run.facts.seed ^ 0xF117);
    let ids = [0, A, B, C];
    // IDs of own frames that may still be held, and those of all that were ever given
    let mut own_ids: BTreeMap<u64, u64> = BTreeMap::new();
    let mut used: Vec<u64> = Vec::new();
    let (mut sent, mut own_sent, mut own_aborted) = (0, 0, 0);
    while sent < SENDS {
        match numbers.below(12) {
            0..=4 => {
                let count = 1 + numbers.below(64);
                run.send_marked(count as u32, ids[numbers.below(4) as usize])?;
                sent += count;
            }
            5..=6 => {
                let count = 1 + numbers.below(64);
                let own = filter.send(run, count as u32, numbers.below(5) as u32)?;
                own_ids.extend(own.numbers().map(|number| (number, own.id_of(number))));
                used.extend(&own.ids);
                (sent, own_sent) = (sent + count, own_sent + count);
            }
            7 => run.cancel_send(ids[numbers.below(4) as usize])?,
            8..=9 => {
                let Some(&id) = used.get(numbers.below(used.len().max(1) as u64) as usize) else { continue };
                let before = filter.held(run)?;
                filter.cancel(run, id)?;
                let hit = before.iter().filter(|list| list.own == 1 && list.cancel_id == id);
                let hit: Vec<u64> = hit.map(|list| list.number).collect();
                if hit.iter().any(|number| own_ids.get(number) != Some(&id)) {
                    bail!("a list is held under another ID than it was given: {before:x?}");
                }
                own_aborted += hit.len() as u64;
                filter.note_ended(run, hit);
            }
            10 => filter.hold(run)?,
            _ => {
                let count = 1 + numbers.below(96);
                if count > 80 { filter.release_all(run)? } else { filter.release(run, count)? }
            }
        }
        // one answer lists so many at most
        if filter.counters(run)?.held_now > 800 {
            filter.release_all(run)?;
        }
    }
    filter.release_all(run)?;
    let counters = filter.await_counters(run, "every own list back", |counters| {
        counters.own_outstanding == 0 && counters.passed_up == counters.passed_down && counters.held_now == 0
    })?;
    let seen = [counters.own_originated, counters.own_success, counters.own_aborted];
    run.expect("own [made, sent, aborted]", seen, [own_sent, own_sent - own_aborted, own_aborted])?;
    let lists = lists(run)?;
    let seen = [lists.success.len() + lists.aborted.len(), lists.outstanding.len(), lists.aborted.len()];
    run.expect("[all others, out, aborted]", seen, [sent - own_sent, 0, counters.cancelled])?;
    run.expect("aborted somewhat", !lists.aborted.is_empty() && own_aborted > 0, true)?;
    run.close(filter.file)
}

pub fn all() -> Vec<Scenario> {
    vec![
        usual("filter-refuses-malformed-requests", garbage),
        usual("filter-ten-thousand-sends", ten_thousand),
    ]
}
