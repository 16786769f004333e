//! The filter among others: out of the way of lists, told to pause while calls are on their way, below another filter.

use super::filter::{A, B, C, held, holding, let_go, lists, received_above};
use crate::scenario::{Failed, Scenario, Trial, command, good, no_watchdog, usual};
use anyhow::{Context, Result, ensure};
use lab::base::artefact::Artefact;
use lab::base::files::{DriverFiles, Files};
use lab::base::folder::Folder;
use lab::base::wait::{LIMIT, PERIOD, until};
use lab::facts::Facts;
use lab::guest::need::Need;
use lab::guests::understudy;
use lab::report::table::fault_line;
use lab::run::Run;
use lab::run::filter::{FILTER, Filter};
use lab::run::{Judged, judged};
use std::path::Path;

/// A module that steps aside sees no list, the stack goes on without it; what it held goes back as paused. Back in its
/// place it holds and cancels as before.
fn steps_aside(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    run.send_marked(2, A)?;
    filter.bypass(run, true)?;
    filter.await_counters(run, "the module aside", |counters| counters.bypassed == 1)?;
    let before = filter.counters(run)?;
    run.expect("[refused, running]", [before.refused, u64::from(before.running)], [2, 0])?;
    run.send_marked(5, B)?;
    run.await_traffic("five past it", 5, 5)?;
    received_above(run, 5)?;
    run.cancel_send(B)?;
    let status = filter.try_send(run, 1)?;
    run.expect("it sends none of its own", status, 0xC000_00A3)?;
    let after = filter.counters(run)?;
    run.expect("it has seen nothing of that", after, before)?;
    // a restart that nobody asked for asks for the handlers too
    run.pause()?;
    run.restart()?;
    run.send(1)?;
    run.await_traffic("one more past it", 6, 6)?;

    filter.bypass(run, false)?;
    filter.await_counters(run, "the module in its place", |counters| {
        counters.bypassed == 0 && counters.running == 1
    })?;
    run.send_marked(3, C)?;
    let seen = held(run, filter)?;
    run.expect("held by the gate, which is still closed", seen, vec![9, 10, 11])?;
    run.cancel_send(C)?;
    let aborted = lists(run)?.aborted.len();
    run.expect("aborted", aborted, 3)?;
    filter.release_all(run)?;
    run.send(2)?;
    run.await_traffic("two through it", 8, 8)?;
    received_above(run, 8)?;
    let counters = filter.counters(run)?;
    let seen = [counters.passed_down, counters.received - before.received];
    run.expect("[passed down, received]", seen, [2, 2])?;
    run.close(filter.file)
}

/// What a module does for NDIS when it steps aside is on the time line, in order.
fn asked_for_its_handlers(facts: &Facts) -> Result<()> {
    let of_filter = facts.callbacks.iter().filter(|callback| callback.queue == FILTER);
    let life: Vec<&str> = of_filter
        .map(|callback| callback.what.as_str())
        .filter(|what| ["FilterPause", "FilterSetModuleOptions", "FilterRestart"].contains(what))
        .collect();
    let (start, again) = (["FilterSetModuleOptions", "FilterRestart"], "FilterPause");
    let expected: Vec<&str> = (0..4).flat_map(|_| start.into_iter().chain([again])).collect();
    ensure!(life == expected, "the module's life: {life:?}");
    Ok(())
}

/// A cancel by ID that is on its way to the module finds it pausing: it still takes what matches, the pause the rest.
fn cancelled_then_paused(run: &mut Run) -> Result<()> {
    const CANCEL: &str = "ndis.cancel.before-filter";
    const PAUSE: &str = "ndis.pause.before-filter";

    let filter = holding(run)?;
    run.send_marked(3, A)?;
    run.send_marked(2, B)?;
    let cancelling = run.hold_at(CANCEL, |run| run.begin_cancel_send(A))?;
    let pausing = run.hold_at(PAUSE, |run| run.begin_pause(1))?;
    run.release_window(CANCEL)?;
    run.finish_cancel_send(&cancelling)?;
    let seen = held(run, filter)?;
    run.expect("the others are held", seen, vec![4, 5])?;
    run.release_window(PAUSE)?;
    run.finish_pause(&pausing)?;
    let lists = lists(run)?;
    run.expect("[aborted, paused]", [lists.aborted.len(), lists.paused.len()], [3, 2])?;
    run.close(filter.file)
}

