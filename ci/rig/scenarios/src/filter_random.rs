//! The filter under ten thousand sends with cancels at random.

use super::filter::{A, B, C, holding, lists};
use crate::scenario::{Scenario, of_any_driver, usual};
use crate::want::WITH_OUR_FILTER;
use anyhow::{Context, Result, bail};
use lab::base::wait::{LIMIT, PERIOD, until};
use lab::guest::need::Need;
use lab::run::Run;
use std::collections::BTreeMap;

/// Numbers from a seed (SplitMix64).
pub(crate) struct Numbers(pub u64);

impl Numbers {
    /// The next one.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// Below `end`, which is not 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Sends in all.
const SENDS: u64 = 10_000;
/// Lists that the filter holds before all are let through.
const MOST_HELD: u64 = 250;

/// Sends, own and others', holds, releases and cancels from the seed; every list is accounted for.
fn ten_thousand(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    let mut numbers = Numbers(run.facts.seed ^ 0xF117);
    let ids = [0, A, B, C];
    // IDs of own frames that may still be held, and those of all that were ever given
    let mut own_ids: BTreeMap<u64, u64> = BTreeMap::new();
    let mut used: Vec<u64> = Vec::new();
    let (mut sent, mut own_sent, mut own_aborted) = (0, 0, 0);
    // A few seeds come to ten thousand without a list that was aborted: they go on until there is one of each kind.
    while sent < SENDS || own_aborted == 0 || filter.counters(run)?.cancelled == 0 {
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
        // what is held is listed before each cancel, byte by byte over a serial port
        if filter.counters(run)?.held_now > MOST_HELD {
            filter.release_all(run)?;
        }
    }
    filter.release_all(run)?;
    let counters = filter.await_counters(run, "every own list back", |counters| {
        counters.own_outstanding == 0 && counters.passed_up == counters.passed_down && counters.held_now == 0
    })?;
    let seen = [counters.own_originated, counters.own_success, counters.own_aborted];
    run.expect("own [made, sent, aborted]", seen, [own_sent, own_sent - own_aborted, own_aborted])?;
    // The filter has counted a list before those above it have it back.
    let lists = until(LIMIT, PERIOD, || Ok(Some(lists(run)?).filter(|lists| lists.outstanding.is_empty())))?;
    let lists = lists.context("lists do not come back to the overlying driver")?;
    let seen = [lists.success.len() + lists.aborted.len(), lists.outstanding.len(), lists.aborted.len()];
    run.expect("[all others, out, aborted]", seen, [sent - own_sent, 0, counters.cancelled])?;
    run.expect("aborted somewhat", !lists.aborted.is_empty() && own_aborted > 0, true)?;
    run.close(filter.file)
}

pub(crate) fn all() -> Vec<Scenario> {
    let all = of_any_driver([usual(
        "filter-ten-thousand-sends",
        "ten thousand sends under random cancels, holds and pauses: every list ends once",
        ten_thousand,
    )
    .needs(&[Need::Protocol])]);
    all.into_iter().map(|scenario| scenario.wants(WITH_OUR_FILTER)).collect()
}
