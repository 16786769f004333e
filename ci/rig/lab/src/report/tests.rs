use super::leave::{copy_json, write};
use super::model::Report;
use super::way::path_from;
use super::{html, table};
use crate::device::control::{Finding, Rule};
use crate::device::trace::Sample;
use crate::facts::Callback;
use crate::facts::hang::Hang;
use crate::facts::{self, Facts};
use crate::guest::crash;
use crate::guest::crash::Crash;
use crate::verdict::{judge, violation};
use agent_protocol::{Ids, Violation};
use anyhow::Result;
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

fn schema() -> boon::Schemas {
    boon::Schemas::new()
}

#[track_caller]
fn validate(report: &Value) -> Result<(), String> {
    let mut schemas = schema();
    let mut compiler = boon::Compiler::new();
    let text = include_str!("../../../report.schema.json");
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
    let good = crate::facts::example::good();
    assert_eq!(report(&good)["verdict"], "good");
    validate(&report(&good)).unwrap();

    let mut bad = good.clone();
    bad.device.queues[1].findings.push(Finding { rule: Rule::UsedRingWritten, descriptor: None, us: 12_345 });
    bad.violations.push(violation("WaitAtDispatch", "EvtCancel", "tx0"));
    bad.hangs.push(Hang { view: crate::facts::hang::tests::view(), device: None });
    bad.stacks.push(crate::guest::symbols::tests::stack());
    assert_eq!(report(&bad)["verdict"], "bad");
    assert_eq!(report(&bad)["hangs"][0]["queue"], "tx0");
    validate(&report(&bad)).unwrap();
}

#[test]
fn sets_that_the_device_saw_are_reported_as_such() {
    let mut facts = crate::facts::example::good();
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
    let mut facts = crate::facts::example::good();
    facts.refused = Some("no pause".into());
    facts.crashes.push(Crash {
        kind: crash::CrashKind::BugCheck,
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
    for text in ["STOP 0x0000019F (0x1, 0xffffffffffffffff, 0x3, 0x4)", "&lt;memory&gt;.elf", "no pause"] {
        assert!(page.contains(text), "{text}");
    }
}

/// Frames 1 and 2 in one subgroup, 11 in another that was cancelled, and a recalled request.
fn with_cancels() -> Facts {
    let mut facts = crate::facts::example::good();
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
    assert_eq!(table::cancels(&crate::facts::example::good(), table::Style::Plain, 100), None);
}

#[test]
fn the_schema_refuses_what_a_report_must_not_be() {
    let good = report(&crate::facts::example::good());
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
    let mut facts = crate::facts::example::good();
    facts.violations.push(violation("<script>", "EvtCancel", "a & b"));
    facts.hangs.push(Hang { view: crate::facts::hang::tests::view(), device: None });
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
    let mut facts = crate::facts::example::good();
    facts.capture.outbound.push(3);
    let page = page(&facts, &judge(&facts));
    let body = page.split("<body>").nth(1).unwrap();
    let place = |text: &str| body.find(text).unwrap_or_else(|| panic!("{text} is not in the page"));
    let order =
        ["badge bad", "TakenBackButOnWire", "class=\"legend\"", "<a class=\"f ", "Time line", "Who saw what"];
    assert!(order.map(place).is_sorted(), "{:?}", order.map(place));
    assert_eq!(page.matches("<a class=\"f ").count(), 10);
    assert_eq!(page.matches("<a class=\"f contradictory").count(), 1);
}

#[test]
fn the_capture_is_named_by_its_way_from_the_json_file() {
    let way = |folder: &str, file: &str| path_from(Path::new(folder), Path::new(file)).display().to_string();
    assert_eq!(way("/a/b", "/a/b/capture.pcapng"), "capture.pcapng");
    assert_eq!(way("/a/out", "/a/b/capture.pcapng"), "../b/capture.pcapng");
    assert_eq!(way("", "capture.pcapng"), "capture.pcapng");
    let report = Report::new(&crate::facts::example::good(), &[], Path::new("/r/demo/capture.pcapng"));
    let json: Value = serde_json::from_str(&report.json(Path::new("/r")).unwrap()).unwrap();
    assert_eq!(json["capture"], "demo/capture.pcapng");
    validate(&json).unwrap();
    let root = tempfile::tempdir().unwrap();
    let (here, there) = (root.path().join("run/report.json"), root.path().join("out/r.json"));
    let report = Report::new(&crate::facts::example::good(), &[], &root.path().join("run/capture.pcapng"));
    write(&here, &report.json(&root.path().join("run")).unwrap()).unwrap();
    copy_json(&here, &there).unwrap();
    let json: Value = serde_json::from_slice(&std::fs::read(there).unwrap()).unwrap();
    assert_eq!(json["capture"], "../run/capture.pcapng");
}

#[test]
fn the_fates_in_the_report_are_the_sizes_of_the_queues_sets() {
    let json = report(&crate::facts::example::good());
    for fate in ["sent", "taken_back", "never_posted"] {
        assert_eq!(json["fates"][fate], json["queues"][0][fate], "{fate}");
    }
    assert_eq!(json["frames"][1], serde_json::json!({ "first": 3, "last": 6, "fate": "taken_back" }));
}
