//! WdfRequestCancelSentRequest, cell by cell: {state of the request} x {with a completion routine or none} x {who is
//! first}, and the life around it.
//!
//! What is expected of each cell stands in [`table`], from the framework's published source; how it is brought about,
//! in [`acts`] and [`sends`]. What was seen comes from the two drivers' own logs, in which each call and callback stands with its
//! thread and IRQL. That the references are right is understudy's part: it stops at a recall without one, and finds
//! what is left over when the drivers are unloaded, as after each of these scenarios.

mod acts;
mod below;
mod broken;
mod life;
mod malformed;
mod queues;
mod sends;
mod stage;
mod status;
mod table;
mod waiting;

use crate::scenario::{Scenario, on_bench};
use anyhow::{Result, bail};
use cancelnic_ioctl::log::event;
use lab::facts::Recall;
use lab::guest::need::Need;
use lab::run::Run;
use lab::run::requests::Logged;
use stage::Stage;
use table::*;

/// Runs the cells of a state, each with and without a completion routine where it can be.
fn row(run: &mut Run, state: &str) -> Result<()> {
    run.load()?;
    let requests = run.open_requests()?;
    let mut number = 0;
    for cell in TABLE.iter().filter(|cell| cell.state == state) {
        for routine in [true, false] {
            if matches!(cell.routine, Routine::Only(only) if only != routine) {
                continue;
            }
            let with = if routine { "with a routine" } else { "without" };
            let first = if cell.first == First::Recall { "recall first" } else { "other side first" };
            let name = format!("{state}, {with}, {first}");
            match &cell.outcome {
                Expected::Impossible(why) => run.step(name, |_| Ok(((), format!("cannot be: {why}"))))?,
                Expected::Seen(act, expected) => {
                    number += 1;
                    let mut stage = Stage::new(requests, routine, number);
                    requests.log(run)?;
                    act(run, &mut stage)?;
                    check(run, &name, cell.how, &stage, expected)?;
                    stage.clear(run)?;
                }
            }
        }
    }
    run.close(requests.relay)?;
    run.close(requests.nic)
}

/// Compares what a cell has shown with what is expected of it.
fn check(run: &mut Run, name: &str, how: &str, stage: &Stage, expected: &Seen) -> Result<()> {
    run.step(name.to_owned(), |run| {
        let words = |part: &str| -> Vec<String> {
            let all = part.split_whitespace();
            all.filter(|word| stage.routine || *word != "completion").map(str::to_owned).collect()
        };
        let (fixed, loose) = expected.log.split_once('|').unwrap_or((expected.log, ""));
        let (fixed, mut loose) = (words(fixed), words(loose));
        let mut seen: Vec<String> = stage.log.iter().map(|logged| logged.what().to_owned()).collect();
        let mut rest = seen.split_off(fixed.len().min(seen.len()));
        // what is loose has an order within each driver's own threads only
        rest.sort();
        loose.sort();
        if (seen.as_slice(), rest.as_slice()) != (fixed.as_slice(), loose.as_slice()) {
            bail!("saw {} {}, expected {}", seen.join(" "), rest.join(" "), expected.log);
        }
        if stage.returned != expected.returned {
            bail!("the recall returned {:?}, expected {:?}", stage.returned, expected.returned);
        }
        if stage.status != Some(expected.status) {
            bail!("final status {:#x?}, expected {:#010x}", stage.status, expected.status);
        }
        if stage.routine {
            check_routine(&stage.log, expected)?;
        }
        run.facts.recalls.extend(stage.returned.map(|returned| Recall {
            request: name.to_owned(),
            returned,
            status: expected.status,
            events: stage.log.iter().map(Logged::told).collect(),
        }));
        Ok(((), how.to_owned()))
    })
}

