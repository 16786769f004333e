//! The page for people: verdict and cause, the fates of all frames, the time line, then what differs. One file: nothing
//! is fetched, and nothing needs a script.

use super::model::{Print, QueueFinding, Report};
use super::table::{fault_line, seen_at_device};
use super::witness::{self, Difference};
use super::{line, strip};
use crate::device::trace::Given;
use crate::facts::Facts;
use crate::facts::hang::Hang;
use crate::guest::crash::Crash;
use crate::guest::symbols::Stack;
use agent_protocol::Violation;
use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");

/// Files that a run can leave beside its page, and what each is for.
const FILES: [(&str, &str); 7] = [
    ("report.json", "this report for programs"),
    ("capture.pcapng", "every frame, for Wireshark"),
    (
        "cancelnic.lua",
        "Wireshark columns for number, way and fate: wireshark -X lua_script:cancelnic.lua capture.pcapng",
    ),
    ("trace.json", "the run on one clock, to be opened in Perfetto (ui.perfetto.dev)"),
    ("guest.log", "what the guest and its drivers printed"),
    ("device.log", "what the device process printed"),
    ("qemu.log", "what QEMU printed"),
];

/// The whole page. `commands` are those that the device carried out. `beside` tells whether a file of that name is in the page's folder.
pub(super) fn page(
    report: &Report,
    facts: &Facts,
    commands: &[Given],
    beside: impl Fn(&str) -> bool,
) -> String {
    let name = if facts.origin.name.is_empty() { "run" } else { facts.origin.name };
    let runs = &report.frames;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "cancelnic " (name) ": " (report.verdict) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "cancelnic " (name) " " span.badge.(report.verdict) { (report.verdict) } }
                    (summary(report, facts))
                    (cause(report, facts))
                }
                main {
                    h2 { "What became of the frames" }
                    (strip::strip(runs))
                    (warnings(&report.warnings))
                    @if report.verdict != "good" { (self::prints(&report.prints)) }
                    @for stack in &report.stacks { (self::stack(stack)) }
                    @for hang in &report.hangs { (self::hang(hang)) }
                    @for crash in &report.crashes { (self::crash(crash)) }
                    h2 { "Time line" }
                    (line::time_line(facts, commands))
                    h2 { "Who saw what" }
                    (witnesses(facts))
                    h2 { "Device judge" }
                    (findings(report))
                    (subgroups(report))
                    (recalls(report))
                    h2 { "Frames" }
                    (strip::table(runs))
                    h2 { "About this run" }
                    (about(report))
                    (files(&beside))
                }
            }
        }
    };
    page.into_string()
}

