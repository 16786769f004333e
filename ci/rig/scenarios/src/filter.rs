//! Cancel by ID: the filter's own sends, and overlying drivers' sends that it holds.

use crate::scenario::{Scenario, good, no_watchdog, of_any_driver, usual};
use crate::want::WITH_OUR_FILTER;
use agent_protocol::{Ids, ListReport};
use anyhow::{Context, Result};
use lab::base::wait::{LIMIT, PERIOD, until};
use lab::guest::need::Need;
use lab::run::filter::Filter;
use lab::run::{COMPLETE, Run, TX, WIRE};
use std::collections::BTreeSet;

/// An ID of the overlying driver. These three differ from each other in the low bits; from the filter's, whose high-order
/// byte is NdisGeneratePartialCancelId's, in the high ones.
pub const A: u64 = 0xE100_0000_0000_0001;
/// The second ID of the overlying driver.
pub const B: u64 = 0xE100_0000_0000_0002;
/// The third ID of the overlying driver.
pub const C: u64 = 0xE100_0000_0000_0003;

/// The drivers loaded, the filter's gate closed.
pub fn holding(run: &mut Run) -> Result<Filter> {
    run.load()?;
    let filter = run.open_filter()?;
    filter.hold(run)?;
    Ok(filter)
}

/// What the overlying driver knows of its lists now.
pub fn lists(run: &mut Run) -> Result<ListReport> {
    run.look()?;
    run.facts.lists.clone().context("the guest does not report the overlying driver's lists")
}

/// Numbers of the held lists, in order.
pub fn held(run: &mut Run, filter: Filter) -> Result<Vec<u64>> {
    Ok(filter.held(run)?.iter().map(|list| list.number).collect())
}

fn numbers(set: &Ids) -> Vec<u64> {
    set.iter().collect()
}

/// Lists may come back in another order than they went.
fn sorted(set: &Ids) -> Vec<u64> {
    let mut numbers = numbers(set);
    numbers.sort_unstable();
    numbers
}

/// Opens the gate and waits until that many frames in all have been sent and came back from the loop.
pub fn let_go(run: &mut Run, filter: Filter, in_all: u64) -> Result<()> {
    filter.release_all(run)?;
    run.await_traffic(&format!("{in_all} sent and received"), in_all, in_all)?;
    if run.facts.fates_untold {
        // Nobody of ours is above the filter, which has its own back a little later than they leave the ring.
        return filter.await_counters(run, "own back", |counters| counters.own_outstanding == 0).map(drop);
    }
    received_above(run, in_all)
}

/// Waits until the overlying driver has received that many frames in all: the filter passes on what comes from below.
pub fn received_above(run: &mut Run, in_all: u64) -> Result<()> {
    let received = until(LIMIT, PERIOD, || {
        let received = lists(run)?.received;
        Ok((received.len() >= in_all).then_some(received))
    })?;
    let received = received.with_context(|| format!("not {in_all} frames came to the overlying driver"))?;
    let received: BTreeSet<u64> = received.iter().collect();
    run.expect("different frames that came to the overlying driver", received.len() as u64, in_all)
}

/// Cancels none, one, some, all of what is held; what stays keeps its order.
fn none_one_some_all(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    for (count, id) in [(2, A), (1, B), (1, 0), (2, A), (3, C)] {
        run.send_marked(count, id)?;
    }
    let seen = held(run, filter)?;
    run.expect("all are held in order", seen, (1..=9).collect())?;

    run.cancel_send(A ^ B)?;
    let seen = held(run, filter)?;
    run.expect("an ID of nobody's hits none", seen, (1..=9).collect())?;
    run.cancel_send(B)?;
    let seen = held(run, filter)?;
    run.expect("one is hit", seen, vec![1, 2, 4, 5, 6, 7, 8, 9])?;
    run.cancel_send(A)?;
    let seen = held(run, filter)?;
    run.expect("some are hit", seen, vec![4, 7, 8, 9])?;
    let aborted = lists(run)?.aborted;
    run.expect("aborted", numbers(&aborted), vec![3, 1, 2, 5, 6])?;
    let_go(run, filter, 4)?;

    filter.hold(run)?;
    run.send_marked(5, C)?;
    run.cancel_send(C)?;
    let seen = held(run, filter)?;
    run.expect("all are hit", seen, Vec::new())?;
    let counters = filter.counters(run)?;
    let seen = [counters.queued, counters.cancelled, counters.cancel_calls, counters.cancels_passed_on];
    run.expect("[queued, cancelled, cancels, passed on]", seen, [14, 10, 4, 4])?;
    run.close(filter.file)
}

