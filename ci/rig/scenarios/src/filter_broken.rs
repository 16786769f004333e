//! Deliberately broken filters: each runs a path that the same driver without its fault passes, and must be caught.

use super::filter::{A, B, C, holding, lists, null_id, stale_id};
use crate::scenario::{Scenario, caught, caused, no_watchdog};
use anyhow::Result;
use cancelnic_mutants::Mutant;
use lab::guest::need::Need;
use lab::run::{Run, TX, WIRE};

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

/// The program that closed the gate goes, as one does that dies: everything goes on its way.
fn program_goes(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    run.send_marked(3, A)?;
    let held = filter.held(run)?.len();
    run.expect("held", held, 3)?;
    run.close(filter.file)?;
    let filter = run.open_filter()?;
    let counters = filter.counters(run)?;
    run.expect("[gate closed, held]", [u64::from(counters.gate_closed), counters.held_now], [0, 0])?;
    run.send_marked(2, A)?;
    run.await_traffic("all sent and received", 5, 5)?;
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
    run.await_device(TX, "four on the hardware", |tx| tx.available + tx.fetched + tx.on_wire == 4)?;
    let pausing = run.begin_pause(1)?;
    filter.await_counters(run, "the pause", |counters| counters.running == 0)?;
    run.release(WIRE)?;
    run.finish_pause(&pausing)?;
    run.close(filter.file)
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        caught(
            "caught-filter-completes-twice",
            "a filter that completes a list twice is caught",
            Mutant::CompletesListTwice,
            &["ListCompletedTwice", "NotANetBufferList", "UseAfterFree"],
            cancel_some,
        )
        .prepare(no_watchdog)
        .shows(|facts| caused(facts, "cancelnic-lwf FilterCancelSendNetBufferLists", &[]))
        .needs(&[Need::Fates, Need::Protocol]),
        caught(
            "caught-filter-forgets-to-pass-on",
            "a filter that does not pass a cancel by ID down is caught",
            Mutant::ForgetsToPassOn,
            &["CancelNotPassedOn"],
            cancel_some,
        )
        .prepare(no_watchdog)
        .shows(|facts| caused(facts, "none", &["went no further than module 2"]))
        .needs(&[Need::Fates, Need::Protocol]),
        caught(
            "caught-filter-keeps-stale-id",
            "a filter that leaves an old cancellation ID on a list it uses again is caught",
            Mutant::KeepsStaleId,
            &["StaleIdHits"],
            stale_id,
        )
        .prepare(no_watchdog)
        .shows(|facts| {
            caused(
                facts,
                "FilterSendNetBufferListsComplete",
                &["cancelled once more with 0x100000000000001, held now: []"],
            )
        }),
        caught(
            "caught-filter-matches-null",
            "a filter that takes NULL for a cancellation ID is caught",
            Mutant::MatchesNull,
            &["AbortedWithoutCancel"],
            null_id,
        )
        .prepare(no_watchdog)
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-lwf FilterCancelSendNetBufferLists",
                &["with ID 0x0 is NDIS_STATUS_SEND_ABORTED, called from cancelnic_lwf::"],
            )
        })
        .needs(&[Need::Protocol]),
        caught(
            "caught-filter-ignores-high-byte",
            "a filter that compares no high-order byte of a cancellation ID is caught",
            Mutant::IgnoresHighByte,
            &["AbortedWithoutCancel"],
            cancel_other_high_byte,
        )
        .prepare(no_watchdog)
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-lwf FilterCancelSendNetBufferLists",
                &["with ID 0xe000000000000001 is NDIS_STATUS_SEND_ABORTED, called from cancelnic_lwf::"],
            )
        })
        .needs(&[Need::Fates, Need::Protocol]),
        caught(
            "caught-filter-reorders-the-rest",
            "a filter that reorders the lists which a cancel leaves is caught",
            Mutant::ReordersTheRest,
            &["ListsReordered"],
            cancel_some,
        )
        .prepare(no_watchdog)
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-lwf dispatch routine",
                &["on after one that had come later", "send_down"],
            )
        })
        .needs(&[Need::Fates, Need::Protocol]),
        caught(
            "caught-filter-loses-held-on-pause",
            "a filter that pauses with lists still held is caught",
            Mutant::LosesHeldOnPause,
            &["PausedWithListsHeld"],
            pause_with_lists_held,
        )
        .prepare(no_watchdog)
        .shows(|facts| caused(facts, "none", &["module 2 is paused and holds 4 lists of others"]))
        .needs(&[Need::Protocol]),
        caught(
            "caught-filter-completes-own-up",
            "a filter that hands its own lists to the driver above is caught",
            Mutant::CompletesOwnUp,
            &["OwnListCompleted"],
            cancel_own,
        )
        .prepare(no_watchdog)
        .shows(|facts| {
            caused(facts, "cancelnic-lwf dispatch routine", &["is Module(2)'s own", "complete_up"])
        })
        .needs(&[Need::Fates]),
        caught(
            "caught-filter-sets-no-status",
            "a filter that aborts a list without its status is caught",
            Mutant::SetsNoStatus,
            &["StatusNotSet"],
            cancel_some,
        )
        .prepare(no_watchdog)
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-lwf FilterCancelSendNetBufferLists",
                &["Status was not written before the completion"],
            )
        })
        .needs(&[Need::Fates, Need::Protocol]),
        caught(
            "caught-filter-sends-while-paused",
            "a filter that sends while it is paused is caught",
            Mutant::SendsWhilePaused,
            &["SendOutsideRunning"],
            send_while_paused,
        )
        .prepare(no_watchdog)
        .shows(|facts| {
            caused(facts, "cancelnic-lwf FilterSendNetBufferLists", &["the module is Paused", "send_down"])
        })
        .needs(&[Need::Protocol]),
        caught(
            "caught-filter-forgets-the-gate",
            "a filter whose gate outlives the program that closed it is caught",
            Mutant::ForgetsTheGate,
            &["StepFailed"],
            program_goes,
        )
        .prepare(no_watchdog)
        .shows(|facts| caused(facts, "expect [gate closed, held]", &["expected [0, 0], saw [1, 3]"]))
        .needs(&[Need::Protocol]),
        caught(
            "caught-filter-pauses-at-once",
            "a filter that pauses with its own lists still below is caught",
            Mutant::PausesAtOnce,
            &["PausedWithOwnListsOut"],
            pause_with_own_lists_out,
        )
        .prepare(no_watchdog)
        .shows(|facts| {
            caused(
                facts,
                "cancelnic-lwf FilterPause",
                &["NdisFPauseComplete while 4 of the module's lists are out"],
            )
        }),
    ]
}
