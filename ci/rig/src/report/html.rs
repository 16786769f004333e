//! The page for people: verdict, time line, sets, steps, faults. One file, no scripts, nothing fetched.

use super::table::{fault_line, seen_at_device};
use super::{QueueFinding, Report, svg};
use crate::crash::Crash;
use crate::facts::Facts;
use crate::hang::Hang;
use crate::verdict::runs;
use agent_protocol::Ids;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1140px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.5em; } h2 { font-size: 1.15em; margin-top: 2em; }
table { border-collapse: collapse; } th, td { border-bottom: 1px solid var(--line); padding: .25em .8em; text-align: right; }
th:first-child, td:first-child, .text { text-align: left; }
td.text { overflow-wrap: anywhere; }
.good { color: var(--good); } .bad { color: var(--bad); }
.verdict { font-weight: 700; }
code { overflow-wrap: anywhere; }
svg { width: 100%; font: 11px system-ui, sans-serif; }
svg text { fill: currentColor; } svg text.axis { opacity: .7; } svg text.mark { fill: #fff; }
.tick { stroke: var(--line); }
.step { fill: #57606a; } .failed { fill: #cf222e; } .callback { fill: #0969da; } .cancel { fill: #bc4c00; }
.state-RUNNING { fill: #1a7f37; } .state-CANCELLING { fill: #bc4c00; } .state-DRAINING { fill: #8250df; }
.state-STOPPED { fill: #9a6700; } .state-out { fill: #8c959f; }
.key span { margin-right: 1.2em; } .key i { display: inline-block; width: .8em; height: .8em; margin-right: .3em; }
";

/// Text as HTML.
pub fn escape(text: &str) -> String {
    maud::html! { (text) }.into_string()
}

/// The whole page.
pub fn page(report: &Report, facts: &Facts) -> String {
    let class = report.verdict;
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>cancelnic: {class}</title>\
         <style>{STYLE}</style></head><body>\n\
         <h1>cancelnic run: <span class=\"verdict {class}\">{class}</span></h1>\n{}{}{}{}\
         <h2>Time line</h2>\n{}\n{}\n\
         <h2>Queues</h2>\n{}\n<h2>Device-side judge</h2>\n{}\n<h2>Sets</h2>\n{}\n{}{}<h2>Steps</h2>\n{}\n</body></html>\n",
        about(report, facts),
        faults(report),
        hangs(report),
        crashes(report),
        svg::time_line(facts),
        key(),
        queues(report, facts),
        findings(report),
        sets(facts),
        subgroups(report),
        recalls(report),
        steps(report, facts)
    )
}

fn about(report: &Report, facts: &Facts) -> String {
    let boot = facts.greeting.as_ref().map_or(0, |greeting| greeting.boot.as_millis());
    let guest = facts.greeting.as_ref().map_or_else(|| report.guest.clone(), |greeting| greeting.name());
    let mut text = format!("<p>Guest {}, seed {}, booted in {boot} ms.</p>\n", escape(&guest), report.seed);
    let notes = seen_at_device(facts).into_iter().map(|note| format!("<p>{}</p>\n", escape(&note)));
    text.extend(notes);
    for driver in &report.drivers {
        text.push_str(&format!(
            "<p>{} <code>sha256 {}</code></p>\n",
            escape(&driver.file),
            escape(&driver.sha256)
        ));
    }
    text
}

fn faults(report: &Report) -> String {
    if report.violations.is_empty() {
        return String::new();
    }
    let items: String = report
        .violations
        .iter()
        .map(|fault| format!("<li class=\"bad\">{}</li>\n", escape(&fault_line(fault))))
        .collect();
    format!("<h2>Faults</h2>\n<ul>{items}</ul>\n")
}

fn crashes(report: &Report) -> String {
    let text = |crash: &Crash| {
        format!("<h2>{}</h2>\n<pre>{}</pre>\n", escape(&crash.title()), escape(&crash.text()))
    };
    let refused =
        report.refused.iter().map(|why| format!("<p>This guest can never do it: {}</p>\n", escape(why)));
    report.crashes.iter().map(text).chain(refused).collect()
}

fn hangs(report: &Report) -> String {
    let hang = |hang: &Hang| {
        let parts = hang.parts();
        let rows = parts.iter().map(|(name, seen)| {
            format!("<tr><td>{name}</td><td class=\"text\">{}</td></tr>\n", escape(seen))
        });
        let rows: String = rows.collect();
        format!("<h2>{}</h2>\n<table>{rows}</table>\n", escape(&hang.title()))
    };
    report.hangs.iter().map(hang).collect()
}

fn key() -> String {
    let colours = [
        ("#1a7f37", "RUNNING"),
        ("#bc4c00", "CANCELLING, EvtCancel"),
        ("#9a6700", "STOPPED"),
        ("#8c959f", "out of service"),
        ("#0969da", "other callbacks"),
    ];
    let items: String = colours
        .iter()
        .map(|(colour, name)| format!("<span><i style=\"background:{colour}\"></i>{name}</span>"))
        .collect();
    format!(
        "<p class=\"key\">{items}</p><p>0 ms: the guest is up. Device states are those that the rig saw after each step. The guest's clock is \
         set against the rig's by its greeting; while the virtual machine stands still, they differ.</p>"
    )
}

fn queues(report: &Report, facts: &Facts) -> String {
    let mut rows = String::new();
    for queue in &report.queues {
        let sends = queue.queue.starts_with("tx");
        let on_wire = facts.capture.outbound.len() as u64;
        let cells = [
            (sends, queue.posted),
            (sends, queue.sent),
            (sends, queue.taken_back),
            (sends, queue.never_posted),
            (sends, on_wire),
            (!sends, queue.received),
            (!sends, queue.returned_empty),
        ];
        let cells: String = cells
            .iter()
            .map(|(applies, count)| if *applies { format!("<td>{count}</td>") } else { "<td>-</td>".into() })
            .collect();
        rows.push_str(&format!("<tr><td>{}</td>{cells}</tr>\n", escape(&queue.queue)));
    }
    format!(
        "<table><tr><th>queue</th><th>posted</th><th>sent</th><th>taken back</th><th>never posted</th>\
         <th>on the wire</th><th>received</th><th>returned empty</th></tr>\n{rows}</table>\n\
         <p><i>posted</i>: given to the packet ring by the sender. <i>on the wire</i>: outbound frames in the device's \
         capture, <code>{}</code>.</p>",
        escape(&report.capture)
    )
}

/// What the device saw the driver do that it must not.
fn findings(report: &Report) -> String {
    if report.findings.is_empty() {
        return "<p>It watched descriptors, buffers, rings, doorbells and command words, and found nothing.</p>".into();
    }
    let rows: String = report
        .findings
        .iter()
        .map(|QueueFinding { queue, finding }| {
            let descriptor = finding.descriptor.map_or_else(|| "-".into(), |index| index.to_string());
            let (queue, rule) = (escape(queue), escape(&finding.rule));
            let ms = finding.us as f64 / 1e3;
            format!("<tr><td>{queue}</td><td class=\"text\">{rule}</td><td>{descriptor}</td><td>{ms:.3}</td></tr>\n")
        })
        .collect();
    format!(
        "<table><tr><th>queue</th><th class=\"text\">finding</th><th>descriptor</th>\
         <th>at, ms on the device's clock</th></tr>\n{rows}</table>"
    )
}

fn sets(facts: &Facts) -> String {
    let on_wire: Ids = facts.capture.outbound.iter().copied().collect();
    let rows: String = [
        ("sent", &facts.tx.sent),
        ("taken back", &facts.tx.taken_back),
        ("never posted", &facts.tx.never_posted),
        ("on the wire", &on_wire),
        ("received", &facts.rx.received),
    ]
    .iter()
    .map(|(name, ids)| {
        format!("<tr><td>{name}</td><td>{}</td><td class=\"text\">{}</td></tr>\n", ids.len(), runs(ids))
    })
    .collect();
    format!("<table><tr><th>set</th><th>frames</th><th class=\"text\">numbers</th></tr>\n{rows}</table>")
}

fn subgroups(report: &Report) -> String {
    if report.subgroups.is_empty() {
        return String::new();
    }
    let rows: String = report
        .subgroups
        .iter()
        .map(|group| {
            format!(
                "<tr><td><code>{}</code></td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&group.cancel_id),
                group.given,
                group.sent,
                group.aborted
            )
        })
        .collect();
    format!(
        "<h2>Cancelled by ID</h2>\n<table><tr><th>cancellation ID</th><th>given</th><th>sent</th>\
         <th>aborted</th></tr>\n{rows}</table>\n"
    )
}

fn recalls(report: &Report) -> String {
    if report.recalls.is_empty() {
        return String::new();
    }
    let mut text = String::from("<h2>Recalled requests</h2>\n");
    for recall in &report.recalls {
        let returned = if recall.returned { "TRUE" } else { "FALSE" };
        let rows: String = recall
            .events
            .iter()
            .map(|event| {
                format!(
                    "<tr><td>{}</td><td class=\"text\">{}</td><td>{}</td></tr>\n",
                    escape(event.driver),
                    escape(event.what),
                    event.irql
                )
            })
            .collect();
        text.push_str(&format!(
            "<p>{}: <code>WdfRequestCancelSentRequest</code> returned {returned}, final status <code>{}</code>.</p>\n\
             <table><tr><th>driver</th><th class=\"text\">event</th><th>IRQL</th></tr>\n{rows}</table>\n",
            escape(&recall.request),
            escape(&recall.status)
        ));
    }
    text
}

fn steps(report: &Report, facts: &Facts) -> String {
    let rows: String = report
        .steps
        .iter()
        .zip(&facts.steps)
        .map(|(step, fact)| {
            let (class, mark) = if step.ok { ("good", "ok") } else { ("bad", "failed") };
            format!(
                "<tr><td>{:.3}</td><td>{:.1}</td><td class=\"{class}\">{mark}</td><td class=\"text\">{}</td>\
                 <td class=\"text\">{}</td></tr>\n",
                fact.at.as_secs_f64(),
                step.ms,
                escape(&step.name),
                escape(&step.detail)
            )
        })
        .collect();
    format!(
        "<table><tr><th>at, s</th><th>took, ms</th><th></th><th class=\"text\">step</th><th class=\"text\">seen</th></tr>\n{rows}</table>"
    )
}