/// The filter's own frames in two subgroups, one after the other; one subgroup is cancelled. Then one ID for all.
fn two_subgroups(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    let own = filter.send(run, 12, 2)?;
    filter.cancel(run, own.ids[0])?;
    let rest: Vec<u64> = (0..6).map(|at| own.first + 2 * at + 1).collect();
    let seen = held(run, filter)?;
    run.expect("the other subgroup stays in order", seen, rest.clone())?;
    filter.note_ended(run, (0..6).map(|at| own.first + 2 * at));
    let_go(run, filter, 6)?;
    run.expect("sent in order", numbers(&run.facts.tx.sent), rest)?;
    filter.hold(run)?;
    let all = filter.send(run, 9, 1)?;
    filter.cancel(run, all.ids[0])?;
    filter.note_ended(run, all.numbers());
    let counters = filter.counters(run)?;
    let seen =
        [counters.own_originated, counters.own_aborted, counters.own_success, counters.own_outstanding];
    run.expect("own [made, aborted, sent, out]", seen, [21, 15, 6, 0])?;
    run.close(filter.file)
}

/// The same with the overlying driver's lists.
fn interleaved_ids(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    for id in [A, B, A, B, A, B] {
        run.send_marked(1, id)?;
    }
    run.cancel_send(B)?;
    let seen = held(run, filter)?;
    run.expect("the others stay in order", seen, vec![1, 3, 5])?;
    let_go(run, filter, 3)?;
    let lists = lists(run)?;
    run.expect("success", sorted(&lists.success), vec![1, 3, 5])?;
    run.expect("sent in order", numbers(&run.facts.tx.sent), vec![1, 3, 5])?;
    run.expect("aborted", numbers(&lists.aborted), vec![2, 4, 6])?;
    run.close(filter.file)
}

/// IDs that differ in the high-order byte alone belong to different drivers.
fn another_drivers_id(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    let own = filter.send(run, 2, 1)?;
    let others = own.ids[0] ^ 0xF0 << 56;
    run.send_marked(2, others)?;
    let refused = filter.try_cancel(run, others)?;
    run.expect("another driver's ID is refused", refused.status, 0xC000_000D)?;
    run.cancel_send(others)?;
    let seen = held(run, filter)?;
    run.expect("the filter's own stay", seen, vec![1, 2])?;
    run.send_marked(2, others)?;
    filter.cancel(run, own.ids[0])?;
    filter.note_ended(run, 1..=2);
    let seen = held(run, filter)?;
    run.expect("the other driver's stay", seen, vec![5, 6])?;
    let_go(run, filter, 2)?;
    run.close(filter.file)
}

/// Unmarked lists hold NULL as their ID; a cancel of NULL hits none of them.
pub fn null_id(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    run.send(4)?;
    run.cancel_send(0)?;
    let seen = held(run, filter)?;
    run.expect("nothing is hit", seen, (1..=4).collect())?;
    let counters = filter.counters(run)?;
    run.expect("[cancels, passed on]", [counters.cancel_calls, counters.cancels_passed_on], [1, 1])?;
    let_go(run, filter, 4)?;
    run.close(filter.file)
}

/// A list that is used again without an ID has none: a cancel of its old one does not hit it.
pub fn stale_id(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    let marked = filter.send(run, 4, 1)?;
    filter.cancel(run, marked.ids[0])?;
    filter.note_ended(run, 1..=4);
    filter.send(run, 4, 0)?;
    filter.cancel(run, marked.ids[0])?;
    let seen = held(run, filter)?;
    run.step("unmarked lists that were marked before stay", |run| {
        if seen == [5, 6, 7, 8] {
            return Ok(((), String::new()));
        }
        let place = format!("cancelled once more with {:#x}, held now: {seen:?}", marked.ids[0]);
        Err(run.found("StaleIdHits", "FilterSendNetBufferListsComplete", place))
    })?;
    let_go(run, filter, 4)?;
    run.close(filter.file)
}

