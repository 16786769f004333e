//! What a run leaves for people and programs: JSON (`report.schema.json` describes it), HTML, a table.

mod about;
mod fates;
mod html;
mod line;
mod strip;
pub mod table;
pub mod trace;
mod wire;
mod witness;

use crate::archive::write_whole;
use crate::capture::Foreign;
use crate::control::Finding;
use crate::crash::Crash;
use crate::facts::{self, Facts};
use crate::hang::Hang;
use crate::symbols::Stack;
use about::About;
use agent_protocol::{DriverFile, Ids, QueueReport, Violation};
use anyhow::{Context, Result};
use chrono::DateTime;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// The report's JSON form.
#[derive(Debug, Serialize)]
pub struct Report {
    /// `good` or `bad`.
    pub verdict: &'static str,
    /// When, how long, with which command and in which versions.
    pub about: About,
    /// `understudy`, `stand-in` or `windows`; empty if the guest never came up.
    pub guest: String,
    /// The image that the guest was started from; left out without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Seed of the run.
    pub seed: u64,
    /// The drivers as the guest saw them.
    pub drivers: Vec<DriverFile>,
    /// The steps in order.
    pub steps: Vec<Step>,
    /// One for each queue.
    pub queues: Vec<Queue>,
    /// How far the queues' sets are what the device saw; left out if the guest told them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_at_device: Option<SeenAtDevice>,
    /// How many frames met each fate; a fate that no frame met is left out.
    pub fates: BTreeMap<&'static str, u64>,
    /// The fates of all frames, in the order in which they were given to the sender.
    pub frames: Vec<fates::Run>,
    /// Subgroups of sends with cancellation IDs.
    pub subgroups: Vec<Subgroup>,
    /// Recalled requests.
    pub recalls: Vec<Recall>,
    /// The capture file; in JSON its path from the JSON file's folder.
    pub capture: PathBuf,
    /// What the device's judge found, as it saw it.
    pub findings: Vec<QueueFinding>,
    /// What was wrong, the cause first.
    pub violations: Vec<Violation>,
    /// The lines that the drivers printed, in order.
    pub prints: Vec<Print>,
    /// Queues that were not given back; left out if there was none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hangs: Vec<Hang>,
    /// The calls that had not returned where the guest stopped; absent if it did not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stacks: Vec<Stack>,
    /// How the guest as a whole failed, with its dumps; left out if it did not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub crashes: Vec<Crash>,
    /// What the guest said it can never do, so that the run ended there; left out if there was nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// A finding of the device's judge.
#[derive(Debug, Serialize)]
pub struct QueueFinding {
    /// `tx0` or `rx0`.
    pub queue: String,
    /// What, where and when.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What is to be known of sets that the device saw.
#[derive(Debug, Serialize)]
pub struct SeenAtDevice {
    /// Whether the guest waited for its lists before it took the data path down, so that what a gate held was sent.
    pub lists_first: bool,
    /// Frames of the guest's own protocols, which are in no set.
    pub foreign: Foreign,
}

/// A line that a driver printed.
#[derive(Debug, Serialize)]
pub struct Print {
    /// From the start of the run to the moment at which the rig read it, in milliseconds.
    pub ms: f64,
    /// The line.
    pub text: String,
}

/// To the microsecond.
fn milliseconds(time: std::time::Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// A step of the run.
#[derive(Debug, Serialize)]
pub struct Step {
    /// What was done.
    pub name: String,
    /// Whether it went as it should.
    pub ok: bool,
    /// How long it took, in milliseconds.
    pub ms: f64,
    /// What was seen.
    pub detail: String,
}

/// A packet queue.
#[derive(Debug, Serialize)]
pub struct Queue {
    /// `tx0` or `rx0`.
    pub queue: String,
    /// Frames that the sender gave to the packet ring.
    pub posted: u64,
    /// Frames that came back as sent.
    pub sent: u64,
    /// Frames that the hardware gave back.
    pub taken_back: u64,
    /// Frames that were in the packet ring only.
    pub never_posted: u64,
    /// Frames that were posted and have no fate yet: the driver has not given them back.
    pub kept: u64,
    /// Frames received.
    pub received: u64,
    /// Receive buffers that came back empty.
    pub returned_empty: u64,
    /// Which frames, in order.
    pub ids: Sets,
}

/// Frames that a sender marked with one cancellation ID.
#[derive(Debug, Serialize)]
pub struct Subgroup {
    /// The ID, in hexadecimal: a number of 64 bits is no number to every reader of JSON.
    pub cancel_id: String,
    /// How many were given.
    pub given: u64,
    /// How many left the wire.
    pub sent: u64,
    /// How many came back with NDIS_STATUS_SEND_ABORTED.
    pub aborted: u64,
    /// Which frames.
    pub ids: SubgroupSets,
}

/// The numbers behind a subgroup's counts, in order.
#[derive(Debug, Serialize)]
pub struct SubgroupSets {
    /// Of [`Subgroup::sent`].
    pub sent: Vec<u64>,
    /// Of [`Subgroup::aborted`].
    pub aborted: Vec<u64>,
}

/// A request that was recalled.
#[derive(Debug, Serialize)]
pub struct Recall {
    /// What was asked for.
    pub request: String,
    /// What WdfRequestCancelSentRequest returned.
    pub returned: bool,
    /// Final NTSTATUS, in hexadecimal.
    pub status: String,
    /// What happened on both sides, in order.
    pub events: Vec<RequestEvent>,
}

/// One line of a driver's request log.
#[derive(Debug, Serialize)]
pub struct RequestEvent {
    /// The driver.
    pub driver: &'static str,
    /// What happened.
    pub what: &'static str,
    /// IRQL at which it happened.
    pub irql: u32,
}

/// The numbers behind a queue's counts, in order.
#[derive(Debug, Serialize)]
pub struct Sets {
    /// Of [`Queue::sent`].
    pub sent: Vec<u64>,
    /// Of [`Queue::taken_back`].
    pub taken_back: Vec<u64>,
    /// Of [`Queue::never_posted`].
    pub never_posted: Vec<u64>,
    /// Of [`Queue::kept`].
    pub kept: Vec<u64>,
    /// Of [`Queue::received`].
    pub received: Vec<u64>,
}

impl Report {
    /// Puts facts and judgement together. `capture` is where the capture file stands after the run.
    pub fn new(facts: &Facts, violations: &[Violation], capture: &Path) -> Self {
        let frames = fates::of(facts);
        Self {
            verdict: if violations.is_empty() { "good" } else { "bad" },
            about: About::of(facts),
            fates: fates::counts(&frames).into_iter().map(|(fate, count)| (fate.key(), count)).collect(),
            frames,
            guest: facts.greeting.as_ref().map(|greeting| greeting.guest.clone()).unwrap_or_default(),
            image: facts.greeting.as_ref().and_then(|greeting| greeting.image.clone()),
            seed: facts.seed,
            drivers: facts.greeting.as_ref().map(|greeting| greeting.drivers.clone()).unwrap_or_default(),
            steps: facts
                .steps
                .iter()
                .map(|step| Step {
                    name: step.name.clone(),
                    ok: step.ok,
                    ms: milliseconds(step.took),
                    detail: step.detail.clone(),
                })
                .collect(),
            queues: vec![queue("tx0", &facts.tx, &facts.kept()), queue("rx0", &facts.rx, &Ids::default())],
            seen_at_device: facts
                .fates_untold
                .then_some(SeenAtDevice { lists_first: facts.lists_first, foreign: facts.capture.foreign }),
            subgroups: facts.subgroups.iter().map(|group| subgroup(group, facts)).collect(),
            recalls: facts.recalls.iter().map(recall).collect(),
            capture: capture.to_path_buf(),
            findings: facts
                .device
                .queues
                .iter()
                .flat_map(|queue| {
                    queue
                        .findings
                        .iter()
                        .map(|finding| QueueFinding { queue: queue.queue.name().into(), finding: *finding })
                })
                .collect(),
            violations: violations.to_vec(),
            prints: facts
                .prints
                .iter()
                .map(|print| Print { ms: milliseconds(print.at), text: print.text.clone() })
                .collect(),
            hangs: facts.hangs.clone(),
            stacks: facts.stacks.clone(),
            crashes: facts.crashes.clone(),
            refused: facts.refused.clone(),
        }
    }

    /// The JSON form for a file in `folder`.
    pub fn json(&self, folder: &Path) -> Result<String> {
        let mut json = serde_json::to_value(self)?;
        json["capture"] = path_from(folder, &self.capture).to_string_lossy().into();
        Ok(format!("{json:#}\n"))
    }
}

/// Completes what a run has left in `folder`: puts its trace and its capture, as the device wrote them, on the run's
/// clock and under its name, and writes the dissector, the JSON form and the page beside them.
///
/// # Errors
/// The first thing that failed. Page and JSON are written all the same, if they can be.
pub fn leave(folder: &Path, facts: &Facts, violations: &[Violation]) -> Result<()> {
    let (trace, capture) = (folder.join("trace.json"), folder.join("capture.pcapng"));
    let report = Report::new(facts, violations, &capture);
    let mut commands = Vec::new();
    let traced = rewrite(&trace, |bytes| {
        let events = trace::merge(&String::from_utf8_lossy(bytes), facts)?;
        commands = trace::commands(&events);
        Ok(trace::text(&events).into_bytes())
    });
    let since =
        facts.origin.began.and_then(|began| began.signed_duration_since(DateTime::UNIX_EPOCH).to_std().ok());
    let captured = rewrite(&capture, |bytes| {
        wire::annotate(bytes, &wire::comment(&report, facts), since.unwrap_or_default())
    });
    if capture.is_file() {
        write(&folder.join("cancelnic.lua"), wire::DISSECTOR)?;
    }
    write(&folder.join("report.json"), &report.json(folder)?)?;
    let page = html::page(&report, facts, &commands, |name| folder.join(name).is_file());
    write(&folder.join("report.html"), &page)?;
    traced.and(captured)
}

/// Copies a JSON form to another place, where the way to the capture is another one.
pub fn copy_json(from: &Path, to: &Path) -> Result<()> {
    write(to, &json_seen_from(from, to.parent().unwrap_or(Path::new("")))?)
}

/// A JSON form for somebody in `folder`, from which the way to the capture begins.
pub fn json_seen_from(from: &Path, folder: &Path) -> Result<String> {
    let text = std::fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let mut json: Value = serde_json::from_slice(&text)?;
    let beside = from.parent().unwrap_or(Path::new(""));
    let capture = beside.join(json["capture"].as_str().unwrap_or_default());
    json["capture"] = path_from(folder, &capture).to_string_lossy().into();
    Ok(format!("{json:#}\n"))
}

/// Puts other bytes in a file's place. A file that is not there stays away, one that cannot be read as it should stays as
/// it is.
fn rewrite(path: &Path, change: impl FnOnce(&[u8]) -> Result<Vec<u8>>) -> Result<()> {
    if !path.is_file() {
        return Ok(());
    }
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let changed =
        change(&bytes).with_context(|| format!("cannot read {} as what it should be", path.display()))?;
    write_whole(path, &changed)
}

/// The way to `file` from `folder`, which leads through folders that both have. A file on another root keeps its path.
fn path_from(folder: &Path, file: &Path) -> PathBuf {
    let absolute =
        |path: &Path| std::path::absolute(if path.as_os_str().is_empty() { Path::new(".") } else { path });
    let (Ok(folder), Ok(file)) = (absolute(folder), absolute(file)) else { return file.to_path_buf() };
    let common = folder.components().zip(file.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(file.components().skip(common)).collect()
}

fn write(path: &Path, text: &str) -> Result<()> {
    write_whole(path, text.as_bytes())
}

fn subgroup(group: &facts::Subgroup, facts: &Facts) -> Subgroup {
    let sent = group.sent(facts);
    Subgroup {
        cancel_id: format!("{:#x}", group.cancel_id),
        given: group.given.len(),
        sent: sent.len(),
        aborted: group.aborted.len(),
        ids: SubgroupSets { sent: list(&sent), aborted: list(&group.aborted) },
    }
}

fn recall(recall: &facts::Recall) -> Recall {
    let event = |event: &facts::RequestEvent| RequestEvent {
        driver: event.driver,
        what: event.what,
        irql: event.irql,
    };
    Recall {
        request: recall.request.clone(),
        returned: recall.returned,
        status: format!("{:#010x}", recall.status),
        events: recall.events.iter().map(event).collect(),
    }
}

fn list(ids: &Ids) -> Vec<u64> {
    ids.iter().collect()
}

fn queue(name: &str, report: &QueueReport, kept: &Ids) -> Queue {
    Queue {
        queue: name.to_owned(),
        posted: report.posted.len(),
        sent: report.sent.len(),
        taken_back: report.taken_back.len(),
        never_posted: report.never_posted.len(),
        kept: kept.len(),
        received: report.received.len(),
        returned_empty: report.returned_empty,
        ids: Sets {
            sent: list(&report.sent),
            taken_back: list(&report.taken_back),
            never_posted: list(&report.never_posted),
            kept: list(kept),
            received: list(&report.received),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::Rule;
    use crate::crash;
    use crate::facts::{Callback, Sample};
    use crate::verdict::{judge, violation};
    use std::time::Duration;

    fn schema() -> boon::Schemas {
        boon::Schemas::new()
    }

    #[track_caller]
    fn validate(report: &Value) -> Result<(), String> {
        let mut schemas = schema();
        let mut compiler = boon::Compiler::new();
        let text = include_str!("../../report.schema.json");
        compiler.add_resource("report.json", serde_json::from_str(text).unwrap()).unwrap();
        let index = compiler.compile("report.json", &mut schemas).unwrap();
        schemas.validate(report, index).map_err(|error| error.to_string())
    }

    fn page(facts: &Facts, violations: &[Violation]) -> String {
        html::page(&Report::new(facts, violations, Path::new("capture.pcapng")), facts, &[], |_| true)
    }

    fn report(facts: &Facts) -> Value {
        let report = Report::new(facts, &judge(facts), Path::new("capture.pcapng"));
        serde_json::to_value(report).unwrap()
    }

    #[test]
    fn reports_keep_to_their_schema() {
        let good = crate::verdict::tests::good();
        assert_eq!(report(&good)["verdict"], "good");
        validate(&report(&good)).unwrap();

        let mut bad = good.clone();
        bad.device.queues[1].findings.push(Finding {
            rule: Rule::UsedRingWritten,
            descriptor: None,
            us: 12_345,
        });
        bad.violations.push(violation("WaitAtDispatch", "EvtCancel", "tx0"));
        bad.hangs.push(Hang::new(&crate::hang::tests::view(), None));
        bad.stacks.push(crate::symbols::tests::stack());
        assert_eq!(report(&bad)["verdict"], "bad");
        assert_eq!(report(&bad)["hangs"][0]["queue"], "tx0");
        validate(&report(&bad)).unwrap();
    }

    #[test]
    fn sets_that_the_device_saw_are_reported_as_such() {
        let mut facts = crate::verdict::tests::good();
        assert!(report(&facts).get("seen_at_device").is_none());
        (facts.fates_untold, facts.lists_first) = (true, true);
        facts.capture.foreign.outbound = 7;
        let seen = report(&facts);
        validate(&seen).unwrap();
        assert_eq!(seen["seen_at_device"]["foreign"]["outbound"], 7);
        let page = page(&facts, &[]);
        let text = table::queues(&facts, table::Style::Plain, 100);
        for seen in [page, text] {
            assert!(seen.contains("lists come back before") && seen.contains("7 sent"), "{seen}");
        }
    }

    #[test]
    fn a_guest_that_failed_is_reported_with_its_dumps() {
        let mut facts = crate::verdict::tests::good();
        facts.refused = Some("no pause".into());
        facts.crashes.push(Crash {
            kind: crash::Kind::BugCheck,
            scenario: "demo".into(),
            stop: Some(crash::Stop { code: 0x19f, parameters: [1, u64::MAX, 3, 4] }),
            dumps: vec![crash::Dump {
                file: "/d/<memory>.elf".into(),
                source: crash::Source::Memory,
                open: "gdb".into(),
            }],
            device: vec!["tx0: STOPPED".into()],
            notes: Vec::new(),
        });
        let report = Report::new(&facts, &[], Path::new("capture.pcapng"));
        validate(&serde_json::to_value(&report).unwrap()).unwrap();
        let page = html::page(&report, &facts, &[], |_| true);
        for text in ["STOP 0x0000019F (0x1, 0xffffffffffffffff, 0x3, 0x4)", "&lt;memory&gt;.elf", "no pause"]
        {
            assert!(page.contains(text), "{text}");
        }
    }

    /// Frames 1 and 2 in one subgroup, 11 in another that was cancelled, and a recalled request.
    fn with_cancels() -> Facts {
        let mut facts = crate::verdict::tests::good();
        facts.subgroups = vec![
            facts::Subgroup {
                cancel_id: 0x0100_0000_0000_0001,
                given: Ids(vec![(1, 2)]),
                aborted: Ids::default(),
            },
            facts::Subgroup {
                cancel_id: 0x0100_0000_0000_0002,
                given: Ids(vec![(11, 11)]),
                aborted: Ids(vec![(11, 11)]),
            },
        ];
        facts.recalls = vec![facts::Recall {
            request: "wait for a cancel".into(),
            returned: true,
            status: 0xC000_0120,
            events: vec![facts::RequestEvent { driver: "cancelnic", what: "EvtRequestCancel", irql: 2 }],
        }];
        facts
    }

    #[test]
    fn subgroups_and_recalls_stand_in_every_form_of_the_report() {
        let facts = with_cancels();
        let json = serde_json::to_value(Report::new(&facts, &[], Path::new("capture.pcapng"))).unwrap();
        validate(&json).unwrap();
        assert_eq!(json["subgroups"][0]["ids"]["sent"], serde_json::json!([1, 2]));
        assert_eq!(json["subgroups"][1]["aborted"], 1);
        assert_eq!(json["recalls"][0]["status"], "0xc0000120");

        let page = page(&facts, &[]);
        let text = table::cancels(&facts, table::Style::Plain, 100).unwrap();
        for part in ["0x100000000000002", "EvtRequestCancel", "0xc0000120", "returned TRUE"] {
            assert!(page.contains(part) && text.contains(part), "{part}\n{text}");
        }
        assert_eq!(table::cancels(&crate::verdict::tests::good(), table::Style::Plain, 100), None);
    }

    #[test]
    fn the_schema_refuses_what_a_report_must_not_be() {
        let good = report(&crate::verdict::tests::good());
        for (place, value) in [
            ("/verdict", Value::from("fine")),
            ("/queues/0/sent", Value::from(-1)),
            ("/queues/0/ids/sent/0", Value::from("1")),
            ("/steps/0/ok", Value::Null),
        ] {
            let mut spoilt = good.clone();
            *spoilt.pointer_mut(place).unwrap() = value;
            assert!(validate(&spoilt).is_err(), "{place}");
        }
        let mut spoilt = good.clone();
        spoilt.as_object_mut().unwrap().remove("capture");
        assert!(validate(&spoilt).is_err());
    }

    #[test]
    fn the_page_needs_nothing_from_outside_and_escapes_what_it_quotes() {
        let mut facts = crate::verdict::tests::good();
        facts.violations.push(violation("<script>", "EvtCancel", "a & b"));
        facts.hangs.push(Hang::new(&crate::hang::tests::view(), None));
        facts.states.push(Sample { at: Duration::ZERO, queue: "tx0".into(), state: "RUNNING".into() });
        facts.callbacks.push(Callback {
            at: Duration::from_millis(10),
            took: Duration::from_micros(90),
            queue: "tx0".into(),
            what: "EvtCancel".into(),
            irql: 2,
        });
        let page = page(&facts, &judge(&facts));
        assert!(page.contains("Device judge") && page.contains("found nothing"));
        assert!(page.contains("tx0 EvtCancel") && page.contains("90 \u{b5}s IRQL 2"));
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script"));
        assert!(page.contains("a &amp; b"));
        assert!(page.contains("tx0 is not given back"));
        let hang = &facts.hangs[0];
        let escaped = |text: &str| maud::html! { (text) }.into_string();
        assert!(hang.parts().iter().all(|(name, seen)| page.contains(name) && page.contains(&escaped(seen))));
        assert!(!page.contains("src=") && !page.contains("url(") && !page.contains("@import"));
        let links: Vec<_> = page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(links.iter().all(|link| link.starts_with('#') || !link.contains(['/', ':'])), "{links:?}");
        assert!(links.contains(&"capture.pcapng") && links.contains(&"#run-1"));
    }

    #[test]
    fn the_page_begins_with_verdict_and_cause_and_has_each_frame_once() {
        let mut facts = crate::verdict::tests::good();
        facts.capture.outbound.push(3);
        let page = page(&facts, &judge(&facts));
        let body = page.split("<body>").nth(1).unwrap();
        let place = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text} is not in the page"));
        let order = [
            "badge bad",
            "TakenBackButOnWire",
            "class=\"legend\"",
            "<a class=\"f ",
            "Time line",
            "Who saw what",
        ];
        assert!(order.map(place).is_sorted(), "{:?}", order.map(place));
        assert_eq!(page.matches("<a class=\"f ").count(), 10);
        assert_eq!(page.matches("<a class=\"f contradictory").count(), 1);
    }

    #[test]
    fn the_capture_is_named_by_its_way_from_the_json_file() {
        let way =
            |folder: &str, file: &str| path_from(Path::new(folder), Path::new(file)).display().to_string();
        assert_eq!(way("/a/b", "/a/b/capture.pcapng"), "capture.pcapng");
        assert_eq!(way("/a/out", "/a/b/capture.pcapng"), "../b/capture.pcapng");
        assert_eq!(way("", "capture.pcapng"), "capture.pcapng");
        let report = Report::new(&crate::verdict::tests::good(), &[], Path::new("/r/demo/capture.pcapng"));
        let json: Value = serde_json::from_str(&report.json(Path::new("/r")).unwrap()).unwrap();
        assert_eq!(json["capture"], "demo/capture.pcapng");
        validate(&json).unwrap();
        let root = tempfile::tempdir().unwrap();
        let (here, there) = (root.path().join("run/report.json"), root.path().join("out/r.json"));
        let report =
            Report::new(&crate::verdict::tests::good(), &[], &root.path().join("run/capture.pcapng"));
        write(&here, &report.json(&root.path().join("run")).unwrap()).unwrap();
        copy_json(&here, &there).unwrap();
        let json: Value = serde_json::from_slice(&std::fs::read(there).unwrap()).unwrap();
        assert_eq!(json["capture"], "../run/capture.pcapng");
    }

    #[test]
    fn the_fates_in_the_report_are_the_sizes_of_the_queues_sets() {
        let json = report(&crate::verdict::tests::good());
        for fate in ["sent", "taken_back", "never_posted"] {
            assert_eq!(json["fates"][fate], json["queues"][0][fate], "{fate}");
        }
        assert_eq!(json["frames"][1], serde_json::json!({ "first": 3, "last": 6, "fate": "taken_back" }));
    }
}
