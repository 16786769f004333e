//! Deliberately broken filters: each runs a path that the same driver without its fault passes, and must be caught.

use super::filter::{A, B, C, holding, lists, null_id, stale_id};
use super::{Kind, Scenario, no_watchdog};
use crate::run::{Run, WIRE};
use anyhow::Result;
use cancelnic_mutants::Mutant;

/// Held lists of two IDs, one of which is cancelled.
fn cancel_some(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    for id in [A, B, A, B, C] {
        run.send_marked(2, id)?;
    }
    run.cancel_send(A)?;
    filter.release_all(run)?;
    run.await_guest("the others sent", |tx, _| tx.sent.len() == 6)?;
    let aborted = lists(run)?.aborted.len();
    run.expect("aborted", aborted, 4)?;
    run.close(filter.file)
}

/// Two drivers' IDs with the same low bits.
fn cancel_other_high_byte(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    run.send_marked(2, A)?;
    run.send_marked(2, A ^ 1 << 56)?;
    run.cancel_send(A)?;
    filter.release_all(run)?;
    run.await_guest("the others sent", |tx, _| tx.sent.len() == 2)?;
    run.close(filter.file)
}

fn cancel_own(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    let own = filter.send(run, 4, 2)?;
    filter.cancel(run, own.ids[0])?;
    filter.note_ended(run, [own.first, own.first + 2]);
    filter.release_all(run)?;
    run.await_guest("the others sent", |tx, _| tx.sent.len() == 2)?;
    run.close(filter.file)
}

fn pause_with_lists_held(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    run.send_marked(4, A)?;
    run.pause()?;
    run.close(filter.file)
}

fn send_while_paused(run: &mut Run) -> Result<()> {
    run.load()?;
    let filter = run.open_filter()?;
    run.pause()?;
    run.send_marked(3, A)?;
    run.restart()?;
    run.close(filter.file)
}

fn pause_with_own_lists_out(run: &mut Run) -> Result<()> {
    run.load()?;
    let filter = run.open_filter()?;
    run.hold(WIRE)?;
    filter.send(run, 4, 1)?;
    run.await_device("tx0", "four on the hardware", |tx| tx.available + tx.fetched + tx.on_wire == 4)?;
    let pausing = run.begin_pause(1)?;
    filter.await_counters(run, "the pause", |counters| counters.running == 0)?;
    run.release(WIRE)?;
    run.finish_pause(&pausing)?;
    run.close(filter.file)
}

const fn caught(
    name: &'static str,
    mutant: Mutant,
    body: fn(&mut Run) -> Result<()>,
    rules: &'static [&'static str],
) -> Scenario {
    Scenario { name, kind: Kind::Caught { mutant, prepare: no_watchdog, body, rules, shows: |_| Ok(()) } }
}

pub fn all() -> Vec<Scenario> {
    vec![
        caught(
            "caught-filter-completes-twice",
            Mutant::CompletesListTwice,
            cancel_some,
            &["ListCompletedTwice", "NotANetBufferList"],
        ),
        caught(
            "caught-filter-forgets-to-pass-on",
            Mutant::ForgetsToPassOn,
            cancel_some,
            &["CancelNotPassedOn"],
        ),
        caught("caught-filter-keeps-stale-id", Mutant::KeepsStaleId, stale_id, &["StaleIdHits"]),
        caught("caught-filter-matches-null", Mutant::MatchesNull, null_id, &["AbortedWithoutCancel"]),
        caught(
            "caught-filter-ignores-high-byte",
            Mutant::IgnoresHighByte,
            cancel_other_high_byte,
            &["AbortedWithoutCancel"],
        ),
        caught("caught-filter-reorders-the-rest", Mutant::ReordersTheRest, cancel_some, &["ListsReordered"]),
        caught(
            "caught-filter-loses-held-on-pause",
            Mutant::LosesHeldOnPause,
            pause_with_lists_held,
            &["PausedWithListsHeld"],
        ),
        caught("caught-filter-completes-own-up", Mutant::CompletesOwnUp, cancel_own, &["OwnListCompleted"]),
        caught("caught-filter-sets-no-status", Mutant::SetsNoStatus, cancel_some, &["StatusNotSet"]),
        caught(
            "caught-filter-sends-while-paused",
            Mutant::SendsWhilePaused,
            send_while_paused,
            &["SendOutsideRunning"],
        ),
        caught(
            "caught-filter-pauses-at-once",
            Mutant::PausesAtOnce,
            pause_with_own_lists_out,
            &["PausedWithOwnListsOut"],
        ),
    ]
}
