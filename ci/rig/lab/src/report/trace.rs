//! The run's trace: the device's own, put on the run's clock, with the rig's steps and the driver's callbacks beside it.

use crate::device::trace::Trace;
use crate::device::{RX, TX};
use crate::facts::Facts;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// The processes of a trace, in the order in which a viewer shows them: number and name. The device writes its own.
const DEVICE: u64 = 1;
const RIG: u64 = 2;
const GUEST: u64 = 3;
/// The rows of the guest: callbacks by queue.
const ROWS: [&str; 3] = ["device", TX.name(), RX.name()];

/// The device's trace with the run's steps and callbacks, all on the run's clock. What was before the run is left out.
pub fn merge(device: Trace, facts: &Facts) -> Vec<Value> {
    let shift = device.shift(facts.origin.monotonic_us);
    let end = us(facts.origin.lasted);

    let (mut names, others): (Vec<Value>, Vec<Value>) =
        device.events.into_iter().partition(|event| event["ph"] == "M");
    let mut merged = on_the_clock(others, shift, end);
    names.push(origin(facts));
    for (order, (process, name)) in
        [(RIG, "rig"), (DEVICE, "device"), (GUEST, "guest: the driver's callbacks")].into_iter().enumerate()
    {
        if process != DEVICE {
            names.push(metadata(process, 0, "process_name", json!({ "name": name })));
        }
        names.push(metadata(process, 0, "process_sort_index", json!({ "sort_index": order })));
    }
    names.push(metadata(RIG, 1, "thread_name", json!({ "name": "steps" })));
    for (row, name) in (1..).zip(ROWS) {
        names.push(metadata(GUEST, row, "thread_name", json!({ "name": name })));
    }
    merged.extend(facts.steps.iter().map(|step| {
        let args = json!({ "ok": step.ok, "seen": step.detail });
        span(RIG, 1, &step.name, step.at, step.took, args)
    }));
    merged.extend(facts.callbacks.iter().map(|callback| {
        let row = (1..).zip(ROWS).find(|(_, name)| *name == callback.queue).map_or(1, |(row, _)| row);
        span(GUEST, row, &callback.what, callback.at, callback.took, json!({ "irql": callback.irql }))
    }));
    // Stable: events of one moment keep their order.
    merged.sort_by(|one, other| ts(one).total_cmp(&ts(other)));
    names.extend(merged);
    names
}

/// The device's events from the run's start on. A bar that was open then begins there; one that is open at the end ends
/// there.
fn on_the_clock(events: Vec<Value>, shift: f64, end: f64) -> Vec<Value> {
    // Places in `merged` of bars without an end up to now, by row.
    let mut open: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    let mut merged: Vec<Option<Value>> = Vec::new();
    let early: HashSet<u64> = events
        .iter()
        .filter(|event| ts(event) + shift < 0.0)
        .filter_map(|event| event["id"].as_u64())
        .collect();
    for mut event in events {
        event["ts"] = json!(ts(&event) + shift);
        let before = ts(&event) < 0.0;
        let row = event["tid"].as_u64().unwrap_or_default();
        match event["ph"].as_str() {
            Some("B") => {
                event["ts"] = json!(ts(&event).max(0.0));
                open.entry(row).or_default().push(merged.len());
                merged.push(Some(event));
            }
            Some("E") => match open.entry(row).or_default().pop() {
                Some(began) if before => merged[began] = None,
                Some(_) => merged.push(Some(event)),
                // An end without a beginning closes nothing.
                None => {}
            },
            _ if before || event["id"].as_u64().is_some_and(|id| early.contains(&id)) => {}
            _ => merged.push(Some(event)),
        }
    }
    for began in open.into_values().flat_map(|open| open.into_iter().rev()) {
        let Some(began) = &merged[began] else { continue };
        let ended = json!({ "ph": "E", "pid": began["pid"], "tid": began["tid"], "ts": ts(began).max(end) });
        merged.push(Some(ended));
    }
    merged.into_iter().flatten().collect()
}

/// What time 0 is on the clocks of the machine.
fn origin(facts: &Facts) -> Value {
    let unix = facts.origin.began.map(|began| began.timestamp_micros());
    metadata(RIG, 0, "clock", json!({ "monotonic_us": facts.origin.monotonic_us, "unix_us": unix }))
}

fn metadata(process: u64, row: u64, kind: &str, args: Value) -> Value {
    json!({ "ph": "M", "name": kind, "pid": process, "tid": row, "ts": 0, "args": args })
}