/// Every module is paused, the queues below still run: a cancel finds nothing, sends come back as paused.
fn cancelled_between_the_pauses(run: &mut Run) -> Result<()> {
    const PAUSED: &str = "ndis.pause.filters-paused";

    let filter = holding(run)?;
    run.send_marked(3, A)?;
    let pausing = run.hold_at(PAUSED, |run| run.begin_pause(1))?;
    run.cancel_send(A)?;
    run.send_marked(2, A)?;
    let seen = lists(run)?;
    run.expect("[aborted, paused]", [seen.aborted.len(), seen.paused.len()], [0, 5])?;
    let counters = filter.counters(run)?;
    let seen = [counters.refused, counters.cancelled, counters.cancels_passed_on];
    run.expect("[refused, cancelled, passed on]", seen, [5, 0, 1])?;
    run.release_window(PAUSED)?;
    run.finish_pause(&pausing)?;
    run.close(filter.file)
}

/// An own list that is on its way back keeps the pause from ending: FilterPause has returned, its end comes with the
/// list.
fn pause_ends_with_the_last_list(run: &mut Run) -> Result<()> {
    const COMPLETE: &str = "ndis.complete.before-filter";
    /// A completion at DISPATCH_LEVEL passes the window; which one comes at PASSIVE_LEVEL is the seed's choice.
    const TRIES: u64 = 200;

    run.load()?;
    let filter = run.open_filter()?;
    let before = run.held_at(COMPLETE);
    run.hold_window(COMPLETE)?;
    for sent in 1..=TRIES {
        filter.send(run, 1, 1)?;
        let ended = until(LIMIT, PERIOD, || {
            let back = filter.counters(run)?.own_success == sent;
            Ok((back || run.held_at(COMPLETE) > before).then_some(()))
        })?;
        ended.context("an own list is neither back nor held")?;
        if run.held_at(COMPLETE) > before {
            break;
        }
    }
    run.await_held(COMPLETE, before)?;
    let pausing = run.begin_pause(1)?;
    let counters = filter.await_counters(run, "the pause", |counters| counters.running == 0)?;
    run.expect("own lists out", counters.own_outstanding, 1)?;
    run.release_window(COMPLETE)?;
    run.finish_pause(&pausing)?;
    let counters = filter.counters(run)?;
    let seen = [counters.own_outstanding, counters.own_originated - counters.own_success];
    run.expect("own [out, not sent]", seen, [0, 0])?;
    run.close(filter.file)
}

/// The requests that the protocol makes when it binds pass through the module as clones; one ends only by being
/// cancelled, which has to pass as well. The stack itself checks each answer.
fn binds(run: &mut Run) -> Result<()> {
    run.load()?;
    run.unbind()?;
    run.bind()?;
    run.send(3)?;
    run.await_traffic("three sent", 3, 3)
}

fn oid_requests_pass(facts: &Facts) -> Result<()> {
    let count = |what: &str| {
        facts.callbacks.iter().filter(|callback| callback.queue == FILTER && callback.what == what).count()
    };
    let seen = ["FilterOidRequest", "FilterCancelOidRequest"].map(count);
    ensure!(seen == [14, 2], "twice seven requests, of which one is cancelled; seen {seen:?}");
    let completed = count("FilterOidRequestComplete");
    ensure!(completed >= 2, "what is cancelled has been pended; {completed} completions");
    Ok(())
}

/// The name of the other filter: as long as the filter's own.
const OTHER: &str = "cancelnic-lw2";
/// Beginning of the filter's unique name, and of the other's.
const UNIQUE: [&str; 2] = ["{d1a5c0f2-", "{d1a5c0f3-"];

/// The same driver under other names. One file cannot be two filters: NDIS knows a filter driver by the unique name that
/// stands in it.
fn other_filter(files: &mut Files, folder: &Path) -> Result<DriverFiles> {
    let filter = files.driver(FILTER)?;
    let mut image = std::fs::read(&filter.image.path)?;
    let mut inf = std::fs::read_to_string(&filter.inf)?;
    for (from, to) in [(FILTER, OTHER), (UNIQUE[0], UNIQUE[1])] {
        let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let (old, new) = (utf16(from), utf16(to));
        let places: Vec<usize> =
            image.windows(old.len()).enumerate().filter(|(_, at)| *at == old).map(|(at, _)| at).collect();
        ensure!(!places.is_empty() && inf.contains(from), "{from} stands in neither image nor INF");
        for at in places {
            image[at..at + new.len()].copy_from_slice(&new);
        }
        inf = inf.replace(from, to);
    }
    let path = |end: &str| folder.join(format!("{OTHER}.{end}"));
    std::fs::write(path("sys"), &image)?;
    std::fs::write(path("inf"), &inf)?;
    let image = Artefact::with_bytes(path("sys"), &image);
    Ok(DriverFiles { name: OTHER, image, inf: path("inf"), symbols: filter.symbols.clone(), subject: None })
}