fn date(date: DateTime<Utc>) -> String {
    date.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

fn summary(report: &Report, facts: &Facts) -> Markup {
    let guest = facts.greeting.as_ref().map_or_else(|| report.guest.clone(), |greeting| greeting.name());
    let about = &report.about;
    html! {
        p.facts {
            @if let Some(at) = about.date { span { (date(at)) } }
            span { (format!("{:.1} s", about.ms / 1e3)) }
            @if !guest.is_empty() { span { "guest " (guest) } }
            span { "seed " (report.seed) }
            @if let Some(commit) = &about.versions.commit { span { "commit " code { (commit) } } }
        }
    }
}

/// The cause first; what else was found behind it.
fn cause(report: &Report, facts: &Facts) -> Markup {
    let notes = seen_at_device(facts);
    html! {
        @if let Some((first, others)) = report.violations.split_first() {
            div.cause {
                p.first { (fault_line(first)) }
                @if !others.is_empty() {
                    ul { @for fault in others.iter().take(SHOWN) { li { (fault_line(fault)) } } }
                }
                @if others.len() > SHOWN {
                    p { "and " (others.len() - SHOWN) " more, all of them in report.json" }
                }
            }
        } @else {
            div.cause.good {
                p.first { "Every rule holds: each frame has exactly one fate, and everyone who saw it agrees." }
            }
        }
        @if let Some(why) = &report.refused { p { "This guest can never do it: " (why) } }
        @for note in notes { p { (note) } }
    }
}

/// Faults behind the first one that are shown.
const SHOWN: usize = 12;

/// Rules that were broken and do not count.
fn warnings(warnings: &[Violation]) -> Markup {
    html! {
        @if !warnings.is_empty() {
            h2 { "Warnings" }
            ul { @for warning in warnings { li { (fault_line(warning)) } } }
        }
    }
}

/// The drivers' own lines: of a driver that gave up, they have the reason.
fn prints(prints: &[Print]) -> Markup {
    html! {
        @if !prints.is_empty() {
            h2 { "Printed by the drivers" }
            pre { @for print in prints { (format!("{:9.1} ms  {}\n", print.ms, print.text)) } }
        }
    }
}

fn crash(crash: &Crash) -> Markup {
    html! { h2 { (crash.title()) } pre { (crash.text()) } }
}

fn stack(stack: &Stack) -> Markup {
    html! {
        h2 { (stack.title()) }
        ol.stack { @for line in stack.lines() { li { code { (line) } } } }
        @for note in &stack.notes { p { (note) } }
    }
}

fn hang(hang: &Hang) -> Markup {
    html! {
        h2 { (hang.title()) }
        dl { @for (name, seen) in hang.parts() { dt { (name) } dd { (seen) } } }
    }
}

/// Where the witnesses differ; one sentence where they do not.
fn witnesses(facts: &Facts) -> Markup {
    let counts = witness::counts(facts);
    let differing: Vec<_> = counts.iter().filter(|count| count.differs()).collect();
    let differences = witness::differences(facts);
    html! {
        @if differing.is_empty() {
            p { "All agree: " (witness::sentence(&counts)) "." }
        } @else {
            table {
                tr { th {} @for witness in witness::NAMES { th { (witness) } } }
                @for count in &differing {
                    tr.differs {
                        td { (count.what) }
                        @for said in count.said { td { @if let Some(said) = said { (said) } @else { "-" } } }
                    }
                }
            }
            @if counts.len() > differing.len() {
                p.quiet { "They agree on the rest: " (witness::sentence(counts.iter().filter(|count| !count.differs()))) "." }
            }
        }
        @if !differences.is_empty() {
            dl { @for Difference { what, frames } in &differences { dt { (what) } dd { (frames) } } }
        }
        @for damaged in &facts.capture.damaged { p.bad { (damaged) } }
    }
}

/// What the device saw the driver do that it must not.
fn findings(report: &Report) -> Markup {
    html! {
        @if report.findings.is_empty() {
            p { "It checked descriptors, buffers, rings, doorbells and command words, and found nothing." }
        } @else {
            table {
                tr { th { "queue" } th.text { "finding" } th { "descriptor" } th { "ms on the device's clock" } }
                @for QueueFinding { queue, finding } in &report.findings {
                    tr {
                        td { (queue) }
                        td.text { (finding.rule) }
                        td { @if let Some(index) = finding.descriptor { (index) } @else { "-" } }
                        td { (format!("{:.3}", finding.us as f64 / 1e3)) }
                    }
                }
            }
        }
    }
}

fn subgroups(report: &Report) -> Markup {
    html! {
        @if !report.subgroups.is_empty() {
            h2 { "Cancelled by ID" }
            table {
                tr { th { "cancellation ID" } th { "given" } th { "sent" } th { "aborted" } }
                @for group in &report.subgroups {
                    tr {
                        td { code { (group.cancel_id) } }
                        td { (group.given) }
                        td { (group.sent) }
                        td { (group.aborted) }
                    }
                }
            }
        }
    }
}

fn recalls(report: &Report) -> Markup {
    html! {
        @if !report.recalls.is_empty() {
            h2 { "Recalled requests" }
            @for recall in &report.recalls {
                p {
                    (recall.request) ": " code { "WdfRequestCancelSentRequest" } " returned "
                    @if recall.returned { "TRUE" } @else { "FALSE" }
                    ", final status " code { (recall.status) } "."
                }
                table {
                    tr { th { "driver" } th.text { "event" } th { "IRQL" } }
                    @for event in &recall.events {
                        tr { td { (event.driver) } td.text { (event.what) } td { (event.irql) } }
                    }
                }
            }
        }
    }
}

fn about(report: &Report) -> Markup {
    let about = &report.about;
    let versions = &about.versions;
    html! {
        dl {
            @if !about.command.is_empty() { dt { "again" } dd { code { (about.command) } } }
            @if let Some(at) = about.date { dt { "date" } dd { (date(at)) } }
            dt { "duration" } dd { (format!("{:.3} s", about.ms / 1e3)) }
            @if let Some(commit) = &versions.commit { dt { "commit" } dd { code { (commit) } } }
            dt { "versions" }
            dd {
                "rig " (versions.rig)
                @if let Some(qemu) = &versions.qemu { ", QEMU " (qemu) }
                @if let Some(rustc) = &versions.rustc { ", " (rustc) }
            }
            dt { "seed" } dd { (report.seed) }
        }
        @if !report.drivers.is_empty() {
            details.fold {
                summary { "SHA-256 of the drivers" }
                dl { @for driver in &report.drivers { dt { (driver.file) } dd { code { (driver.sha256) } } } }
            }
        }
    }
}

/// Links to the files in the page's folder.
fn files(beside: impl Fn(&str) -> bool) -> Markup {
    let there: Vec<_> = FILES.iter().filter(|(name, _)| beside(name)).collect();
    html! {
        @if !there.is_empty() {
            h2 { "Files" }
            dl { @for (name, what) in there { dt { a href=(name) { (name) } } dd { (what) } } }
        }
    }
}