/// A pause completes what is held; a cancel and sends that come later find a paused module.
fn while_paused(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    run.send_marked(4, A)?;
    let own = filter.send(run, 2, 1)?;
    run.pause()?;
    filter.note_ended(run, own.numbers());
    let paused = lists(run)?.paused;
    run.expect("paused", numbers(&paused), (1..=4).collect())?;

    run.cancel_send(A)?;
    filter.cancel(run, own.ids[0])?;
    run.send_marked(3, A)?;
    let paused = lists(run)?.paused;
    run.expect("refused at once", numbers(&paused), vec![1, 2, 3, 4, 7, 8, 9])?;
    let status = filter.try_send(run, 1)?;
    run.expect("the filter does not send", status, 0xC000_00A3)?;
    let counters = filter.counters(run)?;
    let seen = [counters.own_paused, counters.refused, counters.held_now, u64::from(counters.running)];
    run.expect("[own paused, refused, held, running]", seen, [2, 7, 0, 0])?;

    run.restart()?;
    run.send_marked(3, A)?;
    run.cancel_send(B)?;
    let_go(run, filter, 3)?;
    run.close(filter.file)
}

/// Own lists that wait at the device keep a pause from ending; cancels that come meanwhile hit what they find.
fn while_pausing(run: &mut Run) -> Result<()> {
    run.load()?;
    let filter = run.open_filter()?;
    run.hold(WIRE)?;
    let own = filter.send(run, 6, 2)?;
    run.await_device(TX, "six on the hardware", |tx| tx.available + tx.fetched + tx.on_wire == 6)?;
    filter.hold(run)?;
    run.send_marked(4, A)?;
    let queued = filter.send(run, 3, 1)?;
    let pausing = run.begin_pause(1)?;
    filter.await_counters(run, "the pause", |counters| {
        counters.running == 0 && counters.own_outstanding == 6
    })?;
    filter.note_ended(run, queued.numbers());
    run.cancel_send(A)?;
    filter.cancel(run, own.ids[0])?;
    filter.cancel(run, queued.ids[0])?;
    run.send_marked(2, B)?;
    run.release(WIRE)?;
    run.finish_pause(&pausing)?;
    let lists = lists(run)?;
    run.expect(
        "the overlying driver's [paused, aborted]",
        [lists.paused.len(), lists.aborted.len()],
        [6, 0],
    )?;
    let counters = filter.counters(run)?;
    let seen = [counters.own_success, counters.own_paused, counters.own_aborted, counters.own_outstanding];
    run.expect("own [sent, paused, aborted, out]", seen, [6, 3, 0, 0])?;
    run.close(filter.file)
}

/// A detach is a pause first: the same, and then the module is gone. A new one begins with new books.
fn while_detaching(run: &mut Run) -> Result<()> {
    run.load()?;
    let filter = run.open_filter()?;
    run.hold(WIRE)?;
    let own = filter.send(run, 4, 1)?;
    run.await_device(TX, "four on the hardware", |tx| tx.available + tx.fetched + tx.on_wire == 4)?;
    filter.hold(run)?;
    run.send_marked(3, A)?;
    let detaching = run.begin_detach_filter()?;
    filter.await_counters(run, "the pause", |counters| counters.running == 0 && counters.refused == 3)?;
    run.cancel_send(A)?;
    filter.cancel(run, own.ids[0])?;
    run.release(WIRE)?;
    run.finish_detach_filter(&detaching)?;
    let late = filter.try_cancel(run, own.ids[0])?;
    run.expect("no module is left", late.status, 0xC000_00C0)?;
    run.send_marked(5, B)?;
    run.cancel_send(B)?;
    run.await_sent("nine sent", 9)?;

    run.attach_filter()?;
    filter.hold(run)?;
    run.send_marked(2, B)?;
    run.cancel_send(B)?;
    let counters = filter.counters(run)?;
    run.expect("new books: [cancelled, own made]", [counters.cancelled, counters.own_originated], [2, 0])?;
    run.close(filter.file)
}