/// Two filters hold: a cancel takes what matches out of both, in one pass from top to bottom; a pause goes the same way.
fn both_hold(run: &mut Run) -> Result<()> {
    run.load()?;
    let upper = run.open_filter()?;
    let lower = Filter { file: run.open(OTHER)? };
    lower.hold(run)?;
    run.send_marked(3, A)?;
    let own = upper.send(run, 2, 1)?;
    let others = lower.send(run, 1, 1)?;
    let bytes = [&own, &others].map(|sent| sent.ids[0] >> 56);
    run.expect("high-order bytes of their IDs, as NDIS gives them", bytes, [1, 2])?;
    upper.hold(run)?;
    for id in [A, B] {
        run.send_marked(2, id)?;
    }
    let seen = [held(run, upper)?, held(run, lower)?];
    run.expect("held above and below", seen, [vec![7, 8, 9, 10], vec![1, 2, 3, 4, 5, 6]])?;
    run.cancel_send(A)?;
    let seen = [held(run, upper)?, held(run, lower)?];
    run.expect("the others are held above and below", seen, [vec![9, 10], vec![4, 5, 6]])?;
    // the lower one holds the upper one's own lists: they are another driver's to it
    upper.cancel(run, own.ids[0])?;
    upper.note_ended(run, own.numbers());
    let refused = lower.try_cancel(run, own.ids[0])?;
    run.expect("the lower one refuses the other's ID", refused.status, 0xC000_000D)?;
    lower.cancel(run, others.ids[0])?;
    lower.note_ended(run, others.numbers());
    let aborted = lists(run)?.aborted.len();
    run.expect("aborted", aborted, 5)?;
    let seen = [upper.counters(run)?, lower.counters(run)?];
    let passed = seen.map(|counters| [counters.cancelled, counters.cancels_passed_on]);
    run.expect("[cancelled, passed on] above and below", passed, [[2, 2], [5, 3]])?;
    run.expect("the upper one's own", [seen[0].own_aborted, seen[0].own_outstanding], [2, 0])?;

    upper.release_all(run)?;
    let seen = held(run, lower)?;
    run.expect("held below", seen, vec![9, 10])?;
    run.pause()?;
    let paused = lists(run)?.paused.len();
    run.expect("paused", paused, 2)?;
    run.restart()?;
    run.send_marked(4, C)?;
    let_go(run, lower, 4)?;
    let seen = [upper.counters(run)?, lower.counters(run)?].map(|counters| counters.received);
    run.expect("received through both", seen, [4, 4])?;
    run.close(lower.file)?;
    run.close(upper.file)
}

/// Restarts from the bottom up, pauses and detaches from the top down.
fn in_ndis_order(facts: &Facts) -> Result<()> {
    for (what, first) in [("FilterRestart", OTHER), ("FilterPause", FILTER), ("FilterDetach", FILTER)] {
        let of: Vec<&str> = facts
            .callbacks
            .iter()
            .filter(|callback| callback.what == what)
            .map(|callback| callback.queue.as_str())
            .collect();
        let second = if first == FILTER { OTHER } else { FILTER };
        let good = !of.is_empty() && of.chunks(2).all(|pair| pair == [first, second]);
        ensure!(good, "{what} of {of:?}");
    }
    Ok(())
}

fn two_filters(trial: &Trial) -> Result<()> {
    let folder = Folder::new()?;
    let mut settings = trial.settings();
    let other = other_filter(&mut settings.files, folder.path())?;
    settings.files.drivers.push(other);
    let Judged { facts, violations, log, .. } = judged(settings, &understudy(), None, both_hold)?;
    if let Some(first) = violations.first() {
        return Err(Failed::new(fault_line(first), &facts, &violations, &log).into());
    }
    in_ndis_order(&facts)
}

pub(crate) fn all() -> Vec<Scenario> {
    vec![
        usual(
            "filter-steps-aside-and-in",
            "a filter that steps aside sees no list; back in its place, it holds and cancels",
            steps_aside,
        )
        .shows(asked_for_its_handlers)
        .needs(&[Need::Protocol]),
        usual(
            "filter-cancelled-then-paused",
            "a pause that overtakes a cancel by ID which is still on its way",
            cancelled_then_paused,
        )
        .needs(&[Need::HoldPoints, Need::Protocol]),
        usual(
            "filter-cancelled-between-the-pauses",
            "a cancel by ID between the pauses of the stack's drivers",
            cancelled_between_the_pauses,
        )
        .needs(&[Need::HoldPoints, Need::Protocol]),
        good(
            "filter-pause-ends-with-the-last-list",
            "a pause of the filter ends when the last of its lists comes back",
            no_watchdog,
            pause_ends_with_the_last_list,
        )
        .needs(&[Need::HoldPoints]),
        usual("filter-oid-requests-pass", "OID requests pass the filter both ways", binds)
            .shows(oid_requests_pass)
            .needs(&[Need::Protocol]),
        command(
            "filter-two-in-one-stack",
            "two filters in one stack: both hold and cancel, in NDIS's order",
            two_filters,
        ),
    ]
}
