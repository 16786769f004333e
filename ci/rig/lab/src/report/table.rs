//! The table and the step lines on a terminal.

use crate::base::console;
use crate::device::capture::Foreign;
use crate::device::{RX, TX};
use crate::facts::{Facts, Step};
use crate::verdict::{RUNS_SHOWN, runs};
use agent_protocol::{Ids, QueueReport, Violation};
use cancelnic_registers::{Direction, QueueId};
use comfy_table::presets::{ASCII_MARKDOWN, UTF8_FULL_CONDENSED};
use comfy_table::{CellAlignment, ContentArrangement, Table};
use std::collections::BTreeMap;
use std::io::IsTerminal;

/// How to write to standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Colours and lines.
    Rich,
    /// Plain text, for files and logs.
    Plain,
}

impl Style {
    /// That of the stream to which `println!` goes.
    pub fn of_stdout() -> Self {
        if console::is_on_errors() { Self::of(&std::io::stderr()) } else { Self::of(&std::io::stdout()) }
    }

    /// Rich on a terminal that knows escape sequences, unless NO_COLOR or CI is set.
    fn of(stream: &impl IsTerminal) -> Self {
        let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let plain = ["NO_COLOR", "CI"].into_iter().any(|name| set(name).is_some());
        let dumb = set("TERM").is_none_or(|terminal| terminal == "dumb");
        if stream.is_terminal() && !plain && !dumb { Self::Rich } else { Self::Plain }
    }

    fn paint(self, text: &str, colour: u8) -> String {
        match self {
            Self::Rich => format!("\x1b[{colour}m{text}\x1b[0m"),
            Self::Plain => text.to_owned(),
        }
    }

    /// What is well.
    pub fn good(self, text: &str) -> String {
        self.paint(text, 32)
    }

    /// What is not.
    pub fn bad(self, text: &str) -> String {
        self.paint(text, 31)
    }
}

/// One step: when it began, what, what was seen.
pub fn step_line(step: &Step, style: Style) -> String {
    let mark = if step.ok { style.good("ok  ") } else { style.bad("FAIL") };
    format!("{:8.3} s  {mark}  {:<36} {}", step.at.as_secs_f64(), step.name, step.detail)
        .trim_end()
        .to_owned()
}

/// Where the detail of a step goes on if it is too long for one line.
pub const MARGIN: usize = 20;
/// The same for the numbers of a set.
pub const SET_MARGIN: usize = 15;

/// Whether a set of frames is too long for the terminal, and shown only in part.
pub fn has_long_sets(facts: &Facts) -> bool {
    let of_tx = [&facts.tx.sent, &facts.tx.taken_back, &facts.tx.never_posted];
    of_tx.into_iter().chain([&facts.rx.received]).any(|ids| ids.0.len() > RUNS_SHOWN)
}

/// The tables of subgroups and recalled requests, where there were any; tables are at most `width` characters wide.
pub fn cancels(facts: &Facts, style: Style, width: usize) -> Option<String> {
    let mut text = Vec::new();
    if !facts.subgroups.is_empty() {
        let mut table = new_table(style, width, &["cancellation ID", "given", "sent", "aborted"]);
        for group in &facts.subgroups {
            table.add_row([
                format!("{:#x}", group.cancel_id),
                group.given.len().to_string(),
                group.sent(facts).len().to_string(),
                group.aborted.len().to_string(),
            ]);
        }
        text.push(align(table).to_string());
    }
    for recall in &facts.recalls {
        let returned = if recall.returned { "TRUE" } else { "FALSE" };
        text.push(format!(
            "recalled: {}: WdfRequestCancelSentRequest returned {returned}, final status {:#010x}",
            recall.request, recall.status
        ));
        text.extend(
            recall
                .events
                .iter()
                .map(|event| format!("  {:<16} {:<40} IRQL {}", event.driver, event.what, event.irql)),
        );
    }
    (!text.is_empty()).then(|| text.join("\n"))
}

fn new_table(style: Style, width: usize, header: &[&str]) -> Table {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(width.try_into().unwrap_or(u16::MAX));
    table.load_style(if style == Style::Rich { UTF8_FULL_CONDENSED } else { ASCII_MARKDOWN });
    table.set_header(header);
    table
}