/// Cancelled while the device completes: what the filter holds is aborted, what is below ends as sent, once each.
fn races_completion(run: &mut Run) -> Result<()> {
    run.load()?;
    let filter = run.open_filter()?;
    for round in 0..4_u64 {
        run.hold(COMPLETE)?;
        run.send_marked(8, A)?;
        let own = filter.send(run, 8, 1)?;
        run.await_device(TX, "all of them off the wire", |tx| tx.off_wire >= 16)?;
        filter.hold(run)?;
        run.send_marked(4, A)?;
        let held = filter.send(run, 4, 1)?;
        // the completions come while the ID goes down
        let cancelling = run.begin_cancel_send(A)?;
        run.release(COMPLETE)?;
        filter.cancel(run, own.ids[0])?;
        filter.cancel(run, held.ids[0])?;
        filter.note_ended(run, held.numbers());
        run.finish_cancel_send(&cancelling)?;
        let sent = 16 * (round + 1);
        run.await_traffic("what was below is sent", sent, sent)?;
        filter.release_all(run)?;
        let aborted = lists(run)?.aborted.len();
        run.expect("aborted", aborted, 4 * (round + 1))?;
        let own = filter.await_counters(run, "own lists back", |counters| counters.own_outstanding == 0)?;
        let seen = [own.own_success, own.own_aborted];
        run.expect("own [sent, aborted]", seen, [8 * (round + 1), 4 * (round + 1)])?;
    }
    run.close(filter.file)
}

/// The filter's cancel, then the queue's below: what is on the ring is taken back, what the filter holds is aborted or
/// paused; nothing is lost.
fn then_queue_cancel(run: &mut Run) -> Result<()> {
    run.load()?;
    let filter = run.open_filter()?;
    run.hold(WIRE)?;
    run.send_marked(16, A)?;
    run.await_device(TX, "16 on the hardware", |tx| tx.available + tx.fetched + tx.on_wire == 16)?;
    filter.hold(run)?;
    run.send_marked(8, A)?;
    run.send_marked(4, B)?;
    run.cancel_send(A)?;
    let seen = held(run, filter)?;
    run.expect("held", seen, (25..=28).collect())?;
    run.pause()?;
    let lists = lists(run)?;
    let seen = [lists.success.len(), lists.aborted.len(), lists.paused.len()];
    run.expect("[success, aborted, paused]", seen, [16, 8, 4])?;
    let tx = &run.facts.tx;
    let seen = [tx.sent.len() + tx.taken_back.len() + tx.never_posted.len(), tx.taken_back.len().min(15)];
    run.expect("[came back from the ring, at least taken back]", seen, [16, 15])?;
    run.release(WIRE)?;
    run.restart()?;
    filter.release_all(run)?;
    let before = run.facts.tx.sent.len();
    run.send_marked(6, A)?;
    run.await_sent("six more sent", before + 6)?;
    run.close(filter.file)
}

/// A gate that stays closed lets a count pass, in order, later ones included.
fn counted_release(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    run.send_marked(5, A)?;
    filter.release(run, 2)?;
    let seen = held(run, filter)?;
    run.expect("held", seen, vec![3, 4, 5])?;
    filter.release(run, 4)?;
    run.send_marked(3, B)?;
    let seen = held(run, filter)?;
    run.expect("held", seen, vec![7, 8])?;
    run.await_traffic("six sent", 6, 6)?;
    run.expect("in order", numbers(&run.facts.tx.sent), (1..=6).collect())?;
    let_go(run, filter, 8)?;
    run.close(filter.file)
}

/// Power goes and comes, and the drivers are unloaded, with lists held: all come back as paused.
fn power_and_detach_while_holding(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    run.send_marked(3, A)?;
    let own = filter.send(run, 3, 1)?;
    run.power_down()?;
    filter.note_ended(run, own.numbers());
    run.cancel_send(A)?;
    run.power_up()?;
    run.send_marked(2, A)?;
    let own = filter.send(run, 2, 1)?;
    filter.note_ended(run, own.numbers());
    run.detach_filter()?;
    run.close(filter.file)?;
    run.unload()?;
    let paused = run.facts.lists.as_ref().map(|lists| lists.paused.len());
    run.expect("paused", paused, Some(5))
}