fn span(process: u64, row: u64, name: &str, at: Duration, took: Duration, args: Value) -> Value {
    json!({ "ph": "X", "name": name, "pid": process, "tid": row, "ts": us(at), "dur": us(took), "args": args })
}

fn us(time: Duration) -> f64 {
    time.as_nanos() as f64 / 1e3
}

fn ts(event: &Value) -> f64 {
    event["ts"].as_f64().unwrap_or_default()
}

/// The file's text: an event a line.
pub fn text(events: &[Value]) -> String {
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}

/// What a viewer of the Trace Event Format would stumble over; nothing in a sound trace.
pub fn problems(events: &[Value]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut open: BTreeMap<(u64, u64), Vec<f64>> = BTreeMap::new();
    let mut arrows: BTreeMap<u64, Vec<(String, f64)>> = BTreeMap::new();
    let mut named = HashSet::new();
    let mut used = HashSet::new();
    for event in events {
        let mut wrong = |why: &str| problems.push(format!("{why}: {event}"));
        let (Some(ph), Some(pid), Some(tid)) =
            (event["ph"].as_str(), event["pid"].as_u64(), event["tid"].as_u64())
        else {
            wrong("no ph, pid or tid");
            continue;
        };
        if !event["ts"].as_f64().is_some_and(|ts| ts.is_finite() && ts >= 0.0) {
            wrong("no time, or one before the run");
        }
        if ph != "E" && event["name"].as_str().is_none_or(str::is_empty) {
            wrong("no name");
        }
        if ph != "M" {
            used.insert(pid);
        }
        match ph {
            "M" if event["name"] == "process_name" => _ = named.insert(pid),
            "M" | "i" => {}
            "B" => open.entry((pid, tid)).or_default().push(ts(event)),
            "E" => match open.entry((pid, tid)).or_default().pop() {
                Some(began) if began <= ts(event) => {}
                _ => wrong("an end without a beginning before it"),
            },
            "X" if event["dur"].as_f64().is_some_and(|dur| dur >= 0.0) => {}
            "C" if event["args"].as_object().is_some_and(|values| values.values().all(Value::is_number)) => {}
            "s" | "f" => match event["id"].as_u64() {
                Some(id) => arrows.entry(id).or_default().push((ph.to_owned(), ts(event))),
                None => wrong("an arrow without a number"),
            },
            _ => wrong("an unknown kind of event, or one without its values"),
        }
    }
    problems
        .extend(open.values().flatten().map(|began| format!("the bar that begins at {began} us has no end")));
    for (id, ends) in arrows {
        let sound = matches!(&ends[..], [(s, from), (f, to)] if s == "s" && f == "f" && from <= to);
        if !sound {
            problems.push(format!("arrow {id} has not two ends in order: {ends:?}"));
        }
    }
    problems.extend(used.difference(&named).map(|pid| format!("process {pid} has no name")));
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Callback, Step};

    /// A device's trace that was opened at 1,000,000 us: 500,000 us before the run.
    const DEVICE_TRACE: &str = r#"[
{"ph":"M","name":"process_name","pid":1,"tid":0,"ts":0,"args":{"name":"device"}},
{"ph":"M","name":"clock","pid":1,"tid":0,"ts":0,"args":{"monotonic_us":1000000.0,"unix_us":5000000.0}},
{"ph":"M","name":"thread_name","pid":1,"tid":2,"ts":0,"args":{"name":"tx0"}},
{"ph":"B","name":"STOPPED","pid":1,"tid":2,"ts":100.0,"args":{}},
{"ph":"E","pid":1,"tid":2,"ts":300.0},
{"ph":"B","name":"RUNNING","pid":1,"tid":2,"ts":300.0,"args":{}},
{"ph":"X","name":"doorbell","pid":1,"tid":18,"ts":400.0,"dur":5.0,"args":{}},
{"ph":"s","cat":"cause","name":"doorbell to interrupt","id":1,"pid":1,"tid":18,"ts":400.0},
{"ph":"f","bp":"e","cat":"cause","name":"doorbell to interrupt","id":1,"pid":1,"tid":18,"ts":600000.0},
{"ph":"E","pid":1,"tid":2,"ts":600500.0},
{"ph":"B","name":"STOPPED","pid":1,"tid":2,"ts":600500.0,"args":{"count":64}},
{"ph":"X","name":"CANCEL","pid":1,"tid":18,"ts":600400.0,"dur":150.0,"args":{"seq":1,"state":"STOPPED","result":1,"count":64}},
{"ph":"s","cat":"cause","name":"CANCEL to STOPPED, COUNT 64","id":2,"pid":1,"tid":18,"ts":600400.0},
{"ph":"f","bp":"e","cat":"cause","name":"CANCEL to STOPPED, COUNT 64","id":2,"pid":1,"tid":2,"ts":600500.0},
{"ph":"C","name":"tx0: taken back","pid":1,"tid":0,"ts":600450.0,"args":{"frames":64}}
]"#;

    fn facts() -> Facts {
        let mut facts = crate::facts::example::good();
        facts.origin.monotonic_us = 1_500_000.0;
        facts.origin.lasted = Duration::from_millis(200);
        facts.steps.push(Step {
            name: "pause".into(),
            ok: false,
            at: Duration::from_millis(90),
            took: Duration::from_millis(60),
            detail: "\"no\"".into(),
        });
        facts.callbacks.push(Callback {
            at: Duration::from_millis(100),
            took: Duration::from_micros(90),
            queue: "tx0".into(),
            what: "EvtCancel".into(),
            irql: 2,
        });
        facts
    }

    #[test]
    fn a_merged_trace_is_sound_and_has_all_three_processes_on_one_clock() {
        let merged = merge(Trace::parse(DEVICE_TRACE).unwrap(), &facts());
        assert_eq!(problems(&merged), Vec::<String>::new());
        let read: Vec<Value> = serde_json::from_str(&text(&merged)).unwrap();
        let at = |name: &str| ts(read.iter().find(|event| event["name"] == name).unwrap());
        assert_eq!([at("CANCEL"), at("pause"), at("EvtCancel")], [100_400.0, 90_000.0, 100_000.0]);
        let times: Vec<f64> = read.iter().map(ts).collect();
        assert!(times.is_sorted(), "{times:?}");
        let processes: Vec<_> = read.iter().filter(|event| event["name"] == "process_name").collect();
        assert_eq!(processes.len(), 3);
    }

    #[test]
    fn what_was_before_the_run_is_cut_off_at_its_start() {
        let merged = merge(Trace::parse(DEVICE_TRACE).unwrap(), &facts());
        let names: Vec<_> = merged
            .iter()
            .filter(|event| event["pid"] == 1 && event["ph"] != "M")
            .map(|event| event["name"].as_str().unwrap_or("end"))
            .collect();
        let arrow = "CANCEL to STOPPED, COUNT 64";
        assert_eq!(names, ["RUNNING", "CANCEL", arrow, "tx0: taken back", "end", "STOPPED", arrow, "end"]);
        let running = merged.iter().find(|event| event["name"] == "RUNNING").unwrap();
        assert_eq!(ts(running), 0.0);
        assert_eq!(ts(merged.last().unwrap()), 200_000.0);
    }

    #[test]
    fn commands_are_read_with_what_the_device_made_of_them() {
        let given = Trace::parse(DEVICE_TRACE).unwrap().commands(facts().origin.monotonic_us);
        assert_eq!(given.len(), 1);
        assert_eq!(
            (given[0].queue.as_str(), given[0].state.as_str(), given[0].count),
            ("tx0", "STOPPED", 64)
        );
        assert_eq!(
            (given[0].at, given[0].took),
            (Duration::from_micros(100_400), Duration::from_micros(150))
        );
    }

    #[test]
    fn an_unsound_trace_is_found() {
        let sound = merge(Trace::parse(DEVICE_TRACE).unwrap(), &facts());
        for (why, spoil) in [
            ("has no end", (|events| events.retain(|event| event["ph"] != "E")) as fn(&mut Vec<Value>)),
            ("without a beginning", |events| events.retain(|event| event["ph"] != "B")),
            ("two ends", |events| events.retain(|event| event["ph"] != "f")),
            ("has no name", |events| events.retain(|event| event["name"] != "process_name")),
            ("no time", |events| events[0]["ts"] = json!(-1.0)),
            ("no ph", |events| _ = events[0].as_object_mut().unwrap().remove("pid")),
            ("unknown kind", |events| events[0]["ph"] = json!("?")),
        ] {
            let mut events = sound.clone();
            spoil(&mut events);
            let found = problems(&events);
            assert!(found.iter().any(|problem| problem.contains(why)), "{why}: {found:?}");
        }
    }
}