/// Numbers to the right; the first column names things.
fn align(mut table: Table) -> Table {
    for column in 1..table.column_count() {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The table of both queues, at most `width` characters wide, and their sets.
pub fn queues(facts: &Facts, style: Style, width: usize) -> String {
    let kept = facts.kept();
    let mut header =
        vec!["queue", "posted", "sent", "taken back", "never posted", "on the wire", "received", "empty"];
    // Nothing is kept in a good run: then the column says nothing.
    if !kept.is_empty() {
        header.insert(5, "kept");
    }
    let mut table = new_table(style, width, &header);
    let on_wire = facts.capture.outbound.len().to_string();
    for (queue, report) in [(TX, &facts.tx), (RX, &facts.rx)] {
        let mut row = row(queue, report, &on_wire).to_vec();
        if !kept.is_empty() {
            row.insert(5, if queue == TX { kept.len().to_string() } else { "-".into() });
        }
        table.add_row(row);
    }
    let mut text = align(table).to_string();
    for (name, ids) in [
        ("sent", &facts.tx.sent),
        ("taken back", &facts.tx.taken_back),
        ("never posted", &facts.tx.never_posted),
        ("kept", &kept),
        ("on the wire", &facts.capture.outbound.iter().copied().collect::<Ids>()),
        ("received", &facts.rx.received),
    ] {
        if name != "kept" || !ids.is_empty() {
            text.push_str(&format!("\n  {name:<12} {}", runs(ids)));
        }
    }
    text.push_str(&format!("\n  {:<12} {}", "device judge", judge_line(facts)));
    seen_at_device(facts).iter().for_each(|note| text.push_str(&format!("\n{note}")));
    text
}

/// Rules that were broken and only warn, a line each; `None` if there is none.
pub fn warnings(facts: &Facts) -> Option<String> {
    let lines = facts.warnings.iter().map(|warning| format!("\nwarning: {}", fault_line(&warning.violation)));
    (!facts.warnings.is_empty()).then(|| lines.collect::<String>().trim_start().to_owned())
}

/// The lines that the drivers printed, the last ones; `None` if there is none.
pub fn prints(facts: &Facts) -> Option<String> {
    const SHOWN: usize = 12;
    let left_out = facts.prints.len().saturating_sub(SHOWN);
    let lines = facts.prints.iter().skip(left_out);
    let lines = lines.map(|print| format!("\n{:8.3} s  {}", print.at.as_secs_f64(), print.text));
    let title = match left_out {
        0 => "printed by the drivers:".to_owned(),
        left_out => format!("printed by the drivers ({left_out} earlier lines are in the guest's log):"),
    };
    (!facts.prints.is_empty()).then(|| title + &lines.collect::<String>())
}

/// What is to be known of sets that the device saw, in sentences; none if the guest told them.
pub fn seen_at_device(facts: &Facts) -> Vec<String> {
    if !facts.fates_untold {
        return match facts.only_at_device.is_empty() {
            true => Vec::new(),
            false => vec![format!(
                "The guest ended before it reported the fates of frames {}: theirs are what the device saw.",
                runs(&facts.only_at_device)
            )],
        };
    }
    let mut notes =
        vec!["This guest does not tell what became of a frame: the sets are what the device saw.".to_owned()];
    if facts.lists_first {
        notes.push(
            "It let its lists come back before it cancelled the queues: the gates were opened for that, and what they \
             held was sent."
                .into(),
        );
    }
    let foreign = facts.capture.foreign;
    if foreign != Foreign::default() {
        notes.push(format!(
            "Frames of its own protocols: {} sent, {} taken back, {} received.",
            foreign.outbound, foreign.taken_back, foreign.inbound
        ));
    }
    notes
}

/// What the device saw the driver do that it must not: how often each, by queue.
fn judge_line(facts: &Facts) -> String {
    let mut counts: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for queue in &facts.device.queues {
        for finding in &queue.findings {
            *counts.entry((queue.queue.name(), finding.rule.to_string())).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return "found nothing".into();
    }
    let counts: Vec<_> =
        counts.iter().map(|((queue, rule), count)| format!("{queue} {rule} x{count}")).collect();
    counts.join(", ")
}

fn row(queue: QueueId, report: &QueueReport, on_wire: &str) -> [String; 8] {
    let sends = queue.direction() == Direction::Tx;
    let tx = |ids: &Ids| if sends { ids.len().to_string() } else { "-".into() };
    let rx = |count: u64| if sends { "-".into() } else { count.to_string() };
    [
        queue.name().to_owned(),
        tx(&report.posted),
        tx(&report.sent),
        tx(&report.taken_back),
        tx(&report.never_posted),
        if sends { on_wire.to_owned() } else { "-".into() },
        rx(report.received.len()),
        rx(report.returned_empty),
    ]
}

/// The last lines of a run.
pub fn verdict(violations: &[Violation], style: Style) -> String {
    if violations.is_empty() {
        return format!("verdict: {}", style.good("good"));
    }
    let mut text = format!("verdict: {}", style.bad("bad"));
    for violation in violations {
        text.push_str(&format!("\n  {}", fault_line(violation)));
    }
    text
}

/// A fault in one line.
pub fn fault_line(violation: &Violation) -> String {
    let callback = if violation.callback.is_empty() { "the run" } else { &violation.callback };
    format!("{} in {callback}: {}", violation.rule, violation.place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::control::{Finding, Rule};

    #[test]
    fn a_plain_table_has_no_escape_and_every_number() {
        let text = queues(&crate::facts::example::good(), Style::Plain, 100);
        assert!(text.is_ascii(), "{text}");
        assert!(!text.contains('\x1b'));
        let tx: Vec<_> =
            text.lines().find(|line| line.contains("tx0")).unwrap().split('|').map(str::trim).collect();
        assert_eq!(tx[1..9], ["tx0", "10", "2", "4", "4", "2", "-", "-"]);
    }

    #[test]
    fn a_table_keeps_to_the_width_of_the_terminal() {
        let facts = crate::facts::example::good();
        for style in [Style::Plain, Style::Rich] {
            let text = queues(&facts, style, 72);
            let longest = text.lines().map(|line| line.chars().count()).max();
            assert!(longest.is_some_and(|longest| longest <= 72), "{text}");
            assert!(text.contains("taken") && text.contains("empty"), "{text}");
        }
    }

    #[test]
    fn frames_that_were_posted_and_have_no_fate_have_a_column() {
        let mut facts = crate::facts::example::good();
        assert!(!queues(&facts, Style::Plain, 100).contains("kept"));
        facts.tx.never_posted = Ids(vec![(7, 8)]);
        facts.only_at_device = Ids(vec![(3, 6)]);
        let text = queues(&facts, Style::Plain, 100);
        let tx: Vec<_> =
            text.lines().find(|line| line.contains("tx0")).unwrap().split('|').map(str::trim).collect();
        assert_eq!(tx[1..7], ["tx0", "10", "2", "4", "2", "2"]);
        assert!(text.contains("\n  kept         9-10\n"), "{text}");
        assert!(text.contains("the fates of frames 3-6: theirs are what the device saw"), "{text}");
    }

    #[test]
    fn the_last_lines_of_the_drivers_are_shown() {
        let mut facts = crate::facts::example::good();
        assert_eq!(prints(&facts), None);
        for line in 1..=14 {
            let text = format!("cancelnic: line {line}");
            facts.prints.push(crate::facts::Print { at: std::time::Duration::from_millis(line), text });
        }
        let text = prints(&facts).unwrap();
        assert!(
            text.starts_with("printed by the drivers (2 earlier lines are in the guest's log):\n"),
            "{text}"
        );
        assert!(text.contains("   0.003 s  cancelnic: line 3\n") && text.ends_with("line 14"), "{text}");
    }

    #[test]
    fn the_table_names_what_the_device_found() {
        let mut facts = crate::facts::example::good();
        assert!(queues(&facts, Style::Plain, 100).ends_with("device judge found nothing"));
        let finding = Finding { rule: Rule::DoorbellNeedless, descriptor: None, us: 7 };
        facts.device.queues[1].findings = vec![finding, finding];
        assert!(queues(&facts, Style::Plain, 100).ends_with("device judge tx0 DoorbellNeedless x2"));
    }

    #[test]
    fn a_bad_verdict_names_every_fault() {
        let faults = [crate::verdict::violation("PacketKept", "EvtCancel", "tx0: frame 7")];
        assert_eq!(verdict(&faults, Style::Plain), "verdict: bad\n  PacketKept in EvtCancel: tx0: frame 7");
    }
}