/// The overlying driver cancels what the filter holds, goes, and comes again.
fn protocol_unbinds(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    run.send_marked(4, A)?;
    run.cancel_send(A)?;
    run.unbind()?;
    let seen = lists(run)?;
    run.expect("[aborted, outstanding]", [seen.aborted.len(), seen.outstanding.len()], [4, 0])?;
    run.bind()?;
    run.send_marked(4, A)?;
    let_go(run, filter, 4)?;
    run.close(filter.file)
}

/// The filter goes, frames pass without it, it comes again and holds once more.
fn detached_and_attached(run: &mut Run) -> Result<()> {
    let filter = holding(run)?;
    run.detach_filter()?;
    run.send_marked(5, A)?;
    run.await_traffic("5 sent and received without it", 5, 5)?;
    run.attach_filter()?;
    filter.hold(run)?;
    run.send_marked(3, B)?;
    let seen = held(run, filter)?;
    run.expect("held again", seen, vec![6, 7, 8])?;
    run.cancel_send(B)?;
    let seen = lists(run)?;
    run.expect("aborted", numbers(&seen.aborted), vec![6, 7, 8])?;
    run.close(filter.file)
}

pub(crate) fn all() -> Vec<Scenario> {
    let all = of_any_driver([
        usual(
            "filter-cancel-none-one-some-all",
            "a cancel by ID hits none, one, some and all of the held lists; the rest keep their order",
            none_one_some_all,
        )
        .needs(&[Need::Protocol]),
        usual(
            "filter-cancel-one-of-two-subgroups",
            "of the filter's own frames in two subgroups, one subgroup is cancelled",
            two_subgroups,
        ),
        usual(
            "filter-cancel-interleaved-ids",
            "of interleaved lists with two IDs, one ID is cancelled and the others keep their order",
            interleaved_ids,
        )
        .needs(&[Need::Protocol]),
        usual(
            "filter-cancel-another-drivers-id",
            "IDs that differ in the high-order byte alone belong to different drivers",
            another_drivers_id,
        )
        .needs(&[Need::Protocol]),
        usual("filter-cancel-null", "a cancel of NULL hits none of the unmarked lists", null_id)
            .needs(&[Need::Protocol]),
        usual(
            "filter-cancel-stale-id",
            "a list that is used again without an ID is not hit by its old one",
            stale_id,
        ),
        usual(
            "filter-cancel-while-paused",
            "cancels and sends that find a paused filter: sends are refused, nothing is hit",
            while_paused,
        )
        .needs(&[Need::Protocol]),
        good(
            "filter-cancel-while-pausing",
            "cancels that come while own lists at the device keep a pause from ending",
            no_watchdog,
            while_pausing,
        )
        .needs(&[Need::Protocol]),
        good(
            "filter-cancel-while-detaching",
            "cancels that come while the filter detaches; a new module begins with new counters",
            no_watchdog,
            while_detaching,
        )
        .needs(&[Need::Protocol]),
        good(
            "filter-cancel-races-completion",
            "a cancel by ID while the device completes: each list ends once, as sent or aborted",
            no_watchdog,
            races_completion,
        )
        .needs(&[Need::Protocol]),
        good(
            "filter-cancel-then-queue-cancel",
            "a cancel by ID, then the queue's cancel: every list ends once, none is lost",
            no_watchdog,
            then_queue_cancel,
        )
        .needs(&[Need::Protocol]),
        usual(
            "filter-counted-release",
            "a held filter lets a given count of lists pass, in order, later ones included",
            counted_release,
        )
        .needs(&[Need::Protocol]),
        usual(
            "filter-power-and-detach-while-holding",
            "lists held while power goes and while the filter is detached come back as paused",
            power_and_detach_while_holding,
        )
        .needs(&[Need::Protocol]),
        usual(
            "filter-protocol-unbinds-and-binds",
            "the driver above cancels what the filter holds, unbinds, and binds again",
            protocol_unbinds,
        )
        .needs(&[Need::Protocol]),
        usual(
            "filter-detached-and-attached-again",
            "frames pass while the filter is detached; attached again, it holds once more",
            detached_and_attached,
        )
        .needs(&[Need::Protocol]),
    ]);
    all.into_iter().map(|scenario| scenario.wants(WITH_OUR_FILTER)).collect()
}