/// Where the completion routine ran, at which IRQL, and with which status.
fn check_routine(log: &[Logged], expected: &Seen) -> Result<()> {
    let at = |wanted: u32| log.iter().position(|logged| logged.record.event == wanted);
    let (Some(routine), runs) =
        (at(event::COMPLETION), log.iter().filter(|logged| logged.record.event == event::COMPLETION).count())
    else {
        return Ok(());
    };
    let record = log[routine].record;
    if runs != 1 {
        bail!("the completion routine ran {runs} times");
    }
    if record.irql != expected.irql {
        bail!("the completion routine ran at IRQL {}, expected {}", record.irql, expected.irql);
    }
    if record.status != expected.status {
        bail!("the completion routine saw {:#010x}", record.status);
    }
    let inside = log.iter().enumerate().any(|(from, logged)| {
        let same = logged.record.event == event::CANCELLING && logged.record.thread == record.thread;
        let end = log.iter().enumerate().position(|(to, other)| {
            to > from && other.record.event == event::CANCELLED && other.record.thread == record.thread
        });
        same && from < routine && end.is_some_and(|end| routine < end)
    });
    if inside != expected.inside {
        bail!("the completion routine ran inside the recall: {inside}, expected {}", expected.inside);
    }
    Ok(())
}

pub(crate) fn all() -> Vec<Scenario> {
    let mut all = vec![
        on_bench("request-never-sent", "a recall before the send, and one that meets it half way", |run| {
            row(run, NEVER_SENT)
        })
        .needs(&[Need::HoldPoints]),
        on_bench(
            "request-queued-at-the-target",
            "a recall of a request in the receiver's queue, and of one that is leaving it",
            |run| row(run, QUEUED),
        )
        .needs(&[Need::HoldPoints]),
        on_bench("request-parked", "a recall of a request that waits in a stopped target", |run| {
            row(run, PARKED)
        })
        .needs(&[Need::HoldPoints]),
        on_bench(
            "request-cancelable",
            "a recall of a cancelable request calls EvtRequestCancel inside it, or finds it unmarked",
            |run| row(run, CANCELABLE),
        )
        .needs(&[Need::HoldPoints]),
        on_bench(
            "request-not-cancelable",
            "a recall of a request that is not cancelable leaves it to its receiver",
            |run| row(run, NOT_CANCELABLE),
        ),
        on_bench(
            "request-becoming-cancelable",
            "a recall that meets the receiver while it marks the request cancelable",
            |run| row(run, BECOMING),
        )
        .needs(&[Need::HoldPoints]),
        on_bench(
            "request-forwarded",
            "a recall of a request that its receiver has forwarded to another queue",
            |run| row(run, FORWARDED),
        ),
        on_bench("request-completed", "a recall of a completed request changes nothing", |run| {
            row(run, COMPLETED)
        }),
        on_bench("request-completing-now", "a recall that meets the completion while it runs", |run| {
            row(run, COMPLETING)
        })
        .needs(&[Need::HoldPoints]),
        on_bench(
            "request-cancelled-twice",
            "a second recall, later or at the same time, finds nothing",
            |run| row(run, TWICE),
        )
        .needs(&[Need::HoldPoints]),
        on_bench("request-synchronous", "a recall of a synchronous send by another thread", |run| {
            row(run, SYNCHRONOUS)
        }),
        on_bench(
            "request-with-timeout",
            "a recall before a time-out, and time-outs that recall by themselves",
            |run| row(run, TIMEOUT),
        ),
        on_bench(
            "request-send-and-forget",
            "a recall of a request that was sent and forgotten finds nothing",
            |run| row(run, FORGOTTEN),
        ),
        on_bench(
            "request-passed-on",
            "a recall of a program's request that the relay has passed on",
            |run| row(run, PASSED),
        ),
        on_bench(
            "request-ignoring-target-state",
            "a request sent although its target is stopped is recalled like any other",
            |run| row(run, IGNORING),
        ),
    ];
    all.extend(life::all());
    all.extend(queues::all());
    all.extend(below::all());
    all.extend(malformed::all());
    all.extend(broken::all());
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_cell_of_the_matrix_is_there() {
        let states: HashSet<_> = TABLE.iter().map(|cell| cell.state).collect();
        assert_eq!(states.len(), 15);
        for state in states.into_iter().filter(|state| *state != IGNORING) {
            for first in [First::Recall, First::Other] {
                for routine in [true, false] {
                    let there = TABLE.iter().any(|cell| {
                        let fits = match cell.routine {
                            Routine::Both => true,
                            Routine::Only(only) => only == routine,
                        };
                        cell.state == state && cell.first == first && fits
                    });
                    assert!(there, "{state}, routine {routine}, {first:?}");
                }
            }
        }
    }
}
