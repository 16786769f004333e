//! The time line: steps of the rig, states of the device's queues, callbacks of the driver, from top to bottom on one
//! clock. Moments that follow each other closely are drawn one below the other; a wait is a break.

use crate::device::trace::{Given, Sample};
use crate::device::{RX, TX};
use crate::facts::{Callback, Facts, Step};
use maud::{Markup, html};
use std::time::Duration;

/// A time without any moment that is drawn as a break.
const LONG: Duration = Duration::from_millis(100);
/// The queues with a band of their own.
const QUEUES: [&str; 2] = [TX.name(), RX.name()];
/// Changes of STATE that follow each other within this time are drawn as one.
const AT_ONCE: Duration = Duration::from_millis(1);
/// So many uneventful steps in a row are folded.
const FOLDED: usize = 2;

/// Something that happens at a moment.
#[derive(Clone, Copy)]
enum What<'a> {
    Step(&'a Step),
    State(&'a Sample),
    Callback(&'a Callback),
    Command(&'a Given),
}

/// A row: what is drawn beside the two bands.
struct Row<'a> {
    at: Duration,
    /// STATE of the queues from this row on.
    states: [&'a str; 2],
    kind: Mark<'a>,
}

enum Mark<'a> {
    Step(&'a Step),
    /// Callbacks and changes of STATE in their order, during the step before.
    Doings(Vec<What<'a>>),
    /// Nothing happens for so long.
    Break(Duration),
}

impl Row<'_> {
    /// A step without any visible effect, which went well.
    fn is_step(&self) -> bool {
        matches!(self.kind, Mark::Step(step) if step.ok)
    }

    fn is_break(&self) -> bool {
        matches!(self.kind, Mark::Break(_))
    }
}

/// All rows in order.
fn rows<'a>(facts: &'a Facts, commands: &'a [Given]) -> Vec<Row<'a>> {
    let steps = facts.steps.iter().map(|step| (step.at, What::Step(step)));
    let states = facts.states.iter().map(|sample| (sample.at, What::State(sample)));
    let callbacks = facts.callbacks.iter().map(|callback| (callback.at, What::Callback(callback)));
    let commands = commands.iter().map(|command| (command.at, What::Command(command)));
    let mut moments: Vec<_> = steps.chain(callbacks).chain(commands).chain(states).collect();
    moments.sort_by_key(|(at, _)| *at);

    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut states = ["-"; 2];
    let mut last = Duration::ZERO;
    for (at, what) in moments {
        let pause = at.saturating_sub(last);
        if pause >= LONG {
            rows.push(Row { at: last, states, kind: Mark::Break(pause) });
        }
        last = match what {
            // What a step waited for is over when the next moment comes.
            What::Step(_) | What::State(_) => at,
            What::Callback(callback) => at + callback.took,
            What::Command(command) => at + command.took,
        }
        .max(last);
        if let What::State(sample) = what
            && let Some(place) = QUEUES.iter().position(|queue| *queue == sample.queue)
        {
            states[place] = &sample.state;
        }
        match (what, rows.last_mut()) {
            (What::Step(step), _) => rows.push(Row { at, states, kind: Mark::Step(step) }),
            // A change of STATE begins a row, so that the bands change there; changes at once share it.
            (What::State(_), Some(Row { states: band, kind: Mark::Doings(doings), .. })) if matches!(doings.last(), Some(What::State(other)) if at.saturating_sub(other.at) < AT_ONCE) =>
            {
                *band = states;
                doings.push(what);
            }
            (What::Callback(_) | What::Command(_), Some(Row { kind: Mark::Doings(doings), .. })) => {
                doings.push(what)
            }
            _ => rows.push(Row { at, states, kind: Mark::Doings(vec![what]) }),
        }
    }
    let end = facts.steps.iter().map(|step| step.at + step.took).max().unwrap_or_default();
    if end.saturating_sub(last) >= LONG {
        rows.push(Row { at: last, states, kind: Mark::Break(end - last) });
    }
    rows
}

/// The rows, those of uneventful steps together. A step is uneventful if it went well and neither a callback ran nor a
/// STATE changed during it.
fn folds<'a, 'f>(rows: &'a [Row<'f>]) -> Vec<&'a [Row<'f>]> {
    let quiet = |at: usize| {
        let (row, next) = (rows.get(at), rows.get(at + 1));
        row.is_some_and(Row::is_step)
            && next.is_none_or(|next| !matches!(next.kind, Mark::Doings(_)) && !next.is_break())
    };
    let mut folds = Vec::new();
    let mut at = 0;
    while at < rows.len() {
        let length = (at..rows.len()).take_while(|&at| quiet(at)).count();
        let length = if length > FOLDED { length } else { 1 };
        folds.extend(rows.get(at..at + length));
        at += length;
    }
    folds
}

/// The time line with its key.
pub(super) fn time_line(facts: &Facts, commands: &[Given]) -> Markup {
    let rows = rows(facts, commands);
    let zero = facts.origin.began.map(|began| began.format("%Y-%m-%d %H:%M:%S%.6f UTC").to_string());
    html! {
        (key())
        p.quiet {
            "0 ms is the start of the run, here and in " code { "trace.json" }
            @if let Some(zero) = zero { "; in the capture that is " code { (zero) } }
            ". The guest's clock is set against the rig's by its greeting; while the virtual machine is paused, the two drift apart."
        }
        ol.line {
            li.m.head { span.t { "ms" } @for queue in QUEUES { span { (queue) } } span.body {} }
            @for fold in folds(&rows) {
                @if let [only] = fold { (row(only)) } @else { (folded(fold)) }
            }
        }
    }
}

fn folded(fold: &[Row<'_>]) -> Markup {
    let names: Vec<&str> = fold
        .iter()
        .filter_map(|row| if let Mark::Step(step) = row.kind { Some(step.name.as_str()) } else { None })
        .collect();
    let first = fold.first();
    html! {
        li {
            details {
                summary { (edge(first)) span.body { (names.len()) " more steps: " (names.join(" \u{b7} ")) } }
                ol.line { @for row in fold { (self::row(row)) } }
            }
        }
    }
}

/// Time and bands of a row.
fn edge(row: Option<&Row<'_>>) -> Markup {
    let Some(row) = row else { return html! {} };
    html! {
        span.t { (ms(row.at)) }
        @for state in row.states { span.s.(class(state)) {} }
    }
}

fn row(row: &Row<'_>) -> Markup {
    match &row.kind {
        Mark::Step(step) => html! {
            li.m.failed[!step.ok] {
                (edge(Some(row)))
                span.body {
                    @if !step.ok { b.bad { "failed: " } }
                    span.name { (step.name) }
                    @if !step.detail.is_empty() { " " span.seen { (step.detail) } }
                    @if step.took >= Duration::from_millis(1) { " " span.seen { "(" (ms(step.took)) " ms)" } }
                }
            }
        },
        Mark::Doings(doings) => html! {
            li.m { (edge(Some(row))) span.body { @for doing in runs(doings) { (doing) } } }
        },
        Mark::Break(pause) => html! {
            li.m.gap {
                span.t { "\u{22ee}" }
                @for state in row.states { span.s.(class(state)) {} }
                span.body { (seconds(*pause)) " pass" }
            }
        },
    }
}

/// Tags; callbacks of one name in a row are one tag.
fn runs(doings: &[What<'_>]) -> Vec<Markup> {
    let same = |one: &What<'_>, other: &What<'_>| matches!((one, other), (What::Callback(one), What::Callback(other)) if one.queue == other.queue && one.what == other.what);
    doings.chunk_by(same).map(tag).collect()
}

fn tag(doings: &[What<'_>]) -> Markup {
    match doings {
        [What::State(sample), ..] => html! {
            span.tag.state { span.s.(class(&sample.state)) {} (sample.queue) " " (name(&sample.state)) }
        },
        [What::Callback(first), ..] => {
            let all = doings
                .iter()
                .filter_map(|doing| if let What::Callback(callback) = doing { Some(callback) } else { None });
            let us: u128 = all.map(|callback| callback.took.as_micros()).sum();
            let cancel = first.what == "EvtCancel";
            html! {
                span.tag.cb.cancel[cancel] title={ "begins at " (ms(first.at)) " ms, IRQL " (first.irql) } {
                    @if first.queue != "device" { (first.queue) " " } (first.what)
                    @if doings.len() > 1 { " \u{d7}" (doings.len()) }
                    @if us > 0 || first.irql > 0 {
                        " " span.us { (us) " \u{b5}s" @if first.irql > 0 { " IRQL " (first.irql) } }
                    }
                }
            }
        }
        [What::Command(command), ..] => html! {
            span.tag.cmd title={ "at " (ms(command.at)) " ms on the device's side" } {
                (command.queue) " " (command.name) " \u{2192} " (command.state)
                @if command.name == "CANCEL" { ", COUNT " (command.count) }
                " " span.us { (command.took.as_micros()) " \u{b5}s" }
            }
        },
        _ => html! {},
    }
}

fn key() -> Markup {
    html! {
        ul.key {
            @for state in ["RUNNING", "CANCELLING", "DRAINING", "STOPPED", "-"] {
                li { span.s.(class(state)) {} "STATE " (name(state)) }
            }
            li { span.tag.cb { "callback" } "of the driver, its duration and IRQL" }
            li { span.tag.cb.cancel { "EvtCancel" } }
            li { span.tag.cmd { "command" } "to the device, and STATE after it" }
            li { span.box {} "failed step" }
            li { span.zig {} "a wait, compressed" }
        }
    }
}

/// A state's class in the style sheet.
fn class(state: &str) -> &'static str {
    match state {
        "RUNNING" => "running",
        "CANCELLING" => "cancelling",
        "DRAINING" => "draining",
        "STOPPED" => "stopped",
        _ => "out",
    }
}

fn name(state: &str) -> &str {
    if state == "-" { "out of service" } else { state }
}

fn ms(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1e3)
}

fn seconds(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}
